//! What one question did: plain data, from which every figure is made and which a finished run can be read back from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    blame::Blame,
    suite::{Distance, Ending, Question, Said},
};
use crate::words::Lang;

/// Documents of a ranking that are kept: enough for the figures and for blame.
pub const KEPT_RANKS: usize = 20;

/// Ranks that a baseline keeps: mrr_at_10 looks no further.
const BASELINE_RANKS: usize = 10;
/// Characters of a sent text that a baseline keeps.
const BASELINE_CHARACTERS: usize = 80;

/// A question with its label, and what the turn made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The question and what would be right.
    #[serde(flatten)]
    pub label: Label,
    /// What the turn did.
    #[serde(flatten)]
    pub did: Did,
    /// What the checks found in a sent answer; null without one.
    pub checked: Option<Checked>,
    /// Where a miss comes from; null where there is no miss.
    pub blame: Option<Blame>,
}

/// The question and what would be right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The question's id.
    pub id: String,
    /// The customer's words, masked.
    pub question: String,
    /// What was said before, masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Said>,
    /// The customer's language.
    pub lang: Lang,
    /// `plain`, `near_miss`, …
    pub kind: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// The part of the suite.
    pub split: Option<String>,
    /// Which turn of its conversation, counted from 1.
    pub turn: usize,
    /// Whether a flip from right to wrong fails a build.
    pub must: bool,
    /// Whether the knowledge answers it.
    pub answerable: bool,
    /// S: the documents that answer it.
    pub accepted: Vec<String>,
    /// The endings that are right, where the suite overrides the defaults.
    pub expected: Vec<Ending>,
    /// How far an unanswerable question is from the knowledge.
    pub distance: Option<Distance>,
    /// The document that it is about: the cluster of the statistics.
    pub group: String,
}

/// What the turn did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Did {
    /// How it ended.
    pub outcome: Ending,
    /// `verbatim`, `composed`, `card` or null.
    pub mode: Option<String>,
    /// Why, the contract's word.
    pub code: String,
    /// Why, in a sentence.
    pub why: String,
    /// What was sent.
    pub text: String,
    /// Calibrated P(the first document of the ranking is right).
    pub confidence: f64,
    /// D: the ranked documents, best first, at most [`KEPT_RANKS`].
    pub ranking: Vec<String>,
    /// The documents cited.
    pub cited: Vec<String>,
    /// The documents offered.
    pub offered: Vec<String>,
    /// What the judge and the guard decided by, by name.
    pub features: BTreeMap<String, f64>,
    /// The judge's features in its own order, for calibration.
    pub vector: Vec<f64>,
    /// Wall-clock milliseconds of the whole turn.
    pub ms: f64,
    /// Wall-clock milliseconds by step, in order.
    pub steps: Vec<(String, f64)>,
}

/// What the checks found in a sent answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Share of the answer's content terms found in its cited quotes; null without content terms.
    pub grounded: Option<f64>,
    /// What the answer states and its quotes do not, for instance `number 24 hours`.
    pub unsupported: Vec<String>,
    /// The same in a composed answer before its gate; null when nothing was composed.
    pub unsupported_before_gate: Option<Vec<String>>,
    /// Citations.
    pub citations: usize,
    /// Citations whose stored text is their quote.
    pub resolved: usize,
    /// Vital nuggets of the question.
    pub vital: usize,
    /// Vital nuggets that the answer holds.
    pub matched: usize,
}

impl Label {
    /// The label of a suite's question; `masked` are its words and its history without secrets.
    pub fn new(question: &Question, masked: String, history: Vec<Said>) -> Label {
        let mut accepted: Vec<String> = question.relevant.iter().chain(&question.also_acceptable).cloned().collect();
        accepted.dedup();
        Label {
            id: question.id.clone(),
            question: masked,
            history,
            lang: question.lang,
            kind: question.kind.clone(),
            topic: question.topic.clone(),
            split: question.split.clone(),
            turn: question.turn(),
            must: question.must,
            answerable: question.answerable,
            accepted,
            expected: question.expected.clone(),
            distance: question.distance(),
            group: question.group(),
        }
    }

    fn accepts(&self, document: &str) -> bool {
        self.accepted.iter().any(|id| id == document)
    }

    fn is_kind(&self, kinds: &[&str]) -> bool {
        self.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    }

    /// Kinds that a polite card ends well: no person is needed.
    pub fn needs_no_person(&self) -> bool {
        self.is_kind(&["off_topic", "injection", "prompt_injection", "small_talk"])
    }

    /// Kinds that the guard has to settle, whatever the documents say.
    pub fn is_for_the_guard(&self) -> bool {
        self.needs_no_person() || self.is_kind(&["account_access", "human_request", "seed_leak", "scam", "danger"])
    }

    /// The endings that are right: the suite's own, or the defaults.
    pub fn right_endings(&self) -> Vec<Ending> {
        match () {
            () if !self.expected.is_empty() => self.expected.clone(),
            () if self.answerable => vec![Ending::Answer],
            () if self.needs_no_person() => vec![Ending::Offer, Ending::Handoff],
            () => vec![Ending::Handoff],
        }
    }

    /// Whether a handoff is right, for `handoff_precision`.
    pub fn handoff_is_right(&self) -> bool {
        if self.expected.is_empty() { !self.answerable } else { self.expected.contains(&Ending::Handoff) }
    }

    /// Whether a handoff is needed, for `handoff_recall`: nothing else is right.
    pub fn handoff_is_needed(&self) -> bool {
        self.right_endings() == [Ending::Handoff]
    }
}

impl Did {
    /// Keeps what a baseline needs: enough for every figure of a comparison and for reading a flip.
    pub fn trim_for_baseline(&mut self) {
        self.vector.clear();
        self.features.clear();
        self.steps.clear();
        self.why.clear();
        self.ranking.truncate(BASELINE_RANKS);
        self.text = self.text.chars().take(BASELINE_CHARACTERS).collect();
    }
}

impl Record {
    /// y of the figures: answerable, and the document ranked first is right.
    pub fn first_is_right(&self) -> bool {
        self.label.answerable && self.did.ranking.first().is_some_and(|document| self.label.accepts(document))
    }

    /// The rank of the first right document, counted from 1.
    pub fn rank(&self) -> Option<usize> {
        self.did.ranking.iter().position(|document| self.label.accepts(document)).map(|at| at + 1)
    }

    /// Whether the guard settled it, before the judge had a say.
    pub fn is_guarded(&self) -> bool {
        ["asked", "account", "danger", "loop", "off_topic", "injection", "small_talk", "no_language"]
            .contains(&self.did.code.as_str())
    }

    /// Whether an answer was sent.
    pub fn answered(&self) -> bool {
        self.did.outcome == Ending::Answer
    }

    /// Whether a cited document is right.
    pub fn cites_right(&self) -> bool {
        self.did.cited.iter().any(|document| self.label.accepts(document))
    }

    /// Whether a wrong answer was sent: not answerable, no cited document right, or a person was needed.
    pub fn is_wrong(&self) -> bool {
        self.answered() && (!self.label.answerable || !self.cites_right() || self.label.handoff_is_needed())
    }

    /// Whether one of the documents offered is right.
    pub fn offer_hits(&self) -> bool {
        self.did.offered.iter().any(|document| self.label.accepts(document))
    }

    /// Whether the turn ended as it should.
    pub fn is_right(&self) -> bool {
        !self.is_wrong() && self.label.right_endings().contains(&self.did.outcome)
    }
}
