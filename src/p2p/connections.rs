//! The connections there are, and which of several with one peer is one too many. Pure.
//!
//! The newest wins: whoever dials has a reason, and an old connection may be dead without anybody
//! knowing. When two were made at about the same time (both sides dialled), both live, and streams may have
//! been opened on either: one is closed once no stream is open with the peer. One side alone
//! decides which, the one with the lower peer id, or each might close the other's choice.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::time::Instant;

/// Two connections made within this may be one simultaneous dial.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// What one peer may have that was made at about the same time, whatever it does.
const MOST_OF_ONE: usize = 4;

/// One established connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// The other end as it is seen from here.
    pub(super) address: SocketAddr,
    /// Whether the other side dialled.
    pub(super) inbound: bool,
    pub(super) since: Instant,
    /// Whether the peer was a member when the members were looked at last.
    pub(super) member: bool,
    /// Another one was made at about the same time: it goes once nobody uses it.
    pub(super) superfluous: bool,
    /// It is being closed, which takes long if its link is dead: it counts no more.
    pub(super) closing: bool,
}

/// All established connections.
#[derive(Debug, Default)]
pub(super) struct Connections(BTreeMap<ConnectionId, Connection>);

impl Connections {
    pub(super) fn add(&mut self, id: ConnectionId, connection: Connection) {
        self.0.insert(id, connection);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        self.0.remove(&id);
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.0.get(&id)
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.live().any(|(_, connection)| connection.peer == *peer)
    }

    /// Marks as closing, and names, the connections with `peer`.
    pub(super) fn close_peer(&mut self, peer: &PeerId) -> Vec<ConnectionId> {
        self.close_all(|connection| connection.peer == *peer)
    }

    /// Marks as closing, and names, what `newest` makes superfluous at once; what goes later is noted.
    pub(super) fn close_superfluous(
        &mut self,
        newest: ConnectionId,
        own: &PeerId,
    ) -> Vec<ConnectionId> {
        let Some(new) = self.0.get(&newest).copied() else {
            return Vec::new();
        };
        let others = |id: ConnectionId, old: &Connection| id != newest && old.peer == new.peer;
        let is_old = |id: ConnectionId, old: &Connection| {
            let age = new.since.saturating_duration_since(old.since);
            others(id, old) && age >= SIMULTANEOUS
        };
        let mut closed = self.close_where(is_old);
        if let Some(oldest) = self.oldest_of_too_many(&new.peer) {
            closed.extend(self.close_where(|id, _| id == oldest));
        }
        for (id, old) in &mut self.0 {
            old.superfluous |= others(*id, old) && *own < new.peer;
        }
        closed
    }

    /// One alone, though the other side may choose another one: some are left then.
    fn oldest_of_too_many(&self, peer: &PeerId) -> Option<ConnectionId> {
        let of_one = || self.live().filter(|(_, old)| old.peer == *peer);
        let oldest = of_one().min_by_key(|(id, old)| (old.since, **id));
        oldest
            .filter(|_| of_one().count() > MOST_OF_ONE)
            .map(|(id, _)| *id)
    }

    /// Marks as closing, and names, what is superfluous and of a peer that is `idle`, where another one is left.
    pub(super) fn close_idle(&mut self, idle: impl Fn(&PeerId) -> bool) -> Vec<ConnectionId> {
        let kept: Vec<PeerId> = self
            .live()
            .filter(|(_, connection)| !connection.superfluous)
            .map(|(_, connection)| connection.peer)
            .collect();
        for connection in self.0.values_mut() {
            // Of those that were to go, one has to stay now.
            connection.superfluous &= kept.contains(&connection.peer);
        }
        self.close_all(|connection| connection.superfluous && idle(&connection.peer))
    }

    /// Marks as closing, and names, those whose peer was a member and is none any more, unless it is
    /// spared. A stranger that has just come and has not yet asked is left alone: it would be
    /// thrown out by whatever change happens at that moment.
    pub(super) fn close_former_members(
        &mut self,
        is_member: impl Fn(&PeerId) -> bool,
        is_spared: impl Fn(&Connection) -> bool,
    ) -> Vec<ConnectionId> {
        let closed = self.close_all(|connection| {
            connection.member && !is_member(&connection.peer) && !is_spared(connection)
        });
        for connection in self.0.values_mut() {
            // Who is spared now is judged again by the next change.
            connection.member |= is_member(&connection.peer);
        }
        closed
    }

    /// Marks as closing, and names, those for which `unwanted` holds.
    pub(super) fn close_all(
        &mut self,
        unwanted: impl Fn(&Connection) -> bool,
    ) -> Vec<ConnectionId> {
        self.close_where(|_, connection| unwanted(connection))
    }

    fn close_where(
        &mut self,
        unwanted: impl Fn(ConnectionId, &Connection) -> bool,
    ) -> Vec<ConnectionId> {
        let mut closed = Vec::new();
        for (id, connection) in &mut self.0 {
            if !connection.closing && unwanted(*id, connection) {
                connection.closing = true;
                closed.push(*id);
            }
        }
        closed
    }

    /// Where the inbound connections come from whose peer is not known by `is_member`.
    pub(super) fn strangers(&self, is_member: impl Fn(&PeerId) -> bool) -> Vec<IpAddr> {
        let strangers = self
            .live()
            .filter(|(_, connection)| connection.inbound && !is_member(&connection.peer));
        strangers
            .map(|(_, connection)| connection.address.ip())
            .collect()
    }

    fn live(&self) -> impl Iterator<Item = (&ConnectionId, &Connection)> {
        self.0.iter().filter(|(_, connection)| !connection.closing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(peer: PeerId, since: Instant) -> Connection {
        Connection {
            peer,
            address: SocketAddr::from(([10, 0, 0, 1], 1)),
            inbound: true,
            since,
            member: true,
            superfluous: false,
            closing: false,
        }
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    /// The smaller one first.
    fn two_peers() -> (PeerId, PeerId) {
        let (a, b) = (PeerId::random(), PeerId::random());
        (a.min(b), a.max(b))
    }

    /// What a node closes of two connections with one peer: at once, while streams are open, and once none is.
    fn of_two(own: PeerId, other: PeerId) -> [Vec<ConnectionId>; 3] {
        let now = Instant::now();
        let mut connections = Connections::default();
        connections.add(id(1), connection(other, now));
        connections.add(id(2), connection(other, now + Duration::from_millis(3)));
        [
            connections.close_superfluous(id(2), &own),
            connections.close_idle(|_| false),
            connections.close_idle(|_| true),
        ]
    }

    #[test]
    fn of_a_simultaneous_dial_exactly_one_side_closes_one_once_no_stream_is_open() {
        let (low, high) = two_peers();
        assert_eq!(of_two(low, high), [vec![], vec![], vec![id(1)]]);
        assert_eq!(of_two(high, low), [vec![], vec![], vec![]]);
    }

    #[test]
    fn what_was_to_go_stays_where_the_other_one_has_ended() {
        let (low, high) = two_peers();
        let now = Instant::now();
        let mut connections = Connections::default();
        connections.add(id(1), connection(high, now));
        connections.add(id(2), connection(high, now));
        assert_eq!(connections.close_superfluous(id(2), &low), []);
        connections.remove(id(2));
        assert_eq!(connections.close_idle(|_| true), []);
        assert!(connections.is_connected(&high));
    }

    #[test]
    fn a_peer_that_dials_again_and_again_has_few_connections() {
        let (low, high) = two_peers();
        let now = Instant::now();
        for (own, other) in [(low, high), (high, low)] {
            let mut connections = Connections::default();
            for number in 0..100 {
                connections.add(id(number), connection(other, now));
                connections.close_superfluous(id(number), &own);
                assert!(connections.live().count() <= MOST_OF_ONE);
            }
        }
    }

    #[test]
    fn two_that_dial_each_other_at_once_again_and_again_stay_connected() {
        let (low, high) = two_peers();
        let now = Instant::now();
        let order = |numbers: Vec<usize>, own: PeerId, other: PeerId| {
            let mut connections = Connections::default();
            let mut closed = Vec::new();
            for (number, millis) in numbers.into_iter().zip(0..) {
                let since = now + Duration::from_millis(millis);
                connections.add(id(number), connection(other, since));
                closed.extend(connections.close_superfluous(id(number), &own));
            }
            closed
        };
        // Both see all of them, in opposite orders.
        let mut closed = order((0..=MOST_OF_ONE).collect(), low, high);
        closed.extend(order((0..=MOST_OF_ONE).rev().collect(), high, low));
        assert!(closed.len() <= 2, "{closed:?}");
    }

    #[test]
    fn an_old_connection_gives_way_on_both_sides() {
        let (low, high) = two_peers();
        let now = Instant::now();
        for (own, other) in [(low, high), (high, low)] {
            let mut connections = Connections::default();
            connections.add(id(1), connection(other, now));
            connections.add(id(2), connection(other, now + SIMULTANEOUS));
            assert_eq!(connections.close_superfluous(id(2), &own), [id(1)]);
            assert!(connections.is_connected(&other));
            assert_eq!(connections.close_superfluous(id(2), &own), []);
        }
    }

    #[test]
    fn a_stranger_that_has_not_asked_yet_outlasts_a_change_of_the_members() {
        let (member, stranger) = two_peers();
        let now = Instant::now();
        let mut connections = Connections::default();
        connections.add(id(1), connection(member, now));
        let come = Connection {
            member: false,
            ..connection(stranger, now)
        };
        connections.add(id(2), come);
        let spared = |_: &Connection| false;
        assert_eq!(
            connections.close_former_members(|peer| *peer == member, spared),
            []
        );
        assert_eq!(connections.close_former_members(|_| false, spared), [id(1)]);
        assert!(connections.is_connected(&stranger));
    }

    #[test]
    fn a_stranger_that_was_admitted_is_closed_when_it_is_removed() {
        let (peer, _) = two_peers();
        let mut connections = Connections::default();
        let come = Connection {
            member: false,
            ..connection(peer, Instant::now())
        };
        connections.add(id(1), come);
        assert_eq!(connections.close_former_members(|_| true, |_| false), []);
        assert_eq!(
            connections.close_former_members(|_| false, |_| true),
            [],
            "it asks again"
        );
        assert_eq!(
            connections.close_former_members(|_| false, |_| false),
            [id(1)]
        );
    }
}
