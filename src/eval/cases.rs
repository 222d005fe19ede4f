//! Does a handoff's written case hold what the customer said? Labelled conversations, against the cases written of them.
//! Pure: labels and records in, figures out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    intervals::{self, Interval},
    suite::{Role, Said},
};
use crate::words::Lang;

/// A fact: what sort, and the customer's words for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlotValue {
    /// What sort of fact, for instance `amount`.
    pub slot: String,
    /// The words, compared exactly after trimming.
    pub value: String,
}

/// A conversation that ends at a person, and what its case should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseLabel {
    /// Unique among the suite's cases.
    pub id: String,
    /// The language that the customer writes in.
    pub lang: Lang,
    /// What was said, oldest first; the last is the customer's.
    pub messages: Vec<Said>,
    /// Every fact that the customer gave and did not take back.
    pub facts: Vec<SlotValue>,
    /// What the customer tried already, in their words.
    #[serde(default)]
    pub tried: Vec<String>,
    /// Words that the case's ask has to hold.
    #[serde(default)]
    pub ask_contains: Option<String>,
}

impl CaseLabel {
    /// Reads a line of a cases file.
    ///
    /// # Errors
    /// With the reason, when the line does not fit or the customer has not the last word.
    pub fn parse(line: &str) -> Result<CaseLabel, String> {
        let label: CaseLabel = serde_json::from_str(line).map_err(|cause| cause.to_string())?;
        match label.messages.last() {
            Some(last) if last.role == Role::User => Ok(label),
            _ => Err("the last message must be the customer's: the case is written when it comes in".to_owned()),
        }
    }
}

/// A labelled conversation with what its case holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The case's id.
    pub id: String,
    /// The customer's language.
    pub lang: Lang,
    /// What it should hold.
    pub labelled: Vec<SlotValue>,
    /// What it holds.
    pub found: Vec<SlotValue>,
    /// Facts found whose words are in none of the customer's messages, as masked.
    pub invented: Vec<SlotValue>,
    /// What the customer tried, by the label.
    pub labelled_tried: Vec<String>,
    /// What the customer tried, by the case.
    pub tried: Vec<String>,
    /// The case's ask.
    pub ask: String,
    /// Words that it has to hold.
    pub ask_contains: Option<String>,
}

impl CaseRecord {
    /// Facts found that are labelled, each label used once.
    fn right(&self) -> Vec<&SlotValue> {
        let mut left: Vec<&SlotValue> = self.labelled.iter().collect();
        let mut takes =
            |fact: &SlotValue| left.iter().position(|label| same(label, fact)).map(|at| left.swap_remove(at));
        self.found.iter().filter(|fact| takes(fact).is_some()).collect()
    }

    /// Labelled facts that the case lacks.
    pub fn missed(&self) -> Vec<&SlotValue> {
        self.labelled.iter().filter(|label| !self.found.iter().any(|fact| same(label, fact))).collect()
    }

    /// Facts in the case that no label names.
    pub fn extra(&self) -> Vec<&SlotValue> {
        self.found.iter().filter(|fact| !self.labelled.iter().any(|label| same(label, fact))).collect()
    }

    /// Whether the ask holds the labelled words; `None` without a label.
    pub fn ask_hits(&self) -> Option<bool> {
        self.ask_contains.as_ref().map(|words| self.ask.contains(words.as_str()))
    }

    /// Labelled tries that stand in one of the case's.
    fn tried_hits(&self) -> usize {
        self.labelled_tried.iter().filter(|label| self.tried.iter().any(|tried| tried.contains(label.as_str()))).count()
    }

    /// Whether anything is missed, extra or invented.
    pub fn is_perfect(&self) -> bool {
        self.missed().is_empty()
            && self.extra().is_empty()
            && self.invented.is_empty()
            && self.ask_hits() != Some(false)
            && self.tried_hits() == self.labelled_tried.len()
    }
}

/// A share with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// `count / n`; null where `n` is 0.
    pub value: Option<f64>,
    /// How many.
    pub count: usize,
    /// Of how many.
    pub n: usize,
    /// Wilson's 95% interval.
    pub interval: Option<Interval>,
}

impl Rate {
    fn new(count: usize, n: usize) -> Rate {
        let value = (n > 0).then(|| count as f64 / n as f64);
        Rate { value, count, n, interval: intervals::wilson(count, n) }
    }
}

/// How well facts are found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SlotFigures {
    /// Facts found that are labelled / facts found.
    pub precision: Rate,
    /// Labelled facts found / labelled facts.
    pub recall: Rate,
    /// The harmonic mean of both; null where neither found nor labelled.
    pub f1: Option<f64>,
}

impl SlotFigures {
    fn new(right: usize, found: usize, labelled: usize) -> SlotFigures {
        let f1 = (found + labelled > 0).then(|| 2.0 * right as f64 / (found + labelled) as f64);
        SlotFigures { precision: Rate::new(right, found), recall: Rate::new(right, labelled), f1 }
    }
}

/// The figures of written cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseFigures {
    /// Cases written.
    pub cases: usize,
    /// All facts together.
    pub slots: SlotFigures,
    /// The same by slot.
    pub by_slot: BTreeMap<String, SlotFigures>,
    /// Facts whose words the customer never wrote: must be 0.
    pub invented: usize,
    /// Cases whose ask holds the labelled words / cases with such a label.
    pub ask_hits: Rate,
    /// Mean length of an ask, in characters: an ask that quotes everything hits every label.
    pub ask_mean_characters: Option<f64>,
    /// Labelled tries that stand in one of the case's / labelled tries.
    pub tried_recall: Rate,
    /// The case's tries that hold a labelled one / the case's tries.
    pub tried_precision: Rate,
}

/// The figures; `None` without a case.
pub fn figures(records: &[CaseRecord]) -> Option<CaseFigures> {
    if records.is_empty() {
        return None;
    }
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for record in records {
        for (at, facts) in
            [record.right(), record.found.iter().collect(), record.labelled.iter().collect()].into_iter().enumerate()
        {
            for fact in facts {
                counts.entry(fact.slot.clone()).or_default()[at] += 1;
            }
        }
    }
    let [right, found, labelled] =
        counts.values().fold([0; 3], |sum, of| [sum[0] + of[0], sum[1] + of[1], sum[2] + of[2]]);
    let asks: Vec<bool> = records.iter().filter_map(CaseRecord::ask_hits).collect();
    let sum = |count: fn(&CaseRecord) -> usize| records.iter().map(count).sum::<usize>();
    let characters = sum(|record| record.ask.chars().count());
    Some(CaseFigures {
        cases: records.len(),
        slots: SlotFigures::new(right, found, labelled),
        by_slot: counts.into_iter().map(|(slot, [a, b, c])| (slot, SlotFigures::new(a, b, c))).collect(),
        invented: sum(|record| record.invented.len()),
        ask_hits: Rate::new(asks.iter().filter(|hit| **hit).count(), asks.len()),
        ask_mean_characters: Some(characters as f64 / records.len() as f64),
        tried_recall: Rate::new(sum(CaseRecord::tried_hits), sum(|record| record.labelled_tried.len())),
        tried_precision: Rate::new(
            sum(|record| {
                let labelled =
                    |tried: &&String| record.labelled_tried.iter().any(|label| tried.contains(label.as_str()));
                record.tried.iter().filter(labelled).count()
            }),
            sum(|record| record.tried.len()),
        ),
    })
}

impl CaseFigures {
    /// The rates by name, in the order of reading; precision and recall of each slot last.
    pub fn rates(&self) -> Vec<(String, Rate)> {
        let mut rates = vec![
            ("slot_precision".to_owned(), self.slots.precision),
            ("slot_recall".to_owned(), self.slots.recall),
            ("ask_hits".to_owned(), self.ask_hits),
            ("tried_recall".to_owned(), self.tried_recall),
            ("tried_precision".to_owned(), self.tried_precision),
        ];
        for (slot, of) in &self.by_slot {
            rates.push((format!("{slot} precision"), of.precision));
            rates.push((format!("{slot} recall"), of.recall));
        }
        rates
    }
}

fn same(a: &SlotValue, b: &SlotValue) -> bool {
    a.slot == b.slot && a.value.trim() == b.value.trim()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn facts(of: &[(&str, &str)]) -> Vec<SlotValue> {
        of.iter().map(|(slot, value)| SlotValue { slot: (*slot).to_owned(), value: (*value).to_owned() }).collect()
    }

    pub(crate) fn record() -> CaseRecord {
        CaseRecord {
            id: "c1".to_owned(),
            lang: Lang::En,
            labelled: facts(&[("amount", "5 USD"), ("time", "today"), ("order", "A-1")]),
            found: facts(&[("amount", "5 USD "), ("time", "now"), ("amount", "5 USD")]),
            invented: Vec::new(),
            labelled_tried: vec!["restarted".to_owned(), "waited".to_owned()],
            tried: vec!["i restarted it".to_owned()],
            ask: "where is <b>it".to_owned(),
            ask_contains: Some("is it".to_owned()),
        }
    }

    #[test]
    fn a_label_counts_once_and_values_are_compared_exactly() {
        let figures = figures(&[record()]).unwrap();
        let counts = |rate: Rate| (rate.count, rate.n);
        assert_eq!(counts(figures.slots.precision), (1, 3));
        assert_eq!(counts(figures.slots.recall), (1, 3));
        assert_eq!(counts(figures.by_slot["amount"].precision), (1, 2));
        assert_eq!(figures.by_slot["order"].precision.value, None);
        assert_eq!((counts(figures.ask_hits), counts(figures.tried_recall)), ((0, 1), (1, 2)));
        assert_eq!(counts(figures.tried_precision), (1, 1));
        assert_eq!(super::figures(&[]), None);
    }

    #[test]
    fn the_customer_has_the_last_word() {
        let line =
            r#"{"id":"1","lang":"en","facts":[],"messages":[{"role":"user","text":"a"},{"role":"agent","text":"b"}]}"#;
        assert!(CaseLabel::parse(line).unwrap_err().contains("last message"));
        assert!(CaseLabel::parse(&line.replace(r#",{"role":"agent","text":"b"}"#, "")).is_ok());
    }
}
