//! Is this sentence held up by a passage? Pure: text in, verdict out; no model, no index.
//!
//! A sentence is held up when it stands in a passage word for word, or when one passage holds all of it:
//! every number with its unit, date, time, address, code and menu path ([`claims`]); every negation and modality, on
//! the same matter ([`polarity`]); and most of its words ([`terms`]), in each of its clauses. When in doubt it is not
//! held up: the caller then sends the approved text itself, which costs nothing but style.

mod claims;

pub(crate) mod fold;

mod polarity;

mod terms;

use std::collections::HashSet;

use self::{claims::Claims, fold::fold, terms::Terms};

/// How a sentence fares against the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// One passage holds all of it.
    pub supported: bool,
    /// What the passage that comes closest does not hold, as the sentence writes it; empty when only words are missing.
    pub missing: Vec<String>,
    /// Share of the sentence's content terms found in that passage, in [0, 1].
    pub overlap: f64,
}

/// Share of a sentence's content terms that its passage must hold. Below it, sentences of another matter pass that
/// happen to share numbers; above it, plain rewordings fail (the tables below hold both kinds).
const SHARE_OF_SENTENCE: f64 = 0.6;

/// The same for each clause of two terms or more, so that a true clause cannot carry an invented one.
const SHARE_OF_CLAUSE: f64 = 0.34;

/// Whether one passage of `evidence` holds up `sentence`.
pub fn held_up(sentence: &str, evidence: &[&str]) -> Held {
    let said = Reading::of(sentence);
    let best = evidence.iter().map(|passage| said.against(passage)).reduce(|best, held| {
        let key = |held: &Held| (held.supported, std::cmp::Reverse(held.missing.len()));
        match key(&held).cmp(&key(&best)) {
            std::cmp::Ordering::Greater => held,
            std::cmp::Ordering::Equal if held.overlap > best.overlap => held,
            _ => best,
        }
    });
    best.unwrap_or(Held { supported: false, missing: Vec::new(), overlap: 0.0 })
}

/// The sentences of a text, trimmed, in order, none empty. While text streams in, every sentence but the last is
/// final: more text never changes it.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut bold = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '*' if text[at..].starts_with("**") => {
                bold = !bold;
                chars.next();
                continue;
            }
            '\n' | '\r' | '。' | '！' | '？' | '!' | '?' | '.' => {}
            _ => continue,
        }
        // Closing quotes, brackets and emphasis belong to the sentence they close.
        let mut end = at + c.len_utf8();
        while let Some(&(next, closer)) = chars.peek() {
            let emphasis = closer == '*' && bold;
            if matches!(c, '\n' | '\r') || !(emphasis || "。！？!?…”’\"')）】」』》".contains(closer)) {
                break;
            }
            if emphasis && text[..next].ends_with('*') && end == next {
                bold = false;
            }
            end = next + closer.len_utf8();
            chars.next();
        }
        if ends_here(c, &text[start..at], &text[end..]) {
            found.push(&text[start..end]);
            start = end;
            bold = false;
        }
    }
    found.push(&text[start..]);
    found.into_iter().map(str::trim).filter(|sentence| !sentence.is_empty()).collect()
}

/// Whether `c`, between `before` (the sentence so far) and `after`, ends a sentence.
fn ends_here(c: char, before: &str, after: &str) -> bool {
    const SHORT_FORMS: &[&str] = &["e.g", "i.e", "mr", "mrs", "ms", "dr", "vs", "approx", "a.m", "p.m", "u.s", "inc", "ltd", "ver", "v"];
    let next = after.chars().next();
    match c {
        '\n' | '\r' | '。' | '！' | '？' => true,
        // In an address such as `?lang=en` a letter follows at once.
        '!' | '?' => !next.is_some_and(|next| next.is_ascii_alphanumeric() || "/&=_-%".contains(next)),
        _ => {
            let follows = next.is_none_or(|next| next.is_whitespace() || !next.is_ascii());
            let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default().to_lowercase();
            let number_follows = after.trim_start().starts_with(|c: char| c.is_ascii_digit());
            let lead = before.trim().trim_start_matches(['-', '*', '#', ' ']);
            let list_number = !lead.is_empty() && lead.len() <= 3 && lead.chars().all(|c| c.is_ascii_digit());
            follows && !list_number && !SHORT_FORMS.contains(&word.as_str()) && !(word == "no" && number_follows)
        }
    }
}

/// A text, read once.
struct Reading {
    /// Every sentence as [`plain`] writes it.
    plain: Vec<String>,
    /// Folded text, emphasis kept.
    folded: String,
    claims: Claims,
    terms: Terms,
    clauses: Vec<Clause>,
    sentences: Vec<Clause>,
}

/// A piece of a text with what it says.
struct Clause {
    terms: Terms,
    claims: Claims,
    marks: Vec<polarity::Mark>,
    /// Which sentence it is in.
    sentence: usize,
}

impl Reading {
    fn of(text: &str) -> Self {
        let mut clauses = Vec::new();
        let mut whole = Vec::new();
        for (at, sentence) in sentences(text).into_iter().enumerate() {
            let sentence = fold(sentence);
            whole.push(Clause::of(&sentence, at));
            clauses.extend(clauses_of(&sentence).into_iter().map(|clause| Clause::of(clause, at)));
        }
        let folded = fold(text);
        Reading {
            plain: sentences(text).into_iter().map(plain).filter(|sentence| !sentence.is_empty()).collect(),
            claims: Claims::of(&folded),
            terms: Terms::of(&folded),
            folded,
            clauses,
            sentences: whole,
        }
    }

    fn against(&self, passage: &str) -> Held {
        let passage = Reading::of(passage);
        if !self.plain.is_empty() && self.plain.iter().all(|sentence| passage.plain.contains(sentence)) {
            return Held { supported: true, missing: Vec::new(), overlap: 1.0 };
        }
        let mut missing = self.claims.missing_in(&passage.claims, &passage.folded);
        missing.extend(self.bound_elsewhere(&passage));
        missing.extend(self.turned_round(&passage));
        let mut seen = HashSet::new();
        missing.retain(|what| seen.insert(what.clone()));
        let overlap = self.terms.share_in(&passage.terms);
        let clauses = self.clauses.iter().filter(|clause| clause.terms.len() >= 2);
        let worst = clauses.map(|clause| clause.terms.share_in(&passage.terms)).fold(1.0, f64::min);
        let supported = missing.is_empty() && overlap >= SHARE_OF_SENTENCE && worst >= SHARE_OF_CLAUSE;
        Held { supported, missing, overlap }
    }

    /// Amounts that the passage states, but of something else: another clause with an amount of that unit is nearer
    /// to what the sentence speaks of. ("Express costs 2 USDT" where express costs 5 and standard costs 2.)
    fn bound_elsewhere(&self, passage: &Reading) -> Vec<String> {
        let rarity = |term: &str| {
            let holding = passage.clauses.iter().filter(|clause| clause.terms.contains(term)).count();
            1.0 / holding.max(1) as f64
        };
        let nearness = |terms: &Terms, clause: &Clause| -> f64 {
            let sentence = passage.sentences.get(clause.sentence);
            let weight = |term: &str| match () {
                () if clause.terms.contains(term) => 1.0,
                () if sentence.is_some_and(|sentence| sentence.terms.contains(term)) => 0.5,
                () => 0.0,
            };
            terms.iter().map(|term| weight(term) * rarity(term)).sum()
        };
        let mut wrong = Vec::new();
        for clause in &self.clauses {
            for claim in clause.claims.measured() {
                let (mut with, mut without) = (None::<f64>, None::<f64>);
                for other in &passage.clauses {
                    let nearest = match () {
                        () if other.claims.states(claim) => &mut with,
                        () if other.claims.measures_like(claim) => &mut without,
                        () => continue,
                    };
                    let near = nearness(&clause.terms, other);
                    *nearest = Some(nearest.map_or(near, |best| best.max(near)));
                }
                // A hair's breadth against rounding: equally near is near enough.
                if let (Some(with), Some(without)) = (with, without)
                    && without > with + 1e-9
                {
                    wrong.push(claim.shown.clone());
                }
            }
        }
        wrong
    }

    /// Negations and modalities that the sentence adds, and those of its closest sentence that it drops.
    fn turned_round(&self, passage: &Reading) -> Vec<String> {
        let held: Vec<&polarity::Mark> = passage.clauses.iter().flat_map(|clause| &clause.marks).collect();
        let said: Vec<&polarity::Mark> = self.clauses.iter().flat_map(|clause| &clause.marks).collect();
        let mut wrong: Vec<String> =
            said.iter().filter(|mark| !held.iter().any(|other| mark.held_by(other))).map(|mark| mark.shown.clone()).collect();
        for sentence in &self.sentences {
            let share = |other: &Clause| sentence.terms.share_in(&other.terms);
            let closest = passage.sentences.iter().map(share).fold(0.0, f64::max);
            if closest < 0.5 {
                continue;
            }
            let drops = |other: &Clause| -> Option<String> {
                let mut marks = passage.clauses.iter().filter(|clause| clause.sentence == other.sentence).flat_map(|clause| &clause.marks);
                marks.find(|mark| mark.dropped_by(&sentence.terms, &said)).map(|mark| mark.shown.clone())
            };
            let mut nearest = passage.sentences.iter().filter(|other| share(other) >= closest - 1e-9).map(drops);
            // Two sentences may be equally close; one that says the same is enough.
            if let Some(Some(first)) = nearest.next()
                && nearest.all(|other| other.is_some())
            {
                wrong.push(first);
            }
        }
        wrong
    }
}

impl Clause {
    fn of(folded: &str, sentence: usize) -> Self {
        Clause { terms: Terms::of(folded), claims: Claims::of(folded), marks: polarity::marks(folded), sentence }
    }
}

/// A folded sentence at its commas, semicolons and colons, but not inside `1,000` or `15:00`.
fn clauses_of(folded: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let mut start = 0;
    for (at, c) in folded.char_indices() {
        let inside_number = |c: char| {
            matches!(c, ',' | ':')
                && folded[..at].ends_with(|c: char| c.is_ascii_digit())
                && folded[at + 1..].starts_with(|c: char| c.is_ascii_digit())
        };
        let inside_address = c == ':' && folded[at..].starts_with("://");
        if ",;:、".contains(c) && !inside_number(c) && !inside_address {
            clauses.push(&folded[start..at]);
            start = at + c.len_utf8();
        }
    }
    clauses.push(&folded[start..]);
    clauses.into_iter().filter(|clause| !clause.trim().is_empty()).collect()
}

/// A sentence without what changes nothing: emphasis, list marks, spacing, the full stop.
fn plain(sentence: &str) -> String {
    let folded = fold(sentence).replace("**", "");
    let body = folded.trim_start_matches(['-', '*', '#', '>', ' ']);
    let number = body.find(". ").filter(|&at| at > 0 && at <= 3 && body[..at].chars().all(|c| c.is_ascii_digit()));
    let body = number.map_or(body, |at| &body[at + 2..]);
    let words = body.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_end_matches(['.', '。', ' ']).to_owned()
}

#[cfg(test)]
mod tests;
