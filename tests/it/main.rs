//! The integration tests, one binary: a whole shop over real HTTP and a real PostgreSQL, told as a shop floor would.

mod crashes;
mod faults;
mod messages;
mod notifications;
mod orders;
mod pages;
mod purchase;
mod strangers;
