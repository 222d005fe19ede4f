//! IS THIS CHINESE A SEED PHRASE? Single characters of the simplified or traditional list, spaced or not.
//!
//! Three in four characters of ordinary prose are list characters, and one window of twelve in sixteen passes the checksum by
//! chance. What prose has and a phrase has not is common characters and common pairs; what a phrase often has and prose has
//! not is a gap after every character. Each character adds its oddness (nats, see [`super::seed_phrase`]).

use std::ops::Range;

use super::{
    fold::{Folded, is_letter},
    phrase_lists::{HanCharacter, LONGEST_PHRASE, checksum_holds, continues_a_word, han_character, is_common_pair},
    talk::{Mention, is_seed_talk_near},
};
use crate::words::is_han;

const COMMON_PAIR: f32 = -4.0;
const RARE_PAIR: f32 = 1.2;
/// A pair inside a word of the dictionary that is not among the common pairs: a name, a rare thing.
const WORD_PAIR: f32 = -2.8;
/// A character with a gap on both sides.
const ON_ITS_OWN: f32 = 2.0;
const OTHER_CHARACTER: f32 = -4.0;

/// How odd a stretch has to be: anywhere, with talk of seed phrases near, alone on its line, spaced alone on its line.
/// The oddest of some 8,000 ordinary lines reached 8.9.
const LIMIT_INSIDE: f32 = 10.5;
const LIMIT_TALK: f32 = 9.0;
const LIMIT_ALONE: f32 = 9.0;
const LIMIT_SPACED_ALONE: f32 = 6.0;
/// How odd six or more characters with a gap around each have to be.
const LIMIT_SPACED: f32 = 2.0;
/// How odd a window with a right checksum has to be.
const LIMIT_CHECKSUM: f32 = 6.0;
const LIMIT_CHECKSUM_TALK: f32 = 1.0;
/// The same where the window is set apart: in one piece, also with talk of seed phrases near, in groups of one size.
const LIMIT_SET_APART: f32 = -2.5;
const LIMIT_SET_APART_TALK: f32 = -5.0;
const LIMIT_IN_GROUPS: f32 = -4.0;
/// What numbers are followed by.
const MEASURES: &str =
    "元张張个個天年月日号號时時分秒块塊次点點笔筆条條位名万萬亿億千百度折倍层層版种種款字词詞步到至和及或周岁岁英美";
const FALL_THAT_ENDS: f32 = 7.0;
/// Characters that a phrase has at least inside other text, and alone in a message: names are as odd, but short.
const LEAST_INSIDE: usize = 9;
const LEAST_ALONE: usize = 6;

/// Adds the byte ranges, in the folded text, of every seed phrase written with Chinese characters.
///
/// `separators`: words that only stand between others; the text is read with them and without.
pub(super) fn find(folded: &Folded, separators: &[Range<usize>], mentions: &[Mention], found: &mut Vec<Range<usize>>) {
    let mut stretches = stretches_of(&folded.text, &[]);
    if !separators.is_empty() {
        stretches.extend(stretches_of(&folded.text, separators));
    }
    for mut stretch in stretches {
        if stretch.iter().filter(|here| here.han.is_some()).count() < 3 {
            continue;
        }
        let is_suspect =
            !odd_parts(&stretch, mentions).is_empty() || !with_checksum(&stretch, mentions, &[]).is_empty();
        if is_suspect {
            weigh_words(&folded.text, &mut stretch);
            let mut parts = odd_parts(&stretch, mentions);
            parts.extend(with_checksum(&stretch, mentions, &parts));
            found.extend(parts.into_iter().map(|part| bytes_of(&stretch, &part)));
        }
    }
}

/// The bytes of a part, which is not empty.
fn bytes_of(stretch: &[Here], part: &Range<usize>) -> Range<usize> {
    stretch[part.start].range.start..stretch[part.end - 1].range.end
}

fn is_talk_near(stretch: &[Here], mentions: &[Mention], part: &Range<usize>) -> bool {
    let bytes = bytes_of(stretch, part);
    is_seed_talk_near(mentions, bytes.start, bytes.end)
}

/// A second look, with the dictionary: names and rare words are odd by their characters and yet no phrase.
fn weigh_words(text: &str, stretch: &mut [Here]) {
    for run in stretch.chunk_by_mut(|before, after| before.range.end == after.range.start) {
        if run.len() == 1 {
            continue;
        }
        let characters: Vec<char> = run.iter().filter_map(|here| text[here.range.clone()].chars().next()).collect();
        let continues = continues_a_word(&characters);
        for at in (1..run.len()).filter(|at| continues[*at]) {
            if run[at].han.is_some() && !is_common_pair(characters[at - 1], characters[at]) {
                run[at].oddness += WORD_PAIR - RARE_PAIR;
            }
        }
    }
}

/// One Chinese character in its place.
#[derive(Debug)]
struct Here {
    range: Range<usize>,
    han: Option<HanCharacter>,
    oddness: f32,
    follows_gap: bool,
    is_spaced: bool,
    starts_line: bool,
    ends_line: bool,
}

/// Runs of Chinese characters with nothing but gaps, digits, punctuation and separators between them.
fn stretches_of(text: &str, separators: &[Range<usize>]) -> Vec<Vec<Here>> {
    let mut stretches = Vec::new();
    let mut open: Vec<Here> = Vec::new();
    let mut previous: Option<char> = None;
    let (mut has_gap, mut new_line, mut after_digit) = (true, true, false);
    let mut latin = 0;
    let mut separators = separators.iter().peekable();
    for (at, c) in text.char_indices() {
        while separators.next_if(|range| range.end <= at).is_some() {}
        if separators.peek().is_some_and(|range| range.start <= at) {
            has_gap = true;
            continue;
        }
        if is_han(c) {
            let han = han_character(c);
            let gap = has_gap;
            let mut oddness = han.map_or(OTHER_CHARACTER, |han| han.oddness);
            if let (Some(before), true) = (previous.filter(|_| !open.is_empty()), han.is_some()) {
                oddness += if is_common_pair(before, c) {
                    if gap { COMMON_PAIR / 2.0 } else { COMMON_PAIR }
                } else if gap {
                    0.0
                } else {
                    RARE_PAIR
                };
            }
            if !has_gap && let Some(last) = open.last_mut() {
                last.is_spaced = false;
            }
            // "5 张", "10 月": a measure after its number has a gap around it in any prose.
            let is_measure = after_digit && MEASURES.contains(c);
            let gap = gap && !is_measure;
            after_digit = false;
            open.push(Here {
                range: at..at + c.len_utf8(),
                han,
                oddness,
                follows_gap: gap,
                is_spaced: gap,
                starts_line: new_line,
                ends_line: false,
            });
            previous = Some(c);
            (has_gap, new_line, latin) = (false, false, 0);
        } else {
            // Quotes and brackets stand around single characters in prose.
            has_gap |= !matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | '\u{300a}'..='\u{3011}' | '<' | '>');
            after_digit = c.is_ascii_digit() || (after_digit && c == ' ');
            if c == '\n' {
                new_line = true;
                if let Some(last) = open.last_mut() {
                    last.ends_line |= latin == 0;
                }
            } else if is_letter(c) {
                latin += 1;
                new_line = false;
                if latin == 2 && !open.is_empty() {
                    stretches.push(std::mem::take(&mut open));
                }
            }
        }
    }
    if let Some(last) = open.last_mut() {
        last.ends_line |= latin == 0;
    }
    stretches.push(open);
    for here in stretches.iter_mut().flatten().filter(|here| here.is_spaced && here.han.is_some()) {
        here.oddness += ON_ITS_OWN;
    }
    stretches
}

/// What is a phrase by its characters alone.
fn odd_parts(stretch: &[Here], mentions: &[Mention]) -> Vec<Range<usize>> {
    let mut parts = spaced_runs(stretch);
    let mut at = 0;
    while at < stretch.len() {
        if stretch[at].oddness <= 0.0 {
            at += 1;
            continue;
        }
        let (mut sum, mut peak, mut last) = (0.0f32, 0.0f32, at);
        for (here, character) in stretch.iter().enumerate().skip(at) {
            sum += character.oddness;
            if sum > peak {
                (peak, last) = (sum, here);
            }
            if sum < 0.0 || sum < peak - FALL_THAT_ENDS {
                break;
            }
        }
        let core = at..last + 1;
        let spaced = stretch[core.clone()].iter().filter(|here| here.is_spaced).count();
        let run = widen(stretch, &core);
        let talk = is_talk_near(stretch, mentions, &run);
        let is_alone = stretch[run.start].starts_line && stretch[run.end - 1].ends_line;
        let (limit, least) = match (talk, is_alone) {
            (_, true) if spaced >= 3 && spaced + 1 >= core.len() => (LIMIT_SPACED_ALONE, 3),
            (true, _) => (LIMIT_TALK, 3),
            (_, true) => (LIMIT_ALONE, LEAST_ALONE),
            _ => (LIMIT_INSIDE, LEAST_INSIDE),
        };
        if peak >= limit && core.len() >= least {
            parts.push(to_gaps(stretch, run));
        }
        at = last + 1;
    }
    parts
}

/// What a checksum makes a phrase. What lies inside `known` is not looked at.
fn with_checksum(stretch: &[Here], mentions: &[Mention], known: &[Range<usize>]) -> Vec<Range<usize>> {
    let is_talk_near = |part: &Range<usize>| is_talk_near(stretch, mentions, part);
    let is_new = |part: &Range<usize>| !known.iter().any(|known| known.start <= part.start && part.end <= known.end);
    let mut parts = set_apart(stretch, &is_talk_near);
    parts.extend(windows_of_a_phrase(stretch, is_talk_near));
    parts.retain(|part| is_new(part) && has_checksum(&stretch[part.clone()]));
    parts
}

/// Characters one by one, each with a gap around it: nobody writes prose so for as long as a phrase, however common
/// the characters are. One of them may be in no list.
fn spaced_runs(stretch: &[Here]) -> Vec<Range<usize>> {
    const SHORTEST: usize = 6;
    const WHOLE_PHRASE: usize = 12;
    let mut at = 0;
    let mut runs = Vec::new();
    for run in stretch.chunk_by(|left, right| left.is_spaced == right.is_spaced) {
        let listed: Vec<&Here> = run.iter().filter(|here| here.han.is_some()).collect();
        let oddness: f32 = listed.iter().map(|here| here.oddness).sum();
        let is_odd = oddness >= LIMIT_SPACED || listed.len() >= WHOLE_PHRASE;
        if listed.len() >= SHORTEST && listed.len() + 1 >= run.len() && run[0].is_spaced && is_odd {
            runs.push(at..at + run.len());
        }
        at += run.len();
    }
    runs
}

/// The run out to the gaps on both sides, where nothing but list characters stands before them: what was written in one
/// piece belongs together.
fn to_gaps(stretch: &[Here], run: Range<usize>) -> Range<usize> {
    const LONGEST_REST: usize = 12;
    let left = stretch[..run.start].iter().rev().take_while(|here| here.han.is_some()).take(LONGEST_REST);
    let left = left.zip(stretch[..=run.start].iter().rev()).take_while(|(_, right)| !right.follows_gap).count();
    let right = stretch[run.end..].iter().take_while(|here| here.han.is_some() && !here.follows_gap);
    let right = right.take(LONGEST_REST).count();
    let is_gap = |at: usize| stretch.get(at).is_none_or(|here| here.follows_gap);
    let start = if is_gap(run.start - left) { run.start - left } else { run.start };
    let end = if is_gap(run.end + right) { run.end + right } else { run.end };
    start..end
}

/// Up to three more list characters on each side, as long as they do not belong to a word of the prose around; also across
/// one character of no list, a misspelt one.
fn widen(stretch: &[Here], core: &Range<usize>) -> Range<usize> {
    let may_belong =
        |at: usize| stretch.get(at).is_some_and(|here| here.han.is_some() && (here.is_spaced || here.oddness > -1.5));
    let may_jump = core.len() >= 6;
    let reach = |from: usize, step: fn(usize, usize) -> usize| {
        let mut taken = 0;
        for distance in 1..=4 {
            let is_misspelt = may_jump && distance < 4 && may_belong(step(from, distance + 1));
            if may_belong(step(from, distance)) || (is_misspelt && taken + 1 == distance) {
                taken = distance;
            } else {
                break;
            }
        }
        taken
    };
    // A step below zero wraps to a place that no stretch has.
    let left = reach(core.start, usize::wrapping_sub);
    let right = reach(core.end - 1, usize::wrapping_add);
    core.start - left..core.end + right
}

/// Characters between gaps that may be a phrase by their number: in one piece, or in groups of one size, as a
/// phrase is read out or written in columns; more groups of that size may stand before or after them.
fn set_apart(stretch: &[Here], is_talk_near: &impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for piece in stretch.chunk_by(|_, right| !right.follows_gap) {
        pieces.push(at..at + piece.len());
        at += piece.len();
    }
    // Groups of the same size may stand before and behind the phrase's: it begins with one of them, or ends with the last.
    let windows = |range: Range<usize>| {
        let starts: Vec<usize> = pieces.iter().map(|piece| piece.start).filter(|start| range.contains(start)).collect();
        let (size, end) = (range.len(), range.end);
        let lengths = [12, 15, 18, 21, 24].into_iter().filter(move |length| *length <= size);
        lengths.flat_map(move |length| {
            let last = end - length;
            let from_a_group = starts.clone().into_iter().filter(move |start| *start < last);
            from_a_group.chain([last]).map(move |start| start..start + length)
        })
    };
    let in_groups = columns(&pieces).into_iter().flat_map(windows).map(|range| (LIMIT_IN_GROUPS, range));
    let in_one = pieces.iter().map(|piece| (LIMIT_SET_APART, piece.clone()));
    let oddness = |range: &Range<usize>| stretch[range.clone()].iter().map(|here| here.oddness).sum::<f32>();
    let may_be_one = |(limit, range): &(f32, Range<usize>)| {
        let limit = if is_talk_near(range) { LIMIT_SET_APART_TALK } else { *limit };
        oddness(range) >= limit
    };
    in_groups.chain(in_one).filter(may_be_one).map(|(_, range)| range).collect()
}

/// Runs of pieces of one size; once more with the piece behind them where that is shorter, as the last of a phrase may be.
fn columns(pieces: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut columns = Vec::new();
    let mut at = 0;
    for run in pieces.chunk_by(|left, right| left.len() == right.len()) {
        at += run.len();
        if run.len() > 1 {
            columns.push(run[0].start..run[run.len() - 1].end);
            let rest = pieces.get(at).filter(|rest| rest.len() < run[0].len());
            columns.extend(rest.map(|rest| run[0].start..rest.end));
        }
    }
    columns
}

fn has_checksum(window: &[Here]) -> bool {
    let holds = |number: fn(&HanCharacter) -> Option<u16>| {
        let mut numbers = [0; LONGEST_PHRASE];
        let mut places = numbers.iter_mut().zip(window);
        let are_listed = places.all(|(place, here)| {
            let listed = here.han.as_ref().and_then(number);
            *place = listed.unwrap_or_default();
            listed.is_some()
        });
        are_listed && window.len() <= LONGEST_PHRASE && checksum_holds(&numbers[..window.len()])
    };
    holds(|han| han.simplified) || holds(|han| han.traditional)
}

/// Windows of a phrase's length that are odd enough to be one, if their checksum is right.
fn windows_of_a_phrase(stretch: &[Here], is_talk_near: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    if stretch.len() < 12 {
        return windows;
    }
    let mut sums = Vec::with_capacity(stretch.len() + 1);
    sums.push(0.0f32);
    for here in stretch {
        sums.push(sums[sums.len() - 1] + here.oddness);
    }
    for length in [12, 15, 18, 21, 24] {
        for start in 0..(stretch.len() + 1).saturating_sub(length) {
            // The pair across the left edge belongs to the text before the window.
            let first = &stretch[start];
            let edge = first.han.map_or(0.0, |han| han.oddness) + if first.is_spaced { ON_ITS_OWN } else { 0.0 };
            let oddness = sums[start + length] - sums[start + 1] + edge;
            let window = start..start + length;
            let is_odd = oddness >= LIMIT_CHECKSUM || (oddness >= LIMIT_CHECKSUM_TALK && is_talk_near(&window));
            if is_odd {
                windows.push(window);
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::super::mask;

    #[test]
    fn names_and_slips_of_ordinary_questions_stay() {
        for text in [
            "我在葡萄牙卖币赚的钱要交多少个点的税",
            "王者荣耀打野带什么",
            "双胞胎弟弟刷脸能进我的号 咋办",
            "雙胞胎弟弟刷臉能進我的號 咋辦",
        ] {
            assert_eq!(mask(text).as_str(), text);
        }
    }

    #[test]
    fn a_phrase_in_columns_goes_however_common_its_characters_are() {
        for text in [
            "賞大 著稿 削結 軍擲 使色 梁條 豪無 波",
            "屬夾 遵飽 趕陳 情存 閱下 方建\n谢谢",
            "客服你好，特等支近 竟閉擋袋 漿結論錯，余额为零",
            "饼患横仗学现从教只固有事",
        ] {
            assert!(mask(&format!("看 {text}")).as_str().contains("[seed phrase 1]"), "{text}");
        }
    }

    #[test]
    fn twelve_characters_one_by_one_go_however_common_they_are() {
        for text in [
            "我的助记词是 的 一 是 在 不 了 有 和 人 这 中 大",
            "1.的 2.一 3.是 4.在 5.不 6.了 7.有 8.和 9.人 10.这 11.中 12.大",
        ] {
            let masked = mask(text);
            assert!(masked.as_str().contains("[seed phrase 1]") && !masked.as_str().contains('中'), "{masked:?}");
        }
    }

    #[test]
    fn phrases_inside_a_sentence_go() {
        let phrase = bip39::Mnemonic::from_entropy_in(bip39::Language::SimplifiedChinese, &[7; 16]).unwrap();
        let unspaced: String = phrase.words().collect();
        assert_eq!(mask(&format!("帮我看看 {unspaced} 这个")).as_str(), "帮我看看 [seed phrase 1] 这个");
    }
}
