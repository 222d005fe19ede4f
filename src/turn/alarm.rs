//! A danger was found: which one is it, and which words say so? The guard looks at a message as a whole; here each clause is
//! looked at by itself, so that a case is headed by the sentence that matters and despair is not outvoted by money.

use super::{
    Bot, case,
    guard::{Class, Finding, Guard, Look},
};
use crate::{error, model::Side, safety::Masked, words::Span};

/// Clauses that are looked at one by one; of a longer message several neighbours are one.
const MOST_CLAUSES: usize = 32;

/// The card for a message in which a secret was masked.
const SECRET_MASKED: &str = "secret_masked";

/// A danger, and the card that answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Danger {
    /// The situation, for instance `theft`.
    pub situation: &'static str,
    /// The card that answers it: the situation's own, or the one for a secret that was masked.
    pub card: &'static str,
    /// How sure the guard is of a danger, in [0, 1].
    pub probability: f64,
    /// The message's clauses, where they have been looked at.
    clauses: Option<Clauses>,
}

/// A danger, and where the message speaks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// See [`Danger::situation`].
    pub situation: &'static str,
    /// See [`Danger::card`].
    pub card: &'static str,
    /// See [`Danger::probability`].
    pub probability: f64,
    /// The words that say so, in the message's text.
    pub span: Span,
}

/// The clauses of a message, and what the guard says of each by itself: nothing where there is but one, or no embedder that answers.
#[derive(Debug, Clone, PartialEq)]
struct Clauses {
    spans: Vec<Span>,
    looks: Vec<Look>,
}

impl Bot {
    /// What a finding of danger is about; `None` for a finding of another kind. Only where one of them `may_hide_despair` are the clauses
    /// looked at now ([`Look::hints_at_despair`]): the card does not wait for more.
    pub(super) async fn danger(&self, text: &Masked, finding: Finding, may_hide_despair: bool) -> Option<Danger> {
        finding.class.situation()?;
        let clauses = if may_hide_despair { Some(self.look_at_clauses(text).await) } else { None };
        let despairs = clauses.as_ref().is_some_and(|clauses| clauses.looks.iter().any(Look::is_despair));
        let class = if despairs { Class::SelfHarm } else { finding.class };
        let situation = class.situation()?;
        // Whoever does not want to live is not told first how to move coins.
        let for_secret = Guard::has_secret(text) && class != Class::SelfHarm;
        let card = if for_secret { SECRET_MASKED } else { situation };
        Some(Danger { situation, card, probability: finding.probability, clauses })
    }

    /// Where the message speaks of a danger. Where the clauses cannot be embedded, the case is headed as any other.
    pub(super) async fn alarm(&self, text: &Masked, danger: Danger) -> Alarm {
        let Danger { situation, card, probability, clauses } = danger;
        let Clauses { spans, looks } = match clauses {
            Some(clauses) => clauses,
            None => self.look_at_clauses(text).await,
        };
        let span = if card == SECRET_MASKED {
            clause_with_secret(text.as_str(), &spans)
        } else {
            let of_it = |finding: &Finding| finding.class.situation() == Some(situation);
            let of_any = |finding: &Finding| finding.class.is_danger();
            surest(&spans, &looks, of_it).or_else(|| surest(&spans, &looks, of_any))
        };
        Alarm { situation, card, probability, span: span.unwrap_or_else(|| case::ask_in(text.as_str())) }
    }

    /// The danger in a message that no turn answers, because a person has the conversation. The rules' word on other matters
    /// ("a person, please") does not count here: what a customer asks for does not make a danger smaller.
    ///
    /// # Errors
    /// Where the embedder fails: then only the rules have looked.
    pub(super) async fn danger_in(&self, text: &Masked) -> error::Result<Look> {
        let ruled = Guard::rules(text);
        // Thanks or a goodbye from its first to its last word is settled too, whatever the vector looks like.
        let settled = |finding: &Finding| finding.class.is_danger() || finding.class == Class::SmallTalk;
        if let Some(settled) = ruled.filter(settled) {
            return Ok(Look::ruled(settled));
        }
        let seen = self.look_at(&[text.as_str()]).await?.first().copied();
        let danger = seen.filter(|look| look.finding.class.is_danger());
        Ok(danger.or(ruled.map(Look::ruled)).or(seen).unwrap_or(Look::NOTHING))
    }

    /// Looks at each clause by itself.
    async fn look_at_clauses(&self, text: &Masked) -> Clauses {
        let spans = grouped(case::clauses(text.as_str()));
        if spans.len() < 2 {
            return Clauses { spans, looks: Vec::new() };
        }
        let texts: Vec<&str> = spans.iter().map(|clause| clause.of(text.as_str())).collect();
        let looks = self.look_at(&texts).await.unwrap_or_else(|error| {
            tracing::warn!("a danger's sentence was not looked for: {}", error::chain(&error));
            Vec::new()
        });
        Clauses { spans, looks }
    }

    /// What the guard says of each text; of none where no embedder runs.
    ///
    /// # Errors
    /// Where the embedder fails.
    pub(super) async fn look_at(&self, texts: &[&str]) -> error::Result<Vec<Look>> {
        let Some(embedder) = &self.embedder else { return Ok(Vec::new()) };
        let vectors = embedder.embed(Side::Query, texts.iter().map(|text| (*text).to_owned()).collect()).await?;
        Ok(vectors.iter().zip(texts).map(|(vector, text)| self.guard.look(vector, text)).collect())
    }
}

/// The clause of which the guard is surest, among those that `counts`.
fn surest(clauses: &[Span], looks: &[Look], counts: impl Fn(&Finding) -> bool) -> Option<Span> {
    let found = clauses.iter().zip(looks).filter(|(_, look)| counts(&look.finding));
    found.max_by(|(_, a), (_, b)| a.finding.probability.total_cmp(&b.finding.probability)).map(|(clause, _)| *clause)
}

/// The clause that holds the first masked secret, with the one before it where it holds nothing else.
fn clause_with_secret(text: &str, clauses: &[Span]) -> Option<Span> {
    let holds = |clause: &Span| ["[seed phrase ", "[private key "].iter().any(|mask| clause.of(text).contains(mask));
    let at = clauses.iter().position(holds)?;
    let says_more = clauses[at].of(text).split(['[', ']']).step_by(2).any(|rest| rest.chars().any(char::is_alphabetic));
    let start = if says_more || at == 0 { clauses[at].start } else { clauses[at - 1].start };
    Some(Span { start, end: clauses[at].end })
}

/// Neighbours put together until there are few enough.
fn grouped(clauses: Vec<Span>) -> Vec<Span> {
    let size = clauses.len().div_ceil(MOST_CLAUSES).max(1);
    let group = |group: &[Span]| Some(Span { start: group.first()?.start, end: group.last()?.end });
    clauses.chunks(size).filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::mask;

    fn told(text: &str) -> String {
        let text = mask(text);
        clause_with_secret(text.as_str(), &case::clauses(text.as_str())).unwrap().of(text.as_str()).to_owned()
    }

    #[test]
    fn a_secret_is_told_with_the_words_around_it() {
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        assert_eq!(told(&format!("hello, my phrase is {phrase}, please help")), "my phrase is [seed phrase 1]");
        assert_eq!(told(&format!("我把助记词发给客服了\n{phrase}\n怎么办")), "我把助记词发给客服了\n[seed phrase 1]");
        assert_eq!(told(phrase), "[seed phrase 1]");
    }

    #[test]
    fn a_long_message_has_no_more_clauses_than_are_looked_at() {
        let text = "钱没了，".repeat(500);
        let clauses = grouped(case::clauses(&text));
        assert!(clauses.len() <= MOST_CLAUSES, "{}", clauses.len());
        assert_eq!((clauses[0].start, clauses.last().unwrap().end), (0, 1999));
    }
}
