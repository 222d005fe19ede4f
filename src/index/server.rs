//! How do the points live on a Qdrant server? `qdrant-client` over gRPC: one collection per generation, one alias.
//!
//! A rebuild fills a new collection, an update fills one with a copy of the current points; then the marker point is
//! written, the collection is waited for until it is optimised, and the alias is pointed at it, which the server does
//! at once for all searches. The collection before stays for one more generation: a search that resolved the alias
//! just before the swap still finds it. Scores, payload and filters are those of the embedded body.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use qdrant_client::{
    Payload, Qdrant, QdrantError,
    qdrant::{
        CollectionStatus, Condition, CountPointsBuilder, CreateAliasBuilder, CreateCollectionBuilder,
        CreateFieldIndexCollectionBuilder, Distance, FieldType, Filter as EngineFilter, GetPointsBuilder, PointId,
        PointStruct, Query, QueryPointsBuilder, Range, RetrievedPoint, ScoredPoint, ScrollPointsBuilder,
        SearchParamsBuilder, SparseVectorParamsBuilder, SparseVectorsConfigBuilder, UpsertPointsBuilder, Value,
        Vector as EngineVector, VectorInput, VectorParamsBuilder, VectorsConfigBuilder, VectorsSelector, vector_output,
    },
};
use uuid::Uuid;

use super::{
    Bm25, Cosine, Filter, Hit, Index, Marker, Opened, Point, Rebuild, Vector,
    payload::{ANY_PRODUCT, GRAPH_WIDTH, columns, damaged, day_number, field, hit_of, payload_of, vector_name},
    point::{check_points, check_vector, rank},
};
use crate::{
    error::{Error, Result},
    words::Lang,
};

/// A search that takes longer than this is given up as an error: the customer waits for it.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(5);
/// One write, of at most [`BATCH_POINTS`] points.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a new collection may take to be optimised before it goes into service all the same: it is searched
/// exactly until then, only slower.
const OPTIMISE_WAIT: Duration = Duration::from_secs(600);
/// Points in one write or one page: about 1 MB of 384 dimensions.
const BATCH_POINTS: usize = 256;
/// A collection of ours that is out of service for so long was left by a crash.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);
/// The marker's place: a point without vectors, which no search finds.
const MARKER_POINT: Uuid = Uuid::nil();
/// The marker point's one field.
const MARKER_FIELD: &str = "marker";

/// Where the server is.
#[derive(Clone)]
pub struct Address {
    /// The gRPC address, for instance `http://127.0.0.1:6334`.
    pub url: String,
    /// The API key, when the server asks for one.
    pub api_key: Option<String>,
    /// The name that searches use; collections are called `<alias>-<uuid>`.
    pub alias: String,
}

impl std::fmt::Debug for Address {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("url", &self.url).field("alias", &self.alias).finish_non_exhaustive()
    }
}

/// The index on a server. Clones share the connections and the cached marker.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    searcher: Qdrant,
    writer: Qdrant,
    dimensions: usize,
    fingerprint: String,
    marker: RwLock<Option<Marker>>,
    /// One write at a time; holds the collection that was in service before the last swap.
    writing: tokio::sync::Mutex<Option<String>>,
}

/// What a server said, and which one.
#[derive(Debug, thiserror::Error)]
#[error("Qdrant at {url}")]
struct At {
    url: String,
    #[source]
    cause: QdrantError,
}

impl Server {
    /// See [`Index::connect`].
    pub(super) async fn connect(address: Address, dimensions: usize, fingerprint: &str) -> Result<Opened> {
        let client = |timeout| {
            Qdrant::from_url(&address.url)
                .api_key(address.api_key.clone())
                .timeout(timeout)
                .connect_timeout(SEARCH_TIMEOUT)
                .skip_compatibility_check() // It prints, and an older server that answers is good enough.
                .build()
                .map_err(|cause| failed("connecting to", &address, cause))
        };
        let (searcher, writer) = (client(SEARCH_TIMEOUT)?, client(WRITE_TIMEOUT)?);
        let shared = Shared {
            address,
            searcher,
            writer,
            dimensions,
            fingerprint: fingerprint.to_owned(),
            marker: RwLock::new(None),
            writing: tokio::sync::Mutex::new(None),
        };
        let server = Server { shared: Arc::new(shared) };
        let rebuild = match server.read_marker().await? {
            Ok(marker) => {
                let expected = marker.count;
                match marker.check(dimensions, fingerprint) {
                    Err(problem) => Some(problem),
                    Ok(()) => {
                        server.remember(Some(marker));
                        let found = server.count().await?;
                        (found != expected).then_some(Rebuild::Count { found, expected })
                    }
                }
            }
            Err(problem) => Some(problem),
        };
        if rebuild.is_some() {
            server.remember(None);
        }
        Ok(Opened { index: Index::Server(server), rebuild })
    }

    pub(super) async fn search_dense(
        &self,
        which: Vector,
        query: &[f32],
        filter: &Filter,
        limit: usize,
        exact: bool,
    ) -> Result<Vec<Hit<Cosine>>> {
        check_vector(query, self.shared.dimensions, false)?;
        self.in_service()?;
        let mut hits = Vec::new();
        if limit > 0 {
            for name in which.names() {
                let query = VectorInput::new_dense(query.to_vec());
                for point in self.nearest(name, query, filter, limit, exact, false).await? {
                    let score = Cosine(point.score);
                    hits.push(hit_of(&Payload::from(point.payload).into(), score)?);
                }
            }
        }
        rank(&mut hits, limit, |hit| hit, |score| score.0);
        Ok(hits)
    }

    pub(super) async fn search_dense_with_vectors(
        &self,
        which: Vector,
        query: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<(Hit<Cosine>, Vec<f32>)>> {
        check_vector(query, self.shared.dimensions, false)?;
        self.in_service()?;
        let mut found = Vec::new();
        if limit > 0 {
            for name in which.names() {
                let query = VectorInput::new_dense(query.to_vec());
                for point in self.nearest(name, query, filter, limit, false, true).await? {
                    let stored = point.vectors.as_ref().and_then(|vectors| vectors.get_vector_by_name(name));
                    let Some(vector_output::Vector::Dense(vector)) = stored else {
                        return Err(damaged(format!("a hit without its `{name}` vector")));
                    };
                    found.push((hit_of(&Payload::from(point.payload).into(), Cosine(point.score))?, vector.data));
                }
            }
        }
        rank(&mut found, limit, |(hit, _)| hit, |score| score.0);
        Ok(found)
    }

    pub(super) async fn search_terms(
        &self,
        query: &[(u32, f32)],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit<Bm25>>> {
        self.in_service()?;
        let (terms, weights) = columns(query);
        if terms.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let query = VectorInput::new_sparse(terms, weights);
        let found = self.nearest(vector_name::TERMS, query, filter, limit, true, false).await?;
        let mut hits = found
            .into_iter()
            .map(|point| hit_of(&Payload::from(point.payload).into(), Bm25(point.score)))
            .collect::<Result<Vec<_>>>()?;
        rank(&mut hits, limit, |hit| hit, |score| score.0);
        Ok(hits)
    }

    async fn nearest(
        &self,
        using: &str,
        query: VectorInput,
        filter: &Filter,
        limit: usize,
        exact: bool,
        with_vector: bool,
    ) -> Result<Vec<ScoredPoint>> {
        let mut request = QueryPointsBuilder::new(&self.shared.address.alias)
            .query(Query::new_nearest(query))
            .using(using)
            .limit(limit as u64)
            .with_payload(true)
            .params(SearchParamsBuilder::default().exact(exact).hnsw_ef(GRAPH_WIDTH as u64).build());
        if let Some(filter) = engine_filter(filter) {
            request = request.filter(filter);
        }
        if with_vector {
            request = request.with_vectors(VectorsSelector { names: vec![using.to_owned()] });
        }
        let response = self.ask("searching", self.shared.searcher.query(request)).await?;
        Ok(response.result)
    }

    pub(super) async fn count(&self) -> Result<usize> {
        self.in_service()?;
        let points = EngineFilter::must_not([Condition::has_id([marker_point()])]);
        let request = CountPointsBuilder::new(&self.shared.address.alias).filter(points).exact(true);
        let answer = self.ask("counting", self.shared.searcher.count(request)).await?;
        Ok(answer.result.map_or(0, |result| result.count as usize))
    }

    pub(super) fn marker(&self) -> Option<Marker> {
        self.shared.marker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the server whether it answers, and what is in service: another replica may have swapped.
    pub(super) async fn refresh(&self) -> Result<()> {
        let found = self
            .read_marker()
            .await?
            .and_then(|marker| marker.check(self.shared.dimensions, &self.shared.fingerprint).map(|()| marker));
        match found {
            Ok(marker) => {
                self.remember(Some(marker));
                Ok(())
            }
            Err(problem) => Err(Error::Index { act: "searching", cause: problem.into() }),
        }
    }

    pub(super) async fn rebuild(&self, generation: &str, points: Vec<Point>) -> Result<()> {
        check_points(&points, self.shared.dimensions)?;
        let mut before_last = self.shared.writing.lock().await;
        let collection = self.create_collection().await?;
        let filled = async {
            let count = points.len();
            self.upsert(&collection, points.into_iter().map(engine_point)).await?;
            Ok(count)
        };
        self.serve(generation, collection.clone(), filled, &mut before_last).await
    }

    pub(super) async fn update(&self, generation: &str, upsert: Vec<Point>, delete: Vec<(String, Lang)>) -> Result<()> {
        check_points(&upsert, self.shared.dimensions)?;
        self.in_service()?;
        let mut before_last = self.shared.writing.lock().await;
        let collection = self.create_collection().await?;
        let replaced = upsert.iter().map(|point| (point.document.clone(), point.lang));
        let gone: HashSet<_> = delete.into_iter().chain(replaced).collect();
        let filled = async {
            let copied = self.copy_to(&collection, &gone).await?;
            let added = upsert.len();
            self.upsert(&collection, upsert.into_iter().map(engine_point)).await?;
            Ok(copied + added)
        };
        self.serve(generation, collection.clone(), filled, &mut before_last).await
    }

    /// Fills a collection, marks it, waits for it and points the alias at it. On failure the collection goes.
    async fn serve(
        &self,
        generation: &str,
        collection: String,
        filled: impl Future<Output = Result<usize>>,
        before_last: &mut Option<String>,
    ) -> Result<()> {
        let swapped = async {
            let count = filled.await?;
            let marker = Marker {
                generation: generation.to_owned(),
                fingerprint: self.shared.fingerprint.clone(),
                dimensions: self.shared.dimensions,
                count,
            };
            self.write_marker(&collection, &marker).await?;
            self.wait_until_optimised(&collection).await?;
            let before = self.behind_alias().await?;
            // Creating an alias that exists points it elsewhere, in one step.
            let alias = CreateAliasBuilder::new(collection.as_str(), self.shared.address.alias.as_str());
            self.ask("swapping", self.shared.writer.create_alias(alias)).await?;
            self.remember(Some(marker));
            Ok(before)
        };
        match swapped.await {
            Ok(before) => {
                if let Some(old) = std::mem::replace(before_last, before.clone()) {
                    self.drop_collection(&old).await;
                }
                self.sweep([Some(collection), before]).await;
                Ok(())
            }
            Err(error) => {
                self.drop_collection(&collection).await;
                Err(error)
            }
        }
    }

    async fn create_collection(&self) -> Result<String> {
        let name = format!("{}-{}", self.shared.address.alias, Uuid::now_v7());
        let mut dense = VectorsConfigBuilder::default();
        for vector in Vector::Both.names() {
            let size = self.shared.dimensions as u64;
            dense.add_named_vector_params(*vector, VectorParamsBuilder::new(size, Distance::Cosine));
        }
        let mut sparse = SparseVectorsConfigBuilder::default();
        sparse.add_named_vector_params(vector_name::TERMS, SparseVectorParamsBuilder::default());
        let request = CreateCollectionBuilder::new(&name).vectors_config(dense).sparse_vectors_config(sparse);
        self.ask("creating", self.shared.writer.create_collection(request)).await?;
        let keywords = field::KEYWORDS.map(|key| (key, FieldType::Keyword));
        let integers = field::INTEGERS.map(|key| (key, FieldType::Integer));
        for (key, kind) in keywords.into_iter().chain(integers) {
            let request = CreateFieldIndexCollectionBuilder::new(&name, key, kind).wait(true);
            if let Err(error) = self.ask("creating", self.shared.writer.create_field_index(request)).await {
                self.drop_collection(&name).await;
                return Err(error);
            }
        }
        Ok(name)
    }

    async fn upsert(&self, collection: &str, points: impl Iterator<Item = PointStruct>) -> Result<()> {
        let mut points = points.peekable();
        while points.peek().is_some() {
            let batch: Vec<_> = points.by_ref().take(BATCH_POINTS).collect();
            let request = UpsertPointsBuilder::new(collection, batch).wait(true);
            self.ask("writing", self.shared.writer.upsert_points(request)).await?;
        }
        Ok(())
    }

    /// Copies what is in service, but for the documents in `gone` and the marker. Returns how many points.
    async fn copy_to(&self, collection: &str, gone: &HashSet<(String, Lang)>) -> Result<usize> {
        let (mut copied, mut offset) = (0, None);
        loop {
            let mut request = ScrollPointsBuilder::new(&self.shared.address.alias)
                .limit(BATCH_POINTS as u32)
                .with_payload(true)
                .with_vectors(true);
            if let Some(offset) = offset {
                request = request.offset::<PointId>(offset);
            }
            let page = self.ask("copying", self.shared.writer.scroll(request)).await?;
            let mut kept = Vec::with_capacity(page.result.len());
            for point in page.result {
                if let Some(point) = copy_point(point, gone)? {
                    kept.push(point);
                }
            }
            copied += kept.len();
            self.upsert(collection, kept.into_iter()).await?;
            match page.next_page_offset {
                Some(next) => offset = Some(next),
                None => return Ok(copied),
            }
        }
    }

    async fn write_marker(&self, collection: &str, marker: &Marker) -> Result<()> {
        let text = serde_json::to_string(marker).map_err(Error::index("marking"))?;
        let payload = Payload::from([(MARKER_FIELD, Value::from(text))]);
        let point = PointStruct::new(marker_point(), HashMap::<String, EngineVector>::new(), payload);
        self.upsert(collection, std::iter::once(point)).await
    }

    /// The marker of what is in service. The outer error is the server's, the inner one is mended by a rebuild.
    async fn read_marker(&self) -> Result<Result<Marker, Rebuild>> {
        if self.behind_alias().await?.is_none() {
            return Ok(Err(Rebuild::Missing));
        }
        let request = GetPointsBuilder::new(&self.shared.address.alias, vec![marker_point()]).with_payload(true);
        let found = self.ask("reading", self.shared.searcher.get_points(request)).await?;
        let text = found.result.into_iter().next().and_then(|mut point| point.payload.remove(MARKER_FIELD));
        let Some(text) = text.as_ref().and_then(|text| text.as_str()) else {
            return Ok(Err(Rebuild::Damaged("the collection has no marker".into())));
        };
        Ok(serde_json::from_str(text).map_err(|error| Rebuild::Damaged(format!("the marker: {error}"))))
    }

    async fn wait_until_optimised(&self, collection: &str) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < OPTIMISE_WAIT {
            let info = self.ask("optimising", self.shared.writer.collection_info(collection)).await?;
            match info.result.map(|info| info.status()) {
                Some(CollectionStatus::Green | CollectionStatus::Grey) => return Ok(()),
                Some(CollectionStatus::Red) => {
                    return Err(Error::Index {
                        act: "optimising",
                        cause: format!("Qdrant at {}: `{collection}` is red", self.shared.address.url).into(),
                    });
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        tracing::warn!(collection, "a new index collection goes into service before it is optimised");
        Ok(())
    }

    /// The collection that the alias points at.
    async fn behind_alias(&self) -> Result<Option<String>> {
        let aliases = self.ask("reading", self.shared.searcher.list_aliases()).await?;
        let ours = aliases.aliases.into_iter().find(|alias| alias.alias_name == self.shared.address.alias);
        Ok(ours.map(|alias| alias.collection_name))
    }

    /// Drops collections of this alias that a crash left behind long ago.
    async fn sweep(&self, in_use: [Option<String>; 2]) {
        let Ok(list) = self.shared.writer.list_collections().await else { return };
        let prefix = format!("{}-", self.shared.address.alias);
        for name in list.collections.into_iter().map(|collection| collection.name) {
            let born = name.strip_prefix(&prefix).and_then(|id| Uuid::try_parse(id).ok()?.get_timestamp());
            let Some(born) = born else { continue };
            let (seconds, _) = born.to_unix();
            let age = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
                .unwrap_or_default();
            if age > LEFTOVER_AGE && !in_use.iter().flatten().any(|used| *used == name) {
                self.drop_collection(&name).await;
            }
        }
    }

    async fn drop_collection(&self, collection: &str) {
        if let Err(error) = self.shared.writer.delete_collection(collection).await {
            tracing::warn!(collection, %error, "an old index collection could not be removed");
        }
    }

    fn remember(&self, marker: Option<Marker>) {
        *self.shared.marker.write().unwrap_or_else(PoisonError::into_inner) = marker;
    }

    fn in_service(&self) -> Result<()> {
        if self.marker().is_none() {
            return Err(Error::Index { act: "searching", cause: "it has not been built yet".into() });
        }
        Ok(())
    }

    async fn ask<T>(&self, act: &'static str, request: impl Future<Output = Result<T, QdrantError>>) -> Result<T> {
        request.await.map_err(|cause| failed(act, &self.shared.address, cause))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.shared.address).finish()
    }
}

fn failed(act: &'static str, address: &Address, cause: QdrantError) -> Error {
    Error::Index { act, cause: At { url: address.url.clone(), cause }.into() }
}

fn marker_point() -> PointId {
    MARKER_POINT.to_string().into()
}

fn engine_point(point: Point) -> PointStruct {
    let mut vectors = HashMap::new();
    let payload = Payload::from(payload_of(&point));
    let id = point.id().to_string();
    if !point.terms.is_empty() {
        let (terms, weights) = columns(&point.terms);
        vectors.insert(vector_name::TERMS.to_owned(), EngineVector::new_sparse(terms, weights));
    }
    if !point.vector.is_empty() {
        for name in point.role.vector().names() {
            vectors.insert((*name).to_owned(), EngineVector::new_dense(point.vector.clone()));
        }
    }
    PointStruct::new(id, vectors, payload)
}

/// A stored point as one to write, or `None` for the marker and for documents that go.
fn copy_point(point: RetrievedPoint, gone: &HashSet<(String, Lang)>) -> Result<Option<PointStruct>> {
    if point.payload.contains_key(MARKER_FIELD) {
        return Ok(None);
    }
    let text = |key| point.payload.get(key).and_then(|value: &Value| value.as_str().cloned()).unwrap_or_default();
    let lang: Lang = text(field::LANG).parse()?;
    if gone.contains(&(text(field::DOCUMENT), lang)) {
        return Ok(None);
    }
    let id = point.id.ok_or_else(|| damaged("a point without an id".into()))?;
    let stored = point.vectors.unwrap_or_default();
    let names = [vector_name::QUESTION, vector_name::PASSAGE, vector_name::TERMS];
    let mut vectors = HashMap::<String, EngineVector>::new();
    for name in names {
        let vector = match stored.get_vector_by_name(name) {
            Some(vector_output::Vector::Dense(dense)) => dense.into(),
            Some(vector_output::Vector::Sparse(sparse)) => sparse.into(),
            Some(vector_output::Vector::MultiDense(_)) => return Err(damaged("a point with many vectors".into())),
            None => continue,
        };
        vectors.insert(name.to_owned(), vector);
    }
    Ok(Some(PointStruct::new(id, vectors, Payload::from(point.payload))))
}

fn engine_filter(filter: &Filter) -> Option<EngineFilter> {
    let mut must = Vec::new();
    let mut any_of = |key: &str, values: Vec<String>| must.push(Condition::matches(key, values));
    if let Some(lang) = filter.lang {
        any_of(field::LANG, vec![lang.as_str().into()]);
    }
    if !filter.kinds.is_empty() {
        any_of(field::KIND, filter.kinds.iter().map(|kind| kind.as_str().into()).collect());
    }
    if !filter.roles.is_empty() {
        any_of(field::ROLE, filter.roles.iter().map(|role| role.as_str().into()).collect());
    }
    if let Some(audience) = filter.audience {
        any_of(field::AUDIENCE, vec![audience.as_str().into()]);
    }
    if !filter.tags.is_empty() {
        any_of(field::TAGS, filter.tags.clone());
    }
    if let Some(product) = &filter.product {
        any_of(field::PRODUCT, vec![product.clone(), ANY_PRODUCT.into()]);
    }
    if let Some(day) = filter.on {
        let day = day_number(day) as f64; // Below 2^53: exact.
        must.push(Condition::range(field::FROM, Range { lte: Some(day), ..Range::default() }));
        must.push(Condition::range(field::UNTIL, Range { gte: Some(day), ..Range::default() }));
    }
    (!must.is_empty()).then(|| EngineFilter::must(must))
}
