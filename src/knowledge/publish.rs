//! Documents become points, and points go into service: all at once, and only what changed is embedded.
//!
//! ```text
//! documents -> texts (question, aliases, lines, chunks) -> vectors (kept by content) -> statistics -> points -> index
//! ```
//! The store is written first: it is the truth. A crash before the index is swapped is mended at the next start,
//! which finds that the index's generation is not the store's.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{chunk, sentences, vectors::Vectors};
use crate::{
    error::{Error, Result},
    index::{Index, Point, Role, Vector, keywords::Frequencies, statistics::Statistics},
    model::{Embedder, Side},
    store::Store,
    words::{Document, Kind, Span},
};

/// Counts whenever the texts that documents become would come out differently: an older index is made anew.
const TEXTS_VERSION: u32 = 3;
/// Longest chunk in tokens; with title and prefix it stays far below e5's 512, and one idea fills it.
const CHUNK_TOKENS: usize = 256;
/// How often the question counts among a document's terms: it says what the document is about.
pub const TITLE_TIMES: usize = 3;
/// Texts embedded in one request: large enough to batch well, small enough to show progress.
const BATCH: usize = 64;
/// How long the owner of the index may take to put documents in service; it finds their texts embedded.
const OWNER_PATIENCE: Duration = Duration::from_secs(300);
/// Where the store keeps the statistics.
const SETTING: &str = "statistics";

/// What a publication did.
#[derive(Debug, Clone)]
pub struct Published {
    /// Names the state of the knowledge; the index's marker carries the same.
    pub generation: String,
    /// Every current document.
    pub documents: Vec<Document>,
    /// Every point, with the text it was made from: what a judge is fitted on.
    pub texts: Vec<(Point, String)>,
    /// Needed to ask the index a question.
    pub statistics: Statistics,
    /// Documents that are new or have changed.
    pub changed: usize,
    /// Documents that are gone.
    pub removed: Vec<Document>,
    /// Texts that had to be embedded.
    pub embedded: usize,
}

/// How far a publication is: texts embedded, texts to embed.
pub type OnProgress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// What documents are published with.
#[derive(Clone, Copy)]
pub struct Press<'a> {
    /// The truth.
    pub store: &'a Store,
    /// What is made from it.
    pub index: &'a Index,
    /// Without one, points are found by their terms only.
    pub embedder: Option<&'a Embedder>,
    /// Vectors of texts seen before.
    pub vectors: &'a Vectors,
    /// Told after each batch.
    pub on_progress: OnProgress<'a>,
}

impl Press<'_> {
    /// Makes `documents` the whole knowledge: what is not among them is removed.
    ///
    /// # Errors
    /// Where store, embedder or index fail; searches go on with the old state.
    pub async fn replace_all(&self, documents: Vec<Document>) -> Result<Published> {
        let current = self.store.documents().await?;
        let key = |document: &Document| (document.id.clone(), document.lang);
        let before: HashMap<_, _> =
            current.iter().map(|document| (key(document), content_of(&document.revision))).collect();
        let keys: std::collections::HashSet<_> = documents.iter().map(key).collect();
        // Before the store changes: where embedding fails nothing has happened, and whichever process builds the index
        // finds the vectors.
        let (_, embedded) = self.embed(&self.texts_of(&documents)).await?;
        let changed: Vec<Document> = documents
            .into_iter()
            .filter(|document| {
                before.get(&key(document)).is_none_or(|content| *content != content_of(&document.revision))
            })
            .collect();
        drop(before);
        let removed: Vec<Document> = current.into_iter().filter(|document| !keys.contains(&key(document))).collect();
        if !changed.is_empty() || !removed.is_empty() {
            self.store.publish(&changed, &removed.iter().map(key).collect::<Vec<_>>()).await?;
        }
        let mut published = self.rebuild().await?;
        (published.changed, published.removed) = (changed.len(), removed);
        published.embedded += embedded;
        Ok(published)
    }

    /// Makes the index anew from what the store holds. Where another process owns the index, that one does it, and this
    /// waits for it.
    ///
    /// # Errors
    /// Where store, embedder or index fail; searches go on with the old state.
    pub async fn rebuild(&self) -> Result<Published> {
        let started = Instant::now();
        loop {
            let (published, points) = self.prepare().await?;
            if self.index.is_ours() {
                self.index.rebuild(&published.generation, points).await?;
                let json = serde_json::to_string(&published.statistics);
                let json = json.map_err(Error::outside("writing the statistics"))?;
                self.store.set_setting(SETTING, Some(&json)).await?;
                return Ok(published);
            }
            if self.index.follow(&published.generation).await? {
                return Ok(published);
            }
            if started.elapsed() > OWNER_PATIENCE {
                let cause = "the process that owns the index has not put these documents in service; they are stored, its log \
                             says why";
                return Err(Error::Index { act: "following", cause: cause.into() });
            }
        }
    }

    /// Everything that the index is made from, and its points.
    async fn prepare(&self) -> Result<(Published, Vec<Point>)> {
        let (generation, documents) = current(self.store).await?;
        let texts = self.texts_of(&documents);
        let (vectors, embedded) = self.embed(&texts).await?;
        let statistics = statistics(&generation, &documents, &texts, &vectors);
        let points: Vec<(Point, String)> = texts
            .into_iter()
            .zip(vectors)
            .map(|(text, vector)| (point(&documents[text.document], &text, &vector, &statistics), text.text))
            .collect();
        let only_points = points.iter().map(|(point, _)| point.clone()).collect();
        let published =
            Published { generation, documents, texts: points, statistics, changed: 0, removed: Vec::new(), embedded };
        Ok((published, only_points))
    }

    fn texts_of(&self, documents: &[Document]) -> Vec<Text> {
        documents.iter().enumerate().flat_map(|(at, document)| self.texts(at, document)).collect()
    }

    /// A vector per text; those seen before are not embedded again.
    async fn embed(&self, texts: &[Text]) -> Result<(Vec<Vec<f32>>, usize)> {
        let Some(embedder) = self.embedder else { return Ok((vec![Vec::new(); texts.len()], 0)) };
        let mut known = self.vectors.load(&embedder.abilities().fingerprint, embedder.abilities().dims)?;
        let keys: Vec<_> = texts.iter().map(|text| Vectors::key(text.side(), &text.to_embed)).collect();
        let embedded = |at: &usize| texts[*at].role != Role::Whole;
        let mut missing: Vec<usize> =
            (0..texts.len()).filter(embedded).filter(|at| !known.contains_key(&keys[*at])).collect();
        missing.sort_by_key(|at| (keys[*at], *at));
        missing.dedup_by_key(|at| keys[*at]);
        // Texts of one length in one batch: padding is wasted work.
        missing.sort_by_key(|at| (texts[*at].side() == Side::Passage, texts[*at].to_embed.len()));
        let mut done = 0;
        (self.on_progress)(0, missing.len());
        for batch in missing.chunk_by(|a, b| texts[*a].side() == texts[*b].side()).flat_map(|run| run.chunks(BATCH)) {
            let side = texts[batch[0]].side();
            let vectors = embedder.embed(side, batch.iter().map(|at| texts[*at].to_embed.clone()).collect()).await?;
            self.vectors.append(&embedder.abilities().fingerprint, batch.iter().map(|at| keys[*at]).zip(&vectors))?;
            known.extend(batch.iter().map(|at| keys[*at]).zip(vectors));
            done += batch.len();
            (self.on_progress)(done, missing.len());
        }
        let vectors =
            (0..texts.len()).map(|at| if embedded(&at) { known[&keys[at]].clone() } else { Vec::new() }).collect();
        Ok((vectors, missing.len()))
    }

    fn texts(&self, at: usize, document: &Document) -> Vec<Text> {
        if document.kind == Kind::Card {
            return Vec::new(); // Cards are chosen by situation, never found by likeness.
        }
        let title = document.title.as_str();
        let text = |role, ordinal: usize, span, text: &str, to_embed: String| Text {
            document: at,
            role,
            ordinal: ordinal as u32,
            span,
            text: text.to_owned(),
            to_embed,
        };
        let mut texts = vec![text(Role::Question, 0, None, title, title.to_owned())];
        texts.extend(
            document
                .aliases
                .iter()
                .enumerate()
                .map(|(at, alias)| text(Role::Alias, at, None, alias.as_str(), alias.as_str().to_owned())),
        );
        let body = document.body.as_str();
        let lines = sentences::lines(body);
        texts.extend(lines.iter().enumerate().map(|(at, line)| {
            let plain = chunk::plain(line.of(body));
            text(Role::Line, at, Some(*line), &plain, plain.clone())
        }));
        let count = |text: &str| self.embedder.map_or(text.chars().count(), |embedder| embedder.count_tokens(text));
        texts.extend(chunk::chunk(body, &count, CHUNK_TOKENS).into_iter().enumerate().map(|(at, chunk)| {
            let plain = chunk::plain(&chunk.text);
            text(Role::Chunk, at, Some(chunk.span), &format!("{title}\n{plain}"), format!("{title}\n{plain}"))
        }));
        // Aliases stay out: they are what a judge without labels asks with.
        let whole = format!("{}{}", format!("{title}\n").repeat(TITLE_TIMES), chunk::plain(body));
        texts.push(text(Role::Whole, 0, None, &whole, String::new()));
        texts
    }
}

/// The statistics kept with the store; `None` when they are missing or of another shape.
///
/// # Errors
/// Where the store fails.
pub async fn statistics_of(store: &Store) -> Result<Option<Statistics>> {
    Ok(store.setting(SETTING).await?.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Names the state of the store's documents, as the index's marker does once it is made from them.
///
/// # Errors
/// Where the store fails.
pub async fn generation_of(store: &Store) -> Result<String> {
    Ok(format!("{}-v{TEXTS_VERSION}", store.generation().await?))
}

/// The documents and the name of their state: of one moment, also while another process publishes.
///
/// # Errors
/// Where the store fails.
pub async fn current(store: &Store) -> Result<(String, Vec<Document>)> {
    loop {
        let generation = generation_of(store).await?;
        let documents = store.documents().await?;
        if generation_of(store).await? == generation {
            return Ok((generation, documents));
        }
    }
}

/// One text of one document, on its way to become a point.
struct Text {
    document: usize,
    role: Role,
    ordinal: u32,
    span: Option<Span>,
    /// What keywords are taken from.
    text: String,
    /// What is embedded.
    to_embed: String,
}

impl Text {
    /// Questions, aliases and lines are compared with questions; a chunk is a passage.
    fn side(&self) -> Side {
        if self.role == Role::Chunk { Side::Passage } else { Side::Query }
    }

    /// The mean that it is centred by.
    fn which(&self) -> Vector {
        if self.role == Role::Chunk { Vector::Passage } else { Vector::Question }
    }
}

fn statistics(generation: &str, documents: &[Document], texts: &[Text], vectors: &[Vec<f32>]) -> Statistics {
    let mut by_document: BTreeMap<usize, Vec<(Role, &str)>> = BTreeMap::new();
    for text in texts {
        by_document.entry(text.document).or_default().push((text.role, text.text.as_str()));
    }
    let frequencies = Frequencies::of(by_document.into_iter().map(|(at, texts)| (documents[at].lang, texts)));
    let vectors = texts.iter().zip(vectors).filter(|(_, vector)| !vector.is_empty());
    let vectors = vectors.map(|(text, vector)| (documents[text.document].lang, text.which(), vector.as_slice()));
    Statistics::new(generation.to_owned(), frequencies, vectors)
}

fn point(document: &Document, text: &Text, vector: &[f32], statistics: &Statistics) -> Point {
    Point {
        document: document.id.clone(),
        revision: document.revision.clone(),
        lang: document.lang,
        kind: document.kind,
        audience: document.audience,
        tags: document.tags.clone(),
        product: document.product.clone(),
        valid_from: document.valid_from,
        valid_until: document.valid_until,
        role: text.role,
        ordinal: text.ordinal,
        span: text.span,
        vector: if vector.is_empty() { Vec::new() } else { statistics.centred(document.lang, text.which(), vector) },
        terms: statistics.frequencies.weigh_point(document.lang, text.role, &text.text),
    }
}

/// The content part of a revision: a document that says the same as before keeps its revision and its date.
fn content_of(revision: &str) -> &str {
    revision.split('-').next().unwrap_or(revision)
}

/// Short name of a set of documents, for certificates: the same documents in any order have the same one.
pub fn hash_of(documents: &[Document]) -> String {
    let mut names: Vec<String> = documents
        .iter()
        .map(|document| format!("{}/{}/{}", document.id, document.lang, content_of(&document.revision)))
        .collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}
