//! The server on real sockets, asked by an independent implementation and by `dig`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is a failing test, and one that is skipped says so"
)]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use kontena_names::{
    Authority, Limits, Name, Prefix, Records, Server, Settings, Target, Transport, Zone,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The forms of a grid `demo`: a service in a stack that exposes it, with port 80, and a node.
fn demo() -> Zone {
    let authority = Authority {
        domain: name("kontena.local"),
        networks: vec!["10.80.0.0/12".parse().unwrap()],
        ttl: Duration::from_secs(1),
    };
    let target = |number: u8| Target {
        rank: number / 3,
        address: [10, 80, 1, number].into(),
        name: name(&format!("web-{number}.shop.demo.kontena.local")),
    };
    let records = |numbers: &[u8]| Records {
        targets: numbers.iter().map(|number| target(*number)).collect(),
        ports: vec![(80, Transport::Tcp)],
    };
    let names = [
        ("web.shop.demo.kontena.local", records(&[1, 2, 3])),
        ("web-1.shop.demo.kontena.local", records(&[1])),
        ("shop.demo.kontena.local", records(&[1, 2, 3])),
        ("shop-1.demo.kontena.local", records(&[1])),
        ("a.node.demo.kontena.local", records(&[1])),
    ];
    let names = names.map(|(text, records)| (name(text), records));
    let reverse = [([10, 80, 1, 1].into(), name("web-1.shop.demo.kontena.local"))];
    Zone::new(&authority, names, reverse)
}

struct Fixture {
    server: Server,
    address: SocketAddr,
}

fn serving(clients: &str, limits: Limits) -> Fixture {
    let settings = Settings {
        clients: vec![clients.parse().unwrap()],
        limits,
    };
    let mut server = Server::new(demo(), settings);
    let address = listen(&mut server);
    Fixture { server, address }
}

/// On a port that was free a moment ago: somebody else may take it in between.
fn listen(server: &mut Server) -> SocketAddr {
    for _ in 0..20 {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        if server.listen(&BTreeSet::from([address])).is_empty() {
            return address;
        }
    }
    panic!("no port is free");
}

fn local() -> Fixture {
    serving("127.0.0.0/8", Limits::default())
}

fn question(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(rand_id(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(DnsName::from_ascii(text).unwrap(), kind));
    message
}

fn rand_id() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u16::try_from(NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff).unwrap()
}

/// `None` if there is no answer within `wait`.
async fn ask_within(server: SocketAddr, message: &Message, wait: Duration) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 65_535];
    let length = timeout(wait, socket.recv(&mut buffer)).await.ok()?.ok()?;
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.id, message.id);
    Some(answer)
}

async fn ask(server: SocketAddr, text: &str, kind: RecordType) -> Message {
    let answer = ask_within(server, &question(text, kind), PATIENCE).await;
    answer.expect("the server answers")
}

async fn ask_by_tcp(stream: &mut TcpStream, text: &str) -> Message {
    let bytes = question(text, RecordType::A).to_vec().unwrap();
    stream
        .write_u16(u16::try_from(bytes.len()).unwrap())
        .await
        .unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; length.into()];
    timeout(PATIENCE, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&answer).unwrap()
}

/// Waits until the server has counted what is expected.
async fn until(server: &Server, what: &str, holds: impl Fn(&Server) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(server) {
        assert!(Instant::now() < deadline, "{what}: {:?}", server.counts());
        sleep(Duration::from_millis(5)).await;
    }
}

/// A resolver that answers every question with as many addresses, and counts.
struct Resolver {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
}

/// UDP and TCP on one port: that the one is free says nothing of the other.
async fn both_ways() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        match TcpListener::bind(address).await {
            Ok(listener) => return (socket, listener),
            Err(problem) => assert_eq!(problem.kind(), ErrorKind::AddrInUse),
        }
    }
}

async fn resolver(answers: u8, code: ResponseCode) -> Resolver {
    let (socket, listener) = both_ways().await;
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            let mut answer = reply(&buffer[..length], answers, code);
            if answers > 70 {
                answer.metadata.truncation = true;
                answer.answers.clear();
            }
            socket
                .send_to(&answer.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut message = vec![0; length.into()];
            stream.read_exact(&mut message).await.unwrap();
            let answer = reply(&message, answers, code).to_vec().unwrap();
            stream
                .write_u16(u16::try_from(answer.len()).unwrap())
                .await
                .unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    Resolver { address, asked }
}

fn reply(asked: &[u8], answers: u8, code: ResponseCode) -> Message {
    let asked = Message::from_vec(asked).unwrap();
    let mut message = Message::new(asked.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = code;
    message.queries = asked.queries.clone();
    message.edns = asked.edns.clone();
    for number in 0..answers {
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, number)));
        message.answers.push(Record::from_rdata(
            asked.queries[0].name().clone(),
            60,
            data,
        ));
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_the_zone_are_answered_by_udp_and_tcp() {
    let fixture = local();
    let answer = ask(
        fixture.address,
        "web.shop.demo.kontena.local",
        RecordType::A,
    )
    .await;
    assert_eq!(answer.answers.len(), 3);
    assert_eq!(
        answer.answers[2].data,
        RData::A(A(Ipv4Addr::new(10, 80, 1, 3)))
    );
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    for _ in 0..3 {
        let answer = ask_by_tcp(&mut stream, "web.shop.demo.kontena.local").await;
        assert_eq!(answer.answers.len(), 3);
    }
    fixture.server.set_zone(Zone::new(
        &Authority {
            domain: name("kontena.local"),
            networks: Vec::new(),
            ttl: Duration::from_secs(1),
        },
        [],
        [],
    ));
    let answer = ask(
        fixture.address,
        "web.shop.demo.kontena.local",
        RecordType::A,
    )
    .await;
    assert_eq!(answer.response_code, ResponseCode::NXDomain);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_come_from_a_resolver_and_then_from_memory() {
    let fixture = local();
    let resolver = resolver(2, ResponseCode::NoError).await;
    fixture.server.set_upstreams(&[resolver.address]);
    let probe = until(&fixture.server, "the probe is sent", |_| {
        resolver.asked.load(Ordering::Relaxed) == 1
    });
    probe.await;
    for _ in 0..3 {
        let answer = ask(fixture.address, "Example.com", RecordType::A).await;
        assert_eq!(answer.answers.len(), 2);
        assert!(!answer.authoritative && answer.recursion_available);
    }
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 2);
    let counts = fixture.server.counts();
    assert_eq!((counts.forwarded, counts.cached), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_is_down_is_noticed_once() {
    let fixture = local();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(1, ResponseCode::NoError).await;
    let down = silent.local_addr().unwrap();
    fixture.server.set_upstreams(&[down, resolver.address]);
    let answer = ask(fixture.address, "one.example.com", RecordType::A).await;
    assert_eq!(answer.answers.len(), 1);
    until(&fixture.server, "the silent one is asked last", |server| {
        server.upstreams()[0] == resolver.address
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_refuses_is_not_the_last_word() {
    let fixture = local();
    let unwilling = resolver(0, ResponseCode::Refused).await;
    let willing = resolver(1, ResponseCode::NoError).await;
    fixture
        .server
        .set_upstreams(&[unwilling.address, willing.address]);
    assert_eq!(
        ask(fixture.address, "example.com", RecordType::A)
            .await
            .answers
            .len(),
        1
    );
    fixture.server.set_upstreams(&[unwilling.address]);
    let answer = ask(fixture.address, "example.net", RecordType::A).await;
    assert_eq!(answer.response_code, ResponseCode::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_resolvers_other_names_fail_at_once() {
    let fixture = local();
    let answer = ask(fixture.address, "example.com", RecordType::A).await;
    assert_eq!(answer.response_code, ResponseCode::ServFail);
    assert_eq!(fixture.server.counts().failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_goes_by_tcp_on_both_sides() {
    let fixture = local();
    let resolver = resolver(200, ResponseCode::NoError).await;
    fixture.server.set_upstreams(&[resolver.address]);
    let answer = ask(fixture.address, "long.example.com", RecordType::A).await;
    assert!(answer.truncation && answer.answers.is_empty());
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    assert_eq!(
        ask_by_tcp(&mut stream, "long.example.com")
            .await
            .answers
            .len(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_asks_us_is_found_out() {
    let fixture = local();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap();
    let server = fixture.address;
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, _) = relay.recv_from(&mut buffer).await.unwrap();
            relay.send_to(&buffer[..length], server).await.unwrap();
        }
    });
    fixture.server.set_upstreams(&[address]);
    until(&fixture.server, "the loop is found", |server| {
        server.counts().loops == 1
    })
    .await;
    assert!(fixture.server.upstreams().is_empty());
    fixture.server.set_upstreams(&[server]);
    assert!(
        fixture.server.upstreams().is_empty(),
        "it never asks itself"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_no_answer() {
    let fixture = serving("10.80.0.0/12", Limits::default());
    let message = question("web.shop.demo.kontena.local", RecordType::A);
    assert!(
        ask_within(fixture.address, &message, Duration::from_millis(300))
            .await
            .is_none()
    );
    assert_eq!(fixture.server.counts().strangers, 1);
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    assert!(timeout(PATIENCE, stream.read_u16()).await.unwrap().is_err());
    fixture
        .server
        .set_clients(vec![Prefix::of([127, 0, 0, 1].into())]);
    ask(
        fixture.address,
        "web.shop.demo.kontena.local",
        RecordType::A,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_gets_no_more_than_its_share() {
    let fixture = serving(
        "127.0.0.0/8",
        Limits {
            questions: 10,
            ..Limits::default()
        },
    );
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..200 {
        let message = question("web.shop.demo.kontena.local", RecordType::A)
            .to_vec()
            .unwrap();
        socket.send_to(&message, fixture.address).await.unwrap();
    }
    let all = |server: &Server| server.counts().answered + server.counts().limited == 200;
    until(&fixture.server, "all are counted", all).await;
    assert!(
        fixture.server.counts().limited >= 100,
        "{:?}",
        fixture.server.counts()
    );
    // Another client is not disturbed.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let message = question("web.shop.demo.kontena.local", RecordType::A)
        .to_vec()
        .unwrap();
    other.send_to(&message, fixture.address).await.unwrap();
    let mut buffer = [0; 4096];
    timeout(PATIENCE, other.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_for_each_client() {
    let fixture = serving(
        "127.0.0.0/8",
        Limits {
            connections: 16,
            ..Limits::default()
        },
    );
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        ask_by_tcp(&mut stream, "web.shop.demo.kontena.local").await;
        held.push(stream);
    }
    let mut third = TcpStream::connect(fixture.address).await.unwrap();
    assert!(timeout(PATIENCE, third.read_u16()).await.unwrap().is_err());
    drop(held);
    until(&fixture.server, "it is counted", |server| {
        server.counts().limited == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_counted_and_does_no_harm() {
    let fixture = local();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut state = 7_u64;
    for length in 0..500_usize {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                u8::try_from(state >> 56).unwrap()
            })
            .collect();
        socket.send_to(&noise, fixture.address).await.unwrap();
    }
    until(&fixture.server, "it is counted", |server| {
        server.counts().garbage >= 490
    })
    .await;
    let answer = ask(
        fixture.address,
        "web.shop.demo.kontena.local",
        RecordType::A,
    )
    .await;
    assert_eq!(answer.answers.len(), 3);
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    drop(
        timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .unwrap(),
    );
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_come_and_go() {
    let mut fixture = local();
    let first = fixture.address;
    let second = SocketAddr::from(([127, 0, 0, 2], first.port()));
    let absent = SocketAddr::from(([192, 0, 2, 1], first.port()));
    let failed = fixture.server.listen(&BTreeSet::from([second, absent]));
    assert_eq!(
        failed
            .iter()
            .map(|(address, _)| *address)
            .collect::<Vec<_>>(),
        [absent]
    );
    assert_eq!(fixture.server.listens_on().collect::<Vec<_>>(), [second]);
    ask(second, "web.shop.demo.kontena.local", RecordType::A).await;
    // The old one is free again once its tasks have ended.
    let deadline = Instant::now() + PATIENCE;
    while !fixture
        .server
        .listen(&BTreeSet::from([first, second]))
        .is_empty()
    {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
    ask(first, "web.shop.demo.kontena.local", RecordType::A).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_ends_with_the_address_that_it_was_begun_at() {
    let mut fixture = local();
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    ask_by_tcp(&mut stream, "web.shop.demo.kontena.local").await;
    fixture.server.listen(&BTreeSet::new());
    // Long before it would end because nothing is asked (10 s).
    let limit = Duration::from_secs(5);
    let rest = timeout(limit, stream.read_u8()).await.unwrap();
    assert_eq!(rest.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_understands_every_form() {
    if Command::new("dig").arg("-v").output().is_err() {
        eprintln!("skipped: `dig` is not there (Debian's bind9-dnsutils)");
        return;
    }
    let fixture = local();
    for (words, expected) in [
        ("web-1.shop.demo.kontena.local", "10.80.1.1"),
        ("SHOP-1.demo.kontena.local", "10.80.1.1"),
        ("a.node.demo.kontena.local", "10.80.1.1"),
        ("-x 10.80.1.1", "web-1.shop.demo.kontena.local."),
        ("+tcp shop-1.demo.kontena.local", "10.80.1.1"),
        ("+noedns web-1.shop.demo.kontena.local A", "10.80.1.1"),
        ("web-1.shop.demo.kontena.local AAAA", ""),
        (
            "_80._tcp.web-1.shop.demo.kontena.local SRV",
            "0 1 80 web-1.shop.demo.kontena.local.",
        ),
        (
            "kontena.local SOA",
            "kontena.local. hostmaster.kontena.local. 1 60 60 60 1",
        ),
    ] {
        let said = dig(fixture.address, &format!("+short {words}")).await;
        assert_eq!(said.trim(), expected, "{words}");
    }
    for (words, expected) in [
        ("shop.demo.kontena.local", "ANSWER: 3"),
        ("web-9.shop.demo.kontena.local", "status: NXDOMAIN"),
        ("demo.kontena.local", "status: NOERROR"),
        ("web.shop.demo.kontena.local MX", "status: NOERROR"),
        (
            "+edns=1 +noednsneg web.shop.demo.kontena.local",
            "status: BADVERS",
        ),
        ("kontena.local AXFR", "Transfer failed"),
    ] {
        let said = dig(fixture.address, words).await;
        assert!(
            said.contains(expected) && !said.contains("malformed"),
            "{words}: {said}"
        );
    }
}

/// What `dig` prints; it waits for the server, so that it must not hold the server's runtime.
async fn dig(server: SocketAddr, words: &str) -> String {
    let mut command = Command::new("dig");
    command
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string()]);
    command.args(words.split(' '));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
