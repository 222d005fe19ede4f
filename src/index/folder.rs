//! Which files make the embedded index, and what is left of them after a crash?
//!
//! ```text
//! <folder>/lock            held while a process may write here
//! <folder>/marker.json     which points folder is in service, and what it was made from
//! <folder>/points-<uuid>/  one shard of the engine
//! <folder>/reader-<uuid>/  the private copy of a second process (for instance `ask` while `serve` runs)
//! ```
//!
//! The marker is the one thing that is ever replaced, by a rename: it names a whole shard or it names the one before.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Marker, Point, Rebuild};
use crate::error::{Error, Result};

const MARKER_FILE: &str = "marker.json";
/// Locked, never read.
pub const LOCK_FILE: &str = "lock";
const POINTS_PREFIX: &str = "points-";
const READER_PREFIX: &str = "reader-";
/// Space that a shard takes before its first point: log, id tracker, first chunk of each storage.
const EMPTY_SHARD_BYTES: u64 = 64 << 20;
/// The engine's own name for its log folder.
pub const LOG_FOLDER: &str = "wal";
/// The engine's own name for its settings, written in another order each time.
const ENGINE_SETTINGS: &str = "edge_config.json";

/// The marker file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnDisk {
    #[serde(flatten)]
    pub marker: Marker,
    /// Name of the points folder in service.
    pub points: String,
    /// Operations that the shard's segments have seen; later ones must be numbered above.
    pub operations: u64,
    /// [`digest`] of the points folder.
    pub digest: String,
}

/// What is in service, as the marker says it.
pub fn read_marker(folder: &Path) -> Result<OnDisk, Rebuild> {
    let text = match std::fs::read(folder.join(MARKER_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Rebuild::Missing),
        Err(error) => return Err(Rebuild::Damaged(format!("{MARKER_FILE}: {error}"))),
    };
    let on_disk: OnDisk =
        serde_json::from_slice(&text).map_err(|error| Rebuild::Damaged(format!("{MARKER_FILE}: {error}")))?;
    // The name becomes a path: only what we make ourselves is followed.
    if on_disk.points.strip_prefix(POINTS_PREFIX).is_none_or(|rest| Uuid::try_parse(rest).is_err()) {
        return Err(Rebuild::Damaged(format!("{MARKER_FILE}: no points folder is called `{}`", on_disk.points)));
    }
    Ok(on_disk)
}

/// Puts a points folder into service.
pub fn write_marker(folder: &Path, on_disk: &OnDisk) -> Result<()> {
    let (path, draft) = (folder.join(MARKER_FILE), folder.join("marker.json.new"));
    let text = serde_json::to_vec_pretty(on_disk).map_err(Error::index("marking"))?;
    let written = || {
        let mut file = File::create(&draft)?;
        std::io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all() // The rename itself.
    };
    written().map_err(Error::file("writing", &path))
}

/// A points folder that goes again unless it is kept.
pub struct New {
    pub name: String,
    pub path: PathBuf,
    kept: bool,
}

impl New {
    pub fn folder(parent: &Path) -> Result<New> {
        let name = format!("{POINTS_PREFIX}{}", Uuid::new_v4());
        let path = parent.join(&name);
        std::fs::create_dir(&path).map_err(Error::file("making the folder", &path))?;
        Ok(New { name, path, kept: false })
    }

    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// The exclusive lock on a file, or `None` when another holds it. It ends with the file handle, also on a crash.
pub fn take_lock(path: &Path) -> Result<Option<File>> {
    let file =
        File::options().create(true).truncate(false).write(true).open(path).map_err(Error::file("opening", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::file("locking", path)(error)),
    }
}

/// A new name for a reader's copy.
pub fn reader_name() -> String {
    format!("{READER_PREFIX}{}", Uuid::new_v4())
}

/// Removes what a crash left: points that no marker names, copies whose reader is gone.
pub fn sweep(folder: &Path) {
    let in_service = read_marker(folder).ok().map(|on_disk| on_disk.points);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let left_points = name.starts_with(POINTS_PREFIX) && Some(&name) != in_service.as_ref();
        let left_copy =
            name.starts_with(READER_PREFIX) && matches!(take_lock(&entry.path().join(LOCK_FILE)), Ok(Some(_)));
        if left_points || left_copy {
            remove(&entry.path());
        }
    }
}

/// Removes a folder; what cannot be removed is logged and swept at the next start.
pub fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "an old index folder could not be removed");
    }
}

/// Copies a shard without its log. Blocks of zeros become holes: the engine's files are mostly empty at first.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let entries = std::fs::read_dir(from).map_err(Error::file("reading the folder", from))?;
    for entry in entries {
        let entry = entry.map_err(Error::file("reading the folder", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == LOG_FOLDER || entry.file_name() == LOCK_FILE {
            continue;
        }
        if source.is_dir() {
            std::fs::create_dir(&target).map_err(Error::file("making the folder", &target))?;
            copy(&source, &target)?;
        } else {
            copy_file(&source, &target).map_err(Error::file("copying", &source))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    let mut target = File::create(to)?;
    let length = for_each_filled_block(from, |at, block| {
        target.seek(SeekFrom::Start(at))?;
        target.write_all(block)
    })?;
    target.set_len(length)?;
    target.sync_all()
}

/// Names, lengths and content of everything that searches read. The engine does not notice by itself when, say, a
/// storage file is gone: it starts an empty one, and a search would find less without a word.
pub fn digest(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for path in files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
        hash_file(&path, &mut hash).map_err(Error::file("reading", &path))?;
    }
    Ok(hex::encode(hash.finalize()))
}

fn hash_file(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read(path)?;
        // The engine writes its maps in another order each time it flushes.
        match serde_json::from_slice::<serde_json::Value>(&text) {
            Ok(value) => hash_json(&value, hash),
            Err(_) => hash.update(&text),
        }
        return Ok(());
    }
    let length = for_each_filled_block(path, |at, block| {
        hash.update(at.to_be_bytes());
        hash.update(block);
        Ok(())
    })?;
    hash.update(length.to_be_bytes());
    Ok(())
}

/// The same for the same content, in whatever order the keys stand.
fn hash_json(value: &serde_json::Value, hash: &mut Sha256) {
    match value {
        serde_json::Value::Object(fields) => {
            hash.update("{");
            for (key, value) in fields.iter().collect::<BTreeMap<_, _>>() {
                hash.update(format!("{key:?}:"));
                hash_json(value, hash);
            }
            hash.update("}");
        }
        serde_json::Value::Array(items) => {
            hash.update("[");
            for item in items {
                hash_json(item, hash);
                hash.update(",");
            }
            hash.update("]");
        }
        plain => hash.update(plain.to_string()),
    }
}

/// The files of a shard in order, but for its log, our lock and the engine's settings (which we hand in anew).
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("reading the folder", folder))? {
        let entry = entry.map_err(Error::file("reading the folder", folder))?;
        let name = entry.file_name();
        if name == LOG_FOLDER || name == LOCK_FILE || name == ENGINE_SETTINGS {
            continue;
        }
        if entry.path().is_dir() { found.extend(files(&entry.path())?) } else { found.push(entry.path()) }
    }
    found.sort();
    Ok(found)
}

/// Hands each block that is not all zeros to `visit`, with its place; returns the length of the file.
fn for_each_filled_block(
    path: &Path,
    mut visit: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    use std::io::Read;
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut source = File::open(path)?;
    let mut block = vec![0; ZEROS.len()];
    let mut at = 0;
    loop {
        // Whole blocks, wherever the system stops a read: the digest depends on where blocks begin.
        let mut filled = 0;
        while filled < block.len() {
            match source.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(at);
        }
        if block[..filled] != ZEROS[..filled] {
            visit(at, &block[..filled])?;
        }
        at += filled as u64;
    }
}

/// Bytes that a folder really takes on the disk, near enough.
pub fn size_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size_bytes(&entry.path()),
            Ok(data) => allocated_bytes(&data),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(unix)]
fn allocated_bytes(data: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(data) * 512
}

#[cfg(not(unix))]
fn allocated_bytes(data: &std::fs::Metadata) -> u64 {
    data.len()
}

/// What a build of these points takes at its peak: log, first segment and optimised segment side by side.
/// Measured with 100,000 points of 384 dimensions and 30 terms (see `bench`): the estimate is above it.
pub fn bytes_of(points: &[Point], dimensions: usize) -> u64 {
    let terms: usize = points.iter().map(|point| point.terms.len()).sum();
    EMPTY_SHARD_BYTES + (points.len() * (dimensions * 14 + 2_000) + terms * 40) as u64
}

/// A mapped file that grows on a full disk kills the process: refuse before that.
pub fn need_space(folder: &Path, bytes: u64) -> Result<()> {
    let free = fs4::available_space(folder).map_err(Error::file("asking for free space in", folder))?;
    if free < bytes {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let said = format!("{} MiB free, {} MiB needed", mib(free), mib(bytes));
        let cause = std::io::Error::new(std::io::ErrorKind::StorageFull, said);
        return Err(Error::file("building the index in", folder)(cause));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_with_its_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("inner")).unwrap();
        std::fs::create_dir_all(from.join(LOG_FOLDER)).unwrap();
        std::fs::create_dir(&to).unwrap();
        let mut content = vec![0; 300_000];
        content[150_000] = 7;
        std::fs::write(from.join("inner").join("chunk"), &content).unwrap();
        std::fs::write(from.join("empty"), []).unwrap();
        std::fs::write(from.join(LOG_FOLDER).join("open-1"), [1]).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::read(to.join("inner").join("chunk")).unwrap(), content);
        assert_eq!(std::fs::read(to.join("empty")).unwrap(), Vec::<u8>::new());
        assert!(!to.join(LOG_FOLDER).exists());
        assert!(size_bytes(&to) <= size_bytes(&from));
        assert_eq!(digest(&to).unwrap(), digest(&from).unwrap());
        std::fs::write(from.join("settings.json"), r#"{"a": [1, {"x": 2, "y": 3}], "b": 4}"#).unwrap();
        std::fs::write(to.join("settings.json"), r#"{"b": 4, "a": [1, {"y": 3, "x": 2}]}"#).unwrap();
        assert_eq!(digest(&to).unwrap(), digest(&from).unwrap());
        std::fs::write(to.join("settings.json"), r#"{"b": 4, "a": [1, {"y": 3, "x": 5}]}"#).unwrap();
        assert_ne!(digest(&to).unwrap(), digest(&from).unwrap());
        std::fs::remove_file(to.join("settings.json")).unwrap();
        std::fs::remove_file(from.join("settings.json")).unwrap();
        std::fs::write(to.join("empty"), [0]).unwrap();
        assert_ne!(digest(&to).unwrap(), digest(&from).unwrap());
    }

    #[test]
    fn a_build_that_cannot_fit_is_refused_before_it_starts() {
        let folder = tempfile::tempdir().unwrap();
        need_space(folder.path(), 1).unwrap();
        let error = need_space(folder.path(), u64::MAX).unwrap_err();
        let said = crate::error::chain(&error);
        assert!(said.contains("MiB free, ") && said.contains("MiB needed"), "{said}");
    }

    #[test]
    fn a_lock_is_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let held = take_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(take_lock(&path).unwrap().is_none());
        drop(held);
        assert!(take_lock(&path).unwrap().is_some());
    }
}
