//! The overlay on real interfaces: hosts that are network namespaces, and links between them.
//! Takes root, `/dev/net/tun`, `ip`, `ping`, `iptables`; without them each test says so and passes.
#![allow(clippy::print_stderr, reason = "a test says why it is skipped")]

mod hosts {
    pub(crate) mod exchange;
    pub(crate) mod host;
    pub(crate) mod lab;
}

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use hosts::exchange::{Echo, exchange};
use hosts::host::key;
use hosts::lab::{Lab, has};
use kontena_overlay::{Drop, Peer, PublicKey, StartError, Way};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

/// A test's hosts, or an early end that says what is missing.
macro_rules! lab {
    ($name:literal) => {
        match Lab::new($name) {
            Ok(lab) => lab,
            Err(missing) => return eprintln!("skipped: it takes {missing}"),
        }
    };
}

#[test]
fn packets_of_all_sizes_pass_and_larger_ones_are_refused_with_what_fits() {
    let lab = lab!("size");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    for size in [0, 1000, 1368] {
        a.ping(&b.inner(), &["-M", "do", "-s", &size.to_string()]);
    }
    a.ping(&b.inner_v6(), &["-M", "do", "-s", "1348"]);
    // Larger ones are cut by the kernel where they may be.
    a.ping(&b.inner(), &["-s", "9000"]);
    a.ping(&b.inner_v6(), &["-s", "9000"]);
    let refused = a.try_ping(&b.inner(), &["-M", "do", "-s", "1369"]);
    assert!(
        refused.contains("mtu=1396") || refused.contains("mtu = 1396"),
        "{refused}"
    );
}

#[test]
fn streams_arrive_as_they_were_sent_in_both_directions_at_once() {
    let lab = lab!("tcp");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    exchange(&a, &b, &b.inner(), 32 << 20);
    exchange(&b, &a, &a.inner_v6(), 32 << 20);
    assert!(a.snapshot().offload.0, "{:?}", a.snapshot());
    let status = b.status(&a);
    assert_eq!(status.drops.total(), 0, "{status:?}");
}

#[test]
fn datagrams_that_were_sent_in_one_piece_arrive_one_by_one() {
    let lab = lab!("udp");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    for to in [b.inner(), b.inner_v6()] {
        let to: IpAddr = to.parse().expect("an address");
        let receiver = b.within(move || UdpSocket::bind((to, 0)).expect("a port"));
        receiver
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout can be set");
        let to = receiver.local_addr().expect("it is bound");
        let sent: Vec<u8> = (0..30_500_u32).map(|at| (at / 7) as u8).collect();
        let content = sent.clone();
        let in_one_piece = a.within(move || {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let sender = UdpSocket::bind(any).expect("a port");
            setsockopt(&sender, UdpGsoSegment, &1000).is_ok()
                && sender.send_to(&content, to).is_ok()
        });
        if !in_one_piece {
            return eprintln!("skipped: it takes UDP_SEGMENT");
        }
        for datagram in sent.chunks(1000) {
            let mut received = [0; 2000];
            let length = receiver.recv(&mut received).expect("a datagram");
            assert_eq!(&received[..length], datagram);
        }
    }
}

#[test]
fn streams_arrive_as_they_were_sent_without_any_offload() {
    let lab = lab!("plain");
    let [a, b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let a = a.with_offload(false).start();
    let b = b.start();
    a.apply(&[&b]);
    b.apply(&[&a]);
    a.await_peer(&b);
    exchange(&a, &b, &b.inner(), 8 << 20);
    exchange(&b, &a, &a.inner(), 8 << 20);
}

#[test]
fn streams_pass_a_link_without_segmentation() {
    let lab = lab!("nogso");
    if !has("ethtool") {
        return eprintln!("skipped: it takes ethtool");
    }
    let [a, b] = lab.connected();
    for host in [&a, &b] {
        host.run("ethtool -K eth0 tx-udp-segmentation off tso off gso off gro off");
    }
    a.await_peer(&b);
    exchange(&a, &b, &b.inner(), 16 << 20);
}

#[test]
fn the_tunnel_works_over_ipv6() {
    let lab = lab!("over6");
    let [a, b] = lab.hosts(["fd99::1", "fd99::2"]);
    let (a, b) = (a.start(), b.start());
    a.apply(&[&b]);
    b.apply(&[&a]);
    a.await_peer(&b);
    a.ping(&b.inner(), &["-M", "do", "-s", "1368"]);
    exchange(&a, &b, &b.inner(), 8 << 20);
}

#[test]
fn a_narrow_router_on_the_way_is_found_out_and_nothing_large_is_lost() {
    let lab = lab!("narrow");
    let [a, b] = lab.hosts(["10.99.1.1", "10.99.2.1"]);
    let (a, b) = (a.start(), b.start());
    lab.narrow(&b, 1350);
    a.apply(&[&b]);
    b.apply(&[&a]);
    a.await_peer(&b);
    // Before the path is known, datagrams between the nodes are fragmented.
    a.ping(&b.inner(), &["-M", "do", "-s", "1368"]);
    exchange(&a, &b, &b.inner(), 4 << 20);
    a.await_that("the path's MTU", |a| {
        let mtu = a.status(&b).mtu;
        // 1350 less IPv4, UDP and WireGuard.
        (1283..=1290).contains(&mtu)
    });
    a.await_that("the interface's MTU", |a| a.snapshot().mtu <= 1290);
    exchange(&a, &b, &b.inner(), 4 << 20);
    a.ping(&b.inner(), &["-s", "3000"]);
}

#[test]
fn a_connection_survives_a_new_address_of_its_host() {
    let lab = lab!("roam");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    let echo = Echo::new(&a, &b);
    echo.round();
    a.run("ip address del 10.99.0.1/16 dev eth0");
    a.run("ip address add 10.99.0.77/16 dev eth0");
    echo.round();
    b.await_that("the new endpoint", |b| {
        matches!(b.status(&a).way, Way::Direct { endpoint, configured: false }
            if endpoint.ip().to_string() == "10.99.0.77")
    });
}

#[test]
fn a_connection_survives_a_cut_link_by_a_relay_and_returns() {
    let lab = lab!("cut");
    let [a, b, c] = lab.hosts(["10.99.0.1", "10.99.0.2", "10.99.0.3"]);
    let (a, b, c) = (a.start(), b.start(), c.start());
    for (host, others) in [(&a, [&b, &c]), (&b, [&a, &c]), (&c, [&a, &b])] {
        host.apply(&others);
    }
    a.await_peer(&b);
    a.await_peer(&c);
    b.await_peer(&c);
    let echo = Echo::new(&a, &b);
    echo.round();
    a.run("iptables -A INPUT -s 10.99.0.2 -j DROP");
    a.run("iptables -A OUTPUT -d 10.99.0.2 -j DROP");
    let cut = Instant::now();
    a.await_that(
        "the relay",
        |a| matches!(a.status(&b).way, Way::Relayed { through } if through == c.public()),
    );
    // Five seconds of silence, a probe, and a busy machine.
    assert!(
        cut.elapsed() < Duration::from_secs(12),
        "{:?}",
        cut.elapsed()
    );
    echo.round();
    a.ping(&b.inner(), &["-M", "do", "-s", "1368"]);
    exchange(&a, &b, &b.inner(), 4 << 20);
    assert!(c.status(&a).forwarded.bytes > 4 << 20);
    a.run("iptables -F");
    a.await_that("the direct path", |a| {
        matches!(a.status(&b).way, Way::Direct { .. })
    });
    echo.round();
}

#[test]
fn two_behind_separate_translators_reach_each_other_directly() {
    let lab = lab!("punch");
    let [c] = lab.hosts(["10.99.0.1"]);
    let [(a, first), (b, second)] = [lab.translated(), lab.translated()];
    let (a, b, c) = (a.start(), b.start(), c.start());
    a.apply(&[&c]);
    b.apply(&[&c]);
    c.apply_unknown(&[&a, &b]);
    // The third one sees their outer addresses; the control side would carry them.
    let seen = [&a, &b].map(|host| {
        host.await_that("an observed address", |host| {
            host.status(&c).observed.is_some()
        });
        host.status(&c).observed.expect("it was awaited")
    });
    assert_eq!(
        seen.map(|address| address.ip().to_string()),
        [first, second]
    );
    a.apply_at(&[(&c, c.endpoint()), (&b, seen[1])]);
    b.apply_at(&[(&c, c.endpoint()), (&a, seen[0])]);
    a.await_that("the direct path", |a| {
        matches!(a.status(&b).way, Way::Direct { .. })
    });
    exchange(&a, &b, &b.inner(), 4 << 20);
}

#[test]
fn an_independent_implementation_is_a_peer_like_any_other() {
    let lab = lab!("wggo");
    if !has("wireguard-go") || !has("wg") {
        return eprintln!("skipped: it takes wireguard-go and wireguard-tools");
    }
    let [a, b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let a = a.start();
    let other = b.start_wireguard_go(&a);
    let mut peer = Peer::client(other.public());
    peer.allowed = vec![format!("{}/32", other.inner()).parse().expect("a prefix")];
    peer.endpoints = vec![other.endpoint()];
    a.apply_peers(vec![peer.clone()]);
    a.await_peer(&other);
    a.ping(&other.inner(), &["-M", "do", "-s", "1368"]);
    exchange(&a, &other, &other.inner(), 8 << 20);
    exchange(&other, &a, &a.inner(), 8 << 20);
    // It sends in another one's name.
    let before = a.status(&other).drops[Drop::ForeignSource];
    other.run("ip address add 10.98.0.200/32 dev lo");
    other.try_ping(&a.inner(), &["-I", "10.98.0.200"]);
    assert!(a.status(&other).drops[Drop::ForeignSource] > before);
    // Shut out: its packets and its handshakes are nobody's.
    a.apply_peers(Vec::new());
    let lost = other.try_ping(&a.inner(), &[]);
    assert!(lost.contains("100% packet loss"), "{lost}");
    let drops = a.snapshot().drops;
    assert!(drops[Drop::UnknownIndex] > 0, "{drops:?}");
    // And let in again.
    peer.endpoints.clear();
    a.apply_peers(vec![peer]);
    other.await_ping(&a.inner());
}

#[test]
#[ignore = "takes five minutes: keys are renewed every two"]
fn keys_are_renewed_without_losing_a_packet() {
    let lab = lab!("renew");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    let said = a.try_ping(&b.inner(), &["-i", "0.05", "-c", "5600", "-q"]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    let age = a.status(&b).handshake_age.expect("there is a session");
    assert!(age < Duration::from_secs(130), "{age:?}");
    assert_eq!(b.status(&a).drops.total(), 0, "{:?}", b.status(&a));
}

#[test]
#[ignore = "takes five minutes: keys are renewed every two"]
fn keys_are_renewed_with_an_independent_implementation_without_losing_a_packet() {
    let lab = lab!("renewgo");
    if !has("wireguard-go") || !has("wg") {
        return eprintln!("skipped: it takes wireguard-go and wireguard-tools");
    }
    let [a, b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let a = a.start();
    let other = b.start_wireguard_go(&a);
    let mut peer = Peer::client(other.public());
    peer.allowed = vec![format!("{}/32", other.inner()).parse().expect("a prefix")];
    a.apply_peers(vec![peer]);
    other.await_ping(&a.inner());
    let said = other.try_ping(&a.inner(), &["-i", "0.05", "-c", "5600", "-q"]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert_eq!(a.status(&other).drops.total(), 0, "{:?}", a.status(&other));
}

#[test]
fn replayed_datagrams_are_dropped_and_counted() {
    let lab = lab!("replay");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    // All that passes the bridge towards `b` arrives twice.
    b.run("tc qdisc add dev eth0 clsact");
    let twice =
        "tc filter add dev eth0 egress protocol ip matchall action mirred egress mirror dev eth0";
    a.run("tc qdisc add dev eth0 clsact");
    if !a.try_run(twice) {
        return eprintln!("skipped: this kernel cannot mirror packets");
    }
    let said = a.try_ping(&b.inner(), &["-c", "20", "-i", "0.02"]);
    assert!(
        said.contains(" 0% packet loss") && !said.contains("DUP"),
        "{said}"
    );
    assert!(b.status(&a).drops[Drop::Replay] >= 20, "{:?}", b.status(&a));
}

#[test]
fn a_stranger_gets_no_answer() {
    let lab = lab!("silent");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    let answer = b.within({
        let to = a.endpoint();
        move || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
            let timeout = Some(Duration::from_millis(300));
            socket
                .set_read_timeout(timeout)
                .expect("a timeout can be set");
            for length in [0, 1, 4, 32, 92, 148, 1400] {
                for kind in [0, 1, 2, 3, 4, 0x6b] {
                    let mut bytes = vec![0; length];
                    if let Some(first) = bytes.first_mut() {
                        *first = kind;
                    }
                    socket.send_to(&bytes, to).expect("it can be sent");
                }
            }
            socket.recv_from(&mut [0; 2000]).ok()
        }
    });
    assert_eq!(answer, None);
    assert!(a.snapshot().drops.total() >= 36, "{:?}", a.snapshot().drops);
    a.ping(&b.inner(), &[]);
}

#[test]
fn nothing_is_left_of_an_overlay_that_was_stopped() {
    let lab = lab!("stop");
    let [a, _b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let before = (
        a.output("ip -o link"),
        a.output("ip route"),
        a.output("ip -6 route"),
    );
    let a = a.start();
    assert!(a.output("ip route").contains("10.98.0.0/16"));
    assert!(
        !a.output(&format!("ip -6 address show dev {}", a.interface()))
            .contains("fe80")
    );
    let taken = a.start_another();
    assert!(matches!(taken, Err(StartError::Interface(..))), "{taken:?}");
    let a = a.stop();
    let after = (
        a.output("ip -o link"),
        a.output("ip route"),
        a.output("ip -6 route"),
    );
    assert_eq!(before, after);
    a.start();
}

#[test]
fn an_overlay_whose_interface_was_removed_says_that_it_has_stopped() {
    let lab = lab!("gone");
    let [a, _b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let a = a.start();
    a.run(&format!("ip link delete {}", a.interface()));
    a.await_stop();
    a.stop().start();
}

#[test]
fn a_destination_that_is_nobodys_is_answered_at_once() {
    let lab = lab!("noroute");
    let [a, b] = lab.connected();
    a.await_peer(&b);
    let said = a.try_ping("10.98.77.1", &[]);
    assert!(said.contains("Destination Host Unreachable"), "{said}");
}

#[test]
fn keys_of_nobody_are_not_peers() {
    let lab = lab!("own");
    let [a, _b] = lab.hosts(["10.99.0.1", "10.99.0.2"]);
    let a = a.start();
    let own = Peer::member(key(a.number()).public_key());
    assert!(a.overlay().apply(vec![own]).expect("it runs").is_err());
    let other = Peer::member(PublicKey([1; 32]));
    assert!(
        a.overlay()
            .apply(vec![other.clone(), other])
            .expect("it runs")
            .is_err()
    );
}
