//! How much each client may ask in a second, so that none takes the server from the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// More clients than a node's /24 has containers, with room for a VPN. Whoever comes beyond shares one
/// account with all who do.
const CLIENTS: usize = 1_024;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts questions by client, from one whole second to the next.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    began: Instant,
    asked: HashMap<IpAddr, u32>,
    beyond: u32,
}

impl Limit {
    pub(crate) fn new(most: u32, now: Instant) -> Self {
        Self {
            most,
            began: now,
            asked: HashMap::new(),
            beyond: 0,
        }
    }

    /// Whether this client may ask once more.
    pub(crate) fn admit(&mut self, client: IpAddr, now: Instant) -> bool {
        if now.duration_since(self.began) >= WINDOW {
            self.began = now;
            self.asked.clear();
            self.beyond = 0;
        }
        let has_room = self.asked.len() < CLIENTS || self.asked.contains_key(&client);
        let asked = match has_room {
            true => self.asked.entry(client).or_default(),
            false => &mut self.beyond,
        };
        *asked = asked.saturating_add(1);
        *asked <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn one_client_cannot_take_what_is_anothers() {
        let now = Instant::now();
        let mut limit = Limit::new(3, now);
        let admitted = (0..10).filter(|_| limit.admit(client(1), now)).count();
        assert_eq!(admitted, 3);
        assert!(limit.admit(client(2), now));
        assert!(limit.admit(client(1), now + WINDOW));
    }

    #[test]
    fn what_is_remembered_of_clients_is_bounded() {
        let now = Instant::now();
        let mut limit = Limit::new(3, now);
        let admitted = (0..10_000)
            .filter(|number| limit.admit(client(*number), now))
            .count();
        assert_eq!(admitted, CLIENTS + 3);
        assert_eq!(limit.asked.len(), CLIENTS);
        assert!(
            limit.admit(client(1), now),
            "those who were there before are not disturbed"
        );
    }
}
