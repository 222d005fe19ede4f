//! What does the engine do with one shard? Points in, hits out, panics caught; no files of ours, no threads.

use std::{cell::Cell, collections::HashMap, panic::AssertUnwindSafe, path::Path, sync::Once, time::Instant};

use qdrant_edge::{
    CountRequest, CreateIndex, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeSparseVectorParams,
    EdgeVectorParams, FieldIndexOperations, NamedQuery, Payload, PayloadFieldSchema, PayloadSchemaType, PointId,
    PointInsertOperations, PointOperations, PointStructPersisted, QueryEnum, QueryRequest, ScoredPoint, ScoringQuery,
    SearchParams, SparseVector, UpdateOperation, VectorInternal, VectorPersisted, VectorStructInternal,
    VectorStructPersisted, WalOptions, WithPayloadInterface, WithVector,
};
use serde_json::json;

use super::{
    Filter, Point,
    payload::{ANY_PRODUCT, GRAPH_WIDTH, columns, damaged, day_number, field, payload_of, vector_name},
};
use crate::{
    error::{Error, Result, chain},
    words::Lang,
};

/// Points in one write to the engine: large enough to be quick, small enough for its log's segments.
const BATCH_POINTS: usize = 512;
/// Up to so many vectors a search compares with each of them: exact, the same in whatever order they were written and on
/// however many cores, and as fast as a graph (`deskhand bench search`).
const EXACT_UP_TO: usize = 20_000;
/// Documents in one delete: each is a clause of one filter.
const BATCH_DOCUMENTS: usize = 128;
/// The engine's shard, closed under guard: it flushes when dropped and panics when it cannot, and a panic that
/// escapes while another one unwinds ends the process.
pub struct Shard(Option<EdgeShard>);

impl Shard {
    /// A new shard in an empty folder.
    pub fn create(folder: &Path, dimensions: usize) -> Result<Shard> {
        let engine = EdgeShard::new(folder, engine_config(dimensions)).map_err(Error::index("creating"))?;
        Ok(Shard(Some(engine)))
    }

    /// A shard as it was flushed.
    pub fn load(folder: &Path, dimensions: usize) -> Result<Shard> {
        let engine = EdgeShard::load(folder, Some(engine_config(dimensions))).map_err(Error::index("loading"))?;
        Ok(Shard(Some(engine)))
    }

    /// Builds what searches want and makes everything durable.
    pub fn finish(&self) -> Result<()> {
        let engine = self.engine()?;
        engine.optimize().map_err(Error::index("optimising"))?;
        engine.flush();
        Ok(())
    }

    /// Points, counted one by one.
    pub fn count(&self) -> Result<usize> {
        self.engine()?.count(CountRequest { filter: None, exact: true }).map_err(Error::index("counting"))
    }

    fn engine(&self) -> Result<&EdgeShard> {
        self.0.as_ref().ok_or(Error::Stopped("the index"))
    }

    /// Lets go of the files; again does nothing.
    pub fn close(&mut self) {
        let engine = self.0.take();
        if let Err(error) = guarded("closing", || {
            drop(engine);
            Ok(())
        }) {
            tracing::warn!(error = %chain(&error), "an index shard did not close cleanly");
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}

/// A shard that nobody searches yet.
pub struct Building {
    pub started: Instant,
    pub shard: Shard,
    pub operations: u64,
}

impl Building {
    pub fn new(shard: Shard) -> Building {
        Building { started: Instant::now(), shard, operations: 0 }
    }

    fn apply(&mut self, operation: UpdateOperation) -> Result<()> {
        self.operations += 1;
        self.shard.engine()?.update(operation).map_err(Error::index("writing"))
    }

    /// Numbers operations above those that the segments have seen: the log was removed after the build.
    pub fn catch_up(&mut self, seen: u64) -> Result<()> {
        for _ in 0..=seen {
            self.apply(UpdateOperation::PointOperation(PointOperations::DeletePoints { ids: Vec::new() }))?;
        }
        Ok(())
    }

    pub fn create_field_indexes(&mut self) -> Result<()> {
        let keywords = field::KEYWORDS.map(|name| (name, PayloadSchemaType::Keyword));
        let integers = field::INTEGERS.map(|name| (name, PayloadSchemaType::Integer));
        for (name, schema) in keywords.into_iter().chain(integers) {
            let field_name =
                name.parse().map_err(|()| Error::Index { act: "writing", cause: "a field name".into() })?;
            let field_schema = Some(PayloadFieldSchema::FieldType(schema));
            self.apply(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
                field_name,
                field_schema,
            })))?;
        }
        Ok(())
    }

    pub fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        let mut points = points.into_iter().peekable();
        while points.peek().is_some() {
            let batch = points.by_ref().take(BATCH_POINTS).map(engine_point).collect::<Result<Vec<_>>>()?;
            let batch = PointInsertOperations::PointsList(batch);
            self.apply(UpdateOperation::PointOperation(PointOperations::UpsertPoints(batch)))?;
        }
        Ok(())
    }

    pub fn delete(&mut self, documents: Vec<(String, Lang)>) -> Result<()> {
        for batch in documents.chunks(BATCH_DOCUMENTS) {
            let any: Vec<_> = batch
                .iter()
                .map(|(document, lang)| {
                    json!({"must": [
                        {"key": field::DOCUMENT, "match": {"value": document}},
                        {"key": field::LANG, "match": {"value": lang.as_str()}},
                    ]})
                })
                .collect();
            let filter = serde_json::from_value(json!({"should": any})).map_err(Error::index("writing"))?;
            self.apply(UpdateOperation::PointOperation(PointOperations::DeletePointsByFilter(filter)))?;
        }
        Ok(())
    }
}

/// One search in one named vector.
pub struct Nearest<'a> {
    pub using: &'a str,
    pub filter: &'a Option<qdrant_edge::Filter>,
    pub limit: usize,
    pub exact: bool,
    pub with_vector: bool,
}

impl Nearest<'_> {
    pub fn to(&self, shard: &Shard, query: VectorInternal) -> Result<Vec<ScoredPoint>> {
        let query = QueryEnum::Nearest(NamedQuery { query, using: Some(self.using.into()) });
        let with_vector =
            if self.with_vector { WithVector::Selector(vec![self.using.into()]) } else { WithVector::Bool(false) };
        shard
            .engine()?
            .query(QueryRequest {
                prefetches: Vec::new(),
                query: Some(ScoringQuery::Vector(query)),
                filter: self.filter.clone(),
                score_threshold: None,
                limit: self.limit,
                offset: 0,
                params: Some(SearchParams { exact: self.exact, hnsw_ef: Some(GRAPH_WIDTH), ..SearchParams::default() }),
                with_vector,
                with_payload: WithPayloadInterface::Bool(true),
            })
            .map_err(Error::index("searching"))
    }
}

pub fn stored_vector(stored: Option<VectorStructInternal>, name: &str) -> Result<Vec<f32>> {
    match stored {
        Some(VectorStructInternal::Named(mut named)) => match named.remove(name) {
            Some(VectorInternal::Dense(vector)) => Ok(vector),
            _ => Err(damaged(format!("a hit without its `{name}` vector"))),
        },
        _ => Err(damaged("a hit without its vector".into())),
    }
}

fn engine_config(dimensions: usize) -> EdgeConfig {
    let dense = || EdgeVectorParams::builder(dimensions, Distance::Cosine).build();
    // The default log segment is 32 MiB, allocated at once, for a log that nobody reads.
    let wal = WalOptions { segment_capacity: 4 << 20, ..WalOptions::default() };
    let bytes = EXACT_UP_TO * dimensions * size_of::<f32>();
    let optimizers = EdgeOptimizersConfig { indexing_threshold: Some(bytes.div_ceil(1024)), ..Default::default() };
    EdgeConfig::builder()
        .optimizers(optimizers)
        .vector(vector_name::QUESTION, dense())
        .vector(vector_name::PASSAGE, dense())
        .sparse_vector(vector_name::TERMS, EdgeSparseVectorParams::builder().build())
        .wal_options(wal)
        .build()
}

fn engine_point(point: Point) -> Result<PointStructPersisted> {
    let mut vectors = HashMap::new();
    let payload = Payload(payload_of(&point));
    let id = PointId::Uuid(point.id());
    if !point.terms.is_empty() {
        let (terms, weights) = columns(&point.terms);
        let sparse = SparseVector::new(terms, weights).map_err(Error::index("writing"))?;
        vectors.insert(vector_name::TERMS.to_owned(), VectorPersisted::Sparse(sparse));
    }
    if !point.vector.is_empty() {
        for name in point.role.vector().names() {
            vectors.insert((*name).to_owned(), VectorPersisted::Dense(point.vector.clone()));
        }
    }
    Ok(PointStructPersisted { id, vector: VectorStructPersisted::Named(vectors), payload: Some(payload) })
}

/// The conditions in the engine's own JSON form.
pub fn engine_filter(filter: &Filter) -> Result<Option<qdrant_edge::Filter>> {
    let mut must = Vec::new();
    let mut any_of = |key: &str, values: Vec<&str>| must.push(json!({"key": key, "match": {"any": values}}));
    if let Some(lang) = filter.lang {
        any_of(field::LANG, vec![lang.as_str()]);
    }
    if !filter.kinds.is_empty() {
        any_of(field::KIND, filter.kinds.iter().map(|kind| kind.as_str()).collect());
    }
    if !filter.roles.is_empty() {
        any_of(field::ROLE, filter.roles.iter().map(|role| role.as_str()).collect());
    }
    if let Some(audience) = filter.audience {
        any_of(field::AUDIENCE, vec![audience.as_str()]);
    }
    if !filter.tags.is_empty() {
        any_of(field::TAGS, filter.tags.iter().map(String::as_str).collect());
    }
    if let Some(product) = &filter.product {
        any_of(field::PRODUCT, vec![product, ANY_PRODUCT]);
    }
    if let Some(day) = filter.on {
        must.push(json!({"key": field::FROM, "range": {"lte": day_number(day)}}));
        must.push(json!({"key": field::UNTIL, "range": {"gte": day_number(day)}}));
    }
    if must.is_empty() {
        return Ok(None);
    }
    serde_json::from_value(json!({"must": must})).map(Some).map_err(Error::index("searching"))
}

/// Turns a panic of the engine into an error. Nothing that the work touched is used after one: a build is thrown
/// away, a search has nothing of its own, and the engine's locks do not poison.
pub fn guarded<T>(act: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(quiet_guarded_panics);
    let outside = GUARDED.replace(true);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outside);
    outcome.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without text");
        // The engine's own errors drag pages of addresses behind them.
        let said = said.split(", backtrace: ").next().unwrap_or(said);
        Err(Error::Index { act, cause: format!("the engine stopped: {said}").into() })
    })
}

thread_local! {
    /// Whether this thread is inside [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A panic that becomes an error is told once, by whoever handles the error.
fn quiet_guarded_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            before(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_engine_is_an_error_with_its_words() {
        let error = guarded::<()>("flushing", || panic!("disk is {}, backtrace: Some(1, 2)", "full")).unwrap_err();
        assert_eq!(chain(&error), "flushing the index: the engine stopped: disk is full");
    }

    /// The engine flushes in its own `Drop`, and a panic there while another unwinds would end the process.
    #[test]
    fn a_shard_that_cannot_be_flushed_is_closed_without_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let shard = Shard::create(folder.path(), 4).unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        let result = guarded::<()>("writing", move || {
            let _dropped_while_unwinding = shard;
            panic!("first")
        });
        assert!(chain(&result.unwrap_err()).contains("first"));
    }
}
