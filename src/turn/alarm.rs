//! A danger was found: which one is it, and which words say so? The guard looks at a message as a whole; here each clause is
//! looked at by itself, so that a case is headed by the sentence that matters and despair is not outvoted by money.

use super::{
    Bot, case,
    guard::{Class, Finding, Guard, Look},
};
use crate::{error, model::Side, safety::Masked, words::Span};

/// Clauses that are looked at one by one; of a longer message several neighbours are one.
const MOST_CLAUSES: usize = 32;

/// A danger, and where the message speaks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The situation, for instance `theft`.
    pub situation: &'static str,
    /// The card that answers it: the situation's own, or the one for a secret that was masked.
    pub card: &'static str,
    /// How sure the guard is of a danger, in [0, 1].
    pub probability: f64,
    /// The words that say so, in the message's text.
    pub span: Span,
}

impl Bot {
    /// What a finding of danger is about; `None` for a finding of another kind. Where the clauses cannot be embedded, the case
    /// is headed as any other.
    pub(super) async fn alarm(&self, text: &Masked, finding: Finding) -> Option<Alarm> {
        finding.class.situation()?;
        let clauses = grouped(case::clauses(text.as_str()));
        let looks = self.look_at(text, &clauses).await;
        let findings: Vec<Finding> = looks.iter().map(|look| look.finding).collect();
        let has_secret = Guard::has_secret(text);
        let class = if looks.iter().any(Look::is_despair) { Class::SelfHarm } else { finding.class };
        let situation = class.situation()?;
        // Whoever does not want to live is not told first how to move coins.
        let for_secret = has_secret && Class::SelfHarm.situation() != Some(situation);
        let span = if for_secret {
            clause_with_secret(text.as_str(), &clauses)
        } else {
            let of_it = |finding: &Finding| finding.class.situation() == Some(situation);
            let of_any = |finding: &Finding| finding.class.situation().is_some();
            surest(&clauses, &findings, of_it).or_else(|| surest(&clauses, &findings, of_any))
        };
        let span = span.unwrap_or_else(|| case::ask_in(text.as_str()));
        let card = if for_secret { "secret_masked" } else { situation };
        Some(Alarm { situation, card, probability: finding.probability, span })
    }

    /// The danger in a message that no turn answers, because a person has the conversation. The rules' word on other matters
    /// ("a person, please") does not count here: what a customer asks for does not make a danger smaller.
    ///
    /// # Errors
    /// Where the embedder fails: then only the rules have looked.
    pub(super) async fn danger_in(&self, text: &Masked) -> error::Result<Finding> {
        let ruled = Guard::rules(text);
        // Thanks or a goodbye from its first to its last word is settled too, whatever the vector looks like.
        let settled = |finding: &Finding| finding.class.situation().is_some() || finding.class == Class::SmallTalk;
        if let Some(settled) = ruled.filter(settled) {
            return Ok(settled);
        }
        let seen = match &self.embedder {
            Some(embedder) => {
                let vectors = embedder.embed(Side::Query, vec![text.as_str().to_owned()]).await?;
                vectors.first().map(|vector| self.guard.classify(vector, text.as_str()))
            }
            None => None,
        };
        let danger = seen.filter(|finding| finding.class.situation().is_some());
        Ok(danger.or(ruled).or(seen).unwrap_or(Finding { class: Class::None, probability: 0.0 }))
    }

    /// What the guard says of each clause by itself; nothing where there is but one, or no embedder that answers.
    async fn look_at(&self, text: &Masked, clauses: &[Span]) -> Vec<Look> {
        let Some(embedder) = self.embedder.as_ref().filter(|_| clauses.len() > 1) else { return Vec::new() };
        let texts: Vec<String> = clauses.iter().map(|clause| clause.of(text.as_str()).to_owned()).collect();
        match embedder.embed(Side::Query, texts.clone()).await {
            Ok(vectors) => {
                let seen = vectors.iter().zip(&texts);
                seen.map(|(vector, text)| self.guard.look(vector, text)).collect()
            }
            Err(error) => {
                tracing::warn!("a danger's sentence was not looked for: {}", error::chain(&error));
                Vec::new()
            }
        }
    }
}

/// The clause of which the guard is surest, among those that `counts`.
fn surest(clauses: &[Span], findings: &[Finding], counts: impl Fn(&Finding) -> bool) -> Option<Span> {
    let found = clauses.iter().zip(findings).filter(|(_, finding)| counts(finding));
    found.max_by(|(_, a), (_, b)| a.probability.total_cmp(&b.probability)).map(|(clause, _)| *clause)
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
