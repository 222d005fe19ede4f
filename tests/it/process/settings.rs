//! What the settings hold stays there, and a start says what the product has not written yet.

use std::{
    fs::{self, File},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Place, Process, deskhand, run, said};
use crate::support::Client;

const TOKEN: &str = "hush-token-4815162342";
const CONTACT_KEY: &str = "4815162342aa0304050607080900b0c0d0e0f10111213141516171819a1b1c1d";
const API_KEY: &str = "hush-api-4815162342";

const SECRETS: [(&str, &str); 4] = [
    ("DESKHAND_LOG_LEVEL", "trace"),
    ("DESKHAND_SERVER_AGENT_TOKEN", TOKEN),
    ("DESKHAND_STORE_CONTACT_KEY", CONTACT_KEY),
    ("DESKHAND_INDEX_API_KEY", API_KEY),
];

fn check_silent(printed: &str, by: &str) {
    for secret in [TOKEN, CONTACT_KEY, API_KEY] {
        assert!(!printed.contains(secret), "{by} prints `{secret}`");
    }
}

#[test]
fn a_secret_of_the_settings_is_never_printed() {
    let place = Place::new();
    let (out, err) = (place.path("stdout"), place.path("stderr"));
    for command in ["demo", "serve"] {
        let mut starts = deskhand(&place.data, &[command, "--port", "0"], &SECRETS);
        starts.stdout(Stdio::from(File::create(&out).unwrap())).stderr(Stdio::from(File::create(&err).unwrap()));
        let mut child = starts.spawn().unwrap();
        let started = Instant::now();
        let chat = loop {
            let printed = fs::read_to_string(&out).unwrap();
            if let Some(chat) =
                printed.contains("ready in").then(|| printed.split("http://").nth(1).unwrap().to_owned())
            {
                break chat;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "it did not start: {printed}");
            std::thread::sleep(Duration::from_millis(50));
        };
        let client = Client::new(chat.split('/').next().unwrap().parse().unwrap());
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(client.call("GET", "/v1/desk/tickets", &[("authorization", &bearer)], None).status, 200);
        for wrong in [format!("{TOKEN}x"), String::new()] {
            assert_eq!(client.post("/v1/desk/session", &json!({ "token": wrong })).status, 401);
        }
        let served = ["/metrics", "/readyz", "/openapi.json", "/", "/desk"].map(|path| client.get(path).text).concat();
        child.kill().unwrap();
        child.wait().unwrap();
        let log = fs::read_to_string(&err).unwrap();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is not at its loudest: {log}");
        check_silent(&format!("{}{log}{served}", fs::read_to_string(&out).unwrap()), command);
    }
    for command in [&["admin", "config"][..], &["admin", "status"], &["admin", "audit"], &["models", "list"]] {
        let output = run(&place.data, command, &SECRETS);
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        check_silent(&said(&output), &format!("{command:?}"));
    }
    let broken = run(&place.data, &["admin", "status"], &[&SECRETS[..], &[("DESKHAND_SERVER_PORT", "none")]].concat());
    assert!(!broken.status.success());
    check_silent(&said(&broken), "a faulty setting");
}

#[test]
fn a_start_names_the_situations_without_a_card_of_the_products_own() {
    let place = Place::new();
    let card = |lang: &str| {
        format!(
            "---\nid: card-theft\nlang: {lang}\nkind: card\ntitle: Theft\n---\nOur own steps: 1. Freeze the card in the app.\n"
        )
    };
    fs::create_dir_all(place.path("documents")).unwrap();
    fs::write(place.path("documents").join("theft.en.md"), card("en")).unwrap();
    for lang in ["zh", "en"] {
        let own = card(lang).replace("card-theft", "card-scam");
        fs::write(place.path("documents").join(format!("scam.{lang}.md")), own).unwrap();
    }
    let ingested = place.ingest("two");
    assert!(ingested.status.success(), "{}", said(&ingested));
    let process = Process::with(&place, &[("DESKHAND_SERVER_AGENT_TOKEN", TOKEN)]);
    let started = Instant::now();
    while !process.log().contains("only a default card") && started.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50)); // It is said right after "ready".
    }
    let log = process.log();
    let line = log.lines().find(|line| line.contains("only a default card")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("card-leaked_key, card-theft (zh), card-wrong_transfer, card-malicious_approval"), "{line}");
    let bearer = format!("Bearer {TOKEN}");
    let queue = process.call("GET", "/v1/desk/tickets", &[("authorization", &bearer)], None).json();
    assert_eq!(
        (&queue["default_cards"][0], &queue["default_cards"][1]),
        (&json!("card-leaked_key"), &json!("card-theft (zh)"))
    );
    let others = deskhand::turn::phrases::situations().count() - 1;
    assert_eq!(queue["default_cards"].as_array().unwrap().len(), others);
}
