//! Puts the rooms together: settings, store, models, index, knowledge, judge, bot. The only place where all meet.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Zoned;

use crate::{
    config::{self, IndexKind, Settings},
    error::{self, Error, Result},
    index::{Index, Opened, server, statistics::Statistics},
    knowledge::{
        publish::{self, Press, Published},
        read::Read,
        sample,
        vectors::Vectors,
    },
    model::{
        Embedder, Generator, decode::Sampling, embedder::LocalEmbedder, files::Models, generator::LocalGenerator,
        progress::Progress,
    },
    store::{Store, StoreOptions, Sync},
    turn::{Bot, Policy, guard::Guard, judge::Judge, phrases, shelf::Shelf},
    words::{Document, Lang},
};

/// The store's file in the data folder.
const DATABASE: &str = "deskhand.sqlite";
/// Context kept free for composed answers, in tokens.
const GENERATOR_TOKENS: usize = 4096;

/// Everything that a command works with.
pub struct Deskhand {
    /// What was set.
    pub settings: Settings,
    /// The data folder.
    pub data: PathBuf,
    /// What survives a restart.
    pub store: Store,
    /// What answers.
    pub bot: Bot,
    /// What the answers are made from, as points.
    pub index: Index,
    embedder: Option<Embedder>,
    named_judge: Option<Judge>,
    vectors: Vectors,
    progress: Progress,
}

/// How often a server looks for documents that another process has published.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// How long it waits when they could not be put in service: a full disk is not mended within seconds.
const WATCH_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What to open.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Load the generator although composed answers are off.
    pub generator: bool,
    /// Put the sample knowledge into an empty data folder.
    pub sample: bool,
    /// Show progress on stderr.
    pub progress: bool,
    /// Keep vectors beside the models instead of in the data folder: for data folders that live as long as a command.
    pub shared_vectors: bool,
}

impl Deskhand {
    /// Opens the data folder and everything on it; fetches models that are missing, builds an index that is stale.
    ///
    /// # Errors
    /// Whatever keeps a turn from being answered: settings, folder, store, weights, index.
    pub async fn open(data: &Path, settings: Settings, wanted: Wanted) -> Result<Self> {
        let named_judge = named_judge(&settings.judge.file)?;
        make_private(data)?;
        let progress = if wanted.progress { Progress::stderr() } else { Progress::silent() };
        let store = Store::open(&data.join(DATABASE), &store_options(&settings)).await?;
        let embedder = load_embedder(&settings, &progress).await?;
        if let Some(judge) = &named_judge {
            let fingerprint = fingerprint_of(embedder.as_ref());
            if !fits(judge, &fingerprint) {
                let found = format!("a judge for the weights {}", judge.fingerprint);
                return Err(judge_fault(&settings.judge.file, &found, &format!("one for {fingerprint}")));
            }
        }
        let generator = if settings.answer.composed || wanted.generator {
            Some(load_generator(&settings, &progress).await?)
        } else {
            None
        };
        let shared = Models::from_env()?.cache().join("vectors");
        let guard = match &embedder {
            // Beside the models: it follows from them and the examples alone, and every data folder has the same.
            Some(embedder) => {
                let bar = Bar::new(&progress, "learning to see danger, once on this machine");
                let guard = Guard::fit(embedder, Some(&shared), &|done, all| bar.show(done, all)).await?;
                bar.clear();
                guard
            }
            None => Guard::rules_only(),
        };
        let opened = open_index(data, &settings, embedder.as_ref()).await?;
        let vectors = if wanted.shared_vectors { shared } else { data.join("vectors") };
        let bot = Bot::new(store.clone(), embedder.clone(), generator, guard, policy(&settings));
        let deskhand = Deskhand {
            settings,
            data: data.to_owned(),
            store,
            bot,
            index: opened.index,
            embedder,
            named_judge,
            vectors: Vectors::at(vectors),
            progress,
        };
        deskhand.bring_up_to_date(opened.rebuild.map(|why| why.to_string()), wanted.sample).await?;
        Ok(deskhand)
    }

    /// Makes index, judge and shelf fit the store, whatever state they were left in.
    async fn bring_up_to_date(&self, rebuild: Option<String>, sample: bool) -> Result<()> {
        if self.store.generation().await? == 0 {
            if sample {
                let read = sample::read(Zoned::now().date());
                self.publish(read.documents).await?;
            }
            return Ok(());
        }
        let (generation, documents) = publish::current(&self.store).await?;
        let statistics =
            publish::statistics_of(&self.store).await?.filter(|statistics| statistics.generation == generation);
        let fits = self.index.marker().is_some_and(|marker| marker.generation == generation);
        match (rebuild, statistics) {
            (None, Some(statistics)) if fits => {
                self.put_on_shelf(generation, documents, statistics);
                Ok(())
            }
            (why, _) => {
                if let Some(why) = why {
                    self.progress.say(&format!("building the index: {why}"));
                }
                let bar = Bar::new(&self.progress, "reading documents");
                let published = self.press(&|done, all| bar.show(done, all)).rebuild().await?;
                bar.clear();
                self.take_over(published).await.map(|_| ())
            }
        }
    }

    /// Makes `documents` the whole knowledge, and puts it in service.
    ///
    /// # Errors
    /// Where store, embedder or index fail; the old knowledge stays in service.
    pub async fn publish(&self, documents: Vec<Document>) -> Result<Published> {
        let documents = with_default_cards(documents);
        let bar = Bar::new(&self.progress, "reading documents");
        let published = self.press(&|done, all| bar.show(done, all)).replace_all(documents).await?;
        bar.clear();
        self.take_over(published).await
    }

    /// Follows publications by other processes: never ends. A publication that fails leaves the old knowledge in service.
    pub async fn watch(&self) {
        let mut pause = WATCH_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            pause = WATCH_EVERY;
            let behind = match publish::generation_of(&self.store).await {
                Ok(generation) => {
                    self.bot.shelf().is_none_or(|shelf| shelf.generation != generation) && !generation.starts_with("0-")
                }
                Err(_) => false,
            };
            if behind && let Err(error) = self.bring_up_to_date(None, false).await {
                pause = WATCH_AFTER_FAILURE;
                let again_in_s = pause.as_secs();
                tracing::error!(again_in_s, "new documents could not be put in service: {}", error::chain(&error));
            }
        }
    }

    fn press<'a>(&'a self, on_progress: publish::OnProgress<'a>) -> Press<'a> {
        Press {
            store: &self.store,
            index: &self.index,
            embedder: self.embedder.as_ref(),
            vectors: &self.vectors,
            on_progress,
        }
    }

    async fn take_over(&self, published: Published) -> Result<Published> {
        self.put_on_shelf(published.generation.clone(), published.documents.clone(), published.statistics.clone());
        Ok(published)
    }

    fn put_on_shelf(&self, generation: String, documents: Vec<Document>, statistics: Statistics) {
        let shelf = Shelf::new(generation, documents, self.index.clone(), statistics, self.judge());
        self.bot.put_on_shelf(Some(Arc::new(shelf)));
    }

    /// The judge named in the settings, else the calibrated one in the data folder, else the shipped default. One in the data
    /// folder that was made for other weights is void.
    fn judge(&self) -> Judge {
        if let Some(judge) = &self.named_judge {
            return judge.clone();
        }
        let path = self.data.join("judge").join("calibrated.json");
        match std::fs::read_to_string(&path).map(|json| Judge::parse(&json)) {
            Ok(Ok(judge)) if fits(&judge, &self.fingerprint()) => return judge,
            Ok(Ok(_)) => tracing::warn!(path = %path.display(), "a judge made for other weights was passed over"),
            Ok(Err(error)) => tracing::warn!(path = %path.display(), "a judge file was passed over: {error}"),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            Err(cause) => tracing::warn!(path = %path.display(), "a judge file was passed over: {cause}"),
        }
        Judge::default()
    }

    /// The embedder's fingerprint, or `none`.
    pub fn fingerprint(&self) -> String {
        fingerprint_of(self.embedder.as_ref())
    }

    /// Closes what has files open.
    ///
    /// # Errors
    /// Where the index cannot be closed cleanly; the store is closed all the same.
    pub async fn close(&self) -> Result<()> {
        self.bot.put_on_shelf(None); // It holds the points.
        let closed = self.index.close().await;
        self.store.close().await;
        closed
    }
}

fn fingerprint_of(embedder: Option<&Embedder>) -> String {
    embedder.map_or("none".to_owned(), |embedder| embedder.abilities().fingerprint.clone())
}

/// Whether the judge was made for these weights, or for any.
fn fits(judge: &Judge, fingerprint: &str) -> bool {
    judge.fingerprint.is_empty() || judge.fingerprint == fingerprint
}

/// The judge that the maintainer named, if one: another in its place would answer by thresholds that nobody chose.
fn named_judge(path: &Path) -> Result<Option<Judge>> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let made = "a file made by `deskhand eval calibrate`";
    let json = std::fs::read_to_string(path).map_err(|cause| judge_fault(path, &cause.to_string(), made))?;
    Judge::parse(&json).map(Some).map_err(|error| match error {
        Error::Invalid { found, expected, .. } => judge_fault(path, &found, &expected),
        other => other,
    })
}

fn judge_fault(path: &Path, found: &str, expected: &str) -> Error {
    Error::Settings(vec![format!("  judge.file, {}: found {found}, expected {expected}", path.display())])
}

/// The store alone, for commands that need no model. Made only by commands that answer: here it must exist.
///
/// # Errors
/// [`Error::Invalid`] where the folder holds no store; where the store fails.
pub async fn open_store(data: &Path, settings: &Settings) -> Result<Store> {
    must_hold_a_store(data)?;
    Store::open(&data.join(DATABASE), &store_options(settings)).await
}

/// For commands that look at what is there: a mistyped folder is neither made nor closed to others.
///
/// # Errors
/// [`Error::Invalid`] where the folder holds no store.
pub fn must_hold_a_store(data: &Path) -> Result<()> {
    if data.join(DATABASE).exists() {
        return Ok(());
    }
    let found = if data.is_dir() {
        format!("no {DATABASE} in {}", data.display())
    } else {
        format!("no such folder as {}", data.display())
    };
    Err(Error::invalid("the data folder", found, "the folder that `serve` uses: name it with `--data DIR`"))
}

fn store_options(settings: &Settings) -> StoreOptions {
    let sync = match settings.store.sync {
        config::Sync::Normal => Sync::Normal,
        config::Sync::Full => Sync::Full,
    };
    StoreOptions { sync, busy_timeout: Duration::from_secs(10), contact_key: settings.store.key() }
}

/// The documents with the default card of every situation that has none of its own, so that a card can be cited.
fn with_default_cards(mut documents: Vec<Document>) -> Vec<Document> {
    for situation in phrases::situations() {
        for lang in Lang::ALL {
            let Some(card) = phrases::card(situation, lang) else { continue };
            if !documents.iter().any(|document| document.id == card.id && document.lang == lang) {
                documents.push(card.clone());
            }
        }
    }
    documents
}

/// What a read found wrong, for people: one line per fault.
pub fn faults(read: &Read) -> Vec<String> {
    read.faults.iter().map(|fault| fault.to_string()).collect()
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        limit_characters: settings.question.limit_characters,
        limit_messages: settings.question.limit_messages,
        limit_turns: settings.server.queue_limit,
        composed: settings.answer.composed,
        limit_answer_tokens: settings.answer.limit_tokens,
        case_lang: settings.desk.language.parse().ok(),
        hours: BTreeMap::from([(Lang::Zh, settings.desk.hours_zh.clone()), (Lang::En, settings.desk.hours_en.clone())]),
        product: Some(settings.knowledge.product.clone()),
    }
}

async fn load_embedder(settings: &Settings, progress: &Progress) -> Result<Option<Embedder>> {
    let name = settings.model.embedder.clone();
    if name == "none" {
        return Ok(None);
    }
    let (progress, queue) = (*progress, settings.model.queue_limit);
    blocking(move || Ok(Some(Embedder::start(Box::new(load(&name, &progress, LocalEmbedder::load)?), queue)?))).await
}

async fn load_generator(settings: &Settings, progress: &Progress) -> Result<Generator> {
    let (name, slots, progress) = (settings.model.generator.clone(), settings.answer.slots, *progress);
    blocking(move || {
        let model = load(&name, &progress, |path| LocalGenerator::load(path, GENERATOR_TOKENS, Sampling::Greedy))?;
        Generator::start(Box::new(model), slots)
    })
    .await
}

/// Fetches a model's file and loads it. One that was damaged without a trace in its size or time is fetched again once.
fn load<M>(name: &str, progress: &Progress, load: impl Fn(&Path) -> Result<M>) -> Result<M> {
    let models = Models::from_env()?;
    match load(&models.fetch(name, progress)?) {
        Err(Error::Weights { .. }) => load(&models.mend(name, progress)?),
        loaded => loaded,
    }
}

async fn open_index(data: &Path, settings: &Settings, embedder: Option<&Embedder>) -> Result<Opened> {
    let (dims, fingerprint) = match embedder {
        Some(embedder) => (embedder.abilities().dims, embedder.abilities().fingerprint.clone()),
        None => (384, "none".to_owned()),
    };
    match settings.index.kind {
        IndexKind::Embedded => {
            let folder = data.join("index");
            blocking(move || Index::open_embedded(&folder, dims, &fingerprint)).await
        }
        IndexKind::Server => {
            let address = server::Address {
                url: settings.index.url.clone(),
                api_key: Some(settings.index.api_key.reveal().to_owned()).filter(|key| !key.is_empty()),
                alias: settings.index.collection.clone(),
            };
            Index::connect(address, dims, &fingerprint).await
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped("starting up"))?
}

/// The data folder holds customers' words: nobody else on the machine reads it.
pub(super) fn make_private(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Error::named("making the data folder", folder)(cause),
        _ => Error::file("making the data folder", folder)(cause),
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, private).map_err(Error::file("closing to others the data folder", folder))?;
    }
    Ok(())
}

/// How far the embedding of many texts is, on stderr: a bar on a terminal, elsewhere a line that says what is done.
struct Bar {
    bar: ProgressBar,
    progress: Progress,
    what: &'static str,
    said: Once,
}

impl Bar {
    fn new(progress: &Progress, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(
            None,
            if progress.shown() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} texts, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what);
        Bar { bar, progress: *progress, what, said: Once::new() }
    }

    fn show(&self, done: usize, all: usize) {
        if self.bar.is_hidden() {
            self.said.call_once(|| self.progress.say(&format!("{}: {all} texts", self.what)));
        }
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
