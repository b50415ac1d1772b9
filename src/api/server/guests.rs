//! How many connections one address may have: nobody takes all places.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A machine has as many followers of logs and commands in containers; the places are four times as many.
pub(super) const MOST_OF_ONE: usize = 64;

/// Those who are connected, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    address: IpAddr,
    among: Guests,
}

impl Guests {
    /// `None` for who has too many already.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MOST_OF_ONE {
            return None;
        }
        *count += 1;
        let among = self.clone();
        Some(Guest { address, among })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.among.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_gives_a_place_back_and_nobody_takes_those_of_others() {
        let guests = Guests::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mut held: Vec<Guest> = (0..MOST_OF_ONE)
            .map(|_| guests.admit(one).unwrap())
            .collect();
        assert!(guests.admit(one).is_none());
        assert!(guests.admit("192.0.2.2".parse().unwrap()).is_some());
        held.pop();
        held.push(guests.admit(one).unwrap());
        assert!(guests.admit(one).is_none());
        held.clear();
        assert!(guests.0.lock().unwrap().is_empty());
    }
}
