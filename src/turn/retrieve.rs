//! Dense and keyword hits become distinct documents, ranked, with the features that the judge decides by.
//!
//! Ranking is local kernel ridge regression over the nearest points: each point's share in explaining the question
//! is solved for together, so that ten near-identical lines of one document count once and a line that two documents
//! share decides nothing. Likeness to the title, to the best chunk and in terms are added, each on its own raw scale. Documents with the
//! same id in both languages are one candidate. Pure but for [`Shelf::retrieve`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::future::{try_join, try_join3};
use jiff::civil::Date;

use super::{case::Near, judge::Features, question::Question, reply::Offer, shelf::Shelf};
use crate::{
    error::Result,
    index::{Bm25, Cosine, Filter, Hit, Role, Vector},
    words::{Audience, Document, Kind, Lang, Span},
};

/// Points that take part in the regression. More change nothing measurable; the cost is cubic.
pub const NEAREST: usize = 64;
/// Keyword hits looked at, per language.
pub const KEYWORD_HITS: usize = 96;
/// Kernel width: `k(a, b) = exp(-WIDTH * |a - b|²)`. Chosen with [`RIDGE`] on the public sets, one value for all.
const WIDTH: f32 = 1.0;
/// Ridge penalty: how little one point is trusted alone.
const RIDGE: f32 = 0.3;

/// What likeness to the title or an alias adds; all three chosen once for all public sets.
const TITLE: f64 = 0.5;
/// What likeness to the best chunk adds.
const CHUNK: f64 = 0.5;
/// What shared terms add.
const TERMS: f64 = 0.4;

/// A document that may answer, with its raw scores.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The document, in the question's language where it exists in it.
    pub document: Arc<Document>,
    /// Rank score; only its order means something.
    pub score: f64,
    /// Cosine of its nearest point, centred vectors, in [-1, 1].
    pub cosine: f64,
    /// Share of the question's term weight that stands in its best point, in [0, 1].
    pub terms: f64,
    /// The passage of the document that was nearest.
    pub passage: Option<Span>,
}

impl Candidate {
    /// The same for the case.
    pub fn near(&self) -> Near {
        Near {
            document: self.document.id.clone(),
            title: self.document.title.as_str().to_owned(),
            revision: self.document.revision.clone(),
            agent_only: self.document.audience == Audience::Agent,
            cosine: self.cosine,
            terms: self.terms,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Retrieved {
    /// Distinct documents for customers, best first.
    pub candidates: Vec<Candidate>,
    /// What the judge decides by.
    pub features: Features,
}

impl Retrieved {
    /// The two to four nearest questions to tap: those that a sensible reader could have meant.
    pub fn offers(&self, lang: Lang) -> Vec<Offer> {
        let Some(best) = self.candidates.first() else { return Vec::new() };
        self.candidates
            .iter()
            .enumerate()
            .take_while(|(at, candidate)| *at < 4 && (*at < 2 || candidate.score >= 0.35 * best.score))
            .filter(|(_, candidate)| candidate.document.lang == lang || best.document.lang != lang)
            .map(|(_, candidate)| Offer {
                document: candidate.document.id.clone(),
                title: candidate.document.title.as_str().to_owned(),
            })
            .collect()
    }
}

/// A point found by its vector.
#[derive(Debug, Clone)]
pub struct DenseHit {
    /// The document's id; both languages are one.
    pub document: String,
    /// Which text of the document.
    pub role: Role,
    /// The language of the text.
    pub lang: Lang,
    /// Where it stands in the body.
    pub span: Option<Span>,
    /// Cosine with the question, centred vectors.
    pub cosine: f32,
    /// The centred vector, unit length.
    pub vector: Vec<f32>,
}

/// A point found by its terms.
#[derive(Debug, Clone)]
pub struct TermHit {
    /// The document's id.
    pub document: String,
    /// The language of the text.
    pub lang: Lang,
    /// Where it stands in the body.
    pub span: Option<Span>,
    /// BM25 of the whole document over the question's term weight, in [0, 2.2].
    pub ratio: f32,
}

/// A document's scores, before it is looked up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranked {
    /// The document's id.
    pub document: String,
    /// What it is ranked by.
    pub score: f64,
    /// Its share in the regression.
    pub share: f64,
    /// Cosine of its nearest point.
    pub cosine: f64,
    /// Cosine of its nearest question or alias.
    pub title: f64,
    /// Cosine of its nearest chunk.
    pub chunk: f64,
    /// Best keyword ratio.
    pub terms: f64,
    /// Nearest passage in each language.
    pub passages: BTreeMap<Lang, (f32, Span)>,
}

/// Documents by score, and how much of the question the nearest points explain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// Best first.
    pub documents: Vec<Ranked>,
    /// `kᵀ (K + RIDGE I)⁻¹ k`: near 1 for a question that stands in the index, near 0 far from everything.
    pub explained: f64,
}

/// Collapses hits to documents and ranks them; ties by id.
pub fn rank(dense: &[DenseHit], terms: &[TermHit]) -> Ranking {
    let mut found: HashMap<&str, Ranked> = HashMap::new();
    let units: Vec<&DenseHit> = dense.iter().filter(|hit| hit.role != Role::Chunk).take(NEAREST).collect();
    let mut explained = 0.0;
    for (hit, share) in units.iter().zip(shares(&units)) {
        found.entry(hit.document.as_str()).or_default().share += f64::from(share);
        explained += f64::from(share * kernel(hit.cosine));
    }
    for hit in dense {
        let ranked = found.entry(hit.document.as_str()).or_default();
        let cosine = f64::from(hit.cosine);
        match hit.role {
            Role::Question | Role::Alias => ranked.title = ranked.title.max(cosine),
            Role::Chunk => ranked.chunk = ranked.chunk.max(cosine),
            Role::Line | Role::Whole => {}
        }
        ranked.cosine = ranked.cosine.max(cosine);
        remember(ranked, hit.lang, hit.span, hit.cosine);
    }
    for hit in terms {
        let ranked = found.entry(hit.document.as_str()).or_default();
        ranked.terms = ranked.terms.max(f64::from(hit.ratio));
        remember(ranked, hit.lang, hit.span, 0.5 * hit.ratio);
    }
    let mut ranked: Vec<Ranked> = found
        .into_iter()
        .map(|(document, ranked)| Ranked {
            document: document.to_owned(),
            score: ranked.share + TITLE * ranked.title + CHUNK * ranked.chunk + TERMS * ranked.terms,
            ..ranked
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.document.cmp(&b.document)));
    Ranking { documents: ranked, explained }
}

fn remember(ranked: &mut Ranked, lang: Lang, span: Option<Span>, nearness: f32) {
    let Some(span) = span else { return };
    let kept = ranked.passages.entry(lang).or_insert((f32::MIN, span));
    if nearness > kept.0 {
        *kept = (nearness, span);
    }
}

fn kernel(cosine: f32) -> f32 {
    (-WIDTH * (2.0 - 2.0 * cosine)).exp()
}

/// Each point's share in explaining the question: solves `(K + RIDGE I) a = k`, `K[i][j] = k(point i, point j)`,
/// `k[i] = k(question, point i)`. Cholesky; `[n]` for `n` points of unit length.
fn shares(points: &[&DenseHit]) -> Vec<f32> {
    let n = points.len();
    let mut matrix = vec![0.0f32; n * n];
    for i in 0..n {
        for j in 0..=i {
            let cosine: f32 = points[i].vector.iter().zip(&points[j].vector).map(|(a, b)| a * b).sum();
            matrix[i * n + j] = if i == j { 1.0 + RIDGE } else { kernel(cosine) };
        }
    }
    // Cholesky in place: the lower triangle becomes L with L Lᵀ = K + RIDGE I. The ridge keeps it positive.
    for j in 0..n {
        for k in 0..j {
            let factor = matrix[j * n + k];
            for i in j..n {
                matrix[i * n + j] -= matrix[i * n + k] * factor;
            }
        }
        let pivot = matrix[j * n + j].max(1e-9).sqrt();
        for i in j..n {
            matrix[i * n + j] /= pivot;
        }
    }
    let mut solution: Vec<f32> = points.iter().map(|point| kernel(point.cosine)).collect();
    for i in 0..n {
        for j in 0..i {
            solution[i] -= matrix[i * n + j] * solution[j];
        }
        solution[i] /= matrix[i * n + i];
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            solution[i] -= matrix[j * n + i] * solution[j];
        }
        solution[i] /= matrix[i * n + i];
    }
    solution
}

/// The judge's features of a ranking; see [`judge::FEATURES`](super::judge::FEATURES) for their meaning.
///
/// * `query`: the question's terms with their weights, in its own language
/// * `unknown`: share of the question's term weight that stands in no document
pub fn features(ranking: &Ranking, query: &[(u32, f32)], unknown: f32) -> Features {
    let ranked = &ranking.documents;
    let none = Ranked::default();
    let first = ranked.first().unwrap_or(&none);
    let second = ranked.get(1).unwrap_or(&none);
    let best = |value: fn(&Ranked) -> f64| ranked.iter().map(value).fold(0.0, f64::max);
    let rest = |value: fn(&Ranked) -> f64| ranked.iter().skip(1).map(value).fold(0.0, f64::max);
    Features::new([
        first.score,
        first.score - second.score,
        first.share,
        first.share - rest(|ranked| ranked.share),
        first.cosine,
        first.cosine - rest(|ranked| ranked.cosine),
        first.chunk,
        first.terms,
        first.terms - rest(|ranked| ranked.terms),
        f64::from(u8::from(first.terms >= best(|ranked| ranked.terms) && first.cosine >= best(|ranked| ranked.cosine))),
        f64::from(unknown),
        (query.len() as f64).ln_1p(),
        first.title,
        ranking.explained,
    ])
}

impl Shelf {
    /// Searches with `vector` (the question's, as the embedder gave it) and with the question's terms. Without a
    /// vector keywords search alone.
    ///
    /// # Errors
    /// Where the index fails: never an empty list instead.
    pub async fn retrieve(
        &self,
        vector: Option<&[f32]>,
        question: &Question,
        day: Date,
        product: Option<&str>,
    ) -> Result<Retrieved> {
        let filter = Filter {
            audience: Some(Audience::Customer),
            kinds: vec![Kind::Faq, Kind::Guide, Kind::Notice],
            product: product.filter(|product| !product.is_empty()).map(str::to_owned),
            on: Some(day),
            ..Filter::default()
        };
        let dense = async {
            match vector {
                Some(vector) => self.dense(vector, question.lang, &filter, 2 * NEAREST).await,
                None => Ok(Vec::new()),
            }
        };
        // None of the searches needs another's outcome: together they take as long as the longest.
        let [zh, en] = Lang::ALL.map(|lang| self.terms(lang, &question.spelt, &filter));
        let (dense, zh, en) = try_join3(dense, zh, en).await?;
        let terms = [zh, en].concat();
        let ranked = rank(&dense, &terms);
        let query = self.statistics.frequencies.query(question.lang, &question.spelt);
        let unknown = self.statistics.frequencies.unknown_share(question.lang, &question.spelt);
        let features = features(&ranked, &query, unknown);
        let candidates = ranked
            .documents
            .into_iter()
            .take(20)
            .filter_map(|ranked| self.candidate(ranked, question.lang, day))
            .collect();
        Ok(Retrieved { candidates, features })
    }

    /// Documents for agents that are near the question: past resolutions and internal notes.
    ///
    /// # Errors
    /// Where the index fails.
    pub async fn for_agents(&self, vector: &[f32], lang: Lang, day: Date) -> Result<Vec<Candidate>> {
        let filter = Filter { audience: Some(Audience::Agent), on: Some(day), ..Filter::default() };
        let ranked = rank(&self.dense(vector, lang, &filter, NEAREST).await?, &[]);
        Ok(ranked.documents.into_iter().take(3).filter_map(|ranked| self.candidate(ranked, lang, day)).collect())
    }

    /// Documents of `lang` that share terms with the question.
    async fn terms(&self, lang: Lang, search: &str, filter: &Filter) -> Result<Vec<TermHit>> {
        let query = self.statistics.frequencies.query(lang, search);
        let full = query.iter().map(|(_, weight)| weight).sum::<f32>().max(1e-6);
        let filter = Filter { lang: Some(lang), roles: vec![Role::Whole], ..filter.clone() };
        let found = self.index.search_terms(&query, &filter, KEYWORD_HITS).await?;
        let hit = |hit: Hit<Bm25>| TermHit {
            document: hit.document,
            lang: hit.lang,
            span: hit.span,
            ratio: hit.score.0 / full,
        };
        Ok(found.into_iter().map(hit).collect())
    }

    async fn dense(&self, vector: &[f32], lang: Lang, filter: &Filter, limit: usize) -> Result<Vec<DenseHit>> {
        let centred = self.statistics.centred(lang, Vector::Question, vector);
        let search = |which| self.index.search_dense_with_vectors(which, &centred, filter, limit);
        let (questions, passages) = try_join(search(Vector::Question), search(Vector::Passage)).await?;
        let hit = |(hit, vector): (Hit<Cosine>, Vec<f32>)| DenseHit {
            document: hit.document,
            role: hit.role,
            lang: hit.lang,
            span: hit.span,
            cosine: hit.score.0,
            vector,
        };
        let mut hits: Vec<DenseHit> = questions.into_iter().chain(passages).map(hit).collect();
        hits.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then_with(|| a.document.cmp(&b.document)));
        Ok(hits)
    }

    fn candidate(&self, ranked: Ranked, lang: Lang, day: Date) -> Option<Candidate> {
        let document = self.document(&ranked.document, lang, day)?;
        // A question that is nearest to the title asks for the document from its beginning.
        let inside = ranked.passages.get(&document.lang).filter(|(nearness, _)| f64::from(*nearness) > ranked.title);
        let passage = inside.map(|(_, span)| *span);
        Some(Candidate { document, score: ranked.score, cosine: ranked.cosine, terms: ranked.terms, passage })
    }
}
