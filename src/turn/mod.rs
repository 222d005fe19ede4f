//! WHAT DO WE REPLY? One customer turn: a question in; an answer, an offer or a person out. Start at [`Bot::turn`].
//!
//! ```text
//! guard -> understand -> retrieve -> judge -+-> answer   -> Reply (verbatim, or composed and ground-checked)
//!   |                                       +-> offer    -> Reply (questions to tap)
//!   +-> card or person                      +-> hand off -> Reply (a person, with a written case)
//! ```
//!
//! [`Bot::turn`] reads the shelf (documents and index) and the conversation it is given, and writes nothing: the suite, the
//! test page and the live chat run it alike. [`Bot::say`] is the conversation around it: it stores the message,
//! runs the turn, tells its sentences while they come and stores its reply. Never talks HTTP, never loads weights, never learns which index is behind
//! [`Index`](crate::index::Index). Invariant: a failed search is an error that ends at a person, never "no passages".

mod alarm;

pub mod answer;

pub mod asked;

pub mod case;

pub mod conversation;

mod endings;

pub mod ground;

pub mod guard;

pub mod judge;

pub mod logistic;

pub mod phrases;

mod parts;

mod policy;

pub mod question;

pub mod reply;

pub mod retrieve;

pub mod shelf;

pub mod spelling;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, RwLock},
    time::Instant,
};

use futures_util::FutureExt;
use tokio::sync::{mpsc::UnboundedSender, oneshot};

pub use self::policy::Policy;
use self::{
    alarm::Danger,
    asked::{Asked, Choice, From},
    guard::{
        Class, Finding, Guard, Look,
        wordings::{self, Chat},
    },
    judge::Verdict,
    question::{Question, Spoken},
    reply::{Code, Offer, Outcome, Reply, Sentence, Step},
    retrieve::Retrieved,
    shelf::Shelf,
};
use crate::{
    error::{self, Error, Result},
    index::statistics::{mean, unit},
    model::{Embedder, Generator, Side},
    safety::Masked,
    store::Store,
};

/// Answers questions. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Bot {
    store: Store,
    embedder: Option<Embedder>,
    generator: Option<Generator>,
    guard: Arc<Guard>,
    shelf: Arc<RwLock<Option<Arc<Shelf>>>>,
    policy: Arc<Policy>,
    running: Arc<conversation::Running>,
}

impl Bot {
    /// A bot without knowledge yet: until [`Bot::put_on_shelf`] it sends everyone to a person. Without an embedder it offers
    /// what keywords find; without a generator it quotes.
    pub fn new(
        store: Store,
        embedder: Option<Embedder>,
        generator: Option<Generator>,
        guard: Guard,
        policy: Policy,
    ) -> Self {
        let running = conversation::Running::new(policy.limit_turns);
        Bot {
            store,
            embedder,
            generator,
            guard: Arc::new(guard),
            shelf: Arc::default(),
            policy: Arc::new(policy),
            running: Arc::new(running),
        }
    }

    /// Replaces the knowledge that turns see, at once.
    pub fn put_on_shelf(&self, shelf: Option<Arc<Shelf>>) {
        let mut place = self.shelf.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = std::mem::replace(&mut *place, shelf);
        drop(place);
        drop(before); // May close the old points: not while turns wait for the shelf.
    }

    /// The same bot and knowledge with another judge; the two no longer share what is put on the shelf.
    pub fn with_judge(&self, judge: judge::Judge) -> Self {
        let shelf = self.shelf().map(|shelf| Arc::new(shelf.with_judge(judge)));
        Bot { shelf: Arc::new(RwLock::new(shelf)), ..self.clone() }
    }

    /// The same bot, knowledge and turns under way, behaving otherwise from now on.
    pub fn with_policy(&self, policy: Policy) -> Self {
        Bot { policy: Arc::new(policy), ..self.clone() }
    }

    /// Mends what is misspelt in a question. An English word that the embedder knows as one piece is an ordinary one;
    /// without an embedder every word counts as such.
    fn spell(&self, question: &mut Question, shelf: &Shelf) {
        let is_word = |word: &str| self.embedder.as_ref().is_none_or(|embedder| embedder.count_tokens(word) == 1);
        question.spell(&shelf.spelling, is_word);
    }

    /// The knowledge in force.
    pub fn shelf(&self) -> Option<Arc<Shelf>> {
        self.shelf.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Where conversations are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether questions can be embedded now, by embedding a word; without an embedder there is nothing to fail.
    ///
    /// # Errors
    /// What keeps it from answering: until that is mended only keywords find anything.
    pub async fn embedder_answers(&self) -> Result<()> {
        match &self.embedder {
            Some(embedder) => embedder.embed(Side::Query, vec!["ready".to_owned()]).await.map(drop),
            None => Ok(()),
        }
    }

    /// How the bot behaves.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Answers one question, offers, or hands it to a person. Never fails: what fails inside ends at a person with
    /// [`Code::Error`], and is logged.
    pub async fn turn(&self, asked: Asked) -> Reply {
        self.turn_explained(asked).await.0
    }

    /// The same turn with what a suite wants to know about it.
    pub async fn turn_explained(&self, asked: Asked) -> (Reply, Explanation) {
        self.run_turn(asked, None).await
    }

    /// The same turn, heard while it runs: each sentence of a composed answer goes to `listener` as soon as it is checked, and a plain
    /// danger's card before anything is searched. Together they are the reply's text, unless something broke after the first. Dropping
    /// the future stops the generator.
    pub async fn turn_aloud(&self, asked: Asked, listener: UnboundedSender<Said>) -> Reply {
        self.run_turn(asked, Some(listener)).await.0
    }

    async fn run_turn(&self, asked: Asked, listener: Option<UnboundedSender<Said>>) -> (Reply, Explanation) {
        let earlier: Vec<&Masked> =
            asked.history.iter().filter(|past| past.from == From::Customer).map(|past| &past.text).collect();
        let question = Question::understand(asked.text.clone(), &earlier, asked.lang);
        let mut turn = Turn::new(self, &asked, question, listener);
        // A bug must not leave the customer without a word.
        let ran = AssertUnwindSafe(turn.run()).catch_unwind().await;
        let panicked = |_| Err(Error::Outside { act: "running it".to_owned(), cause: "it panicked".into() });
        let reply = match ran.unwrap_or_else(panicked) {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!("a turn failed: {}", error::chain(&error));
                turn.failed()
            }
        };
        let ranking = turn.retrieved.candidates.iter().map(|candidate| candidate.document.id.clone()).collect();
        (reply, Explanation { ranking, features: turn.retrieved.features.values().to_vec(), draft: turn.draft })
    }
}

/// A sentence on its way to a listener, who drops it once it has been passed on: a turn may wait for that.
#[derive(Debug)]
pub struct Said {
    /// The sentence.
    pub sentence: Sentence,
    _passed_on: oneshot::Sender<()>,
}

/// What a suite wants to know about a turn besides its reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Ids of the distinct documents found, best first.
    pub ranking: Vec<String>,
    /// The judge's features, in the order of [`judge::FEATURES`].
    pub features: Vec<f64>,
    /// All that the generator wrote, checked or not; `None` where nothing was composed.
    pub draft: Option<String>,
}

/// Questions to tap below one reply.
const MOST_OFFERS: usize = 4;

/// One turn while it runs.
struct Turn<'a> {
    bot: &'a Bot,
    asked: &'a Asked,
    question: Question,
    shelf: Option<Arc<Shelf>>,
    vector: Option<Vec<f32>>,
    retrieved: Retrieved,
    confidence: f64,
    features: BTreeMap<String, f64>,
    /// What the guard makes of the message.
    look: Look,
    /// The danger whose card was told before the search.
    danger: Option<Danger>,
    steps: Vec<Step>,
    started: Instant,
    listener: Option<UnboundedSender<Said>>,
    draft: Option<String>,
}

impl<'a> Turn<'a> {
    fn new(bot: &'a Bot, asked: &'a Asked, question: Question, listener: Option<UnboundedSender<Said>>) -> Self {
        Turn {
            bot,
            asked,
            question,
            shelf: bot.shelf(),
            vector: None,
            retrieved: Retrieved::default(),
            confidence: 0.0,
            features: BTreeMap::new(),
            look: Look::NOTHING,
            danger: None,
            steps: Vec::new(),
            started: Instant::now(),
            listener,
            draft: None,
        }
    }

    /// The steps in order; each one's output is the next one's only input.
    async fn run(&mut self) -> Result<Reply> {
        let started = Instant::now();
        let ruled = Guard::rules(&self.question.text);
        let ruling = started.elapsed();
        let Some(shelf) = self.shelf.clone() else {
            self.step("guard", started);
            return self.without_index(ruled).await;
        };

        let started = Instant::now();
        self.bot.spell(&mut self.question, &shelf);
        let (own, search) = self.embed().await;
        self.vector = search;
        self.step("embed", started);

        let started = Instant::now() - ruling;
        let finding = self.look(ruled, own.as_deref());
        self.tell_plain_danger(finding).await?;
        self.step("guard", started);

        let verdict = match self.search(&shelf).await {
            Err(error) if self.danger.is_some() => {
                tracing::error!("a danger's case without documents: {}", error::chain(&error));
                Verdict::HandOff(Code::Error)
            }
            searched => searched?,
        };
        if let Some(finding) = finding {
            self.features.insert(format!("guard_{}", name_of(finding.class)), finding.probability);
        }

        if let Some(reply) = self.chosen(&shelf).await? {
            return Ok(reply);
        }
        if let Some(reply) = self.guarded(finding, verdict).await? {
            return Ok(reply);
        }
        if self.goes_in_circles() {
            return self.hand_off(Code::Loop, None).await;
        }
        if own.is_none() {
            // Keywords alone are not enough to answer from.
            return if self.retrieved.candidates.is_empty() {
                self.hand_off(Code::Error, None).await
            } else {
                self.offer().await
            };
        }
        match verdict {
            Verdict::Answer if !self.stands_alone(&shelf, own.as_deref()).await? => self.offer().await,
            Verdict::Answer => {
                let reply = self.answer(&shelf).await?;
                self.with_other_questions(reply, &shelf).await
            }
            Verdict::Offer => {
                let reply = self.offer().await?;
                let reply = self.with_other_questions(reply, &shelf).await?;
                Ok(self.with_suspected_card(reply))
            }
            Verdict::HandOff(code) => {
                // A person comes anyway: the first steps, if it is what it may be, do not wait for one.
                if let Some(suspicion) = self.look.suspicion
                    && let Some(reply) = self.danger_card(suspicion).await?
                {
                    return Ok(reply);
                }
                self.hand_off(code, None).await
            }
        }
    }

    /// What a rule settles, or what the fit says. Whoever asks for a person and is plainly in danger gets both: the card's first
    /// steps, and the person. `None` where only a fit could have said something, and there was no vector.
    fn look(&mut self, ruled: Option<Finding>, vector: Option<&[f32]>) -> Option<Finding> {
        let seen = vector.map(|vector| {
            self.look = self.bot.guard.look(vector, self.question.text.as_str());
            self.look.finding
        });
        match ruled {
            Some(rule) if rule.class == Class::Human => seen.filter(Finding::outweighs_an_answer).or(ruled),
            Some(_) => ruled,
            None => seen,
        }
    }

    /// Tells the card of a danger that no answer outweighs: the first steps do not wait for the search and the case.
    async fn tell_plain_danger(&mut self, finding: Option<Finding>) -> Result<()> {
        let Some(finding) = finding.filter(|finding| finding.outweighs_an_answer() && self.asked.choice.is_none())
        else {
            return Ok(());
        };
        self.danger = self.bot.danger(&self.question.text, finding, self.look.hints_at_despair()).await;
        if let Some(danger) = &self.danger {
            let card = answer::verbatim(&self.find_card(danger.card)?, None);
            let mut voice = self.voice();
            let passed_on = voice.say(&card.text, card.citations.first());
            self.steps.extend(voice.step());
            let _ = passed_on.await; // Not to take the cores from whoever brings it to the customer.
        }
        Ok(())
    }

    /// Searches and judges what was found.
    async fn search(&mut self, shelf: &Shelf) -> Result<Verdict> {
        let started = Instant::now();
        self.retrieved = shelf
            .retrieve(self.vector.as_deref(), &self.question, self.asked.day, self.bot.policy.product.as_deref())
            .await?;
        self.step("retrieve", started);

        let started = Instant::now();
        let judged = shelf.judge.judge(&self.retrieved.features, self.question.lang);
        self.confidence = judged.confidence;
        self.features = judged.explanation;
        self.step("judge", started);
        Ok(judged.verdict)
    }

    /// The vectors of the customer's own words (for the guard) and of what is searched; `None` where no embedder
    /// runs or it failed, which is logged: keywords go on alone.
    ///
    /// The embedder knows traditional characters less well than simplified ones, and misspelt words hardly: such a search is the
    /// mean of its two spellings. On the sample's questions in traditional script recall@5 rises by 8 points (0.885 to 0.962).
    async fn embed(&self) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
        let Some(embedder) = &self.bot.embedder else { return (None, None) };
        let mut texts = vec![self.question.text.as_str().to_owned()];
        if self.question.carried {
            texts.push(self.question.search.clone());
        }
        let searched = texts.len() - 1;
        if self.question.spelt != self.question.search {
            texts.push(self.question.spelt.clone());
        }
        match embedder.embed(Side::Query, texts).await {
            Ok(vectors) => (vectors.first().cloned(), Some(unit(mean(&vectors[searched..])))),
            Err(error) => {
                tracing::error!("searching by keywords only: {}", error::chain(&error));
                (None, None)
            }
        }
    }

    /// Whether the question's own words find the document too. One that was found with the help of what was said before may
    /// be the document of what was said before: of the sample's follow-ups answered from such, every second was wrong.
    async fn stands_alone(&self, shelf: &Shelf, own: Option<&[f32]>) -> Result<bool> {
        if !self.question.carried {
            return Ok(true);
        }
        let mut alone = self.question.alone();
        self.bot.spell(&mut alone, shelf);
        let product = self.bot.policy.product.as_deref();
        let found = shelf.retrieve(own, &alone, self.asked.day, product).await?;
        let first = |retrieved: &Retrieved| retrieved.candidates.first().map(|best| best.document.id.clone());
        Ok(first(&found) == first(&self.retrieved))
    }

    /// The reply with what the message's single questions find, where it asks two or three: searched as one they hide each other,
    /// and an answer is one's at best.
    async fn with_other_questions(&self, mut reply: Reply, shelf: &Shelf) -> Result<Reply> {
        if reply.outcome == Outcome::Handoff || self.question.carried {
            return Ok(reply);
        }
        let mut found = Vec::new();
        for offer in self.found_by_parts(shelf).await? {
            let answered = reply.citations.iter().any(|citation| citation.document == offer.document);
            if !answered && !found.contains(&offer) {
                found.push(offer);
            }
        }
        reply.offers.retain(|offer| !found.contains(offer));
        let after_the_best = reply.offers.len().min(1);
        reply.offers.splice(after_the_best..after_the_best, found);
        reply.offers.truncate(MOST_OFFERS);
        Ok(reply)
    }

    /// For each of the message's questions the document that it finds alone, where the judge would offer it at least.
    async fn found_by_parts(&self, shelf: &Shelf) -> Result<Vec<Offer>> {
        let parts = parts::parts(self.question.text.as_str());
        let (Some(embedder), false) = (&self.bot.embedder, parts.is_empty()) else { return Ok(Vec::new()) };
        let texts = parts.iter().map(|part| (*part).to_owned()).collect();
        let vectors = embedder.embed(Side::Query, texts).await?;
        let mut offers = Vec::new();
        for (part, vector) in parts.into_iter().zip(vectors) {
            let mut question = self.question.of_part(part);
            self.bot.spell(&mut question, shelf);
            let product = self.bot.policy.product.as_deref();
            let found = shelf.retrieve(Some(&vector), &question, self.asked.day, product).await?;
            let offered = !matches!(shelf.judge.judge(&found.features, question.lang).verdict, Verdict::HandOff(_));
            offers.extend(found.offers(question.lang).into_iter().take(usize::from(offered)));
        }
        Ok(offers)
    }

    /// What a tap on an offer leads to.
    async fn chosen(&mut self, shelf: &Shelf) -> Result<Option<Reply>> {
        match self.asked.choice.clone() {
            None => Ok(None),
            Some(Choice::Person) => self.hand_off(Code::Asked, None).await.map(Some),
            Some(Choice::NoneOfThese) => self.hand_off(Code::LowConfidence, None).await.map(Some),
            Some(Choice::Document(id)) => {
                if let Some(class) = Class::of_card(&id) {
                    return self.danger_card(Finding { class, probability: 1.0 }).await;
                }
                match shelf.document(&id, self.question.lang, self.asked.day) {
                    Some(document) => Ok(Some(self.quote(&document))),
                    None => self.hand_off(Code::NoKnowledge, None).await.map(Some),
                }
            }
        }
    }

    /// An offer with the card of the danger that the message may tell of as the first to tap.
    fn with_suspected_card(&self, mut reply: Reply) -> Reply {
        let situation = self.look.suspicion.and_then(|suspicion| suspicion.class.situation());
        if let Some(card) = situation.and_then(|situation| self.find_card(situation).ok()) {
            // One more than usual: what it may be besides does not cost the question its place.
            reply.offers.retain(|offer| offer.document != card.id);
            reply.offers.insert(0, Offer { document: card.id.clone(), title: card.title.as_str().to_owned() });
        }
        reply
    }

    /// What the guard settles, given what the judge would do.
    async fn guarded(&mut self, finding: Option<Finding>, verdict: Verdict) -> Result<Option<Reply>> {
        let yields = |finding: &Finding| {
            let weak_danger = finding.class.is_danger() && !finding.outweighs_an_answer();
            weak_danger && verdict == Verdict::Answer
        };
        let finding = finding.filter(|finding| !yields(finding));
        if let Some(finding) = finding
            && let Some(reply) = self.danger_card(finding).await?
        {
            return Ok(Some(reply));
        }
        let reply = match finding.map_or(Class::None, |finding| finding.class) {
            Class::Human => self.hand_off(Code::Asked, None).await?,
            Class::Account => self.hand_off(Code::Account, None).await?,
            Class::Injection if finding.is_some_and(|finding| finding.is_injection_to(verdict)) => {
                self.card("injection", Code::Injection)?
            }
            // A greeting in front of a question that we can answer is no small talk.
            Class::SmallTalk if verdict != Verdict::Answer || finding.is_some_and(|finding| finding.is_ruled()) => {
                let chat = wordings::chat(self.question.text.as_str()).unwrap_or(Chat::Greeting);
                self.card(chat.card(), Code::SmallTalk)?
            }
            Class::OffTopic
                if finding.is_some_and(|finding| finding.is_off_topic_to(verdict))
                    && !self.knows_what_is_off_topic().await =>
            {
                self.card("off_topic", Code::OffTopic)?
            }
            _ => match self.question.spoken {
                Spoken::Other => self.card_to_person("no_language", Code::NoLanguage).await?,
                Spoken::NoWords if verdict != Verdict::Answer => self.card("small_talk", Code::SmallTalk)?,
                _ => return Ok(None),
            },
        };
        Ok(Some(reply))
    }

    /// Whether the nearest document is itself about what the guard calls off topic, by its title or the passage that was nearest: it
    /// knows wallets, and the knowledge may be of a shop for mattresses.
    async fn knows_what_is_off_topic(&self) -> bool {
        let Some(best) = self.retrieved.candidates.first() else { return false };
        let passage = best.passage.map(|span| span.of(best.document.body.as_str()));
        let texts: Vec<&str> = passage.into_iter().chain([best.document.title.as_str()]).collect();
        match self.bot.look_at(&texts).await {
            Ok(looks) => looks.iter().any(|look| look.finding.class == Class::OffTopic),
            Err(error) => {
                tracing::warn!("the nearest document was not looked at: {}", error::chain(&error));
                false
            }
        }
    }

    /// The customer says that it still doesn't work after we have answered, or we would say the same once more.
    fn goes_in_circles(&self) -> bool {
        let replies = self.asked.history.iter().filter_map(|past| past.reply.as_ref());
        let tries = replies.clone().filter(|reply| reply.outcome != Outcome::Handoff).count()
            + self.asked.history.iter().filter(|past| past.from == From::Agent).count();
        let said_before = self.retrieved.candidates.first().is_some_and(|best| {
            replies.clone().any(|reply| reply.outcome == Outcome::Answer && reply.documents.contains(&best.document.id))
        });
        let complains = case::still_unsolved(self.question.text.as_str());
        (tries >= 2 && complains) || (tries >= 1 && complains && said_before) || (tries >= 3 && said_before)
    }
}

fn name_of(class: Class) -> String {
    serde_json::to_value(class).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
