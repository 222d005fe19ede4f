//! One hostile message, and every mutation there is.

use super::{codes, dice::Dice, keys, leak::Secret, phrases};

/// A message that holds something to hide.
#[derive(Debug, Clone)]
pub struct Message {
    pub text: String,
    pub hidden: Vec<Secret>,
}

impl Message {
    pub fn hiding(text: String, hidden: Vec<Secret>) -> Self {
        Message { text, hidden }
    }
}

/// A way to write a secret: its name in the table, and the maker of a message.
pub type Mutation = (&'static str, fn(&mut Dice) -> Message);

pub fn mutations() -> Vec<Mutation> {
    [phrases::MUTATIONS, keys::MUTATIONS, codes::MUTATIONS].concat()
}
