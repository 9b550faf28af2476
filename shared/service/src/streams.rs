//! Answers that do not end by themselves, such as server-sent events: their limit. They do not count as requests
//! in work.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;
use crate::places::{Place, Places};

/// Marks an answer, as an extension, whose body goes on and on. Its connection serves nothing else any more,
/// so it gives back its place among [`Limits::connections`] and those of its address: pages that are merely open must
/// not keep buyers out. Whoever gives such an answer has a limit of its own: [`Streams`].
///
/// Shutdown waits for the body as for any other, so it has to end by itself then.
#[derive(Debug, Clone, Copy)]
pub struct Lasting;

/// Places for lasting answers.
#[derive(Debug)]
pub struct Streams {
    all: Arc<Semaphore>,
    /// One address may have as many of them as connections of other kinds.
    addresses: Arc<Places>,
    limits: Limits,
}

impl Streams {
    /// Room for `most` of them.
    pub fn new(most: usize, limits: &Limits) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), addresses: Arc::default(), limits: limits.clone() }
    }

    /// A place for one more, to be held until it ends; `None` when there is none, in all or for that address.
    pub fn take(&self, address: Option<IpAddr>) -> Option<StreamPlace> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let of_address = match address {
            Some(address) => Some(self.addresses.take(address, &self.limits)?),
            None => None,
        };
        Some(StreamPlace { _of_all: of_all, _of_address: of_address })
    }
}

/// One place, free again when dropped.
#[derive(Debug)]
pub struct StreamPlace {
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_in_all_and_for_each_address() {
        let streams = Streams::new(3, &Limits { connections_per_address: 2, ..Limits::default() });
        let take = |text: &str| streams.take(Some(text.parse().unwrap()));
        let one = [take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap()];
        assert!(take("192.0.2.1").is_none(), "this address has its own");
        let other = take("192.0.2.2").unwrap();
        assert!(take("192.0.2.3").is_none(), "and there are no more");
        drop((one, other));
        drop([(); 3].map(|()| streams.take(None).unwrap()));
    }
}
