//! What went wrong, whose fault it is, and how the chain of causes is printed. Names no room.
//!
//! One enum for the program: a variant is named for the act that failed, carries its context, and keeps the
//! cause in `#[source]`, never in its own text. Status codes stand in `http/error.rs`, exit codes in `cli.rs`.

use std::path::{Path, PathBuf};

/// Any cause from below: a library's error, kept whole.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Shorthand used by every room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can fail in Deskhand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input that breaks a rule; the text says what was found and what is allowed.
    #[error("{what}: found {found}, expected {expected}")]
    Invalid {
        /// What was read, for instance `the question`.
        what: String,
        /// What stood there, shortened and free of secrets.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// All faults of a configuration at once, one line each.
    #[error("{} in the configuration:\n{}", plural(.0.len(), "fault"), .0.join("\n"))]
    Settings(Vec<String>),
    /// A thing asked for by its id is not there.
    #[error("no {what} `{id}`")]
    NotFound {
        /// The kind of thing, for instance `conversation`.
        what: &'static str,
        /// Its id as asked for.
        id: String,
    },
    /// The caller has not shown who they are, or may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Too much work at once: a bounded queue is full.
    #[error("{what} is full ({limit} waiting)")]
    Busy {
        /// The queue, for instance `the embedding queue`.
        what: &'static str,
        /// How many it holds.
        limit: usize,
    },
    /// A file or folder could not be read or written.
    #[error("{act} {}", path.display())]
    File {
        /// The act in the -ing form, for instance `reading`.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// A model's weights could not be had, read or verified.
    #[error("model `{model}`: {problem}")]
    Weights {
        /// The manifest's name.
        model: String,
        /// What is wrong, and what to do by hand.
        problem: String,
        /// The cause, when a library or the system gave one.
        #[source]
        cause: Option<Cause>,
    },
    /// A model was running and failed.
    #[error("running {0}")]
    Inference(&'static str, #[source] Cause),
    /// The index could not be searched or written. Never to be read as "no passages".
    #[error("{act} the index")]
    Index {
        /// The act in the -ing form, for instance `searching`.
        act: &'static str,
        /// What the engine said.
        #[source]
        cause: Cause,
    },
    /// The store could not be read or written.
    #[error("{act} the store")]
    Store {
        /// The act in the -ing form, for instance `adding a message to`.
        act: &'static str,
        /// What the database said.
        #[source]
        cause: Cause,
    },
    /// Another thing outside our code failed: a template, a listener, a child process.
    #[error("{act}")]
    Outside {
        /// The act in the -ing form.
        act: String,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// A worker thread or task is gone: it panicked or the program is stopping.
    #[error("{0} has stopped")]
    Stopped(&'static str),
}

/// Who can act on an error. Decides the log level and whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller can mend it.
    Caller,
    /// Waiting mends it.
    Load,
    /// Only we, or the machine's owner, can mend it.
    Ours,
}

impl Error {
    /// Whose turn it is to act.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Invalid { .. } | Error::Settings(_) | Error::NotFound { .. } | Error::Forbidden(_) => Fault::Caller,
            Error::Busy { .. } => Fault::Load,
            Error::File { .. }
            | Error::Weights { .. }
            | Error::Inference(..)
            | Error::Index { .. }
            | Error::Store { .. }
            | Error::Outside { .. }
            | Error::Stopped(_) => Fault::Ours,
        }
    }

    /// Input that breaks a rule.
    pub fn invalid(what: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Error::Invalid { what: what.into(), found: found.into(), expected: expected.into() }
    }

    /// For `map_err` on file work: `std::fs::read(&path).map_err(Error::file("reading", &path))`.
    pub fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Error::File { act, path, cause }
    }

    /// For `map_err` on a file that the caller has named: one that is not there, is none, or is closed to them is theirs to
    /// mend. A disk that fails stays ours.
    pub fn named(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        use std::io::ErrorKind::{
            AlreadyExists, InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        };
        let path = path.into();
        move |cause| match cause.kind() {
            NotFound => Error::invalid(named(what, &path), "no such file or folder", "one that is there"),
            NotADirectory | AlreadyExists => Error::invalid(named(what, &path), cause.to_string(), "a folder"),
            IsADirectory => Error::invalid(named(what, &path), "a folder", "a file"),
            PermissionDenied => Error::invalid(named(what, &path), cause.to_string(), "one that this user may use"),
            InvalidData | InvalidInput => Error::invalid(named(what, &path), cause.to_string(), "a file of UTF-8 text"),
            _ => Error::File { act: "using", path, cause },
        }
    }

    /// For `map_err` on model work.
    pub fn inference<E: Into<Cause>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Error::Inference(what, cause.into())
    }

    /// For `map_err` on index work: `.map_err(Error::index("searching"))`.
    pub fn index<E: Into<Cause>>(act: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Error::Index { act, cause: cause.into() }
    }

    /// For `map_err` on store work.
    pub fn store<E: Into<Cause>>(act: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Error::Store { act, cause: cause.into() }
    }

    /// For `map_err` on anything else outside.
    pub fn outside<E: Into<Cause>>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        let act = act.into();
        move |cause| Error::Outside { act, cause: cause.into() }
    }
}

/// The error and its causes on one line, outermost first: `searching the index: shard is closed`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

fn named(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}

/// `1 document`, `2 documents`.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let error = Error::file("reading", "/nowhere")(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "reading /nowhere: disk on fire");
    }

    #[test]
    fn a_path_that_was_mistyped_is_the_callers_to_mend_and_a_failing_disk_is_ours() {
        let of = |kind| Error::named("the suite", "/nowhere")(std::io::Error::from(kind));
        let missing = of(std::io::ErrorKind::NotFound);
        assert_eq!(missing.to_string(), "the suite /nowhere: found no such file or folder, expected one that is there");
        assert_eq!(missing.fault(), Fault::Caller);
        assert_eq!(of(std::io::ErrorKind::StorageFull).fault(), Fault::Ours);
    }

    #[test]
    fn configuration_faults_are_counted() {
        let error = Error::Settings(vec!["a".into(), "b".into()]);
        assert_eq!(error.to_string(), "2 faults in the configuration:\na\nb");
    }
}
