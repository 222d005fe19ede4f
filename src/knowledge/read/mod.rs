//! What is in a maintainer's files? A folder or a file becomes documents; what cannot be read is named by file, line
//! and reason, and the rest goes in.
//!
//! One file per format. Each yields drafts, plain strings with a line; [`Reader`] checks them, masks them and gives
//! them a revision. Bodies keep their characters (no Unicode normalisation: offsets point into them); only line
//! endings and a byte order mark are evened out.

mod csv;

mod html;

mod json_lines;

mod markdown;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    safety::{Masked, mask_document},
    words::{Audience, Document, Kind, Lang, detect_lang},
};

/// A longer body is refused: nobody quotes from two million characters, and one such file would fill the index.
pub const BODY_LIMIT_BYTES: usize = 2 << 20;

/// A file above this is refused before it is read.
const FILE_LIMIT_BYTES: u64 = 256 << 20;

/// Titles and aliases are questions or headings; longer ones are a slipped quote or column.
const TITLE_LIMIT_CHARS: usize = 500;

const ID_LIMIT_CHARS: usize = 200;

/// What was found in a file or folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// The documents, in the order of the files.
    pub documents: Vec<Document>,
    /// What could not be read; it is not among the documents.
    pub faults: Vec<FileFault>,
    /// What a maintainer should look at although it went in, and files that were passed over.
    pub notes: Vec<FileFault>,
}

/// Something to say about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The file, or a folder.
    pub file: PathBuf,
    /// The line, from 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl std::fmt::Display for FileFault {
    /// `withdrawal.md:12: no `title``, as compilers print it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

/// Reads files, and every file of folders and their folders, sorted by name. `today` becomes part of each revision. An id
/// is there once in all of them; a file or folder that was named twice is read once.
///
/// Links that lead out of their folder are not followed. Fails only if one of the paths itself cannot be read.
pub fn read_paths(paths: &[impl AsRef<Path>], today: Date) -> Result<Read> {
    let mut reader = Reader::new(today);
    for path in paths.iter().map(AsRef::as_ref) {
        let root = path.canonicalize().map_err(Error::named("the documents", path))?;
        if root.is_dir() {
            std::fs::read_dir(path).map_err(Error::named("the documents", path))?;
            reader.folder(path, &root);
        } else {
            std::fs::File::open(path).map_err(Error::named("the documents", path))?;
            reader.file(path, path);
        }
        reader.earlier.append(&mut reader.files);
    }
    Ok(reader.read)
}

/// Reads files that are in memory, for instance the sample knowledge in the binary: names with their contents.
pub fn read_files(files: &[(&str, &str)], today: Date) -> Read {
    let mut reader = Reader::new(today);
    for (name, contents) in files {
        reader.contents(Path::new(name), name, contents.as_bytes().to_vec());
    }
    reader.read
}

/// First 8 hexadecimal digits of the SHA-256 over everything that a reader of the document could see, then the day.
/// Two documents with the same part before the first `-` look the same.
pub fn revision(document: &Document, today: Date) -> String {
    let visible = serde_json::json!([
        document.lang,
        document.kind,
        document.audience,
        document.title,
        document.aliases,
        document.body,
        document.tags,
        document.product,
        document.valid_from,
        document.valid_until,
    ]);
    let digest = Sha256::digest(visible.to_string().as_bytes());
    format!("{}-{today}", &hex::encode(digest)[..8])
}

/// One document as a format found it, before any check.
#[derive(Debug, Clone, Default)]
struct Draft {
    /// Where it starts, from 1.
    line: usize,
    id: Option<String>,
    lang: Option<String>,
    kind: Option<String>,
    audience: Option<String>,
    title: Option<String>,
    aliases: Vec<String>,
    tags: Vec<String>,
    product: Option<String>,
    valid_from: Option<String>,
    valid_until: Option<String>,
    /// A URL or place that the file itself names.
    source: Option<String>,
    body: String,
}

/// What a format found in one file.
#[derive(Debug, Default)]
struct Found {
    drafts: Vec<Draft>,
    /// Line and reason.
    faults: Vec<(Option<usize>, String)>,
    notes: Vec<(Option<usize>, String)>,
}

/// Collects documents over several files, so that an id can be there only once.
struct Reader {
    today: Date,
    places: BTreeMap<(String, Lang), String>,
    /// Folders walked, by their real paths.
    walked: BTreeSet<PathBuf>,
    /// Files read on the way from the path at hand, and from the paths before it. Inside one folder a link gives a file
    /// another name, which may name another document.
    files: BTreeSet<PathBuf>,
    earlier: BTreeSet<PathBuf>,
    read: Read,
}

impl Reader {
    fn new(today: Date) -> Self {
        Reader {
            today,
            places: BTreeMap::new(),
            walked: BTreeSet::new(),
            files: BTreeSet::new(),
            earlier: BTreeSet::new(),
            read: Read::default(),
        }
    }

    fn fault(&mut self, file: &Path, line: Option<usize>, reason: impl Into<String>) {
        self.read.faults.push(FileFault { file: file.to_owned(), line, reason: reason.into() });
    }

    fn note(&mut self, file: &Path, line: Option<usize>, reason: impl Into<String>) {
        self.read.notes.push(FileFault { file: file.to_owned(), line, reason: reason.into() });
    }

    fn folder(&mut self, folder: &Path, root: &Path) {
        let real = match folder.canonicalize() {
            Ok(real) => real,
            Err(cause) => return self.fault(folder, None, format!("cannot be read: {cause}")),
        };
        // Links can make a folder its own grandchild.
        if !self.walked.insert(real) {
            return self.note(folder, None, "passed over: this folder was read already");
        }
        let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(cause) => return self.fault(folder, None, format!("cannot be read: {cause}")),
        };
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            match path.canonicalize() {
                Err(cause) => self.fault(&path, None, format!("cannot be read: {cause}")),
                Ok(real) if !real.starts_with(root) => {
                    self.fault(&path, None, "not read: this link leads out of the folder; copy the file into it");
                }
                Ok(real) if real.is_dir() => self.folder(&path, root),
                Ok(real) if real.is_file() => {
                    let name = path.to_string_lossy().into_owned();
                    let inside = path.strip_prefix(root).map(|path| path.to_string_lossy().into_owned());
                    self.file(&path, Path::new(&inside.unwrap_or(name)));
                }
                Ok(_) => self.note(&path, None, "passed over: neither a file nor a folder"),
            }
        }
    }

    fn file(&mut self, path: &Path, name: &Path) {
        if format_of(path).is_none() {
            return self.note(path, None, "passed over: not .md, .txt, .jsonl, .csv or .html");
        }
        if let Ok(real) = path.canonicalize() {
            if self.earlier.contains(&real) {
                return self.note(path, None, "passed over: this file was read already");
            }
            self.files.insert(real);
        }
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if size > FILE_LIMIT_BYTES {
            let reason = format!("the file has {size} bytes, the limit is {FILE_LIMIT_BYTES}: split it");
            return self.fault(path, None, reason);
        }
        match std::fs::read(path) {
            Ok(contents) => self.contents(path, &name.to_string_lossy(), contents),
            Err(cause) => self.fault(path, None, format!("cannot be read: {cause}")),
        }
    }

    /// Reads one file's `contents`; `name` is what the documents give as their source.
    fn contents(&mut self, path: &Path, name: &str, contents: Vec<u8>) {
        let Some(format) = format_of(path) else { return };
        let contents = match contents.as_slice() {
            [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return self.fault(path, None, "this is UTF-16: save the file as UTF-8");
            }
            all => all,
        };
        let stem = Stem::of(path);
        let found = match format {
            // Line by line: one bad line spoils no other.
            Format::JsonLines => json_lines::read(contents),
            Format::Csv => csv::read(contents, &stem.id),
            Format::Markdown | Format::Html => match text_of(contents) {
                Ok(text) if format == Format::Html => html::read(&text),
                Ok(text) => markdown::read(&text),
                Err((line, reason)) => return self.fault(path, Some(line), reason),
            },
        };
        for (line, reason) in found.faults {
            self.fault(path, line, reason);
        }
        for (line, reason) in found.notes {
            self.note(path, line, reason);
        }
        if found.drafts.is_empty() && self.read.faults.last().is_none_or(|fault| fault.file != path) {
            self.note(path, None, "nothing in it");
        }
        for draft in found.drafts {
            let line = draft.line;
            if let Err(reason) = self.take(draft, path, name, &stem) {
                self.fault(path, Some(line), reason);
            }
        }
    }

    /// Checks a draft and makes it a document.
    fn take(&mut self, draft: Draft, path: &Path, name: &str, stem: &Stem) -> std::result::Result<(), String> {
        let line = draft.line;
        let (document, notes) = finish(draft, name, stem, self.today)?;
        let key = (document.id.clone(), document.lang);
        if let Some(earlier) = self.places.get(&key) {
            return Err(format!(
                "`{}` ({}) is there already: {earlier}; ids must be unique",
                document.id, document.lang
            ));
        }
        for note in notes {
            self.note(path, Some(line), note);
        }
        self.places.insert(key, format!("{}:{line}", path.display()));
        self.read.documents.push(document);
        Ok(())
    }
}

/// What a file's name says: `refund.zh.md` is the document `refund` in Chinese, should the file not say otherwise.
struct Stem {
    id: String,
    lang: Option<Lang>,
}

impl Stem {
    fn of(path: &Path) -> Self {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (id, lang) = match stem.rsplit_once('.').map(|(id, tag)| (id, tag.parse::<Lang>())) {
            Some((id, Ok(lang))) => (id.to_owned(), Some(lang)),
            _ => (stem, None),
        };
        Stem { id: id.split_whitespace().collect::<Vec<_>>().join("-"), lang }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    JsonLines,
    Csv,
    Html,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_string_lossy().to_ascii_lowercase().as_str() {
        "md" | "markdown" | "txt" => Some(Format::Markdown),
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "csv" => Some(Format::Csv),
        "html" | "htm" => Some(Format::Html),
        _ => None,
    }
}

/// The text with `\n` line endings, or the line and reason why it is none.
fn text_of(bytes: &[u8]) -> std::result::Result<String, (usize, String)> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(even_line_endings(text)),
        Err(cause) => {
            let at = cause.valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            Err((line, invalid_utf8(at)))
        }
    }
}

fn invalid_utf8(byte: usize) -> String {
    format!("invalid UTF-8 at byte {byte}: save the file as UTF-8")
}

fn even_line_endings(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Makes a document of a draft, or says what is wrong with it; also what its maintainer should look at.
fn finish(draft: Draft, name: &str, stem: &Stem, today: Date) -> std::result::Result<(Document, Vec<String>), String> {
    let id = draft.id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).unwrap_or_else(|| stem.id.clone());
    if id.chars().count() > ID_LIMIT_CHARS || id.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("the id `{}` has white space or more than {ID_LIMIT_CHARS} characters", shortened(&id)));
    }
    if draft.body.len() > BODY_LIMIT_BYTES {
        let size = draft.body.len();
        return Err(format!("`{id}` has {size} bytes, the limit for one document is {BODY_LIMIT_BYTES}: split it"));
    }
    let body = draft.body.trim();
    if body.is_empty() {
        return Err(format!("`{id}` has no text"));
    }
    if body.contains('\0') {
        return Err(format!("`{id}` has a NUL character: is it a binary file?"));
    }
    let title = draft.title.map(|title| one_line(&title)).filter(|title| !title.is_empty());
    let title = title.ok_or_else(|| format!("`{id}` has no `title`"))?;
    let aliases: Vec<String> =
        draft.aliases.iter().map(|alias| one_line(alias)).filter(|alias| !alias.is_empty()).collect();
    if let Some(long) = aliases.iter().chain([&title]).find(|text| text.chars().count() > TITLE_LIMIT_CHARS) {
        return Err(format!(
            "`{id}`: a title or alias has more than {TITLE_LIMIT_CHARS} characters: {}",
            shortened(long)
        ));
    }

    let lang = match draft.lang.as_deref().map(str::trim).filter(|tag| !tag.is_empty()) {
        Some(tag) => tag.parse().map_err(|error: Error| format!("`{id}`: {error}"))?,
        None => stem.lang.or_else(|| detect_lang(&format!("{title}\n{body}"))).ok_or_else(|| {
            format!("`{id}`: its language could not be told to be Chinese or English; add `lang: zh` or `lang: en`")
        })?,
    };
    let kind: Kind = word(&id, draft.kind)?.unwrap_or_default();
    // How a past case was solved is for agents unless the maintainer says otherwise.
    let by_kind = if kind == Kind::Resolution { Audience::Agent } else { Audience::Customer };
    let audience = word(&id, draft.audience)?.unwrap_or(by_kind);
    let (valid_from, valid_until) = (day(&id, draft.valid_from)?, day(&id, draft.valid_until)?);
    if let (Some(from), Some(until)) = (valid_from, valid_until)
        && from > until
    {
        return Err(format!("`{id}` is valid from {from} until {until}, which is no day at all"));
    }
    let mut notes = Vec::new();
    let mut approved = |text: &str| -> Masked {
        let masked = mask_document(text);
        if masked.as_str() != text {
            notes.push(format!("`{id}`: something that looks like a secret was masked"));
        }
        masked
    };
    let mut document = Document {
        revision: String::new(),
        lang,
        kind,
        audience,
        title: approved(&title),
        aliases: aliases.iter().map(|alias| approved(alias)).collect(),
        body: approved(body),
        tags: draft.tags.iter().map(|tag| one_line(tag)).filter(|tag| !tag.is_empty()).collect(),
        product: draft.product.map(|product| one_line(&product)).filter(|product| !product.is_empty()),
        valid_from,
        valid_until,
        source: Some(draft.source.unwrap_or_else(|| format!("{name}:{}", draft.line))),
        id,
    };
    document.revision = revision(&document, today);
    notes.dedup();
    Ok((document, notes))
}

fn word<T: std::str::FromStr<Err = Error>>(id: &str, text: Option<String>) -> std::result::Result<Option<T>, String> {
    let text = text.map(|text| text.trim().to_ascii_lowercase()).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|error| format!("`{id}`: {error}"))).transpose()
}

fn day(id: &str, text: Option<String>) -> std::result::Result<Option<Date>, String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| format!("`{id}`: `{}` is no day such as 2026-11-22", shortened(&text))))
        .transpose()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
