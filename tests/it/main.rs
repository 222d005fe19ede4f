//! The one integration-test binary: a module per flow, contracts run on every backend.

mod index_contract;

mod parity;

mod store;
