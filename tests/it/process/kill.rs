//! `kill -9` at random moments under load: what was acknowledged is there, once and in order, and is answered.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{Place, Process, QUESTIONS, check_history, is_waiting};
use crate::support::Client;

/// What clients were told, by conversation: message number -> (key, text).
type Acknowledged = BTreeMap<String, BTreeMap<i64, (String, String)>>;

/// A message whose acknowledgement never came.
type Cut = (String, String, String);

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    kill_rounds(3);
}

#[test]
#[ignore = "slow: 200 kills take about ten minutes"]
fn what_was_acknowledged_survives_200_kills() {
    kill_rounds(200);
}

fn kill_rounds(rounds: usize) {
    let rounds = std::env::var("DESKHAND_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(rounds);
    let mut random = StdRng::seed_from_u64(seed());
    let place = Place::new();
    let mut tally = Tally::default();
    let mut process = Process::start(&place);
    for round in 0..rounds {
        let moment = Duration::from_micros(random.random_range(2_000..700_000));
        let told = kill_under_load(&mut process, round, moment, &mut random);
        process = Process::start(&place);
        tally.starts.push(process.ready_in);
        let caught_up = Instant::now();
        let acknowledged = say_again_what_was_cut(&process, told, &mut tally);
        tally.open += acknowledged.keys().filter(|id| is_waiting(&process.history(id))).count();
        for (conversation, messages) in &acknowledged {
            check_history(&process.replied(conversation), messages, &format!("round {round}, killed after {moment:?}"));
        }
        tally.catch_ups.push(caught_up.elapsed());
        process.check_answers();
        tally.acknowledged.extend(acknowledged);
    }
    for (conversation, messages) in &tally.acknowledged {
        check_history(&process.replied(conversation), messages, "at the end");
    }
    tally.print(rounds);
    assert!(tally.messages() > rounds * 3, "so few acknowledgements prove nothing");
}

/// Lets four clients talk, and kills the server in the midst of it; what each was told, and what it was about to be told.
fn kill_under_load(
    process: &mut Process,
    round: usize,
    moment: Duration,
    random: &mut StdRng,
) -> Vec<(Acknowledged, Option<Cut>)> {
    let seeds: [u64; 4] = std::array::from_fn(|_| random.random_range(0..u64::MAX));
    let (client, child) = (&process.client, &mut process.child);
    let told = std::thread::scope(|scope| {
        let talking = |(number, seed)| scope.spawn(move || talk(client, &format!("{round}-{number}"), seed));
        let clients: Vec<_> = seeds.into_iter().enumerate().map(talking).collect();
        std::thread::sleep(moment);
        child.kill().unwrap();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    process.kill();
    told
}

/// Who heard nothing says it again with the same key: it is there once, whether it had arrived or not.
fn say_again_what_was_cut(
    process: &Process,
    told: Vec<(Acknowledged, Option<Cut>)>,
    tally: &mut Tally,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for (told, cut) in told {
        acknowledged.extend(told);
        let Some((conversation, key, text)) = cut else { continue };
        let again = process.say(&conversation, &json!({ "text": text, "key": key }));
        assert_eq!(again.status, 202, "{}", again.text);
        let again = again.json();
        tally.cut += 1;
        tally.only_answer_lost += usize::from(again["repeated"] == true);
        acknowledged.entry(conversation).or_default().insert(again["message"].as_i64().unwrap(), (key, text));
    }
    acknowledged
}

/// What all rounds together showed.
#[derive(Default)]
struct Tally {
    acknowledged: Acknowledged,
    cut: usize,
    only_answer_lost: usize,
    open: usize,
    starts: Vec<Duration>,
    catch_ups: Vec<Duration>,
}

impl Tally {
    fn messages(&self) -> usize {
        self.acknowledged.values().map(BTreeMap::len).sum()
    }

    /// After every check has passed: hence the zeros.
    fn print(&self, rounds: usize) {
        let ms = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort();
            let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_millis();
            format!("{} / {}", percentile(50), percentile(99))
        };
        let rows = [
            ("kill -9 under load, rounds", rounds.to_string()),
            ("conversations", self.acknowledged.len().to_string()),
            ("messages acknowledged, each there once and in order", self.messages().to_string()),
            ("acknowledged messages lost, doubled or out of order", "0".to_owned()),
            ("messages cut in mid-request, said again with the same key", self.cut.to_string()),
            ("  of these stored before the kill: only the answer was lost", self.only_answer_lost.to_string()),
            ("conversations still open right after the restart", self.open.to_string()),
            ("questions left without a reply, or replied to twice", "0".to_owned()),
            ("restart to ready, ms, p50 / p99", ms(&self.starts)),
            ("ready to everything answered, ms, p50 / p99", ms(&self.catch_ups)),
        ];
        for (what, value) in rows {
            println!("| {what:62} | {value:>14} |");
        }
    }
}

/// One customer after the other, each with up to five messages, until the server is gone.
fn talk(client: &Client, name: &str, seed: u64) -> (Acknowledged, Option<Cut>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut told = Acknowledged::new();
    for number in 0.. {
        let Ok(started) = client.try_post("/v1/conversations", &json!({})) else { break };
        let conversation = started.json()["id"].as_str().unwrap().to_owned();
        for message in 0..random.random_range(1..6) {
            let text = QUESTIONS[random.random_range(0..QUESTIONS.len())].0.to_owned();
            let key = format!("{name}-{number}-{message}");
            let path = format!("/v1/conversations/{conversation}/messages");
            match client.try_post(&path, &json!({ "text": text, "key": key })) {
                Ok(answer) if answer.status == 202 => {
                    let number = answer.json()["message"].as_i64().unwrap();
                    let before = told.entry(conversation.clone()).or_default().insert(number, (key, text));
                    assert!(before.is_none(), "message {number} was given twice");
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                Err(_) => return (told, Some((conversation, key, text))),
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
        }
    }
    (told, None)
}

/// The given seed, or the clock's; printed, so that a failure can be repeated.
pub(super) fn seed() -> u64 {
    let seed = std::env::var("DESKHAND_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond().unsigned_abs());
    println!("DESKHAND_SEED={seed}");
    seed
}
