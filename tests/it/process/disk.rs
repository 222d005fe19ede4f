//! A data folder that cannot be written, and a disk that fills up under the running server.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Place, Process, QUESTIONS, check_history, is_waiting, run, said};

/// A small disk of the test's own, for as long as the test runs.
struct Disk(PathBuf);

impl Disk {
    /// `None`, said loudly, where this user may not mount one.
    fn mount(path: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Disk(path));
        }
        println!("NOT TESTED: a disk of one's own; mounting one needs root");
        None
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Takes some bytes back from the filler.
    fn leave(&self, room_bytes: u64) {
        let file = File::options().write(true).open(self.filler()).unwrap();
        file.set_len(file.metadata().unwrap().len() - room_bytes).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_all_is_well_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("disk"), "size=160m") else { return };
    let data = disk.0.join("data");
    let place = Place::at(folder, data);
    let mut process = Process::start(&place);
    process.check_answers();
    let conversations: Vec<String> = (0..40).map(|_| process.conversation()).collect();
    disk.fill();

    // The log of the database may have some room left; then nothing more is accepted, and nothing of it is there.
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for conversation in &conversations {
        let answer = process.say(conversation, &json!({ "text": QUESTIONS[3].0 }));
        if answer.status == 202 {
            accepted.push(conversation);
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (500, "internal"), "{}", answer.text);
            assert!(answer.json()["error"]["id"].is_string(), "{}", answer.text);
            refused.push(conversation);
        }
    }
    println!("on the full disk {} messages fitted, {} were refused", accepted.len(), refused.len());
    assert!(!refused.is_empty());
    assert!(process.log().contains("deskhand.sqlite: the disk is full"), "{}", process.log());
    assert_eq!(process.ready(), (503, vec!["the store cannot be written".to_owned()]));
    assert_eq!(process.get("/healthz").status, 200);
    for conversation in &refused {
        assert_eq!(process.history(conversation)["messages"], json!([]));
    }

    disk.make_room();
    assert_eq!(process.ready(), (200, vec![]));
    let said_once = BTreeMap::from([(1, ("".to_owned(), QUESTIONS[3].0.to_owned()))]);
    for conversation in &refused {
        assert_eq!(process.say(conversation, &json!({ "text": QUESTIONS[3].0 })).status, 202);
    }
    // What was accepted before waits for its reply without a restart.
    for conversation in &conversations {
        check_history(&process.replied(conversation), &said_once, "after the disk was full");
    }

    disk.fill();
    let (code, took) = process.stop();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(!process.log().contains("stack backtrace") && !process.log().contains("panicked"), "{}", process.log());
    let started = run(&place.data, &["serve", "--port", "0"], &[]);
    let why = said(&started);
    assert_eq!(started.status.code(), Some(1), "{why}");
    assert!(why.contains("MiB free") || why.contains("disk is full"), "{why}");
    assert!(why.contains("hint: make room on that disk"), "{why}");
    disk.make_room();
    let process = Process::start(&place);
    for conversation in &conversations {
        check_history(&process.history(conversation), &said_once, "after the restart");
    }
    process.check_answers();
}

#[test]
fn a_disk_that_fills_between_question_and_reply_only_delays_the_reply() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("disk"), "size=160m") else { return };
    let data = disk.0.join("data");
    let place = Place::at(folder, data);
    let process = Process::start(&place);
    process.check_answers();
    let conversations: Vec<String> = (0..60).map(|_| process.conversation()).collect();
    // A little room is left: some questions still fit, not all of the replies do.
    disk.fill();
    disk.leave(256 << 10);
    let accepted: Vec<&String> = conversations
        .iter()
        .filter(|conversation| process.say(conversation, &json!({ "text": QUESTIONS[3].0 })).status == 202)
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let open = accepted.iter().filter(|conversation| is_waiting(&process.history(conversation))).count();
    println!("{} questions were accepted, {open} of them wait for room", accepted.len());
    assert!(open > 0 && open < 60, "{open} of {} prove nothing", accepted.len());
    disk.make_room();
    let room = Instant::now();
    for conversation in accepted {
        process.replied(conversation);
    }
    println!("all answered {:.1} s after there was room", room.elapsed().as_secs_f64());
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let check = |code: i32, data: &Path, parts: &[&str]| {
        let refused = run(data, &["serve", "--port", "0"], &[]);
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        for part in parts.iter().copied().chain([&*data.to_string_lossy()]) {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    };
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    check(2, &file, &["making the data folder"]);
    check(2, &file.join("data"), &["making the data folder", "Not a directory"]);

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("deskhand.sqlite"), "a letter to a friend").unwrap();
    check(1, &foreign, &["is damaged or not ours", "left as it was", "Put a backup in its place"]);
    assert_eq!(fs::read(foreign.join("deskhand.sqlite")).unwrap(), b"a letter to a friend");

    if let Some(disk) = Disk::mount(folder.path().join("read-only"), "ro,size=1m") {
        check(1, &disk.0, &["Read-only file system", "hint: whoever runs deskhand must be able to write there"]);
        check(1, &disk.0.join("data"), &["making the data folder", "Read-only file system", "hint: whoever runs"]);
    }
}

#[test]
fn a_damaged_index_is_made_anew_from_the_store() {
    let place = Place::new();
    let mut process = Process::start(&place);
    process.check_answers();
    let index = place.data.join("index");
    for damage in [
        |index: &Path| fs::write(index.join("marker.json"), "{\"generation\":").unwrap(),
        |index: &Path| fs::remove_dir_all(index).unwrap(),
    ] {
        process.kill();
        damage(&index);
        process = Process::start(&place);
        assert!(process.log().contains("building the index"), "{}", process.log());
        process.check_answers();
    }
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let place = Place::new();
    let process = Process::start(&place);
    let port = process.address.port().to_string();
    let refused = run(&place.path("other"), &["serve", "--port", &port], &[]);
    let said = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("listening on {}", process.address)) && said.contains("`--port N`"), "{said}");
}
