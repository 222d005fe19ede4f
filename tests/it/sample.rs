//! What several flows talk about: a few documents, a judge that is sure where words stand in them, and a bot on scripted
//! models with the real store and the real embedded index.

use std::{collections::BTreeMap, sync::Arc};

use deskhand::{
    index::Index,
    knowledge::{publish::Press, vectors::Vectors},
    model::{Embed, Embedder, Generator},
    safety::{contact::ContactKey, mask, mask_document},
    store::{Store, StoreOptions},
    turn::{
        Bot, Policy,
        guard::{Class, Example, Guard},
        judge::{Calibration, FEATURES, Judge, Thresholds},
        shelf::Shelf,
    },
    words::{Audience, Document, Kind, Lang},
};

pub fn document(id: &str, audience: Audience, title: &str, body: &str) -> Document {
    Document {
        id: id.into(),
        revision: format!("{id}-2026-11-22"),
        lang: Lang::En,
        kind: if audience == Audience::Agent { Kind::Resolution } else { Kind::Faq },
        audience,
        title: mask(title),
        aliases: Vec::new(),
        body: mask_document(body),
        tags: Vec::new(),
        product: None,
        valid_from: None,
        valid_until: None,
        source: None,
    }
}

pub const WITHDRAWAL: &str = "How long does a withdrawal to my bank take?";
pub const REFUND: &str = "When does my refund arrive?";

pub fn documents() -> Vec<Document> {
    let customer = Audience::Customer;
    vec![
        document("withdrawal-time", customer, WITHDRAWAL, "A withdrawal takes **two** working days."),
        document(
            "card-limit",
            customer,
            "What is the monthly limit of the virtual card?",
            "The card's monthly limit is 3000 dollars.",
        ),
        document(
            "points-expiry",
            customer,
            "When do loyalty points expire?",
            "Points expire 18 months after they were earned.",
        ),
        document(
            "refund-time",
            customer,
            REFUND,
            "A refund arrives in 5 days. It has no fee. It goes back to the card.",
        ),
        document(
            "markup",
            customer,
            "Which markup is allowed?",
            "<script>alert(1)</script>\n\n[bad](javascript:alert(1))",
        ),
        document("internal-note", Audience::Agent, "Internal escalation telephone list", "Call the duty officer."),
    ]
}

/// Sure exactly where the question's words stand in the document.
pub fn judge() -> Judge {
    let weight = |name: &&str| if *name == "terms" { 12.0 } else { 0.0 };
    Judge {
        kind: "label-free".into(),
        about: "for tests".into(),
        features: FEATURES.map(str::to_owned).to_vec(),
        means: vec![0.0; FEATURES.len()],
        scales: vec![1.0; FEATURES.len()],
        weights: FEATURES.iter().map(weight).collect(),
        bias: -6.0,
        calibration: Calibration::Platt { slope: 1.0, offset: 0.0 },
        thresholds: Lang::ALL.map(|lang| (lang, Thresholds { answer: 0.8, offer: 0.1 })).into_iter().collect(),
        certificates: BTreeMap::new(),
        fingerprint: String::new(),
        knowledge: String::new(),
    }
}

/// What a bot is put together from.
pub struct Parts {
    /// Embeds the questions.
    pub embedder: Option<Box<dyn Embed>>,
    /// Embeds the documents; without one they are found by their terms only.
    pub documents_embedder: Option<Box<dyn Embed>>,
    pub generator: Option<Generator>,
    pub policy: Policy,
    pub judge: Judge,
    /// What the guard has learnt from; without any it knows its rules.
    pub guard: &'static [(&'static str, Class)],
    /// Seals contact data; without one none is kept.
    pub contact_key: Option<Arc<ContactKey>>,
    /// Whether it has any knowledge.
    pub shelf: bool,
}

/// A guard that knows these messages well: each was told it several times.
async fn taught(embedder: &Embedder, messages: &[(&str, Class)]) -> Guard {
    let examples = messages.iter().cycle().take(6 * messages.len());
    let examples = examples.map(|(text, class)| Example { text: (*text).to_owned(), class: *class }).collect();
    Guard::fit_on(embedder, examples, &|_, _| ()).await.unwrap()
}

/// A bot whose folder goes away with it.
pub struct Stand {
    pub bot: Bot,
    _folder: tempfile::TempDir,
}

impl Stand {
    pub async fn of(parts: Parts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { contact_key: parts.contact_key, ..StoreOptions::default() };
        let store = Store::open(&folder.path().join("deskhand.sqlite"), &options).await.unwrap();
        let start = |model: Box<dyn Embed>| Embedder::start(model, 64).unwrap();
        let embedder = parts.embedder.map(start);
        let guard = match &embedder {
            Some(embedder) if !parts.guard.is_empty() => taught(embedder, parts.guard).await,
            _ => Guard::rules_only(),
        };
        let bot = Bot::new(store.clone(), embedder, parts.generator, guard, parts.policy);
        let embedder = parts.documents_embedder.map(start);
        let (dims, fingerprint) = match &embedder {
            Some(embedder) => (embedder.abilities().dims, embedder.abilities().fingerprint.clone()),
            None => (384, "none".to_owned()),
        };
        let index = Index::open_embedded(&folder.path().join("index"), dims, &fingerprint).unwrap().index;
        if parts.shelf {
            let vectors = Vectors::at(folder.path().join("vectors"));
            let press = Press {
                store: &store,
                index: &index,
                embedder: embedder.as_ref(),
                vectors: &vectors,
                on_progress: &|_, _| {},
            };
            let published = press.replace_all(documents()).await.unwrap();
            let shelf =
                Shelf::new(published.generation, published.documents, index.clone(), published.statistics, parts.judge);
            bot.put_on_shelf(Some(Arc::new(shelf)));
        }
        Stand { bot, _folder: folder }
    }
}
