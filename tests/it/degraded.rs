//! Each part switched off, through the real turn: the customer always gets something true, or a person.

use std::{ops::ControlFlow, sync::Arc};

use deskhand::{
    error::{Error, Result},
    index::{Index, statistics::Statistics},
    model::{
        Embed, EmbedAbilities, Generate, GenerateAbilities, Generator, Prompt, Side, Stop, TokenCounter,
        decode::Constraint,
        scripted::{ScriptedEmbedder, ScriptedGenerator},
    },
    store::State,
    turn::{
        Policy,
        guard::Class,
        judge::{Calibration, Judge},
        phrases::{card, phrase},
        reply::{Code, Mode, Outcome, Reply},
        shelf::Shelf,
    },
    words::Lang,
};

use super::sample::{Parts, REFUND, Stand, documents, judge};

const THEFT: &str = "somebody has emptied my wallet overnight";
/// What the guard has learnt where a test is about danger.
const LEARNT: &[(&str, Class)] = &[(THEFT, Class::Theft), (REFUND, Class::None)];

/// How a part breaks.
#[derive(Clone, Copy)]
enum Breaks {
    WithAnError,
    WithAPanic,
}

impl Breaks {
    fn act<T>(self) -> Result<T> {
        match self {
            Breaks::WithAnError => Err(Error::Inference("the test", "broken".into())),
            Breaks::WithAPanic => panic!("a test's model breaks on purpose"),
        }
    }
}

struct BrokenEmbedder(Breaks);

impl Embed for BrokenEmbedder {
    fn embed(&mut self, _: Side, _: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.0.act()
    }

    fn counter(&self) -> TokenCounter {
        ScriptedEmbedder.counter()
    }

    fn abilities(&self) -> EmbedAbilities {
        ScriptedEmbedder.abilities()
    }
}

struct BrokenGenerator(Breaks);

impl Generate for BrokenGenerator {
    fn generate(
        &mut self,
        _: &Prompt,
        _: Option<&mut dyn Constraint>,
        _: usize,
        _: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop> {
        self.0.act()
    }

    fn abilities(&self) -> GenerateAbilities {
        ScriptedGenerator::replies([]).abilities()
    }
}

/// Everything on.
fn parts() -> Parts {
    Parts {
        embedder: Some(Box::new(ScriptedEmbedder)),
        documents_embedder: Some(Box::new(ScriptedEmbedder)),
        generator: None,
        policy: Policy::default(),
        judge: judge(),
        guard: &[],
        contact_key: None,
        shelf: true,
    }
}

/// Says it in a conversation of its own; the reply as it is stored.
async fn ask(stand: &Stand, text: &str) -> Reply {
    let conversation = stand.bot.start("test", None, None).await.unwrap().id;
    let reply = stand.bot.say(conversation, text, None, None).await.unwrap().turn.unwrap().await.unwrap().unwrap();
    assert_eq!(reply.ticket.is_some(), reply.outcome == Outcome::Handoff, "a handoff is in the queue: {reply:?}");
    let held = stand.bot.store().conversation(conversation).await.unwrap().state;
    assert_eq!(held == State::Person, reply.outcome == Outcome::Handoff);
    reply
}

fn check_is_quoted(reply: &Reply) {
    assert_eq!((reply.outcome, reply.mode), (Outcome::Answer, Some(Mode::Verbatim)), "{reply:?}");
    assert_eq!(reply.citations[0].document, "refund-time");
}

/// Keywords are not enough to answer from, and enough to ask which question was meant.
fn check_is_offered(reply: &Reply) {
    assert_eq!((reply.outcome, reply.reason.code), (Outcome::Offer, Code::LowConfidence), "{reply:?}");
    assert_eq!(reply.offers[0].document, "refund-time", "{reply:?}");
}

fn check_is_sorry(reply: &Reply, text: &str) {
    assert_eq!((reply.outcome, reply.reason.code), (Outcome::Handoff, Code::Error), "{reply:?}");
    assert!(reply.text.starts_with(phrase(Lang::En, text)), "{}", reply.text);
    assert!(reply.case.is_some() && reply.citations.is_empty());
}

fn check_is_warned(reply: &Reply) {
    assert_eq!((reply.outcome, reply.mode), (Outcome::Handoff, Some(Mode::Card)), "{reply:?}");
    assert!(reply.text.starts_with(card("theft", Lang::En).unwrap().body.as_str().trim()), "{}", reply.text);
    let case = reply.case.as_ref().unwrap();
    assert_eq!((case.code, case.priority), (Code::Danger, 1));
}

#[tokio::test]
async fn without_a_generator_the_approved_text_is_quoted() {
    let composing = || Policy { composed: true, ..Policy::default() };
    let stand = Stand::of(Parts { policy: composing(), ..parts() }).await;
    check_is_quoted(&ask(&stand, REFUND).await);
    for breaks in [Breaks::WithAnError, Breaks::WithAPanic] {
        let generator = Generator::start(Box::new(BrokenGenerator(breaks)), 2).unwrap();
        let stand = Stand::of(Parts { policy: composing(), generator: Some(generator), ..parts() }).await;
        for _ in 0..3 {
            check_is_quoted(&ask(&stand, REFUND).await); // Also once its thread is gone.
        }
    }
}

#[tokio::test]
async fn without_an_embedder_keyword_hits_are_offered() {
    let stand = Stand::of(Parts { embedder: None, documents_embedder: None, ..parts() }).await;
    check_is_offered(&ask(&stand, REFUND).await);
    check_is_sorry(&ask(&stand, "zzz qqq").await, "handoff_error");
    for breaks in [Breaks::WithAnError, Breaks::WithAPanic] {
        let stand = Stand::of(Parts { embedder: Some(Box::new(BrokenEmbedder(breaks))), ..parts() }).await;
        for _ in 0..3 {
            check_is_offered(&ask(&stand, REFUND).await);
        }
    }
}

#[tokio::test]
async fn without_an_index_there_is_a_fixed_text_and_a_ticket() {
    let stand = Stand::of(Parts { shelf: false, ..parts() }).await;
    check_is_sorry(&ask(&stand, REFUND).await, "no_index");
    // What needs no index works as ever.
    assert_eq!(ask(&stand, "let me talk to a human").await.reason.code, Code::Asked);
}

/// A search that fails is never "no passages".
#[tokio::test]
async fn an_index_that_fails_ends_at_a_person() {
    let stand = Stand::of(Parts { guard: LEARNT, ..parts() }).await;
    check_is_quoted(&ask(&stand, REFUND).await);
    let folder = tempfile::tempdir().unwrap();
    let unbuilt = Index::open_embedded(folder.path(), 384, "scripted-1").unwrap().index;
    let shelf = Shelf::new("broken".to_owned(), documents(), unbuilt, Statistics::default(), judge());
    stand.bot.put_on_shelf(Some(Arc::new(shelf)));
    check_is_sorry(&ask(&stand, REFUND).await, "handoff_error");
    // A danger's first steps need no document.
    check_is_warned(&ask(&stand, THEFT).await);
}

#[tokio::test]
async fn a_turn_that_panics_ends_at_a_person() {
    // No calibration that was ever fitted looks like this: reading it is out of bounds.
    let broken = Calibration::Isotonic { x: vec![-1e9], y: vec![] };
    let stand = Stand::of(Parts { judge: Judge { calibration: broken, ..judge() }, guard: LEARNT, ..parts() }).await;
    check_is_sorry(&ask(&stand, REFUND).await, "handoff_error");
    // What was told before it broke is not taken back.
    check_is_warned(&ask(&stand, THEFT).await);
}

/// The guard's idea of what is off topic is that of a wallet; the knowledge may be of something else.
#[tokio::test]
async fn nothing_that_the_knowledge_is_about_is_off_topic() {
    const ASKED: &str = "sofa covers green oak tables my refund";
    const BODY: &str = "A refund arrives in 5 days. It has no fee. It goes back to the card.";
    const FOR_A_WALLET: &[(&str, Class)] = &[(ASKED, Class::OffTopic), (REFUND, Class::None), (BODY, Class::None)];
    const FOR_A_SHOP: &[(&str, Class)] = &[(ASKED, Class::OffTopic), (REFUND, Class::OffTopic), (BODY, Class::None)];
    let code = async |guard| {
        let stand = Stand::of(Parts { guard, ..parts() }).await;
        ask(&stand, ASKED).await.reason.code
    };
    assert_eq!(code(FOR_A_WALLET).await, Code::OffTopic);
    assert_ne!(code(FOR_A_SHOP).await, Code::OffTopic);
}
