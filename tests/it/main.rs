//! The one integration-test binary: a module per flow, contracts run on every backend.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail loudly and say what it skips")]

mod at_rest;

mod caps;

mod cards;

mod composed;

mod degraded;

mod foreign;

mod generators;

mod guard;

mod hostile;

mod http;

mod index_contract;

mod knowledge_files;

mod parity;

mod process;

mod safety;

mod sample;

mod split;

mod store;

mod suite;

mod support;

mod suspected;

mod tidy;

mod tone;

mod waiting;
