//! What did the customer mean to type? Words that neither the knowledge nor a dictionary holds are replaced by the
//! knowledge's own, where one is near enough. Pure.
//!
//! Chinese is typed by sound, so a wrong character nearly always sounds like the right one (密马 for 密码); English is
//! typed by letter, so a wrong word is one or two letters away from the right one. A question that is mended is
//! searched as typed and as mended: a mistake of ours is half a question, never another one.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use pinyin::ToPinyin;

use crate::{index::keywords, safety, words::is_han};

/// Longest Chinese word that is looked for, in characters.
const LONGEST: usize = 4;
/// They stand anywhere and belong to no word.
const PARTICLES: &str = "的了吗呢吧啊呀嘛么哦哈";
/// A pair of characters that a dictionary does not hold is a word of the knowledge when it stands in so many documents …
const PAIR_DOCUMENTS: u32 = 3;
/// … and in so large a share of those that hold its rarer character.
const PAIR_SHARE: f64 = 0.5;
/// What an English word may end in and still be a form of the word before it.
const ENDINGS: [&str; 9] = ["s", "es", "ed", "d", "ing", "er", "ers", "ly", "able"];
/// Short forms as they are typed, without their apostrophe.
const SHORT_FORMS: [&str; 22] = [
    "arent", "cant", "couldnt", "didnt", "doesnt", "dont", "hadnt", "hasnt", "havent", "heres", "isnt", "shouldnt",
    "thats", "theres", "theyre", "wasnt", "werent", "whats", "wheres", "wont", "wouldnt", "youre",
];
/// Shortest English word that is mended, and the shortest one in which two letters may be wrong.
const SHORT_WORD: usize = 4;
const LONG_WORD: usize = 8;
/// A word that is not an ordinary one is the knowledge's own when it stands in so many documents.
const WORD_DOCUMENTS: u32 = 2;

/// The words of one state of the knowledge.
#[derive(Debug, Clone, Default)]
pub struct Spelling {
    /// Pairs of Chinese characters, and in how many documents each stands.
    pairs: HashMap<[char; 2], u32>,
    /// Chinese characters, and in how many documents each stands.
    characters: HashMap<char, u32>,
    /// The characters of the knowledge by their sound without tone.
    sounds: HashMap<String, Vec<char>>,
    /// English words in lower case, and in how many documents each stands.
    words: HashMap<String, u32>,
}

impl Spelling {
    /// Learns the words of documents, each given as its texts. Not from aliases, which are misspelt like questions.
    pub fn of<'t, T: IntoIterator<Item = &'t str>>(documents: impl IntoIterator<Item = T>) -> Self {
        let mut spelling = Spelling::default();
        for texts in documents {
            let texts: Vec<String> = texts.into_iter().map(keywords::folded).collect();
            spelling.learn(&texts.join("\n"));
        }
        for character in spelling.characters.keys() {
            if let Some(sound) = sound(*character) {
                spelling.sounds.entry(sound).or_default().push(*character);
            }
        }
        // Ties go to the first: the order must not depend on the map's.
        spelling.sounds.values_mut().for_each(|characters| characters.sort_unstable());
        spelling
    }

    fn learn(&mut self, text: &str) {
        let characters: Vec<char> = text.chars().collect();
        let pairs: HashSet<[char; 2]> = characters
            .windows(2)
            .filter(|pair| is_han(pair[0]) && is_han(pair[1]))
            .map(|pair| [pair[0], pair[1]])
            .collect();
        let single: HashSet<char> = characters.into_iter().filter(|c| is_han(*c)).collect();
        let words: HashSet<&str> = latin_words(text).map(|(_, word)| word).collect();
        pairs.into_iter().for_each(|pair| *self.pairs.entry(pair).or_default() += 1);
        single.into_iter().for_each(|c| *self.characters.entry(c).or_default() += 1);
        words.into_iter().for_each(|word| *self.words.entry(word.to_owned()).or_default() += 1);
    }

    /// The text with its misspelt words mended, in folded form; `None` where nothing is to be mended. `is_word` says whether an
    /// English word is an ordinary one.
    pub fn mend(&self, text: &str, is_word: impl Fn(&str) -> bool) -> Option<String> {
        let folded = keywords::folded(text);
        let han = self.mend_han(&folded);
        let mended = self.mend_latin(&han, is_word);
        (mended != folded).then_some(mended)
    }

    fn mend_han(&self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for at in 0..characters.len() {
            let wrong = characters[at];
            if !is_han(wrong) || PARTICLES.contains(wrong) {
                continue;
            }
            if windows(&characters, at).any(|window| self.is_known(window)) {
                continue;
            }
            let alike = sound(wrong).and_then(|sound| self.sounds.get(&sound)).map_or(&[][..], Vec::as_slice);
            let weigh = |candidate: &char| {
                let mut tried = characters.clone();
                tried[at] = *candidate;
                windows(&tried, at).filter(|window| self.is_own_word(window)).map(|window| self.support(window)).max()
            };
            let best = alike
                .iter()
                .filter_map(|candidate| Some((weigh(candidate)?, *candidate)))
                .max_by_key(|(support, candidate)| (*support, Reverse(*candidate)));
            if let Some((_, candidate)) = best {
                characters[at] = candidate;
            }
        }
        characters.into_iter().collect()
    }

    /// Whether characters are a word of the dictionary or stand side by side in the knowledge.
    fn is_known(&self, window: &[char]) -> bool {
        let pair = window.len() == 2 && self.pairs.contains_key(&[window[0], window[1]]);
        pair || safety::is_chinese_word(&window.iter().collect::<String>())
    }

    /// Whether characters are a word that the knowledge uses.
    fn is_own_word(&self, window: &[char]) -> bool {
        if window.windows(2).any(|pair| !self.pairs.contains_key(&[pair[0], pair[1]])) {
            return false;
        }
        safety::is_chinese_word(&window.iter().collect::<String>()) || window.len() == 2 && self.is_fixed(window)
    }

    /// Whether two characters nearly always come together.
    fn is_fixed(&self, pair: &[char]) -> bool {
        let together = self.support(pair);
        let rarer = pair.iter().map(|c| self.characters.get(c).copied().unwrap_or(0)).min().unwrap_or(0);
        together >= PAIR_DOCUMENTS && f64::from(together) >= PAIR_SHARE * f64::from(rarer)
    }

    /// In how many documents the rarest pair of a word stands.
    fn support(&self, window: &[char]) -> u32 {
        window.windows(2).filter_map(|pair| self.pairs.get(&[pair[0], pair[1]])).min().copied().unwrap_or(0)
    }

    /// Whether an English word, or one that it is a form of, is the knowledge's or an ordinary one.
    fn is_form(&self, word: &str, is_word: impl Fn(&str) -> bool) -> bool {
        let known = |word: &str| self.words.contains_key(word) || is_word(word);
        let base = |ending: &str| {
            let base = word.strip_suffix(ending).filter(|base| base.len() > 2)?;
            let last = &base[base.len() - 1..];
            let doubled = base[..base.len() - 1].ends_with(last);
            let found = known(base) || known(&format!("{base}e")) || doubled && known(&base[..base.len() - 1]);
            (found || last == "i" && known(&format!("{}y", &base[..base.len() - 1]))).then_some(())
        };
        known(word) || SHORT_FORMS.contains(&word) || ENDINGS.iter().any(|ending| base(ending).is_some())
    }

    fn mend_latin(&self, text: &str, is_word: impl Fn(&str) -> bool) -> String {
        let mut mended = text.to_owned();
        // From the end, so that places before stay what they were.
        for (at, word) in latin_words(text).collect::<Vec<_>>().into_iter().rev() {
            let letters = word.len();
            if letters < SHORT_WORD || self.is_form(word, &is_word) {
                continue;
            }
            let wrong = if letters >= LONG_WORD { 2 } else { 1 };
            let near =
                self.words.iter().filter(|(own, _)| own.len().abs_diff(letters) <= wrong && own[..1] == word[..1]);
            let near = near.filter_map(|(own, documents)| {
                let distance = strsim::osa_distance(own, word);
                (distance <= wrong).then_some((distance, Reverse(*documents), own))
            });
            // Short codes are one letter apart and mean different money: usdt, usdc.
            let no_code =
                |own: &str, documents: u32| is_word(own) || own.len() > SHORT_WORD && documents >= WORD_DOCUMENTS;
            if let Some((.., own)) = near.filter(|(_, documents, own)| no_code(own, documents.0)).min() {
                mended.replace_range(at..at + letters, own);
            }
        }
        mended
    }
}

/// The stretches of two to [`LONGEST`] Chinese characters that hold the one at `at`.
fn windows(characters: &[char], at: usize) -> impl Iterator<Item = &[char]> {
    (2..=LONGEST)
        .flat_map(move |length| {
            let first = (at + 1).saturating_sub(length);
            (first..=at).filter_map(move |start| characters.get(start..start + length))
        })
        .filter(|window| window.iter().all(|c| is_han(*c)))
}

/// How a character is mostly said, without tone, and with what many speakers do not tell apart made one.
fn sound(character: char) -> Option<String> {
    character.to_pinyin().map(|sound| plain(sound.plain()))
}

/// `zh`, `ch`, `sh` as `z`, `c`, `s`; `ing` and `eng` as `in` and `en`.
fn plain(sound: &str) -> String {
    let mut plain = sound.to_owned();
    if ["zh", "ch", "sh"].iter().any(|start| plain.starts_with(start)) {
        plain.remove(1);
    }
    if plain.ends_with("ing") || plain.ends_with("eng") {
        plain.pop();
    }
    plain
}

/// Runs of Latin letters of a folded text, each with its first byte; what stands beside a digit is a code.
fn latin_words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_word)?;
        let length = text[start..].find(|c| !is_word(c)).unwrap_or(text.len() - start);
        rest = start + length;
        Some((start, &text[start..rest]))
    })
    .map(|(at, word)| (at, word.trim_end_matches(['.', '-', '/'])))
    .filter(|(_, word)| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelling() -> Spelling {
        Spelling::of([
            ["忘记支付密码怎么重置", "提现多久到账"],
            ["代币授权是什么，怎么取消授权", "退款多少钱，退款去哪了"],
            ["卡片怎么冻结和解冻", "转账单笔限额是多少"],
            ["找回密码要多少钱", "余额最多能放多少钱，上限在哪看"],
            ["付款码怎么关", "助记词在哪看"],
            ["助记词丢了", "Refund to the card"],
            ["助记词备份", "How do I withdraw to my bank account?"],
            ["Send USDT to an address", "verification of identity, error, limit"],
        ])
    }

    fn mend(text: &str) -> String {
        let is_word = |word: &str| {
            ["former", "cards", "house", "error", "limit", "account", "address", "withdraw", "verification"]
                .contains(&word)
        };
        spelling().mend(text, is_word).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn a_character_that_only_sounds_right_is_mended() {
        for (typed, meant) in [
            ("支付密马忘了", "支付密码忘了"),
            ("授全怎么取消", "授权怎么取消"),
            ("咔片解东要多久", "卡片解冻要多久"),
            ("退宽要多少前", "退款要多少钱"),
            ("單筆現額", "单笔限额"),
            ("助计词丢了", "助记词丢了"),
        ] {
            assert_eq!(mend(typed), meant);
        }
    }

    #[test]
    fn what_a_dictionary_or_the_knowledge_holds_stays() {
        for text in ["怎么赚钱", "能贷款吗", "今天北京天气怎么样", "提现多久到账", "新功能什么时候上线", "三天前的钱"]
        {
            assert_eq!(mend(text), text);
        }
    }

    #[test]
    fn an_english_word_with_wrong_letters_is_mended() {
        for (typed, meant) in [
            ("withdrawl to my accout", "withdraw to my account"),
            ("wihtdraw to adress", "withdraw to address"),
            ("verfication eror", "verification error"),
            ("wich limt", "wich limit"),
        ] {
            assert_eq!(mend(typed), meant);
        }
    }

    #[test]
    fn codes_short_words_and_ordinary_words_stay() {
        for text in [
            "usdc",
            "usdd",
            "send usda to 0xaddres",
            "my former cards",
            "the cards doesnt fit",
            "housing",
            "fund",
            "P-11 err_addres",
            "house",
        ] {
            assert_eq!(mend(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_character_is_lost(text in "[密马授全a-z 支付withdrawl，。?]{0,24}") {
            let once = mend(&text);
            proptest::prop_assert_eq!(once.chars().filter(|c| is_han(*c)).count(), text.chars().filter(|c| is_han(*c)).count());
        }
    }
}
