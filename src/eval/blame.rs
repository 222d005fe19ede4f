//! Which step a miss comes from: the first one that, mended alone, could have prevented it.

use serde::{Deserialize, Serialize};

use super::{record::Record, suite::Ending};

/// A step of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Something broke and a person took over.
    Error,
    /// The guard stopped what could be answered, or let pass what it should settle.
    Guard,
    /// No right document among the first twenty.
    Retrieval,
    /// A right document was found, another stood first.
    Rank,
    /// The right document stood first and was not sent, or a wrong one was let through.
    Judge,
    /// The right document was used, and the text sent is not good.
    Answer,
}

impl Blame {
    /// Every step, in the turn's order.
    pub const ALL: [Blame; 6] =
        [Blame::Error, Blame::Guard, Blame::Retrieval, Blame::Rank, Blame::Judge, Blame::Answer];

    /// The lowercase word.
    pub fn as_str(self) -> &'static str {
        match self {
            Blame::Error => "error",
            Blame::Guard => "guard",
            Blame::Retrieval => "retrieval",
            Blame::Rank => "rank",
            Blame::Judge => "judge",
            Blame::Answer => "answer",
        }
    }
}

/// The step to blame; `None` where the turn ended as it should with a good text.
pub fn blame(record: &Record) -> Option<Blame> {
    if record.is_right() {
        let poor = record
            .checked
            .as_ref()
            .is_some_and(|checked| !checked.unsupported.is_empty() || checked.matched < checked.vital);
        return poor.then_some(Blame::Answer);
    }
    let code = record.did.code.as_str();
    if code == "error" {
        return Some(Blame::Error);
    }
    let wants_answer = record.label.right_endings().contains(&Ending::Answer);
    if !wants_answer || !record.label.answerable {
        return Some(if record.label.is_for_the_guard() { Blame::Guard } else { Blame::Judge });
    }
    if record.is_guarded() {
        return Some(Blame::Guard);
    }
    Some(match record.rank() {
        None => Blame::Retrieval,
        Some(2..) => Blame::Rank,
        // The right document was about to be sent, and its text was not.
        Some(_) if record.answered() || code == "unsupported" || code == "confident" => Blame::Answer,
        Some(_) => Blame::Judge,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{metrics::tests::record, record::Checked};

    #[test]
    fn each_miss_is_blamed_on_the_first_step_that_could_have_prevented_it() {
        use Ending::{Answer, Handoff, Offer};
        /// answerable, kind, ranking, outcome, code, blame
        type Case<'c> = (bool, &'c str, &'c [&'c str], Ending, &'c str, Option<Blame>);
        let cases: [Case<'_>; 11] = [
            (true, "", &["d"], Answer, "confident", None),
            (true, "", &["d"], Handoff, "account", Some(Blame::Guard)),
            (true, "", &["x", "y"], Handoff, "low_confidence", Some(Blame::Retrieval)),
            (true, "", &["x", "d"], Answer, "confident", Some(Blame::Rank)),
            (true, "", &["d", "x"], Offer, "low_confidence", Some(Blame::Judge)),
            (true, "", &["d", "x"], Handoff, "unsupported", Some(Blame::Answer)),
            (true, "", &["d"], Handoff, "error", Some(Blame::Error)),
            (false, "near_miss", &["x"], Answer, "confident", Some(Blame::Judge)),
            (false, "near_miss", &["x"], Handoff, "no_knowledge", None),
            (false, "human_request", &["x"], Offer, "low_confidence", Some(Blame::Guard)),
            (false, "off_topic", &["x"], Offer, "off_topic", None),
        ];
        for (answerable, kind, ranking, outcome, code, expected) in cases {
            let mut record = record("q", answerable, ranking, outcome, 0.5);
            record.label.kind = (!kind.is_empty()).then(|| kind.to_owned());
            record.did.code = code.to_owned();
            assert_eq!(blame(&record), expected, "{kind} {ranking:?} {outcome:?} {code}");
        }
    }

    #[test]
    fn a_right_document_with_a_vital_fact_missing_is_the_answers_fault() {
        let mut record = record("q", true, &["d"], Ending::Answer, 0.9);
        record.checked = Some(Checked { vital: 2, matched: 1, ..Checked::default() });
        assert_eq!(blame(&record), Some(Blame::Answer));
    }
}
