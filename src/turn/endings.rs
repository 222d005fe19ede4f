//! How a turn ends: an answer, an offer, a card, or a person with a written case. Each function is one ending and gives its
//! whole [`Reply`]; which one it is was decided before, in [`Turn::run`](super::Turn::run).

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use jiff::civil::Date;
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{
    Said, Turn,
    answer::{self, Answered, compose, compose::Composed},
    asked::{Choice, From},
    case::{self, CaseInput, Near},
    guard::Finding,
    judge::Verdict,
    phrases::{self, phrase},
    reply::{Citation, Code, Mode, Outcome, Reason, Reply, Sentence, Step},
    retrieve::{Candidate, Retrieved},
    shelf::Shelf,
};
use crate::{
    error::{self, Error, Result},
    safety::Masked,
    words::{Document, Lang},
};

impl Turn<'_> {
    /// The best document's text: composed where that is wanted and holds, else as it was approved.
    pub(super) async fn answer(&mut self, shelf: &Shelf) -> Result<Reply> {
        let Some(best) = self.retrieved.candidates.first().cloned() else {
            return self.hand_off(Code::NoKnowledge, None).await;
        };
        let lang = self.question.lang;
        let foreign = best.document.lang != lang;
        let started = Instant::now();
        let preface =
            shelf.notice_for(&self.retrieved, lang, self.asked.day).map(|notice| answer::preface(&notice, lang));
        let composed = if foreign { None } else { self.compose(preface.as_ref()).await };
        let mode = if composed.is_some() { Mode::Composed } else { Mode::Verbatim };
        let mut answered = composed.unwrap_or_else(|| answer::verbatim(&best.document, best.passage));
        if let Some(preface) = preface {
            answered = preface.before(answered);
        }
        self.step("answer", started);
        if foreign {
            // Only in the other language: the original, labelled, and a person who follows up.
            answered.text = format!("{}\n\n{}", phrase(lang, "other_language_note"), answered.text);
            return self.hand_off(Code::Confident, Some((mode, answered))).await;
        }
        Ok(self.reply(Outcome::Answer, Some(mode), Code::Confident, answered.text, answered.citations))
    }

    /// An answer from the generator, told to the listener sentence by sentence, `preface` before the first. `None` where the
    /// approved text is to be sent: composing is off, its slots are full, it failed, or no sentence was held up.
    async fn compose(&mut self, preface: Option<&Answered>) -> Option<Answered> {
        let generator = self.bot.generator.as_ref().filter(|_| self.bot.policy.composed)?;
        let evidence = compose::evidence(&self.retrieved);
        let limit_tokens = self.bot.policy.limit_answer_tokens;
        let mut voice = self.voice();
        let mut say = |text: &str, citation: Option<&Citation>| {
            if let Some(preface) = preface.filter(|_| voice.said == 0) {
                voice.say(&preface.text, preface.citations.first());
            }
            voice.say(text, citation);
        };
        let composed = compose::compose(generator, &self.question, &evidence, limit_tokens, &mut say).await;
        self.steps.extend(voice.step());
        match composed {
            Ok(Composed { answered, draft }) => {
                self.draft = Some(draft);
                answered
            }
            Err(error) => {
                tracing::warn!("quoting instead of composing: {}", error::chain(&error));
                None
            }
        }
    }

    /// The approved text of the document that was tapped.
    pub(super) fn quote(&mut self, document: &Arc<Document>) -> Reply {
        let answered = answer::verbatim(document, None);
        let reply =
            self.reply(Outcome::Answer, Some(Mode::Verbatim), Code::Confident, answered.text, answered.citations);
        Reply { lang: document.lang, ..reply }
    }

    /// The nearest questions to tap.
    pub(super) async fn offer(&mut self) -> Result<Reply> {
        let offers = self.retrieved.offers(self.question.lang);
        if offers.is_empty() {
            return self.hand_off(Code::NoKnowledge, None).await;
        }
        let text = self.in_tone("offer_intro");
        let reply = self.reply(Outcome::Offer, None, Code::LowConfidence, text, Vec::new());
        Ok(Reply { offers, ..reply })
    }

    /// A card that needs no person; one is a tap away.
    pub(super) fn card(&mut self, situation: &str, code: Code) -> Result<Reply> {
        let card = self.find_card(situation)?;
        let answered = answer::verbatim(&card, None);
        let reply = self.reply(Outcome::Offer, Some(Mode::Card), code, answered.text, answered.citations);
        Ok(Reply { lang: card.lang, ..reply })
    }

    /// A danger's card, and a person whose case is headed by the words that tell of it; `None` for a finding of another kind.
    pub(super) async fn danger_card(&mut self, finding: Finding) -> Result<Option<Reply>> {
        let (message, text) = self.told();
        let danger = match self.danger.clone() {
            // The words before a tap were looked at in another turn.
            None => {
                let may_hide_despair = self.asked.choice.is_some() || self.look.hints_at_despair();
                self.bot.danger(&text, finding, may_hide_despair).await
            }
            told => told,
        };
        let Some(danger) = danger else { return Ok(None) };
        let alarm = self.bot.alarm(&text, danger).await;
        let mut reply = self.card_to_person(alarm.card, Code::Danger).await?;
        let suggested = self.suggested_for(alarm.situation);
        if let Some(case) = &mut reply.case {
            case.head(message, text.as_str(), &alarm);
            case.suggested = suggested;
            case.tell(alarm.card);
            case.situate(Some(alarm.situation));
            reply.asks = case.asks(reply.lang);
        }
        Ok(Some(reply))
    }

    /// The customer's words that this turn is about, and their place: those before a tap, where there was one.
    fn told(&self) -> (u32, Masked) {
        let before = self.asked.history.iter().rev().filter(|_| self.asked.choice.is_some());
        let told = before.into_iter().find(|past| past.from == From::Customer);
        told.map_or_else(|| (self.asked.message, self.question.text.clone()), |past| (past.message, past.text.clone()))
    }

    /// A card, and a person.
    pub(super) async fn card_to_person(&mut self, card: &str, code: Code) -> Result<Reply> {
        let answered = answer::verbatim(&self.find_card(card)?, None);
        self.hand_off(code, Some((Mode::Card, answered))).await
    }

    pub(super) fn find_card(&self, situation: &str) -> Result<Arc<Document>> {
        card_of(self.shelf.as_deref(), situation, self.question.lang, self.asked.day)
    }

    /// A person takes over, with a case. `said` is what the customer gets besides: a card, or a passage in the other
    /// language.
    pub(super) async fn hand_off(&mut self, code: Code, said: Option<(Mode, Answered)>) -> Result<Reply> {
        let started = Instant::now();
        let for_agents = self.for_agents().await;
        let case = self.case(code, &for_agents);
        self.step("case", started);
        let lang = self.question.lang;
        let reason = handoff_phrase(code);
        let (mode, text, citations) = match said {
            Some((mode, answered)) => (Some(mode), answered.text, answered.citations),
            // These two say sorry by themselves.
            None if matches!(code, Code::Loop | Code::Error) => (None, phrase(lang, reason).to_owned(), Vec::new()),
            None => (None, self.in_tone(reason), Vec::new()),
        };
        let mut reply = self.reply(Outcome::Handoff, mode, code, text, citations);
        reply.case = Some(case);
        Ok(reply)
    }

    /// A sentence of our own, after one that answers how the customer writes. Documents and cards are left as they were
    /// approved, and nothing that is decided depends on it.
    fn in_tone(&self, key: &str) -> String {
        let said = phrase(self.question.lang, key);
        match (case::tone(self.question.text.as_str()), self.question.lang) {
            (None, _) => said.to_owned(),
            (Some(tone), Lang::Zh) => format!("{}{said}", phrase(Lang::Zh, &format!("tone_{tone}"))),
            (Some(tone), Lang::En) => format!("{} {said}", phrase(Lang::En, &format!("tone_{tone}"))),
        }
    }

    /// Past resolutions and internal notes near the question. A handoff does not wait for a search that fails.
    async fn for_agents(&self) -> Vec<Candidate> {
        let (Some(shelf), Some(vector)) = (&self.shelf, &self.vector) else { return Vec::new() };
        shelf.for_agents(vector, self.question.lang, self.asked.day).await.unwrap_or_else(|error| {
            tracing::warn!("a case without past resolutions: {}", error::chain(&error));
            Vec::new()
        })
    }

    fn case(&self, code: Code, for_agents: &[Candidate]) -> case::Case {
        let nearest = self.retrieved.candidates.iter().take(4).chain(for_agents);
        let nearest: Vec<Near> = nearest.map(Candidate::near).filter(Near::is_worth_a_look).collect();
        let offered = match (&self.asked.choice, self.asked.history.iter().rev().find_map(|past| past.reply.as_ref())) {
            (Some(Choice::NoneOfThese | Choice::Person), Some(last)) => last.offers.clone(),
            _ => Vec::new(),
        };
        let best = self.retrieved.candidates.first().filter(|_| case::suggests(code, self.confidence));
        case::write(CaseInput {
            lang: self.bot.policy.case_lang.unwrap_or(self.question.lang),
            customer_lang: self.question.lang,
            message: self.asked.message,
            text: &self.question.text,
            history: &self.asked.history,
            code,
            confidence: self.confidence,
            features: &self.features,
            offered,
            nearest,
            suggested: best.map(suggested),
        })
    }

    /// The reply that is suggested in a danger: of the documents found, only one that was written for it.
    fn suggested_for(&self, situation: &str) -> Option<case::Suggested> {
        let belongs = |candidate: &&Candidate| belongs_to(&candidate.document, situation);
        self.retrieved
            .candidates
            .iter()
            .filter(|_| case::suggests(Code::Danger, self.confidence))
            .find(belongs)
            .map(suggested)
    }

    /// No index: a fixed text and a ticket, or the card that a rule calls for.
    pub(super) async fn without_index(&mut self, ruled: Option<Finding>) -> Result<Reply> {
        if let Some(reply) = self.guarded(ruled, Verdict::HandOff(Code::Error)).await? {
            return Ok(reply);
        }
        let text = phrase(self.question.lang, "no_index").to_owned();
        self.hand_off(Code::Error, Some((Mode::Card, Answered { text, citations: Vec::new() }))).await
    }

    /// The reply of a turn in which something broke: sorry, and a person. Must not itself be able to fail.
    pub(super) fn failed(&mut self) -> Reply {
        // The first steps of a danger have been told already: they stay.
        let told = self.danger.as_ref().and_then(|danger| self.find_card(danger.card).ok());
        let code = if told.is_some() { Code::Danger } else { Code::Error };
        let written = std::panic::catch_unwind(AssertUnwindSafe(|| self.case(code, &[])));
        let case = written.unwrap_or_else(|_| {
            // What was found may be what broke the turn: the case does without it.
            self.retrieved = Retrieved::default();
            self.case(code, &[])
        });
        let (mode, answered) = match told {
            Some(card) => (Some(Mode::Card), answer::verbatim(&card, None)),
            None => {
                let text = phrase(self.question.lang, "handoff_error").to_owned();
                (None, Answered { text, citations: Vec::new() })
            }
        };
        let mut reply = self.reply(Outcome::Handoff, mode, code, answered.text, answered.citations);
        reply.case = Some(case);
        reply
    }

    fn reply(
        &mut self,
        outcome: Outcome,
        mode: Option<Mode>,
        code: Code,
        text: String,
        citations: Vec<Citation>,
    ) -> Reply {
        self.step("whole", self.started);
        let why = case::why(self.question.lang, code, self.confidence, &self.features);
        Reply {
            outcome,
            mode,
            text,
            lang: self.question.lang,
            confidence: self.confidence,
            citations,
            offers: Vec::new(),
            asks: Vec::new(),
            case: None,
            ticket: None,
            conversation: self.asked.conversation.clone(),
            steps: std::mem::take(&mut self.steps),
            reason: Reason { code, text: why, features: std::mem::take(&mut self.features) },
        }
    }

    pub(super) fn voice(&self) -> Voice {
        Voice { turn_started: self.started, listener: self.listener.clone(), said: 0, first_ms: None }
    }

    /// Notes the time since `started` as a step.
    pub(super) fn step(&mut self, step: &str, started: Instant) {
        self.steps.push(Step { step: step.to_owned(), ms: started.elapsed().as_secs_f64() * 1000.0 });
    }
}

/// A situation's card: the product's own, or the one that is compiled in.
pub(super) fn card_of(shelf: Option<&Shelf>, situation: &str, lang: Lang, day: Date) -> Result<Arc<Document>> {
    let card = match shelf {
        Some(shelf) => shelf.document(&format!("card-{situation}"), lang, day),
        None => phrases::card(situation, lang).cloned().map(Arc::new),
    };
    card.ok_or_else(|| Error::NotFound { what: "card", id: situation.to_owned() })
}

/// Whether a document was written for a situation: its card, or one that is tagged with it.
pub(super) fn belongs_to(document: &Document, situation: &str) -> bool {
    document.id.strip_prefix("card-") == Some(situation) || document.tags.iter().any(|tag| tag == situation)
}

fn suggested(candidate: &Candidate) -> case::Suggested {
    let Candidate { document, passage, .. } = candidate;
    let text = answer::verbatim(document, *passage).text;
    case::Suggested { document: document.id.clone(), revision: document.revision.clone(), text }
}

/// Which of the handoff phrases fits a code.
fn handoff_phrase(code: Code) -> &'static str {
    match code {
        Code::Asked => "handoff_asked",
        Code::NoKnowledge | Code::OffTopic | Code::SmallTalk | Code::Injection | Code::NoLanguage => {
            "handoff_no_knowledge"
        }
        Code::LowConfidence | Code::Confident => "handoff_low_confidence",
        Code::Account => "handoff_account",
        Code::Danger => "handoff_danger",
        Code::Loop => "handoff_loop",
        Code::Unsupported => "handoff_unsupported",
        Code::Error => "handoff_error",
    }
}

/// Tells the listener, if there is one, each sentence with its number.
pub(super) struct Voice {
    turn_started: Instant,
    listener: Option<UnboundedSender<Said>>,
    said: usize,
    /// Milliseconds from the start of the turn to the first sentence.
    first_ms: Option<f64>,
}

impl Voice {
    /// How long the first sentence took; `None` where none was said.
    pub(super) fn step(&self) -> Option<Step> {
        self.first_ms.map(|ms| Step { step: "first_sentence".to_owned(), ms })
    }

    /// Tells the next sentence. What it gives ends when the listener has passed the sentence on, at once where nobody listens.
    pub(super) fn say(&mut self, text: &str, citation: Option<&Citation>) -> oneshot::Receiver<()> {
        self.said += 1;
        self.first_ms.get_or_insert_with(|| self.turn_started.elapsed().as_secs_f64() * 1000.0);
        let (passing_on, passed_on) = oneshot::channel();
        if let Some(listener) = &self.listener {
            let sentence = Sentence { number: self.said, text: text.to_owned(), citation: citation.cloned() };
            // Who stopped listening gets the whole reply.
            let _ = listener.send(Said { sentence, _passed_on: passing_on });
        }
        passed_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_belongs_to_the_situation_that_it_was_written_for() {
        let card = phrases::card("theft", Lang::En).unwrap();
        assert!(belongs_to(card, "theft") && !belongs_to(card, "scam"));
        let tagged = Document { id: "stolen-coins".into(), tags: vec!["theft".into()], ..card.clone() };
        assert!(belongs_to(&tagged, "theft") && !belongs_to(&tagged, "scam"));
        assert!(!belongs_to(&Document { tags: vec!["fees".into()], ..tagged }, "theft"));
    }
}
