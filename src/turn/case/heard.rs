//! What the customer adds while a person has the case is read into it as it comes, so that an agent need not look for it.

use super::{Case, ask_of, corrections, fact, facts, given, masks_in, says_the_same, story};

/// From the calmest to the angriest.
const MOODS: [&str; 3] = ["calm", "worried", "angry"];

/// Facts, and steps tried: more help no agent, and the case is written anew with every message.
const MOST: usize = 50;

impl Case {
    /// Reads a message of the customer's, by its place in the conversation: facts and corrections, what was tried, what is
    /// no longer missing, masks, whether they say that it is solved; mood and priority only rise. Renders the text again.
    pub fn hear(&mut self, message: u32, text: &str) {
        let messages = [(message, text)];
        for (slot, span) in facts::find(text) {
            let found = fact(slot, message, text, span);
            let same = |known: &super::Fact| {
                known.slot == found.slot && known.value.to_lowercase() == found.value.to_lowercase()
            };
            if self.facts.len() < MOST && !self.facts.iter().any(same) {
                self.facts.push(found);
            }
        }
        self.facts = corrections::standing(&messages, std::mem::take(&mut self.facts));
        for tried in story::tried(text).into_iter().map(|span| fact("tried", message, text, span)) {
            if self.tried.len() < MOST && self.tried.iter().all(|known| !says_the_same(known, &tried)) {
                self.tried.push(tried);
            }
        }
        self.miss_less(&messages);
        let mood = story::mood(&messages);
        if rank(mood) > rank(&self.mood) {
            self.mood = mood.to_owned();
        }
        self.priority = self.priority.min(story::priority(self.code, &self.mood, &messages));
        self.count_masks(masks_in(&messages));
        if let Some(span) = story::solved(text) {
            self.solved = Some(fact("solved", message, text, span));
        } else if story::unsolved(text) {
            self.solved = None;
        }
        if self.watched_to == 0 {
            // A case of an earlier version: what it holds was looked at when it was written, or never will be.
            self.watched_to = if self.read_to > 0 { self.read_to } else { message.saturating_sub(1) };
        }
        self.read_to = self.read_to.max(message);
        self.render();
    }

    fn miss_less(&mut self, messages: &[story::Message<'_>; 1]) {
        let given = given(&self.facts);
        let [(message, text)] = messages;
        if self.missing == ["problem"] {
            // They asked for a person first, and say only now what it is about.
            let missing = story::missing(messages, &given);
            // "Quick, please" is no greeting and says nothing either: the next message may.
            if missing != ["problem"] && story::leaves_matter(text) {
                (self.missing, self.ask) = (missing, ask_of(messages, *message));
            }
        } else {
            self.missing.retain(|slot| !story::is_given(slot, text, &given));
        }
    }
}

fn rank(mood: &str) -> usize {
    MOODS.iter().position(|known| *known == mood).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{
        safety::mask,
        turn::{
            case::{Case, CaseInput, write},
            guard::Class,
            reply::Code,
        },
        words::Lang,
    };

    fn case(text: &str, code: Code, danger: Option<&str>) -> Case {
        let text = mask(text);
        let mut case = write(CaseInput {
            lang: Lang::En,
            customer_lang: Lang::En,
            message: 1,
            text: &text,
            history: &[],
            code,
            confidence: 0.4,
            features: &BTreeMap::new(),
            offered: Vec::new(),
            nearest: Vec::new(),
            suggested: None,
        });
        case.situate(danger);
        case
    }

    fn facts(case: &Case) -> Vec<(&str, &str, u32)> {
        case.facts.iter().map(|fact| (fact.slot.as_str(), fact.value.as_str(), fact.message)).collect()
    }

    #[test]
    fn a_filled_form_leaves_nothing_missing_in_any_situation() {
        for situation in Class::ALL.into_iter().filter_map(Class::situation) {
            for lang in Lang::ALL {
                let mut case = case("help", Code::Danger, Some(situation));
                let asks = case.asks(lang);
                assert_eq!(asks.len(), case.missing.len(), "{situation}: a fact without a label");
                let lines: Vec<String> = asks.iter().map(|ask| format!("{}: it is so", ask.label)).collect();
                case.hear(3, mask(&lines.join("\n")).as_str());
                assert_eq!(case.missing, [""; 0], "{situation} {lang}");
                assert!(
                    asks.iter().all(|ask| facts(&case).contains(&(ask.slot.as_str(), "it is so", 3))),
                    "{situation} {lang}"
                );
            }
        }
    }

    #[test]
    fn what_has_a_shape_of_its_own_needs_no_right_field() {
        let mut case = case("someone emptied my wallet", Code::Danger, Some("theft"));
        assert_eq!(case.missing, ["tx_hash", "network", "amount", "time", "address"]);
        let hash = format!("0x{}", "5c".repeat(32));
        case.hear(3, &format!("Address involved: {hash}\nAmount and currency: all of it, 2 BTC or so"));
        assert_eq!(facts(&case), [("tx_hash", hash.as_str(), 3), ("amount", "all of it, 2 BTC or so", 3)]);
        assert_eq!(case.missing, ["network", "time", "address"]);
        assert!(
            case.text.contains("- transaction hash: 0x5c")
                && case.text.contains("Not given yet: network, time, address")
        );
        case.hear(4, "ok it was TRC20, no wait, BEP20, yesterday");
        assert_eq!(case.missing, ["address"]);
        assert!(facts(&case).contains(&("network", "BEP20", 4)) && !case.text.contains("TRC20"), "{}", case.text);
    }

    #[test]
    fn what_says_nothing_is_not_the_matter() {
        let mut case = case("转人工", Code::Asked, None);
        for (message, text) in [(3, "快点"), (4, "please, right now")] {
            case.hear(message, text);
            assert_eq!(case.missing, ["problem"], "{text}");
        }
        case.hear(5, "提现 500 USDT 没到");
        assert_eq!((case.ask.value.as_str(), case.ask.message), ("提现 500 USDT 没到", 5));
    }

    #[test]
    fn the_same_step_said_again_stands_once() {
        let mut case = case("someone emptied my wallet", Code::Danger, Some("theft"));
        for message in 3..90 {
            case.hear(message, "I already reinstalled the app.");
        }
        assert_eq!(case.tried.len(), 1);
    }

    #[test]
    fn what_is_solved_is_noted_until_it_is_not() {
        let mut case = case("my withdrawal is missing", Code::NoKnowledge, None);
        case.hear(3, "算了，我自己解决了");
        let solved = case.solved.clone().map(|solved| (solved.message, solved.value));
        assert_eq!(solved, Some((3, "我自己解决了".to_owned())));
        assert!(case.text.contains("The customer says it is solved: \"我自己解决了\" (message 3)"), "{}", case.text);
        case.hear(4, "thanks");
        assert!(case.solved.is_some());
        case.hear(5, "hm, still not working");
        assert!(case.solved.is_none() && !case.text.contains("solved"), "{}", case.text);
    }

    #[test]
    fn only_plain_words_say_that_it_is_solved() {
        for text in [
            "算了，我自己解决了",
            "不用处理了，已经好了",
            "问题解决了，谢谢",
            "自己搞定了",
            "solved it myself, please close",
            "never mind, it works now",
            "Problem solved, thanks!",
            "I figured it out myself",
            "it's all sorted now",
            "you can close the ticket",
        ] {
            assert!(super::story::solved(text).is_some(), "{text}");
        }
        for text in [
            "解决了吗",
            "问题还没解决",
            "什么时候能解决",
            "请尽快解决",
            "如果解决了告诉我",
            "已经到账了，但是少了 20",
            "算了",
            "never mind",
            "is it solved",
            "it is not solved yet",
            "i want it solved today",
            "please get this sorted",
            "it works now but the fee is wrong",
            "please close my account",
            "don't close it",
            "when will it be fixed",
        ] {
            assert!(super::story::solved(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_case_of_an_earlier_version_is_looked_at_from_where_it_was_read() {
        let mut case = case("转人工", Code::Asked, None);
        (case.watched_to, case.read_to) = (0, 0);
        case.hear(7, "在吗");
        assert_eq!((case.watched_to, case.read_to), (6, 7));
        (case.watched_to, case.read_to) = (0, 5);
        case.hear(7, "在吗");
        assert_eq!((case.watched_to, case.read_to), (5, 7));
    }

    #[test]
    fn mood_and_priority_only_rise_and_masks_are_counted() {
        let mut case = case("转人工", Code::Asked, None);
        assert_eq!((case.priority, case.mood.as_str(), &case.missing[..]), (3, "calm", &["problem".to_owned()][..]));
        case.hear(3, "提现 500 USDT 没到，急死了");
        assert_eq!((case.priority, case.mood.as_str()), (2, "worried"));
        assert_eq!(case.ask.value, "提现 500 USDT 没到");
        assert_eq!(case.missing, ["tx_hash", "network", "time"]);
        case.hear(4, "你们就是骗子公司，我要投诉 [seed phrase 1]");
        case.hear(5, "好的 谢谢 [seed phrase 1] [seed phrase 2]");
        assert_eq!((case.priority, case.mood.as_str()), (2, "angry"));
        assert_eq!(case.masked, ["seed phrase: 3"]);
        assert_eq!(case.read_to, 5);
    }
}
