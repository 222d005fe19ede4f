//! Is the sample suite hard enough to mean something? Two plain baselines that share nothing with our retrieval must
//! stay below a limit.

use std::{collections::HashMap, path::Path};

use deskhand::{
    eval::suite::{Question, Suite},
    knowledge::sample,
    model::{Embedder, Side, embedder::LocalEmbedder, files::Models, progress::Progress},
    words::{Audience, Document, Kind, Lang},
};
use jiff::civil::date;

/// Recall@1 that plain BM25 may reach.
const EASY_BM25: f64 = 0.70;
/// AUROC, answerable against not, that the raw cosine of question and nearest chunk may reach.
const EASY_COSINE: f64 = 0.93;

fn suite() -> Suite {
    Suite::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/suites/wallet")).unwrap()
}

fn documents(lang: Lang) -> Vec<Document> {
    let documents = sample::read(date(2026, 11, 22)).documents;
    let answers = |document: &Document| {
        document.lang == lang && document.audience == Audience::Customer && document.kind != Kind::Card
    };
    documents.into_iter().filter(answers).collect()
}

/// Titles and text in pieces of 450 characters, each with its document's id.
fn chunks(documents: &[Document]) -> Vec<(String, String)> {
    let pieces = |document: &Document| {
        let body: Vec<char> = document.body.as_str().chars().collect();
        let pieces: Vec<String> = body.chunks(450).map(|piece| piece.iter().collect()).collect();
        pieces
            .into_iter()
            .map(|piece| (document.id.clone(), format!("{}\n{piece}", document.title)))
            .collect::<Vec<_>>()
    };
    documents.iter().flat_map(pieces).collect()
}

fn accepts(question: &Question, id: &str) -> bool {
    question.relevant.iter().chain(&question.also_acceptable).any(|accepted| accepted == id)
}

#[test]
fn plain_keyword_search_does_not_solve_the_sample_suite() {
    let suite = suite();
    for lang in Lang::ALL {
        let chunks = chunks(&documents(lang));
        let search = Bm25::new(chunks.iter().map(|(_, text)| text));
        let asked: Vec<&Question> = suite.questions.iter().filter(|q| q.answerable && q.lang == lang).collect();
        let right =
            asked.iter().filter(|question| accepts(question, &chunks[search.best(&question.question)].0)).count();
        let recall = right as f64 / asked.len() as f64;
        println!("BM25, {lang:?}: recall@1 {recall:.3} of {}", asked.len());
        assert!((0.2..=EASY_BM25).contains(&recall), "{lang:?}: {recall}");
    }
}

#[tokio::test]
#[ignore = "embeds the sample's chunks and questions with real weights (90 MB, fetched once): two minutes"]
async fn raw_cosine_does_not_solve_the_sample_suite() {
    let path = Models::from_env().unwrap().fetch("e5-small", &Progress::silent()).unwrap();
    let embedder = Embedder::start(Box::new(LocalEmbedder::load(&path).unwrap()), 64).unwrap();
    let suite = suite();
    for lang in Lang::ALL {
        let texts = chunks(&documents(lang)).into_iter().map(|(_, text)| text).collect();
        let chunks = embedder.embed(Side::Passage, texts).await.unwrap();
        let asked: Vec<&Question> = suite.questions.iter().filter(|q| q.lang == lang).collect();
        let texts = asked.iter().map(|question| question.question.clone()).collect();
        let vectors = embedder.embed(Side::Query, texts).await.unwrap();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let cosines: Vec<f32> = vectors
            .iter()
            .map(|vector| chunks.iter().map(|chunk| dot(vector, chunk)).fold(f32::MIN, f32::max))
            .collect();
        let of = |answerable: bool| -> Vec<f32> {
            asked.iter().zip(&cosines).filter(|(q, _)| q.answerable == answerable).map(|(_, cosine)| *cosine).collect()
        };
        let auroc = auroc(&of(true), &of(false));
        println!("raw cosine, {lang:?}: AUROC {auroc:.3}");
        assert!(auroc <= EASY_COSINE, "{lang:?}: {auroc}");
    }
}

/// Share of pairs that stand in the right order.
fn auroc(positive: &[f32], negative: &[f32]) -> f64 {
    let pairs = positive.iter().flat_map(|p| negative.iter().map(move |n| (p, n)));
    let ordered: f64 = pairs
        .map(|(p, n)| {
            if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    ordered / (positive.len() * negative.len()) as f64
}

/// Robertson's BM25 with its usual constants over words and pairs of Chinese characters.
struct Bm25 {
    texts: Vec<HashMap<String, f64>>,
    lengths: Vec<f64>,
    idf: HashMap<String, f64>,
}

impl Bm25 {
    fn new<'a>(texts: impl Iterator<Item = &'a String>) -> Self {
        let texts: Vec<HashMap<String, f64>> = texts.map(|text| counts(text)).collect();
        let mut found: HashMap<String, f64> = HashMap::new();
        for term in texts.iter().flat_map(HashMap::keys) {
            *found.entry(term.clone()).or_default() += 1.0;
        }
        let n = texts.len() as f64;
        let idf = found.into_iter().map(|(term, df)| (term, ((n - df + 0.5) / (df + 0.5) + 1.0).ln())).collect();
        Bm25 { lengths: texts.iter().map(|text| text.values().sum()).collect(), texts, idf }
    }

    fn best(&self, question: &str) -> usize {
        let average = self.lengths.iter().sum::<f64>() / self.lengths.len() as f64;
        let asked = counts(question);
        let score = |at: usize| -> f64 {
            let terms = asked.keys().filter_map(|term| Some((self.idf.get(term)?, self.texts[at].get(term)?)));
            terms.map(|(idf, tf)| idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * self.lengths[at] / average))).sum()
        };
        (0..self.texts.len()).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap()
    }
}

fn counts(text: &str) -> HashMap<String, f64> {
    let lower = text.to_lowercase();
    let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let words = lower.split(|c: char| !c.is_alphanumeric() || is_han(c)).filter(|word| !word.is_empty());
    let characters: Vec<char> = lower.chars().collect();
    let pairs = characters.windows(2).filter(|pair| pair.iter().all(|c| is_han(*c))).map(|pair| pair.iter().collect());
    let mut counts = HashMap::new();
    for term in words.map(str::to_owned).chain(pairs) {
        *counts.entry(term).or_default() += 1.0;
    }
    counts
}
