//! How fast is the embedded index, and what does the graph miss? Synthetic points, the same on every run.

use std::{path::Path, time::Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{Filter, Index, Point, Role, Vector};
use crate::{
    error::Result,
    words::{Audience, Kind, Lang},
};

/// What to build and how often to search it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Points to index.
    pub points: usize,
    /// Length of their dense vectors: random directions, the hardest case for a graph.
    pub dimensions: usize,
    /// Terms of each point, drawn from a Zipf distribution.
    pub terms: usize,
    /// Searches of each kind.
    pub searches: usize,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { points: 100_000, dimensions: 384, terms: 30, searches: 500, seed: 20_261_122 }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// Writing the points into a new shard.
    pub ingest_ms: u64,
    /// Building the graph.
    pub optimise_ms: u64,
    /// Closing, loading and swapping.
    pub swap_ms: u64,
    /// Opening the folder again, as a start of the program does.
    pub open_ms: u64,
    /// Dense search through the graph, ten hits.
    pub dense_ms: Quantiles,
    /// Dense search through the graph, one language of two.
    pub dense_filtered_ms: Quantiles,
    /// Dense search that compares with every point.
    pub dense_exact_ms: Quantiles,
    /// Search by six terms, ten hits.
    pub terms_ms: Quantiles,
    /// The share of the ten nearest points that the graph finds.
    pub recall_at_10: f64,
    /// Resident memory of this process with the index open, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Files of the index.
    pub disk_bytes: u64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// One in a hundred is slower.
    pub p99: f64,
}

/// Distinct terms that points are made of.
const VOCABULARY: f64 = 20_000.0;

/// Builds an index in `folder` (which should be new) and measures it.
pub async fn run(folder: &Path, plan: Plan) -> Result<Report> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let points: Vec<Point> = (0..plan.points).map(|number| synthetic(number, &plan, &mut random)).collect();
    let index = Index::open_embedded(folder, plan.dimensions, "synthetic")?.index;
    index.rebuild("bench", points).await?;
    let built = index.last_build().unwrap_or_default();
    index.close().await?;
    drop(index);

    let start = Instant::now();
    let index = Index::open_embedded(folder, plan.dimensions, "synthetic")?.index;
    let open_ms = start.elapsed().as_millis() as u64;
    let queries: Vec<Vec<f32>> = (0..plan.searches).map(|_| direction(plan.dimensions, &mut random)).collect();
    let (all, half) = (Filter::default(), Filter { lang: Some(Lang::Zh), ..Filter::default() });
    let (mut near, mut filtered, mut exact, mut sparse) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut found, mut wanted) = (0, 0);
    for query in &queries {
        let start = Instant::now();
        let hits = index.search_dense(Vector::Question, query, &all, 10, false).await?;
        near.push(start.elapsed());
        let start = Instant::now();
        index.search_dense(Vector::Question, query, &half, 10, false).await?;
        filtered.push(start.elapsed());
        let start = Instant::now();
        let truth = index.search_dense(Vector::Question, query, &all, 10, true).await?;
        exact.push(start.elapsed());
        wanted += truth.len();
        found += truth.iter().filter(|hit| hits.iter().any(|near| near.document == hit.document)).count();
        let terms = zipf_terms(6, &mut random);
        let start = Instant::now();
        index.search_terms(&terms, &all, 10).await?;
        sparse.push(start.elapsed());
    }
    let report = Report {
        plan,
        ingest_ms: built.ingest_ms,
        optimise_ms: built.optimise_ms,
        swap_ms: built.swap_ms,
        open_ms,
        dense_ms: quantiles(near),
        dense_filtered_ms: quantiles(filtered),
        dense_exact_ms: quantiles(exact),
        terms_ms: quantiles(sparse),
        recall_at_10: if wanted == 0 { 0.0 } else { found as f64 / wanted as f64 },
        memory_bytes: resident_bytes(),
        disk_bytes: super::folder::size_bytes(folder),
    };
    index.close().await?;
    Ok(report)
}

fn synthetic(number: usize, plan: &Plan, random: &mut StdRng) -> Point {
    Point {
        document: format!("document-{number}"),
        revision: "1".into(),
        lang: Lang::ALL[number % 2],
        kind: Kind::Faq,
        audience: Audience::Customer,
        tags: vec![format!("topic-{}", number % 20)],
        product: None,
        valid_from: None,
        valid_until: None,
        role: Role::Question,
        ordinal: 0,
        span: None,
        vector: direction(plan.dimensions, random),
        terms: zipf_terms(plan.terms, random),
    }
}

/// A random unit vector. Sums of uniform numbers are near enough to normal ones for a direction.
fn direction(dimensions: usize, random: &mut StdRng) -> Vec<f32> {
    let mut vector: Vec<f32> =
        (0..dimensions).map(|_| (0..4).map(|_| random.random_range(-1.0f32..1.0)).sum()).collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

/// Terms whose rank is log-uniform, which is Zipf's law with exponent 1.
fn zipf_terms(number: usize, random: &mut StdRng) -> Vec<(u32, f32)> {
    (0..number)
        .map(|_| {
            let rank = VOCABULARY.powf(random.random_range(0.0..1.0));
            (rank as u32, random.random_range(0.5f32..2.0))
        })
        .collect()
}

fn quantiles(mut times: Vec<std::time::Duration>) -> Quantiles {
    times.sort();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        times.get((last as f64 * share).round() as usize).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    };
    Quantiles { p50: at(0.5), p99: at(0.99) }
}

/// `VmRSS` of this process, on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
