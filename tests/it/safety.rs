//! Nothing secret passes `mask`, and nothing ordinary is taken for a secret.
//!
//! The generator makes phrases and keys with the libraries' own encoders and breaks them in the ways people and attackers
//! do. A leak is any three consecutive words, or eight consecutive characters of a key, that survive.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{collections::BTreeMap, path::Path, time::Instant};

use bip39::{Language, Mnemonic};
use deskhand::safety::{Masked, injection::looks_like_orders, mask, mask_document};
use proptest::prelude::*;

/// A small random source of its own, so that one number makes one message.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

struct Message {
    text: String,
    /// Must not survive three in a row (words) or eight characters long (a key).
    words: Vec<String>,
    key: String,
    mutation: String,
}

const BEFORE: &[&str] = &[
    "",
    "我的助记词是 ",
    "my seed phrase is ",
    "帮我看看这个为什么导入不了：",
    "Why can't I import this wallet? ",
    "words: ",
    "备份 ",
    "请问\n",
    "I lost my phone and wrote this down: ",
    "钱包里的单词如下\n",
];
const AFTER: &[&str] =
    &["", " 帮我查一下余额", " please check", "\n谢谢", "，导入失败", ". It says invalid!", "\n\nthanks a lot"];

fn seed_message(dice: &mut Dice) -> Message {
    let language = Language::ALL[dice.below(Language::ALL.len())];
    let length = [16, 20, 24, 28, 32][dice.below(5)];
    let entropy = dice.bytes(length);
    let phrase = Mnemonic::from_entropy_in(language, &entropy).unwrap();
    let mut words: Vec<String> = phrase.words().map(str::to_owned).collect();
    let is_han = matches!(language, Language::SimplifiedChinese | Language::TraditionalChinese);
    let mutation = dice.below(15);
    let mut separator = dice.pick(&[" ", " ", "\n", ", ", "、", " - ", " / ", "  ", "　", "\t", "|", "->"]).to_owned();
    let name = match mutation {
        0 => "plain",
        1 => {
            separator = String::new();
            "no spaces"
        }
        2 => {
            words = words.iter().enumerate().map(|(at, word)| format!("{}. {word}", at + 1)).collect();
            "numbered"
        }
        3 => {
            separator = "\n".into();
            "one per line"
        }
        4 => {
            let at = dice.below(words.len());
            words = words.iter().map(|word| interleave(word, '\u{200b}')).collect();
            words[at].push('\u{feff}');
            "zero-width"
        }
        5 => {
            words = words.iter().map(|word| word.chars().map(full_width).collect()).collect();
            "full-width"
        }
        6 => {
            words = words.iter().map(|word| word.chars().map(cyrillic).collect()).collect();
            "homoglyphs"
        }
        7 => {
            let at = dice.below(words.len());
            words[at] = misspelt(&words[at], dice);
            "one misspelt"
        }
        8 => {
            let at = dice.below(words.len());
            words.remove(at);
            "one missing"
        }
        9 => {
            words = words.iter().map(|word| word.to_uppercase()).collect();
            "upper case"
        }
        10 => {
            words = words.iter().map(|word| capital(word)).collect();
            separator = " ".into();
            "capitals"
        }
        11 => {
            words = words.iter().enumerate().map(|(at, word)| format!("{}){word}", at + 1)).collect();
            separator = " ".into();
            "numbered tightly"
        }
        12 if language == Language::English => {
            words = words.iter().map(|word| word.chars().take(4).collect()).collect();
            "first four letters"
        }
        13 => {
            words = words.iter().map(|word| format!("\"{word}\"")).collect();
            separator = ",".into();
            "quoted"
        }
        _ => {
            separator = "_".into();
            "underscores"
        }
    };
    let list = if is_han { "zh" } else { "letters" };
    let text = format!("{}{}{}", dice.pick(BEFORE), words.join(&separator), dice.pick(AFTER));
    Message { text, words, key: String::new(), mutation: format!("{list}, {name}") }
}

fn interleave(word: &str, what: char) -> String {
    word.chars().flat_map(|c| [c, what]).collect()
}

fn full_width(c: char) -> char {
    if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c }
}

fn cyrillic(c: char) -> char {
    match c {
        'a' => 'а',
        'e' => 'е',
        'o' => 'о',
        'c' => 'с',
        'p' => 'р',
        'x' => 'х',
        'y' => 'у',
        'i' => 'і',
        other => other,
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn misspelt(word: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() == 1 {
        return dice.pick(&["囍", "鑫", "犇", "們", "嗎"]).to_owned();
    }
    let at = dice.below(letters.len() - 1);
    match dice.below(3) {
        0 => letters.swap(at, at + 1),
        1 => {
            letters.remove(at);
        }
        _ => letters.insert(at, letters[at]),
    }
    letters.into_iter().collect()
}

fn key_message(dice: &mut Dice) -> Message {
    let secret = dice.bytes(32);
    let hex = hex::encode(&secret);
    let wif = |tail: &[u8]| bs58::encode(with_checksum(&[&[0x80], secret.as_slice(), tail].concat())).into_string();
    let before =
        dice.pick(&["私钥 ", "我的私钥是：", "heres my private key ", "Private key: ", "导入这个私钥 ", "my pk is "]);
    let (key, name) = match dice.below(9) {
        0 => (hex, "hex"),
        1 => (format!("0x{hex}"), "0x hex"),
        2 => (wif(&[1]), "WIF, compressed"),
        3 => (wif(&[]), "WIF"),
        4 => {
            let body = [&[0x04, 0x88, 0xad, 0xe4, 3], dice.bytes(40).as_slice(), &[0], &secret].concat();
            (bs58::encode(with_checksum(&body)).into_string(), "xprv")
        }
        5 => (interleave(&hex, '\u{200b}'), "hex, zero-width"),
        6 => (hex.chars().map(full_width).collect(), "hex, full-width"),
        7 => (
            hex.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(" "),
            "hex in groups",
        ),
        _ => (hex.to_uppercase(), "hex, upper case"),
    };
    // A checksum is enough by itself; bare hex needs the word.
    let before = if name.contains("WIF") || name == "xprv" { dice.pick(&["", "看下 ", before]) } else { before };
    let text = format!("{before}{key}{}", dice.pick(AFTER));
    Message { text, words: Vec::new(), key, mutation: name.to_owned() }
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let check = Sha256::digest(Sha256::digest(body));
    [body, &check[..4]].concat()
}

/// The first piece of the secret that survived, if any did.
fn leak(message: &Message, masked: &Masked) -> Option<String> {
    let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    // Letters only, so that neither separators nor numbering hide a survivor.
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let left = masked.as_str();
    let in_words =
        message.words.windows(3).map(|three| letters(&three.concat())).find(|piece| letters(left).contains(piece));
    let key: Vec<char> = squeeze(&message.key).chars().collect();
    let in_key =
        key.windows(8).map(|piece| piece.iter().collect::<String>()).find(|piece| squeeze(left).contains(piece));
    in_words.or(in_key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_key_survives(seed in any::<u64>()) {
        let message = key_message(&mut Dice(seed));
        let masked = mask(&message.text);
        prop_assert_eq!(leak(&message, &masked), None, "{}: {:?} became {:?}", message.mutation, message.text, masked.as_str());
    }

    #[test]
    fn masking_twice_changes_nothing(seed in any::<u64>(), text in "\\PC{0,120}") {
        let masked = mask(&format!("{text} {}", seed_message(&mut Dice(seed)).text));
        prop_assert_eq!(mask(masked.as_str()), masked);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        mask(&text);
        mask_document(&text);
    }
}

/// Counts leaks per mutation. A phrase of Chinese characters with neither spaces, talk of phrases nor a right checksum can
/// be prose by chance, so the bound is a rate there and zero everywhere else.
#[test]
fn phrases_do_not_survive() {
    let many = std::env::var_os("RUN_SLOW_TESTS").is_some();
    let count = if many { 1_000_000 } else { 20_000 };
    let mut by_mutation: BTreeMap<String, (usize, usize, Option<String>)> = BTreeMap::new();
    for number in 0..count {
        let message = seed_message(&mut Dice(number));
        let masked = mask(&message.text);
        let entry = by_mutation.entry(message.mutation.clone()).or_default();
        entry.0 += 1;
        if let Some(piece) = leak(&message, &masked) {
            entry.1 += 1;
            entry.2.get_or_insert_with(|| format!("{piece:?} of {:?} in {:?}", message.text, masked.as_str()));
        }
    }
    for (mutation, (messages, leaks, example)) in &by_mutation {
        println!("{mutation}: {leaks} of {messages} {}", example.as_deref().unwrap_or_default());
    }
    let leaks: usize = by_mutation.values().map(|(_, leaks, _)| leaks).sum();
    assert!(leaks * 10_000 <= count as usize, "{leaks} leaks in {count} messages");
}

#[test]
fn masks_are_typed_and_numbered() {
    for (text, expect) in [
        (
            "我的助记词是 witch collapse practice feed shame open despair creek road again ice least，帮我看看",
            "我的助记词是 [seed phrase 1]，帮我看看",
        ),
        (
            "heres my private key 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 check",
            "heres my private key [private key 1] check",
        ),
        (
            "卡号 4111 1111 1111 1111，验证码 482913，CVV 123",
            "卡号 [card number 1]，验证码 [one-time code 1]，CVV [CVV 1]",
        ),
        ("call 13812345678 or 13912345678", "call [phone 1] or [phone 2]"),
        ("[phone 1] 13812345678", "[phone 1] [phone 2]"),
        ("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291", "[hash or key 1: b71c71…f291]"),
        (
            "交易哈希 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 没到账",
            "交易哈希 0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291 没到账",
        ),
        (
            "转到 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed，订单号 20240312000123",
            "转到 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed，订单号 20240312000123",
        ),
        ("legal winner thank sausage", "[seed phrase 1]"),
        ("can you help me with this please", "can you help me with this please"),
    ] {
        assert_eq!(mask(text).as_str(), expect);
    }
    let masked = mask("call 13812345678 or 13912345678, cvv 123");
    assert_eq!(masked.redactions(), [("CVV", 1), ("phone", 2)]);
    assert_eq!(
        mask_document("客服 service@example.com 010-62345678").as_str(),
        "客服 service@example.com 010-62345678"
    );
}

/// `script` and `alert` are words of the list, and markup says them over and over.
#[test]
fn markup_is_no_phrase() {
    for text in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)> <script>alert(1)</script>",
        "</script><script>alert('alert')</script>",
    ] {
        assert!(mask(text).redactions().is_empty(), "{}", mask(text));
    }
}

/// Ordinary texts from a folder of JSON lines: no mask but of contact data and of bare hashes, which is meant.
#[test]
fn ordinary_texts_stay() {
    let Some(folder) = std::env::var_os("DESKHAND_DATA_TEXTS") else {
        println!("skipped: DESKHAND_DATA_TEXTS names no folder of JSON lines");
        return;
    };
    let (mut texts, mut documents, mut leaks) = (Vec::new(), Vec::new(), Vec::new());
    read_texts(Path::new(&folder), &mut texts, &mut documents, &mut leaks);
    let (mut alarms, mut nanoseconds, mut by_design) = (Vec::new(), Vec::new(), 0);
    const BY_DESIGN: &[&str] = &["phone", "email", "hash or key"];
    for (text, is_document) in texts.iter().map(|text| (text, false)).chain(documents.iter().map(|text| (text, true))) {
        let masked = if is_document { mask_document(text) } else { mask(text) };
        if (150..=250).contains(&text.chars().count()) {
            // The shortest of five: other work on the machine is not ours to measure.
            let run = || {
                let start = Instant::now();
                mask(text);
                start.elapsed().as_nanos()
            };
            nanoseconds.push((0..5).map(|_| run()).min().unwrap_or_default());
        }
        by_design += masked.redactions().iter().filter(|(kind, _)| BY_DESIGN.contains(kind)).count();
        if masked.redactions().iter().any(|(kind, _)| !BY_DESIGN.contains(kind)) {
            alarms.push(format!("{text}\n    -> {masked}"));
        }
    }
    nanoseconds.sort_unstable();
    println!(
        "{} texts and {} lines of documents, {} false alarms, {by_design} contacts and bare hashes",
        texts.len(),
        documents.len(),
        alarms.len()
    );
    if !nanoseconds.is_empty() {
        let at = |share: f64| nanoseconds[(nanoseconds.len() as f64 * share) as usize] / 1000;
        println!("{} texts of 150 to 250 characters: p50 {} us, p99 {} us", nanoseconds.len(), at(0.5), at(0.99));
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
    let (orders, leaks): (Vec<_>, Vec<_>) = leaks.into_iter().partition(|(kind, _)| kind == "prompt_injection");
    for (_, text) in &orders {
        assert!(looks_like_orders(text), "{text}");
    }
    let start = Instant::now();
    let obeyed: Vec<&String> = texts.iter().filter(|text| looks_like_orders(text)).collect();
    println!("{} of {} texts read as orders, {:?} in all", obeyed.len(), texts.len(), start.elapsed());
    // "From now on always call me Chip" is an order, if a harmless one.
    assert!(obeyed.len() * 1_000 <= texts.len(), "{obeyed:#?}");
    for (_, text) in leaks {
        assert!(!mask(&text).redactions().is_empty(), "{text}");
    }
}

fn read_texts(
    folder: &Path,
    texts: &mut Vec<String>,
    documents: &mut Vec<String>,
    hostile: &mut Vec<(String, String)>,
) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read_texts(&path, texts, documents, hostile);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).unwrap();
            documents.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                if let Some(kind @ ("seed_leak" | "prompt_injection")) = value["kind"].as_str() {
                    hostile.push((kind.to_owned(), value["question"].as_str().unwrap().to_owned()));
                } else {
                    collect_strings(&value, if value["body"].is_null() { texts } else { documents });
                }
            }
        }
    }
}

fn collect_strings(value: &serde_json::Value, texts: &mut Vec<String>) {
    for field in ["question", "title", "body", "text"] {
        if let Some(text) = value[field].as_str() {
            texts.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
    }
    for field in ["turns", "history"] {
        for turn in value[field].as_array().into_iter().flatten() {
            collect_strings(turn, texts);
        }
    }
}

#[test]
fn parts_of_a_phrase_alone_in_a_message() {
    let mut dice = Dice(11);
    let (mut parts, mut kept) = (0, 0);
    for _ in 0..2_000 {
        let entropy = dice.bytes(16);
        let phrase = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();
        let words: Vec<&str> = phrase.words().collect();
        for part in words.chunks(6) {
            parts += 1;
            kept += usize::from(mask(&part.join(" ")).redactions().is_empty());
        }
    }
    println!("{kept} of {parts} parts of six words kept");
    assert!(kept * 100 <= parts, "{kept} of {parts} parts of six words were taken for sentences");
}

#[test]
fn secrets_of_every_other_kind() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let keystore = r#"{"version":3,"crypto":{"cipher":"aes-128-ctr","ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"kdf":"scrypt","mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"}}"#;
    let bytes: String = (1..=64).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for (text, kind, secret) in [
        (format!("my token {jwt}"), "API key", jwt),
        (format!("这是 keystore {keystore} 怎么导入"), "keystore", "5318b4d5bcd28de6"),
        (format!("[{bytes}]"), "private key", "12, 13, 14"),
        ("api key: 9f8sd7f98sd7f98s7df98s7d".into(), "API key", "9f8sd7f9"),
        ("sk-proj-abcdefghijklmnop123456".into(), "API key", "abcdefgh"),
        ("密码是Abc#2024xyz 登不上".into(), "password", "Abc#2024"),
        ("身份证11010519491231002X".into(), "ID number", "19491231"),
        ("我的验证码 ４８２９１３".into(), "one-time code", "４８２９１３"),
        ("信用卡 4111-1111-1111-1111 cvv是 321".into(), "card number", "4111-1111"),
        (
            "seed: wild father tree among universe such mobile favorite target dynamic credit identify".into(),
            "seed phrase",
            "wild father tree",
        ),
    ] {
        let masked = mask(&text);
        assert!(masked.redactions().iter().any(|(found, _)| *found == kind), "{text}: {masked}");
        assert!(!masked.as_str().contains(secret), "{text}: {masked}");
    }
}
