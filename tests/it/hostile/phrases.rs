//! Seed phrases with real checksums, and the ways in which people write them down.

use bip39::{Language, Mnemonic};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use unicode_normalization::UnicodeNormalization;

use super::{
    carriers::{self, carry, inside_text},
    dice::{Dice, LOWER},
    disguise,
    leak::Secret,
    messages::{Message, Mutation},
};

pub const MUTATIONS: &[Mutation] = &[
    ("phrase, one space", |dice| any(dice, spaced)),
    ("phrase, nothing between", |dice| any(dice, |words, _| words.concat())),
    ("phrase, nothing between, capitals", |dice| latin(dice, |words, _| capitals(words).concat())),
    ("phrase, spaced in groups", |dice| any(dice, groups)),
    ("phrase, numbered list", |dice| any(dice, numbered)),
    ("phrase, labelled words", |dice| any(dice, labelled)),
    ("phrase, one word per line", |dice| any(dice, lines)),
    ("phrase, commas and semicolons", |dice| any(dice, commas)),
    ("phrase, other separators", |dice| any(dice, separators)),
    ("phrase, joined by a word", |dice| any(dice, joined_by_a_word)),
    ("phrase, each word in quotes", |dice| any(dice, quoted_words)),
    ("phrase, in two parts", |dice| any(dice, two_parts)),
    ("phrase, zero-width characters", |dice| any(dice, |w, d| disguised(w, d, disguise::zero_width))),
    ("phrase, full-width", |dice| latin(dice, |w, d| disguised(w, d, disguise::full_width))),
    ("phrase, homoglyphs", |dice| latin(dice, |w, d| disguised(w, d, disguise::homoglyphs))),
    ("phrase, upper case", |dice| latin(dice, |w, d| disguised(w, d, disguise::upper))),
    ("phrase, mixed case", |dice| latin(dice, |w, d| disguised(w, d, disguise::mixed_case))),
    ("phrase, title case", |dice| latin(dice, |words, _| capitals(words).join(" "))),
    ("phrase, accents left out", |dice| latin(dice, |words, _| plain_letters(&words.join(" ")))),
    ("phrase, decomposed letters", |dice| any(dice, |words, _| words.join(" ").nfd().collect())),
    ("phrase, quoted", |dice| any(dice, |w, d| disguised(w, d, disguise::quoted))),
    ("phrase, JSON-escaped", |dice| any(dice, |w, d| disguised(w, d, disguise::json_escaped))),
    ("phrase, base64", |dice| any(dice, |w, d| disguised(w, d, disguise::base64))),
    ("phrase, inside long text", inside_long_text),
    ("phrase, one word misspelt", |dice| changed(dice, |words, dice| misspell(words, dice))),
    ("phrase, one word missing", |dice| changed(dice, leave_out)),
    ("phrase, two disguises", |dice| latin(dice, two_disguises)),
    ("Electrum v2 seed", electrum),
    ("words: English", |dice| in_language(Language::English, dice)),
    ("words: Simplified Chinese", |dice| in_language(Language::SimplifiedChinese, dice)),
    ("words: Traditional Chinese", |dice| in_language(Language::TraditionalChinese, dice)),
    ("words: Czech", |dice| in_language(Language::Czech, dice)),
    ("words: French", |dice| in_language(Language::French, dice)),
    ("words: Italian", |dice| in_language(Language::Italian, dice)),
    ("words: Japanese", |dice| in_language(Language::Japanese, dice)),
    ("words: Korean", |dice| in_language(Language::Korean, dice)),
    ("words: Portuguese", |dice| in_language(Language::Portuguese, dice)),
    ("words: Spanish", |dice| in_language(Language::Spanish, dice)),
];

const LATIN: [Language; 6] =
    [Language::English, Language::Czech, Language::French, Language::Italian, Language::Portuguese, Language::Spanish];

type Writing = fn(&[String], &mut Dice) -> String;

/// English and Chinese, which our customers use, as often as all the others together.
fn any(dice: &mut Dice, write: Writing) -> Message {
    let common = [Language::English, Language::SimplifiedChinese, Language::TraditionalChinese];
    let language = if dice.chance(0.5) { dice.pick(&common) } else { dice.pick(Language::ALL) };
    message(phrase(language, dice), write, dice)
}

fn latin(dice: &mut Dice, write: Writing) -> Message {
    let language = if dice.chance(0.5) { Language::English } else { dice.pick(&LATIN) };
    message(phrase(language, dice), write, dice)
}

fn in_language(language: Language, dice: &mut Dice) -> Message {
    let write = dice.pick::<Writing>(&[spaced, groups, numbered, lines, commas, separators, |words, _| words.concat()]);
    message(phrase(language, dice), write, dice)
}

fn inside_long_text(dice: &mut Dice) -> Message {
    let mut message = any(dice, |words, dice| {
        let write = dice.pick::<Writing>(&[spaced, numbered, commas, groups]);
        write(words, dice)
    });
    message.text = inside_text(&message.text, dice);
    message
}

fn changed(dice: &mut Dice, change: fn(&mut Vec<String>, &mut Dice)) -> Message {
    let common = [Language::English, Language::SimplifiedChinese];
    let language = if dice.chance(0.6) { dice.pick(&common) } else { dice.pick(Language::ALL) };
    let mut words = phrase(language, dice);
    change(&mut words, dice);
    let write = dice.pick::<Writing>(&[spaced, numbered, commas, lines]);
    message(words, write, dice)
}

fn message(words: Vec<String>, write: Writing, dice: &mut Dice) -> Message {
    let text = carry(carriers::PHRASE, &write(&words, dice), dice);
    Message::hiding(text, vec![Secret::Phrase(words)])
}

/// 12 to 24 words as a keyboard gives them: composed letters.
fn phrase(language: Language, dice: &mut Dice) -> Vec<String> {
    let entropy: [u8; 32] = dice.bytes();
    let bytes = dice.pick(&[16, 16, 20, 24, 28, 32]);
    let mnemonic = Mnemonic::from_entropy_in(language, &entropy[..bytes]).unwrap();
    mnemonic.words().map(|word| word.nfc().collect()).collect()
}

fn electrum(dice: &mut Dice) -> Message {
    let language = dice.pick(&[Language::English, Language::English, Language::Spanish, Language::SimplifiedChinese]);
    let list = language.word_list();
    let words = loop {
        let words: Vec<&str> = (0..12).map(|_| dice.pick(list)).collect();
        if is_electrum_seed(&words, language) {
            break words.iter().map(|word| word.nfc().collect()).collect();
        }
    };
    let write = dice.pick::<Writing>(&[spaced, numbered, lines, commas, separators]);
    message(words, write, dice)
}

/// The seed's HMAC begins with 01 (standard).
/// Source: <https://electrum.readthedocs.io/en/latest/seedphrase.html>, "Version number".
fn is_electrum_seed(words: &[&str], language: Language) -> bool {
    let between = if language == Language::SimplifiedChinese { "" } else { " " };
    let seed = plain_letters(&words.join(between));
    let mut mac = Hmac::<Sha512>::new_from_slice(b"Seed version").unwrap();
    mac.update(seed.as_bytes());
    mac.finalize().into_bytes()[0] == 1
}

fn plain_letters(text: &str) -> String {
    text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect()
}

fn is_han(words: &[String]) -> bool {
    words.iter().all(|word| word.chars().all(|c| ('\u{3400}'..='\u{9fff}').contains(&c)))
}

/// Japanese phrases are written with the ideographic space.
fn spaced(words: &[String], dice: &mut Dice) -> String {
    let is_kana = words[0].chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c));
    words.join(if is_kana && dice.chance(0.5) { "\u{3000}" } else { " " })
}

fn capitals(words: &[String]) -> Vec<String> {
    let capital = |word: &String| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    };
    words.iter().map(capital).collect()
}

/// Han: so many characters, then a space. Other words: so many in a line.
fn groups(words: &[String], dice: &mut Dice) -> String {
    let size = dice.pick(&[2, 3, 4, 6]);
    let (within, between) = if is_han(words) { ("", " ") } else { (" ", "\n") };
    words.chunks(size).map(|group| group.join(within)).collect::<Vec<_>>().join(between)
}

fn numbered(words: &[String], dice: &mut Dice) -> String {
    let end = dice.pick(&["\n", " ", ", ", "\r\n", "  ", "；", ""]);
    let style = dice.below(9);
    let item = |(at, word): (usize, &String)| match (at + 1, style) {
        (number, 0) => format!("{number}. {word}"),
        (number, 1) => format!("{number}.{word}"),
        (number, 2) => format!("{number}) {word}"),
        (number, 3) => format!("({number}) {word}"),
        (number, 4) => format!("{number}、{word}"),
        (number, 5) => format!("#{number} {word}"),
        (number, 6) => format!("{number:02} {word}"),
        (number, 7) => {
            format!("{}{word}", char::from_u32(0x2460 + number as u32 - 1).filter(|_| number <= 20).unwrap_or('#'))
        }
        (number, _) => format!("{number}:{word}"),
    };
    words.iter().enumerate().map(item).collect::<Vec<_>>().join(end)
}

fn labelled(words: &[String], dice: &mut Dice) -> String {
    let end = dice.pick(&["\n", ", ", " ", "，"]);
    let style = dice.below(5);
    let item = |(at, word): (usize, &String)| match (at + 1, style) {
        (number, 0) => format!("word {number}: {word}"),
        (number, 1) => format!("第{number}个：{word}"),
        (number, 2) => format!("第{number}个词是{word}"),
        (number, 3) => format!("Word #{number} is {word}"),
        (number, _) => format!("w{number}={word}"),
    };
    words.iter().enumerate().map(item).collect::<Vec<_>>().join(end)
}

fn lines(words: &[String], dice: &mut Dice) -> String {
    words.join(dice.pick(&["\n", "\r\n", "\n\n", " \n", "\n- ", "\n• ", "\n> "]))
}

fn commas(words: &[String], dice: &mut Dice) -> String {
    words.join(dice.pick(&[",", ", ", "，", "、", ";", "; ", "；", " , ", ",\n"]))
}

fn separators(words: &[String], dice: &mut Dice) -> String {
    let between = dice.pick(&[
        "-", " - ", "_", "/", " / ", "|", " | ", "->", " → ", ".", "·", "+", " + ", "\t", "   ", "%20", "&nbsp;",
        "<br>", "*", "~", " & ", "\u{a0}", "\u{2003}", "…", ":", "=", "\\n", " # ", "😀", " 🔑 ",
    ]);
    words.join(between)
}

fn joined_by_a_word(words: &[String], dice: &mut Dice) -> String {
    words.join(dice.pick(&[" and ", " then ", " 然后 ", "，然后", " 和 ", "，接着是", ", next ", " comma ", " 空格 "]))
}

fn quoted_words(words: &[String], dice: &mut Dice) -> String {
    let (open, close) =
        dice.pick(&[("\"", "\""), ("'", "'"), ("“", "”"), ("`", "`"), ("**", "**"), ("[", "]"), ("「", "」")]);
    let quoted: Vec<String> = words.iter().map(|word| format!("{open}{word}{close}")).collect();
    quoted.join(dice.pick(&[" ", ", ", ",", "、", "\n", ""]))
}

fn two_parts(words: &[String], dice: &mut Dice) -> String {
    let (first, second) = words.split_at(words.len() / 2);
    let (before, between) = dice.pick(&[
        ("first half: ", " second half: "),
        ("前一半是 ", " 后一半是 "),
        ("", " and the rest is "),
        ("", "\n\n剩下的：\n"),
        ("", " (then on the other side of the paper) "),
    ]);
    format!("{before}{}{between}{}", first.join(" "), second.join(" "))
}

fn disguised(words: &[String], dice: &mut Dice, disguise: fn(&str, &mut Dice) -> String) -> String {
    let written = spaced(words, dice);
    disguise(&written, dice)
}

fn two_disguises(words: &[String], dice: &mut Dice) -> String {
    let write = dice.pick::<Writing>(&[numbered, lines, commas, separators]);
    let disguise = dice.pick::<fn(&str, &mut Dice) -> String>(&[
        disguise::zero_width,
        disguise::full_width,
        disguise::homoglyphs,
        disguise::upper,
        disguise::mixed_case,
    ]);
    let words: Vec<String> = words.iter().map(|word| disguise(word, dice)).collect();
    write(&words, dice)
}

/// One letter dropped, doubled, changed, or swapped with its neighbour; a Han character gives way to one that no list has.
fn misspell(words: &mut [String], dice: &mut Dice) {
    let at = dice.below(words.len());
    let mut letters: Vec<char> = words[at].chars().collect();
    if is_han(words) {
        words[at] = dice.pick(&['嗯', '啥', '咋', '哟', '呗']).into();
        return;
    }
    let spot = dice.below(letters.len() - 1);
    match dice.below(4) {
        0 => drop(letters.remove(spot)),
        1 => letters.insert(spot, letters[spot]),
        2 if words[at].is_ascii() => letters[spot] = dice.pick(LOWER.as_bytes()).into(),
        _ => letters.swap(spot, spot + 1),
    }
    words[at] = letters.into_iter().collect();
}

fn leave_out(words: &mut Vec<String>, dice: &mut Dice) {
    words.remove(dice.below(words.len()));
}
