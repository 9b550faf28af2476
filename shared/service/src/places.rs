//! The limit of open connections per address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::Limits;
use crate::networks::household;

/// The connections of each address.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<IpAddr, usize>>);

impl Places {
    /// A place for one more connection; `None` when the address has all of its own.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let counted = !limits.trusted_proxies.contains(address) && !limits.unlimited.contains(address);
        let address = household(address);
        if counted {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let held = held.entry(address).or_default();
            if *held >= limits.connections_per_address {
                return None;
            }
            *held += 1;
        }
        Some(Place { places: counted.then(|| Arc::clone(self)), address })
    }
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Option<Arc<Places>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = &self.places else { return };
        let mut held = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = held.entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Networks, Setting as _};

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let proxies = Networks::parse("10.0.0.0/8").unwrap();
        let limits = Limits { connections_per_address: 2, trusted_proxies: proxies, ..Limits::default() };
        let places = Arc::new(Places::default());
        let take = |text: &str| places.take(text.parse().unwrap(), &limits);
        let (first, second) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        assert!(take("192.0.2.1").is_none());
        let other = take("192.0.2.2").unwrap();
        drop(first);
        let third = take("192.0.2.1").unwrap();
        for free in ["127.0.0.1", "10.1.2.3"] {
            assert!((0..10).all(|_| take(free).is_some()), "{free}");
        }
        drop((second, third, other));
        assert!(places.0.lock().unwrap().is_empty(), "nothing is remembered of those who left");
    }
}
