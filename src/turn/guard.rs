//! What needs no document: asks for a person, small talk, account matters, danger, orders in disguise.
//!
//! Rules settle what has a fixed wording; a softmax over the question's vector, signs and terms, fitted on the written
//! examples in `prompts/guard/examples.jsonl`, together with a vote of the nearest of them, settles the rest. Danger is
//! looked at first, then a person asked for, then everything else. The guard never changes the judge's confidence: that is computed for every question.

mod features;

mod neighbours;

mod signs;

pub mod wordings;

use std::{path::Path, sync::LazyLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::{
    features::{Features, Scales},
    neighbours::{Neighbours, Vote},
    wordings::{asks_for_a_person, chat},
};
use super::{
    judge::Verdict,
    logistic::{Softmax, SparseRow},
};
use crate::{
    error::{Error, Result},
    model::{Embedder, Side},
    safety::{Masked, injection},
};

/// What a message is, as far as the guard can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An ordinary question: retrieval and the judge decide.
    None,
    /// Asks for a person.
    Human,
    /// A greeting, thanks, a question about the bot.
    SmallTalk,
    /// Needs a look at the customer's own account.
    Account,
    /// Not a question for this support.
    OffTopic,
    /// Tries to give orders.
    Injection,
    /// A seed phrase or key was shown to or typed in somewhere.
    LeakedKey,
    /// A transaction that the customer did not make.
    Theft,
    /// Money sent to the wrong person, address or network.
    WrongTransfer,
    /// Somebody tries to talk the customer out of money.
    Scam,
    /// A bad contract was approved.
    MaliciousApproval,
    /// Somebody else is in the account.
    Takeover,
    /// Phone or card lost or stolen.
    LostPhone,
    /// Complaint, regulator, police, lawyer.
    Dispute,
    /// Despair, or a threat to oneself or others.
    SelfHarm,
    /// Is this really you?
    VerifyOfficial,
}

impl Class {
    /// Every class, `None` first; the order of the softmax's rows.
    pub const ALL: [Class; 16] = [
        Class::None,
        Class::Human,
        Class::SmallTalk,
        Class::Account,
        Class::OffTopic,
        Class::Injection,
        Class::LeakedKey,
        Class::Theft,
        Class::WrongTransfer,
        Class::Scam,
        Class::MaliciousApproval,
        Class::Takeover,
        Class::LostPhone,
        Class::Dispute,
        Class::SelfHarm,
        Class::VerifyOfficial,
    ];

    /// The situation's name, which is also its card's; `None` for classes without danger.
    pub fn situation(self) -> Option<&'static str> {
        match self {
            Class::LeakedKey => Some("leaked_key"),
            Class::Theft => Some("theft"),
            Class::WrongTransfer => Some("wrong_transfer"),
            Class::Scam => Some("scam"),
            Class::MaliciousApproval => Some("malicious_approval"),
            Class::Takeover => Some("takeover"),
            Class::LostPhone => Some("lost_phone"),
            Class::Dispute => Some("dispute"),
            Class::SelfHarm => Some("self_harm"),
            Class::VerifyOfficial => Some("verify_official"),
            Class::None | Class::Human | Class::SmallTalk | Class::Account | Class::OffTopic | Class::Injection => None,
        }
    }

    /// Whether money, an account or a life may be at stake: a class with a card and a person.
    pub fn is_danger(self) -> bool {
        self.situation().is_some()
    }

    /// The danger that a document is the card of.
    pub fn of_card(document: &str) -> Option<Class> {
        let situation = document.strip_prefix("card-")?;
        Class::ALL.into_iter().find(|class| class.situation() == Some(situation))
    }
}

/// A written example.
#[derive(Debug, Clone, Deserialize)]
pub struct Example {
    /// What a customer would type.
    pub text: String,
    /// What it is.
    pub class: Class,
}

/// How sure the fit has to be before its class counts. Shipped in `models/judge/guard.json`, with its figures.
#[derive(Debug, Clone, Deserialize)]
struct Thresholds {
    danger: f64,
    danger_sure: f64,
    danger_possible: f64,
    despair: f64,
    despair_possible: f64,
    human: f64,
    account: f64,
    small_talk: f64,
    off_topic: f64,
    off_topic_sure: f64,
    injection: f64,
    injection_sure: f64,
    fit: Fit,
}

/// How the examples are learnt from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fit {
    /// L2 penalty, in examples' worth of doubt.
    decay: f64,
    /// Passes over the examples.
    steps: usize,
    /// How much an ordinary example counts beside one of another class.
    weight_none: f64,
    /// What signs and terms count beside the vector.
    scales: Scales,
    /// How the nearest examples vote beside the softmax.
    neighbours: Vote,
}

static THRESHOLDS: LazyLock<Thresholds> =
    LazyLock::new(|| serde_json::from_str(SETTINGS).expect("models/judge/guard.json parses; this is a bug"));

const SETTINGS: &str = include_str!("../../models/judge/guard.json");

const EXAMPLES: &str = include_str!("../../prompts/guard/examples.jsonl");

/// Examples between two reports of how far the fit is.
const EXAMPLES_AT_A_TIME: usize = 256;

/// The fitted guard.
#[derive(Debug, Clone)]
pub struct Guard {
    fitted: Option<Fitted>,
}

/// What is kept between starts, so that the examples are embedded once. Whoever changes what it holds or means gives
/// [`KIND_OF_FIT`] another name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fitted {
    features: Features,
    softmax: Softmax,
    neighbours: Neighbours,
}

const KIND_OF_FIT: &str = "softmax on vector, signs and rare terms; vote of the neighbours";

/// What the fit makes of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// What the message is.
    pub finding: Finding,
    /// A danger that it may be, where it seems to be nothing else: not sure enough for a card instead of an answer or an offer, enough
    /// for a card to tap, or for one with the person who takes over anyway.
    pub suspicion: Option<Finding>,
    /// How sure it is of despair or a threat, in [0, 1].
    despair: f64,
}

impl Look {
    /// Nobody has looked.
    pub const NOTHING: Look =
        Look { finding: Finding { class: Class::None, probability: 0.0 }, suspicion: None, despair: 0.0 };

    /// What a rule settled.
    pub fn ruled(finding: Finding) -> Self {
        Look { finding, ..Look::NOTHING }
    }

    /// Whether there may be despair in a part of the message that the whole says little of.
    pub fn hints_at_despair(&self) -> bool {
        self.despair >= THRESHOLDS.despair_possible
    }

    /// Whether this is despair so plain that it comes before any other danger.
    pub fn is_despair(&self) -> bool {
        self.despair >= THRESHOLDS.despair
    }
}

/// What the guard found, with the number behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What the message is.
    pub class: Class,
    /// How sure, in [0, 1]; 1 where a rule settled it.
    pub probability: f64,
}

impl Finding {
    /// Whether a rule settled it: nothing outweighs that.
    pub fn is_ruled(&self) -> bool {
        self.probability >= 1.0
    }

    /// Whether a message off topic is told so. The better the judge thinks of what was found, the surer that has to be.
    pub fn is_off_topic_to(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Answer => false,
            Verdict::Offer => self.probability >= THRESHOLDS.off_topic_sure,
            Verdict::HandOff(_) => true,
        }
    }

    /// Whether an order in disguise gets its card. What only looks like one is answered where the judge is sure of a document: an answer
    /// is a quote, and follows no order.
    pub fn is_injection_to(&self, verdict: Verdict) -> bool {
        verdict != Verdict::Answer || self.probability >= THRESHOLDS.injection_sure
    }

    /// Whether the danger is so plain that its card is sent even where a document would answer.
    pub fn outweighs_an_answer(&self) -> bool {
        self.class.is_danger() && self.probability >= THRESHOLDS.danger_sure
    }
}

impl Guard {
    /// Rules alone: what is left when no embedder runs.
    pub fn rules_only() -> Self {
        Guard { fitted: None }
    }

    /// Fits the guard on the written examples, or reads the fit kept in `folder` for the same examples and weights. A fit takes a
    /// minute or two: `told` hears how many examples of how many are read.
    ///
    /// # Errors
    /// Where the embedder fails. A fit that can't be kept is made anew at the next start.
    pub async fn fit(
        embedder: &Embedder,
        folder: Option<&Path>,
        told: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Self> {
        let path = folder.map(|folder| folder.join(kept_name(&embedder.abilities().fingerprint)));
        let kept = path.as_ref().and_then(|path| std::fs::read(path).ok());
        if let Some(fitted) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Guard { fitted: Some(fitted) });
        }
        let guard = Guard::fit_on(embedder, examples(EXAMPLES)?, told).await?;
        if let (Some(path), Some(fitted)) = (path, &guard.fitted)
            && let Err(error) = keep(fitted, &path)
        {
            tracing::warn!(%error, "the guard's fit could not be kept; it is made anew at the next start");
        }
        Ok(guard)
    }

    /// Fits the guard on these examples and keeps nothing: with a few of them, for tests of what follows from a finding.
    ///
    /// # Errors
    /// Where the embedder fails.
    pub async fn fit_on(
        embedder: &Embedder,
        examples: Vec<Example>,
        told: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Self> {
        let mut vectors = Vec::with_capacity(examples.len());
        for some in examples.chunks(EXAMPLES_AT_A_TIME) {
            let texts = some.iter().map(|example| example.text.clone()).collect();
            vectors.extend(embedder.embed(Side::Query, texts).await?);
            told(vectors.len(), examples.len());
        }
        let fitted = tokio::task::spawn_blocking(move || Fitted::on(&examples, &vectors, &THRESHOLDS.fit))
            .await
            .map_err(|_| Error::Stopped("fitting the guard"))?;
        Ok(Guard { fitted: Some(fitted) })
    }

    /// What a rule settles at once, before anything is embedded.
    pub fn rules(text: &Masked) -> Option<Finding> {
        let sure = |class| Some(Finding { class, probability: 1.0 });
        if Self::has_secret(text) {
            return sure(Class::LeakedKey);
        }
        let plain = text.as_str();
        if asks_for_a_person(plain) {
            return sure(Class::Human);
        }
        if chat(plain).is_some() {
            return sure(Class::SmallTalk);
        }
        if injection::looks_like_orders(plain) || injection::hides_text(plain) {
            return sure(Class::Injection);
        }
        None
    }

    /// Whether a seed phrase or a key was masked in it.
    pub fn has_secret(text: &Masked) -> bool {
        text.redactions().iter().any(|(kind, _)| matches!(*kind, "seed phrase" | "private key"))
    }

    /// What the fit says of a question, given its vector, `[d]`, unit length, and its words.
    pub fn look(&self, vector: &[f32], text: &str) -> Look {
        let Some(fitted) = &self.fitted else {
            return Look::NOTHING;
        };
        decide(&fitted.probabilities(vector, text))
    }

    /// The same without what is only suspected.
    pub fn classify(&self, vector: &[f32], text: &str) -> Finding {
        self.look(vector, text).finding
    }

    /// How sure the fit is of any danger, in [0, 1]: what [`Guard::classify`] holds against its threshold. For measuring.
    pub fn danger(&self, vector: &[f32], text: &str) -> f64 {
        self.fitted.as_ref().map_or(0.0, |fitted| danger(&fitted.probabilities(vector, text)))
    }
}

impl Fitted {
    fn on(examples: &[Example], vectors: &[Vec<f32>], fit: &Fit) -> Self {
        let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
        let features = Features::learn(vectors, &texts, fit.scales);
        let centred: Vec<Vec<f32>> = vectors.iter().map(|vector| features.centred(vector)).collect();
        let rows: Vec<SparseRow> = (examples.iter().zip(&centred))
            .map(|(example, centred)| SparseRow {
                features: features.of(centred, &example.text),
                class: example.class as usize,
                weight: if example.class == Class::None { fit.weight_none } else { 1.0 },
            })
            .collect();
        let softmax = Softmax::fit_sparse(&rows, features.count(), Class::ALL.len(), fit.decay, fit.steps);
        let classes = examples.iter().map(|example| example.class as u8).collect();
        Fitted { features, softmax, neighbours: Neighbours::of(&centred, classes, fit.neighbours) }
    }

    /// Each class's probability, in the order of [`Class::ALL`].
    fn probabilities(&self, vector: &[f32], text: &str) -> Vec<f64> {
        let centred = self.features.centred(vector);
        let mut probabilities = self.softmax.probabilities_sparse(&self.features.of(&centred, text));
        let share = self.neighbours.share();
        let votes = self.neighbours.votes(&centred, probabilities.len());
        for (probability, vote) in probabilities.iter_mut().zip(votes) {
            *probability += share * (vote - *probability);
        }
        probabilities
    }
}

/// Writes a fit beside its place and moves it there: another process never reads half of one.
fn keep(fitted: &Fitted, path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&part, serde_json::to_vec(fitted)?)?;
    std::fs::rename(&part, path)
}

/// The file of a fit: named after all that it follows from.
fn kept_name(fingerprint: &str) -> String {
    let mut hash = Sha256::new();
    let settings = serde_json::to_string(&THRESHOLDS.fit).unwrap_or_default();
    for part in [KIND_OF_FIT, EXAMPLES, signs::FILE, &settings, fingerprint] {
        hash.update(part);
    }
    format!("guard-{}.json", hex::encode(&hash.finalize()[..6]))
}

/// What counts, given each class's probability in the order of [`Class::ALL`].
fn decide(probabilities: &[f64]) -> Look {
    let of = |class: Class| probabilities[class as usize];
    let despair = of(Class::SelfHarm);
    let settled = |class| Look { finding: Finding { class, probability: of(class) }, suspicion: None, despair };
    let danger = danger(probabilities);
    let dangers = Class::ALL.into_iter().filter(|class| class.is_danger());
    let likeliest = dangers.max_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap_or(Class::None);
    let finding = Finding { class: likeliest, probability: danger };
    if danger >= THRESHOLDS.danger {
        return Look { finding, suspicion: None, despair };
    }
    for (class, least) in [
        (Class::Human, THRESHOLDS.human),
        (Class::Injection, THRESHOLDS.injection),
        (Class::Account, THRESHOLDS.account),
        (Class::SmallTalk, THRESHOLDS.small_talk),
        (Class::OffTopic, THRESHOLDS.off_topic),
    ] {
        if of(class) >= least {
            return settled(class);
        }
    }
    Look { suspicion: (danger >= THRESHOLDS.danger_possible).then_some(finding), ..settled(Class::None) }
}

/// All dangers together, given each class's probability in the order of [`Class::ALL`].
fn danger(probabilities: &[f64]) -> f64 {
    let dangers = Class::ALL.into_iter().filter(|class| class.is_danger());
    dangers.map(|class| probabilities[class as usize]).sum()
}

/// Reads examples, one JSON object per line.
pub fn examples(lines: &str) -> Result<Vec<Example>> {
    lines
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| {
                Error::invalid(format!("line {} of the guard's examples", at + 1), error.to_string(), "text and class")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_examples_and_a_place() {
        let examples = examples(EXAMPLES).unwrap();
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            assert!(examples.iter().filter(|example| example.class == class).count() >= 14, "{class:?}");
        }
    }

    #[test]
    fn despair_is_its_own_probability_and_not_that_of_any_danger() {
        let mut probabilities = [0.0; 16];
        probabilities[Class::SelfHarm as usize] = THRESHOLDS.despair * 0.8;
        probabilities[Class::Theft as usize] = 1.0 - THRESHOLDS.despair * 0.8;
        assert!(!decide(&probabilities).is_despair());
        probabilities[Class::SelfHarm as usize] = THRESHOLDS.despair;
        assert!(decide(&probabilities).is_despair());
    }

    #[test]
    fn danger_counts_together() {
        let mut probabilities = [0.0; 16];
        probabilities[Class::Theft as usize] = THRESHOLDS.danger * 0.6;
        probabilities[Class::Scam as usize] = THRESHOLDS.danger * 0.5;
        assert_eq!(decide(&probabilities).finding.class, Class::Theft);
    }

    #[test]
    fn what_may_be_a_danger_and_is_nothing_else_is_suspected() {
        let mut probabilities = [0.0; 16];
        probabilities[Class::Theft as usize] = (THRESHOLDS.danger + THRESHOLDS.danger_possible) / 2.0;
        let look = decide(&probabilities);
        assert_eq!(look.finding.class, Class::None);
        assert_eq!(look.suspicion.map(|suspicion| suspicion.class), Some(Class::Theft));
        probabilities[Class::Human as usize] = THRESHOLDS.human;
        let look = decide(&probabilities);
        assert_eq!((look.finding.class, look.suspicion), (Class::Human, None));
    }
}
