//! Engines on an imagined network: addresses, cut links, narrow links, translators of addresses.

mod network;

use std::time::Duration;

use boringtun::noise::{Tunn, TunnResult};
use proptest::prelude::*;

use network::{Network, SECOND, key, subnet};

use super::Engine;
use crate::config::{Config, Peer, PeerKind, PeersError, Reach};
use crate::drops::Drop;
use crate::key::PrivateKey;
use crate::packet::coalesce::Coalescer;
use crate::packet::tests::{datagram, datagram_v6};
use crate::probe::Probe;
use crate::relay::{self, Kind, RelayId, RelayKey};
use crate::snapshot::Way;

#[test]
fn the_first_packets_wait_for_the_handshake_and_arrive() {
    let mut network = Network::new(2);
    for _ in 0..3 {
        network.send(0, 1, b"hello");
    }
    network.settle();
    assert_eq!(network.received(1).len(), 3);
    network.send(1, 0, b"and back");
    network.settle();
    assert_eq!(network.received(0).len(), 1);
    let status = network.status(0, 1);
    assert_eq!((status.sent.packets, status.received.packets), (3, 1));
    assert!(matches!(
        status.way,
        Way::Direct {
            configured: true,
            ..
        }
    ));
}

#[test]
fn a_packet_from_an_address_that_the_peer_does_not_own_is_dropped_and_counted() {
    let mut network = Network::new(3);
    network.meet(0, 1);
    // Node 1 sends in the name of node 2, and of nobody.
    for source in ["10.80.2.1", "192.0.2.1"] {
        network.send_raw(1, &datagram(source, "10.80.0.1", b"forged"));
    }
    network.settle();
    assert!(network.received(0).is_empty());
    assert_eq!(network.status(0, 1).drops[Drop::ForeignSource], 2);
}

#[test]
fn a_smaller_range_inside_a_peers_range_is_its_owners_alone() {
    let mut network = Network::new(3);
    network.change(0, |peers| {
        peers[1].allowed = vec!["10.80.1.128/25".parse().expect("a prefix")];
    });
    network.meet(0, 1);
    network.send_raw(1, &datagram("10.80.1.200", "10.80.0.1", b"the other's"));
    network.send_raw(1, &datagram("10.80.1.100", "10.80.0.1", b"its own"));
    network.settle();
    assert_eq!(network.received(0).len(), 1);
    assert_eq!(network.status(0, 1).drops[Drop::ForeignSource], 1);
}

#[test]
fn a_peer_sends_to_what_it_may_reach_and_to_nothing_else() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    let reach = |network: &mut Network, reach: Option<(&str, Option<u16>)>| {
        network.change(0, |peers| {
            peers[0].reach = reach.map(|(to, port)| {
                let to = to.parse().expect("a prefix");
                vec![Reach { to, port }]
            });
        });
    };
    let arrived = |network: &mut Network| {
        for destination in ["10.80.0.1", "10.80.0.2"] {
            network.send_raw(1, &datagram("10.80.1.1", destination, b"hello"));
        }
        network.settle();
        network.received(0).len()
    };
    assert_eq!(arrived(&mut network), 2);
    reach(&mut network, Some(("10.80.0.2/32", None)));
    assert_eq!(arrived(&mut network), 1);
    assert_eq!(network.status(0, 1).drops[Drop::OutOfReach], 1);
    // The port that `datagram` sends to.
    let port = 53;
    reach(&mut network, Some(("10.80.0.2/32", Some(port))));
    assert_eq!(arrived(&mut network), 1);
    reach(&mut network, Some(("10.80.0.2/32", Some(port + 1))));
    assert_eq!(arrived(&mut network), 0);
    assert_eq!(network.status(0, 1).drops[Drop::OutOfReach], 4);
    reach(&mut network, None);
    assert_eq!(arrived(&mut network), 2);
}

#[test]
fn a_replayed_datagram_is_dropped_and_counted() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    network.record();
    network.send(0, 1, b"once");
    network.settle();
    let recorded = network.recorded();
    network.received(1);
    for sent in recorded {
        network.inject(sent.from, 1, &sent.bytes);
    }
    assert!(network.received(1).is_empty());
    assert!(network.status(1, 0).drops[Drop::Replay] >= 1);
}

#[test]
fn garbage_strangers_and_stale_sessions_are_counted_and_get_no_answer() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    let from = "203.0.113.9:9".parse().expect("an address");
    network.record();
    network.inject(from, 0, b"hello?");
    network.inject(from, 0, &[]);
    let mut stale = vec![0; 64];
    stale[0] = 4;
    network.inject(from, 0, &stale);
    network.inject(from, 0, &stranger_initiation(0));
    let mut corrupt = stranger_initiation(0);
    corrupt[130] ^= 1;
    network.inject(from, 0, &corrupt);
    let mut frame = vec![0x6b, 1];
    frame.resize(100, 0);
    network.inject(from, 0, &frame);
    network.settle();
    assert!(network.recorded().iter().all(|sent| sent.to != from));
    let drops = network.drops(0);
    assert_eq!(drops[Drop::Garbage], 3);
    assert_eq!(drops[Drop::UnknownIndex], 1);
    assert_eq!(drops[Drop::Stranger], 2);
}

/// The beginning of a handshake by a node that is nobody's peer.
fn stranger_initiation(to: usize) -> Vec<u8> {
    let own = PrivateKey::new([77; 32]);
    let other = key(to).public_key().0.into();
    let mut tunn = Tunn::new(own.secret().clone(), other, None, None, 7, None);
    let mut room = [0; 148];
    let TunnResult::WriteToNetwork(initiation) = tunn.format_handshake_initiation(&mut room, false)
    else {
        panic!("a fresh tunnel begins a handshake");
    };
    initiation.to_vec()
}

#[test]
fn a_forged_message_of_a_session_is_told_from_a_replay() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    network.record();
    network.send(0, 1, b"true");
    network.settle();
    let mut sent = network.recorded().swap_remove(0);
    // A counter that was not seen, and content that does not fit it.
    sent.bytes[12] ^= 1;
    network.inject(sent.from, 1, &sent.bytes);
    assert_eq!(network.status(1, 0).drops[Drop::Forged], 1);
}

#[test]
fn a_flood_of_handshakes_is_answered_with_cookies_and_peers_still_get_in() {
    let mut network = Network::new(2);
    let from = "203.0.113.9:9".parse().expect("an address");
    let flood = stranger_initiation(0);
    network.record();
    for _ in 0..700 {
        network.inject(from, 0, &flood);
    }
    let drops = network.drops(0);
    assert!(drops[Drop::Overload] >= 150, "{drops:?}");
    assert!(
        network
            .recorded()
            .iter()
            .all(|sent| sent.to != from || sent.bytes[0] == 3)
    );
    // The peer learns the cookie with its first try, and gets in with its second.
    network.send(1, 0, b"let me in");
    network.settle();
    assert!(network.received(0).is_empty());
    network.run(6 * SECOND);
    assert_eq!(network.received(0).len(), 1);
}

#[test]
fn a_flood_of_strangers_does_not_keep_out_who_comes_by_a_relay() {
    let mut network = Network::new(3);
    network.cut(0, 1);
    network.keep_alive(Duration::from_secs(10));
    // The flooded one waits for the other to begin.
    network.change(0, |peers| peers[0].keepalive = None);
    network.run(3 * SECOND);
    let from = "203.0.113.9:9".parse().expect("an address");
    let flood = stranger_initiation(0);
    for _ in 0..40 {
        network.run(SECOND / 4);
        for _ in 0..600 {
            network.inject(from, 0, &flood);
        }
    }
    assert!(network.drops(0)[Drop::Overload] > 0);
    assert!(matches!(network.status(0, 1).way, Way::Relayed { .. }));
}

#[test]
fn a_relay_brings_no_more_handshakes_than_its_share() {
    let mut network = Network::new(3);
    network.meet(0, 1);
    // What a hostile relay can make from public keys alone.
    let frame = delivered_frame(1, 0, 2, &stranger_initiation(0));
    network.record();
    for _ in 0..40 {
        network.run(SECOND / 4);
        for _ in 0..100 {
            network.inject(network.address(1), 0, &frame);
        }
    }
    let drops = network.drops(0);
    let looked_at = drops[Drop::Stranger];
    assert!(drops[Drop::Overload] >= 2900, "{drops:?}");
    assert!((900..=1100).contains(&looked_at), "{drops:?}");
}

#[test]
fn a_client_that_left_is_not_sought_for_ever_and_old_packets_do_not_wait_for_it() {
    let mut network = Network::new(2);
    for node in [0, 1] {
        network.change(node, |peers| {
            peers[0].kind = PeerKind::Client;
            peers[0].keepalive = None;
        });
    }
    network.cut(0, 1);
    network.send(0, 1, b"old");
    network.run(30 * SECOND);
    network.record();
    network.run(20 * SECOND);
    assert!(!network.recorded().is_empty(), "it is sought");
    network.run(60 * SECOND);
    network.record();
    network.run(60 * SECOND);
    assert_eq!(network.recorded().len(), 0, "it is sought no more");
    network.heal();
    network.send(1, 0, b"back");
    network.run(6 * SECOND);
    assert_eq!(network.received(0).len(), 1);
    assert!(network.received(1).is_empty(), "the old one was let go");
    assert_eq!(network.status(0, 1).drops[Drop::NoSession], 1);
}

#[test]
fn a_relay_that_is_no_peer_any_more_is_left_at_once() {
    let mut network = Network::new(4);
    network.keep_alive(Duration::from_secs(10));
    network.cut(0, 1);
    network.run(12 * SECOND);
    let Way::Relayed { through } = network.status(0, 1).way else {
        panic!("it is not relayed: {:?}", network.status(0, 1));
    };
    network.change(0, |peers| peers.retain(|peer| peer.key != through));
    network.run_with_traffic(SECOND, 0, 1);
    let way = network.status(0, 1).way;
    assert!(
        matches!(way, Way::Relayed { through: other } if other != through),
        "{way:?}"
    );
}

#[test]
fn keys_outlive_a_change_of_address_on_either_side() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    let session = network.handshakes();
    network.move_to(0, "198.51.100.7:4000");
    network.send(0, 1, b"from elsewhere");
    network.settle();
    network.send(1, 0, b"found you");
    network.settle();
    assert_eq!(
        (network.received(1).len(), network.received(0).len()),
        (1, 1)
    );
    assert_eq!(network.handshakes(), session);
    let Way::Direct {
        endpoint,
        configured,
    } = network.status(1, 0).way
    else {
        panic!("it is not reached directly");
    };
    assert_eq!(
        (endpoint.to_string().as_str(), configured),
        ("198.51.100.7:4000", false)
    );
}

#[test]
fn a_quiet_peer_that_moved_is_found_by_its_probes() {
    let mut network = Network::new(2);
    network.keep_alive(Duration::from_secs(10));
    network.meet(0, 1);
    network.move_to(0, "198.51.100.7:4000");
    network.run(11 * SECOND);
    network.send(1, 0, b"still there?");
    network.settle();
    assert_eq!(network.received(0).len(), 1);
}

#[test]
fn of_several_endpoints_the_one_that_answers_is_used() {
    let mut network = Network::new(2);
    network.change(0, |peers| {
        let right = peers[0].endpoints[0];
        let wrong = "203.0.113.1:1".parse().expect("an address");
        peers[0].endpoints = vec![wrong, right, "[2001:db8::5]:7".parse().expect("an address")];
    });
    network.send(0, 1, b"hello");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn an_endpoint_inside_the_tunnel_is_never_tried() {
    let mut network = Network::new(2);
    network.change(0, |peers| {
        peers[0].endpoints = vec!["10.80.1.1:51820".parse().expect("an address")];
    });
    network.record();
    network.send(0, 1, b"hello");
    network.run(10 * SECOND);
    assert!(network.recorded().is_empty());
}

#[test]
fn a_cut_link_is_relayed_within_seconds_and_direct_again_after_it_heals() {
    let mut network = Network::new(3);
    network.keep_alive(Duration::from_secs(10));
    network.run(2 * SECOND);
    network.meet(0, 1);
    network.cut(0, 1);
    network.run_with_traffic(8 * SECOND, 0, 1);
    network.received(0);
    network.received(1);
    assert!(
        matches!(network.status(0, 1).way, Way::Relayed { .. }),
        "{:?}",
        network.status(0, 1)
    );
    network.send(0, 1, b"around");
    network.settle();
    network.send(1, 0, b"and back");
    network.settle();
    assert_eq!(
        (network.received(1).len(), network.received(0).len()),
        (1, 1)
    );
    assert!(network.status(2, 0).forwarded.packets > 0);
    network.heal();
    network.run_with_traffic(8 * SECOND, 0, 1);
    assert!(matches!(network.status(0, 1).way, Way::Direct { .. }));
    assert!(matches!(network.status(1, 0).way, Way::Direct { .. }));
}

#[test]
fn two_that_never_had_a_direct_path_meet_through_a_relay() {
    let mut network = Network::new(3);
    network.keep_alive(Duration::from_secs(10));
    network.cut(0, 1);
    network.run(12 * SECOND);
    network.send(0, 1, b"around");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn a_link_that_works_in_one_direction_is_left_by_both_sides() {
    let mut network = Network::new(3);
    network.keep_alive(Duration::from_secs(10));
    network.run(2 * SECOND);
    network.meet(0, 1);
    network.cut_one_way(0, 1);
    network.run_with_traffic(9 * SECOND, 0, 1);
    network.received(0);
    network.received(1);
    network.send(0, 1, b"there");
    network.send(1, 0, b"and back");
    network.settle();
    assert_eq!(
        (network.received(1).len(), network.received(0).len()),
        (1, 1)
    );
}

#[test]
fn a_relay_that_dies_is_replaced_by_another() {
    let mut network = Network::new(4);
    network.keep_alive(Duration::from_secs(10));
    network.run(2 * SECOND);
    network.cut(0, 1);
    network.run_with_traffic(9 * SECOND, 0, 1);
    let Way::Relayed { through } = network.status(0, 1).way else {
        panic!("it is not relayed: {:?}", network.status(0, 1));
    };
    let dead = (0..4)
        .find(|node| key(*node).public_key() == through)
        .expect("a node");
    for node in 0..4 {
        network.cut(dead, node);
    }
    network.run_with_traffic(12 * SECOND, 0, 1);
    network.received(1);
    network.send(0, 1, b"by the other");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn the_restart_of_a_silent_peer_is_overcome_without_waiting_for_keys_to_expire() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    network.restart(1);
    // The other one has nothing to say, and begins no handshake of its own.
    for _ in 0..10 {
        network.send(0, 1, b"hello?");
        network.run(SECOND);
    }
    network.received(1);
    network.send(0, 1, b"welcome back");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn who_is_no_member_gets_nothing_forwarded_nor_does_anyone_where_it_is_not_allowed() {
    let mut network = Network::new(3);
    network.keep_alive(Duration::from_secs(10));
    network.run(2 * SECOND);
    let message = {
        let mut message = vec![0; 64];
        message[0] = 4;
        message
    };
    // A frame of a stranger's.
    let frame = forward_frame(&PrivateKey::new([77; 32]), 2, 1, &message);
    let from = network.address(0);
    network.inject(from, 2, &frame);
    assert_eq!(network.drops(2)[Drop::Stranger], 1);
    // One of a peer that is a client.
    network.change(2, |peers| peers[0].kind = PeerKind::Client);
    network.inject(from, 2, &forward_frame(&key(0), 2, 1, &message));
    assert_eq!(network.drops(2)[Drop::Stranger], 2);
    // One of a member's, to one whom the relay itself does not reach directly, and to nobody.
    network.change(2, |peers| peers[0].kind = PeerKind::Member);
    network.cut(2, 1);
    network.restart(2);
    network.inject(from, 2, &forward_frame(&key(0), 2, 1, &message));
    network.inject(from, 2, &forward_frame(&key(0), 2, 9, &message));
    assert_eq!(network.status(2, 0).drops[Drop::NotForwarded], 2);
    // And back to the one that asks, or to a client that is reached.
    network.heal();
    network.run(3 * SECOND);
    network.inject(from, 2, &forward_frame(&key(0), 2, 0, &message));
    assert_eq!(network.status(2, 0).drops[Drop::NotForwarded], 3);
    network.change(2, |peers| peers[1].kind = PeerKind::Client);
    network.meet(2, 1);
    network.inject(from, 2, &forward_frame(&key(0), 2, 1, &message));
    assert_eq!(network.status(2, 0).drops[Drop::NotForwarded], 4);
    assert_eq!(network.status(2, 0).forwarded.packets, 0);
}

/// A frame that asks `relay` to carry a message to `other`.
fn forward_frame(own: &PrivateKey, relay: usize, other: usize, message: &[u8]) -> Vec<u8> {
    sealed_frame(Kind::Forward, own, relay, other, message)
}

/// As a relay hands on what another node sent.
fn delivered_frame(relay: usize, to: usize, from: usize, message: &[u8]) -> Vec<u8> {
    sealed_frame(Kind::Deliver, &key(relay), to, from, message)
}

fn sealed_frame(kind: Kind, own: &PrivateKey, to: usize, other: usize, message: &[u8]) -> Vec<u8> {
    let mut frame = [&[0; relay::OVERHEAD][..], message].concat();
    let proof = RelayKey::new(own, key(to).public_key());
    let ids = [own.public_key(), key(other).public_key()].map(RelayId::of);
    relay::seal(&mut frame, kind, ids[0], ids[1], &proof);
    frame
}

#[test]
fn a_peer_gets_no_more_forwarded_than_its_share() {
    let mut network = Network::new(3);
    network.keep_alive(Duration::from_secs(10));
    network.run(2 * SECOND);
    let mut message = vec![0; 1400];
    message[0] = 4;
    let frame = forward_frame(&key(0), 2, 1, &message);
    let from = network.address(0);
    for _ in 0..30_000 {
        network.inject(from, 2, &frame);
    }
    let status = network.status(2, 0);
    assert!(status.drops[Drop::ForwardLimit] > 0);
    assert!(status.forwarded.bytes <= crate::config::DEFAULT_FORWARD_LIMIT / 4 + 1400);
}

#[test]
fn two_behind_translators_meet_once_both_know_the_others_outer_address() {
    let mut network = Network::new(3);
    network.translate(0);
    network.translate(1);
    network.keep_alive(Duration::from_secs(10));
    network.forget_relays();
    network.run(2 * SECOND);
    // Each is reached at its outer address by nobody it has not sent to.
    let seen = network.status(0, 2).observed.expect("node 2 answered");
    assert_eq!(seen, network.outer(0));
    network.run(12 * SECOND);
    assert!(
        matches!(network.status(0, 1).way, Way::Direct { .. }),
        "{:?}",
        network.status(0, 1)
    );
    network.send(0, 1, b"through both");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn what_is_changed_of_some_peers_does_not_disturb_the_others() {
    let mut network = Network::new(4);
    network.meet(0, 1);
    let session = network.handshakes();
    network.change(0, |peers| {
        peers.pop();
        peers[1].allowed.clear();
        peers[0]
            .endpoints
            .push("203.0.113.1:1".parse().expect("an address"));
    });
    network.send(0, 1, b"as before");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
    assert_eq!(network.handshakes(), session);
    // What was removed has no route any more, and its sender is told.
    network.send(0, 3, b"to a removed one");
    assert_eq!(network.drops(0)[Drop::NoRoute], 1);
    let answer = network.received(0).swap_remove(0);
    assert_eq!((answer[9], answer[20], answer[21]), (1, 3, 1));
}

#[test]
fn applying_is_idempotent_and_says_what_it_did() {
    let mut network = Network::new(3);
    let peers = network.peers_of(0);
    let now = network.now();
    let engine = network.engine(0);
    let applied = engine.apply(peers.clone(), now).expect("the peers fit");
    assert_eq!(
        (
            applied.added.len(),
            applied.changed.len(),
            applied.removed.len()
        ),
        (0, 0, 0)
    );
    let mut fewer = peers.clone();
    fewer.remove(0);
    fewer[0].keepalive = Some(SECOND);
    let applied = engine.apply(fewer, now).expect("the peers fit");
    assert_eq!(applied.removed, [key(1).public_key()]);
    assert_eq!(applied.changed, [key(2).public_key()]);
    let applied = engine.apply(peers, now).expect("the peers fit");
    assert_eq!(applied.added, [key(1).public_key()]);
}

#[test]
fn a_set_of_peers_that_contradicts_itself_changes_nothing() {
    let mut network = Network::new(3);
    network.meet(0, 1);
    let mut peers = network.peers_of(0);
    peers[1].allowed = peers[0].allowed.clone();
    let now = network.now();
    let refused = network.engine(0).apply(peers, now);
    assert!(matches!(refused, Err(PeersError::Contested { .. })));
    network.send(0, 1, b"as before");
    network.settle();
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn another_preshared_key_is_another_session() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    network.change(0, |peers| peers[0].preshared_key = Some([5; 32]));
    network.send(0, 1, b"not understood");
    network.settle();
    assert!(network.received(1).is_empty());
    network.change(1, |peers| peers[0].preshared_key = Some([5; 32]));
    network.run(6 * SECOND);
    assert_eq!(network.received(1).len(), 1);
}

#[test]
fn this_host_cannot_speak_in_the_name_of_the_overlay() {
    let mut network = Network::new(2);
    network.change(0, |peers| {
        peers[0].allowed.push("::/0".parse().expect("a prefix"));
    });
    network.meet(0, 1);
    let request = Probe::Request {
        sequence: 1,
        active: true,
    };
    network.send_raw(0, &request.packet(0));
    assert_eq!(network.drops(0)[Drop::NoRoute], 1);
}

#[test]
fn a_client_is_kept_alive_as_often_as_was_asked_and_gets_no_probes() {
    let mut network = Network::new(2);
    for (node, other) in [(0, 1), (1, 0)] {
        network.change(node, |peers| peers[0].kind = PeerKind::Client);
        assert_eq!(network.status(node, other).way, Way::None);
    }
    network.meet(0, 1);
    network.change(0, |peers| peers[0].keepalive = Some(10 * SECOND));
    network.run(2 * SECOND);
    network.record();
    network.run(60 * SECOND);
    let sent = network.recorded();
    // A keepalive is an empty packet, sealed.
    assert!(sent.iter().all(|sent| sent.bytes.len() == 32), "{sent:?}");
    assert_eq!(sent.len(), 6);
}

#[test]
fn a_narrow_path_is_found_out_and_senders_are_told() {
    let mut network = Network::new(2);
    network.keep_alive(Duration::from_secs(10));
    // Room for 1300 inside: IPv4 and UDP headers, WireGuard's.
    network.narrow(1300 + 28 + 32);
    network.run(2 * SECOND);
    network.meet(0, 1);
    network.run(40 * SECOND);
    let mtu = network.status(0, 1).mtu;
    assert!((1293..=1300).contains(&mtu), "{mtu}");
    let mut packet = datagram(&subnet(0, 1), &subnet(1, 1), &[1; 1340]);
    dont_fragment(&mut packet);
    network.send_raw(0, &packet);
    let answer = network.received(0).swap_remove(0);
    assert_eq!((answer[20], answer[21]), (3, 4));
    assert_eq!(u16::from_be_bytes([answer[26], answer[27]]), mtu);
    assert_eq!(network.status(0, 1).drops[Drop::TooBig], 1);
}

#[test]
fn a_large_packet_that_may_be_cut_is_cut() {
    let mut network = Network::new(2);
    network.meet(0, 1);
    network.send_raw(0, &datagram(&subnet(0, 1), &subnet(1, 1), &[1; 3000]));
    network.settle();
    let pieces = network.received(1);
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|piece| piece.len() <= 1396));
}

#[test]
fn a_large_ipv6_packet_is_answered_with_what_fits() {
    let mut network = Network::new(2);
    network.change(0, |peers| {
        peers[0]
            .allowed
            .push("fd00:1::/32".parse().expect("a prefix"));
    });
    network.meet(0, 1);
    network.send_raw(0, &datagram_v6("fd00::1", "fd00:1::1", &[1; 1400]));
    let answer = network.received(0).swap_remove(0);
    assert_eq!((answer[6], answer[40]), (58, 2));
    assert_eq!(u16::from_be_bytes([answer[46], answer[47]]), 1396);
}

fn dont_fragment(packet: &mut [u8]) {
    packet[6] |= 0x40;
    crate::packet::header::write_header_checksum(packet);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_arrives_makes_an_engine_panic_or_speak(
        datagrams in proptest::collection::vec(
            (0..8_u8, proptest::collection::vec(any::<u8>(), 0..200)), 1..40),
    ) {
        let mut network = Network::new(2);
        network.meet(0, 1);
        network.record();
        let from = "203.0.113.9:9".parse().expect("an address");
        for (kind, mut bytes) in datagrams {
            if bytes.len() > 4 {
                // Nearer to a message than chance would come.
                bytes[..4].copy_from_slice(&[if kind == 7 { 0x6b } else { kind }, 0, 0, 0]);
            }
            network.inject(from, 0, &bytes);
        }
        network.settle();
        prop_assert!(network.recorded().iter().all(|sent| sent.to != from));
        network.send(0, 1, b"as before");
        network.settle();
        prop_assert_eq!(network.received(1).len(), 1);
    }

    #[test]
    fn nothing_that_this_host_sends_makes_an_engine_panic(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..40),
    ) {
        let mut network = Network::new(2);
        network.meet(0, 1);
        let now = network.now();
        for mut frame in frames {
            if frame.len() > 30 {
                frame[..10].fill(0);
                frame[10] = 0x45;
                frame[26..30].copy_from_slice(&[10, 80, 1, 1]);
            }
            network.engine(0).outbound(&frame, now);
        }
        network.settle();
    }
}

/// Something that befalls a network of [`NODES`].
#[derive(Clone, Copy, Debug)]
enum Event {
    Cut(usize, usize),
    CutOneWay(usize, usize),
    Heal,
    Move(usize),
    Restart(usize),
    Change(usize),
}

const NODES: usize = 4;

fn event() -> impl Strategy<Value = Event> {
    let node = 0..NODES;
    prop_oneof![
        3 => (node.clone(), node.clone()).prop_map(|(a, b)| Event::Cut(a, b)),
        2 => (node.clone(), node.clone()).prop_map(|(a, b)| Event::CutOneWay(a, b)),
        2 => Just(Event::Heal),
        2 => node.clone().prop_map(Event::Move),
        1 => node.clone().prop_map(Event::Restart),
        1 => node.prop_map(Event::Change),
    ]
}

impl Event {
    fn befall(self, network: &mut Network, moves: &mut u8) {
        match self {
            Self::Cut(a, b) => network.cut(a, b),
            Self::CutOneWay(a, b) => network.cut_one_way(a, b),
            Self::Heal => network.heal(),
            Self::Restart(node) => network.restart(node),
            Self::Move(node) => {
                *moves += 1;
                network.move_to(node, &format!("198.51.100.{moves}:4000"));
            }
            Self::Change(node) => network.change(node, |peers| {
                peers.rotate_left(1);
                peers[0].keepalive = Some(5 * SECOND);
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_befell_the_network_all_reach_all_directly_some_seconds_after_it_heals(
        events in proptest::collection::vec((event(), 0..12_u32), 1..10),
    ) {
        let mut network = Network::new(NODES);
        network.keep_alive(Duration::from_secs(5));
        network.run(2 * SECOND);
        let mut moves = 0;
        for (event, seconds) in events {
            event.befall(&mut network, &mut moves);
            network.run_with_traffic_among_all(seconds * SECOND);
        }
        network.heal();
        // The control side knows by now who is where.
        network.tell_addresses();
        network.run_with_traffic_among_all(25 * SECOND);
        for from in 0..NODES {
            for to in (0..NODES).filter(|to| *to != from) {
                let status = network.status(from, to);
                prop_assert!(matches!(status.way, Way::Direct { .. }), "{from} to {to}: {status:?}");
                network.received(to);
                network.send(from, to, b"after all");
                network.settle();
                prop_assert_eq!(network.received(to).len(), 1);
            }
        }
    }
}

/// An engine as the driver has it, but without an interface.
fn engine(node: usize) -> Engine {
    let mut config = Config::new("kontena0", key(node));
    config.routes = vec!["10.80.0.0/12".parse().expect("a prefix")];
    Engine::new(&config, Coalescer::new(false, false))
}

/// What a node says of another one.
fn member(node: usize) -> Peer {
    Peer {
        allowed: vec![format!("10.80.{node}.0/24").parse().expect("a prefix")],
        ..Peer::member(key(node).public_key())
    }
}
