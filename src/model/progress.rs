//! How does a person see that a download lives? Bars on a terminal, plain lines elsewhere, always on stderr.

use std::{
    io::{IsTerminal, Write},
    sync::Mutex,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Where news of a fetch goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Silent,
    Lines,
    Bars,
}

impl Progress {
    /// Bars if stderr is a terminal, lines if it is not.
    pub fn stderr() -> Self {
        let style = if std::io::stderr().is_terminal() { Style::Bars } else { Style::Lines };
        Progress { style }
    }

    /// No news.
    pub fn silent() -> Self {
        Progress { style: Style::Silent }
    }

    /// Whether anything is shown.
    pub fn shown(&self) -> bool {
        self.style != Style::Silent
    }

    /// One sentence.
    pub fn say(&self, text: &str) {
        if self.style != Style::Silent {
            // A closed stderr is no reason to stop a download.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Starts to count `total_bytes` of `what`.
    pub(crate) fn count(&self, what: &str, total_bytes: u64) -> Count {
        let bar = (self.style == Style::Bars).then(|| {
            let bar = ProgressBar::new(total_bytes);
            if let Ok(style) =
                ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar
        });
        Count { progress: *self, what: what.to_owned(), total_bytes, bar, told_tenths: Mutex::new(0) }
    }
}

/// A running count of bytes.
pub(crate) struct Count {
    progress: Progress,
    what: String,
    total_bytes: u64,
    bar: Option<ProgressBar>,
    told_tenths: Mutex<u64>,
}

impl Count {
    /// So many bytes are here now, in all.
    pub(crate) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes.min(self.total_bytes));
        } else if self.progress.style == Style::Lines {
            let tenths = bytes.saturating_mul(10) / self.total_bytes.max(1);
            let Ok(mut told) = self.told_tenths.lock() else { return };
            if tenths > *told {
                *told = tenths;
                let (have, of) = (bytes.min(self.total_bytes) / 1_000_000, self.total_bytes / 1_000_000);
                self.progress.say(&format!("{}: {have} of {of} MB", self.what));
            }
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
