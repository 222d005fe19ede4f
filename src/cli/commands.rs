//! One function per command.

use std::{
    fs::{File, TryLockError},
    io::{IsTerminal, Read as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::{
    AdminCommand, Command, EvalCommand, ModelsCommand, ReportCommand, bench, ingest, measure,
    open::{Deskhand, Wanted, make_private, must_hold_a_store},
    upkeep,
};
use crate::{
    config::{self, Secret, Settings},
    error::{Error, Result},
    http,
    model::{files::Models, progress::Progress},
    store::Store,
    turn::{Bot, reply::Reply},
};

pub(super) async fn run(command: Command, data: PathBuf, settings: Settings) -> Result<ExitCode> {
    match command {
        Command::Demo(_) => serve(&data, settings, true).await,
        Command::Serve(_) => serve(&data, settings, false).await,
        Command::Ask { question, json, conversation } => ask(&data, settings, question, json, conversation).await,
        Command::Ingest { paths, dry_run } => ingest::run(&data, settings, &paths, dry_run).await,
        Command::Eval(EvalCommand::Run(options)) => measure::eval_run(settings, options).await,
        Command::Eval(EvalCommand::Calibrate(options)) => measure::eval_calibrate(&data, settings, options).await,
        Command::Eval(EvalCommand::Add(options)) => measure::eval_add(&data, &settings, options).await,
        Command::Eval(EvalCommand::Bless { json, baseline, why }) => measure::eval_bless(&json, &baseline, &why),
        Command::Bench(command) => bench::run(settings, command).await,
        Command::Models(command) => models(&settings, command),
        Command::Admin(AdminCommand::Config) => {
            say!("{}", config::DEFAULTS.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin(AdminCommand::Status) => status(&data, settings).await,
        Command::Admin(AdminCommand::Erase { whose, dry_run, by }) => {
            upkeep::erase(&data, &settings, whose, dry_run, by).await
        }
        Command::Admin(AdminCommand::Audit { json }) => upkeep::audit(&data, &settings, json).await,
        Command::Admin(AdminCommand::Report(ReportCommand::Redactions { days, json })) => {
            upkeep::redactions(&data, &settings, days, json).await
        }
        Command::Migrate => {
            must_hold_a_store(&data)?;
            let deskhand = Deskhand::open(
                &data,
                settings,
                Wanted { generator: false, sample: false, progress: true, shared_vectors: false },
            )
            .await?;
            say!("{} is at this version's format", data.display());
            deskhand.close().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn ask(
    data: &Path,
    settings: Settings,
    question: Option<String>,
    json: bool,
    conversation: Option<Uuid>,
) -> Result<ExitCode> {
    let question = match question {
        Some(question) => question,
        None => from_stdin()?,
    };
    // Checked before anything heavy is loaded.
    crate::turn::question::Question::check(&question, settings.question.limit_characters)?;
    let deskhand = Deskhand::open(
        data,
        settings,
        Wanted { generator: false, sample: true, progress: true, shared_vectors: false },
    )
    .await?;
    let id = match conversation {
        Some(id) => id,
        None => deskhand.bot.start("cli", None, None).await?.id,
    };
    let accepted = deskhand.bot.say(id, &question, None, None).await?;
    let mut out = std::io::stdout();
    let aloud = !json && out.is_terminal();
    let (reply, printed) = match accepted.turn {
        Some(turn) if aloud => print_while_it_runs(&deskhand.store, id, accepted.message, turn, &mut out).await?,
        Some(turn) => (ended(turn.await)?, String::new()),
        None => (with_person(&deskhand.bot, id, accepted.heard).await?, String::new()),
    };
    if json {
        say!("{}", serde_json::to_string(&reply).map_err(Error::outside("writing the reply"))?);
    } else {
        print_reply(&reply, &printed);
    }
    deskhand.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// What a customer is told whose conversation a person has: what the bot says to the message, or where it went.
async fn with_person(bot: &Bot, conversation: Uuid, heard: Option<JoinHandle<Option<Reply>>>) -> Result<Reply> {
    let said = match heard {
        Some(heard) => heard.await.map_err(|_| Error::Stopped("reading the message"))?,
        None => None,
    };
    match said {
        Some(reply) => Ok(reply),
        None => {
            let conversation = bot.store().conversation(conversation).await?;
            bot.added_to_case(&conversation).await?.ok_or(Error::Stopped("the case, which was closed meanwhile"))
        }
    }
}

fn ended(turn: std::result::Result<Option<Reply>, JoinError>) -> Result<Reply> {
    turn.ok().flatten().ok_or(Error::Stopped("the turn"))
}

/// Prints the sentences of the answer to `message` as they come; returns the reply and what of it was printed. Hears them
/// as the chat page does: as events of the conversation.
async fn print_while_it_runs(
    store: &Store,
    conversation: Uuid,
    message: i64,
    mut turn: JoinHandle<Option<Reply>>,
    out: &mut impl Write,
) -> Result<(Reply, String)> {
    let mut changes = store.changes();
    let (mut after, mut printed) = (0, String::new());
    loop {
        for event in store.events(conversation, after).await? {
            after = event.seq;
            if event.kind == "sentence" && event.json["message"] == message {
                let text = event.json["text"].as_str().unwrap_or_default();
                printed.push_str(text);
                let written = write!(out, "{text}").and_then(|()| out.flush());
                written.map_err(Error::outside("writing to the terminal"))?;
            }
        }
        tokio::select! {
            reply = &mut turn => return Ok((ended(reply)?, printed)),
            _ = changes.recv() => {} // Whatever was missed: the events are read again.
        }
    }
}

fn from_stdin() -> Result<String> {
    if std::io::stdin().is_terminal() {
        return Err(Error::invalid(
            "the question",
            "nothing",
            "`deskhand ask \"…\"`, or the question on standard input",
        ));
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(1 << 20).read_to_end(&mut bytes).map_err(Error::outside("reading standard input"))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::invalid("the question", format!("a byte that is not UTF-8 at offset {at}"), "UTF-8 text")
    })
}

/// Prints a reply of which `printed` stands on the terminal already.
fn print_reply(reply: &Reply, printed: &str) {
    match reply.text.strip_prefix(printed) {
        Some(rest) => say!("{rest}"),
        None => say!("\n\n{}", reply.text),
    }
    for (at, offer) in reply.offers.iter().enumerate() {
        say!("  {}. {}", at + 1, offer.title);
    }
    for citation in &reply.citations {
        say!(
            "\n[{}] {} ({}, {}..{})",
            citation.document,
            citation.title,
            citation.revision,
            citation.start,
            citation.end
        );
    }
    if let Some(case) = &reply.case {
        say!("\n--- the case, as the agent reads it ---\n{}", case.text.trim_end());
    }
    let total = reply.steps.iter().find(|step| step.step == "whole").map_or(0.0, |whole| whole.ms);
    say!(
        "\n({} · {} · confidence {:.2} · {total:.0} ms · conversation {})",
        word(&reply.outcome),
        reply.reason.code.as_str(),
        reply.confidence,
        reply.conversation
    );
}

pub(super) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn models(settings: &Settings, command: ModelsCommand) -> Result<ExitCode> {
    let models = Models::from_env()?;
    let or_set = |names: Vec<String>| {
        if names.is_empty() { vec![settings.model.embedder.clone(), settings.model.generator.clone()] } else { names }
    };
    match command {
        ModelsCommand::List { json: true } => {
            say!("{}", serde_json::to_string_pretty(&models.list()).map_err(Error::outside("writing the list"))?);
        }
        ModelsCommand::List { json: false } => {
            say!("cache: {}\n", models.cache().display());
            for model in models.list() {
                let size =
                    model.size_bytes.map_or("size unknown".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6));
                say!(
                    "{:32} {:9} {:8} {:>9}  {}\n{:32} {}",
                    model.name,
                    word(&model.role),
                    word(&model.state),
                    size,
                    model.licence,
                    "",
                    model.title
                );
                for source in &model.sources {
                    say!("{:32}   {source}", "");
                }
            }
        }
        ModelsCommand::Fetch { names } => {
            for name in or_set(names) {
                say!("{}", models.fetch(&name, &Progress::stderr())?.display());
            }
        }
        ModelsCommand::Verify { names } => {
            for name in or_set(names) {
                say!("{name}: sound, {}", models.verify(&name)?.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(data: &Path, settings: Settings) -> Result<ExitCode> {
    must_hold_a_store(data)?;
    let deskhand = Deskhand::open(
        data,
        settings,
        Wanted { generator: false, sample: false, progress: false, shared_vectors: false },
    )
    .await?;
    let documents = deskhand.store.documents().await?.len();
    let tickets = deskhand.store.tickets(Default::default()).await?.len();
    say!("data folder  {}", data.display());
    say!("documents    {documents}");
    say!("points       {}", deskhand.index.count().await.unwrap_or(0));
    say!("tickets      {tickets}");
    if let Some(shelf) = deskhand.bot.shelf() {
        say!("judge        {} ({})", shelf.judge.kind, shelf.judge.about);
        for (lang, thresholds) in &shelf.judge.thresholds {
            say!("             {lang}: answers from {:.3}, offers from {:.3}", thresholds.answer, thresholds.offer);
        }
    }
    deskhand.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Serves chat and desk until Ctrl-C or SIGTERM; a demo says more.
async fn serve(data: &Path, mut settings: Settings, demo: bool) -> Result<ExitCode> {
    let started = Instant::now();
    let made = settings.server.agent_token.reveal().is_empty();
    let address = std::net::SocketAddr::new(settings.server.address, settings.server.port);
    // Before anything heavy: a port that is taken is known at once.
    let listener =
        tokio::net::TcpListener::bind(address).await.map_err(Error::outside(format!("listening on {address}")))?;
    let address = listener.local_addr().map_err(Error::outside("asking for the port"))?;
    make_private(data)?;
    let _only = only_server(data)?;
    let wanted = Wanted { generator: false, sample: true, progress: true, shared_vectors: false };
    let deskhand = Deskhand::open(data, settings.clone(), wanted).await?;
    if made {
        settings.server.agent_token = kept_token(&data.join("desk-token"))?;
    }
    // Before an address is printed and a question taken up.
    if settings.judge.require_certificate
        && deskhand.bot.shelf().is_some_and(|shelf| shelf.judge.certificates.is_empty())
    {
        deskhand.close().await?;
        return Err(Error::invalid(
            "judge.require_certificate",
            "a judge without a certificate",
            "one made by `deskhand eval calibrate`",
        ));
    }
    let resumed = deskhand.bot.resume().await?;
    if resumed > 0 {
        tracing::info!(conversations = resumed, "took up questions that a stop left open");
    }
    say!("chat   http://{address}/");
    say!("desk   http://{address}/desk");
    if made {
        say!("token  {}   (opens the desk)", settings.server.agent_token.reveal());
    } else if demo {
        // A secret from the settings is never printed.
        say!("token  as set in server.agent_token   (opens the desk)");
    }
    if let Some(shelf) = deskhand.bot.shelf() {
        let documents = shelf.documents().count();
        say!(
            "ready in {:.1} s with {documents} documents; judge: {}",
            started.elapsed().as_secs_f64(),
            shelf.judge.kind
        );
        let default_cards = shelf.default_cards();
        if !default_cards.is_empty() {
            tracing::warn!(
                count = default_cards.len(),
                "situations that only a default card answers: {}; a document of that id and `kind: card` replaces it",
                default_cards.join(", ")
            );
        }
        if shelf.judge.certificates.is_empty() {
            tracing::warn!(
                "no certificate: the shipped judge decides; `deskhand eval calibrate` makes one from labelled questions"
            );
        }
    } else {
        say!("ready in {:.1} s without documents: `deskhand ingest PATH` brings some", started.elapsed().as_secs_f64());
    }
    if settings.store.key().is_some() {
        tracing::info!("contact data is kept with its ticket, encrypted");
    } else {
        tracing::warn!("phone numbers and e-mail addresses are masked and not kept: store.contact_key is not set");
    }
    let watch = deskhand.watch();
    let upkeep = upkeep::daily(&deskhand.store, settings.store.retention_days);
    let served = tokio::select! {
        served = http::serve(deskhand.bot.clone(), settings, listener, stop_signal()) => served,
        () = watch => Ok(()),
        () = upkeep => Ok(()),
    };
    deskhand.close().await?;
    served.map(|()| ExitCode::SUCCESS)
}

/// One server for a data folder: an agent's page that is open at one would hear nothing of what is said at the other. Held
/// by the operating system, so a killed server lets go of it; other commands work beside it.
fn only_server(data: &Path) -> Result<File> {
    let path = data.join("serve.lock");
    let file = File::create(&path).map_err(Error::file("making", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::invalid(
            "the data folder",
            format!("{}, which another server is using", data.display()),
            "one that no server uses: stop the other, or name a folder with `--data`",
        )),
        Err(TryLockError::Error(cause)) => Err(Error::file("locking", &path)(cause)),
    }
}

/// The desk's token of this data folder, made at the first start: an agent who signed in stays so over a restart.
/// Only the owner may read the file.
fn kept_token(path: &Path) -> Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(kept) if kept.trim().len() >= 16 => return Ok(Secret::new(kept.trim().to_owned())),
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(Error::file("reading", path)(cause)),
        _ => {}
    }
    let token = http::new_token();
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(Error::file("making", path))?;
    std::io::Write::write_all(&mut file, token.reveal().as_bytes()).map_err(Error::file("writing", path))?;
    Ok(token)
}

/// Resolves when the process is asked to stop.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desks_token_is_made_once_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk-token");
        let token = kept_token(&path).unwrap();
        assert_eq!(kept_token(&path).unwrap().reveal(), token.reveal());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o077, 0);
        std::fs::write(&path, "short").unwrap();
        assert_ne!(kept_token(&path).unwrap().reveal(), "short");
    }
}
