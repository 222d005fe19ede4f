//! WHO TAKES OVER? Agents take a ticket, answer its customer, close it or hand it back to the bot.
//!
//! ```text
//! handoff -> open -> take -> taken -> reply, reply ... -> close (clean start) | hand back (the bot goes on)
//! ```
//! Thin on purpose: the queue itself is the store's. What is added here is what the customer is told: every act leaves
//! a `message` event in the conversation.

pub mod queue;
