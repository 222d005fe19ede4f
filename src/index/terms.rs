//! How is a text cut into terms? Chinese, English and mixed, with codes kept whole. Pure.

use std::{collections::HashMap, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use ferrous_opencc::{OpenCC, config::BuiltinConfig};
use unicode_normalization::UnicodeNormalization;

use super::wallet_words::GROUPS;
use crate::words::is_han;

/// One Chinese character of a longer run: a weak sign, and its neighbours are counted as pairs anyway.
const CHARACTER_WEIGHT: f32 = 0.5;
/// What the dictionary adds to words that are counted already: the same word once more, shared by its synonyms.
const DICTIONARY_WEIGHT: f32 = 0.5;
/// Everything else: pairs of characters, words, codes.
const FULL_WEIGHT: f32 = 1.0;

/// Parts of short forms that are no words: `what's`, `I'm`.
const CLITICS: [&str; 6] = ["s", "re", "ve", "ll", "d", "m"];

/// One occurrence of a term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token {
    /// A hash that never changes.
    pub(super) term: u32,
    /// How much it counts in a question, apart from how rare it is.
    pub(super) weight: f32,
}

/// Cuts a text: runs of Chinese characters into characters and pairs, everything else into words and codes, and
/// one more term for each entry of the wallet dictionary, shared by its synonyms.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let Cut { mut tokens, stream } = cut(text);
    let dictionary = &*DICTIONARY;
    tokens.extend(dictionary.phrases.find_iter(&stream).map(|found| {
        let group = dictionary.groups[found.pattern().as_usize()];
        Token { term: term('=', group), weight: DICTIONARY_WEIGHT }
    }));
    tokens
}

/// The wallet dictionary: phrases as they stand in [`Cut::stream`].
struct Dictionary {
    phrases: AhoCorasick,
    /// The group of each phrase.
    groups: Vec<&'static str>,
}

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| {
    let (mut phrases, mut groups) = (Vec::new(), Vec::new());
    for (group, members) in GROUPS {
        for member in *members {
            phrases.push(cut(member).stream);
            groups.push(*group);
        }
    }
    let phrases = AhoCorasickBuilder::new()
        .match_kind(MatchKind::LeftmostLongest)
        .build(phrases)
        .expect("a hundred short phrases fit: this is a bug");
    Dictionary { phrases, groups }
});

/// Marks the two ends of a word in the stream, so that `top` is not found in `stop`.
const WORD_END: char = '\u{1}';
/// Stands for punctuation in the stream, so that no phrase reaches over a full stop.
const BREAK: char = '\u{2}';

/// A text while it is cut.
#[derive(Default)]
struct Cut {
    tokens: Vec<Token>,
    /// Chinese characters as they are, stems between [`WORD_END`]s: where dictionary phrases are looked for.
    stream: String,
}

impl Cut {
    fn push(&mut self, class: char, text: &str, weight: f32) {
        self.tokens.push(Token { term: term(class, text), weight });
    }

    fn push_stem(&mut self, part: &str) {
        let stem = stem(part);
        self.push('w', &stem, FULL_WEIGHT);
        self.stream.push(WORD_END);
        self.stream.push_str(&stem);
        self.stream.push(WORD_END);
    }

    fn push_run(&mut self, run: &[char]) {
        // A character that stands alone has no pair to speak for it.
        let weight = if run.len() == 1 { FULL_WEIGHT } else { CHARACTER_WEIGHT };
        let mut bytes = [0; 8];
        for character in run {
            self.push('h', character.encode_utf8(&mut bytes), weight);
            self.stream.push(*character);
        }
        for pair in run.windows(2) {
            let pair: String = pair.iter().collect();
            self.push('h', &pair, FULL_WEIGHT);
        }
    }

    /// A word as typed, with what joins its parts: `two-factor`, `what's`, `6.8.2`, `5,000`, `-32000`, `trc20`.
    fn push_word(&mut self, word: &str) {
        let word = if word.starts_with(|first: char| first.is_ascii_digit()) && word.contains(',') {
            word.replace(',', "") // Digits on both sides, or the comma would not be here.
        } else {
            word.to_owned()
        };
        if let Some(digits) = word.strip_prefix('-') {
            self.push('w', &word, FULL_WEIGHT);
            return self.push_word(digits);
        }
        if word.chars().all(|character| character.is_ascii_digit() || character == '.' || character == ':') {
            return self.push_number(&word);
        }
        let parts: Vec<&str> = word.split(['.', '_', '-', '\'', ',', ':']).filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [one] => self.push_part(one),
            [one, clitic] if word.contains('\'') && CLITICS.contains(clitic) => self.push_part(one),
            [one, other] if word.contains('\'') => self.push_part(&format!("{one}{other}")),
            several => {
                self.push('w', &word, FULL_WEIGHT);
                for part in several {
                    self.push_part(part);
                }
            }
        }
    }

    /// Numbers are whole: `4001`, `0.5`, `18:30`; of a version also the first two parts.
    fn push_number(&mut self, number: &str) {
        self.push_stem(number);
        let mut dots = number.match_indices('.').skip(1);
        if let Some((second_dot, _)) = dots.next() {
            self.push('w', &number[..second_dot], FULL_WEIGHT);
        }
    }

    /// A part without joints. Letters beside digits also count alone: `trc20` is `trc20` and `trc`. Hashes and
    /// addresses stay whole.
    fn push_part(&mut self, part: &str) {
        self.push_stem(part);
        let letters = part.trim_matches(|character: char| character.is_ascii_digit());
        let mixed = letters.len() < part.len() && letters.chars().count() > 1;
        if mixed && letters.chars().all(|character| character.is_alphabetic()) {
            self.push('w', &stem(letters), FULL_WEIGHT);
        }
    }
}

fn cut(text: &str) -> Cut {
    let text = normalised(text);
    let mut cut = Cut::default();
    let mut at = 0;
    while at < text.len() {
        let end = if is_han(text[at]) {
            let end = at + text[at..].iter().take_while(|character| is_han(**character)).count();
            cut.push_run(&text[at..end]);
            end
        } else if let Some(end) = word_end(&text, at) {
            let word: String = text[at..end].iter().collect();
            cut.push_word(&word);
            end
        } else {
            if !text[at].is_whitespace() && text[at] != '-' {
                cut.stream.push(BREAK);
            }
            at + 1
        };
        at = end;
    }
    cut
}

/// Where the word that starts at `at` ends; `None` when no word starts there.
fn word_end(text: &[char], at: usize) -> Option<usize> {
    let is_word = |at: usize| text.get(at).is_some_and(|character| character.is_alphanumeric() && !is_han(*character));
    let is_digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
    let after_word = at > 0 && text[at - 1].is_alphanumeric();
    let signed = text[at] == '-' && is_digit(at + 1) && !after_word;
    if !is_word(at) && !signed {
        return None;
    }
    let mut end = at + 1;
    while end < text.len() {
        let joins = match text[end] {
            '.' | '_' | '-' | '\'' => is_word(end - 1) && is_word(end + 1),
            ',' => is_digit(end - 1) && (1..=3).all(|ahead| is_digit(end + ahead)) && !is_digit(end + 4),
            ':' => is_digit(end - 1) && is_digit(end + 1),
            _ => is_word(end),
        };
        if !joins {
            break;
        }
        end += 1;
    }
    Some(end)
}

/// NFKC, lowercase, simplified characters, one apostrophe, nothing invisible.
pub(super) fn normalised(text: &str) -> Vec<char> {
    text.nfkc()
        .flat_map(char::to_lowercase)
        .filter(|character| !matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'))
        .map(|character| match character {
            '\u{2018}' | '\u{2019}' | '\u{2bc}' | '`' => '\'',
            '\u{2010}'..='\u{2014}' | '\u{2212}' => '-',
            other if is_han(other) => simpler(other),
            other => other,
        })
        .collect()
}

/// A text with its traditional characters simplified, and nothing else changed.
pub(super) fn simplified(text: &str) -> String {
    text.chars().map(simpler).collect()
}

fn simpler(character: char) -> char {
    SIMPLIFIED.get(&character).copied().unwrap_or(character)
}

/// Traditional character -> simplified character. Character by character on purpose: phrases would make the result
/// depend on the neighbours, and a question would miss a document that is typed in the other script.
static SIMPLIFIED: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let converter = OpenCC::from_config(BuiltinConfig::T2s).expect("the tables are compiled in: this is a bug");
    let simpler = |character: char| {
        let converted = converter.convert(character.encode_utf8(&mut [0; 4]));
        let mut characters = converted.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => only,
            _ => character,
        }
    };
    let mut folded = HashMap::new();
    for character in ('\u{3400}'..='\u{9fff}').chain('\u{20000}'..='\u{2ebef}') {
        let (mut from, mut to) = (character, simpler(character));
        // Some characters lead to one that leads further: follow, so that folding twice changes nothing.
        for _ in 0..3 {
            if to == from {
                break;
            }
            (from, to) = (to, simpler(to));
        }
        if to != character {
            folded.insert(character, to);
        }
    }
    folded
});

/// Takes off plural, -ing and -ed, so that `withdrawals` finds `withdrawal` and `frozen cards` finds `card`. Light on
/// purpose: two words that become one by mistake cost more than two forms that stay apart.
fn stem(word: &str) -> String {
    if word.len() <= 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut stem = word.to_owned();
    if let Some(base) = word.strip_suffix("ies").filter(|base| base.len() > 1) {
        stem = format!("{base}y");
    } else if word.ends_with("sses") {
        stem.truncate(word.len() - 2);
    } else if word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) {
        stem.truncate(word.len() - 1);
    }
    let ending = [("ing", 6), ("ed", 5)].into_iter().find(|(end, least)| stem.len() >= *least && stem.ends_with(end));
    if let Some((end, _)) = ending {
        stem.truncate(stem.len() - end.len());
        let tail = stem.as_bytes();
        let doubled = tail.len() > 3 && tail[tail.len() - 1] == tail[tail.len() - 2];
        if doubled && !matches!(tail[tail.len() - 1], b'l' | b's' | b'z') {
            stem.pop();
        }
    }
    if stem.len() > 4 && stem.ends_with('e') {
        stem.pop();
    }
    stem
}

/// FNV-1a of class and text, 64 bits folded to 32. The classes keep `h` for a word apart from the character.
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(super) fn term(class: char, text: &str) -> u32 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = [class as u8].into_iter().chain(text.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::keywords::{Terms, matched_share};

    fn terms(text: &str) -> Vec<u32> {
        Terms::of(text).into_iter().map(|(term, _)| term).collect()
    }

    fn share(query: &str, text: &str) -> f32 {
        let query: Vec<_> = Terms::of(query).into_iter().map(|(term, _)| (term, 1.0)).collect();
        matched_share(&query, &Terms::of(text))
    }

    #[test]
    fn forms_of_one_text_have_the_same_terms() {
        for (one, other) in [
            ("提現多久到賬？", "提现多久到账"),
            ("ＵＳＤＴ　ＴＲＣ２０", "usdt trc20"),
            ("Seed Phrase", "seed phrases"),
            ("助記詞遺失", "助记词遗失"),
            ("I’m topping up", "i'm topping up"),
            ("fee is 5,000", "fee is 5000"),
            ("提\u{200b}现", "提现"),
            ("error −32000", "error -32000"),
        ] {
            assert_eq!(terms(one), terms(other), "`{one}` and `{other}`");
        }
    }

    #[test]
    fn codes_and_versions_are_whole() {
        for code in ["4001", "-32000", "0x1f9840a85d5af5bf", "6.8.2", "18:30", "0.5", "err_cache_miss"] {
            let found = terms(&format!("what does {code} mean"));
            assert!(found.contains(&term('w', code)), "{code}");
        }
        assert!(terms("v6.8.2").contains(&term('w', "v6.8.2")));
        assert!(terms("6.8.2").contains(&term('w', "6.8")));
        assert!(terms("-32000").contains(&term('w', "32000")));
        assert!(!terms("3-5 days").contains(&term('w', "-5")));
    }

    #[test]
    fn synonyms_share_a_term_in_and_across_languages() {
        for (one, other) in [
            ("提币", "提现"),
            ("cash out", "withdrawals"),
            ("提现", "withdraw"),
            ("充值", "topping up"),
            ("top-up", "deposits"),
            ("矿工费", "gas fee"),
            ("助记词", "recovery phrase"),
            ("授权", "approvals"),
        ] {
            assert!(share(one, other) > 0.0, "`{one}` and `{other}`");
        }
        for (one, other) in [("stop update", "top up"), ("充值", "withdraw"), ("it is on top. Up to 5", "deposit")] {
            assert_eq!(share(one, other), 0.0, "`{one}` and `{other}`");
        }
    }

    #[test]
    fn endings_are_taken_off() {
        for (word, expected) in [
            ("fees", "fee"),
            ("cards", "card"),
            ("topping", "top"),
            ("cancelled", "cancell"),
            ("currencies", "currency"),
            ("address", "address"),
            ("bonus", "bonus"),
            ("gas", "gas"),
            ("verified", "verifi"),
            ("freeze", "freez"),
            ("freezing", "freez"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    #[test]
    fn each_entry_of_the_dictionary_stands_in_one_group() {
        let (mut seen, mut twice) = (HashMap::new(), Vec::new());
        for (group, members) in GROUPS {
            for member in *members {
                let other = seen.insert(cut(member).stream, *group);
                twice.extend(other.map(|other| format!("`{member}` of `{group}` and `{other}`")));
            }
        }
        assert_eq!(twice, Vec::<String>::new());
        assert!(seen.len() >= 150, "{} entries", seen.len());
    }

    proptest! {
        #[test]
        fn any_text_has_sorted_terms_with_finite_counts(text in "\\PC{0,200}") {
            let found = Terms::of(&text);
            prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(found.iter().all(|(_, times)| *times >= 1.0));
            prop_assert_eq!(Terms::of(&text), found);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Terms::of(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn full_width_and_case_change_nothing(text in "[ -~]{0,60}") {
            let wide: String = text.chars().map(|c| match c {
                ' ' => '\u{3000}',
                c => char::from_u32(c as u32 + 0xfee0).unwrap(),
            }).collect();
            prop_assert_eq!(Terms::of(&wide), Terms::of(&text));
            prop_assert_eq!(Terms::of(&text.to_ascii_uppercase()), Terms::of(&text));
        }

        #[test]
        fn folding_to_simplified_changes_nothing(text in "[\u{4e00}-\u{9fff}]{0,40}") {
            prop_assert_eq!(Terms::of(&simplified(&text)), Terms::of(&text));
        }

        #[test]
        fn a_share_lies_between_nothing_and_all(query in "[a-d提现费用 ]{0,20}", text in "[a-d提现费用 ]{0,20}") {
            let found = share(&query, &text);
            prop_assert!((0.0..=1.0).contains(&found));
            let own = share(&query, &query);
            prop_assert!(own == 1.0 || Terms::of(&query).is_empty());
        }
    }
}
