//! Codes, passwords, cards, identity numbers and contact data.

use super::{
    carriers::{self, carry, inside_text},
    dice::{DIGITS, Dice, LETTERS_AND_DIGITS, LOWER},
    disguise,
    leak::Secret,
    messages::{Message, Mutation},
};

pub const MUTATIONS: &[Mutation] = &[
    ("one-time code, zh", |dice| code(carriers::CODE_ZH, dice, plain)),
    ("one-time code, en", |dice| code(carriers::CODE_EN, dice, plain)),
    ("one-time code, in two groups", |dice| code(&[carriers::CODE_ZH, carriers::CODE_EN].concat(), dice, halves)),
    ("one-time code, full-width", |dice| {
        code(&[carriers::CODE_ZH, carriers::CODE_EN].concat(), dice, disguise::full_width)
    }),
    ("one-time code, zero-width", |dice| {
        code(&[carriers::CODE_ZH, carriers::CODE_EN].concat(), dice, disguise::zero_width)
    }),
    ("one-time code, inside long text", |dice| {
        long(code(&[carriers::CODE_ZH, carriers::CODE_EN].concat(), dice, plain), dice)
    }),
    ("password, zh", |dice| password(carriers::PASSWORD_ZH, dice, plain)),
    ("password, en", |dice| password(carriers::PASSWORD_EN, dice, plain)),
    ("password, quoted", |dice| {
        password(&[carriers::PASSWORD_ZH, carriers::PASSWORD_EN].concat(), dice, disguise::quoted)
    }),
    ("password, full-width", |dice| password(carriers::PASSWORD_ZH, dice, disguise::full_width)),
    ("CVV", cvv),
    ("card, plain", |dice| card(dice, plain)),
    ("card, spaced", |dice| card(dice, |number, dice| fours(number, dice, &[" ", "  ", "\u{a0}"]))),
    ("card, dashed", |dice| card(dice, |number, dice| fours(number, dice, &["-", " - ", "–", "."]))),
    ("card, full-width", |dice| card(dice, disguise::full_width)),
    ("card, zero-width", |dice| card(dice, disguise::zero_width)),
    ("card, inside long text", |dice| long(card(dice, |number, dice| fours(number, dice, &[" ", "-", ""])), dice)),
    ("identity number, plain", |dice| identity(dice, plain)),
    ("identity number, spaced or dashed", |dice| {
        identity(dice, |number, dice| {
            let between = dice.pick(&[" ", "-", "\u{a0}"]);
            [&number[..6], &number[6..14], &number[14..]].join(between)
        })
    }),
    ("identity number, full-width", |dice| identity(dice, disguise::full_width)),
    ("identity number, zero-width", |dice| identity(dice, disguise::zero_width)),
    ("phone, plain", |dice| phone(dice, plain)),
    ("phone, full-width", |dice| phone(dice, disguise::full_width)),
    ("phone, zero-width", |dice| phone(dice, disguise::zero_width)),
    ("e-mail, plain", |dice| email(dice, plain)),
    ("e-mail, upper or mixed case", |dice| email(dice, disguise::mixed_case)),
    ("e-mail, full-width", |dice| email(dice, disguise::full_width)),
    ("e-mail, zero-width", |dice| email(dice, disguise::zero_width)),
];

type Disguise = fn(&str, &mut Dice) -> String;

fn plain(text: &str, _: &mut Dice) -> String {
    text.to_owned()
}

fn long(mut message: Message, dice: &mut Dice) -> Message {
    message.text = inside_text(&message.text, dice);
    message
}

fn code(carriers: &[&str], dice: &mut Dice, disguise: Disguise) -> Message {
    let length = dice.pick(&[4, 6, 6, 6, 8]);
    let code = dice.string(DIGITS, length);
    let written = disguise(&code, dice);
    Message::hiding(carry(carriers, &written, dice), vec![Secret::Whole(code)])
}

fn halves(code: &str, dice: &mut Dice) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first}{}{second}", dice.pick(&[" ", "-", "  "]))
}

/// As people choose them: a word with digits, mixed characters, or a string from a generator.
fn password(carriers: &[&str], dice: &mut Dice, disguise: Disguise) -> Message {
    let digits = dice.between(2, 4);
    let letters = dice.between(4, 8);
    let password = match dice.below(4) {
        0 => format!("{}{}", dice.string(LOWER, letters), dice.string(DIGITS, digits)),
        1 => format!(
            "{}{}{}",
            dice.pick(&["Xx", "Hello", "Wang", "Qq", "Love"]),
            dice.pick(&['@', '!', '#', '_', '.']),
            dice.string(DIGITS, digits)
        ),
        2 => dice.token(LETTERS_AND_DIGITS, 8 + letters),
        _ => format!(
            "{}{}{}!",
            dice.token(LETTERS_AND_DIGITS, 4),
            dice.pick(&['$', '%', '&', '*', '-']),
            dice.token(LETTERS_AND_DIGITS, 4)
        ),
    };
    let written = disguise(&password, dice);
    Message::hiding(carry(carriers, &written, dice), vec![Secret::Whole(password)])
}

fn cvv(dice: &mut Dice) -> Message {
    let length = dice.pick(&[3, 3, 3, 4]);
    let cvv = dice.string(DIGITS, length);
    Message::hiding(carry(carriers::CVV, &cvv, dice), vec![Secret::Whole(cvv)])
}

fn card(dice: &mut Dice, disguise: Disguise) -> Message {
    let number = card_number(dice);
    let written = disguise(&number, dice);
    Message::hiding(carry(carriers::CARD, &written, dice), vec![Secret::Key(number)])
}

/// An issuer's prefix, its length, and Luhn's digit at the end.
/// Source: ISO/IEC 7812-1, annex B.
fn card_number(dice: &mut Dice) -> String {
    let (prefix, length) = dice.pick(&[
        ("4", 16),
        ("4", 16),
        ("51", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("62", 16),
        ("6222", 19),
        ("6217", 19),
        ("6228", 18),
        ("3528", 16),
        ("6011", 16),
        ("36", 14),
    ]);
    let body = format!("{prefix}{}", dice.string(DIGITS, length - 1 - prefix.len()));
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let digits = body.bytes().rev().map(|c| u32::from(c - b'0')).enumerate();
    let sum: u32 = digits.map(|(at, digit)| if at % 2 == 0 { doubled(digit) } else { digit }).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// As it stands on the card: fours; American Express 4-6-5.
fn fours(number: &str, dice: &mut Dice, between: &[&str]) -> String {
    let between = dice.pick(between);
    if number.len() == 15 {
        return [&number[..4], &number[4..10], &number[10..]].join(between);
    }
    let groups: Vec<String> = number.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into()).collect();
    groups.join(between)
}

fn identity(dice: &mut Dice, disguise: Disguise) -> Message {
    let number = identity_number(dice);
    let number = if dice.chance(0.3) { number.to_lowercase() } else { number };
    let written = disguise(&number, dice);
    Message::hiding(carry(carriers::IDENTITY, &written, dice), vec![Secret::Key(number)])
}

/// Place, birthday, serial number, check character.
/// Source: GB 11643-1999 (ISO 7064, MOD 11-2).
fn identity_number(dice: &mut Dice) -> String {
    let place = dice.pick(&["110101", "310104", "440305", "510107", "330106", "420111", "610113", "350203"]);
    let (year, month, day) = (dice.between(1950, 2012), dice.between(1, 12), dice.between(1, 28));
    let body = format!("{place}{year}{month:02}{day:02}{}", dice.string(DIGITS, 3));
    let weighted = body.bytes().enumerate().map(|(at, c)| usize::from(c - b'0') * ((1 << (17 - at)) % 11));
    let check = (12 - weighted.sum::<usize>() % 11) % 11;
    format!("{body}{}", "0123456789X".as_bytes()[check] as char)
}

fn phone(dice: &mut Dice, disguise: Disguise) -> Message {
    let pattern = dice.pick(&[
        "13#########",
        "158########",
        "186########",
        "199########",
        "+86 138########",
        "+86-150########",
        "0086 13#########",
        "138 #### ####",
        "159-####-####",
        "+1 (415) 5##-####",
        "+1 646 5## ####",
        "+44 7911 ######",
        "+65 9### ####",
        "+852 9### ####",
        "+886 9## ### ###",
        "+81 90-####-####",
        "+49 151 ########",
        "+971 50 ### ####",
    ]);
    let number = dice.digits(pattern);
    let written = disguise(&number, dice);
    // The country and the operator are no secret.
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    Message::hiding(carry(carriers::PHONE, &written, dice), vec![Secret::Key(digits)])
}

fn email(dice: &mut Dice, disguise: Disguise) -> Message {
    let name = dice.pick(&["li.ming", "wang", "anna_k", "zhang-wei", "j.smith", "crypto.fan", "maria+wallet"]);
    let name = format!("{name}{}", dice.digits("####"));
    let host =
        dice.pick(&["gmail.com", "qq.com", "163.com", "outlook.com", "proton.me", "mail.example.co.uk", "foxmail.com"]);
    let written = disguise(&format!("{name}@{host}"), dice);
    Message::hiding(carry(carriers::EMAIL, &written, dice), vec![Secret::Whole(name)])
}
