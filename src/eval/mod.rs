//! ARE WE GOOD? Labelled questions go through the real `turn::Bot::turn`; out come figures with intervals, a report
//! that people can read, and a calibrated judge with a certificate.
//!
//! ```text
//! suite -> run -> records -> metrics  -> report (JSON, Markdown, one HTML file)
//!                         -> baseline -> flips, and whether the build may pass
//!                         -> calibrate -> a judge file with its thresholds and certificates
//! ```
//!
//! Everything behind [`record::Record`] is pure and knows nothing about the bot: figures are made from plain data, so a
//! finished run can be read back and judged again. Invariants: the checks in [`answers`] share nothing with
//! `turn/ground.rs`; no figure is fitted on the questions that it scores; a figure that does not exist is null, never 0.

pub mod suite;

pub mod add;

pub mod record;

pub mod run;

pub mod resume;

mod subset;

pub mod answers;

pub mod cases;

pub mod statements;

pub mod metrics;

pub mod intervals;

pub mod blame;

pub mod baseline;

pub mod calibrate;

pub mod certify;

pub mod fit;

pub mod report;

pub mod html;

mod plots;
