//! Where are the weights? Manifest -> cache -> sources in order; size and SHA-256 checked; progress shown.
//!
//! The cache holds one folder per model: `<file>` once it is whole (it arrives by rename, so a reader never
//! sees half of it), `receipt.json` with what was checked, `parts/` while something is under way, and `lock`,
//! which one process holds while it fetches. `by-hand/` in the cache is the first source of every model:
//! who has no network puts the file there. `manifests/*.toml` adds or replaces manifests.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use super::{
    import,
    manifest::{self, Format, Manifest, Origin, Role},
    progress::Progress,
    sources::{self, Job},
};
use crate::error::{Error, Result};

/// The model cache and every manifest.
#[derive(Debug)]
pub struct Models {
    cache: PathBuf,
    manifests: Vec<Manifest>,
    pythons: Vec<String>,
    free_bytes: fn(&Path) -> std::io::Result<u64>,
}

/// One line of `deskhand models list`.
#[derive(Debug, Clone, Serialize)]
pub struct ModelStatus {
    /// The manifest's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// For people.
    pub title: String,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// How far it is.
    pub state: ModelState,
    /// Size of the download, where the manifest knows it.
    pub size_bytes: Option<u64>,
    /// Where the file is or will be.
    pub path: PathBuf,
    /// Where it can be had, in the order tried.
    pub sources: Vec<String>,
}

/// How far a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// In the cache, checked when it arrived.
    Ready,
    /// A download was cut; the next one goes on from it.
    Partial,
    /// Not in the cache.
    Absent,
    /// In the cache, but not as it was when it arrived.
    Changed,
}

/// What was checked when a model arrived. Size and time unchanged: the hash need not be taken again at each start.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    sha256: String,
    size_bytes: u64,
    modified_ns: u64,
    source: String,
    source_sha256: String,
    import_version: u32,
}

impl Models {
    /// The cache that `DESKHAND_MODELS` names, or the one in the user's cache folder.
    pub fn from_env() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = set("DESKHAND_MODELS")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("deskhand/models")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache/deskhand/models")))
            .ok_or_else(|| Error::invalid("the model cache", "no HOME", "DESKHAND_MODELS set to a folder"))?;
        Models::at(cache)
    }

    /// The cache in this folder. Nothing is created before something is fetched.
    pub fn at(cache: impl Into<PathBuf>) -> Result<Self> {
        let cache = cache.into();
        let manifests = manifest::all(Some(&cache.join("manifests")))?;
        Ok(Models {
            cache,
            manifests,
            pythons: vec!["python3".into(), "python".into()],
            free_bytes: |folder| fs4::available_space(folder),
        })
    }

    /// The cache folder.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The manifest of `name`.
    pub fn manifest(&self, name: &str) -> Result<&Manifest> {
        self.manifests
            .iter()
            .find(|manifest| manifest.name == name)
            .ok_or_else(|| Error::NotFound { what: "model", id: name.to_owned() })
    }

    /// Every model and how far it is. Looks at sizes and times only; [`Models::verify`] reads the bytes.
    pub fn list(&self) -> Vec<ModelStatus> {
        self.manifests
            .iter()
            .map(|manifest| {
                let path = self.path(manifest);
                let state = match (path.is_file(), self.receipt(manifest)) {
                    (true, Some(receipt)) if receipt.matches(&path) => ModelState::Ready,
                    (true, _) => ModelState::Changed,
                    (false, _) if self.folder(manifest).join("parts").is_dir() => ModelState::Partial,
                    (false, _) => ModelState::Absent,
                };
                ModelStatus {
                    name: manifest.name.clone(),
                    role: manifest.role,
                    title: manifest.title.clone(),
                    licence: manifest.licence.clone(),
                    state,
                    size_bytes: manifest.size_bytes(),
                    path,
                    sources: manifest.sources.iter().map(|source| source.describe()).collect(),
                }
            })
            .collect()
    }

    /// The file of a model that is here already; no network, no waiting.
    pub fn cached(&self, name: &str) -> Result<Option<PathBuf>> {
        self.ready(self.manifest(name)?)
    }

    /// The file of a model, fetched, checked and imported if it is not here yet.
    ///
    /// Several processes may call this at once: one fetches, the others wait for it.
    pub fn fetch(&self, name: &str, progress: &Progress) -> Result<PathBuf> {
        let manifest = self.manifest(name)?;
        if let Some(path) = self.ready(manifest)? {
            return Ok(path);
        }
        let folder = self.folder(manifest);
        std::fs::create_dir_all(&folder).map_err(Error::file("creating", &folder))?;
        let _lock = lock(&folder.join("lock"), &manifest.name, progress)?;
        if let Some(path) = self.ready(manifest)? {
            return Ok(path); // Another process has brought it while we waited.
        }
        self.fetch_locked(manifest, progress)
    }

    /// Reads every byte of a cached model and compares it with its receipt. Says what it is; a file that
    /// differs is an error that names both sums and the way out.
    pub fn verify(&self, name: &str) -> Result<PathBuf> {
        let manifest = self.manifest(name)?;
        let path = self.path(manifest);
        let Some(receipt) = self.receipt(manifest).filter(|_| path.is_file()) else {
            return Err(weights(manifest, format!("not in the cache; run `deskhand models fetch {name}`")));
        };
        let found = sources::sha256_of(&path)?;
        if found != receipt.sha256 {
            return Err(weights(
                manifest,
                format!(
                    "{} has sha256 {found}, expected {}; delete it and run `deskhand models fetch {name}`",
                    path.display(),
                    receipt.sha256
                ),
            ));
        }
        Ok(path)
    }

    /// For a file that cannot be used although it looks as it did when it arrived: reads every byte, and fetches it
    /// again where they differ.
    ///
    /// # Errors
    /// As [`Models::fetch`].
    pub fn mend(&self, name: &str, progress: &Progress) -> Result<PathBuf> {
        let manifest = self.manifest(name)?;
        let folder = self.folder(manifest);
        let _lock = lock(&folder.join("lock"), &manifest.name, progress)?;
        match self.verify(name) {
            Ok(path) => Ok(path), // Sound: another process has mended it, or the fault is not in the file.
            Err(_) => self.fetch_locked(manifest, progress),
        }
    }

    fn fetch_locked(&self, manifest: &Manifest, progress: &Progress) -> Result<PathBuf> {
        let (path, parts) = (self.path(manifest), self.folder(manifest).join("parts"));
        // It stays until another one is whole: without a source, a file that nobody can vouch for is better than none.
        let unsound = path.is_file().then(|| format!("{} is not as it was when it arrived", path.display()));
        if let Some(unsound) = &unsound {
            progress.say(&format!("{unsound}; fetching it again"));
        }
        std::fs::create_dir_all(&parts).map_err(Error::file("creating", &parts))?;
        let job = Job {
            manifest,
            cache: &self.cache,
            parts: &parts,
            pythons: &self.pythons,
            free_bytes: self.free_bytes,
            progress,
        };
        let mut faults = Vec::new();
        let mut cause = None;
        for source in &manifest.sources {
            if !matches!(source.origin(), Origin::Folder(_)) {
                progress.say(&format!("fetching {} from {}", manifest.name, source.describe()));
            }
            let outcome = sources::get(&job, source).and_then(|fetched| {
                let arriving = parts.join("whole");
                match source.format {
                    Format::Gguf if fetched.foreign => {
                        // A link costs no space; another disk, or a disk without links, takes a copy.
                        let _ = std::fs::remove_file(&arriving); // From a cut attempt, or not there.
                        if std::fs::hard_link(&fetched.path, &arriving).is_err() {
                            sources::check_space(&job, source.size_bytes.unwrap_or(0))?;
                            std::fs::copy(&fetched.path, &arriving).map_err(Error::file("copying", &fetched.path))?;
                        }
                    }
                    Format::Gguf => {
                        std::fs::rename(&fetched.path, &arriving).map_err(Error::file("moving", &fetched.path))?;
                    }
                    Format::E5s1 => {
                        progress.say(&format!("importing {}", source.file));
                        sources::check_space(&job, source.size_bytes.unwrap_or(0))?;
                        import::e5s1_to_gguf(manifest, &fetched.path, &fetched.sha256, &arriving)?;
                    }
                }
                Ok((arriving, fetched))
            });
            match outcome {
                Ok((arriving, fetched)) => {
                    let sha256 = match source.format {
                        Format::Gguf => fetched.sha256.clone(),
                        Format::E5s1 => sources::sha256_of(&arriving)?,
                    };
                    File::open(&arriving)
                        .and_then(|file| file.sync_all())
                        .map_err(Error::file("writing", &arriving))?;
                    let receipt = Receipt::of(&arriving, sha256, source.describe(), fetched.sha256)?;
                    std::fs::rename(&arriving, &path).map_err(Error::file("moving", &arriving))?;
                    self.write_receipt(manifest, &receipt)?;
                    std::fs::remove_dir_all(&parts).map_err(Error::file("removing", &parts))?;
                    return Ok(path);
                }
                Err(sources::Failed(text, from)) => {
                    faults.push(format!("{}: {text}", source.describe()));
                    cause = cause.or(from.filter(|_| !matches!(source.origin(), Origin::Folder(_))));
                }
            }
        }
        let _ = std::fs::remove_dir(&parts); // Stays if something worth keeping is in it.
        let wanted: Vec<String> = manifest.sources.iter().map(|source| source.expectation()).collect();
        let mut wanted_once = wanted.clone();
        wanted_once.dedup();
        Err(Error::Weights {
            model: manifest.name.clone(),
            problem: format!(
                "could not be fetched\n  {}\n  by hand: put the file into {}\n  expected: {}",
                unsound.into_iter().chain(faults).collect::<Vec<_>>().join("\n  "),
                self.cache.join("by-hand").display(),
                wanted_once.join(", or ")
            ),
            cause,
        })
    }

    /// The finished file, if it is as it was when it arrived.
    fn ready(&self, manifest: &Manifest) -> Result<Option<PathBuf>> {
        let path = self.path(manifest);
        let Some(receipt) = self.receipt(manifest).filter(|_| path.is_file()) else {
            return Ok(None);
        };
        if receipt.is_outdated(manifest) {
            return Ok(None);
        }
        if receipt.matches(&path) {
            return Ok(Some(path));
        }
        // Touched or copied: the bytes decide.
        if sources::sha256_of(&path)? != receipt.sha256 {
            return Ok(None);
        }
        let renewed = Receipt::of(&path, receipt.sha256, receipt.source, receipt.source_sha256)?;
        let _ = self.write_receipt(manifest, &renewed); // Only saves the next hash; the cache may be read-only.
        Ok(Some(path))
    }

    fn folder(&self, manifest: &Manifest) -> PathBuf {
        self.cache.join(&manifest.name)
    }

    fn path(&self, manifest: &Manifest) -> PathBuf {
        self.folder(manifest).join(&manifest.file)
    }

    fn receipt(&self, manifest: &Manifest) -> Option<Receipt> {
        let text = std::fs::read(self.folder(manifest).join("receipt.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write_receipt(&self, manifest: &Manifest, receipt: &Receipt) -> Result<()> {
        let path = self.folder(manifest).join("receipt.json");
        let arriving = path.with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::to_vec_pretty(receipt).map_err(Error::outside("writing a receipt"))?;
        std::fs::write(&arriving, text).map_err(Error::file("writing", &arriving))?;
        std::fs::rename(&arriving, &path).map_err(Error::file("moving", &arriving))
    }
}

impl Receipt {
    fn of(path: &Path, sha256: String, source: String, source_sha256: String) -> Result<Self> {
        let (size_bytes, modified_ns) = stamp(path).map_err(Error::file("reading", path))?;
        Ok(Receipt { sha256, size_bytes, modified_ns, source, source_sha256, import_version: import::VERSION })
    }

    fn matches(&self, path: &Path) -> bool {
        stamp(path).is_ok_and(|stamp| stamp == (self.size_bytes, self.modified_ns))
    }

    /// An import that we would do differently today is done again; so is a model whose manifest now wants other bytes.
    fn is_outdated(&self, manifest: &Manifest) -> bool {
        let imported = manifest.sources.iter().any(|source| source.format != Format::Gguf);
        let pinned: Vec<&String> = manifest.sources.iter().filter_map(|source| source.sha256.as_ref()).collect();
        (imported && self.import_version != import::VERSION)
            || (!pinned.is_empty() && !pinned.contains(&&self.source_sha256))
    }
}

fn stamp(path: &Path) -> std::io::Result<(u64, u64)> {
    let meta = std::fs::metadata(path)?;
    let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((meta.len(), modified.as_nanos() as u64))
}

/// Taken by the operating system, so a process that dies lets go of it.
fn lock(path: &Path, model: &str, progress: &Progress) -> Result<File> {
    let file = File::create(path).map_err(Error::file("creating", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.say(&format!("another process is fetching {model}; waiting for it"));
            file.lock().map_err(Error::file("locking", path))?;
        }
        Err(TryLockError::Error(cause)) => return Err(Error::file("locking", path)(cause)),
    }
    Ok(file)
}

fn weights(manifest: &Manifest, problem: String) -> Error {
    Error::Weights { model: manifest.name.clone(), problem, cause: None }
}

#[cfg(test)]
#[path = "files_test.rs"]
mod tests;
