//! Which facts did the customer take back? "Nov 3, no wait, Nov 4" gives one date; an agent must not see both.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Fact,
    facts::{pattern, points},
    story::Message,
};
use crate::{turn::ground::fold::fold, words::Span};

/// How far a correction reaches, in characters: about one sentence.
const REACH: usize = 40;

/// Words that announce the right value.
static CORRECTS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:说|讲|写|看|记|打|报)错(?:了|字)?|更正|纠正|(?:^|[\s,。!?])(?:等等|等下)?(?:(?:哦|啊|噢|呃|额|哎)(?:不对|不是|不)|不对[\s,。!啊])|(?-u:\b)(?:no,? wait|wait,? (?:no|sorry|actually)|(?:oh|ah|oops|no|wait),? sorry|sorry,? (?:i mean\w*|it'?s|its|that was|meant|wrong|make that|my (?:mistake|bad))|i meant?|my mistake|my bad|correction|i was wrong|make that|mis(?:typed|spoke|read))(?-u:\b)",
    )
});

/// Words that take back what was said before them.
static WITHDRAWS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)当我没说|别管(?:那个|它|这个)|(?-u:\b)(?:forget|scratch|ignore|disregard|strike) (?:that|it|this)(?-u:\b)",
    )
});

/// The facts that still stand, in their order. `facts` come in reading order.
pub(super) fn standing(messages: &[Message<'_>], facts: Vec<Fact>) -> Vec<Fact> {
    let mut withdrawn = vec![false; facts.len()];
    for (message, text) in messages {
        let text = fold(text);
        for found in CORRECTS.find_iter(&text) {
            correct(&facts, *message, points(&text, found.range()), &mut withdrawn);
        }
        for found in WITHDRAWS.find_iter(&text) {
            let at = points(&text, found.range());
            for (fact, gone) in facts.iter().zip(&mut withdrawn) {
                *gone |= fact.message == *message && fact.span.end <= at.start && fact.span.end + REACH > at.start;
            }
        }
    }
    facts.into_iter().zip(withdrawn).filter(|(_, gone)| !gone).map(|(fact, _)| fact).collect()
}

/// What stands behind the words of correction replaces the last fact of the same slot before them, and what repeats
/// that old value on the way ("not the Redmi, ...").
fn correct(facts: &[Fact], message: u32, at: Span, withdrawn: &mut [bool]) {
    let behind = |fact: &Fact| fact.message == message && (at.end..at.end + REACH).contains(&fact.span.start);
    let before = |fact: &Fact| fact.message < message || (fact.message == message && fact.span.end <= at.start);
    for (new, right) in facts.iter().enumerate().filter(|(_, fact)| behind(fact)) {
        let same_slot = |fact: &Fact| fact.slot == right.slot;
        if facts[new + 1..].iter().any(|later| behind(later) && same_slot(later)) {
            continue;
        }
        let Some(old) = facts.iter().rposition(|fact| before(fact) && same_slot(fact)) else { continue };
        withdrawn[old] = true;
        for (at, fact) in facts.iter().enumerate().take(new) {
            withdrawn[at] |= behind(fact) && same_slot(fact) && facts[old].value.contains(&fact.value);
        }
    }
}
