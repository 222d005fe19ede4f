//! What the customer asks: masked, trimmed, within limits, language found, made standalone from the conversation.
//!
//! No model is called here. A question that leans on what was said before ("and for USDT?", "那能取消吗") is searched
//! together with the customer's last question; everything else is searched as it stands.

use std::sync::LazyLock;

use regex::Regex;

use super::spelling::Spelling;
use crate::{
    error::{Error, Result},
    index::keywords,
    safety::{Masked, incoming::Incoming},
    words::{Lang, is_han},
};

/// The language that a message is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// One that we answer in.
    Ours(Lang),
    /// One that we don't.
    Other,
    /// No letters at all: digits, emoji, punctuation.
    NoWords,
}

/// One question, ready to be searched.
#[derive(Debug, Clone)]
pub struct Question {
    /// The customer's words without secrets.
    pub text: Masked,
    /// The language that the reply will be in.
    pub lang: Lang,
    /// The language that the message is in.
    pub spoken: Spoken,
    /// What is searched for: the text, with the last question before it where it leans on that.
    pub search: String,
    /// The same with traditional characters simplified and misspelt words mended, as far as the knowledge's words are
    /// known; see [`Question::spell`].
    pub spelt: String,
    /// Whether `search` carries something over from the conversation.
    pub carried: bool,
}

impl Question {
    /// Masks, trims and checks a customer's message.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is empty or longer than `limit_characters`.
    pub fn check(text: &str, limit_characters: usize) -> Result<Incoming> {
        let visible =
            |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}');
        if !text.chars().any(visible) {
            return Err(Error::invalid(
                "the message",
                "nothing to read",
                format!("1 to {limit_characters} characters"),
            ));
        }
        let length = text.chars().count();
        if length > limit_characters {
            let expected = format!("at most {limit_characters}; send it in parts, or only the part that matters");
            return Err(Error::invalid("the message", format!("{length} characters"), expected));
        }
        Ok(Incoming::new(text.trim()))
    }

    /// The question without what it carries over.
    pub fn alone(&self) -> Self {
        self.of_part(self.text.as_str())
    }

    /// One question of a message that asks several: the same message, searched with this part of it.
    pub fn of_part(&self, part: &str) -> Self {
        Question { search: part.to_owned(), spelt: keywords::simplified(part), carried: false, ..self.clone() }
    }

    /// Mends misspelt words with those of the knowledge.
    pub fn spell(&mut self, spelling: &Spelling, is_word: impl Fn(&str) -> bool) {
        if let Some(mended) = spelling.mend(&self.search, is_word) {
            self.spelt = mended;
        }
    }

    /// Understands `text` in the light of the customer's earlier questions, oldest first.
    pub fn understand(text: Masked, earlier: &[&Masked], conversation_lang: Option<Lang>) -> Self {
        let spoken = spoken(text.as_str());
        let lang = match spoken {
            // One word, such as "ok" or "thanks", is no change of language.
            Spoken::Ours(Lang::En) if text.as_str().split_whitespace().count() == 1 => {
                conversation_lang.unwrap_or(Lang::En)
            }
            Spoken::Ours(lang) => lang,
            Spoken::Other | Spoken::NoWords => conversation_lang.unwrap_or(Lang::En),
        };
        let mut search = text.as_str().to_owned();
        let mut carried = false;
        let mut leans = leans_on_past(text.as_str());
        for before in earlier.iter().rev().take(2) {
            if !leans {
                break;
            }
            search = format!("{} {search}", before.as_str());
            carried = true;
            leans = leans_on_past(before.as_str());
        }
        let spelt = keywords::simplified(&search);
        Question { text, lang, spoken, search, spelt, carried }
    }
}

/// The language of a message. Chinese wins a mixed text: its characters carry more than a Latin product name.
pub fn spoken(text: &str) -> Spoken {
    let (mut han, mut latin, mut other, mut kana_hangul) = (0usize, 0usize, 0usize, 0usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        match c {
            c if is_han(c) => han += 1,
            '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => kana_hangul += 1,
            'a'..='z' | 'A'..='Z' | '\u{ff21}'..='\u{ff5a}' => latin += 1,
            '\u{c0}'..='\u{24f}' => latin += 1,
            _ => other += 1,
        }
    }
    if han + latin + other + kana_hangul == 0 {
        return Spoken::NoWords;
    }
    if kana_hangul > han || other > han + latin {
        return Spoken::Other;
    }
    if han > 0 && han * 8 >= latin {
        return Spoken::Ours(Lang::Zh);
    }
    // Short Latin texts are too little evidence for a detector; English is the likelier guess.
    match whatlang::detect(text) {
        Some(found) if found.lang() != whatlang::Lang::Eng && found.is_reliable() && latin >= 24 => Spoken::Other,
        _ => Spoken::Ours(Lang::En),
    }
}

/// Whether a message can hardly be understood without the one before it.
pub fn leans_on_past(text: &str) -> bool {
    static NEW_MATTER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)不问这个|不说这个|换个(问题|话题)|另一个问题|另外(问|想问)|(?-u:\b)(by the way|btw|another question|different question|change of topic|something else|unrelated)(?-u:\b)")
            .expect("a constant pattern; this is a bug")
    });
    if NEW_MATTER.is_match(text) {
        return false;
    }
    static ZH: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(那|那么|然后|还是|如果|要是|这样|可是|但是|但|所以|为什么|为啥|怎么办|多久|多少|哪里|在哪)|它|这个|那个|这种|那种|上面|刚才|刚刚|之前说|呢[?？!！。]*$")
            .expect("a constant pattern; this is a bug")
    });
    static EN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^(and|then|but|so|or|also|ok|what about|how about|what if|why|how long|how much|where|which one)\b|\b(it|that|this|those|these|they|them|one|there|same|instead)\b")
            .expect("a constant pattern; this is a bug")
    });
    let han = text.chars().filter(|c| is_han(*c)).count();
    let words = text.split_whitespace().filter(|word| word.is_ascii()).count();
    if han > 0 {
        han <= 5 || (han <= 18 && ZH.is_match(text))
    } else {
        words <= 3 || (words <= 12 && EN.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety;

    #[test]
    fn empty_and_long_messages_say_what_is_allowed() {
        for text in ["", "  \n\t", "\u{200b}\u{feff}"] {
            assert!(Question::check(text, 10).unwrap_err().to_string().contains("1 to 10 characters"));
        }
        assert!(Question::check(&"问".repeat(11), 10).unwrap_err().to_string().contains("11 characters"));
        assert_eq!(Question::check(" 你好 ", 10).unwrap().text().as_str(), "你好");
    }

    #[test]
    fn the_language_is_found() {
        for (text, expected) in [
            ("提现多久到账", Spoken::Ours(Lang::Zh)),
            ("我的 USDT withdraw 到哪了", Spoken::Ours(Lang::Zh)),
            ("how long is a withdrawal", Spoken::Ours(Lang::En)),
            ("withdraw 提现", Spoken::Ours(Lang::Zh)),
            ("😀😀", Spoken::NoWords),
            ("123 ???", Spoken::NoWords),
            ("出金はいつ届きますか", Spoken::Other),
            ("출금은 언제 되나요", Spoken::Other),
            ("Когда придут деньги", Spoken::Other),
            ("¿Cuándo llegará mi retiro a la cuenta bancaria? Ya pasaron dos días", Spoken::Other),
            ("usdt?", Spoken::Ours(Lang::En)),
        ] {
            assert_eq!(spoken(text), expected, "{text}");
        }
    }

    #[test]
    fn a_follow_up_carries_the_last_question() {
        let first = safety::mask("tp转账一直打包中");
        let follow = Question::understand(safety::mask("那能不能直接取消不转了"), &[&first], None);
        assert!(follow.carried && follow.search.starts_with("tp转账一直打包中"));
        for alone in
            ["How do I order a physical card for my account?", "行 不问这个了 你们电话几点下班", "btw is it free?"]
        {
            assert!(!Question::understand(safety::mask(alone), &[&first], None).carried, "{alone}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood(text in ".{1,80}") {
            let question = Question::understand(safety::mask(&text), &[], None);
            proptest::prop_assert_eq!(question.search.as_str(), question.text.as_str());
        }
    }
}
