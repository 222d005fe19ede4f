//! A judge without labels, made from the knowledge alone.
//!
//! Each of a sample of the documents' own texts is asked twice: once with that text held out but its document there
//! (right when the document comes first), once with the whole document left out (nothing can be right). Ranking and
//! features are those of a turn; only the search is done by comparing with every point, which gives the same scores.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::{
    judge::{Features, Judge, Thresholds},
    retrieve::{DenseHit, KEYWORD_HITS, NEAREST, TermHit, features, rank},
};
use crate::{
    index::{Point, Role, keywords::{Frequencies, dot}, statistics::Statistics},
    words::{Audience, Kind, Lang},
};

/// Texts asked at most: enough for a dozen weights, quick enough for every publication.
const QUESTIONS: usize = 900;
/// With fewer titles and aliases than this, lines are asked too.
const FEW_QUESTIONS: usize = 200;
/// Below so many rows nothing is fitted.
const LEAST_ROWS: usize = 40;

/// Fits a judge on the points of a publication. `allowed_wrong` is the share of wrong answers that its answer
/// threshold aims at, on the made-up questions.
pub fn fit(points: &[(Point, String)], statistics: &Statistics, allowed_wrong: f64) -> Judge {
    let bench = Bench::new(points, statistics);
    let mut rows: Vec<(Features, bool, u64)> = Vec::new();
    for at in bench.questions() {
        let group = hash(&bench.points[at].0.document);
        for left_out in [false, true] {
            let (features, right) = bench.ask(at, left_out);
            rows.push((features, right, group));
        }
    }
    let about = format!("label-free: {} questions made from the knowledge, each with its document there and left out", rows.len() / 2);
    if rows.len() < LEAST_ROWS {
        return strict(about);
    }
    let mut judge = Judge::fit(&rows, "label-free", about);
    let thresholds = thresholds(&judge, &rows, allowed_wrong);
    judge.thresholds = Lang::ALL.into_iter().map(|lang| (lang, thresholds)).collect();
    judge
}

/// For knowledge too small to learn from: nothing is answered that is not offered first.
fn strict(about: String) -> Judge {
    let mut judge = Judge::fit(&[], "label-free", format!("{about}; too few to fit, so everything near is offered"));
    judge.weights[0] = 4.0;
    judge.bias = -2.0;
    judge.thresholds = Lang::ALL.into_iter().map(|lang| (lang, Thresholds { answer: 0.95, offer: 0.2 })).collect();
    judge
}

/// The lowest confidence from which on, among the made-up questions, at most `allowed_wrong` of the answered are wrong.
fn thresholds(judge: &Judge, rows: &[(Features, bool, u64)], allowed_wrong: f64) -> Thresholds {
    let mut scored: Vec<(f64, bool)> = rows.iter().map(|row| (judge.confidence(&row.0), row.1)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut wrong, mut answer) = (0usize, 0.999);
    for (at, (confidence, right)) in scored.iter().enumerate() {
        wrong += usize::from(!right);
        let last_of_its_confidence = scored.get(at + 1).is_none_or(|next| next.0 < *confidence);
        if last_of_its_confidence && wrong as f64 <= allowed_wrong * (at + 1) as f64 {
            answer = *confidence;
        }
    }
    let answer = answer.max(0.5);
    Thresholds { answer, offer: (0.25f64).min(answer) }
}

/// The points, searchable without an engine.
struct Bench<'a> {
    points: Vec<&'a (Point, String)>,
    frequencies: &'a Frequencies,
    postings: HashMap<u32, Vec<(u32, f32)>>,
}

impl<'a> Bench<'a> {
    fn new(points: &'a [(Point, String)], statistics: &'a Statistics) -> Self {
        let answers = |point: &Point| point.audience == Audience::Customer && point.kind != Kind::Card;
        let points: Vec<&(Point, String)> = points.iter().filter(|(point, _)| answers(point)).collect();
        let mut postings: HashMap<u32, Vec<(u32, f32)>> = HashMap::new();
        for (at, (point, _)) in points.iter().enumerate() {
            for (term, weight) in &point.terms {
                postings.entry(*term).or_default().push((at as u32, *weight));
            }
        }
        Bench { points, frequencies: &statistics.frequencies, postings }
    }

    /// Which points are asked: questions and aliases, in an order that the content decides; lines where those are few.
    fn questions(&self) -> Vec<usize> {
        let usable = |at: &usize| !matches!(self.points[*at].0.role, Role::Chunk | Role::Whole) && self.points[*at].0.terms.len() >= 3 && !self.points[*at].0.vector.is_empty();
        let mut order: Vec<usize> = (0..self.points.len()).filter(usable).collect();
        order.sort_by_key(|at| {
            let (point, text) = self.points[*at];
            (point.role == Role::Line, hash(text))
        });
        let (asked, lines): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|at| self.points[*at].0.role != Role::Line);
        let from_lines = FEW_QUESTIONS.saturating_sub(asked.len());
        asked.into_iter().take(QUESTIONS).chain(lines.into_iter().take(from_lines)).collect()
    }

    /// Asks point `at`'s own text; its document is there without that text, or left out whole.
    fn ask(&self, at: usize, left_out: bool) -> (Features, bool) {
        let (asked, text) = self.points[at];
        let there = |other: usize| {
            let (point, other_text) = self.points[other];
            if left_out { point.document != asked.document } else { other != at && other_text != text }
        };
        let mut near: Vec<(f32, usize)> = (0..self.points.len())
            .filter(|other| there(*other) && !self.points[*other].0.vector.is_empty())
            .map(|other| (cosine(&asked.vector, &self.points[other].0.vector), other))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept: BTreeMap<bool, usize> = BTreeMap::new();
        let dense: Vec<DenseHit> = near
            .into_iter()
            .filter(|(_, other)| {
                let kept = kept.entry(self.points[*other].0.role == Role::Chunk).or_default();
                *kept += 1;
                *kept <= 2 * NEAREST
            })
            .map(|(cosine, other)| {
                let point = &self.points[other].0;
                DenseHit { document: point.document.clone(), role: point.role, lang: point.lang, span: None, cosine, vector: point.vector.clone() }
            })
            .collect();
        let mut terms: Vec<TermHit> = Lang::ALL.into_iter().flat_map(|lang| self.by_terms(lang, text, &there)).collect();
        if asked.role == Role::Question {
            self.without_title(asked, text, &mut terms);
        }
        let ranked = rank(&dense, &terms);
        let query = self.frequencies.query(asked.lang, text);
        let unknown = self.frequencies.unknown_share(asked.lang, text);
        let right = !left_out && ranked.documents.first().is_some_and(|best| best.document == asked.document);
        (features(&ranked, &query, unknown), right)
    }

    /// A document whose own title is asked must not find it among its terms.
    fn without_title(&self, asked: &Point, title: &str, hits: &mut [TermHit]) {
        let whole = self.points.iter().find(|(point, _)| {
            point.role == Role::Whole && point.document == asked.document && point.lang == asked.lang
        });
        let Some((_, whole)) = whole else { return };
        let rest = whole.replace(title, "");
        let query = self.frequencies.query(asked.lang, title);
        let full = query.iter().map(|(_, weight)| weight).sum::<f32>().max(1e-6);
        let score = dot(&query, &self.frequencies.weigh_point(asked.lang, Role::Whole, &rest));
        for hit in hits.iter_mut().filter(|hit| hit.document == asked.document && hit.lang == asked.lang) {
            hit.ratio = score / full;
        }
    }

    fn by_terms(&self, lang: Lang, text: &str, there: &dyn Fn(usize) -> bool) -> Vec<TermHit> {
        let query = self.frequencies.query(lang, text);
        let full = query.iter().map(|(_, weight)| weight).sum::<f32>().max(1e-6);
        let mut scores: HashMap<u32, f32> = HashMap::new();
        for (term, weight) in &query {
            for (point, tf) in self.postings.get(term).into_iter().flatten() {
                *scores.entry(*point).or_default() += weight * tf;
            }
        }
        let mut hits: Vec<(f32, u32)> = scores
            .into_iter()
            .filter(|(point, _)| {
                let found = &self.points[*point as usize].0;
                found.role == Role::Whole && found.lang == lang && there(*point as usize)
            })
            .map(|(point, score)| (score, point))
            .collect();
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        hits.truncate(KEYWORD_HITS);
        hits.into_iter()
            .map(|(score, point)| TermHit { document: self.points[point as usize].0.document.clone(), lang, span: None, ratio: score / full })
            .collect()
    }
}

/// Eight sums side by side, so that the compiler can use wide registers.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    u64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}
