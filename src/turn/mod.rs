//! WHAT DO WE REPLY? The pure half of the room: what a turn starts from, what it ends in, the written case, and
//! the check of every sentence.

pub mod asked;

pub mod case;

pub mod ground;

pub mod reply;
