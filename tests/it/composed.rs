//! Composed answers through the real conversation: sentences leave while the generator writes, and stop with it.

use std::{
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering, mpsc::Sender},
    time::{Duration, Instant},
};

use deskhand::{
    model::{
        Generator,
        scripted::{ScriptedEmbedder, ScriptedGenerator},
    },
    store::{Event, Role},
    turn::{
        Policy,
        reply::{Mode, Outcome, Reply},
    },
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::sample::{Parts, REFUND, Stand, WITHDRAWAL, judge};

const WHOLE: &str = "A refund arrives in 5 days. It has no fee. It goes back to the card.";
const INVENTED: &str = "A refund arrives in 5 days. It has a fee of 9 dollars. It goes back to the card.";

/// A bot that composes, and a gate that lets its generator say one word per signal.
struct Composing {
    stand: Stand,
    generator: Generator,
    gate: Option<Sender<()>>,
    words_said: Arc<AtomicUsize>,
}

impl Composing {
    async fn of<const N: usize>(replies: [&str; N], slots: usize) -> Self {
        let (scripted, gate) = ScriptedGenerator::gated(replies);
        let words_said = scripted.words_said();
        let generator = Generator::start(Box::new(scripted), slots).unwrap();
        let parts = Parts {
            embedder: Some(Box::new(ScriptedEmbedder)),
            documents_embedder: Some(Box::new(ScriptedEmbedder)),
            generator: Some(generator.clone()),
            policy: Policy { composed: true, ..Policy::default() },
            judge: judge(),
            guard: &[],
            contact_key: None,
            shelf: true,
        };
        Composing { stand: Stand::of(parts).await, generator, gate: Some(gate), words_said }
    }

    /// Lets the generator say so many words more.
    fn let_say(&self, words: usize) {
        (0..words).for_each(|_| self.gate.as_ref().unwrap().send(()).unwrap());
    }

    /// Lets it say all it wants.
    fn open_gate(&mut self) {
        self.gate = None;
    }

    async fn conversation(&self) -> Uuid {
        self.stand.bot.start("test", None, None).await.unwrap().id
    }

    async fn say(&self, conversation: Uuid, text: &str) -> JoinHandle<Option<Reply>> {
        self.stand.bot.say(conversation, text, None, None).await.unwrap().turn.unwrap()
    }

    async fn events(&self, conversation: Uuid, kind: &str) -> Vec<Event> {
        let mut events = self.stand.bot.store().events(conversation, 0).await.unwrap();
        events.retain(|event| event.kind == kind);
        events
    }

    /// The sentences told, once there are so many.
    async fn sentences(&self, conversation: Uuid, count: usize) -> Vec<Event> {
        let started = Instant::now();
        loop {
            let sentences = self.events(conversation, "sentence").await;
            if sentences.len() >= count {
                return sentences;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "only {sentences:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Gives the generator time to do what it must not do, and counts its words.
    async fn words_in_the_end(&self) -> usize {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.words_said.load(Ordering::SeqCst)
    }
}

fn text_of(events: &[Event]) -> String {
    events.iter().map(|event| event.json["text"].as_str().unwrap()).collect()
}

fn words(text: &str) -> usize {
    text.split_inclusive(' ').count()
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_leave_before_the_generator_has_finished() {
    let mut composing = Composing::of([WHOLE], 2).await;
    let conversation = composing.conversation().await;
    let turn = composing.say(conversation, REFUND).await;
    composing.let_say(words("A refund arrives in 5 days. It"));
    let sentences = composing.sentences(conversation, 1).await;
    assert_eq!(text_of(&sentences), "A refund arrives in 5 days.");
    let first = &sentences[0].json;
    assert_eq!((&first["number"], &first["message"]), (&1.into(), &1.into()));
    assert_eq!((&first["citation"]["document"], &first["citation"]["start"]), (&"refund-time".into(), &0.into()));
    assert!(!turn.is_finished() && composing.events(conversation, "answer").await.is_empty());

    composing.open_gate();
    let reply = turn.await.unwrap().unwrap();
    assert_eq!((reply.mode, reply.text.as_str()), (Some(Mode::Composed), WHOLE));
    let sentences = composing.events(conversation, "sentence").await;
    assert_eq!((sentences.len(), text_of(&sentences).as_str()), (3, WHOLE), "together they are the answer");
    let answer = &composing.events(conversation, "answer").await[0];
    assert!(sentences.iter().all(|sentence| sentence.seq < answer.seq));
    let ms = |step: &str| reply.steps.iter().find(|found| found.step == step).unwrap().ms;
    assert!(0.0 < ms("first_sentence") && ms("first_sentence") < ms("whole"), "{:?}", reply.steps);
}

/// The answer ends with the true sentences, which the customer has read already, and the generator stops working.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_sentence_stops_the_generator() {
    let mut composing = Composing::of([INVENTED], 2).await;
    let conversation = composing.conversation().await;
    let turn = composing.say(conversation, REFUND).await;
    let heard = words("A refund arrives in 5 days. It has a fee of 9 dollars. It");
    composing.let_say(heard);
    let reply = turn.await.unwrap().unwrap(); // While the generator still waits for its gate.
    assert_eq!((reply.outcome, reply.mode), (Outcome::Answer, Some(Mode::Composed)));
    assert!(reply.text.starts_with("A refund arrives in 5 days.\n\nThe rest") && !reply.text.contains('9'));
    assert_eq!((reply.citations.len(), reply.citations[0].whole), (1, false), "the page shows where to read on");
    assert_eq!(text_of(&composing.events(conversation, "sentence").await), reply.text);
    assert_eq!(composing.generator.free_slots(), 2);
    composing.open_gate();
    let said = composing.words_in_the_end().await;
    assert!(said <= heard + 1 && said < words(INVENTED), "{said} words");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_supported_sentence_the_approved_text_is_sent() {
    let mut composing = Composing::of(["A refund arrives in 3 days. It has no fee."], 2).await;
    composing.open_gate();
    let conversation = composing.conversation().await;
    let reply = composing.say(conversation, REFUND).await.await.unwrap().unwrap();
    assert_eq!((reply.mode, reply.text.as_str()), (Some(Mode::Verbatim), WHOLE));
    assert!(composing.events(conversation, "sentence").await.is_empty());
    assert!(reply.steps.iter().all(|step| step.step != "first_sentence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_message_cancels_the_answer_and_its_generator() {
    let mut composing = Composing::of([WHOLE, "It goes back to the card."], 2).await;
    let conversation = composing.conversation().await;
    let first = composing.say(conversation, REFUND).await;
    composing.let_say(words("A refund arrives in 5 days. It"));
    composing.sentences(conversation, 1).await;

    let second = composing.say(conversation, REFUND).await;
    assert!(first.await.unwrap_err().is_cancelled());
    composing.open_gate();
    let reply = second.await.unwrap().unwrap();
    assert_eq!(composing.generator.free_slots(), 2);
    // Seven words of the first answer, one more to find that nobody listens; then the second's own.
    let most = words("A refund arrives in 5 days. It") + 1 + words("It goes back to the card.");
    assert!(composing.words_in_the_end().await <= most);

    let messages = composing.stand.bot.store().messages(conversation, 0).await.unwrap();
    let said: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(said, [Role::Customer, Role::Customer, Role::Bot], "one answer to both");
    assert_eq!(
        (messages[2].text.as_str(), reply.text.as_str()),
        ("It goes back to the card.", "It goes back to the card.")
    );
    // A reader knows which sentences are void: they name a message before the one that the last step names.
    let steps = composing.events(conversation, "step").await;
    assert_eq!(steps.last().unwrap().json["message"], 2);
    let told = composing.events(conversation, "sentence").await;
    let of_second: Vec<Event> = told.into_iter().filter(|event| event.json["message"] == 2).collect();
    assert_eq!((reply.mode, text_of(&of_second)), (Some(Mode::Composed), reply.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_every_slot_taken_is_quoted_to_at_once() {
    let mut composing = Composing::of([WHOLE], 1).await;
    let (patient, hurried) = (composing.conversation().await, composing.conversation().await);
    let slow = composing.say(patient, REFUND).await;
    composing.let_say(1);
    let started = Instant::now();
    while composing.words_said.load(Ordering::SeqCst) == 0 {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let quick = composing.say(hurried, WITHDRAWAL).await.await.unwrap().unwrap();
    assert_eq!((quick.outcome, quick.mode), (Outcome::Answer, Some(Mode::Verbatim)));
    assert!(!slow.is_finished());
    composing.open_gate();
    assert_eq!(slow.await.unwrap().unwrap().mode, Some(Mode::Composed));
}
