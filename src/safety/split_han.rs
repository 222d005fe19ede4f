//! IS A CHINESE SEED PHRASE SPREAD OVER MESSAGES? A few characters in each, or a character at a time.
//!
//! Short messages of nothing but Chinese are read as one text with a line for each, by [`super::seed_han`]. One character
//! by itself is also what people answer with ("是", "好", "对"), so a phrase that comes that way is weighed by its own rule.

use std::{
    collections::{BTreeSet, HashSet},
    ops::{Range, RangeInclusive},
};

use super::{
    fold::Folded,
    phrase_lists::{continues_a_word, han_character, is_common_pair},
    seed_han,
    split::Heard,
};

/// Chinese characters in a message that may be a part of a phrase: more are a sentence.
const HAN_OF_A_PART: RangeInclusive<usize> = 1..=12;
const LEAST_HAN: usize = 6;

/// Characters that are a whole message by themselves in any chat.
const ANSWERS: &str = "是好对對行嗯在要没沒有不能会會可哦啊呢吧快等来來谁誰多少人急谢謝早晚懂难難喂哈呵额呃噢喔唉哎靠草操滚滾骗騙退一二三四五六七八九十两兩零卡币幣钱錢我你他她说說";
/// Different characters, a message each, that may be a phrase; and how odd they have to be together, in nats. Nobody in some
/// 2,000 conversations sent as many.
const FEWEST_ONES: usize = 5;
const LIMIT_ONES: f32 = 2.5;
/// An answer, and a pair of characters that stands side by side in prose: somebody types a sentence.
const ANSWER: f32 = -2.0;
const PAIR: f32 = -2.0;
/// Messages of something else between two parts.
const MOST_BETWEEN: usize = 2;

/// The bytes of each message that belong to a Chinese phrase which reaches the newest one. `newest_has_phrase` says whether
/// the newest one holds one by itself.
pub(super) fn find(heard: &[Heard<'_>], newest_has_phrase: bool) -> Vec<(usize, Range<usize>)> {
    let newest = heard.len() - 1;
    if !is_part(&heard[newest]) {
        return Vec::new();
    }
    let mut found = in_parts(heard);
    let mut hit: BTreeSet<usize> = found.iter().map(|(at, _)| *at).collect();
    let ones = one_by_one(heard);
    let beside =
        |hit: &BTreeSet<usize>| beside_masked(heard, |at| hit.contains(&at) || (at == newest && newest_has_phrase));
    hit.extend(&ones);
    found.extend(ones.into_iter().chain(beside(&hit)).map(|at| (at, heard[at].original(&heard[at].tokens))));
    found
}

fn characters<'h>(heard: &'h Heard<'_>) -> impl Iterator<Item = char> + 'h {
    heard.tokens.iter().flat_map(|token| heard.folded.text[token.range.clone()].chars())
}

fn is_part(heard: &Heard<'_>) -> bool {
    !heard.tokens.is_empty()
        && heard.tokens.iter().all(|token| token.is_han)
        && HAN_OF_A_PART.contains(&characters(heard).count())
}

/// The character of a list that the message is.
fn only_character(heard: &Heard<'_>) -> Option<char> {
    let mut all = characters(heard);
    let only = all.next().filter(|_| is_part(heard) && all.next().is_none())?;
    han_character(only).map(|_| only)
}

/// Several characters in a message.
fn in_parts(heard: &[Heard<'_>]) -> Vec<(usize, Range<usize>)> {
    let newest = heard.len() - 1;
    let is_one = |heard: &Heard<'_>| characters(heard).nth(1).is_none();
    let is_answer = |heard: &Heard<'_>| is_one(heard) && only_character(heard).is_none_or(|c| ANSWERS.contains(c));
    // (message, where its line begins in the joint text)
    let mut lines: Vec<(usize, usize)> = Vec::new();
    let mut joint = String::new();
    for (message, part) in heard.iter().enumerate().filter(|(_, heard)| is_part(heard) && !is_answer(heard)) {
        lines.push((message, joint.len()));
        joint.push_str(&part.folded.text);
        joint.push('\n');
    }
    let folded = Folded::new(&joint);
    let mut phrases = Vec::new();
    seed_han::find(&folded, &[], &[], &mut phrases);
    let mut found = Vec::new();
    for phrase in phrases {
        let (start, end) = folded.original(phrase.start, phrase.end);
        let touched = lines.iter().enumerate().filter_map(|(number, (message, begins))| {
            let ends = lines.get(number + 1).map_or(joint.len(), |(_, next)| *next) - 1;
            let (from, to) = (start.max(*begins), end.min(ends));
            (from < to).then(|| (*message, from - begins..to - begins))
        });
        let touched: Vec<(usize, Range<usize>)> = touched.collect();
        let characters = joint[start..end].chars().filter(|c| !c.is_whitespace() && !c.is_ascii()).count();
        if touched.len() >= 2
            && touched.iter().any(|(message, _)| !is_one(&heard[*message]))
            && characters >= LEAST_HAN
            && touched.last().is_some_and(|(message, _)| *message == newest)
        {
            found.extend(touched.into_iter().map(|(message, range)| {
                let (start, end) = heard[message].folded.original(range.start, range.end);
                (message, start..end)
            }));
        }
    }
    found
}

/// A character in a message: the messages that are too odd together.
fn one_by_one(heard: &[Heard<'_>]) -> Vec<usize> {
    if only_character(&heard[heard.len() - 1]).is_none() {
        return Vec::new();
    }
    let (mut sum, mut most, mut between, mut taken) = (0.0f32, LIMIT_ONES, 0, 0);
    let mut seen = HashSet::new();
    let mut ones: Vec<usize> = Vec::new();
    let mut behind = None;
    for at in (0..heard.len()).rev() {
        let Some(c) = only_character(&heard[at]) else {
            between += 1;
            if between > MOST_BETWEEN {
                break;
            }
            continue;
        };
        between = 0;
        sum += match han_character(c) {
            _ if ANSWERS.contains(c) => ANSWER,
            Some(han) if seen.insert(c) => han.oddness,
            _ => 0.0,
        };
        if behind.is_some_and(|behind| is_common_pair(c, behind)) {
            sum += PAIR;
        }
        behind = Some(c);
        ones.push(at);
        if seen.len() >= FEWEST_ONES && sum >= most {
            (most, taken) = (sum, ones.len());
        }
    }
    ones.truncate(taken);
    ones
}

/// What stands among two or more masked messages and may be a part: it was too common to be seen by itself.
fn beside_masked(heard: &[Heard<'_>], is_hit: impl Fn(usize) -> bool) -> Vec<usize> {
    let (mut between, mut masked, mut before_masked) = (0, 0, 0);
    let mut beside = Vec::new();
    for at in (0..heard.len()).rev() {
        if heard[at].is_phrase || is_hit(at) {
            masked += 1;
            (between, before_masked) = (0, 0);
        } else if may_be_part(&heard[at]) && before_masked < MOST_BETWEEN {
            beside.push(at);
            before_masked += 1;
            between = 0;
        } else {
            between += 1;
            if between > MOST_BETWEEN {
                break;
            }
        }
    }
    if masked >= 2 { beside } else { Vec::new() }
}

/// Whether a message of list characters is neither an answer nor prose.
fn may_be_part(heard: &Heard<'_>) -> bool {
    if let Some(only) = only_character(heard) {
        return !ANSWERS.contains(only);
    }
    // Nobody sets the characters of prose apart.
    let is_spaced = heard.tokens.len() >= 2 && heard.tokens.iter().all(|token| token.range.len() <= 4);
    let all: Vec<char> = characters(heard).collect();
    let listed: Option<Vec<f32>> = all.iter().map(|c| Some(han_character(*c)?.oddness)).collect();
    let pairs = all.windows(2).filter(|pair| is_common_pair(pair[0], pair[1])).count();
    let joined = || continues_a_word(&all).into_iter().filter(|joined| *joined).count();
    let oddness = |listed: Vec<f32>| listed.into_iter().sum::<f32>() + PAIR * pairs as f32;
    is_part(heard) && listed.is_some_and(|listed| is_spaced || (oddness(listed) > 0.0 && joined() == 0))
}
