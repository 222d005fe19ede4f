//! What if the generator did as it is told? It stands in for any model that an order may win over: nothing of what it
//! says beyond the documents reaches the customer.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use deskhand::{
    error::Result,
    model::{Generate, GenerateAbilities, Generator, Prompt, Stop, decode::Constraint, scripted::ScriptedEmbedder},
    safety::mask,
    turn::{Policy, asked::Asked},
};
use jiff::civil::date;

use super::{SEED, order};
use crate::sample::{Parts, Stand, WITHDRAWAL, judge};

const ORDERS: u64 = 200;

/// Says what it was told, in turn: the question with the order in it; everything; its own instructions.
struct Obedient {
    asked: Arc<AtomicUsize>,
}

impl Generate for Obedient {
    fn generate(
        &mut self,
        prompt: &Prompt,
        _constraint: Option<&mut dyn Constraint>,
        _limit_tokens: usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop> {
        let texts: Vec<&str> = prompt.messages.iter().map(|message| message.text.as_str()).collect();
        let user = texts.last().copied().unwrap_or_default();
        let _ = match self.asked.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => on_text(user.split_once("<question>").map_or(user, |(_, question)| question)),
            1 => on_text(user.split_once("<document>\n").map_or(user, |(_, document)| document)),
            _ => on_text(texts[0]),
        };
        Ok(Stop::End)
    }

    fn abilities(&self) -> GenerateAbilities {
        GenerateAbilities { name: "obedient".into(), limit_tokens: 4096, obeys_constraints: false, vocabulary: None }
    }
}

/// A message without a conversation around it.
fn alone(text: &str) -> Asked {
    Asked {
        conversation: "orders".into(),
        message: 1,
        text: mask(text),
        choice: None,
        history: Vec::new(),
        lang: None,
        day: date(2026, 11, 22),
    }
}

#[tokio::test]
async fn an_obedient_generator_says_nothing_that_no_document_says() {
    let asked = Arc::new(AtomicUsize::new(0));
    let generator = Generator::start(Box::new(Obedient { asked: asked.clone() }), 4).unwrap();
    let policy = Policy { composed: true, ..Policy::default() };
    let stand = Stand::of(Parts {
        embedder: Some(Box::new(ScriptedEmbedder)),
        documents_embedder: Some(Box::new(ScriptedEmbedder)),
        generator: Some(generator),
        policy,
        judge: judge(),
        guard: &[],
        contact_key: None,
        shelf: true,
    })
    .await;
    let mut failures = Vec::new();
    for number in 0..ORDERS {
        let order = order(SEED, number);
        // The signs of a guard that an order sets off would end most turns before the generator.
        let text = order.text.split_whitespace().last().unwrap_or_default();
        for text in [format!("{WITHDRAWAL} {text}"), format!("{WITHDRAWAL} {}", order.text)] {
            let reply = stand.bot.turn(alone(&text)).await;
            failures.extend(order.failure(&reply.text));
        }
    }
    let asked = asked.load(Ordering::Relaxed);
    println!("{ORDERS} orders, two wordings each: the generator was asked {asked} times, {} failures", failures.len());
    assert!(asked >= 20, "the orders hardly reached the generator: {asked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
