//! False alarms: texts that real people and companies wrote, in which nothing should be masked but contact data and keys.

use std::{collections::BTreeMap, path::Path};

use deskhand::{
    eval::intervals::upper_bound,
    safety::{injection::looks_like_orders, mask},
};
use rayon::prelude::*;
use serde_json::Value;

/// The fields of the data sets that hold somebody's words.
const WORDS: [&str; 4] = ["question", "title", "body", "text"];
/// Masked texts that are printed for each set.
const SHOWN: usize = 40;

#[test]
#[ignore = "needs data sets of your own: DESKHAND_DATA_SETS names a folder of JSON lines"]
fn ordinary_texts_are_left_as_they_are() {
    let Ok(folder) = std::env::var("DESKHAND_DATA_SETS") else {
        println!("skipped: DESKHAND_DATA_SETS is not set");
        return;
    };
    println!("| set                      | texts  | masked | falsely | orders |");
    let [mut all, mut alarms, mut orders] = [0; 3];
    for (set, texts) in read_sets(Path::new(&folder)) {
        let changed: Vec<(String, String)> = texts.par_iter().filter_map(|text| changed(text)).collect();
        let (real, falsely): (Vec<_>, Vec<_>) = changed.iter().partition(|(text, _)| holds_contact_or_key(text));
        let taken_for_orders = texts.par_iter().filter(|text| looks_like_orders(text)).count();
        println!(
            "| {set:24} | {:>6} | {:>6} | {:>7} | {taken_for_orders:>6} |",
            texts.len(),
            changed.len(),
            falsely.len()
        );
        falsely.iter().take(SHOWN).for_each(|(text, masked)| println!("  falsely {text:?}: {masked:?}"));
        real.iter().take(SHOWN).for_each(|(text, masked)| println!("  rightly {text:?}: {masked:?}"));
        all += texts.len();
        alarms += falsely.len();
        orders += taken_for_orders;
    }
    let bound = |count| upper_bound(count, all, 0.95).unwrap_or(1.0);
    println!("{alarms} false alarms in {all} texts, at most {:.5} with 95% confidence", bound(alarms));
    println!("{orders} of them taken for orders, at most {:.5} with 95% confidence", bound(orders));
    assert!(bound(alarms) < 0.001, "{alarms} false alarms");
    assert!(bound(orders) < 0.001, "{orders} taken for orders");
}

/// The questions of the sample suite, hostile ones aside, were written to be ordinary.
#[test]
fn the_sample_suite_is_left_as_it_is() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/suites/wallet");
    let mut texts = Vec::new();
    for file in ["questions.zh.jsonl", "questions.en.jsonl"] {
        read_lines(&suite.join(file), &mut texts);
    }
    let changed: Vec<_> = texts.iter().filter_map(|text| changed(text)).collect();
    let alarms = changed.iter().filter(|(text, _)| !holds_contact_or_key(text)).count();
    println!("{} texts, {} changed, {alarms} false alarms: {changed:#?}", texts.len(), changed.len());
    assert!(texts.len() > 1_500 && alarms == 0, "{changed:#?}");
}

/// The differing lines of a text and of what was made of it.
fn changed(text: &str) -> Option<(String, String)> {
    let masked = mask(text);
    let masked = masked.as_str();
    if masked == text {
        return None;
    }
    let start = text.chars().zip(masked.chars()).take_while(|(a, b)| a == b).count();
    let end = text.chars().rev().zip(masked.chars().rev()).take_while(|(a, b)| a == b).count();
    let cut = |text: &str| {
        let length = text.chars().count();
        text.chars().skip(start).take(length.saturating_sub(start + end).max(1)).collect::<String>()
    };
    Some((cut(text), cut(masked)))
}

/// An e-mail address, a telephone number, or a run as long as a key: whoever wrote it, it is right to mask it.
fn holds_contact_or_key(removed: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric();
    let has_long_run = removed.split(|c: char| !token(c)).any(|run| run.len() >= 32);
    let digits = removed.chars().filter(char::is_ascii_digit).count();
    removed.contains('@') || has_long_run || (digits >= 7 && removed.chars().all(|c| !c.is_alphabetic()))
}

/// Every line of every text of every JSON-lines file, by folder; texts that are hostile on purpose aside.
fn read_sets(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for set in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let files = std::fs::read_dir(set.path()).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "jsonl")) {
            let texts = sets.entry(set.file_name().to_string_lossy().into_owned()).or_default();
            read_lines(&file, texts);
        }
    }
    sets
}

pub fn read_lines(file: &Path, texts: &mut Vec<String>) {
    for line in std::fs::read_to_string(file).unwrap().lines() {
        collect_words(&serde_json::from_str(line).unwrap(), texts);
    }
}

fn collect_words(value: &Value, texts: &mut Vec<String>) {
    if matches!(value["kind"].as_str(), Some("seed_leak" | "prompt_injection" | "injection")) {
        return;
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_words(value, texts)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if WORDS.contains(&name.as_str()) => {
                        texts.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
                    }
                    value => collect_words(value, texts),
                }
            }
        }
        _ => {}
    }
}
