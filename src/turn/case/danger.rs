//! A case that is one of danger: from the start, or because the customer says so while it waits.

use super::{Case, Fact, form, given, story, why};
use crate::{
    turn::{
        alarm::Alarm,
        reply::{AskedFact, Code},
    },
    words::Lang,
};

/// From the gravest on: life, what is leaving now and cannot be fetched back, what may be stopped, what is not lost yet.
const GRAVITY: [&str; 10] = [
    "self_harm",
    "leaked_key",
    "theft",
    "malicious_approval",
    "takeover",
    "scam",
    "lost_phone",
    "wrong_transfer",
    "dispute",
    "verify_official",
];

fn gravity(situation: &str) -> usize {
    GRAVITY.iter().position(|known| *known == situation).unwrap_or(GRAVITY.len())
}

impl Case {
    /// Marks the case as one of danger (`Some`, for instance `theft`): top priority, and what is missing is what that
    /// situation needs. Renders the text again.
    pub fn situate(&mut self, danger: Option<&str>) {
        if let Some(danger) = danger {
            self.situation = Some(danger.to_owned());
            self.priority = 1;
            let quoted = [&self.ask].into_iter().chain(&self.facts).chain(&self.tried).map(|fact| fact.value.as_str());
            let told = quoted.collect::<Vec<_>>().join("\n");
            self.missing = story::missing_in_danger(danger, &told, &given(&self.facts));
        }
        self.render();
    }

    /// The words that told of the danger become what the case is headed by: the rest of the message may be about anything.
    pub fn head(&mut self, message: u32, text: &str, alarm: &Alarm) {
        self.ask = Fact { slot: "ask".to_owned(), value: alarm.span.of(text).to_owned(), message, span: alarm.span };
    }

    /// Takes in a danger of which the customer tells while a person has the case: a first or a graver one is what the case
    /// is about from now on, any makes it urgent. Whether the case is about it now.
    pub fn raise(&mut self, message: u32, text: &str, alarm: &Alarm) -> bool {
        let is_graver = |now: &str| gravity(alarm.situation) < gravity(now);
        let is_raised = self.situation.as_deref().is_none_or(is_graver);
        self.priority = 1;
        if is_raised {
            self.head(message, text, alarm);
            self.code = Code::Danger;
            let certain = [(format!("guard_{}", alarm.situation), alarm.probability)].into();
            self.why = why(self.written_in, Code::Danger, 0.0, &certain);
            self.situate(Some(alarm.situation));
        } else {
            self.render();
        }
        is_raised
    }

    /// Whether the customer has been shown what this card says. The card for a masked secret says what the one for a leaked
    /// key does; that one does not say that a secret was masked.
    pub fn has_shown(&self, card: &str) -> bool {
        let shown = |card: &str| self.told.iter().any(|told| told == card);
        shown(card) || (card == "leaked_key" && shown("secret_masked"))
    }

    /// Notes what the bot told the customer by itself; whether that is new.
    pub fn tell(&mut self, what: &str) -> bool {
        let is_new = !self.told.iter().any(|told| told == what);
        if is_new {
            self.told.push(what.to_owned());
        }
        is_new
    }

    /// Takes away the reply that was suggested, unless its document belongs to the case's situation: the nearest text to a
    /// theft may be about fees.
    pub fn keep_suggestion(&mut self, belongs: impl Fn(&str) -> bool) {
        self.suggested = self.suggested.take().filter(|suggested| belongs(&suggested.document));
    }

    /// What is missing, as the fields of a form in `lang`.
    pub fn asks(&self, lang: Lang) -> Vec<AskedFact> {
        let field = |slot: &String| {
            form::label(slot, lang).map(|label| AskedFact { slot: slot.clone(), label: label.to_owned() })
        };
        self.missing.iter().filter_map(field).collect()
    }
}
