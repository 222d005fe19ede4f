//! IS A SEED PHRASE SPREAD OVER MESSAGES? Six words in one sentence and six in the next, or a word at a time.
//!
//! ```text
//! each message -> its piece -> with a right checksum over messages? -> so odd together? -> beside a masked one? -> ranges
//! ```
//! A message gives one piece for each list: all of it when it is nothing but list words, else the oddest stretch inside it.
//! A stretch that had to be looked for costs something, and so does a message without any. Oddness is that of
//! [`super::seed_phrase`], in nats. Only a chain that reaches the newest message counts: older ones were judged when they
//! were new. The figures were set on 2,251 conversations (30,733 messages) of ordinary customers, real and shuffled
//! ones, of which none may be touched; what they find is measured in `tests/it/split.rs`.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Range,
};

use super::{
    fold::Folded,
    phrase_lists::{LETTER_LISTS, ListWord, checksum_holds, is_electrum},
    secrets::{SecretKind, masks_in},
    seed_phrase::{EVERYDAY_WORD, ODD_WORD, OTHER_WORD, SHORT_HAN, Token, tokens_of},
    split_han,
    talk::{self, Subject},
};

/// Customer's messages looked back on: 24 words one by one, and some chatter between.
pub(super) const LOOK_BACK: usize = 40;

/// A piece inside a sentence was chosen among many.
const CHOSEN: f32 = 1.5;
/// A whole Chinese sentence around a word says no more against it than this.
const MOST_AROUND: f32 = 4.0;
/// A message without a piece.
const NO_PIECE: f32 = 1.0;
const LIMIT_TOGETHER: f32 = 6.5;
/// The same with talk of seed phrases in the chain or right before it.
const LIMIT_TALK: f32 = 4.5;
const LEAST_WORDS: usize = 5;
/// Other lists share words with many languages' small talk.
const LIMIT_OTHER_LIST: f32 = 12.0;
const LEAST_WORDS_OTHER_LIST: usize = 8;
/// How odd a window with a right checksum has to be.
const LIMIT_CHECKSUM: f32 = -3.0;
/// How odd a piece of two words inside a sentence has to be before a part of a phrase, and one of more words.
const LIMIT_BEFORE: f32 = 2.7;
const LIMIT_BEFORE_LONG: f32 = 1.9;
/// How odd one of three words or more has to be behind a phrase. More, because nobody knows whether that was a part or whole.
const LIMIT_BEHIND: f32 = 2.7;
/// How far behind, in messages.
const BEHIND: usize = 3;
/// Where two messages or more, of so many, were masked, the phrase comes in parts, and less will do for the next one.
const PARTS_WITHIN: usize = 6;
/// Words in a row, inside a sentence, that may be a part.
const LEAST_OF_A_PART: usize = 3;
/// How odd parts of one size have to be whose checksum is right.
const LIMIT_ONE_SIZE: f32 = -12.0;
/// A phrase of so many words is whole.
const WHOLE: usize = 12;

/// List words that are a whole message by themselves in any chat.
const SAID_ALONE: &[&str] = &[
    "hello", "help", "okay", "sure", "thank", "you", "agree", "cancel", "person", "human", "right", "good", "cool",
    "great", "wait", "what", "when", "where", "why", "how", "this", "that", "again", "more", "still", "solve",
    "answer", "correct", "wrong", "wallet", "error", "can", "not", "now", "today", "agent",
];

/// The bytes of each message that belong to a seed phrase which `messages` make up together, oldest first. The newest one
/// is the last, and `newest_has_phrase` says whether it holds one by itself. Earlier ones may hold masks.
pub(super) fn find(messages: &[&str], newest_has_phrase: bool) -> BTreeMap<usize, Vec<Range<usize>>> {
    let heard: Vec<Heard<'_>> = messages.iter().map(|text| Heard::new(text)).collect();
    let mut found: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
    if heard.len() < 2 {
        return found;
    }
    for list in 0..LETTER_LISTS.len() {
        if let Some(chain) = Chain::new(&heard, list, newest_has_phrase) {
            for (message, ranges) in chain.found() {
                found.entry(message).or_default().extend(ranges);
            }
        }
    }
    for (message, range) in split_han::find(&heard, newest_has_phrase) {
        found.entry(message).or_default().push(range);
    }
    found
}

/// One message, read.
pub(super) struct Heard<'t> {
    text: &'t str,
    pub(super) folded: Folded,
    /// Without those inside masks.
    pub(super) tokens: Vec<Token>,
    /// A seed phrase was masked in it.
    has_phrase: bool,
    /// Nothing but masked seed phrases.
    pub(super) is_phrase: bool,
    /// It speaks of seed phrases.
    is_talk: bool,
}

impl<'t> Heard<'t> {
    fn new(text: &'t str) -> Self {
        let folded = Folded::new(text);
        let masks = masks_in(text);
        let mut tokens = tokens_of(&folded.text);
        if !masks.is_empty() {
            let is_masked = |token: &Token| {
                let (start, end) = folded.original(token.range.start, token.range.end);
                masks.iter().any(|(_, _, mask)| mask.start < end && start < mask.end)
            };
            tokens.retain(|token| !is_masked(token));
        }
        let has_phrase = masks.iter().any(|(kind, _, _)| *kind == SecretKind::SeedPhrase);
        let is_talk = talk::is_named(&talk::mentions(&folded.text), Subject::Seed);
        Heard { text, is_phrase: has_phrase && tokens.is_empty(), folded, tokens, has_phrase, is_talk }
    }

    /// Bytes of the message.
    pub(super) fn original(&self, tokens: &[Token]) -> Range<usize> {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return 0..0 };
        let (start, end) = self.folded.original(first.range.start, last.range.end);
        start..end.min(self.text.len())
    }
}

/// The part of a message that may belong to a phrase of one list.
#[derive(Debug, Clone)]
struct Piece {
    /// Tokens of the message: the oddest stretch and the list words next to it.
    run: Range<usize>,
    /// Tokens of the message: the oddest stretch.
    core: Range<usize>,
    /// Of the core; of all words where the message is nothing else.
    oddness: f32,
    /// What it costs that it was chosen, or that Chinese stands around it.
    cost: f32,
    /// The message is nothing else.
    is_alone: bool,
    /// The message is nothing else but Chinese.
    is_among_han: bool,
}

impl Piece {
    fn score(&self) -> f32 {
        self.oddness - self.cost
    }
}

fn worth(token: &Token, list: usize) -> f32 {
    match token.word.filter(|word| word.number_in(list).is_some()) {
        Some(word) if word.everyday => EVERYDAY_WORD,
        Some(_) => ODD_WORD,
        None if token.is_han && token.range.len() <= 12 => SHORT_HAN,
        None => OTHER_WORD,
    }
}

fn is_listed(token: &Token, list: usize) -> bool {
    token.word.is_some_and(|word| word.number_in(list).is_some())
}

fn piece_of(tokens: &[Token], list: usize) -> Option<Piece> {
    let listed = |token: &&Token| is_listed(token, list);
    let first = tokens.iter().position(|token| is_listed(token, list))?;
    let last = tokens.iter().rposition(|token| is_listed(token, list))?;
    if tokens.iter().all(|token| token.is_han || is_listed(token, list)) {
        let oddness = tokens.iter().filter(listed).map(|token| worth(token, list)).sum();
        let around: f32 = tokens.iter().filter(|token| token.is_han).map(|token| -worth(token, list)).sum();
        let is_alone = around == 0.0;
        return Some(Piece {
            run: first..last + 1,
            core: first..last + 1,
            oddness,
            cost: around.min(MOST_AROUND),
            is_alone,
            is_among_han: !is_alone,
        });
    }
    let (oddness, core) = oddest_stretch(tokens, list).or_else(|| longest_run(tokens, list))?;
    let mut run = core.clone();
    while run.start > 0 && is_listed(&tokens[run.start - 1], list) {
        run.start -= 1;
    }
    while run.end < tokens.len() && is_listed(&tokens[run.end], list) {
        run.end += 1;
    }
    let words = tokens[run.clone()].iter().filter(listed).count();
    (words >= 2).then_some(Piece { run, core, oddness, cost: CHOSEN, is_alone: false, is_among_han: false })
}

/// The stretch of tokens with the greatest sum of worths, where that is positive.
fn oddest_stretch(tokens: &[Token], list: usize) -> Option<(f32, Range<usize>)> {
    let mut best: Option<(f32, Range<usize>)> = None;
    let (mut sum, mut start) = (0.0f32, 0);
    for (at, token) in tokens.iter().enumerate() {
        if sum <= 0.0 {
            (sum, start) = (0.0, at);
        }
        sum += worth(token, list);
        if sum > best.as_ref().map_or(0.0, |(most, _)| *most) {
            best = Some((sum, start..at + 1));
        }
    }
    best
}

/// The longest run of list words without an odd one among them: what a checksum can still tell.
fn longest_run(tokens: &[Token], list: usize) -> Option<(f32, Range<usize>)> {
    let mut best: Option<Range<usize>> = None;
    let mut start = 0;
    for at in 0..=tokens.len() {
        if tokens.get(at).is_some_and(|token| is_listed(token, list)) {
            continue;
        }
        if at > start && best.as_ref().is_none_or(|best| at - start > best.len()) {
            best = Some(start..at);
        }
        start = at + 1;
    }
    let run = best.filter(|run| run.len() >= 3)?;
    Some((tokens[run.clone()].iter().map(|token| worth(token, list)).sum(), run))
}

/// The messages with their pieces for one list.
struct Chain<'a, 't> {
    heard: &'a [Heard<'t>],
    list: usize,
    pieces: Vec<Option<Piece>>,
    newest: usize,
    newest_has_phrase: bool,
}

impl<'a, 't> Chain<'a, 't> {
    /// `None` where the list has nothing to say about the newest message.
    fn new(heard: &'a [Heard<'t>], list: usize, newest_has_phrase: bool) -> Option<Self> {
        let newest = heard.len() - 1;
        let is_its_own = |token: &Token| token.only_in(list);
        // The other lists count only when they explain more than English does.
        if list > 0 && !heard.iter().any(|heard| heard.tokens.iter().any(is_its_own)) {
            return None;
        }
        let pieces: Vec<_> = heard.iter().map(|heard| piece_of(&heard.tokens, list)).collect();
        let has_something = pieces[newest].is_some() || (newest_has_phrase && list == 0);
        has_something.then_some(Chain { heard, list, pieces, newest, newest_has_phrase })
    }

    fn found(&self) -> Vec<(usize, Vec<Range<usize>>)> {
        if self.newest_has_phrase && self.words(self.newest).count() >= WHOLE {
            // It needs no other part; whatever stands before it would be masked by accident.
            return Vec::new();
        }
        let mut hit = self.with_checksum();
        hit.extend(self.odd_together());
        if self.list == 0 {
            self.beside_a_phrase(&mut hit);
            self.word_by_word(&mut hit);
        }
        let found = hit.into_iter().map(|message| (message, self.ranges(message)));
        found.filter(|(_, ranges)| !ranges.is_empty()).collect()
    }

    /// The bytes of the list words of a message's piece, each run of them by itself; and of every other run that may be what
    /// the message holds of the phrase ("the first part is one good sorry").
    fn ranges(&self, message: usize) -> Vec<Range<usize>> {
        let Some(piece) = &self.pieces[message] else { return Vec::new() };
        let heard = &self.heard[message];
        let mut at = 0;
        let mut ranges = Vec::new();
        for run in heard.tokens.chunk_by(|left, right| is_listed(left, self.list) == is_listed(right, self.list)) {
            let is_of_piece = at < piece.run.end && piece.run.start < at + run.len();
            if is_listed(&run[0], self.list) && (is_of_piece || run.len() >= LEAST_OF_A_PART) {
                ranges.push(heard.original(run));
            }
            at += run.len();
        }
        ranges
    }

    fn words(&self, message: usize) -> impl Iterator<Item = &Token> {
        let run = self.pieces[message].as_ref().map_or(0..0, |piece| piece.run.clone());
        self.heard[message].tokens[run].iter().filter(|token| is_listed(token, self.list))
    }

    /// Messages whose words, read in order, hold a window of a phrase's length with a right checksum that ends in the
    /// newest. One window in sixteen has one by chance, so it must be odd besides. A piece inside a sentence may begin or
    /// end with a word of the sentence, and small talk may stand between: hence several ways to read.
    fn with_checksum(&self) -> BTreeSet<usize> {
        let mut hit = BTreeSet::new();
        if self.pieces[self.newest].is_none() {
            return hit;
        }
        self.of_one_size(&mut hit);
        for way in 0..8 {
            let (core_before, core_newest, without_talk) = (way & 1 > 0, way & 2 > 0, way & 4 > 0);
            let mut words: Vec<(usize, &Token)> = Vec::new();
            for (message, piece) in self.pieces.iter().enumerate() {
                let Some(piece) = piece else { continue };
                if without_talk && message != self.newest && piece.is_alone && self.is_said_alone(message) {
                    continue;
                }
                let is_core = if message == self.newest { core_newest } else { core_before };
                let range = if is_core { &piece.core } else { &piece.run };
                let tokens = self.heard[message].tokens[range.clone()].iter();
                words.extend(tokens.filter(|token| is_listed(token, self.list)).map(|token| (message, token)));
            }
            self.windows(&words, &mut hit);
        }
        hit
    }

    /// Pieces of one size that are a phrase together, by number and checksum: nobody writes so by chance, however common the
    /// words are.
    fn of_one_size(&self, hit: &mut BTreeSet<usize>) {
        let size = self.words(self.newest).count();
        let all: Vec<usize> = (0..=self.newest).filter(|at| self.words(*at).count() == size).collect();
        for length in [12usize, 15, 18, 21, 24] {
            if size < LEAST_OF_A_PART || !length.is_multiple_of(size) || length == size || all.len() < length / size {
                continue;
            }
            let messages = &all[all.len() - length / size..];
            let is_dense = self.newest - messages[0] < 2 * messages.len();
            let words: Vec<(usize, &Token)> =
                messages.iter().flat_map(|at| self.words(*at).map(move |token| (*at, token))).collect();
            let oddness: f32 = words.iter().map(|(_, token)| worth(token, self.list)).sum();
            if is_dense && oddness >= LIMIT_ONE_SIZE && self.holds(&words) {
                hit.extend(messages);
            }
        }
    }

    fn windows(&self, words: &[(usize, &Token)], hit: &mut BTreeSet<usize>) {
        for length in [12, 15, 18, 21, 24] {
            for window in words.windows(length) {
                let (first, last) = (window[0].0, window[length - 1].0);
                if last != self.newest || first == last {
                    continue;
                }
                let messages: BTreeSet<usize> = window.iter().map(|(message, _)| *message).collect();
                let cost: f32 =
                    messages.iter().filter_map(|message| self.pieces[*message].as_ref()).map(|p| p.cost).sum();
                let oddness: f32 = window.iter().map(|(_, token)| worth(token, self.list)).sum();
                let distinct: HashSet<_> =
                    window.iter().filter_map(|(_, token)| token.word).map(std::ptr::from_ref).collect();
                // Who says a word twelve times says something with it, unless nothing else is said in between.
                let is_next = |at: &usize| self.is_alone(*at) && (*at == last || !self.is_said_alone(*at));
                let is_dense = last - first < messages.len() && messages.iter().all(is_next);
                let is_odd = oddness - cost >= LIMIT_CHECKSUM && (is_dense || distinct.len() * 3 >= length * 2);
                if is_odd && self.holds(window) {
                    hit.extend(messages);
                }
            }
        }
    }

    fn holds(&self, window: &[(usize, &Token)]) -> bool {
        let number = |token: &Token| token.word.and_then(|word| word.number_in(self.list));
        let numbers: Option<Vec<u16>> = window.iter().map(|(_, token)| number(token)).collect();
        let is_electrum_seed = || {
            let word = |(message, token): &(usize, &Token)| {
                self.heard[*message].folded.text[token.range.clone()].to_ascii_lowercase()
            };
            let words: Vec<String> = window.iter().map(word).collect();
            self.list == 0
                && matches!(window.len(), 12 | 24)
                && is_electrum(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        numbers.is_some_and(|numbers| checksum_holds(&numbers)) || is_electrum_seed()
    }

    /// The messages from some point on, when their pieces together are too odd for chance. A word counts once.
    fn odd_together(&self) -> BTreeSet<usize> {
        let (limit, least_words) =
            if self.list == 0 { (LIMIT_TOGETHER, LEAST_WORDS) } else { (LIMIT_OTHER_LIST, LEAST_WORDS_OTHER_LIST) };
        let mut seen: HashSet<*const ListWord> = HashSet::new();
        let (mut sum, mut words, mut messages, mut silent) = (0.0f32, 0, 0, 0);
        let mut best: Option<(f32, usize)> = None;
        let mut is_talk = false;
        for message in (0..self.heard.len()).rev() {
            is_talk |= self.heard[message].is_talk;
            match &self.pieces[message] {
                Some(piece) => {
                    let (mut fresh, mut repeated) = (0, 0.0f32);
                    for token in self.words(message) {
                        if token.word.is_some_and(|word| seen.insert(std::ptr::from_ref(word))) {
                            fresh += 1;
                        } else {
                            repeated += worth(token, self.list).max(0.0);
                        }
                    }
                    sum += piece.score() - repeated;
                    words += fresh;
                    messages += usize::from(fresh > 0);
                    silent = 0;
                }
                None => {
                    sum -= NO_PIECE;
                    silent += 1;
                }
            }
            if silent > 6 || sum < best.map_or(0.0, |(most, _)| most) - LIMIT_TOGETHER {
                break;
            }
            let is_talked_of = is_talk || message.checked_sub(1).is_some_and(|before| self.heard[before].is_talk);
            let needed = if is_talked_of && self.list == 0 { LIMIT_TALK } else { limit };
            let is_phrase = messages >= 2 && words >= least_words && sum >= needed;
            if is_phrase && best.is_none_or(|(most, _)| sum >= most) {
                best = Some((sum, message));
            }
        }
        let Some((_, from)) = best else { return BTreeSet::new() };
        let belongs = |piece: &Piece| piece.is_alone || piece.score() > 0.0;
        (from..=self.newest).filter(|at| self.pieces[*at].as_ref().is_some_and(belongs)).collect()
    }

    /// Whether a piece is odd enough to belong to a phrase that was masked further on.
    fn is_odd_before(&self, message: usize, comes_in_parts: bool, hit: &BTreeSet<usize>) -> bool {
        self.pieces[message].as_ref().is_some_and(|piece| match self.words(message).count() {
            _ if piece.is_alone => piece.oddness > 0.0 || self.is_next_to_a_phrase(message, hit),
            0 | 1 => false,
            LEAST_OF_A_PART.. if comes_in_parts && piece.is_among_han => true,
            2 => piece.oddness >= LIMIT_BEFORE,
            _ => piece.oddness >= LIMIT_BEFORE_LONG,
        })
    }

    /// Whether the newest piece is odd enough to belong to a phrase that was masked before.
    fn is_odd_behind(&self, comes_in_parts: bool, hit: &BTreeSet<usize>) -> bool {
        self.pieces[self.newest].as_ref().is_some_and(|piece| match self.words(self.newest).count() {
            _ if piece.is_alone => piece.oddness > 0.0 || self.is_next_to_a_phrase(self.newest, hit),
            0 | 1 => false,
            2 => comes_in_parts && piece.oddness >= LIMIT_BEHIND,
            LEAST_OF_A_PART.. if comes_in_parts && piece.is_among_han => true,
            _ => piece.oddness >= LIMIT_BEHIND,
        })
    }

    /// Whether a message is nothing but list words that nobody says alone.
    fn is_only_words(&self, message: usize) -> bool {
        self.is_alone(message) && !self.is_said_alone(message)
    }

    /// Whether a message of nothing but list words stands right beside one that was nothing but a phrase: however common
    /// the words, whoever writes so goes on with it.
    fn is_next_to_a_phrase(&self, message: usize, hit: &BTreeSet<usize>) -> bool {
        let beside = [message.checked_sub(1), Some(message + 1).filter(|at| *at <= self.newest)];
        self.is_only_words(message)
            && self.words(message).count() >= LEAST_OF_A_PART
            && beside.into_iter().flatten().any(|at| self.is_phrase(at, hit))
    }

    /// Whether a message is nothing but a phrase or a part of one.
    fn is_phrase(&self, message: usize, hit: &BTreeSet<usize>) -> bool {
        let is_found = hit.contains(&message) || (message == self.newest && self.newest_has_phrase);
        self.heard[message].is_phrase || (is_found && self.is_alone(message))
    }

    fn is_alone(&self, message: usize) -> bool {
        self.pieces[message].as_ref().is_some_and(|piece| piece.is_alone)
    }

    /// Adds what stands beside a masked part of a phrase: a part that gave nothing away by itself, and what lies between
    /// two such.
    fn beside_a_phrase(&self, hit: &mut BTreeSet<usize>) {
        let is_masked = |at: usize, hit: &BTreeSet<usize>| self.heard[at].has_phrase || hit.contains(&at);
        let is_behind = (self.newest.saturating_sub(BEHIND)..self.newest).any(|at| is_masked(at, hit));
        let masked = (self.newest.saturating_sub(PARTS_WITHIN)..self.newest).filter(|at| is_masked(*at, hit)).count();
        if is_behind && self.is_odd_behind(masked >= 2, hit) {
            hit.insert(self.newest);
        }
        let is_part = self.newest_has_phrase || hit.contains(&self.newest);
        if !is_part || self.words(self.newest).count() >= WHOLE {
            return;
        }
        let mut between = Vec::new();
        let mut silent = 0;
        for message in (0..self.newest).rev() {
            let is_odd = self.is_odd_before(message, masked >= 1, hit);
            if is_odd || is_masked(message, hit) {
                hit.extend(between.drain(..));
                if is_odd {
                    hit.insert(message);
                }
                silent = 0;
            } else if self.is_only_words(message) {
                between.push(message);
            } else {
                silent += 1;
            }
            if silent > 2 || between.len() > 4 {
                break;
            }
        }
    }

    /// Adds everyday words of a phrase that came message by message: those right before and after two messages that are
    /// nothing but phrase.
    fn word_by_word(&self, hit: &mut BTreeSet<usize>) {
        let newest = self.newest;
        if newest >= 2
            && self.is_phrase(newest - 1, hit)
            && self.is_phrase(newest - 2, hit)
            && self.is_only_words(newest)
        {
            hit.insert(newest);
        }
        if !hit.contains(&newest) && !self.newest_has_phrase {
            return;
        }
        let mut first = newest;
        while first > 0 && self.is_phrase(first - 1, hit) {
            first -= 1;
        }
        if newest - first < 1 {
            return;
        }
        for at in (0..first).rev().take(4) {
            if !self.is_only_words(at) {
                break;
            }
            hit.insert(at);
        }
    }

    /// Whether a message is small talk that happens to be of list words.
    fn is_said_alone(&self, message: usize) -> bool {
        let text = &self.heard[message].folded.text;
        self.words(message).all(|token| SAID_ALONE.contains(&text[token.range.clone()].to_ascii_lowercase().as_str()))
    }
}

#[cfg(test)]
mod tests;
