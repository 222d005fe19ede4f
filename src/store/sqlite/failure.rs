//! What went wrong below, and what that means for whoever runs the program: a full disk, a folder that cannot be
//! written, another process that holds the database, a damaged file.

use std::{io, path::Path, sync::Arc};

use crate::error::{Cause, Error};

/// A failure inside the store, before its act and file are named.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database said no.
    Database(Arc<sqlx::Error>),
    /// What was stored cannot be read back.
    Unreadable(Cause),
    /// One of our own rules said no; passed on as it is.
    Rule(Error),
}

impl From<sqlx::Error> for Failure {
    fn from(cause: sqlx::Error) -> Self {
        Failure::Database(Arc::new(cause))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Rule(error)
    }
}

// Primary result codes, <https://www.sqlite.org/rescode.html>; the low byte of an extended code.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IO: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

impl Failure {
    pub(super) fn unreadable<E: Into<Cause>>(cause: E) -> Self {
        Failure::Unreadable(cause.into())
    }

    /// The error for the caller: `act` in the -ing form, `path` the database.
    pub(super) fn into_error(self, act: &'static str, path: &Path) -> Error {
        let cause = match self {
            Failure::Rule(error) => return error,
            Failure::Unreadable(cause) => return Error::Store { act, cause },
            Failure::Database(cause) => cause,
        };
        match &*cause {
            sqlx::Error::PoolTimedOut => {
                return Error::Busy { what: "the store's reading queue", limit: super::READERS as usize };
            }
            sqlx::Error::PoolClosed => return Error::Stopped("the store"),
            _ => {}
        }
        let file = |kind: io::ErrorKind, said: String| {
            let act = "writing the database";
            Error::File { act, path: path.to_owned(), cause: io::Error::new(kind, said) }
        };
        match primary_code(&cause) {
            Some(FULL) => file(io::ErrorKind::StorageFull, format!("the disk is full ({cause})")),
            Some(READONLY | CANNOT_OPEN) => {
                file(io::ErrorKind::PermissionDenied, format!("the file or its folder cannot be written ({cause})"))
            }
            Some(IO) => file(io::ErrorKind::Other, cause.to_string()),
            Some(BUSY | LOCKED) => {
                let said = format!("another process holds {}; stop it, or try again ({cause})", path.display());
                Error::Store { act, cause: said.into() }
            }
            Some(CORRUPT | NOT_A_DATABASE) => damaged(path, &cause.to_string()),
            _ => Error::Store { act, cause: cause.into() },
        }
    }
}

/// The file is not what we can work with. It is never changed.
pub(super) fn damaged(path: &Path, why: &str) -> Error {
    let said = format!(
        "{} is damaged or not ours: {why}; the file was left as it was. Put a backup in its place, or move it away to start empty",
        path.display()
    );
    Error::Store { act: "opening", cause: said.into() }
}

fn primary_code(cause: &sqlx::Error) -> Option<i32> {
    let code: i32 = cause.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
