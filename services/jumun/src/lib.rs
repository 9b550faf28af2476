//! The command `jumun`: the whole shop on one machine, and the proof that its books are right.

mod attention;
mod command;
mod dead_letters;
mod home;
mod listen;
mod migrate;
mod order;
mod output;
mod products;
mod provider;
mod ready;
mod refund;
mod seed;
mod statement;
mod store;
mod up;
mod variables;
mod verify;

pub use command::{documented, main};
pub use up::Topology;
