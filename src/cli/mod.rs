//! What was typed, and what it runs. The only room that prints to stdout.

/// A line on stdout, which is for answers.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::to_stdout(format_args!($($text)*)) };
}

/// A line on stderr, which is for everything beside the answer.
macro_rules! aside {
    ($($text:tt)*) => { $crate::cli::to_stderr(format_args!($($text)*)) };
}

mod bench;

mod commands;

mod ingest;

mod measure;

pub mod open;

mod upkeep;

use std::{
    collections::BTreeMap,
    fmt::Arguments,
    io::{ErrorKind, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{self, Settings},
    error::{self, Cause, Error, Fault, Result},
    index::QUIET_ENGINE,
    model::{files::Models, manifest::Role},
};

/// Customer support that answers from your own documents, and hands over to a person when it is not sure enough.
#[derive(Debug, Parser)]
#[command(name = "deskhand", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Examples:
  deskhand demo                                     try it with the sample knowledge
  deskhand ask \"提现到银行卡要多久\"                   one question, one reply
  deskhand ingest docs/                             your own documents instead of the sample
  deskhand serve --config deskhand.toml             the chat and the desk
  deskhand eval run wallet --html report.html       how good are the answers?
  deskhand admin erase --customer user-4711         forget a customer

Exit codes: 0 done, 1 failed on our side, 2 wrong input, 3 busy (try again), 4 done but some files were refused.")]
pub struct Typed {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Common {
    /// Folder that holds conversations, documents and the index [default: the user's data folder]
    #[arg(long, global = true, env = "DESKHAND_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Settings in TOML over the defaults; see `deskhand admin config`
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much to log: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the models, load the sample knowledge, and serve chat and desk on this machine
    Demo(ServeOptions),
    /// Serve chat and desk with your own documents
    Serve(ServeOptions),
    /// Ask one question, as a customer would
    #[command(after_help = "Examples:
  deskhand ask \"how long does a withdrawal take?\"
  deskhand ask --json --conversation 0199b1c2-… \"那能取消吗\"")]
    Ask {
        /// The question
        question: Option<String>,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
        /// Go on with this conversation
        #[arg(long, value_name = "ID")]
        conversation: Option<uuid::Uuid>,
    },
    /// Replace the knowledge by the documents in these files and folders
    #[command(
        after_help = "Reads Markdown with front matter, JSON lines, CSV (question, answer) and HTML. Only what changed is embedded again;
documents that are no longer there are removed. A file that cannot be read is reported with file, line and
reason; the rest goes in, and the exit code is 4."
    )]
    Ingest {
        /// Files or folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Only read and report
        #[arg(long)]
        dry_run: bool,
    },
    /// Measure how good the answers are
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Measure how fast the parts are
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// List, fetch and check model weights
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Look after an installation
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Bring the data folder to this version's format
    Migrate,
}

#[derive(Debug, Args)]
struct ServeOptions {
    /// TCP port; 0 lets the system choose [default: 8080]
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum EvalCommand {
    /// Run a suite, or your own documents and questions, through the real turn
    Run(measure::EvalRun),
    /// Make a judge with a certificate from a suite's labelled questions
    Calibrate(measure::EvalCalibrate),
    /// Make a test of a conversation: a question of it becomes a labelled line of a suite
    #[command(after_help = "Examples:
  deskhand eval add --from 0199b1c2-… --to eval/suites/own --knowledge docs/
  deskhand eval add --from 0199b1c2-… --to wallet --message 3 --relevant refund-time --must")]
    Add(measure::EvalAdd),
    /// Make a run the baseline that later runs are held against
    Bless {
        /// What `deskhand eval run --json` wrote
        json: PathBuf,
        /// The baseline
        #[arg(long, default_value = "eval/baselines/wallet.json")]
        baseline: PathBuf,
        /// Why it changes
        #[arg(long)]
        why: String,
    },
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// What there is and what is here
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring a model into the cache; without a name, those that the settings name
    Fetch {
        /// Names from `deskhand models list`
        names: Vec<String>,
    },
    /// Check size and SHA-256 of a cached model
    Verify {
        /// Names from `deskhand models list`
        names: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Print every setting with its default, unit and reason
    Config,
    /// Print what the data folder holds
    Status,
    /// Erase what is kept of a customer, or one conversation: messages, replies, events, cases, tickets, contacts
    #[command(
        after_help = "Cannot be undone. The bytes are gone from the database's files when this returns: they are written anew, which takes a
second for some 50 MB, and a running server's customers wait so long. A line in the audit says who, when and how much,
not what.

Examples:
  deskhand admin erase --customer user-4711 --dry-run
  deskhand admin erase --customer user-4711 --by \"Ann, request 2026-118\"
  deskhand admin erase --conversation 0199b1c2-…"
    )]
    Erase {
        #[command(flatten)]
        whose: EraseWhose,
        /// Only count
        #[arg(long)]
        dry_run: bool,
        /// Who erases, for the audit [default: the user's name on this machine]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Print who erased how much, and when
    #[command(
        after_help = "A subject is a hash: `printf %s user-4711 | sha256sum` begins with the digits of that customer's."
    )]
    Audit {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Reports on what is stored, without showing any of it
    #[command(subcommand)]
    Report(ReportCommand),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EraseWhose {
    /// All conversations that the host application started with this customer id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// One conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<uuid::Uuid>,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// How many secrets were masked, by day (UTC) and kind
    #[command(after_help = "Counted in the messages that are kept: what was erased counts no more.

Examples:
  deskhand admin report redactions
  deskhand admin report redactions --days 30 --json")]
    Redactions {
        /// Only the last days
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command on the command line and prints what went wrong, once.
pub fn main() -> ExitCode {
    let typed = Typed::parse();
    match run(typed) {
        Ok(code) => code,
        Err(error) => {
            aside!("error: {}", error::chain(&error));
            if let Some(hint) = hint(&error) {
                aside!("hint: {hint}");
            }
            match error.fault() {
                Fault::Caller => ExitCode::from(2),
                Fault::Load => ExitCode::from(3),
                Fault::Ours => ExitCode::from(1),
            }
        }
    }
}

/// Whoever read the lines may have gone, as in `deskhand models list | head -1`: nobody is left to tell, and it ends quietly.
fn to_stdout(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(cause) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        if cause.kind() != ErrorKind::BrokenPipe {
            aside!("error: writing to standard output: {cause}");
            std::process::exit(1);
        }
        std::process::exit(0);
    }
}

/// What nobody hears any more is no reason to stop.
fn to_stderr(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn run(typed: Typed) -> Result<ExitCode> {
    let mut flags: BTreeMap<&str, String> = BTreeMap::new();
    if let Some(level) = &typed.common.log {
        flags.insert("log.level", level.clone());
    }
    if let Command::Demo(ServeOptions { port: Some(port) }) | Command::Serve(ServeOptions { port: Some(port) }) =
        &typed.command
    {
        flags.insert("server.port", port.to_string());
    }
    let settings = Settings::load(typed.common.config.as_deref(), std::env::vars(), &flags, &models_by_key())?;
    let quiet = !matches!(typed.command, Command::Demo(_) | Command::Serve(_)) && typed.common.log.is_none();
    start_log(&settings, quiet)?;
    for name in config::foreign_variables(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!("the environment variable {name} is no setting and was passed over");
    }
    let data = match typed.common.data {
        Some(data) => data,
        None => default_data()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::outside("starting the runtime"))?;
    runtime.block_on(commands::run(typed.command, data, settings))
}

/// Which models the settings may name. Where the cache cannot be looked at, whoever needs a model says so.
fn models_by_key() -> Vec<(&'static str, Vec<String>)> {
    let Ok(models) = Models::from_env() else { return Vec::new() };
    let of = |role: Role| models.list().into_iter().filter(move |model| model.role == role).map(|model| model.name);
    let embedders = of(Role::Embedder).chain(["none".to_owned()]).collect();
    vec![("model.embedder", embedders), ("model.generator", of(Role::Generator).collect())]
}

/// What a person can do about an error, when the error alone does not say it.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Weights { .. } => Some("`deskhand models list` shows every source and where a file can be put by hand"),
        Error::Index { .. } => Some(
            "the index is made from the store: stop other deskhand processes on this data folder, or delete its `index` folder and start again",
        ),
        Error::File { cause, .. } => match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Some("make room on that disk and start again; what was acknowledged is safe")
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(
                "whoever runs deskhand must be able to write there; `--data DIR` names another data folder, DESKHAND_MODELS another model cache",
            ),
            _ => None,
        },
        Error::Outside { cause, .. } if is_taken(cause) => {
            Some("another program, perhaps another deskhand, listens there; `--port N` takes another port")
        }
        Error::Settings(_) => Some("`deskhand admin config` prints every setting with its default"),
        _ => None,
    }
}

fn is_taken(cause: &Cause) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::AddrInUse)
}

/// Logs go to stderr: stdout is for answers. `quiet` keeps a one-shot command to warnings. The index engine is heard when
/// the level names it.
fn start_log(settings: &Settings, quiet: bool) -> Result<()> {
    let level = if quiet { "warn" } else { settings.log.level.as_str() };
    let filter = EnvFilter::try_new(format!("{QUIET_ENGINE},{level}")).map_err(|_| {
        Error::Settings(vec![format!(
            "  log.level: found `{level}`, expected a level such as info, or info,deskhand::turn=debug"
        )])
    })?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .log_internal_errors(false);
    let started = if settings.log.format == "json" { builder.json().try_init() } else { builder.try_init() };
    started.map_err(Error::outside("starting the log"))
}

fn default_data() -> Result<PathBuf> {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    home("XDG_DATA_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".local/share")))
        .map(|folder| folder.join("deskhand"))
        .ok_or_else(|| Error::invalid("the data folder", "neither HOME nor XDG_DATA_HOME", "`--data DIR`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Typed::command().debug_assert();
    }
}
