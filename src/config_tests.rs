//! Settings as people write them, right and wrong.

use super::*;
use crate::error;

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deskhand.toml");
    std::fs::write(&path, toml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let models = ["e5-small".to_owned(), "none".to_owned()];
    Settings::load(Some(&path), environment, &BTreeMap::new(), &[("model.embedder", models.to_vec())])
}

#[test]
fn the_environment_beats_the_file() {
    let settings =
        load("[server]\nport = 1\n", &[("DESKHAND_SERVER_PORT", "9000"), ("DESKHAND_MODELS", "/x")]).unwrap();
    assert_eq!(settings.server.port, 9000);
}

#[test]
fn every_fault_is_reported_at_once_with_key_found_and_allowed() {
    let text =
        "[server]\nprot = 1\nport = 99999\n[index]\nkind = \"cloud\"\n[judge]\nrequire_certificate = 3\n[zzz]\na = 1\n";
    let error = load(text, &[("DESKHAND_SERVER_HEARTBEAT_S", "soon")]).unwrap_err().to_string();
    for expected in [
        "5 faults",
        "did you mean `port`",
        "server.port: found 99999, expected 0 to 65535",
        "index.kind: found `cloud`, expected one of embedded, server",
        "no such section",
        "expected a whole number",
    ] {
        let expected = if expected == "5 faults" { "6 faults" } else { expected };
        assert!(error.contains(expected), "{expected} not in {error}");
    }
}

#[test]
fn models_and_levels_are_named_with_the_other_faults() {
    let text = "[server]\nport = 99999\n[model]\nembedder = \"nope\"\n[log]\nlevel = \"loud\"\n";
    let error = load(text, &[]).unwrap_err().to_string();
    for expected in
        ["3 faults", "model.embedder: found `nope`, expected one of e5-small, none", "log.level: found `loud`"]
    {
        assert!(error.contains(expected), "{expected} not in {error}");
    }
    for level in ["info", "WARN", "info,deskhand::turn=debug", "off", "warn, hyper=error"] {
        assert!(load(&format!("[log]\nlevel = \"{level}\"\n"), &[]).is_ok(), "{level}");
    }
    assert!(load("", &[("DESKHAND_LOG_LEVEL", "info,deskhand")]).is_err());
}

#[test]
fn a_misspelt_variable_is_named_and_those_of_others_are_let_through() {
    let error = load("", &[("DESKHAND_SERVER_PROT", "90"), ("DESKHAND_SEVRER_AGENT_TOKEN", "hush-hush-hush-hush")])
        .unwrap_err()
        .to_string();
    for expected in [
        "2 faults",
        "DESKHAND_SERVER_PROT in the environment: no such setting; did you mean `DESKHAND_SERVER_PORT`?",
        "did you mean `DESKHAND_SERVER_AGENT_TOKEN`?",
    ] {
        assert!(error.contains(expected), "{expected} not in {error}");
    }
    assert!(!error.contains("hush"), "{error}");
    for name in ["DATA", "MODELS", "ROUNDS", "DATA_SETS", "KEEP_REPORT", "PORT_8080_TCP", "SERVICE_HOST", "TEST_X"] {
        assert!(load("", &[(&format!("DESKHAND_{name}"), "x")]).is_ok(), "{name}");
    }
    let names = ["DESKHAND_PORT", "DESKHAND_DATA", "DESKHAND_SERVER_PORT", "HOME"].map(str::to_owned);
    assert_eq!(foreign_variables(names.into_iter()), ["DESKHAND_PORT"]);
}

#[test]
fn other_machines_need_a_token_and_origins() {
    let error = load("[server]\naddress = \"0.0.0.0\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("set server.agent_token"), "{error}");
    let token = "[server]\naddress = \"0.0.0.0\"\nagent_token = \"0123456789abcdef\"\nallowed_origins = [\"https://a.example\"]\n";
    assert!(load(token, &[]).is_ok());
}

#[test]
fn a_secret_is_never_printed() {
    let settings = load("[server]\nagent_token = \"hush-hush-hush-hush\"\n", &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hush"));
    for wrong in [
        "[server]\nagent_token = 12345678901234567\n",
        "[server]\nagent_token = \"hush-12345\"\n",
        "[server]\nagent_token = hush-hush-12345678901234567\n",
        "[server]\nagent_token = [\"hush-hush-12345678901234567\"]\n",
        "[server]\nagent_tokn = \"hush-hush-12345678901234567\"\n",
        "[serve]\nagent_token = \"hush-hush-12345678901234567\"\n",
        "agent_token = \"hush-hush-12345678901234567\"\n",
        "server = \"hush-hush-12345678901234567\"\n",
        "[index]\napi_key = 12345678901234567\n",
        "[index]\nurl = \"http://hush:12345678@qdrant:6334\"\n",
        "[store]\ncontact_key = \"hush-12345\"\n",
    ] {
        let error = error::chain(&load(wrong, &[]).unwrap_err());
        assert!(!error.contains("12345") && !error.contains("hush-"), "{wrong}: {error}");
    }
}

#[test]
fn a_contact_key_is_32_bytes_and_a_wrong_one_is_reported_but_not_shown() {
    let good = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let settings = load("", &[("DESKHAND_STORE_CONTACT_KEY", good)]).unwrap();
    assert!(settings.store.key().is_some() && !format!("{settings:?}").contains("0a0b0c"));
    assert!(load("", &[]).unwrap().store.key().is_none());
    for wrong in ["\"hush-hush!\"", "\"aHVzaCBodXNoIGh1c2g=\"", "48151623421087"] {
        let text = format!("[store]\ncontact_key = {wrong}\nretention_days = -1\n");
        let error = load(&text, &[]).unwrap_err().to_string();
        assert!(error.contains("2 faults") && error.contains("store.contact_key"), "{error}");
        assert!(error.contains("store.retention_days: found -1, expected 0 to 36500"), "{error}");
        assert!(!error.contains(wrong.trim_matches('"')), "{error}");
    }
}
