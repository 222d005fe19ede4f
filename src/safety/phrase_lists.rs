//! WHICH WORDS CAN STAND IN A SEED PHRASE? The ten BIP-39 lists, how ordinary each word is, and the checksums.
//!
//! `everyday_en.txt` holds the English list words that people use when they write to support; `pairs_zh.txt` holds, by
//! first character, the pairs that ordinary Chinese is made of. Both were written or drawn from our own documents.

use std::{
    collections::{HashMap, HashSet},
    ops::{Range, RangeInclusive},
    sync::LazyLock,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use bip39::Language;
use hmac::{Hmac, KeyInit, Mac};
use jieba_rs::Jieba;
use sha2::{Digest, Sha256, Sha512};

use super::fold::Folded;

/// The lists whose words are written with letters. A word's place in `ListWord::index` is the place of its list here.
pub(super) const LETTER_LISTS: [Language; 8] = [
    Language::English,
    Language::French,
    Language::Spanish,
    Language::Italian,
    Language::Portuguese,
    Language::Czech,
    Language::Japanese,
    Language::Korean,
];

const NOT_LISTED: u16 = u16::MAX;

/// A word of one or several lists.
#[derive(Debug)]
pub(super) struct ListWord {
    index: [u16; LETTER_LISTS.len()],
    /// Common in what people write to support.
    pub(super) everyday: bool,
}

impl ListWord {
    /// Its number in a list.
    pub(super) fn number_in(&self, list: usize) -> Option<u16> {
        Some(self.index[list]).filter(|index| *index != NOT_LISTED)
    }
}

/// Every word by its folded lowercase form; English ones also by their first four letters, which are unique.
static WORDS: LazyLock<HashMap<String, ListWord>> = LazyLock::new(|| {
    let everyday: HashSet<&str> = include_str!("everyday_en.txt").split_whitespace().collect();
    let mut words: HashMap<String, ListWord> = HashMap::with_capacity(20_000);
    let mut add = |key: String, list: usize, number: usize| {
        let everyday = everyday.contains(key.as_str());
        let word = words.entry(key).or_insert(ListWord { index: [NOT_LISTED; LETTER_LISTS.len()], everyday });
        if word.index[list] == NOT_LISTED {
            word.index[list] = number as u16;
        }
    };
    for (list, language) in LETTER_LISTS.iter().enumerate() {
        for (number, word) in language.word_list().iter().enumerate() {
            add(Folded::new(word).text.to_lowercase(), list, number);
        }
    }
    for (number, word) in Language::English.word_list().iter().enumerate() {
        if word.len() > 4 {
            add(word[..4].to_owned(), 0, number);
        }
    }
    words
});

/// Bytes of the shortest word.
const SHORTEST: usize = 3;

/// Looks a folded lowercase word up.
pub(super) fn list_word(word: &str) -> Option<&'static ListWord> {
    if word.len() < SHORTEST { None } else { WORDS.get(word) }
}

/// Finds every word inside a run of letters in one pass: looking each piece of the run up would take a hundred times as long.
static FINDER: LazyLock<(AhoCorasick, Vec<&'static ListWord>)> = LazyLock::new(|| {
    let (words, meanings): (Vec<&str>, Vec<&ListWord>) =
        WORDS.iter().filter(|(word, _)| word.len() >= SHORTEST).map(|(word, meaning)| (word.as_str(), meaning)).unzip();
    let finder = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(words)
        .expect("the lists are fixed and few; failing to build is a bug");
    (finder, meanings)
});

/// Every word, by bytes, that is spelt anywhere in folded lowercase letters; words may overlap.
pub(super) fn words_inside(letters: &str) -> impl Iterator<Item = (Range<usize>, &'static ListWord)> {
    let (finder, meanings) = &*FINDER;
    finder.find_overlapping_iter(letters).map(|hit| (hit.range(), meanings[hit.pattern().as_usize()]))
}

/// Everything about one Chinese character of the simplified or the traditional list.
#[derive(Debug, Clone, Copy)]
pub(super) struct HanCharacter {
    /// Number in the simplified list.
    pub(super) simplified: Option<u16>,
    /// Number in the traditional list.
    pub(super) traditional: Option<u16>,
    /// How much likelier it is in a random phrase than in prose, natural logarithm, cut to [-2, 1].
    pub(super) oddness: f32,
}

/// The characters of both lists and of the pairs. What is known of one stands at its place in a table: a text of two hundred
/// asks six hundred times.
const TABLED: RangeInclusive<char> = '\u{4e00}'..='\u{9fff}';

fn place_of(c: char) -> Option<usize> {
    TABLED.contains(&c).then(|| c as usize - *TABLED.start() as usize)
}

fn table<T: Clone>(empty: T) -> Vec<T> {
    vec![empty; *TABLED.end() as usize - *TABLED.start() as usize + 1]
}

static HAN: LazyLock<Vec<Option<HanCharacter>>> = LazyLock::new(|| {
    // Both lists are ordered by how common a character is: its number gives its frequency by Zipf's law.
    const SHIFT: f32 = 8.0;
    let total: f32 = (0..2048).map(|number| 1.0 / (number as f32 + SHIFT)).sum();
    let mut han = table(None);
    for language in [Language::SimplifiedChinese, Language::TraditionalChinese] {
        for (number, word) in language.word_list().iter().enumerate() {
            let Some(place) = Folded::new(word).text.chars().next().and_then(place_of) else { continue };
            let oddness = ((number as f32 + SHIFT) * total / 2048.0).ln().clamp(-2.0, 1.0);
            let entry = han[place].get_or_insert(HanCharacter { simplified: None, traditional: None, oddness });
            match language {
                Language::SimplifiedChinese => entry.simplified = Some(number as u16),
                _ => entry.traditional = Some(number as u16),
            }
        }
    }
    han
});

/// Looks a Chinese character up.
pub(super) fn han_character(c: char) -> Option<HanCharacter> {
    HAN[place_of(c)?]
}

/// A traditional character stands at the place of its simplified twin wherever the lists run in step.
fn twins() -> impl Iterator<Item = (char, char)> {
    let first = |word: &&str| word.chars().next();
    let traditional = Language::TraditionalChinese.word_list().iter();
    let pairs = Language::SimplifiedChinese.word_list().iter().zip(traditional);
    pairs.filter_map(move |(simplified, traditional)| Some((first(simplified)?, first(traditional)?)))
}

/// For each first character the second ones, sorted.
static PAIRS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let mut pairs = table(Vec::new());
    let mut add = |first: char, second: char| {
        if let Some(place) = place_of(first) {
            pairs[place].push(second);
        }
    };
    let twins: HashMap<char, char> = twins().collect();
    let twin = |c: char| twins.get(&c).copied().unwrap_or(c);
    for line in include_str!("pairs_zh.txt").lines() {
        let mut characters = line.chars();
        let Some(first) = characters.next() else { continue };
        for second in characters {
            add(first, second);
            add(twin(first), twin(second));
        }
    }
    pairs.iter_mut().for_each(|seconds| seconds.sort_unstable());
    pairs
});

/// Whether two characters often stand side by side in ordinary Chinese.
pub(super) fn is_common_pair(first: char, second: char) -> bool {
    place_of(first).is_some_and(|place| PAIRS[place].binary_search(&second).is_ok())
}

/// A dictionary of some 350,000 Chinese words; read on first use, which takes a third of a second.
static DICTIONARY: LazyLock<Jieba> = LazyLock::new(Jieba::new);

static SIMPLIFIED: LazyLock<HashMap<char, char>> =
    LazyLock::new(|| twins().map(|(simplified, traditional)| (traditional, simplified)).collect());

/// For each character, whether it stands in one dictionary word with the character before it. Of random list
/// characters fewer than two in a hundred do; of prose every third.
pub(super) fn continues_a_word(text: &[char]) -> Vec<bool> {
    let simplified: String = text.iter().map(|c| *SIMPLIFIED.get(c).unwrap_or(c)).collect();
    let words = DICTIONARY.cut(&simplified, false);
    words.iter().flat_map(|word| word.chars().enumerate().map(|(at, _)| at > 0)).collect()
}

/// Whether a general dictionary has the word, in simplified characters.
pub fn is_chinese_word(word: &str) -> bool {
    DICTIONARY.has_word(word)
}

/// Words of the longest phrase that there is.
pub(super) const LONGEST_PHRASE: usize = 24;

/// Whether these word numbers carry a right BIP-39 checksum. The number of words must be one that BIP-39 has.
pub(super) fn checksum_holds(numbers: &[u16]) -> bool {
    let checksum_bits = numbers.len() / 3;
    if !matches!(numbers.len(), 12 | 15 | 18 | 21 | 24) {
        return false;
    }
    let mut bytes = [0u8; 33];
    let (mut bits, mut waiting, mut at) = (0u32, 0, 0);
    for number in numbers {
        (bits, waiting) = (bits << 11 | u32::from(*number), waiting + 11);
        while waiting >= 8 {
            waiting -= 8;
            bytes[at] = (bits >> waiting) as u8;
            at += 1;
        }
        bits &= (1 << waiting) - 1;
    }
    if waiting > 0 {
        bytes[at] = (bits << (8 - waiting)) as u8;
    }
    let entropy_bytes = (numbers.len() * 11 - checksum_bits) / 8;
    let digest = Sha256::digest(&bytes[..entropy_bytes]);
    let shift = 8 - checksum_bits;
    digest[0] >> shift == bytes[entropy_bytes] >> shift
}

static SEED_VERSION: LazyLock<Hmac<Sha512>> = LazyLock::new(|| {
    Hmac::new_from_slice(b"Seed version").expect("a key may have any length; failing to take one is a bug")
});

/// Whether these English words are an Electrum seed of version 2: the version is hashed into the words.
pub(super) fn is_electrum(words: &[&str]) -> bool {
    if !matches!(words.len(), 12 | 13 | 24) {
        return false;
    }
    let mut mac = SEED_VERSION.clone();
    mac.update(words.join(" ").as_bytes());
    let tag = mac.finalize().into_bytes();
    // 01 standard, 100 segwit, 101 and 102 two-factor.
    tag[0] == 0x01 || (tag[0] == 0x10 && tag[1] >> 4 <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_every_list_and_length() {
        for (list, language) in LETTER_LISTS.into_iter().enumerate() {
            for bytes in [16, 20, 24, 28, 32] {
                let entropy: Vec<u8> = (0..bytes).map(|at| (at * 37 + list * 11 + 5) as u8).collect();
                let phrase = bip39::Mnemonic::from_entropy_in(language, &entropy).unwrap();
                let mut numbers: Vec<u16> = phrase
                    .words()
                    .map(|word| list_word(&Folded::new(word).text.to_lowercase()).unwrap().number_in(list).unwrap())
                    .collect();
                assert!(checksum_holds(&numbers), "{phrase}");
                numbers[3] ^= 1;
                numbers.truncate(11);
                assert!(!checksum_holds(&numbers));
            }
        }
    }

    #[test]
    fn every_word_is_found_inside_other_letters() {
        for (word, meaning) in WORDS.iter().filter(|(word, _)| word.len() >= SHORTEST) {
            let found = words_inside(&format!("q{word}q"))
                .any(|(range, found)| range == (1..word.len() + 1) && std::ptr::eq(found, meaning));
            assert!(found, "{word}");
        }
    }

    #[test]
    fn every_character_of_both_lists_is_known() {
        for language in [Language::SimplifiedChinese, Language::TraditionalChinese] {
            for (number, word) in language.word_list().iter().enumerate() {
                let known = Folded::new(word).text.chars().next().and_then(han_character).unwrap();
                assert!([known.simplified, known.traditional].contains(&Some(number as u16)), "{word}");
            }
        }
        assert!(is_common_pair('提', '现') && is_common_pair('转', '到') && !is_common_pair('到', '转'));
    }

    #[test]
    fn words_of_the_dictionary_in_both_scripts() {
        let joined = |text: &str| continues_a_word(&text.chars().collect::<Vec<_>>());
        assert_eq!(joined("葡萄牙币"), [false, true, true, false]);
        assert_eq!(joined("雙胞胎"), [false, true, true]);
    }

    #[test]
    fn electrum_seeds() {
        let seed = "wild father tree among universe such mobile favorite target dynamic credit identify";
        assert!(is_electrum(&seed.split(' ').collect::<Vec<_>>()));
        let other = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        assert!(!is_electrum(&other.split(' ').collect::<Vec<_>>()));
    }
}
