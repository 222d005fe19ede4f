//! How does the engine run inside this process? `qdrant-edge`, one owner thread, shards that never change once built.
//!
//! A rebuild fills a new points folder, an update fills a copy of the current one; then flush, optimise, close,
//! load, marker (temp, fsync, rename), and one `Arc` is swapped. A crash at any moment leaves a marker that names a
//! whole shard. The old folder goes when its last search has ended.
//!
//! What qdrant-edge 0.7.2 does not do for us, and where it is met:
//! `load` does not replay its log, so nothing is served that was not flushed and loaded again; `flush` panics on
//! contention and on a full disk, and so does `Drop`, so every call runs under [`guarded`]; the graph exists only
//! after `optimize`; the log is never cut, so it is removed after each build and `catch_up` keeps operation
//! numbers growing (the engine ignores an operation that is older than the point); a mapped file on a full disk
//! kills the process, so free space is checked first.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use qdrant_edge::{SparseVector, VectorInternal};
use tokio::sync::{Semaphore, oneshot};

use super::{
    Bm25, BuildTimes, Cosine, Filter, Hit, Index, Marker, Opened, Point, Rebuild, Vector,
    folder::{
        LOCK_FILE, LOG_FOLDER, New, OnDisk, bytes_of, copy, digest, need_space, read_marker, reader_name, remove,
        size_bytes, sweep, take_lock, write_marker,
    },
    payload::{columns, hit_of, vector_name},
    point::{check_points, check_vector, rank},
    shard::{Building, Nearest, Shard, engine_filter, guarded, stored_vector},
};
use crate::{
    error::{Error, Result, chain},
    words::Lang,
};

/// Writes that may wait for the owner thread.
const WAITING_WRITES: usize = 4;
/// How long closing waits for searches that still run.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long one call of [`Embedded::follow`] waits for the owner.
const FOLLOW_WAIT: Duration = Duration::from_secs(2);
/// How often it looks.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// The index in this process. Clones share one shard and one owner thread.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
    writes: mpsc::SyncSender<Write>,
    /// What this handle searches; `None`: whatever is in service.
    pinned: Option<Arc<Generation>>,
}

/// What searches and the owner thread share. The thread holds it weakly, so that dropping the last [`Embedded`]
/// lets go of the folder.
struct Shared {
    folder: PathBuf,
    dimensions: usize,
    fingerprint: String,
    current: RwLock<Option<Arc<Generation>>>,
    /// `None`: another process owns the folder and this one only reads a copy.
    lock: Mutex<Option<Arc<File>>>,
    /// How long the last build took, step by step.
    last_build: Mutex<Option<BuildTimes>>,
    /// Searches at a time: more than there are cores would only wait for each other.
    searches: Semaphore,
}

/// One immutable state of the points. The folder goes with its last user once it is retired.
struct Generation {
    shard: Shard,
    folder: PathBuf,
    on_disk: OnDisk,
    retired: AtomicBool,
    _lock: Option<Arc<File>>,
}

enum Write {
    Rebuild { generation: String, points: Vec<Point>, done: oneshot::Sender<Result<()>> },
    Update { generation: String, upsert: Vec<Point>, delete: Vec<(String, Lang)>, done: oneshot::Sender<Result<()>> },
    Close { done: oneshot::Sender<Result<()>> },
}

impl Embedded {
    /// See [`Index::open_embedded`].
    pub(super) fn open(folder: &Path, dimensions: usize, fingerprint: &str) -> Result<Opened> {
        std::fs::create_dir_all(folder).map_err(Error::file("making the folder", folder))?;
        let lock = take_lock(&folder.join(LOCK_FILE))?.map(Arc::new);
        let found = match &lock {
            Some(lock) => {
                sweep(folder);
                load_current(folder, dimensions, fingerprint, lock)
            }
            None => load_copy(folder, dimensions, fingerprint),
        };
        let (current, rebuild) = match found {
            Ok(generation) => (Some(Arc::new(generation)), None),
            Err(why) => (None, Some(why)),
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            dimensions,
            fingerprint: fingerprint.to_owned(),
            current: RwLock::new(current),
            last_build: Mutex::new(None),
            lock: Mutex::new(lock),
            searches: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
        });
        let (writes, inbox) = mpsc::sync_channel(WAITING_WRITES);
        let owned = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("index-owner".into())
            .spawn(move || own(&owned, &inbox))
            .map_err(Error::outside("starting the index's owner thread"))?;
        Ok(Opened { index: Index::Embedded(Embedded { shared, writes, pinned: None }), rebuild })
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
        let (query, filter) = (query.to_vec(), engine_filter(filter)?);
        self.search(limit, move |shard| {
            let mut hits = Vec::new();
            for name in which.names() {
                let request = Nearest { using: name, filter: &filter, limit, exact, with_vector: false };
                for point in request.to(shard, VectorInternal::Dense(query.clone()))? {
                    hits.push(hit_of(&point.payload.unwrap_or_default().0, Cosine(point.score))?);
                }
            }
            rank(&mut hits, limit, |hit| hit, |score| score.0);
            Ok(hits)
        })
        .await
    }

    pub(super) async fn search_dense_with_vectors(
        &self,
        which: Vector,
        query: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<(Hit<Cosine>, Vec<f32>)>> {
        check_vector(query, self.shared.dimensions, false)?;
        let (query, filter) = (query.to_vec(), engine_filter(filter)?);
        self.search(limit, move |shard| {
            let mut found = Vec::new();
            for name in which.names() {
                let request = Nearest { using: name, filter: &filter, limit, exact: false, with_vector: true };
                for point in request.to(shard, VectorInternal::Dense(query.clone()))? {
                    let vector = stored_vector(point.vector, name)?;
                    found.push((hit_of(&point.payload.unwrap_or_default().0, Cosine(point.score))?, vector));
                }
            }
            rank(&mut found, limit, |(hit, _)| hit, |score| score.0);
            Ok(found)
        })
        .await
    }

    pub(super) async fn search_terms(
        &self,
        query: &[(u32, f32)],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit<Bm25>>> {
        let (terms, weights) = columns(query);
        let filter = engine_filter(filter)?;
        let limit = if terms.is_empty() { 0 } else { limit };
        self.search(limit, move |shard| {
            let query = SparseVector::new(terms, weights).map_err(Error::index("searching"))?;
            let using = vector_name::TERMS;
            let request = Nearest { using, filter: &filter, limit, exact: true, with_vector: false };
            let mut hits = request
                .to(shard, VectorInternal::Sparse(query))?
                .into_iter()
                .map(|point| hit_of(&point.payload.unwrap_or_default().0, Bm25(point.score)))
                .collect::<Result<Vec<_>>>()?;
            rank(&mut hits, limit, |hit| hit, |score| score.0);
            Ok(hits)
        })
        .await
    }

    /// See [`Index::pinned`].
    pub(super) fn pinned(&self) -> Self {
        Embedded { pinned: self.shared.in_service().ok(), ..self.clone() }
    }

    fn points(&self) -> Result<Arc<Generation>> {
        self.pinned.clone().map_or_else(|| self.shared.in_service(), Ok)
    }

    /// See [`Index::is_ours`].
    pub(super) fn is_ours(&self) -> bool {
        self.shared.lock().is_ok()
    }

    /// See [`Index::follow`].
    pub(super) async fn follow(&self, generation: &str) -> Result<bool> {
        let (shared, generation) = (self.shared.clone(), generation.to_owned());
        tokio::task::spawn_blocking(move || follow(&shared, &generation)).await.map_err(Error::index("following"))?
    }

    /// Runs `work` off the async threads, on the points in service at this moment.
    async fn search<T: Send + 'static>(
        &self,
        limit: usize,
        work: impl FnOnce(&Shard) -> Result<Vec<T>> + Send + 'static,
    ) -> Result<Vec<T>> {
        let _turn = self.shared.searches.acquire().await.map_err(Error::index("searching"))?;
        let generation = self.points()?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        tokio::task::spawn_blocking(move || guarded("searching", || work(&generation.shard)))
            .await
            .map_err(Error::index("searching"))?
    }

    pub(super) async fn count(&self) -> Result<usize> {
        let generation = self.points()?;
        tokio::task::spawn_blocking(move || guarded("counting", || generation.shard.count()))
            .await
            .map_err(Error::index("counting"))?
    }

    pub(super) fn marker(&self) -> Option<Marker> {
        self.points().ok().map(|generation| generation.on_disk.marker.clone())
    }

    pub(super) fn last_build(&self) -> Option<BuildTimes> {
        *self.shared.last_build.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn rebuild(&self, generation: &str, points: Vec<Point>) -> Result<()> {
        let generation = generation.to_owned();
        self.write(|done| Write::Rebuild { generation, points, done }).await
    }

    pub(super) async fn update(&self, generation: &str, upsert: Vec<Point>, delete: Vec<(String, Lang)>) -> Result<()> {
        let generation = generation.to_owned();
        self.write(|done| Write::Update { generation, upsert, delete, done }).await
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.write(|done| Write::Close { done }).await
    }

    async fn write(&self, job: impl FnOnce(oneshot::Sender<Result<()>>) -> Write) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.writes.try_send(job(done)).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => Error::Busy { what: "the index's write queue", limit: WAITING_WRITES },
            mpsc::TrySendError::Disconnected(_) => Error::Stopped("the index's owner thread"),
        })?;
        answer.await.map_err(|_| Error::Stopped("the index's owner thread"))?
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

impl Shared {
    fn in_service(&self) -> Result<Arc<Generation>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| Error::Index {
            act: "searching",
            cause: "it has not been built yet, or it was closed".into(),
        })
    }

    /// Puts another state into service and returns the one before.
    fn swap(&self, next: Option<Arc<Generation>>) -> Option<Arc<Generation>> {
        std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), next)
    }

    fn lock(&self) -> Result<Arc<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| Error::Index {
            act: "writing",
            cause: format!("another process owns {}, or it was closed", self.folder.display()).into(),
        })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.shard.close(); // Before its files go.
        if self.retired.load(Ordering::Acquire) {
            remove(&self.folder);
        }
    }
}

/// The owner thread: one write after the other until the last handle is gone.
fn own(shared: &Weak<Shared>, inbox: &mpsc::Receiver<Write>) {
    while let (Ok(job), Some(shared)) = (inbox.recv(), shared.upgrade()) {
        let (done, result) = match job {
            Write::Rebuild { generation, points, done } => {
                (done, guarded("rebuilding", || rebuild(&shared, generation, points)))
            }
            Write::Update { generation, upsert, delete, done } => {
                (done, guarded("updating", || update(&shared, generation, upsert, delete)))
            }
            Write::Close { done } => (done, close(&shared)),
        };
        drop(shared); // First: a caller that drops the index next wants the folder free.
        // A caller that no longer listens loses nothing: the write has happened, the marker says so.
        let _ = done.send(result);
    }
}

fn rebuild(shared: &Shared, generation: String, points: Vec<Point>) -> Result<()> {
    let lock = shared.lock()?;
    check_points(&points, shared.dimensions)?;
    need_space(&shared.folder, bytes_of(&points, shared.dimensions))?;
    let folder = New::folder(&shared.folder)?;
    let mut building = Building::new(Shard::create(&folder.path, shared.dimensions)?);
    building.create_field_indexes()?;
    building.upsert(points)?;
    serve(shared, lock, folder, building, generation)
}

fn update(shared: &Shared, generation: String, upsert: Vec<Point>, delete: Vec<(String, Lang)>) -> Result<()> {
    let lock = shared.lock()?;
    let current = shared.in_service()?;
    check_points(&upsert, shared.dimensions)?;
    need_space(&shared.folder, 2 * size_bytes(&current.folder) + bytes_of(&upsert, shared.dimensions))?;
    let folder = New::folder(&shared.folder)?;
    copy(&current.folder, &folder.path)?;
    let mut building = Building::new(Shard::load(&folder.path, shared.dimensions)?);
    building.catch_up(current.on_disk.operations)?;
    building.create_field_indexes()?;
    let replaced = upsert.iter().map(|point| (point.document.clone(), point.lang));
    let gone: HashSet<_> = delete.into_iter().chain(replaced).collect();
    building.delete(gone.into_iter().collect())?;
    building.upsert(upsert)?;
    serve(shared, lock, folder, building, generation)
}

/// Makes what was built durable, loads it as a later start would, and swaps it in.
fn serve(shared: &Shared, lock: Arc<File>, folder: New, building: Building, generation: String) -> Result<()> {
    let Building { started, shard, operations } = building;
    let written = Instant::now();
    shard.finish()?;
    let count = shard.count()?;
    let optimised = Instant::now();
    drop(shard);
    remove(&folder.path.join(LOG_FOLDER));
    let marker = Marker {
        generation: generation.clone(),
        fingerprint: shared.fingerprint.clone(),
        dimensions: shared.dimensions,
        count,
    };
    let on_disk = OnDisk { marker, points: folder.name.clone(), operations, digest: String::new() };
    let mut next = load(&shared.folder, on_disk, Some(lock)).map_err(Error::index("loading"))?;
    next.on_disk.digest = digest(&folder.path)?; // After loading, which may add an empty segment.
    write_marker(&shared.folder, &next.on_disk)?;
    folder.keep();
    match shared.swap(Some(Arc::new(next))) {
        Some(before) => before.retired.store(true, Ordering::Release),
        None => sweep(&shared.folder), // What was found unfit at the start.
    }
    let milliseconds = |time: Duration| time.as_millis() as u64;
    *shared.last_build.lock().unwrap_or_else(PoisonError::into_inner) = Some(BuildTimes {
        ingest_ms: milliseconds(written - started),
        optimise_ms: milliseconds(optimised - written),
        swap_ms: milliseconds(optimised.elapsed()),
    });
    tracing::info!(count, generation, "the index is in service");
    Ok(())
}

fn close(shared: &Shared) -> Result<()> {
    let lock = shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut generation) = shared.swap(None) else { return Ok(()) };
    let patience = Instant::now();
    loop {
        match Arc::try_unwrap(generation) {
            Ok(last) => {
                drop(last);
                break;
            }
            Err(_) if patience.elapsed() > CLOSE_WAIT => return Err(Error::Stopped("waiting for the last search")),
            Err(shared) => generation = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(lock);
    Ok(())
}

/// Loads what the marker names. Everything that a rebuild mends is a reason, not an error.
fn load_current(folder: &Path, dimensions: usize, fingerprint: &str, lock: &Arc<File>) -> Result<Generation, Rebuild> {
    let on_disk = read_marker(folder)?;
    on_disk.marker.check(dimensions, fingerprint)?;
    let path = folder.join(&on_disk.points);
    remove(&path.join(LOG_FOLDER)); // Nothing reads it, and a kill may leave it torn.
    check_digest(&path, &on_disk)?;
    load(folder, on_disk, Some(Arc::clone(lock)))
}

/// Waits until the folder's owner has put `generation` in service, then takes a copy of it; where the owner is gone,
/// the folder is ours.
fn follow(shared: &Shared, generation: &str) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < FOLLOW_WAIT {
        if let Some(lock) = take_lock(&shared.folder.join(LOCK_FILE))? {
            *shared.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lock));
            return Ok(false);
        }
        if read_marker(&shared.folder).is_ok_and(|on_disk| on_disk.marker.generation == generation)
            && let Ok(next) = load_copy(&shared.folder, shared.dimensions, &shared.fingerprint)
            && next.on_disk.marker.generation == generation
        {
            shared.swap(Some(Arc::new(next)));
            return Ok(true);
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
    Ok(false)
}

/// Copies what the marker names beside it and loads the copy. The owner may swap meanwhile: then once more.
fn load_copy(folder: &Path, dimensions: usize, fingerprint: &str) -> Result<Generation, Rebuild> {
    let mut problem = Rebuild::Missing;
    for _ in 0..5 {
        let mut on_disk = read_marker(folder)?;
        on_disk.marker.check(dimensions, fingerprint)?;
        let from = folder.join(&on_disk.points);
        on_disk.points = reader_name();
        let to = folder.join(&on_disk.points);
        let copied = std::fs::create_dir(&to)
            .map_err(Error::file("making the folder", &to))
            .and_then(|()| take_lock(&to.join(LOCK_FILE)))
            .and_then(|lock| copy(&from, &to).map(|()| lock))
            .map_err(|error| Rebuild::Damaged(chain(&error)))
            .and_then(|lock| check_digest(&to, &on_disk).map(|()| lock));
        match copied {
            Ok(lock) => {
                let generation = load(folder, on_disk, lock.map(Arc::new))?;
                generation.retired.store(true, Ordering::Release);
                return Ok(generation);
            }
            Err(why) => problem = why,
        }
        remove(&to);
    }
    Err(problem)
}

fn check_digest(path: &Path, on_disk: &OnDisk) -> Result<(), Rebuild> {
    let found = digest(path).map_err(|error| Rebuild::Damaged(chain(&error)))?;
    if found != on_disk.digest {
        return Err(Rebuild::Damaged("the files are not those that were written".into()));
    }
    Ok(())
}

fn load(folder: &Path, on_disk: OnDisk, lock: Option<Arc<File>>) -> Result<Generation, Rebuild> {
    let path = folder.join(&on_disk.points);
    let expected = on_disk.marker.count;
    let loaded = guarded("loading", || {
        let shard = Shard::load(&path, on_disk.marker.dimensions)?;
        let found = shard.count()?;
        Ok((shard, found))
    });
    let (shard, found) = loaded.map_err(|error| Rebuild::Damaged(chain(&error)))?;
    let generation = Generation { shard, folder: path, on_disk, retired: AtomicBool::new(false), _lock: lock };
    if found != expected {
        return Err(Rebuild::Count { found, expected });
    }
    Ok(generation)
}
