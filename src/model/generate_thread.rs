//! Who waits for the generator? One thread owns it; a reply has a slot from its request to its end, text streams back as it
//! comes. Whoever drops a reply stops the thread's work on it at the next token, and frees its slot at once.

use std::{ops::ControlFlow, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Generate, GenerateAbilities, Prompt, Stop, decode::Constraint};
use crate::error::{Error, Result};

const SLOTS: &str = "the list of replies being generated";
const THREAD: &str = "the generation thread";

/// A handle to a generator on its own thread. Clones share the thread; it ends with the last of them.
#[derive(Clone)]
pub struct Generator {
    queue: mpsc::UnboundedSender<Request>,
    slots: Arc<Semaphore>,
    limit: usize,
    abilities: Arc<GenerateAbilities>,
}

/// What is asked of a generator.
pub struct Ask {
    /// What to go on from.
    pub prompt: Prompt,
    /// Which tokens may come.
    pub constraint: Option<Box<dyn Constraint>>,
    /// Longest reply, in tokens.
    pub limit_tokens: usize,
}

/// A part of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Some text, never half a character.
    Text(String),
    /// The reply is over.
    End(Stop),
}

/// A reply as it comes. Dropping it cancels the reply.
pub struct Pieces {
    pieces: mpsc::UnboundedReceiver<Result<Piece>>,
    over: bool,
    /// Given back at the end of the reply, or with the rest of it when it is dropped.
    slot: Option<OwnedSemaphorePermit>,
}

struct Request {
    ask: Ask,
    pieces: mpsc::UnboundedSender<Result<Piece>>,
}

impl Generator {
    /// Moves the model to its thread. It writes one reply at a time; at most `slots` are written or wait, at least one.
    pub fn start(model: Box<dyn Generate>, slots: usize) -> Result<Self> {
        let limit = slots.max(1);
        // Unbounded, but never longer than the slots and the dropped replies that the thread has yet to pass over.
        let (queue, requests) = mpsc::unbounded_channel();
        let abilities = Arc::new(model.abilities());
        std::thread::Builder::new()
            .name("generator".into())
            .spawn(move || run(model, requests))
            .map_err(Error::outside("starting the generation thread"))?;
        Ok(Generator { queue, slots: Arc::new(Semaphore::new(limit)), limit, abilities })
    }

    /// Starts a reply.
    ///
    /// # Errors
    /// [`Error::Busy`] when every slot is taken, [`Error::Stopped`] when the thread is gone.
    pub fn start_reply(&self, ask: Ask) -> Result<Pieces> {
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| Error::Busy { what: SLOTS, limit: self.limit })?;
        // Unbounded, but never longer than `limit_tokens`: a slow reader must not hold up the thread.
        let (sender, pieces) = mpsc::unbounded_channel();
        self.queue.send(Request { ask, pieces: sender }).map_err(|_| Error::Stopped(THREAD))?;
        Ok(Pieces { pieces, over: false, slot: Some(slot) })
    }

    /// Replies that may be asked for now.
    pub fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }

    /// What the model is.
    pub fn abilities(&self) -> &GenerateAbilities {
        &self.abilities
    }
}

impl Pieces {
    /// The next part; `None` after the end or an error.
    pub async fn next(&mut self) -> Option<Result<Piece>> {
        if self.over {
            return None;
        }
        let piece = self.pieces.recv().await;
        Some(self.note(piece))
    }

    /// [`Pieces::next`] for threads.
    pub fn next_blocking(&mut self) -> Option<Result<Piece>> {
        if self.over {
            return None;
        }
        let piece = self.pieces.blocking_recv();
        Some(self.note(piece))
    }

    /// The whole reply and why it ended.
    pub async fn whole(mut self) -> Result<(String, Stop)> {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            match piece? {
                Piece::Text(more) => text.push_str(&more),
                Piece::End(stop) => return Ok((text, stop)),
            }
        }
        Err(Error::Stopped(THREAD))
    }

    fn note(&mut self, piece: Option<Result<Piece>>) -> Result<Piece> {
        // A thread that panicked closes the channel without an end.
        let piece = piece.unwrap_or(Err(Error::Stopped(THREAD)));
        self.over = !matches!(piece, Ok(Piece::Text(_)));
        if self.over {
            self.slot = None;
        }
        piece
    }
}

fn run(mut model: Box<dyn Generate>, mut requests: mpsc::UnboundedReceiver<Request>) {
    while let Some(Request { mut ask, pieces }) = requests.blocking_recv() {
        if pieces.is_closed() {
            continue; // Who left does not need an answer.
        }
        let mut on_text = |text: &str| {
            let gone = if text.is_empty() {
                pieces.is_closed()
            } else {
                pieces.send(Ok(Piece::Text(text.to_owned()))).is_err()
            };
            if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let constraint = ask.constraint.as_deref_mut().map(|constraint| constraint as &mut dyn Constraint);
        let end = model.generate(&ask.prompt, constraint, ask.limit_tokens, &mut on_text).map(Piece::End);
        let _ = pieces.send(end); // Nobody may be left to read it.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scripted::ScriptedGenerator;

    fn ask(limit_tokens: usize) -> Ask {
        Ask { prompt: Prompt::default(), constraint: None, limit_tokens }
    }

    #[tokio::test]
    async fn a_reply_comes_in_pieces_and_ends() {
        let generator = Generator::start(Box::new(ScriptedGenerator::replies(["one two three"])), 4).unwrap();
        let mut pieces = generator.start_reply(ask(10)).unwrap();
        let mut seen = Vec::new();
        while let Some(piece) = pieces.next().await {
            seen.push(piece.unwrap());
        }
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(seen, [text("one "), text("two "), text("three"), Piece::End(Stop::End)]);
        let whole = generator.start_reply(ask(2)).unwrap().whole().await.unwrap();
        assert_eq!(whole, ("one two ".into(), Stop::Limit));
    }

    #[tokio::test]
    async fn taken_slots_are_busy_and_dropping_a_reply_stops_it_and_frees_its_slot() {
        let (scripted, gate) = ScriptedGenerator::gated(["a b c d"]);
        let words = scripted.words_said();
        let generator = Generator::start(Box::new(scripted), 2).unwrap();
        let mut first = generator.start_reply(ask(10)).unwrap();
        gate.send(()).unwrap();
        assert_eq!(first.next().await.unwrap().unwrap(), Piece::Text("a ".into()));
        let second = generator.start_reply(ask(10)).unwrap();
        assert!(matches!(generator.start_reply(ask(10)), Err(Error::Busy { limit: 2, .. })));
        drop((first, second));
        assert_eq!(generator.free_slots(), 2, "freed at once, whatever the thread is doing");
        // One step finds the first gone; the second is never begun; the third gets all its four steps.
        (0..5).for_each(|_| gate.send(()).unwrap());
        let third = generator.start_reply(ask(10)).unwrap().whole().await.unwrap();
        assert_eq!(third, ("a b c d".into(), Stop::End));
        assert_eq!(words.load(std::sync::atomic::Ordering::SeqCst), 6);
    }

    #[tokio::test]
    async fn a_reply_that_is_over_has_given_its_slot_back() {
        let generator = Generator::start(Box::new(ScriptedGenerator::replies(["a"])), 1).unwrap();
        let mut pieces = generator.start_reply(ask(10)).unwrap();
        while pieces.next().await.is_some() {}
        assert_eq!(generator.free_slots(), 1);
    }
}
