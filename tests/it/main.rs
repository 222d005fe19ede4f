//! The one integration-test binary: a module per flow, contracts run on every backend.

mod generators;

mod http;

mod index_contract;

mod knowledge_files;

mod parity;

mod safety;

mod store;
