//! The command `jumun`: the whole shop on one machine, and the proof that its books are right.

mod command;
mod dead_letters;
mod home;
mod listen;
mod output;
mod ready;
mod refund;
mod seed;
mod store;
mod up;
mod variables;
mod verify;

pub use command::{documented, main};
