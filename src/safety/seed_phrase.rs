//! IS THIS A SEED PHRASE? Words of one list, one after the other, that nobody would write as a sentence.
//!
//! letters -> tokens -> for each list: how odd is each stretch? -> checksum decides the edges -> byte ranges
//!
//! The oddness of a stretch is a log-likelihood ratio, random phrase against prose, in nats: an odd list word speaks for
//! a phrase, an everyday one ("can", "you", "help") against it, a word of no list strongly against it. So a misspelt
//! or missing word does not save a phrase, and a sentence that happens to use list words is left alone. Chinese is
//! read in [`super::seed_han`].

use std::{
    cmp::Reverse,
    collections::HashSet,
    ops::{Range, RangeInclusive},
};

use super::{
    fold::{Folded, is_letter},
    phrase_lists::{LETTER_LISTS, LONGEST_PHRASE, ListWord, checksum_holds, is_electrum, list_word, words_inside},
    talk::{Mention, is_seed_talk_near},
};
use crate::words::is_han;

/// 28% of the English list is everyday, but some 90% of the list words in what people write is.
pub(super) const ODD_WORD: f32 = 1.97;
pub(super) const EVERYDAY_WORD: f32 = -1.17;
pub(super) const OTHER_WORD: f32 = -2.5;
/// A stretch of Chinese between two words: numbering ("第三个") or prose.
pub(super) const SHORT_HAN: f32 = -1.0;

/// How odd a stretch has to be: inside other text, with talk of seed phrases near, alone on its line.
const LIMIT_INSIDE: f32 = 6.5;
const LIMIT_TALK: f32 = 3.5;
const LIMIT_ALONE: f32 = 1.5;
/// For each word over three: the more words, the rarer it is that a sentence has none outside the list.
const LIMIT_ALONE_PER_WORD: f32 = 1.4;
/// The longest run of list words in some 22,000 ordinary texts had eight; a longer one may be more ordinary.
const LONGER_THAN_PROSE: usize = 10;
const LIMIT_UNBROKEN: f32 = -4.0;
/// An unbroken run of this length is a phrase however ordinary its words are.
const BEYOND_PROSE: usize = 12;
/// The same with one misspelt word.
const LIMIT_ALL_BUT_ONE: f32 = -8.0;
/// A stretch whose oddness fell by this much from its peak has ended.
const FALL_THAT_ENDS: f32 = 9.0;

/// Adds the byte ranges, in the folded text, of every seed phrase written with letters.
///
/// `separators`: words that only stand between others; the text is read with them and without.
pub(super) fn find(folded: &Folded, separators: &[Range<usize>], mentions: &[Mention], found: &mut Vec<Range<usize>>) {
    let text = &folded.text;
    let mut tokens = tokens_of(text);
    find_unspaced(text, &tokens, found);
    find_in_lists(text, &tokens, mentions, found);
    if !separators.is_empty() {
        // In order, so the last one that begins before the token is the one that may hold it.
        let only_separates = |token: &Token| {
            let before = separators.partition_point(|range| range.start <= token.range.start);
            before > 0 && token.range.start < separators[before - 1].end
        };
        tokens.retain(|token| !only_separates(token));
        find_in_lists(text, &tokens, mentions, found);
    }
}

fn find_in_lists(text: &str, tokens: &[Token], mentions: &[Mention], found: &mut Vec<Range<usize>>) {
    if tokens.iter().filter(|token| token.word.is_some()).count() < 3 {
        return;
    }
    find_itemised(text, tokens, found);
    for list in 0..LETTER_LISTS.len() {
        let listed = |token: &Token| token.word.is_some_and(|word| word.number_in(list).is_some());
        // The other lists share words with English; they count only when they explain more than English does.
        let own = tokens.iter().filter(|token| listed(token)).count();
        if own >= 3 && (list == 0 || tokens.iter().any(|token| listed(token) && token.only_in(list))) {
            find_in_list(text, tokens, list, mentions, found);
            find_in_parts(tokens, list, found);
        }
    }
}

/// A stretch of letters of one script; Chinese is one token however long.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) word: Option<&'static ListWord>,
    line: u32,
    pub(super) is_han: bool,
}

impl Token {
    pub(super) fn only_in(&self, list: usize) -> bool {
        self.word.is_some_and(|word| {
            word.number_in(list).is_some() && (0..list).all(|other| word.number_in(other).is_none())
        })
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Script {
    None,
    Letters,
    Kana,
    Han,
}

fn script_of(c: char) -> Script {
    match c {
        'a'..='z' | 'A'..='Z' => Script::Letters,
        '\0'..='\u{7f}' => Script::None,
        '\u{3041}'..='\u{309f}' | '\u{30fc}' => Script::Kana,
        c if is_han(c) => Script::Han,
        _ if is_letter(c) => Script::Letters,
        _ => Script::None,
    }
}

pub(super) fn tokens_of(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 5 + 1);
    let (mut open, mut start, mut line) = (Script::None, 0, 0);
    let mut humps = Vec::new();
    let mut previous = ' ';
    let mut characters = text.char_indices().chain(std::iter::once((text.len(), ' '))).peekable();
    while let Some((at, c)) = characters.next() {
        let mut script = script_of(c);
        // "don't" is one word, and in no list.
        if c == '\'' && open == Script::Letters && characters.peek().is_some_and(|(_, next)| next.is_alphabetic()) {
            script = Script::Letters;
        }
        if script != open {
            match open {
                Script::None => {}
                Script::Han => tokens.push(Token { range: start..at, word: None, line, is_han: true }),
                Script::Letters | Script::Kana => push_word(text, start..at, &humps, line, &mut tokens),
            }
            humps.clear();
            (open, start) = (script, at);
        } else if c.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            humps.push(at);
        }
        line += u32::from(c == '\n');
        previous = c;
    }
    tokens
}

/// Adds a word; or the words between its humps where they, and not the whole, are in a list: CamelCase keeps words apart
/// when nothing else does, and "aBaNdOn" is one word.
fn push_word(text: &str, range: Range<usize>, humps: &[usize], line: u32, tokens: &mut Vec<Token>) {
    let token = |range: Range<usize>| {
        let word = list_word(&text[range.clone()].to_lowercase());
        Token { range, word, line, is_han: false }
    };
    let whole = token(range.clone());
    if humps.is_empty() || whole.word.is_some() {
        tokens.push(whole);
        return;
    }
    let starts = std::iter::once(range.start).chain(humps.iter().copied());
    let ends = humps.iter().copied().chain(std::iter::once(range.end));
    let parts: Vec<Token> = starts.zip(ends).map(|(start, end)| token(start..end)).collect();
    let listed = parts.iter().filter(|part| part.word.is_some()).count();
    if 2 * listed >= parts.len() { tokens.extend(parts) } else { tokens.push(whole) }
}

/// Two unbroken runs of list words a few words apart: the halves of one phrase, each too short to tell by itself.
fn find_in_parts(tokens: &[Token], list: usize, found: &mut Vec<Range<usize>>) {
    const LONGEST_BREAK: usize = 12;
    for pair in runs_of(tokens, list).windows(2) {
        let (first, second) = (&tokens[pair[0].clone()], &tokens[pair[1].clone()]);
        let is_near = pair[1].start - pair[0].end <= LONGEST_BREAK;
        if is_near && (are_odd(first, second) || have_checksum(first, second, list)) {
            found.extend([first, second].map(|run| run[0].range.start..run[run.len() - 1].range.end));
        }
    }
}

/// The unbroken runs of words of one list, from five words on.
fn runs_of(tokens: &[Token], list: usize) -> Vec<Range<usize>> {
    const SHORTEST_PART: usize = 5;
    let is_listed = |token: &Token| token.word.is_some_and(|word| word.number_in(list).is_some());
    let mut at = 0;
    let mut runs = Vec::new();
    for run in tokens.chunk_by(|left, right| is_listed(left) == is_listed(right)) {
        if run.len() >= SHORTEST_PART && is_listed(&run[0]) {
            runs.push(at..at + run.len());
        }
        at += run.len();
    }
    runs
}

/// Whether two runs of list words are odd, each and both together.
fn are_odd(first: &[Token], second: &[Token]) -> bool {
    let worth = |token: &Token| if token.word.is_some_and(|word| word.everyday) { EVERYDAY_WORD } else { ODD_WORD };
    let [first, second] = [first, second].map(|run| run.iter().map(worth).sum::<f32>());
    first > 0.0 && second > 0.0 && first + second >= LIMIT_INSIDE
}

/// Whether the end of one run and the beginning of the other are a phrase together, up to two words of the sentence between
/// them left out on each side. Not all of its words may be everyday ones.
fn have_checksum(first: &[Token], second: &[Token], list: usize) -> bool {
    const SHORTEST_PIECE: usize = 4;
    const LEFT_OUT: usize = 2;
    if first.len() > BEYOND_PROSE || second.len() > BEYOND_PROSE {
        return false; // Enough to be found alone.
    }
    let numbered = |token: &Token| token.word.and_then(|word| Some((word.number_in(list)?, word.everyday)));
    let [first, second] = [first, second].map(|run| run.iter().filter_map(numbered).collect::<Vec<_>>());
    let is_phrase = |start: &[(u16, bool)], end: &[(u16, bool)]| {
        let everyday = start.iter().chain(end).filter(|(_, everyday)| *everyday).count();
        let mut numbers = [0; LONGEST_PHRASE];
        numbers.iter_mut().zip(start.iter().chain(end)).for_each(|(place, (number, _))| *place = *number);
        let words = start.len() + end.len();
        everyday * 4 <= words * 3 && checksum_holds(&numbers[..words])
    };
    (0..=LEFT_OUT).any(|cut| {
        (0..=LEFT_OUT).any(|skip| {
            let (first, second) = (&first[..first.len() - cut], &second[skip..]);
            let shortest = |length: usize| SHORTEST_PIECE.max(length.saturating_sub(second.len()));
            [12, 15, 18, 21, 24].into_iter().any(|length| {
                (shortest(length)..=first.len().min(length - SHORTEST_PIECE))
                    .any(|taken| is_phrase(&first[first.len() - taken..], &second[..length - taken]))
            })
        })
    })
}

/// Items of a list, each of them one word, nearly all of one word list: nobody numbers the words of a sentence or gives
/// each a line, so even everyday words are a phrase, one of them misspelt.
fn find_itemised(text: &str, tokens: &[Token], found: &mut Vec<Range<usize>>) {
    const FEWEST_ITEMS: usize = 9;
    let lines = tokens.last().map_or(0, |token| token.line as usize + 1);
    if lines < FEWEST_ITEMS && !text.contains('9') {
        return;
    }
    let counts = |left: usize, right: usize| {
        let next = number_before(text, tokens, left).and_then(|number| number.checked_add(1));
        next.is_some() && next == number_before(text, tokens, right)
    };
    let is_next = |left: usize, right: usize| tokens[right].line == tokens[left].line + 1 || counts(left, right);
    let places: Vec<usize> = (0..tokens.len()).collect();
    for items in places.chunk_by(|left, right| is_next(*left, *right)) {
        let listed = |list| {
            items.iter().filter(|at| tokens[**at].word.is_some_and(|word| word.number_in(list).is_some())).count()
        };
        let others = items.len() - (0..LETTER_LISTS.len()).map(listed).max().unwrap_or(0);
        if items.len() >= FEWEST_ITEMS && others * 8 <= items.len() {
            found.push(tokens[items[0]].range.start..tokens[items[items.len() - 1]].range.end);
        }
    }
}

/// The number that stands between a token and the one before it.
fn number_before(text: &str, tokens: &[Token], at: usize) -> Option<u32> {
    let start = if at == 0 { 0 } else { tokens[at - 1].range.end };
    let between = &text.as_bytes()[start..tokens[at].range.start];
    let digits = between.split(|byte| !byte.is_ascii_digit()).rfind(|digits| !digits.is_empty())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find_in_list(text: &str, tokens: &[Token], list: usize, mentions: &[Mention], found: &mut Vec<Range<usize>>) {
    let listed = |token: &Token| token.word.filter(|word| word.number_in(list).is_some());
    let worth = |token: &Token| match listed(token) {
        Some(word) if word.everyday => EVERYDAY_WORD,
        Some(_) => ODD_WORD,
        None if token.is_han && token.range.len() <= 12 => SHORT_HAN,
        None => OTHER_WORD,
    };
    let mut at = 0;
    while at < tokens.len() {
        if worth(&tokens[at]) <= 0.0 {
            at += 1;
            continue;
        }
        let (mut sum, mut peak, mut last) = (0.0f32, 0.0f32, at);
        for (here, token) in tokens.iter().enumerate().skip(at) {
            sum += worth(token);
            if sum > peak {
                (peak, last) = (sum, here);
            }
            if sum < 0.0 || sum < peak - FALL_THAT_ENDS {
                break;
            }
        }
        let core = at..last + 1;
        let words = tokens[core.clone()].iter().filter(|token| listed(token).is_some()).count();
        let run = widen(text, tokens, &core, |token| listed(token).is_some());
        let talk = is_seed_talk_near(mentions, tokens[run.start].range.start, tokens[run.end - 1].range.end);
        let run_words = tokens[run.clone()].iter().filter(|token| listed(token).is_some()).count();
        let whole: f32 = tokens[run.clone()].iter().filter(|token| listed(token).is_some()).map(worth).sum();
        let is_unbroken = run_words == run.len();
        let is_alone = is_unbroken && is_whole_lines(tokens, &run);
        let looks_like_one = (words >= 4 && peak >= LIMIT_INSIDE)
            || (run_words >= 3 && talk && peak >= LIMIT_TALK)
            || (run_words >= LONGER_THAN_PROSE && is_unbroken && whole >= LIMIT_UNBROKEN)
            || (run_words >= LONGER_THAN_PROSE && run_words + 1 == run.len() && whole >= LIMIT_ALL_BUT_ONE)
            || (run_words >= BEYOND_PROSE && is_unbroken)
            || (run_words >= LONGER_THAN_PROSE && talk && run_words + 1 >= run.len())
            || (run_words >= 3 && is_alone && whole >= LIMIT_ALONE - LIMIT_ALONE_PER_WORD * (run_words as f32 - 3.0));
        let looks_like_one = looks_like_one && distinct_words(&tokens[run.clone()]) >= 3;
        // What is odd as a whole needs no checksum to tell where it ends.
        let is_settled = looks_like_one && core == run;
        let windows = if is_settled { None } else { reach_of_checksums(text, tokens, &run, &core, list) };
        let phrase = looks_like_one || windows.is_some();
        if phrase {
            let reach = if let Some(windows) = windows {
                let is_prose = |rest: &[Token]| {
                    rest.len() <= 1 && rest.iter().all(|token| listed(token).is_some_and(|word| word.everyday))
                };
                // One everyday word beside a window is left; more may be the phrase, and the window an accident.
                let start = if is_prose(&tokens[run.start..windows.start]) { windows.start } else { run.start };
                let end = if is_prose(&tokens[windows.end..run.end]) { windows.end } else { run.end };
                start..end
            } else {
                fill(text, tokens, run.clone())
            };
            found.push(tokens[reach.start].range.start..tokens[reach.end - 1].range.end);
        }
        at = if phrase { run.end.max(last + 1) } else { last + 1 };
    }
}

/// Without a checksum two words said over and over, as in markup, are no phrase.
fn distinct_words(tokens: &[Token]) -> usize {
    let words = tokens.iter().filter_map(|token| token.word).map(std::ptr::from_ref);
    words.collect::<HashSet<_>>().len()
}

/// The core and every list word next to it, also across one word on each side that is in no list: a misspelt one.
fn widen(text: &str, tokens: &[Token], core: &Range<usize>, listed: impl Fn(&Token) -> bool) -> Range<usize> {
    let mut run = core.clone();
    let (mut jump_left, mut jump_right) = (true, true);
    let may_jump = |token: &Token| !token.is_han && token.range.len() >= 2 && !is_link_word(text, token);
    loop {
        let before = run.clone();
        while run.start > 0 && listed(&tokens[run.start - 1]) {
            run.start -= 1;
        }
        while run.end < tokens.len() && listed(&tokens[run.end]) {
            run.end += 1;
        }
        if jump_left
            && run.len() >= 5
            && run.start >= 2
            && listed(&tokens[run.start - 2])
            && may_jump(&tokens[run.start - 1])
        {
            run.start -= 2;
            jump_left = false;
        }
        if jump_right
            && run.len() >= 5
            && run.end + 1 < tokens.len()
            && listed(&tokens[run.end + 1])
            && may_jump(&tokens[run.end])
        {
            run.end += 2;
            jump_right = false;
        }
        if run == before {
            return run;
        }
    }
}

/// Up to twelve words, as long as those around are set apart in the same way: phrases of other lists share words with these.
fn fill(text: &str, tokens: &[Token], run: Range<usize>) -> Range<usize> {
    if !(6..12).contains(&run.len()) {
        return run;
    }
    let gap = |left: usize| &text[tokens[left].range.end..tokens[left + 1].range.start];
    let usual = gap(run.start);
    let fits = |token: &Token| !token.is_han && token.range.len() >= 3 && !is_link_word(text, token);
    let missing = 12 - run.len();
    let mut filled = run.clone();
    while filled.start > 0
        && run.start - filled.start < missing
        && gap(filled.start - 1) == usual
        && fits(&tokens[filled.start - 1])
    {
        filled.start -= 1;
    }
    while filled.end < tokens.len()
        && filled.end - run.end < missing
        && gap(filled.end - 1) == usual
        && fits(&tokens[filled.end])
    {
        filled.end += 1;
    }
    filled
}

/// Words of a sentence around a phrase, of no list.
fn is_link_word(text: &str, token: &Token) -> bool {
    const LINK_WORDS: &str = "am an as at be by do go he hi if im in is it me my no of ok on or so to up us we the and are for was \
        were not but his her our has had its why who words phrases mnemonic seeds keys wallet wallets import \
        imported recover following here heres called using from cant your password";
    let low = text[token.range.clone()].to_ascii_lowercase();
    LINK_WORDS.split(' ').any(|word| word == low)
}

/// Whether no other letters stand on the lines of this run.
fn is_whole_lines(tokens: &[Token], run: &Range<usize>) -> bool {
    let alone_before = run.start == 0 || tokens[run.start - 1].line != tokens[run.start].line;
    let alone_after = run.end == tokens.len() || tokens[run.end].line != tokens[run.end - 1].line;
    alone_before && alone_after
}

/// The core with every window of a phrase's length that has a right checksum, all list words, not all of them everyday; `None`
/// where there is no such window. All of them count: one in sixteen windows of twelve passes by chance, and taking only
/// the first would let the true one's tail through. One that lies inside what was found already is not looked at.
fn reach_of_checksums(
    text: &str,
    tokens: &[Token],
    run: &Range<usize>,
    core: &Range<usize>,
    list: usize,
) -> Option<Range<usize>> {
    if run.len() < 12 {
        return None;
    }
    let words = &tokens[run.clone()];
    let numbers: Vec<Option<u16>> =
        words.iter().map(|token| token.word.and_then(|word| word.number_in(list))).collect();
    let may_be_one = |window: &Range<usize>| {
        let everyday =
            words[window.clone()].iter().filter(|token| token.word.is_some_and(|word| word.everyday)).count();
        everyday * 4 <= window.len() * 3 && numbers[window.clone()].iter().all(Option::is_some)
    };
    let of_length = |length: usize| (0..(words.len() + 1).saturating_sub(length)).map(move |at| at..at + length);
    let windows: Vec<Range<usize>> = [24, 21, 18, 15, 12].into_iter().flat_map(of_length).filter(may_be_one).collect();
    let mut reach: Option<Range<usize>> = None;
    let mut add = |windows: &[Range<usize>], holds: &dyn Fn(&Range<usize>) -> bool| {
        for window in windows {
            let [start, end] = [window.start, window.end].map(|at| run.start + at);
            let is_inside = reach.as_ref().is_some_and(|reach| reach.start <= start && end <= reach.end);
            if !is_inside && holds(window) {
                let known = reach.as_ref().unwrap_or(core);
                reach = Some(known.start.min(start)..known.end.max(end));
            }
        }
    };
    add(&windows, &|window| {
        let mut phrase = [0; LONGEST_PHRASE];
        phrase.iter_mut().zip(numbers[window.clone()].iter().flatten()).for_each(|(place, number)| *place = *number);
        checksum_holds(&phrase[..window.len()])
    });
    if list == 0 {
        let low: Vec<String> = words.iter().map(|token| text[token.range.clone()].to_ascii_lowercase()).collect();
        let low: Vec<&str> = low.iter().map(String::as_str).collect();
        add(&windows, &|window| matches!(window.len(), 12 | 24) && is_electrum(&low[window.clone()]));
    }
    reach
}

/// Letters in one stretch that can be cut into list words, or single letters with gaps between them.
fn find_unspaced(text: &str, tokens: &[Token], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at < tokens.len() {
        let start = at;
        let mut length = 0;
        // Words cut up by gaps ("le gal win ner"): short tokens that are no words by themselves belong together.
        while at < tokens.len() && !tokens[at].is_han && tokens[at].range.len() <= 2 && !tokens[at].range.is_empty() {
            length += tokens[at].range.len();
            at += 1;
        }
        if at == start {
            let token = &tokens[at];
            at += 1;
            let is_long = !token.is_han && token.range.len() >= 20 && token.word.is_none();
            if is_long && let Some(cut) = cut_into_words(text, std::slice::from_ref(token)) {
                found.push(cut);
            }
        } else if length >= 20
            && let Some(cut) = cut_into_words(text, &tokens[start..at])
        {
            found.push(cut);
        }
    }
}

/// The byte range from the first to the last list word, if the letters of `tokens` are mostly list words end to end.
fn cut_into_words(text: &str, tokens: &[Token]) -> Option<Range<usize>> {
    const SIZES: RangeInclusive<usize> = 3..=24;
    const FEWEST: usize = 5;
    let letters: Vec<(usize, char)> = tokens
        .iter()
        .flat_map(|token| text[token.range.clone()].char_indices().map(|(at, c)| (token.range.start + at, c)))
        .take(600)
        .collect();
    let low: String = letters.iter().flat_map(|(_, c)| c.to_lowercase()).collect();
    let starts: Vec<usize> = low.char_indices().map(|(at, _)| at).chain(std::iter::once(low.len())).collect();
    if starts.len() != letters.len() + 1 {
        return None;
    }
    // (the letter it ends before, its length in letters, the word)
    let mut words: Vec<(usize, usize, &ListWord)> = words_inside(&low)
        .filter_map(|(range, word)| {
            let [start, end] = [range.start, range.end].map(|at| starts.binary_search(&at));
            let (start, end) = (start.ok()?, end.ok()?);
            SIZES.contains(&(end - start)).then_some((end, end - start, word))
        })
        .collect();
    words.sort_unstable_by_key(|(end, length, _)| (*end, Reverse(*length)));
    let mut best: Option<(f32, Range<usize>)> = None;
    for list in 0..LETTER_LISTS.len() {
        let is_listed = |(_, _, word): &&(usize, usize, &ListWord)| word.number_in(list).is_some();
        if words.iter().filter(is_listed).count() < FEWEST {
            continue;
        }
        // The oddest way to cut the first so many letters, and the length of the word that ends there.
        let mut odd = vec![0.0f32; letters.len() + 1];
        let mut ends_word = vec![0usize; letters.len() + 1];
        let mut listed = words.iter().filter(is_listed).peekable();
        for to in 1..=letters.len() {
            odd[to] = f32::NEG_INFINITY;
            while let Some((_, length, word)) = listed.next_if(|(end, _, _)| *end == to) {
                // Longer words are less of an accident inside other letters.
                let gain = odd[to - length] + 0.25 * *length as f32 + if word.everyday { -1.0 } else { 0.3 };
                if gain > odd[to] {
                    (odd[to], ends_word[to]) = (gain, *length);
                }
            }
            // A letter outside any word costs much: prose has many.
            let skipped = odd[to - 1] - 1.2;
            if skipped > odd[to] {
                (odd[to], ends_word[to]) = (skipped, 0);
            }
        }
        let (mut at, mut count, mut first, mut last) = (letters.len(), 0, 0, 0);
        let mut covered = 0;
        while at > 0 {
            let length = ends_word[at].max(1);
            if ends_word[at] > 0 {
                count += 1;
                covered += length;
                last = last.max(at);
                first = at - length;
            }
            at -= length;
        }
        let oddness = odd[letters.len()];
        let is_better = best.as_ref().is_none_or(|(score, _)| oddness > *score);
        if count >= FEWEST && covered * 10 >= letters.len() * 7 && oddness > 3.0 && is_better {
            let end = letters.get(last).map_or(tokens[tokens.len() - 1].range.end, |(at, _)| *at);
            best = Some((oddness, letters[first].0..end));
        }
    }
    best.map(|(_, range)| range)
}
