//! The knowledge that turns see: documents, the index made from them, and the judge that fits them; replaced at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::civil::Date;

use super::{judge::Judge, phrases, retrieve::Retrieved, spelling::Spelling};
use crate::{
    error::Result,
    index::{Index, statistics::Statistics},
    words::{Document, Kind, Lang},
};

/// One state of the knowledge.
#[derive(Debug)]
pub struct Shelf {
    /// Names the state, for the log and the certificate.
    pub generation: String,
    /// Decides whether what was found is good enough.
    pub judge: Judge,
    pub(super) index: Index,
    pub(super) statistics: Statistics,
    pub(super) spelling: Arc<Spelling>,
    documents: HashMap<String, BTreeMap<Lang, Arc<Document>>>,
}

impl Shelf {
    /// Puts documents, index and judge together. The index's points in service must be made from the documents; the shelf
    /// keeps them when the index goes on to others.
    pub fn new(
        generation: String,
        documents: Vec<Document>,
        index: Index,
        statistics: Statistics,
        judge: Judge,
    ) -> Self {
        let spelling =
            Arc::new(Spelling::of(documents.iter().map(|document| [document.title.as_str(), document.body.as_str()])));
        let mut by_id: HashMap<String, BTreeMap<Lang, Arc<Document>>> = HashMap::new();
        for document in documents {
            by_id.entry(document.id.clone()).or_default().insert(document.lang, Arc::new(document));
        }
        Shelf { generation, judge, index: index.pinned(), statistics, spelling, documents: by_id }
    }

    /// The same knowledge with another judge.
    pub fn with_judge(&self, judge: Judge) -> Self {
        Shelf {
            generation: self.generation.clone(),
            judge,
            index: self.index.clone(),
            statistics: self.statistics.clone(),
            spelling: self.spelling.clone(),
            documents: self.documents.clone(),
        }
    }

    /// The document in `lang` if it exists in it and holds on `day`, else in the other language; of a situation without a card of
    /// its own the card that is compiled in.
    pub fn document(&self, id: &str, lang: Lang, day: Date) -> Option<Arc<Document>> {
        let languages = self.documents.get(id);
        let mut own = [lang, lang.other()].into_iter().filter_map(|lang| languages?.get(&lang));
        let default = || phrases::card(id.strip_prefix("card-")?, lang).cloned().map(Arc::new);
        own.find(|document| document.holds_on(day)).cloned().or_else(default)
    }

    /// Whether the index behind it answers.
    ///
    /// # Errors
    /// What the index said.
    pub async fn healthy(&self) -> Result<()> {
        self.index.healthy().await
    }

    /// Every document.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.documents.values().flat_map(BTreeMap::values)
    }

    /// The situations that only a default card answers, as the ids that a card of the product's own would have; with the
    /// language where it is missing in one only.
    pub fn default_cards(&self) -> Vec<String> {
        let missing = |situation: &str| {
            let id = format!("card-{situation}");
            let has_own = |lang: &Lang| {
                let card = self.documents.get(&id).and_then(|languages| languages.get(lang));
                card.is_some_and(|card| !phrases::is_default(card))
            };
            match Lang::ALL.into_iter().filter(|lang| !has_own(lang)).collect::<Vec<_>>()[..] {
                [] => None,
                [lang] => Some(format!("{id} ({lang})")),
                _ => Some(id),
            }
        };
        phrases::situations().filter_map(missing).collect()
    }

    /// A notice in force that is about what was asked, when the answer itself is another document.
    pub fn notice_for(&self, retrieved: &Retrieved, lang: Lang, day: Date) -> Option<Arc<Document>> {
        let best = retrieved.candidates.first()?;
        retrieved
            .candidates
            .iter()
            .skip(1)
            .take(4)
            .find(|candidate| {
                candidate.document.kind == Kind::Notice
                    && candidate.document.lang == lang
                    && candidate.score >= 0.6 * best.score
            })
            .map(|candidate| candidate.document.clone())
            .filter(|notice| notice.holds_on(day) && best.document.kind != Kind::Notice)
    }
}
