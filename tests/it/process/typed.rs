//! What was typed or set wrongly is said at once, by its name, before anything is done, and the exit code says whose it is to
//! mend.

use std::{fs, path::Path, process::Stdio};

use super::{Place, deskhand, run, said};

/// Runs a command that must be refused as the caller's to mend; what it said holds `parts`, and nothing was answered.
fn refused(data: &Path, arguments: &[&str], environment: &[(&str, &str)], parts: &[&str]) {
    let output = run(data, arguments, environment);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("ready in"), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: `{part}` is not in: {said}");
    }
}

#[test]
fn a_mistyped_path_or_option_is_said_before_any_work_and_is_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let (data, missing) = (folder.path().join("data"), folder.path().join("none"));
    let missing = &*missing.to_string_lossy();
    let written = format!("{missing}/x.json");
    let documents = folder.path().join("documents");
    super::write_documents(&documents, "one");
    let documents = &*documents.to_string_lossy();
    for (arguments, part) in [
        (&["ingest", missing][..], "no such file or folder"),
        (&["ingest", documents, missing], missing),
        (&["models", "list", "--config", missing], missing),
        (&["eval", "bless", missing, "--why", "better"], missing),
        (&["eval", "bless", missing, "--why", " "], "--why"),
        (&["eval", "run", "--knowledge", documents, "--questions", missing], missing),
        (&["eval", "run", "wallet", "--judge", missing], missing),
        (&["eval", "run", "wallet", "--baseline", missing], missing),
        (&["eval", "run", "wallet", "--json", &written], &written),
        (&["eval", "run", "wallet", "--html", &written], &written),
        (&["eval", "run", "wallet", "--day", "soon"], "--day"),
        (&["eval", "run", "nowhere"], "no suite `nowhere`"),
        (&["eval", "calibrate", "wallet", "--risk", "2"], "a share between 0 and 1"),
        (&["eval", "add", "--from", "0199b1c2-0000-7000-8000-000000000000", "--to", missing], "--knowledge PATH"),
    ] {
        refused(&data, arguments, &[], &[part]);
    }
    assert!(!data.exists() && !Path::new(missing).exists());
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    refused(&file, &["ingest", documents], &[], &["making the data folder", "file"]);
}

#[test]
fn a_suite_without_questions_to_fit_on_is_said_before_any_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let line = "{\"id\":\"1\",\"question\":\"a\",\"answerable\":false,\"split\":\"certify\"}\n";
    fs::write(folder.path().join("questions.jsonl"), line).unwrap();
    let suite = folder.path().to_string_lossy();
    refused(&folder.path().join("data"), &["eval", "calibrate", &suite], &[], &["no question with the split `fit`"]);
}

#[test]
fn commands_that_only_look_make_no_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("none");
    for command in [
        &["admin", "status"][..],
        &["admin", "audit"],
        &["admin", "report", "redactions"],
        &["admin", "erase", "--customer", "c", "--dry-run"],
        &["migrate"],
    ] {
        refused(&data, command, &[], &["no such folder as", "none"]);
    }
    assert!(!data.exists());
}

#[test]
fn faulty_settings_are_named_together_and_nothing_is_started_with_them() {
    let place = Place::new();
    let faulty =
        [("DESKHAND_MODEL_EMBEDDER", "nope"), ("DESKHAND_LOG_LEVEL", "loud"), ("DESKHAND_SERVER_PROT", "hush-90")];
    let parts =
        ["3 faults", "model.embedder: found `nope`", "e5-small", "log.level: found `loud`", "DESKHAND_SERVER_PORT"];
    refused(&place.data, &["serve", "--port", "0"], &faulty, &parts);
    assert!(!said(&run(&place.data, &["serve", "--port", "0"], &faulty)).contains("hush"));

    let certificate = ("DESKHAND_JUDGE_REQUIRE_CERTIFICATE", "true");
    refused(&place.data, &["serve", "--port", "0"], &[certificate], &["judge.require_certificate"]);
}

#[test]
fn a_judge_that_was_named_must_be_readable_and_the_data_folders_own_may_be_passed_over() {
    let place = Place::new();
    let file = place.path("judge.json");
    let path = &*file.to_string_lossy();
    let named = [("DESKHAND_JUDGE_FILE", path)];
    refused(&place.data, &["admin", "status"], &named, &["judge.file", path, "eval calibrate"]);
    fs::write(&file, "{").unwrap();
    refused(&place.data, &["admin", "status"], &named, &["judge.file", path, "eval calibrate"]);
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/judge/default.json")).unwrap();
    let mut foreign: serde_json::Value = serde_json::from_str(&shipped).unwrap();
    foreign["fingerprint"] = "other-weights".into();
    fs::write(&file, foreign.to_string()).unwrap();
    refused(&place.data, &["admin", "status"], &named, &["judge.file", path, "other-weights", "expected one for"]);
    let tried = ["eval", "run", "wallet", "--judge", path];
    refused(&place.data, &tried, &[], &[path, "other-weights", "expected one for"]);

    fs::create_dir_all(place.data.join("judge")).unwrap();
    fs::copy(&file, place.data.join("judge").join("calibrated.json")).unwrap();
    // Its warning goes to a pipe: no colours.
    let looked = deskhand(&place.data, &["admin", "status"], &[]).env_remove("NO_COLOR").output().unwrap();
    let said = said(&looked);
    assert!(looked.status.success() && said.contains("a judge made for other weights was passed over"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn who_stops_reading_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["models", "list"][..], &["admin", "config"]] {
        let mut child = deskhand(folder.path(), command, &[]);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{command:?}: {}", said(&ended));
    }
}

#[test]
fn an_ingest_names_what_went_out_of_service_and_why() {
    let place = Place::new();
    let documents = place.path("documents");
    fs::write(documents.join("refund-time.md"), "---\nid: refund-time\naudience: agent\n\nCall the bank.\n").unwrap();
    fs::remove_file(documents.join("card-limit.md")).unwrap();
    fs::write(
        documents.join("theft.md"),
        "---\nid: card-thefft\nlang: en\nkind: card\ntitle: Theft\n---\nFreeze the card in the app.\n",
    )
    .unwrap();
    let dry = run(&place.data, &["ingest", "--dry-run", &documents.to_string_lossy()], &[]);
    assert!(said(&dry).contains("4 documents could be read, 1 place refused; nothing was changed"), "{}", said(&dry));
    let ingested = run(&place.data, &["ingest", &documents.to_string_lossy()], &[]);
    let said = said(&ingested);
    assert_eq!(ingested.status.code(), Some(4), "{said}");
    for part in [
        "refund-time.md:1: front matter is opened with --- and never closed",
        "did you mean `card-theft`?",
        "removed, because the file was refused: refund-time (en)\n",
        "removed: card-limit (en)\n",
        "2 removed",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}
