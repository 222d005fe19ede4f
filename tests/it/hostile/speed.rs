//! Nobody waits for the mask: how long it takes for ordinary and hostile messages, in Chinese and in English.

use std::{path::Path, time::Instant};

use deskhand::{eval::intervals::percentile, safety::mask};

use super::{carriers::FILLER, message, ordinary};

const CHARACTERS: usize = 200;
const MESSAGES: usize = 4_000;
/// At the 99th percentile, in microseconds: 100 in a release build on an idle machine, a few times that wherever else this
/// test runs.
const LIMIT_US: f64 = 400.0;

#[test]
fn masking_200_characters_takes_microseconds() {
    let cut = |text: &str| text.chars().cycle().take(CHARACTERS).collect::<String>();
    let hostile = (0..MESSAGES).map(|number| {
        let filler = FILLER[number % FILLER.len()];
        cut(&format!("{} {filler}", message(number as u64).1.text))
    });
    let hostile: Vec<String> = hostile.collect();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/suites/wallet");
    let mut slow = Vec::new();
    for (language, file, is_of_it) in [
        ("zh", "questions.zh.jsonl", is_chinese as fn(&str) -> bool),
        ("en", "questions.en.jsonl", |text| !is_chinese(text)),
    ] {
        let mut questions = Vec::new();
        ordinary::read_lines(&suite.join(file), &mut questions);
        // As many questions as make up the length, each time beginning with another.
        let from = |at: usize| cut(&questions[at..].join(" "));
        let questions: Vec<String> = (0..questions.len()).map(from).collect();
        let hostile: Vec<String> = hostile.iter().filter(|text| is_of_it(text)).cloned().collect();
        for (what, texts) in [("ordinary", questions), ("hostile", hostile)] {
            let took: Vec<f64> = texts.iter().map(|text| microseconds(text)).collect();
            let [p50, p99] = [50.0, 99.0].map(|percent| percentile(&took, percent).unwrap());
            println!(
                "mask, {CHARACTERS} characters, {what} {language} ({}): p50 {p50:.0} us, p99 {p99:.0} us",
                took.len()
            );
            if p99 > LIMIT_US {
                slow.push(format!("{what} {language}: {p99:.0} us"));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

/// The best of three: what else runs on the machine does not count.
fn microseconds(text: &str) -> f64 {
    let once = || {
        let started = Instant::now();
        let masked = mask(text);
        let took = started.elapsed().as_secs_f64() * 1e6;
        assert!(!masked.as_str().is_empty());
        took
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn is_chinese(text: &str) -> bool {
    let han = text.chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count();
    3 * han > text.chars().count()
}
