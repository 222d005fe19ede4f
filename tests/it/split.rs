//! A seed phrase that comes in parts: how much of it survives, and that ordinary conversations are left alone.
//!
//! A conversation is played the way the store plays it: each message is held against what is stored of the earlier ones.

use std::{fs, path::Path, time::Instant};

use bip39::{Language, Mnemonic};
use deskhand::safety::{Masked, incoming::Incoming, mask};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;

/// What is stored of a conversation after its last message, and how many texts were masked because of their neighbours.
fn converse<S: AsRef<str>>(said: &[S]) -> (Vec<Masked>, usize) {
    let mut stored: Vec<Masked> = Vec::new();
    let mut touched = 0;
    for text in said {
        let incoming = Incoming::new(text.as_ref());
        let from = stored.len().saturating_sub(deskhand::safety::incoming::LOOK_BACK);
        let joined = incoming.after(&stored[from..]);
        touched += joined.changed.len() + usize::from(joined.text != *incoming.text());
        for (at, change) in joined.changed {
            stored[from + at] = change.text().clone();
        }
        stored.push(joined.text);
    }
    (stored, touched)
}

/// Ways to say a part of a phrase inside a sentence.
const SENTENCES: &[&str] = &[
    "ok the first part is {}",
    "here it goes {}",
    "then {} ok?",
    "and after that {}",
    "the next ones are {} i think",
    "my words {}",
    "i wrote down {} on paper",
    "{} and there are more",
    "先是 {}",
    "然后是 {}",
    "后面的 {} 帮我看看",
    "接下来 {}",
];
const CHATTER: &[&str] =
    &["hello?", "are you there", "wait", "ok", "在吗", "好的", "sorry typing slowly", "next", "thank you"];
const BEFORE: &[&str] =
    &["how long does a withdrawal take?", "i cannot import my wallet", "转账一直打包中", "my card was declined"];

/// One way to break a phrase up.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    sizes: &'static [usize],
    /// Share of the parts that stand in a sentence, in percent.
    in_sentences: usize,
    /// Share of the parts with chatter behind them, in percent.
    chatter: usize,
    /// Phrases of which three words in a row, and five words in all, may survive: per thousand, with some air.
    limits: [usize; 2],
}

const WAYS: &[Way] = &[
    Way { name: "a word at a time", sizes: &[1], in_sentences: 0, chatter: 0, limits: [40, 30] },
    Way { name: "one to three words at a time", sizes: &[1, 2, 3], in_sentences: 0, chatter: 0, limits: [60, 40] },
    Way { name: "three words a sentence", sizes: &[3], in_sentences: 100, chatter: 0, limits: [250, 120] },
    Way { name: "four words a sentence", sizes: &[4], in_sentences: 100, chatter: 0, limits: [160, 110] },
    Way { name: "six words a sentence", sizes: &[6], in_sentences: 100, chatter: 0, limits: [110, 110] },
    Way { name: "anyhow, with chatter", sizes: &[1, 2, 3, 4, 6], in_sentences: 50, chatter: 30, limits: [290, 190] },
];

fn parts(words: &[&str], way: Way, random: &mut StdRng) -> Vec<String> {
    let mut said: Vec<String> = (0..2).map(|_| BEFORE[random.random_range(0..BEFORE.len())].to_owned()).collect();
    let mut rest = words;
    while !rest.is_empty() {
        let size = way.sizes[random.random_range(0..way.sizes.len())].min(rest.len());
        let part = rest[..size].join(" ");
        rest = &rest[size..];
        said.push(match random.random_range(0..100) < way.in_sentences {
            true => SENTENCES[random.random_range(0..SENTENCES.len())].replace("{}", &part),
            false => part,
        });
        if random.random_range(0..100) < way.chatter {
            said.push(CHATTER[random.random_range(0..CHATTER.len())].to_owned());
        }
    }
    said
}

/// (most words in a row, words in all) of the phrase that can still be read, in their order.
fn survivors(words: &[&str], stored: &[Masked]) -> (usize, usize) {
    let text = stored.iter().map(Masked::as_str).collect::<Vec<_>>().join("\n");
    let tokens: Vec<String> = text.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase).collect();
    let (mut from, mut row, mut longest, mut all) = (0, 0, 0, 0);
    for word in words {
        match tokens[from..].iter().position(|token| token == word) {
            Some(at) => {
                from += at + 1;
                row += 1;
                all += 1;
                longest = longest.max(row);
            }
            None => row = 0,
        }
    }
    (longest, all)
}

#[test]
fn a_phrase_in_parts_is_masked_as_a_whole() {
    const PHRASES: usize = 400;
    let mut random = StdRng::seed_from_u64(5);
    let mut failed = Vec::new();
    for way in WAYS {
        let mut leaks = [0, 0];
        let mut left = 0;
        for _ in 0..PHRASES {
            let entropy: [u8; 16] = random.random();
            let phrase = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();
            let words: Vec<&str> = phrase.words().collect();
            let said = parts(&words, *way, &mut random);
            let (row, all) = survivors(&words, &converse(&said).0[2..]);
            leaks[0] += usize::from(row >= 3);
            leaks[1] += usize::from(all >= 5);
            left += all;
        }
        let share = |count: usize| count as f64 / PHRASES as f64;
        println!(
            "{:30} three words in a row {:.3}, five in all {:.3}, words left {:.2} of 12",
            way.name,
            share(leaks[0]),
            share(leaks[1]),
            share(left)
        );
        if leaks.iter().zip(way.limits).any(|(leaks, limit)| leaks * 1000 > limit * PHRASES) {
            failed.push(way.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_phrase_in_two_halves_without_a_mask_of_their_own_is_found_by_its_checksum() {
    let mut random = StdRng::seed_from_u64(6);
    let (mut unmasked, mut found) = (0, 0);
    while unmasked < 200 {
        let entropy: [u8; 16] = random.random();
        let phrase = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();
        let words: Vec<&str> = phrase.words().collect();
        let said = [
            format!("it begins with {} i think", words[..6].join(" ")),
            format!("and ends with {}.", words[6..].join(" ")),
        ];
        if said.iter().any(|text| mask(text).as_str() != text) {
            continue;
        }
        unmasked += 1;
        found += usize::from(survivors(&words, &converse(&said).0).1 < 3);
    }
    println!("{found} of {unmasked} phrases in two halves, neither of which a single message gives away");
    assert!(found * 100 >= unmasked * 80, "{found} of {unmasked}");
}

#[test]
fn a_chinese_phrase_in_parts_is_masked() {
    const PHRASES: usize = 400;
    let ways: &[(&str, &[usize], u32, usize)] = &[
        ("a character at a time", &[1], 0, 10),
        ("a character at a time, with chatter", &[1], 30, 10),
        ("one to three characters", &[1, 2, 3], 0, 10),
        ("three characters", &[3], 0, 10),
        ("six characters", &[6], 0, 10),
    ];
    let mut random = StdRng::seed_from_u64(7);
    let mut failed = Vec::new();
    for (name, sizes, chatter, limit) in ways {
        let (mut left, mut leaks) = (0, 0);
        for _ in 0..PHRASES {
            let entropy: [u8; 16] = random.random();
            let phrase = Mnemonic::from_entropy_in(Language::SimplifiedChinese, &entropy).unwrap();
            let words: Vec<&str> = phrase.words().collect();
            let mut said = vec!["你好".to_owned(), "转账一直打包中".to_owned()];
            let mut rest = words.as_slice();
            while !rest.is_empty() {
                let size = sizes[random.random_range(0..sizes.len())].min(rest.len());
                said.push(rest[..size].join(" "));
                rest = &rest[size..];
                if random.random_range(0..100) < *chatter {
                    said.push(["在吗", "等一下", "好的"][random.random_range(0..3)].to_owned());
                }
            }
            let text: String = converse(&said).0[2..].iter().map(Masked::as_str).collect();
            let stays = |word: &&str| text.contains(*word);
            left += words.iter().filter(|word| stays(word)).count();
            leaks += usize::from(words.windows(3).any(|words| words.iter().all(stays)));
        }
        let share = |count: usize| count as f64 / PHRASES as f64;
        println!("{name:36} three in a row {:.3}, characters left {:.2} of 12", share(leaks), share(left));
        if leaks * 100 > limit * PHRASES {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn small_talk_is_left_alone() {
    let talks: &[&[&str]] = &[
        &["hello", "help", "agent", "human", "person please", "thank you", "sure", "okay", "cancel"],
        &["visa card", "debit", "gas fee", "swap", "bridge", "network error", "mobile", "today", "again"],
        &["human agent", "i want a human agent", "human agent now", "talk to human agent please", "human agent!!"],
        &["你好", "在吗", "人工", "好的", "怎么办", "谢谢", "没有", "是的", "不行", "提现", "多久"],
        &["是", "好", "对", "行", "嗯", "在", "要", "没", "有", "等", "快"],
        &["gas fee 怎么设置", "swap 失败", "bridge 也不行", "claim 呢", "token 没到", "network 选哪个"],
        &["which option", "the first one", "i already did that", "still nothing", "same error again", "what now"],
        &["monday", "morning", "around ten", "yes", "my bank", "gold card", "black card", "july", "august"],
    ];
    for talk in talks {
        let (stored, touched) = converse(talk);
        assert_eq!(touched, 0, "{stored:?}");
    }
}

/// Real conversations and shuffled single questions from a folder of JSON lines.
#[test]
fn ordinary_conversations_stay() {
    let Some(folder) = std::env::var_os("DESKHAND_DATA_TEXTS") else {
        println!("skipped: DESKHAND_DATA_TEXTS names no folder of JSON lines");
        return;
    };
    let mut conversations = Vec::new();
    let mut pools = Vec::new();
    read(Path::new(&folder), &mut conversations, &mut pools);
    let real = conversations.len();
    let mut random = StdRng::seed_from_u64(8);
    for pool in &mut pools {
        let mut short: Vec<String> = pool.iter().filter(|text| text.split_whitespace().count() <= 3).cloned().collect();
        for _ in 0..3 {
            pool.shuffle(&mut random);
            conversations.extend(pool.chunks(15).map(<[String]>::to_vec));
            short.shuffle(&mut random);
            conversations.extend(short.chunks(12).map(<[String]>::to_vec));
        }
    }
    let messages: usize = conversations.iter().map(Vec::len).sum();
    let mut alarms = Vec::new();
    // The same with a phrase that was masked in the middle: what stands beside it is suspected sooner.
    let mut beside = 0;
    // The same with two parts of a phrase: a third one is expected.
    let mut beside_parts = [0, 0];
    let mut microseconds = 0;
    for said in &conversations {
        let started = Instant::now();
        let (stored, touched) = converse(said);
        microseconds += started.elapsed().as_micros() as usize;
        if touched > 0 {
            alarms.push(format!("{said:#?}\n    -> {stored:#?}"));
        }
        let mut with_phrase = said.clone();
        with_phrase.insert(
            said.len() / 2,
            "legal winner thank year wave sausage worth useful legal winner thank yellow".to_owned(),
        );
        beside += converse(&with_phrase).1;
        let middle = said.len() / 2;
        let mut with_parts = said.clone();
        with_parts.insert(middle, "ok the first part is action guess gift wisdom poem buzz".to_owned());
        with_parts.insert(middle + 1, "and the rest: local cash decline chuckle chase cement".to_owned());
        let stored = converse(&with_parts).0;
        let others = with_parts.iter().zip(&stored).filter(|(said, stored)| {
            !said.contains("action guess") && !said.contains("local cash") && mask(said) != **stored
        });
        let others = others.count();
        beside_parts[0] += others;
        beside_parts[1] += usize::from(others > 0);
    }
    println!(
        "{} conversations ({real} real ones), {messages} messages: {} false alarms",
        conversations.len(),
        alarms.len()
    );
    println!("{} us a message to mask it and to hold it against the earlier ones", microseconds / messages);
    println!("with a phrase in the midst of each: {beside} other messages masked");
    println!("with two parts of one: {} others, in {} conversations", beside_parts[0], beside_parts[1]);
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
    assert!(beside * 50 <= conversations.len(), "{beside}");
    assert!(beside_parts[1] * 10 <= conversations.len() * 3, "{beside_parts:?}");
}

fn read(folder: &Path, conversations: &mut Vec<Vec<String>>, pools: &mut Vec<Vec<String>>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read(&path, conversations, pools);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".jsonl") || name.contains("adversarial") {
            continue;
        }
        let mut pool = Vec::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value["text"].as_str().unwrap_or_default().to_owned();
            let turns = line["turns"].as_array().or(line["history"].as_array());
            let mut said: Vec<String> =
                turns.into_iter().flatten().filter(|turn| turn["role"] == "user").map(text).collect();
            match line["question"].as_str() {
                Some(question) if turns.is_some() => said.push(question.to_owned()),
                Some(question) => pool.push(question.to_owned()),
                None => {}
            }
            if turns.is_some() {
                conversations.push(said);
            }
        }
        pools.push(pool);
    }
}

/// The phrases of BIP-39's own test vectors: what people type who only try it. Their words repeat, and many are everyday ones.
#[test]
fn the_phrases_that_everybody_knows_are_masked_in_parts_too() {
    let mut left = Vec::new();
    for entropy in [0x00u8, 0x7f, 0x80, 0xff] {
        for bytes in [16usize, 24, 32] {
            let phrase = Mnemonic::from_entropy_in(Language::English, &vec![entropy; bytes]).unwrap();
            let words: Vec<&str> = phrase.words().collect();
            for size in [1usize, 2, 3, 4, 6, 8, 12] {
                for lead in ["", "hello"] {
                    let mut said: Vec<String> = vec!["你好".to_owned(), lead.to_owned()];
                    said.extend(words.chunks(size).map(|part| part.join(" ")));
                    let stored = converse(&said).0;
                    let (row, all) = survivors(&words, &stored[2..]);
                    if row >= 3 || all >= 5 {
                        left.push(format!("{size} at a time: {row} in a row, {all} in all: {:?}", &stored[2..]));
                    }
                }
            }
        }
    }
    assert!(left.is_empty(), "{}\n{}", left.len(), left.join("\n"));
}
