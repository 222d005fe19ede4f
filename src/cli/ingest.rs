//! `ingest`: a maintainer's files become the knowledge, and what they should look at is said.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use jiff::Zoned;

use super::open::{Deskhand, Wanted, faults};
use crate::{
    config::{self, Settings},
    error::{Error, Result, plural},
    knowledge::read::{self, Read},
    turn::phrases,
    words::{Document, Kind},
};

/// Something was refused, the rest was done.
const PARTLY: u8 = 4;
/// Documents named in one line.
const NAMED: usize = 10;
/// How many letters off an id may be to be meant as a card's.
const SLIP: usize = 2;

pub(super) async fn run(data: &Path, settings: Settings, paths: &[PathBuf], dry_run: bool) -> Result<ExitCode> {
    let started = Instant::now();
    let read = read::read_paths(paths, Zoned::now().date())?;
    for note in &read.notes {
        aside!("note: {note}");
    }
    for note in card_notes(&read.documents) {
        aside!("note: {note}");
    }
    for fault in faults(&read) {
        aside!("refused: {fault}");
    }
    let code = if read.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(PARTLY) };
    if read.documents.is_empty() {
        return Err(Error::invalid(
            "the knowledge",
            "no document in these files",
            "at least one; the old knowledge stays",
        ));
    }
    let count = plural(read.documents.len(), "document");
    if dry_run {
        let refused = plural(read.faults.len(), "place");
        say!("{count} could be read, {refused} refused; nothing was changed");
        return Ok(code);
    }
    let deskhand = Deskhand::open(
        data,
        settings,
        Wanted { generator: false, sample: false, progress: true, shared_vectors: false },
    )
    .await?;
    let published = deskhand.publish(read.documents.clone()).await?;
    for line in removed(&published.removed, &read) {
        aside!("{line}");
    }
    say!(
        "{count} in service: {} new or changed, {} removed, {} embedded, in {:.1} s",
        published.changed,
        published.removed.len(),
        plural(published.embedded, "text"),
        started.elapsed().as_secs_f64()
    );
    deskhand.close().await?;
    Ok(code)
}

/// Cards that are never shown: a situation finds its card by the card's id.
fn card_notes(documents: &[Document]) -> Vec<String> {
    documents.iter().filter_map(card_note).collect()
}

fn card_note(document: &Document) -> Option<String> {
    let name = document.id.strip_prefix("card-");
    let (near, off) = config::nearest(name.unwrap_or(&document.id), phrases::situations())?;
    let place = document.source.as_deref().unwrap_or_default();
    match (document.kind == Kind::Card, name) {
        (true, Some(_)) if off == 0 => None,
        (false, Some(_)) if off == 0 => Some(format!(
            "{place}: `{}` is shown as a card and found as an answer too: a card has `kind: card`",
            document.id
        )),
        // `card-limit` is a document about cards.
        (false, Some(_)) if off > SLIP => None,
        (false, None) => None,
        _ => Some(format!(
            "{place}: `{}` is the card of no situation, and is never shown as one; did you mean `card-{near}`?",
            document.id
        )),
    }
}

/// Which documents went out of service: first those whose file was refused, for nobody meant to remove them.
fn removed(removed: &[Document], read: &Read) -> Vec<String> {
    let (broken, gone): (Vec<&Document>, Vec<&Document>) = removed.iter().partition(|document| {
        let source = document.source.as_deref().unwrap_or_default();
        let file = source.rsplit_once(':').map_or(source, |(file, _)| file);
        !file.is_empty() && read.faults.iter().any(|fault| fault.file.ends_with(file))
    });
    let line = |what: &str, documents: &[&Document]| {
        let named = documents.iter().take(NAMED).map(|document| format!("{} ({})", document.id, document.lang));
        let more = documents.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = named.collect::<Vec<_>>().join(", ");
        (!documents.is_empty()).then(|| format!("{what}: {named}{more}"))
    };
    [line("removed, because the file was refused", &broken), line("removed", &gone)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 22);

    fn document(id: &str, kind: &str) -> Document {
        let text = format!("---\nid: {id}\nlang: en\nkind: {kind}\ntitle: T\n---\nText.\n");
        read::read_files(&[("a.md", &text)], TODAY).documents.remove(0)
    }

    #[test]
    fn a_card_of_no_situation_is_named_with_the_nearest_one() {
        for (id, kind, expected) in [
            ("card-thefft", "card", Some("did you mean `card-theft`?")),
            ("card-thefft", "faq", Some("did you mean `card-theft`?")),
            ("theft", "card", Some("did you mean `card-theft`?")),
            ("card-theft", "faq", Some("a card has `kind: card`")),
            ("card-theft", "card", None),
            ("card-limit", "faq", None),
            ("theft", "faq", None),
        ] {
            let note = card_note(&document(id, kind));
            match expected {
                Some(expected) => {
                    assert!(note.as_ref().is_some_and(|note| note.contains(expected)), "{id} {kind}: {note:?}");
                    assert!(note.unwrap().starts_with("a.md:1: "));
                }
                None => assert_eq!(note, None, "{id} {kind}"),
            }
        }
    }

    #[test]
    fn documents_whose_file_was_refused_are_named_apart_and_ten_at_most() {
        let mut all: Vec<Document> = (0..12).map(|at| document(&format!("d{at:02}"), "faq")).collect();
        all.push(Document { source: Some("in/broken.md:1".to_owned()), ..document("fees", "faq") });
        let fault = read::FileFault { file: "docs/in/broken.md".into(), line: Some(1), reason: "no YAML".to_owned() };
        let lines = removed(&all, &Read { faults: vec![fault], ..Read::default() });
        assert_eq!(lines[0], "removed, because the file was refused: fees (en)");
        assert!(
            lines[1].starts_with("removed: d00 (en), d01 (en)") && lines[1].ends_with("d09 (en) and 2 more"),
            "{lines:?}"
        );
        assert!(removed(&[], &Read::default()).is_empty());
    }
}
