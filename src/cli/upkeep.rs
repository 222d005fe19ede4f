//! Looking after what is kept: erasing by age and on request, the audit, the report of masks.

use std::{path::Path, process::ExitCode, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::{EraseWhose, open::open_store};
use crate::{
    config::Settings,
    error::{self, Error, Result},
    store::{Erased, Store, Whose},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Conversations erased in one commit: few enough that customers' writes do not wait noticeably.
const BATCH: u32 = 100;
/// How long upkeep waits when it failed: a full disk is not mended within seconds.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// A reader in another process may hold the log for a moment.
const TRIES: usize = 10;

/// Erases what is older than `retention_days` (0: nothing), now and once a day, and takes what was erased out of the
/// files. Never ends.
pub(super) async fn daily(store: &Store, retention_days: u32) {
    loop {
        let wait = match keep_up(store, retention_days).await {
            Ok(()) => DAY,
            Err(error) => {
                tracing::error!(again_in_s = AGAIN.as_secs(), "upkeep failed: {}", error::chain(&error));
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn keep_up(store: &Store, retention_days: u32) -> Result<()> {
    if retention_days > 0 {
        let before_ms = Timestamp::now().as_millisecond() - i64::from(retention_days) * DAY_MS;
        let erased = erase_older(store, before_ms).await?;
        if erased.conversations > 0 {
            tracing::info!(
                conversations = erased.conversations,
                messages = erased.messages,
                tickets = erased.tickets,
                retention_days,
                "erased what was older than store.retention_days"
            );
        }
        let overdue = store.overdue_tickets(before_ms).await?;
        if overdue > 0 {
            tracing::warn!(tickets = overdue, retention_days, "tickets that nobody has closed keep old conversations");
        }
    }
    if !store.scrub().await? {
        tracing::warn!("erased bytes may still stand in the store's files; they are scrubbed tomorrow");
    }
    Ok(())
}

/// All of it, batch by batch.
async fn erase_older(store: &Store, before_ms: i64) -> Result<Erased> {
    let mut all = Erased::default();
    loop {
        let erased = store.erase_older(before_ms, BATCH).await?;
        all += erased;
        if erased.conversations < u64::from(BATCH) {
            return Ok(all);
        }
    }
}

/// `deskhand admin erase`.
pub(super) async fn erase(
    data: &Path,
    settings: &Settings,
    whose: EraseWhose,
    dry_run: bool,
    by: Option<String>,
) -> Result<ExitCode> {
    let whose = match (whose.customer, whose.conversation) {
        (Some(id), None) => Whose::Customer(id),
        (None, Some(id)) => Whose::Conversation(id),
        _ => return Err(Error::invalid("whose data", "both or neither", "--customer ID or --conversation ID")),
    };
    let store = open_store(data, settings).await?;
    if dry_run {
        say!("would erase {}", in_words(&store.held(whose).await?));
        store.close().await;
        return Ok(ExitCode::SUCCESS);
    }
    let who = by.or_else(|| std::env::var("USER").ok()).filter(|who| !who.trim().is_empty());
    let erased = store.erase(whose, who.unwrap_or_else(|| "unnamed".to_owned())).await?;
    let mut is_scrubbed = store.scrub().await?;
    for _ in 1..TRIES {
        if is_scrubbed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        is_scrubbed = store.scrub().await?;
    }
    store.close().await;
    say!("erased {}", in_words(&erased));
    if !is_scrubbed {
        aside!(
            "note: another process is reading the database, so the erased bytes still stand in its log; the server takes them out at its next start or within a day"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(erased: &Erased) -> String {
    let counted = |count: u64, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    format!(
        "{} with {}, {}, {}, {}",
        counted(erased.conversations, "conversation"),
        counted(erased.messages, "message"),
        counted(erased.events, "event"),
        counted(erased.tickets, "ticket"),
        counted(erased.contacts, "contact field")
    )
}

/// `deskhand admin audit`.
pub(super) async fn audit(data: &Path, settings: &Settings, json: bool) -> Result<ExitCode> {
    let store = open_store(data, settings).await?;
    let lines = store.audit().await?;
    store.close().await;
    if json {
        say!("{}", serde_json::to_string_pretty(&lines).map_err(Error::outside("writing the audit"))?);
        return Ok(ExitCode::SUCCESS);
    }
    for line in &lines {
        let at = Timestamp::from_millisecond(line.at_ms).map_err(Error::outside("reading a time"))?;
        let at = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC");
        say!("{at}  {} by {}: {}; {}", line.act, line.who, in_words(&line.counts), line.subject);
    }
    if lines.is_empty() {
        say!("nothing was erased yet");
    }
    Ok(ExitCode::SUCCESS)
}

/// `deskhand admin report redactions`.
pub(super) async fn redactions(data: &Path, settings: &Settings, days: Option<u32>, json: bool) -> Result<ExitCode> {
    let store = open_store(data, settings).await?;
    let since_ms = days.map_or(0, |days| Timestamp::now().as_millisecond() - i64::from(days) * DAY_MS);
    let found = store.redactions(since_ms).await?;
    store.close().await;
    if json {
        let days: Vec<_> = found.iter().map(|(day, kinds)| json!({ "day": day, "masks": kinds })).collect();
        say!("{}", serde_json::to_string_pretty(&days).map_err(Error::outside("writing the report"))?);
        return Ok(ExitCode::SUCCESS);
    }
    for (day, kinds) in &found {
        for (kind, count) in kinds {
            say!("{day}  {kind:14} {count:>8}");
        }
    }
    if found.is_empty() {
        say!("nothing was masked");
    }
    Ok(ExitCode::SUCCESS)
}
