//! Ways to write the same characters so that a simple search passes over them.

use super::dice::Dice;

/// Characters that take no room: zero-width spaces and joiners, the soft hyphen, the word joiner, marks of direction.
pub const INVISIBLE: [char; 10] = [
    '\u{200b}', '\u{200c}', '\u{200d}', '\u{feff}', '\u{ad}', '\u{2060}', '\u{200e}', '\u{200f}', '\u{180e}',
    '\u{2063}',
];

/// Latin letters and the Cyrillic and Greek ones that look like them.
pub const HOMOGLYPHS: [(char, &str); 30] = [
    ('a', "аα"),
    ('c', "сϲ"),
    ('d', "ԁ"),
    ('e', "еҽ"),
    ('g', "ց"),
    ('h', "һ"),
    ('i', "іι"),
    ('j', "јϳ"),
    ('k', "кκ"),
    ('n', "п"),
    ('o', "оο"),
    ('p', "рρ"),
    ('q', "ԛ"),
    ('s', "ѕ"),
    ('t', "тτ"),
    ('u', "υ"),
    ('v', "ѵν"),
    ('w', "ԝω"),
    ('x', "хχ"),
    ('y', "уγ"),
    ('A', "АΑ"),
    ('B', "ВΒ"),
    ('C', "СϹ"),
    ('E', "ЕΕ"),
    ('H', "НΗ"),
    ('K', "КΚ"),
    ('M', "МΜ"),
    ('P', "РΡ"),
    ('T', "ТΤ"),
    ('X', "ХΧ"),
];

pub fn zero_width(text: &str, dice: &mut Dice) -> String {
    let one = dice.pick(&INVISIBLE);
    let same = dice.chance(0.5);
    let every = dice.chance(0.5);
    let mut written = String::new();
    for c in text.chars() {
        written.push(c);
        if every || dice.chance(0.4) {
            written.push(if same { one } else { dice.pick(&INVISIBLE) });
        }
    }
    written
}

/// ASCII as wide as Han characters. Spaces stay, or become ideographic ones.
pub fn full_width(text: &str, dice: &mut Dice) -> String {
    let wide_space = dice.chance(0.5);
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(c as u32 + 0xfee0).unwrap_or(c),
        ' ' if wide_space => '\u{3000}',
        c => c,
    };
    text.chars().map(wide).collect()
}

/// Look-alikes for some or all of the letters that have one.
pub fn homoglyphs(text: &str, dice: &mut Dice) -> String {
    let share = dice.pick(&[0.2, 0.5, 1.0]);
    let greek = dice.chance(0.5);
    let mut alike = |c: char| {
        let found = HOMOGLYPHS.iter().find(|(latin, _)| *latin == c)?;
        let alike = if greek { found.1.chars().last() } else { found.1.chars().next() };
        alike.filter(|_| dice.chance(share))
    };
    text.chars().map(|c| alike(c).unwrap_or(c)).collect()
}

pub fn upper(text: &str, _: &mut Dice) -> String {
    text.to_uppercase()
}

pub fn mixed_case(text: &str, dice: &mut Dice) -> String {
    let flip = |c: char| if c.is_lowercase() { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() };
    text.chars().map(|c| if dice.chance(0.5) { flip(c) } else { c.to_string() }).collect()
}

/// In groups of a few characters, as one reads a long number aloud or copies it from paper.
pub fn grouped(text: &str, dice: &mut Dice) -> String {
    let size = dice.pick(&[3, 4, 4, 5, 8, 10, 16]);
    let between = dice.pick(&[" ", "-", "\n", " - ", "  ", "\u{a0}", "·", "_", ".", ", "]);
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(size).map(String::from_iter).collect::<Vec<_>>().join(between)
}

/// Broken over two or three lines, as a narrow window wraps it.
pub fn wrapped(text: &str, dice: &mut Dice) -> String {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(dice.between(2, 3));
    let end = dice.pick(&["\n", "\r\n", " \n", "\n  "]);
    characters.chunks(size).map(String::from_iter).collect::<Vec<_>>().join(end)
}

pub fn quoted(text: &str, dice: &mut Dice) -> String {
    let (open, close) = dice.pick(&[
        ("\"", "\""),
        ("'", "'"),
        ("“", "”"),
        ("「", "」"),
        ("`", "`"),
        ("**", "**"),
        ("```\n", "\n```"),
        ("(", ")"),
        ("【", "】"),
        ("<", ">"),
    ]);
    format!("{open}{text}{close}")
}

/// `\uXXXX`, as a program that logs JSON writes what is not ASCII (here also what is).
pub fn json_escaped(text: &str, _: &mut Dice) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

pub fn base64(text: &str, _: &mut Dice) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut written = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = bits >> (18 - 6 * place) & 63;
            written.push(if place > group.len() { '=' } else { ALPHABET[sextet as usize].into() });
        }
    }
    written
}
