//! Hostile messages by the million: what must be masked is masked however it is written, what support needs to see stays.
//!
//! A message is made from a seed and its number alone, so any line of the table can be made again. The generator knows
//! what must be hidden and shown, not how `safety` finds it.

mod carriers;

mod codes;

mod dice;

mod disguise;

mod encodings;

mod keys;

mod leak;

mod messages;

mod obedient;

mod orders;

mod ordinary;

mod phrases;

mod speed;

mod visible;

use deskhand::{eval::intervals::upper_bound, safety::mask};
use rayon::prelude::*;

pub use leak::{Secret, readings_of_bytes};
pub use messages::{Message, Mutation, mutations};
pub use orders::order;

use self::{dice::Dice, leak::Said};

const SEED: u64 = 20_261_122;
/// Leaks of one mutation that are printed in full.
const SHOWN: usize = 3;

/// What came of one row of a table.
#[derive(Default)]
struct Row {
    messages: usize,
    failures: usize,
    examples: Vec<String>,
}

impl Row {
    fn of(failure: Option<String>) -> Self {
        Row { messages: 1, failures: usize::from(failure.is_some()), examples: failure.into_iter().collect() }
    }

    fn and(mut self, other: Row) -> Self {
        self.messages += other.messages;
        self.failures += other.failures;
        self.examples.extend(other.examples.into_iter().take(SHOWN.saturating_sub(self.examples.len())));
        self
    }
}

/// Message `number` of the run.
pub fn message(number: u64) -> (Mutation, Message) {
    let mutations = mutations();
    let mutation = mutations[number as usize % mutations.len()];
    (mutation, mutation.1(&mut Dice::new(SEED, number)))
}

/// What leaks from a text that should hide this message's secrets.
pub fn leak(message: &Message, text: &str) -> Option<String> {
    let said = Said::of_text(text);
    message.hidden.iter().find_map(|secret| secret.leak(&said))
}

fn masked_leak(make: fn(&mut Dice) -> Message, dice: &mut Dice) -> Option<String> {
    let message = make(dice);
    let masked = mask(&message.text);
    let leak = leak(&message, masked.as_str())?;
    Some(format!("`{leak}` in {:?}\n    of {:?}", masked.as_str(), message.text))
}

fn table<Make: Copy + Sync>(
    title: &str,
    rows: &[(&'static str, Make)],
    messages: usize,
    failure: fn(Make, &mut Dice) -> Option<String>,
) -> usize {
    let each = messages.div_ceil(rows.len());
    println!("| {title:38} | messages | failures |\n| --- | ---: | ---: |");
    let mut failures = 0;
    for (at, (name, make)) in rows.iter().enumerate() {
        let numbers = (0..each).into_par_iter().map(|round| (round * rows.len() + at) as u64);
        let row = numbers.map(|number| Row::of(failure(*make, &mut Dice::new(SEED, number))));
        let row = row.reduce(Row::default, Row::and);
        println!("| {name:38} | {:>8} | {:>8} |", row.messages, row.failures);
        row.examples.iter().for_each(|example| println!("  {example}"));
        failures += row.failures;
    }
    let bound = upper_bound(failures, each * rows.len(), 0.95).unwrap_or(1.0);
    println!("{failures} of {}, at most {bound:.2e} with 95% confidence\n", each * rows.len());
    failures
}

fn wanted_messages(default: usize) -> usize {
    std::env::var("DESKHAND_MESSAGES").ok().and_then(|messages| messages.parse().ok()).unwrap_or(default)
}

#[test]
fn hostile_messages_leak_nothing() {
    assert_eq!(table("mutation", &mutations(), 20_000, masked_leak), 0);
}

/// With this seed nothing passes; with others up to two in a million do: common words or characters that could be prose by
/// chance, since what would stop them masks ordinary questions.
#[test]
#[ignore = "slow: DESKHAND_MESSAGES (one million) messages, minutes"]
fn a_million_hostile_messages_leak_next_to_nothing() {
    let messages = wanted_messages(1_000_000);
    let leaks = table("mutation", &mutations(), messages, masked_leak);
    assert!(leaks <= messages.div_ceil(500_000), "{leaks} leaks");
}

/// A leak finder that finds nothing would prove anything.
#[test]
fn unmasked_messages_all_leak() {
    let silent: Vec<String> = (0..5_000)
        .map(message)
        .filter(|(_, message)| leak(message, &message.text).is_none())
        .map(|(mutation, message)| format!("{}: {message:?}", mutation.0))
        .collect();
    assert!(silent.is_empty(), "{} of 5,000:\n{}", silent.len(), silent.join("\n"));
}

#[test]
fn what_support_needs_stays_visible() {
    let hidden = table("what must stay", visible::KINDS, wanted_messages(8_000), |make, dice| {
        let message = make(dice);
        let masked = mask(&message.text);
        let hidden = masked.as_str() != message.text && !masked.as_str().contains(&message.shown);
        hidden.then(|| format!("{:?} became {:?}", message.text, masked.as_str()))
    });
    assert_eq!(hidden, 0);
}
