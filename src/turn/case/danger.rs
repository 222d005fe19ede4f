//! A case that is one of danger: from the start, or because the customer says so while it waits.

use super::{Case, Fact, form, given, story, why};
use crate::{
    turn::{
        alarm::Alarm,
        reply::{AskedFact, Code},
    },
    words::{Lang, Span},
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
        // A case of an earlier version does not say; its situation came with a card.
        (self.told.is_empty() && self.situation.as_deref() == Some(card))
            || shown(card)
            || (card == "leaked_key" && shown("secret_masked"))
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

    /// Puts what was read from several messages as one question back where it stands. `parts` are those messages: each one's
    /// place and length in characters; a line break was between them.
    pub fn place(&mut self, parts: &[(u32, usize)]) {
        let Some((last, _)) = parts.last().filter(|_| parts.len() > 1) else { return };
        for fact in [&mut self.ask].into_iter().chain(&mut self.facts).chain(&mut self.tried) {
            if fact.message != *last {
                continue;
            }
            let mut start = 0;
            for (message, length) in parts {
                if start <= fact.span.start && fact.span.end <= start + length {
                    fact.message = *message;
                    fact.span = Span { start: fact.span.start - start, end: fact.span.end - start };
                    break;
                }
                start += length + 1;
            }
        }
        self.render();
    }

    /// What is missing, as the fields of a form in `lang`.
    pub fn asks(&self, lang: Lang) -> Vec<AskedFact> {
        let field = |slot: &String| {
            form::label(slot, lang).map(|label| AskedFact { slot: slot.clone(), label: label.to_owned() })
        };
        self.missing.iter().filter_map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        safety::mask,
        turn::{
            case::{CaseInput, Suggested, write},
            guard::Class,
        },
    };

    fn case(text: &str) -> Case {
        write(CaseInput {
            lang: Lang::En,
            customer_lang: Lang::Zh,
            message: 4,
            text: &mask(text),
            history: &[],
            code: Code::Asked,
            confidence: 0.4,
            features: &BTreeMap::new(),
            offered: Vec::new(),
            nearest: Vec::new(),
            suggested: Some(Suggested { document: "fees".into(), revision: "1".into(), text: "Fees are low.".into() }),
        })
    }

    fn alarm(situation: &'static str, text: &str, words: &str) -> Alarm {
        let start = text[..text.find(words).unwrap()].chars().count();
        let span = Span { start, end: start + words.chars().count() };
        Alarm { situation, card: situation, probability: 0.9, span }
    }

    #[test]
    fn every_situation_has_its_gravity_and_life_comes_first() {
        for situation in Class::ALL.into_iter().filter_map(Class::situation) {
            assert!(gravity(situation) < GRAVITY.len(), "{situation}");
        }
        assert_eq!(gravity("self_harm"), 0);
    }

    #[test]
    fn a_waiting_case_is_raised_and_never_lowered() {
        let mut case = case("转人工");
        let text = "钱全没了，我不想活了";
        assert!(case.raise(6, text, &alarm("theft", text, "钱全没了")));
        assert_eq!((case.situation.as_deref(), case.priority, case.code), (Some("theft"), 1, Code::Danger));
        assert_eq!(case.why, "Money or safety is in danger: recognised with 0.90.");
        assert!(case.text.starts_with("\"钱全没了\" (message 6)\nDANGER: theft"), "{}", case.text);
        assert!(case.raise(6, text, &alarm("self_harm", text, "我不想活了")));
        assert_eq!((case.ask.value.as_str(), case.ask.span), ("我不想活了", Span { start: 5, end: 10 }));
        let lesser = "手机也丢了";
        assert!(!case.raise(8, lesser, &alarm("lost_phone", lesser, lesser)));
        assert_eq!((case.situation.as_deref(), case.ask.message, case.priority), (Some("self_harm"), 6, 1));
    }

    #[test]
    fn a_card_is_shown_once_and_a_secret_is_always_told() {
        let mut case = case("转人工");
        assert!(!case.has_shown("leaked_key"));
        assert!(case.tell("leaked_key") && !case.tell("leaked_key"));
        assert!(case.has_shown("leaked_key") && !case.has_shown("secret_masked") && !case.has_shown("theft"));
        case.told = vec!["secret_masked".to_owned()];
        assert!(case.has_shown("leaked_key"));
        (case.told, case.situation) = (Vec::new(), Some("theft".to_owned()));
        assert!(case.has_shown("theft"), "a case of an earlier version");
    }

    #[test]
    fn in_a_danger_only_what_belongs_to_it_is_suggested() {
        let mut case = case("手续费多少");
        case.keep_suggestion(|document| document == "fees");
        assert!(case.suggested.is_some());
        case.keep_suggestion(|document| document == "card-theft");
        assert!(case.suggested.is_none());
    }

    #[test]
    fn what_was_several_messages_is_quoted_from_the_one_it_stands_in() {
        let (first, second) = ("提现 500 USDT 没到", "我已经重启了\n走的 TRC20");
        let mut case = case(&format!("{first}\n{second}"));
        case.place(&[(3, first.chars().count()), (4, second.chars().count())]);
        let of = |message: u32| if message == 3 { first } else { second };
        let quoted: Vec<(&str, u32)> = case.facts.iter().map(|fact| (fact.value.as_str(), fact.message)).collect();
        assert_eq!(quoted, [("500 USDT", 3), ("TRC20", 4)]);
        for fact in case.facts.iter().chain(&case.tried).chain([&case.ask]) {
            assert_eq!(fact.span.of(of(fact.message)), fact.value);
        }
        assert!(case.text.contains("amount: 500 USDT (message 3)"), "{}", case.text);
    }
}
