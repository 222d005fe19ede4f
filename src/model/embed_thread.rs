//! Who waits for the embedder? One thread owns it; requests that arrive meanwhile go together in the next pass.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, mpsc as blocking},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{Embed, EmbedAbilities, Side, TokenCounter};
use crate::error::{Error, Result};

/// Questions of one pass.
const QUERIES_PER_PASS: usize = 64;

/// Passages of one pass. Few, so that a question never waits long behind a document that is being read in.
const PASSAGES_PER_PASS: usize = 8;

/// How long a blocking caller waits for a place in the queue.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(60);

const QUEUE: &str = "the embedding queue";
const THREAD: &str = "the embedding thread";

/// A handle to an embedder on its own thread. Clones share the thread; it ends with the last of them.
#[derive(Clone)]
pub struct Embedder {
    queue: mpsc::Sender<Request>,
    limit: usize,
    abilities: Arc<EmbedAbilities>,
    counter: TokenCounter,
}

struct Request {
    side: Side,
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
    reply: Reply,
}

enum Reply {
    Task(oneshot::Sender<Result<Vec<Vec<f32>>>>),
    Thread(blocking::SyncSender<Result<Vec<Vec<f32>>>>),
}

impl Embedder {
    /// Moves the model to its thread. `queue_limit` requests may wait; the next one is [`Error::Busy`].
    pub fn start(model: Box<dyn Embed>, queue_limit: usize) -> Result<Self> {
        let limit = queue_limit.max(1);
        let (queue, requests) = mpsc::channel(limit);
        let (abilities, counter) = (Arc::new(model.abilities()), model.counter());
        std::thread::Builder::new()
            .name("embedder".into())
            .spawn(move || run(model, requests, limit))
            .map_err(Error::outside("starting the embedding thread"))?;
        Ok(Embedder { queue, limit, abilities, counter })
    }

    /// One vector of length 1 per text, in order.
    pub async fn embed(&self, side: Side, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let (reply, answer) = oneshot::channel();
        self.send(Request { side, texts, vectors: Vec::new(), reply: Reply::Task(reply) })
            .map_err(|refused| refused.0)?;
        answer.await.map_err(|_| Error::Stopped(THREAD))?
    }

    /// [`Embedder::embed`] for threads. Waits for a place in the queue: a long job has no one to send away.
    pub fn embed_blocking(&self, side: Side, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let (reply, answer) = blocking::sync_channel(1);
        let begun = Instant::now();
        let mut request = Request { side, texts, vectors: Vec::new(), reply: Reply::Thread(reply) };
        while let Err(refused) = self.send(request) {
            match *refused {
                (Error::Busy { .. }, back) if begun.elapsed() < BLOCKING_PATIENCE => request = back,
                (error, _) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        answer.recv().map_err(|_| Error::Stopped(THREAD))?
    }

    /// What the model is.
    pub fn abilities(&self) -> &EmbedAbilities {
        &self.abilities
    }

    /// Tokens of `text`, without prefix, start and end. Does not wait for the model.
    pub fn count_tokens(&self, text: &str) -> usize {
        (self.counter)(text)
    }

    fn send(&self, request: Request) -> Result<(), Box<(Error, Request)>> {
        self.queue.try_send(request).map_err(|refused| {
            Box::new(match refused {
                mpsc::error::TrySendError::Full(back) => (Error::Busy { what: QUEUE, limit: self.limit }, back),
                mpsc::error::TrySendError::Closed(back) => (Error::Stopped(THREAD), back),
            })
        })
    }
}

impl Reply {
    fn is_gone(&self) -> bool {
        match self {
            Reply::Task(task) => task.is_closed(),
            Reply::Thread(_) => false, // A blocked thread cannot leave.
        }
    }

    fn send(self, result: Result<Vec<Vec<f32>>>) {
        // Who left meanwhile does not need the answer.
        match self {
            Reply::Task(task) => drop(task.send(result)),
            Reply::Thread(thread) => drop(thread.send(result)),
        }
    }
}

fn run(mut model: Box<dyn Embed>, mut requests: mpsc::Receiver<Request>, limit: usize) {
    let mut waiting: VecDeque<Request> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match requests.blocking_recv() {
                Some(request) => waiting.push_back(request),
                None => return, // Every handle is gone.
            }
        }
        // Taking everything would make the queue endless in here.
        while waiting.len() < limit.max(QUERIES_PER_PASS) {
            match requests.try_recv() {
                Ok(request) => waiting.push_back(request),
                Err(_) => break,
            }
        }
        waiting.retain(|request| !request.reply.is_gone());
        one_pass(model.as_mut(), &mut waiting);
    }
}

/// Runs the model once, questions first, and answers the requests that are complete.
fn one_pass(model: &mut dyn Embed, waiting: &mut VecDeque<Request>) {
    let any_query = waiting.iter().any(|request| request.side == Side::Query);
    let (side, most) = if any_query { (Side::Query, QUERIES_PER_PASS) } else { (Side::Passage, PASSAGES_PER_PASS) };
    let mut texts: Vec<&str> = Vec::new();
    let mut shares: Vec<(usize, usize)> = Vec::new(); // (request, how many of its texts)
    for (at, request) in waiting.iter().enumerate().filter(|(_, request)| request.side == side) {
        let rest = &request.texts[request.vectors.len()..];
        let share = rest.len().min(most - texts.len());
        texts.extend(rest[..share].iter().map(String::as_str));
        shares.push((at, share));
        if texts.len() == most {
            break;
        }
    }
    let outcome = if texts.is_empty() { Ok(Vec::new()) } else { guarded(model, side, &texts) };
    let expected = texts.len();
    match outcome {
        Ok(vectors) if vectors.len() == expected => {
            let mut vectors = vectors.into_iter();
            for (at, share) in &shares {
                waiting[*at].vectors.extend(vectors.by_ref().take(*share));
            }
        }
        Ok(vectors) => {
            let found = format!("{} vectors for {expected} texts", vectors.len());
            fail(waiting, &shares, || Error::Inference("the embedder", found.clone().into()));
            return;
        }
        // One bad text must not fail the others that shared its pass: each request is tried alone.
        Err(_) if shares.len() > 1 => {
            for (at, _) in shares.iter().rev() {
                if let Some(request) = waiting.remove(*at) {
                    let texts: Vec<&str> = request.texts.iter().map(String::as_str).collect();
                    let result = guarded(model, request.side, &texts);
                    request.reply.send(result);
                }
            }
            return;
        }
        Err(error) => {
            if let Some(request) = shares.first().and_then(|(at, _)| waiting.remove(*at)) {
                request.reply.send(Err(error));
            }
            return;
        }
    }
    for (at, _) in shares.iter().rev() {
        if waiting[*at].vectors.len() == waiting[*at].texts.len()
            && let Some(request) = waiting.remove(*at)
        {
            request.reply.send(Ok(request.vectors));
        }
    }
}

/// Runs the model. A panic is a fault of these texts: it must not take the thread, and with it every later question.
fn guarded(model: &mut dyn Embed, side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| model.embed(side, texts)))
        .unwrap_or_else(|_| Err(Error::Inference("the embedder", "it panicked".into())))
}

fn fail(waiting: &mut VecDeque<Request>, shares: &[(usize, usize)], error: impl Fn() -> Error) {
    for (at, _) in shares.iter().rev() {
        if let Some(request) = waiting.remove(*at) {
            request.reply.send(Err(error()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Notes what each pass got, and waits for a permit before each.
    struct Recorder {
        passes: Passes,
        permits: blocking::Receiver<()>,
    }

    impl Embed for Recorder {
        fn embed(&mut self, side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            self.permits.recv().unwrap();
            self.passes.lock().unwrap().push((side, texts.iter().map(|text| text.to_string()).collect()));
            assert!(!texts.contains(&"worse"), "a text that the model panics at");
            if texts.contains(&"bad") {
                return Err(Error::Inference("the test", "bad text".into()));
            }
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
        fn counter(&self) -> TokenCounter {
            Arc::new(|text| text.len())
        }
        fn abilities(&self) -> EmbedAbilities {
            EmbedAbilities { dims: 1, limit_tokens: 10, fingerprint: "test".into() }
        }
    }

    type Passes = Arc<Mutex<Vec<(Side, Vec<String>)>>>;

    fn recorder(limit: usize) -> (Embedder, blocking::Sender<()>, Passes) {
        let (permit, permits) = blocking::channel();
        let passes: Passes = Arc::default();
        let model = Recorder { passes: passes.clone(), permits };
        (Embedder::start(Box::new(model), limit).unwrap(), permit, passes)
    }

    /// Starts a request and waits until it is in the thread's hands.
    async fn ask(embedder: &Embedder, side: Side, texts: &[&str]) -> tokio::task::JoinHandle<Result<Vec<Vec<f32>>>> {
        let (embedder, texts) = (embedder.clone(), texts.iter().map(|text| text.to_string()).collect());
        let task = tokio::spawn(async move { embedder.embed(side, texts).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        task
    }

    #[tokio::test]
    async fn requests_that_arrive_meanwhile_share_a_pass_and_questions_go_first() {
        let (embedder, permit, passes) = recorder(8);
        let first = ask(&embedder, Side::Passage, &["a"]).await;
        let document = ask(&embedder, Side::Passage, &["bb"; 10]).await;
        let one = ask(&embedder, Side::Query, &["ccc"]).await;
        let two = ask(&embedder, Side::Query, &["dddd", "e"]).await;
        (0..4).for_each(|_| permit.send(()).unwrap());
        assert_eq!(first.await.unwrap().unwrap(), [[1.0]]);
        assert_eq!(one.await.unwrap().unwrap(), [[3.0]]);
        assert_eq!(two.await.unwrap().unwrap(), [[4.0], [1.0]]);
        assert_eq!(document.await.unwrap().unwrap().len(), 10);
        let sizes: Vec<(Side, usize)> =
            passes.lock().unwrap().iter().map(|(side, texts)| (*side, texts.len())).collect();
        assert_eq!(sizes, [(Side::Passage, 1), (Side::Query, 3), (Side::Passage, 8), (Side::Passage, 2)]);
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_and_a_client_that_left_is_skipped() {
        let (embedder, permit, passes) = recorder(1);
        let first = ask(&embedder, Side::Query, &["a"]).await;
        let second = ask(&embedder, Side::Query, &["b"]).await;
        let third = embedder.embed(Side::Query, vec!["c".into()]).await;
        assert!(matches!(third, Err(Error::Busy { limit: 1, .. })));
        second.abort();
        let _ = second.await;
        permit.send(()).unwrap();
        first.await.unwrap().unwrap();
        permit.send(()).unwrap();
        let blocking = embedder.clone();
        let last = tokio::task::spawn_blocking(move || blocking.embed_blocking(Side::Query, vec!["d".into()]));
        assert_eq!(last.await.unwrap().unwrap(), [[1.0]]);
        let seen: Vec<String> = passes.lock().unwrap().iter().flat_map(|(_, texts)| texts.clone()).collect();
        assert_eq!(seen, ["a", "d"]);
    }

    #[tokio::test]
    async fn one_bad_text_fails_alone() {
        let (embedder, permit, _) = recorder(8);
        let first = ask(&embedder, Side::Query, &["a"]).await;
        let bad = ask(&embedder, Side::Query, &["bad"]).await;
        let worse = ask(&embedder, Side::Query, &["worse"]).await;
        let good = ask(&embedder, Side::Query, &["good"]).await;
        (0..5).for_each(|_| permit.send(()).unwrap());
        first.await.unwrap().unwrap();
        assert!(matches!(bad.await.unwrap(), Err(Error::Inference(..))));
        // A panic took the thread with it: until a restart only keywords found anything.
        assert!(matches!(worse.await.unwrap(), Err(Error::Inference(..))));
        assert_eq!(good.await.unwrap().unwrap(), [[4.0]]);
    }

    #[tokio::test]
    async fn nothing_to_embed_is_nothing() {
        let (embedder, _permit, _) = recorder(1);
        assert!(embedder.embed(Side::Query, vec![]).await.unwrap().is_empty());
    }
}
