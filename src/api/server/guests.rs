//! How many connections one host may have: nobody takes all places.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Those who are connected, by address.
#[derive(Clone, Debug)]
pub(super) struct Guests {
    counts: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    most_of_one: usize,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    address: IpAddr,
    among: Guests,
}

impl Guests {
    pub(super) fn new(most_of_one: usize) -> Self {
        Self {
            counts: Arc::default(),
            most_of_one,
        }
    }

    /// `None` for who has too many already.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Guest> {
        let address = host(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.most_of_one {
            return None;
        }
        *count += 1;
        let among = self.clone();
        Some(Guest { address, among })
    }
}

/// What one host may have: of IPv6 it has a whole /64.
fn host(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let counts = self.among.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
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

    const MOST_OF_ONE: usize = 5;

    #[test]
    fn who_leaves_gives_a_place_back_and_nobody_takes_those_of_others() {
        let guests = Guests::new(MOST_OF_ONE);
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
        assert!(guests.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_host_of_ipv6_is_one_guest_with_all_of_its_addresses() {
        let guests = Guests::new(MOST_OF_ONE);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let _held: Vec<Guest> = (0..MOST_OF_ONE)
            .map(|last| {
                guests
                    .admit(address(&format!("2001:db8::{last:x}")))
                    .unwrap()
            })
            .collect();
        assert!(guests.admit(address("2001:db8::ffff:1:2:3")).is_none());
        assert!(guests.admit(address("2001:db8:0:1::1")).is_some());
        // Those of IPv4 that come over a socket of IPv6 are as many as they are.
        let _mapped: Vec<Guest> = (0..MOST_OF_ONE)
            .map(|_| guests.admit(address("::ffff:192.0.2.1")).unwrap())
            .collect();
        assert!(guests.admit(address("192.0.2.1")).is_none());
        assert!(guests.admit(address("::ffff:192.0.2.2")).is_some());
    }
}
