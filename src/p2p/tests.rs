//! Two and three nodes on loopback: what arrives, what is refused, and what heals.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each test looks at one kind of event"
)]

mod doubled;

use std::time::Duration;

use kontena_core::message::MAX_MESSAGE_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// Far more than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    p2p: P2p,
    id: NodeId,
    address: SocketAddr,
    events: mpsc::Receiver<P2pEvent>,
}

impl Node {
    async fn start(seed: u8) -> Self {
        Self::start_at(seed, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(seed: u8, listen: SocketAddr) -> Self {
        let key = SecretKey::from_seed([seed; 32]);
        let (sender, mut events) = mpsc::channel(64);
        let p2p = P2p::start(&key, &[listen], sender).unwrap();
        let first = timeout(PATIENCE, events.recv()).await.unwrap();
        let Some(P2pEvent::Listening(addresses)) = first else {
            panic!("{first:?}");
        };
        let address = addresses[0];
        Self {
            p2p,
            id: key.node_id(),
            address,
            events,
        }
    }

    fn knows(&self, others: &[(NodeId, SocketAddr)]) {
        let members = others
            .iter()
            .map(|(node, address)| (*node, vec![*address]))
            .collect();
        self.p2p.set_peers(&members);
    }

    fn here(&self) -> (NodeId, SocketAddr) {
        (self.id, self.address)
    }

    fn say(&self, to: NodeId, text: &str) {
        self.p2p.send(to, Bytes::copy_from_slice(text.as_bytes()));
    }

    /// The first event for which `pick` returns something.
    async fn wait<T>(&mut self, mut pick: impl FnMut(P2pEvent) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = pick(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap()
    }

    async fn hear(&mut self) -> (NodeId, Vec<u8>) {
        self.wait(|event| match event {
            P2pEvent::Message { from, bytes, .. } => Some((from, bytes)),
            _ => None,
        })
        .await
    }

    async fn hear_to_answer(&mut self) -> (String, Answers) {
        self.wait(|event| match event {
            P2pEvent::Message { bytes, answers, .. } => {
                Some((String::from_utf8(bytes).unwrap(), answers))
            }
            _ => None,
        })
        .await
    }

    async fn hear_text(&mut self) -> String {
        String::from_utf8(self.hear().await.1).unwrap()
    }
}

async fn two_members() -> (Node, Node) {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&[b.here()]);
    b.knows(&[a.here()]);
    (a, b)
}

#[tokio::test]
async fn members_hear_each_other_in_order() {
    let (mut a, mut b) = two_members().await;
    for number in 0..100 {
        a.say(b.id, &format!("{number}"));
        b.say(a.id, &format!("{number}"));
    }
    for number in 0..100 {
        assert_eq!(b.hear_text().await, number.to_string());
        assert_eq!(a.hear_text().await, number.to_string());
    }
}

#[tokio::test]
async fn a_goodbye_is_heard_when_the_wire_ends_after_a_flush() {
    let (a, mut b) = two_members().await;
    a.say(b.id, "goodbye");
    a.p2p.flush(PATIENCE).await;
    drop(a);
    assert_eq!(b.hear_text().await, "goodbye");
}

#[tokio::test]
async fn three_members_all_hear_all() {
    let mut nodes = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
    ];
    let all: Vec<_> = nodes.iter().map(Node::here).collect();
    for node in &nodes {
        node.knows(&all);
    }
    for node in &nodes {
        for (id, _) in &all {
            node.say(*id, "hello");
        }
    }
    for node in &mut nodes {
        let mut heard = vec![node.hear().await.0, node.hear().await.0];
        heard.push(node.id);
        heard.sort();
        let mut everybody: Vec<_> = all.iter().map(|(id, _)| *id).collect();
        everybody.sort();
        assert_eq!(heard, everybody);
    }
}

#[tokio::test]
async fn the_largest_message_arrives_and_a_larger_one_is_dropped() {
    let (a, mut b) = two_members().await;
    a.p2p.send(b.id, vec![1; MAX_MESSAGE_BYTES + 1].into());
    a.p2p.send(b.id, vec![2; MAX_MESSAGE_BYTES].into());
    let (_, bytes) = b.hear().await;
    assert_eq!(bytes.len(), MAX_MESSAGE_BYTES);
    assert!(bytes.iter().all(|byte| *byte == 2));
    assert_eq!(a.p2p.dropped_messages(), 1);
}

#[tokio::test]
async fn a_stranger_is_not_heard_and_is_shown_the_door() {
    let (a, mut b) = two_members().await;
    let mut stranger = Node::start(3).await;
    stranger.knows(&[b.here()]);
    stranger.say(b.id, "let me in");
    // It connects, it speaks, it is closed: so it has to connect again.
    for _ in 0..2 {
        stranger
            .wait(|event| matches!(event, P2pEvent::Connected { .. }).then_some(()))
            .await;
    }
    assert!(stranger.p2p.open_stream(b.id, b"logs").await.is_err() || b.events.is_empty());
    a.say(b.id, "hello");
    assert_eq!(b.hear().await, (a.id, b"hello".to_vec()));
    while let Ok(event) = b.events.try_recv() {
        assert!(!matches!(
            event,
            P2pEvent::Message { .. } | P2pEvent::Stream { .. }
        ));
    }
}

#[tokio::test]
async fn a_stranger_asks_to_join_and_gets_an_answer() {
    let mut sponsor = Node::start(1).await;
    let joiner = Node::start(2).await;
    let address = format!("localhost:{}", sponsor.address.port());
    let asking = tokio::spawn({
        let p2p = joiner.p2p.clone();
        async move { p2p.ask_join(&address, b"please".to_vec()).await }
    });
    let (id, from) = sponsor
        .wait(|event| match event {
            P2pEvent::JoinAsked {
                id,
                from,
                bytes,
                seen,
            } => {
                assert_eq!(bytes, b"please");
                assert!(seen.ip().is_loopback());
                Some((id, from))
            }
            _ => None,
        })
        .await;
    assert_eq!(from, joiner.id);
    // A member of the sponsor's grid may speak before the joiner has read its welcome.
    sponsor.knows(&[joiner.here()]);
    sponsor.say(joiner.id, "too early");
    let welcome = vec![7; 3_000_000];
    sponsor.p2p.answer_join(id, welcome.clone()).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), welcome);
}

#[tokio::test]
async fn a_member_calls_one_that_does_not_know_it() {
    let (a, mut b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&[b.here()]);
    let (p2p, to) = (a.p2p.clone(), b.id);
    let asking = tokio::spawn(async move { p2p.ask_member(to, b"me".to_vec()).await });
    let (id, from, bytes) = b
        .wait(|event| match event {
            P2pEvent::JoinAsked {
                id, from, bytes, ..
            } => Some((id, from, bytes)),
            _ => None,
        })
        .await;
    assert_eq!((from, bytes), (a.id, b"me".to_vec()));
    b.p2p.answer_join(id, b"you".to_vec()).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), b"you");
}

#[tokio::test]
async fn who_is_somewhere_else_than_the_member_does_not_hear_what_it_is_asked() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    let absent = SecretKey::from_seed([3; 32]).node_id();
    a.knows(&[(absent, b.address)]);
    let refused = a.p2p.ask_member(absent, b"me".to_vec()).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn asking_where_nobody_is_fails_with_the_reason() {
    let node = Node::start(1).await;
    let port = unused_port().await;
    for (address, reason) in [
        (format!("127.0.0.1:{port}"), "refuses the connection"),
        (node.address.to_string(), "this node itself"),
        (
            format!(
                "/ip4/127.0.0.1/tcp/{}/p2p/{}",
                node.address.port(),
                PeerId::random()
            ),
            "",
        ),
    ] {
        let error = node.p2p.ask_join(&address, Vec::new()).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(reason), "{text}");
        // Whoever asked says whom it failed to reach.
        assert!(!text.contains("failed to reach"), "{text}");
    }
}

#[tokio::test]
async fn a_question_that_is_too_long_is_refused() {
    let sponsor = Node::start(1).await;
    let joiner = Node::start(2).await;
    let address = sponsor.address.to_string();
    let refused = joiner
        .p2p
        .ask_join(&address, vec![0; kontena_core::message::MAX_CALL_BYTES + 1])
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_removed_member_is_cut_off() {
    let (mut a, mut b) = two_members().await;
    a.say(b.id, "one");
    assert_eq!(b.hear_text().await, "one");
    b.knows(&[]);
    let before = Instant::now();
    // The connection is closed, so the next message needs a new one.
    a.say(b.id, "two");
    a.wait(|event| match event {
        P2pEvent::Connected { .. } => Some(()),
        _ => None,
    })
    .await;
    a.say(b.id, "three");
    a.wait(|event| match event {
        P2pEvent::Connected { .. } => Some(()),
        _ => None,
    })
    .await;
    assert!(before.elapsed() < PATIENCE);
    while let Ok(event) = b.events.try_recv() {
        assert!(!matches!(event, P2pEvent::Message { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_restarted_member_is_reached_again_within_a_second() {
    let (mut a, mut b) = two_members().await;
    a.say(b.id, "one");
    b.say(a.id, "one");
    assert_eq!(b.hear_text().await, "one");
    assert_eq!(a.hear_text().await, "one");
    let address = b.address;
    drop(b);
    a.say(
        NodeId(SecretKey::from_seed([2; 32]).public()),
        "lost or late",
    );
    a.wait(|event| matches!(event, P2pEvent::Refused { .. }).then_some(()))
        .await;

    let mut b = Node::start_at(2, address).await;
    b.knows(&[a.here()]);
    let restarted = Instant::now();
    a.say(b.id, "two");
    while b.hear_text().await != "two" {}
    assert!(restarted.elapsed() < Duration::from_millis(1500));
    b.say(a.id, "three");
    while a.hear_text().await != "three" {}
}

#[tokio::test]
async fn a_member_with_another_address_is_reached_there() {
    let (mut a, b) = two_members().await;
    a.say(b.id, "one");
    drop(b);
    let mut b = Node::start(2).await;
    b.knows(&[a.here()]);
    a.knows(&[b.here()]);
    a.say(b.id, "two");
    while b.hear_text().await != "two" {}
    b.say(a.id, "three");
    while a.hear_text().await != "three" {}
}

#[tokio::test]
async fn a_dead_connection_is_replaced_soon_after_the_heal() {
    let (a, mut b) = (Node::start(1).await, Node::start(2).await);
    let link = Wire::between(b.address).await;
    a.knows(&[(b.id, link.address)]);
    b.knows(&[(a.id, unreachable_address().await)]);
    a.say(b.id, "one");
    assert_eq!(b.hear_text().await, "one");
    link.cut();
    for _ in 0..5 {
        a.say(b.id, "into the dark");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    link.heal();
    let healed = Instant::now();
    a.say(b.id, "two");
    while b.hear_text().await != "two" {}
    assert!(
        healed.elapsed() < Duration::from_secs(2),
        "{:?}",
        healed.elapsed()
    );
}

#[tokio::test]
async fn a_slow_daemon_loses_nothing_and_keeps_its_connection() {
    let (a, mut b) = two_members().await;
    // Room for 64 events: the rest waits at the sender, longer than a dead connection is kept.
    for number in 0..200 {
        a.say(b.id, &format!("{number}"));
    }
    tokio::time::sleep(link::PROGRESS_LIMIT + Duration::from_secs(1)).await;
    for number in 0..200 {
        assert_eq!(b.hear_text().await, number.to_string());
    }
    assert_eq!(a.p2p.dropped_messages(), 0);
}

#[tokio::test]
async fn two_nodes_with_one_key_harm_nobody() {
    let (mut a, mut b) = two_members().await;
    let mut clone = Node::start(2).await;
    clone.knows(&[a.here()]);
    for number in 0..20 {
        b.say(a.id, &format!("b{number}"));
        clone.say(a.id, &format!("c{number}"));
        a.say(b.id, "hello");
    }
    let (mut from_b, mut from_clone) = (false, false);
    while !(from_b && from_clone) {
        let text = a.hear_text().await;
        from_b |= text.starts_with('b');
        from_clone |= text.starts_with('c');
    }
    // One of the two hears what is said to them.
    tokio::select! {
        text = b.hear_text() => assert_eq!(text, "hello"),
        text = clone.hear_text() => assert_eq!(text, "hello"),
    }
}

#[tokio::test]
async fn each_of_two_processes_with_one_key_hears_the_answer_to_what_it_said() {
    let (mut a, b) = two_members().await;
    let clone = Node::start(2).await;
    clone.knows(&[a.here()]);
    let mut twins = [(b, "b"), (clone, "c")];
    for round in 0..20 {
        for (twin, name) in &twins {
            twin.say(a.id, &format!("{name}{round}"));
        }
        for (twin, name) in &mut twins {
            loop {
                let (asked, answers) = a.hear_to_answer().await;
                if answers.answer(Bytes::from(format!("to {asked}"))).is_ok()
                    && asked == format!("{name}{round}")
                {
                    break;
                }
            }
            let heard = twin.hear_text().await;
            assert!(heard.starts_with(&format!("to {name}")), "{name}: {heard}");
        }
    }
}

#[tokio::test]
async fn a_large_answer_arrives_whole_and_an_answer_cannot_be_answered() {
    let (mut a, mut b) = two_members().await;
    a.say(b.id, "question");
    let (_, answers) = b.hear_to_answer().await;
    let large = Bytes::from(vec![7; MAX_MESSAGE_BYTES]);
    answers.answer(large.clone()).unwrap();
    let (from, bytes, answers) = a
        .wait(|event| match event {
            P2pEvent::Message {
                from,
                bytes,
                answers,
            } => Some((from, bytes, answers)),
            _ => None,
        })
        .await;
    assert_eq!((from, bytes.len()), (b.id, large.len()));
    assert!(bytes == large);
    assert!(answers.answer(Bytes::new()).is_err());
    // The stream goes on.
    a.say(b.id, "next");
    assert_eq!(b.hear_text().await, "next");
}

#[tokio::test]
async fn a_stream_carries_bytes_both_ways() {
    let (a, mut b) = two_members().await;
    let mut here = a.p2p.open_stream(b.id, b"logs of web-1").await.unwrap();
    let (from, header, mut there) = b
        .wait(|event| match event {
            P2pEvent::Stream {
                from,
                header,
                stream,
            } => Some((from, header, stream)),
            _ => None,
        })
        .await;
    assert_eq!((from, header.as_slice()), (a.id, &b"logs of web-1"[..]));
    here.write_all(b"ping").await.unwrap();
    here.flush().await.unwrap();
    let mut bytes = [0; 4];
    there.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    there.write_all(b"pong").await.unwrap();
    there.shutdown().await.unwrap();
    let mut answer = Vec::new();
    here.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"pong");
}

#[tokio::test]
async fn a_stream_is_opened_though_its_connection_closes_just_then() {
    let (a, b) = two_members().await;
    let peer = b.p2p.peers.borrow().peer_of(&a.id).unwrap();
    for _ in 0..100 {
        b.p2p.order(Order::Disconnect { peer }).await.unwrap();
        a.p2p.open_stream(b.id, b"logs").await.unwrap();
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (events, _unread) = mpsc::channel(1);
    let key = SecretKey::from_seed([1; 32]);
    let started = P2p::start(&key, &[taken.local_addr().unwrap()], events);
    let problem = format!("{:#}", started.unwrap_err());
    assert!(problem.contains("failed to listen"), "{problem}");
    assert!(!problem.contains(": :"), "{problem}");
    assert_eq!(problem.matches("os error").count(), 1, "{problem}");
}

#[tokio::test]
async fn a_node_can_listen_on_all_addresses_of_both_kinds() {
    let port = unused_port().await;
    let all = [
        SocketAddr::from(([0, 0, 0, 0], port)),
        SocketAddr::from(([0u16; 8], port)),
    ];
    let (sender, mut events) = mpsc::channel(64);
    let _p2p = P2p::start(&SecretKey::from_seed([1; 32]), &all, sender).unwrap();
    let both = async {
        loop {
            if let Some(P2pEvent::Listening(addresses)) = events.recv().await {
                let has = |ip: &str| addresses.iter().any(|a| a.ip().to_string() == ip);
                assert!(addresses.iter().is_sorted_by_key(|a| a.ip().is_loopback()));
                if has("127.0.0.1") && has("::1") {
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, both).await.unwrap();
}

async fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn unreachable_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], unused_port().await))
}

/// A wire that can be cut: bytes are swallowed in both directions, and nobody is told.
struct Wire {
    address: SocketAddr,
    cut: Arc<watch::Sender<bool>>,
}

impl Wire {
    async fn between(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let is_cut = is_cut.clone();
                tokio::spawn(async move {
                    let far = TcpStream::connect(target).await.unwrap();
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    let (there, back) = (is_cut.clone(), is_cut);
                    tokio::join!(
                        carry(near_read, far_write, there),
                        carry(far_read, near_write, back)
                    );
                });
            }
        });
        Self {
            address,
            cut: Arc::new(cut),
        }
    }

    fn cut(&self) {
        self.cut.send_replace(true);
    }

    fn heal(&self) {
        self.cut.send_replace(false);
    }
}

/// What was swallowed stays swallowed: a connection that lost bytes carries nothing any more.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    is_cut: watch::Receiver<bool>,
) {
    let mut buffer = [0; 4096];
    let mut dead = false;
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        dead |= *is_cut.borrow();
        if !dead && to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    if dead {
        // Not even the end is told.
        std::future::pending::<()>().await;
    }
}
