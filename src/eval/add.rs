//! How does a conversation become a test? One of its questions, with what was said before and how it turned out, becomes a
//! line of a suite. Pure but for [`append`].

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::suite::{Ending, Role, Said, language};
use crate::{
    error::{Error, Result},
    store::{self, Message},
    turn::{
        asked::Choice,
        conversation::read_choice,
        reply::{Outcome, Reply},
    },
    words::Lang,
};

/// The file of a suite that such questions go into.
pub const FILE: &str = "questions.added.jsonl";

/// What the maintainer knows better than the conversation tells.
#[derive(Debug, Clone, Default)]
pub struct Label {
    /// The customer's message, by its number in the conversation; the last question without it.
    pub message: Option<i64>,
    /// The documents that answer it.
    pub relevant: Vec<String>,
    /// No document answers it.
    pub unanswerable: bool,
    /// The endings that are right.
    pub expected: Vec<Ending>,
    /// Whether a build fails when it flips from right to wrong.
    pub must: bool,
}

/// A question as a line of a suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewQuestion {
    /// Unique: the conversation and the message.
    pub id: String,
    /// The customer's words, masked.
    pub question: String,
    /// The customer's language.
    pub lang: Lang,
    /// Always `conversation`.
    pub kind: &'static str,
    /// What was said before, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Said>,
    /// Documents that answer it.
    pub relevant: Vec<String>,
    /// Whether the knowledge answers it.
    pub answerable: bool,
    /// The endings that are right, where the suite's defaults do not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Ending>,
    /// Whether its flipping from right to wrong fails a build.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub must: bool,
    /// Where the label comes from, for people.
    pub note: String,
}

/// Makes a labelled question of a conversation's `messages`, which stand in order.
///
/// Without a label of the maintainer's: the document that the customer tapped after the question answers it, or else those
/// that the bot's answer cited, unless a person had to take over afterwards; else nothing does.
///
/// # Errors
/// Where the conversation holds no such question, or documents are named for a question that none answers.
pub fn question(messages: &[Message], label: &Label) -> Result<NewQuestion> {
    if label.unanswerable && !label.relevant.is_empty() {
        return Err(Error::invalid("the label", "--relevant and --unanswerable", "one of the two"));
    }
    let at = position(messages, label.message)?;
    let asked = &messages[at];
    let after = &messages[at + 1..];
    let reply = after.iter().find_map(reply_of);
    let (relevant, note) = match (label.unanswerable, label.relevant.is_empty()) {
        (true, _) => (Vec::new(), "labelled by hand".to_owned()),
        (_, false) => (label.relevant.clone(), "labelled by hand".to_owned()),
        _ => turned_out(after, reply.as_ref()),
    };
    Ok(NewQuestion {
        id: format!("c-{}-{}", asked.conversation.simple(), asked.seq),
        question: asked.text.as_str().to_owned(),
        lang: reply.map_or_else(|| language(asked.text.as_str()), |reply| reply.lang),
        kind: "conversation",
        history: messages[..at].iter().filter_map(said).collect(),
        answerable: !relevant.is_empty(),
        relevant,
        expected: label.expected.clone(),
        must: label.must,
        note,
    })
}

/// Where the question stands: the message named, or the last that the customer typed.
fn position(messages: &[Message], wanted: Option<i64>) -> Result<usize> {
    let is_question = |message: &Message| message.role == store::Role::Customer && read_choice(message).is_none();
    let found =
        messages.iter().rposition(|message| is_question(message) && wanted.is_none_or(|seq| message.seq == seq));
    found.ok_or_else(|| {
        let typed: Vec<String> =
            messages.iter().filter(|message| is_question(message)).map(|message| message.seq.to_string()).collect();
        let found = wanted.map_or_else(|| "no question".to_owned(), |seq| format!("message {seq}"));
        let expected = match typed.as_slice() {
            [] => "a conversation in which the customer typed something".to_owned(),
            typed => format!("the number of a message that the customer typed: {}", typed.join(", ")),
        };
        Error::invalid("the question", found, expected)
    })
}

/// The documents that answered, as the conversation went on, and how that is known.
fn turned_out(after: &[Message], reply: Option<&Reply>) -> (Vec<String>, String) {
    let next = after.iter().find(|message| message.role == store::Role::Customer);
    if let Some(Choice::Document(id)) = next.and_then(read_choice) {
        return (vec![id], "the customer tapped this document".to_owned());
    }
    if after.iter().filter_map(reply_of).any(|reply| reply.outcome == Outcome::Handoff) {
        return (Vec::new(), "a person took over".to_owned());
    }
    match reply {
        Some(reply) if reply.outcome == Outcome::Answer => {
            let mut cited: Vec<String> = reply.citations.iter().map(|citation| citation.document.clone()).collect();
            cited.dedup();
            (cited, "the bot answered so, and nobody objected".to_owned())
        }
        _ => (Vec::new(), "the bot did not answer".to_owned()),
    }
}

fn reply_of(message: &Message) -> Option<Reply> {
    let details = message.details.as_ref().filter(|_| message.role == store::Role::Bot)?;
    serde_json::from_value(details.clone()).ok()
}

fn said(message: &Message) -> Option<Said> {
    let role = match message.role {
        store::Role::Customer => Role::User,
        store::Role::Bot | store::Role::Agent => Role::Agent,
        store::Role::System => return None,
    };
    Some(Said { role, text: message.text.as_str().to_owned() })
}

/// Adds the question to the suite in `folder`: to its file [`FILE`], which `suite.toml` names from then on.
///
/// # Errors
/// Where the folder holds the question already, or cannot be written.
pub fn append(folder: &Path, question: &NewQuestion) -> Result<()> {
    let path = folder.join(FILE);
    let written = match std::fs::read_to_string(&path) {
        Ok(written) => written,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(Error::file("reading", &path)(cause)),
    };
    if written.contains(&format!("\"{}\"", question.id)) {
        let found = format!("`{}`, which is there already", question.id);
        return Err(Error::invalid("the question", found, format!("one that {} does not hold", path.display())));
    }
    let line = serde_json::to_string(question).map_err(Error::outside("writing the question"))?;
    let gap = if written.is_empty() || written.ends_with('\n') { "" } else { "\n" };
    add_to(&path, &format!("{gap}{line}\n"))?;
    let manifest = folder.join("suite.toml");
    match std::fs::read_to_string(&manifest) {
        Ok(toml) if !toml.contains(FILE) => add_to(&manifest, &format!("\n[[questions]]\nfile = \"{FILE}\"\n")),
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::file("reading", &manifest)(cause)),
    }
}

/// Makes a suite about the documents at `knowledge`, and returns its folder: without them it would be about nothing.
///
/// # Errors
/// Where there are no such documents, or the folder cannot be written.
pub fn new_suite(folder: &Path, knowledge: &Path) -> Result<PathBuf> {
    let knowledge = knowledge.canonicalize().map_err(Error::named("the documents", knowledge))?;
    std::fs::create_dir_all(folder).map_err(Error::named("making the suite", folder))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let table = toml::Table::from_iter([
        ("name".to_owned(), name.into()),
        ("knowledge".to_owned(), knowledge.to_string_lossy().into_owned().into()),
    ]);
    add_to(&folder.join("suite.toml"), &table.to_string())?;
    Ok(folder.to_owned())
}

fn add_to(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::file("opening", path))?;
    file.write_all(text.as_bytes()).map_err(Error::file("writing", path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{eval::suite::Suite, safety::mask};

    fn message(seq: i64, role: store::Role, text: &str, details: Option<serde_json::Value>) -> Message {
        let conversation = Uuid::from_u128(7);
        Message {
            id: Uuid::from_u128(seq as u128),
            conversation,
            seq,
            role,
            text: mask(text),
            details,
            key: None,
            created_ms: 0,
        }
    }

    fn customer(seq: i64, text: &str) -> Message {
        message(seq, store::Role::Customer, text, None)
    }

    fn bot(seq: i64, outcome: &str, documents: &[&str]) -> Message {
        let citations: Vec<_> = documents
            .iter()
            .map(|id| json!({"document": id, "revision": "r", "title": "t", "lang": "en", "quote": "q", "start": 0, "end": 1, "whole": true}))
            .collect();
        let reply = json!({
            "outcome": outcome, "mode": null, "text": "…", "lang": "en", "confidence": 0.5, "citations": citations, "offers": [],
            "case": null, "conversation": "c", "steps": [], "reason": {"code": "confident", "text": "", "features": {}}
        });
        message(seq, store::Role::Bot, "…", Some(reply))
    }

    #[test]
    fn the_label_follows_from_what_happened() {
        let tap = json!({"choice": {"document": "fees"}});
        for (after, relevant) in [
            (vec![bot(2, "answer", &["limits"])], vec!["limits"]),
            (
                vec![
                    bot(2, "offer", &[]),
                    message(3, store::Role::Customer, "Fees?", Some(tap)),
                    bot(4, "answer", &["fees"]),
                ],
                vec!["fees"],
            ),
            (
                vec![
                    bot(2, "answer", &["limits"]),
                    message(3, store::Role::Customer, "person", Some(json!({"choice": "person"}))),
                    bot(4, "handoff", &[]),
                ],
                vec![],
            ),
            (vec![bot(2, "handoff", &[])], vec![]),
            (vec![], vec![]),
        ] {
            let mut messages = vec![customer(1, "how much can i send")];
            messages.extend(after);
            let question = question(&messages, &Label::default()).unwrap();
            assert_eq!(question.relevant, relevant, "{question:?}");
            assert_eq!(
                (question.question.as_str(), question.answerable),
                ("how much can i send", !relevant.is_empty())
            );
        }
    }

    #[test]
    fn an_earlier_question_and_a_label_by_hand() {
        let messages =
            [customer(1, "hello"), bot(2, "offer", &[]), customer(3, "and for euro?"), bot(4, "handoff", &[])];
        let last = question(&messages, &Label { relevant: vec!["fees".to_owned()], ..Label::default() }).unwrap();
        assert_eq!((last.question.as_str(), last.history.len(), last.answerable), ("and for euro?", 2, true));
        let first = question(&messages, &Label { message: Some(1), ..Label::default() }).unwrap();
        assert!(first.history.is_empty());
        let error = question(&messages, &Label { message: Some(2), ..Label::default() }).unwrap_err().to_string();
        assert!(error.contains("1, 3"), "{error}");
    }

    #[test]
    fn the_suite_reads_what_was_added_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("suite.toml"), "name = \"own\"\n").unwrap();
        let added = question(&[customer(1, "how much?"), bot(2, "answer", &["fees"])], &Label::default()).unwrap();
        append(folder.path(), &added).unwrap();
        assert!(append(folder.path(), &added).is_err());
        let suite = Suite::from_folder(folder.path()).unwrap();
        assert_eq!(suite.questions.len(), 1);
        assert_eq!(suite.questions[0].relevant, ["fees"]);
    }

    #[test]
    fn a_new_suite_names_the_documents_that_it_is_about() {
        let folder = tempfile::tempdir().unwrap();
        let (suite, documents) = (folder.path().join("own"), folder.path().join("docs \"1\""));
        assert!(new_suite(&suite, &documents).is_err() && !suite.exists());
        std::fs::create_dir(&documents).unwrap();
        new_suite(&suite, &documents).unwrap();
        append(&suite, &question(&[customer(1, "how much?")], &Label::default()).unwrap()).unwrap();
        let read = Suite::from_folder(&suite).unwrap();
        assert_eq!((read.name.as_str(), read.questions.len()), ("own", 1));
        assert_eq!(read.knowledge, [documents.canonicalize().unwrap()]);
    }
}
