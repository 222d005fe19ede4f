//! How people reach us, on a real listener: the real router, store and embedded index, a scripted embedder.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    ops::Deref,
    time::{Duration, Instant},
};

use deskhand::{
    config::Settings,
    error::Error,
    http,
    model::{Embed, EmbedAbilities, Side, TokenCounter, scripted::ScriptedEmbedder},
    store::{NewEvent, Store},
    turn::{Bot, Policy, guard::Class},
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use super::{
    sample::{Parts, Stand, WITHDRAWAL, judge},
    support::{Answer, Client, Event},
};

pub const TOKEN: &str = "a-token-for-tests-0123456789";
const ORIGIN: &str = "https://app.example";

/// An embedder that takes its time, so that a turn can be caught in flight; or fails at every question.
struct Slow(ScriptedEmbedder, Duration, bool);

impl Embed for Slow {
    fn embed(&mut self, side: Side, texts: &[&str]) -> deskhand::error::Result<Vec<Vec<f32>>> {
        if side == Side::Query {
            std::thread::sleep(self.1);
            if self.2 {
                return Err(Error::Inference("the test", "broken".into()));
            }
        }
        self.0.embed(side, texts)
    }

    fn counter(&self) -> TokenCounter {
        self.0.counter()
    }

    fn abilities(&self) -> EmbedAbilities {
        self.0.abilities()
    }
}

/// How a test's server differs from the usual one.
pub struct Options {
    pub settings: &'static str,
    pub shelf: bool,
    pub slow: Duration,
    pub broken: bool,
    /// What the guard has learnt from; without any it knows its rules.
    pub guard: &'static [(&'static str, Class)],
}

impl Default for Options {
    fn default() -> Self {
        Options { settings: "", shelf: true, slow: Duration::ZERO, broken: false, guard: &[] }
    }
}

pub struct Server {
    pub runtime: Runtime,
    pub store: Store,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<deskhand::error::Result<()>>>,
    client: Client,
    stand: Stand,
    _folder: tempfile::TempDir,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    pub fn start() -> Self {
        Server::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("deskhand.toml");
        let text = format!(
            "[server]\nagent_token = \"{TOKEN}\"\nallowed_origins = [\"{ORIGIN}\"]\nheartbeat_s = 1\nbody_limit_bytes = 4096\n{}\n",
            options.settings
        );
        std::fs::write(&config, text).unwrap();
        let settings = Settings::load(Some(&config), std::iter::empty(), &BTreeMap::new(), &[]).unwrap();
        let parts = Parts {
            embedder: Some(Box::new(Slow(ScriptedEmbedder, options.slow, options.broken))),
            documents_embedder: Some(Box::new(ScriptedEmbedder)),
            generator: None,
            policy: Policy::default(),
            judge: judge(),
            guard: options.guard,
            contact_key: settings.store.key(),
            shelf: options.shelf,
        };
        let (stand, listener) = runtime
            .block_on(async { (Stand::of(parts).await, tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()) });
        let (stop, stopped) = oneshot::channel::<()>();
        let (store, address) = (stand.bot.store().clone(), listener.local_addr().unwrap());
        let served = runtime.spawn(http::serve(stand.bot.clone(), settings, listener, async {
            let _ = stopped.await;
        }));
        Server {
            runtime,
            store,
            stop: Some(stop),
            served: Some(served),
            client: Client::new(address),
            stand,
            _folder: folder,
        }
    }

    pub fn bot(&self) -> &Bot {
        &self.stand.bot
    }

    pub fn as_agent(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Bearer {TOKEN}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.call(method, path, &headers, body.map(Value::to_string).as_deref().map(str::as_bytes))
    }

    /// Asks and waits for the reply.
    pub fn ask(&self, conversation: &str, body: &Value) -> Event {
        let mut events = self.follow(conversation, 0);
        let before =
            self.runtime.block_on(async { self.store.events(conversation.parse().unwrap(), 0).await.unwrap().len() });
        let accepted = self.say(conversation, body);
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        events.until(|event| event.id > before as i64 && ["answer", "offer", "handoff"].contains(&event.kind.as_str()))
    }

    fn stop(&mut self) -> deskhand::error::Result<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.runtime.block_on(self.served.take().unwrap()).unwrap()
    }
}

#[test]
fn a_question_is_answered_with_its_source() {
    let server = Server::start();
    let conversation = server.conversation();
    let reply = server.ask(&conversation, &json!({"text": WITHDRAWAL}));
    assert_eq!(reply.kind, "answer", "{}", reply.data);
    assert_eq!(reply.data["text"], "A withdrawal takes **two** working days.");
    assert_eq!(reply.data["citations"][0]["document"], "withdrawal-time");
    assert_eq!(reply.data["citations"][0]["revision"], "withdrawal-time-2026-11-22");

    // A page that is loaded again has everything, and reads on without seeing anything twice.
    let history = server.get(&format!("/v1/conversations/{conversation}/messages")).json();
    let said: Vec<_> = history["messages"].as_array().unwrap().iter().map(|message| message["from"].clone()).collect();
    assert_eq!(said, ["customer", "bot"]);
    assert_eq!(history["messages"][1]["reply"]["citations"][0]["document"], "withdrawal-time");
    assert_eq!(history["last_event"], reply.id);
    let mut events = server.follow(&conversation, reply.id);
    server.say(&conversation, &json!({"choice": "person"}));
    assert_eq!(events.next().unwrap().data["text"], "Talk to a person");
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let server = Server::start();
    let conversation = server.conversation();
    server.ask(&conversation, &json!({"text": WITHDRAWAL}));
    let all: Vec<i64> = {
        let mut events = server.follow(&conversation, 0);
        std::iter::from_fn(|| events.next().filter(|event| event.kind != "answer").map(|event| event.id)).collect()
    };
    assert_eq!(all, [1, 2], "the message and a step, then the answer");
    let path = format!("/v1/conversations/{conversation}/events?after=0");
    let next = server.events(&path, &[("last-event-id", "2")]).next().unwrap();
    assert_eq!((next.id, next.kind.as_str()), (3, "answer"), "the browser's header wins over the address");
    let wrong = server.call("GET", &path, &[("last-event-id", "soon")], None);
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "invalid"));
}

#[test]
fn no_event_is_missed_between_replay_and_live() {
    const EVENTS: i64 = 400;
    let server = Server::start();
    let conversation = server.conversation();
    let (store, id) = (server.store.clone(), conversation.parse().unwrap());
    let writer = server.runtime.spawn(async move {
        for number in 0..EVENTS {
            let event = NewEvent { kind: "step".into(), json: json!({ "number": number }) };
            store.add_events(id, vec![event]).await.unwrap();
        }
    });
    // Many readers, each beginning at another moment; each leaves after some events and comes back.
    let readers: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let reading: Vec<_> = (0..8)
            .map(|reader| {
                let (server, conversation) = (&server, &conversation);
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while seen.last() != Some(&EVENTS) {
                        let mut events = server.follow(conversation, seen.last().copied().unwrap_or(0));
                        for _ in 0..(20 + 13 * reader) {
                            seen.push(events.next().unwrap().id);
                            if seen.last() == Some(&EVENTS) {
                                break;
                            }
                        }
                    }
                    seen
                })
            })
            .collect();
        reading.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    server.runtime.block_on(writer).unwrap();
    for seen in readers {
        assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    }
}

#[test]
fn an_open_stream_hears_heartbeats() {
    let server = Server::start();
    let conversation = server.conversation();
    let mut events = server.follow(&conversation, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(2500));
            server.say(&conversation, &json!({"text": WITHDRAWAL}));
        });
        events.next().unwrap();
    });
    // One comment opens the stream; with a heartbeat each second, 2.5 s of silence hold two more.
    assert!(events.comments >= 3, "{} comments", events.comments);
}

#[test]
fn a_tap_answers_and_a_person_takes_over_and_hands_back() {
    let server = Server::start();
    let conversation = server.conversation();
    let tapped = server.ask(&conversation, &json!({"choice": {"document": "card-limit"}}));
    assert_eq!((tapped.kind.as_str(), &tapped.data["citations"][0]["document"]), ("answer", &json!("card-limit")));
    let first = server.get(&format!("/v1/conversations/{conversation}/messages")).json();
    assert_eq!(
        first["messages"][0]["text"], "What is the monthly limit of the virtual card?",
        "a tap's text is the title"
    );

    let mut queue = server.events("/v1/desk/events", &[("authorization", &format!("Bearer {TOKEN}"))]);
    let handoff = server.ask(&conversation, &json!({"choice": "person"}));
    assert_eq!(handoff.kind, "handoff");
    assert_eq!(handoff.data["case"], Value::Null, "the case is written for agents");
    assert_eq!(handoff.data["reason"]["code"], "asked");
    let number = handoff.data["ticket"].as_str().unwrap().to_owned();
    let line = queue.until(|event| event.kind == "ticket");
    assert_eq!((&line.data["number"], &line.data["state"]), (&json!(number), &json!("open")));

    let listed = server.as_agent("GET", "/v1/desk/tickets?state=open", None).json();
    assert_eq!(listed["tickets"][0]["number"], number.as_str());
    let ticket = format!("/v1/desk/tickets/{number}");
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!(whole["case"]["code"], "asked");
    assert_eq!(whole["messages"].as_array().unwrap().len(), 4);

    let mut events = server.follow(&conversation, handoff.id);
    let ann = json!({"agent": "Ann"});
    assert_eq!(server.as_agent("POST", &format!("{ticket}/take"), Some(&ann)).json()["state"], "taken");
    let joined = events.next().unwrap();
    assert_eq!(joined.data, json!({"from": "system", "text": "joined", "agent": "Ann"}));
    let taken = server.as_agent("POST", &format!("{ticket}/take"), Some(&json!({"agent": "Ben"})));
    assert_eq!((taken.status, taken.code().as_str()), (409, "conflict"));

    // The bot is silent while somebody has taken the conversation.
    assert_eq!(server.say(&conversation, &json!({"text": WITHDRAWAL})).status, 202);
    assert_eq!(events.next().unwrap().data["from"], "customer");
    let reply = json!({"agent": "Ann", "text": "Two days; see https://a.example/help", "key": "once"});
    for repeated in [false, true] {
        let sent = server.as_agent("POST", &format!("{ticket}/reply"), Some(&reply)).json();
        assert_eq!(sent["repeated"], repeated);
    }
    let said = events.next().unwrap();
    assert_eq!(
        (&said.kind, &said.data["from"], &said.data["agent"]),
        (&"message".into(), &json!("agent"), &json!("Ann"))
    );
    assert_eq!(said.data["text"], reply["text"]);

    let closed = server.as_agent("POST", &format!("{ticket}/close"), Some(&ann)).json();
    assert_eq!(closed["state"], "closed");
    assert_eq!(events.next().unwrap().data["text"], "closed");
    let again = server.as_agent("POST", &format!("{ticket}/close"), Some(&ann));
    assert_eq!(again.status, 200, "closing twice changes nothing");
    let answered = server.ask(&conversation, &json!({"text": WITHDRAWAL}));
    assert_eq!(answered.kind, "answer", "after closing, the bot answers again");
}

#[test]
fn handing_back_lets_the_bot_go_on() {
    let server = Server::start();
    let conversation = server.conversation();
    let handoff = server.ask(&conversation, &json!({"choice": "person"}));
    let ticket = format!("/v1/desk/tickets/{}", handoff.data["ticket"].as_str().unwrap());
    let back = server.as_agent("POST", &format!("{ticket}/hand_back"), Some(&json!({"agent": "Ann"})));
    assert_eq!(back.json()["state"], "closed");
    let state = server.get(&format!("/v1/conversations/{conversation}/messages")).json()["state"].clone();
    assert_eq!(state, "bot");
    assert_eq!(server.ask(&conversation, &json!({"text": WITHDRAWAL})).kind, "answer");
}

#[test]
fn the_same_key_says_it_once() {
    let server = Server::start();
    let conversation = server.conversation();
    let path = format!("/v1/conversations/{conversation}/messages");
    let body = json!({"text": WITHDRAWAL}).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    let first = server.call("POST", &path, &headers, Some(body.as_bytes())).json();
    assert_eq!(first, json!({"message": 1, "repeated": false}));
    let again = server.post(&path, &json!({"text": "whatever", "key": "k-1"})).json();
    assert_eq!(again, json!({"message": 1, "repeated": true}), "header and body mean the same");
}

#[test]
fn every_bad_request_gets_a_clear_answer_that_quotes_nothing() {
    let server = Server::start();
    let conversation = server.conversation();
    let messages = format!("/v1/conversations/{conversation}/messages");
    let json_type = [("content-type", "application/json")];
    let long = json!({"text": "zebra ".repeat(900)}).to_string();
    let too_long = json!({"text": "x".repeat(4001)}).to_string();
    let unknown = "/v1/conversations/0198f000-0000-7000-8000-000000000000/messages";
    type Bad<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: Vec<Bad> = vec![
        ("POST", &messages, &json_type, b"{\"text\": \"zebra\xff\"}", 400, "malformed"),
        ("POST", &messages, &json_type, b"{\"text\": \"zebra", 400, "malformed"),
        ("POST", &messages, &json_type, b"\"zebra\"", 422, "invalid"),
        ("POST", &messages, &json_type, b"{\"text\": [\"zebra\"]}", 422, "invalid"),
        ("POST", &messages, &json_type, b"{\"text\": \"\"}", 422, "invalid"),
        ("POST", &messages, &json_type, b"{\"text\": \" \\u200b\\n\"}", 422, "invalid"),
        ("POST", &messages, &json_type, b"{}", 422, "invalid"),
        ("POST", &messages, &json_type, b"{\"choice\": \"zebra\"}", 422, "invalid"),
        ("POST", &messages, &json_type, b"{\"choice\": {\"document\": \"no-such\"}}", 404, "not_found"),
        ("POST", &messages, &json_type, long.as_bytes(), 413, "too_large"),
        ("POST", &messages, &json_type, too_long.as_bytes(), 422, "invalid"),
        ("POST", &messages, &[("content-type", "text/plain")], b"{\"text\": \"zebra\"}", 415, "wrong_type"),
        ("POST", &messages, &[], b"{\"text\": \"zebra\"}", 415, "wrong_type"),
        ("POST", unknown, &json_type, b"{\"text\": \"zebra\"}", 404, "not_found"),
        ("POST", "/v1/conversations/zebra/messages", &json_type, b"{\"text\": \"hi\"}", 404, "not_found"),
        ("POST", "/v1/conversations", &json_type, b"{\"channel\": \"Zebra Crossing\"}", 422, "invalid"),
        ("POST", "/v1/nothing", &json_type, b"{}", 404, "not_found"),
        ("PUT", "/v1/conversations", &json_type, b"{}", 405, "method"),
    ];
    for (method, path, headers, body, status, code) in cases {
        let answer = server.call(method, path, headers, Some(body));
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path} {shown}");
        assert_eq!(answer.headers["content-type"], "application/json", "{shown}");
        assert!(!answer.text.replace("`zebra`", "").to_lowercase().contains("zebra"), "{shown}: {}", answer.text);
    }
    let started = server.call("POST", "/v1/conversations", &[], None);
    assert_eq!(started.status, 201, "a conversation can start without a body");
}

#[test]
fn the_desk_opens_with_the_token_only() {
    let server = Server::start();
    let conversation = server.conversation();
    let ticket = server.ask(&conversation, &json!({"choice": "person"})).data["ticket"].as_str().unwrap().to_owned();
    let take = format!("/v1/desk/tickets/{ticket}/take");
    let act = json!({"agent": "Ann"});
    for (method, path) in [("GET", "/v1/desk/tickets"), ("GET", "/v1/desk/events"), ("POST", take.as_str())] {
        for wrong in ["", "Bearer wrong", "Bearer ", "Basic x"] {
            let body = act.to_string();
            let headers = [("authorization", wrong), ("content-type", "application/json")];
            let answer = server.call(method, path, &headers, (method == "POST").then_some(body.as_bytes()));
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{method} {path} {wrong}");
        }
    }
    assert_eq!(server.post("/v1/desk/session", &json!({"token": "wrong"})).status, 401);

    let signed_in = server.post("/v1/desk/session", &json!({"token": TOKEN}));
    let cookie = signed_in.headers["set-cookie"].clone();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(server.call("GET", "/v1/desk/tickets", &[("cookie", cookie)], None).status, 200);
    let with = |more: &[(&str, &str)]| {
        let headers = [&[("cookie", cookie), ("content-type", "application/json")], more].concat();
        server.call("POST", &take, &headers, Some(act.to_string().as_bytes()))
    };
    assert_eq!(
        (with(&[]).status, with(&[]).code().as_str()),
        (403, "forbidden"),
        "another site's form could send that"
    );
    assert_eq!(with(&[("x-deskhand", "1")]).status, 200);
}

#[test]
fn a_document_shows_itself_to_those_it_is_for() {
    let server = Server::start();
    let page = server.call("GET", "/v1/documents/markup", &[("accept", "text/html,*/*;q=0.8")], None);
    assert!(page.headers["content-type"].starts_with("text/html"));
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script"), "{}", page.text);
    assert!(!page.text.contains("javascript:"), "{}", page.text);

    let json = server.get("/v1/documents/card-limit?lang=en&revision=card-limit-2026-11-22").json();
    assert_eq!((&json["id"], &json["audience"]), (&json!("card-limit"), &json!("customer")));
    assert_eq!(server.get("/v1/documents/card-limit?revision=other").status, 404);
    assert_eq!(server.get("/v1/documents/card-limit?lang=fr").status, 422);
    assert_eq!(server.get("/v1/documents/card-theft?lang=zh").json()["lang"], "zh", "default cards are cited too");

    let (hidden, missing) = (server.get("/v1/documents/internal-note"), server.get("/v1/documents/internal-nope"));
    assert_eq!((hidden.status, missing.status), (404, 404));
    assert_eq!(hidden.text.replace("note", "nope"), missing.text, "nobody learns which internal notes exist");
    assert_eq!(server.as_agent("GET", "/v1/documents/internal-note", None).status, 200);
}

#[test]
fn pages_come_with_headers_that_keep_them_safe() {
    let server = Server::start();
    for path in ["/", "/desk", "/web/widget.js", "/v1/documents/markup", "/nothing"] {
        let answer = server.get(path);
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        let framed = path == "/";
        assert_eq!(policy.contains(&format!("frame-ancestors {ORIGIN}")), framed, "{path}: {policy}");
        assert_eq!(answer.headers.contains_key("x-frame-options"), !framed, "{path}");
    }
    let module = server.get("/web/widget.js");
    assert_eq!(module.headers["content-type"], "text/javascript; charset=utf-8");
    let tag = module.headers["etag"].clone();
    assert_eq!(server.call("GET", "/web/widget.js", &[("if-none-match", &tag)], None).status, 304);
    assert_eq!(server.get("/web/../Cargo.toml").status, 404);
    assert_eq!(server.get("/web/%2e%2e%2fCargo.toml").status, 404);
}

#[test]
fn only_pages_of_allowed_origins_reach_the_chat_and_none_the_desk() {
    let server = Server::start();
    let allowed = |method: &str, path: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        server.call(method, path, &headers, None).headers.get("access-control-allow-origin").cloned()
    };
    for method in ["OPTIONS", "GET"] {
        let path = "/v1/conversations/0198f000-0000-7000-8000-000000000000/messages";
        assert_eq!(allowed(method, path, ORIGIN).as_deref(), Some(ORIGIN));
        assert_eq!(allowed(method, path, "https://evil.example"), None);
        assert_eq!(allowed(method, "/v1/desk/tickets", ORIGIN), None);
    }
    let preflight = server.call("OPTIONS", "/v1/conversations", &[("origin", ORIGIN)], None);
    assert_eq!(preflight.status, 204);
    assert!(preflight.headers["access-control-allow-headers"].contains("idempotency-key"));
}

#[test]
fn one_address_can_send_so_much_and_no_more() {
    let server = Server::with(Options {
        settings: "messages_per_minute = 3\nproxy_header = \"x-forwarded-for\"",
        ..Options::default()
    });
    let start = |client: &str| server.call("POST", "/v1/conversations", &[("x-forwarded-for", client)], None);
    assert!((0..3).all(|_| start("spoofed, 10.0.0.1").status == 201));
    let refused = start("another claim, 10.0.0.1");
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many"));
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() >= 1);
    assert_eq!(start("10.0.0.2").status, 201);
}

#[test]
fn readiness_says_why_not_and_metrics_hold_no_names() {
    let without = Server::with(Options { shelf: false, ..Options::default() });
    let not_ready = without.get("/readyz");
    assert_eq!(not_ready.status, 503);
    assert_eq!(not_ready.json()["why_not"], json!(["no knowledge is on the shelf"]));
    let conversation = without.conversation();
    let sorry = without.ask(&conversation, &json!({"text": WITHDRAWAL}));
    assert_eq!(
        (sorry.kind.as_str(), &sorry.data["reason"]["code"]),
        ("handoff", &json!("error")),
        "still ends at a person"
    );

    let broken = Server::with(Options { broken: true, ..Options::default() });
    assert_eq!(broken.get("/readyz").json()["why_not"], json!(["the embedder does not answer"]));

    let server = Server::start();
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &ready.json()["judge"]["kind"]), (200, &json!("label-free")), "{}", ready.text);
    assert_eq!(server.get("/healthz").text, "ok\n");
    let conversation = server.conversation();
    server.ask(&conversation, &json!({"choice": "person"}));
    std::thread::sleep(Duration::from_millis(50));
    let metrics = server.get("/metrics").text;
    for expected in [
        "deskhand_turns_total{outcome=\"handoff\",code=\"asked\"}",
        "deskhand_turn_seconds_bucket",
        "deskhand_tickets{state=\"open\"} ",
    ] {
        assert!(metrics.contains(expected), "{expected} not in {metrics}");
    }
    assert!(!metrics.contains(&conversation), "{metrics}");
}

#[test]
fn a_stop_lets_the_turn_in_flight_end_and_its_reader_hear_it() {
    let mut server = Server::with(Options { slow: Duration::from_millis(700), ..Options::default() });
    let conversation = server.conversation();
    let mut events = server.follow(&conversation, 0);
    assert_eq!(server.say(&conversation, &json!({"text": WITHDRAWAL})).status, 202);
    let reader =
        std::thread::spawn(move || std::iter::from_fn(|| events.next()).map(|event| event.kind).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_millis(150));
    let started = Instant::now();
    server.stop().unwrap();
    assert!(started.elapsed() > Duration::from_millis(300), "the turn was not waited for");
    assert!(started.elapsed() < Duration::from_secs(10), "stopping took {:?}", started.elapsed());
    assert_eq!(reader.join().unwrap(), ["message", "step", "answer"], "and then the stream ended");
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn a_broken_request_does_not_reach_the_routes() {
    let server = Server::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"POST /v1/conversations HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn two_hundred_messages_at_once_are_all_stored_or_clearly_refused() {
    let server = Server::start();
    let conversation = server.conversation();
    let accepted = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..200)
            .map(|number| {
                let (server, conversation) = (&server, &conversation);
                scope.spawn(move || server.say(conversation, &json!({"text": format!("message {number}")})).status)
            })
            .collect();
        let statuses: Vec<u16> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| [202, 503].contains(status)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 202).count()
    });
    let history = server.get(&format!("/v1/conversations/{conversation}/messages")).json();
    let said = history["messages"].as_array().unwrap().iter().filter(|message| message["from"] == "customer").count();
    assert_eq!(said, accepted, "what was acknowledged is there");
}
