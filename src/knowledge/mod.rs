//! HOW DO DOCUMENTS BECOME POINTS? Files are read, bodies are cut into chunks.
//!
//! [`read`] turns a maintainer's files into documents and says what is wrong with the others; [`chunk`] and
//! [`sentences`] are pure; [`overlap`] finds documents that say the same thing twice.

pub mod read;

pub mod chunk;

pub mod sentences;

pub mod overlap;

pub mod publish;

pub mod sample;

pub mod vectors;
