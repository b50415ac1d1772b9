//! Answers as an independent implementation reads them.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use super::*;
use crate::query::tests::question;
use crate::query::{ANY, MOST_PAYLOAD};
use crate::zone::tests::{name, shop};
use crate::zone::{Authority, Records, Target, Transport};

fn raw(zone: &Zone, message: &[u8], limit: usize, seed: u64) -> Option<Vec<u8>> {
    let query = Query::read(message).unwrap();
    let mut out = Vec::new();
    answer(zone, &query, limit, seed, &mut out).then_some(out)
}

fn ask(text: &str, kind: u16) -> Message {
    let query = question(text, kind, Some(1232));
    let answer = raw(&shop(), &query, MOST_PAYLOAD, 1).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn lines(message: &Message) -> Vec<String> {
    message.answers.iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_are_answered_by_rank() {
    let answer = ask("WEB.demo.kontena.local", A);
    assert_eq!(answer.response_code, ResponseCode::NoError);
    assert!(answer.authoritative && answer.recursion_available && answer.recursion_desired);
    let lines = lines(&answer);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], "WEB.demo.kontena.local. 1 IN A 10.80.1.3");
}

#[test]
fn every_order_within_a_rank_comes_up() {
    let zone = shop();
    let query = question("web.demo.kontena.local", A, None);
    let first = |seed| raw(&zone, &query, 512, seed).unwrap()[query.len() + 15];
    let ones = (0..1_000).filter(|seed| first(*seed) == 1).count();
    assert!((400..600).contains(&ones), "{ones} of 1000");
}

#[test]
fn ports_are_answered_with_where_they_are() {
    let answer = ask("_80._tcp.web.demo.kontena.local", SRV);
    assert_eq!(lines(&answer).len(), 3);
    assert_eq!(
        lines(&answer)[2],
        "_80._tcp.web.demo.kontena.local. 1 IN SRV 1 1 80 web-3.demo.kontena.local."
    );
    let additional: Vec<RecordType> = answer
        .additionals
        .iter()
        .map(|record| record.record_type())
        .collect();
    assert_eq!(additional, [RecordType::A; 3]);
}

#[test]
fn an_address_is_answered_with_its_name() {
    let answer = ask("1.1.80.10.in-addr.arpa", PTR);
    assert_eq!(
        lines(&answer),
        ["1.1.80.10.in-addr.arpa. 1 IN PTR web-1.demo.kontena.local."]
    );
}

#[test]
fn nothing_is_told_from_no_such_name_and_both_may_be_kept_for_a_second() {
    for (text, kind, code) in [
        ("web.demo.kontena.local", AAAA, ResponseCode::NoError),
        ("demo.kontena.local", A, ResponseCode::NoError),
        ("db.demo.kontena.local", A, ResponseCode::NXDomain),
        ("9.9.80.10.in-addr.arpa", PTR, ResponseCode::NXDomain),
    ] {
        let answer = ask(text, kind);
        assert_eq!(answer.response_code, code, "{text}");
        assert!(answer.answers.is_empty());
        assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
        assert_eq!(answer.authorities[0].ttl, 1);
    }
    assert_eq!(
        ask("kontena.local", SOA).answers[0].record_type(),
        RecordType::SOA
    );
}

#[test]
fn other_names_are_for_others() {
    assert!(raw(&shop(), &question("example.com", A, None), 512, 0).is_none());
}

#[test]
fn zones_are_not_handed_out_and_newer_versions_are_told_ours() {
    assert_eq!(
        ask("kontena.local", AXFR).response_code,
        ResponseCode::Refused
    );
    let mut newer = question("web.demo.kontena.local", A, Some(1232));
    let version = newer.len() - 5;
    newer[version] = 1;
    let answer = raw(&shop(), &newer, MOST_PAYLOAD, 1).unwrap();
    // BADVERS shares its number with BADSIG.
    assert_eq!(
        u16::from(Message::from_vec(&answer).unwrap().response_code),
        16
    );
}

#[test]
fn what_does_not_fit_is_cut_and_said_to_be() {
    let zone = crowd(200);
    let query = question("many.kontena.local", A, None);
    let answer = raw(&zone, &query, 512, 7).unwrap();
    assert!(answer.len() <= 512);
    let message = Message::from_vec(&answer).unwrap();
    assert!(message.truncation && message.answers.len() > 20);
    let whole = raw(&zone, &query, 65_535, 7).unwrap();
    let message = Message::from_vec(&whole).unwrap();
    assert!(!message.truncation);
    assert_eq!(message.answers.len(), 200);
}

#[test]
fn senders_of_garbage_are_told_little_or_nothing() {
    let mut out = Vec::new();
    assert!(!flawed(Flaw::Silent, &mut out));
    assert!(flawed(Flaw::Format { id: 7 }, &mut out));
    let message = Message::from_vec(&out).unwrap();
    assert_eq!(
        (message.id, message.response_code),
        (7, ResponseCode::FormErr)
    );
}

fn crowd(count: u8) -> Zone {
    let authority = Authority {
        domain: name("kontena.local"),
        networks: Vec::new(),
        ttl: std::time::Duration::from_secs(1),
    };
    let target = |number: u8| Target {
        rank: number % 3,
        address: [10, 80, 1, number].into(),
        name: name(&format!("many-{number}.kontena.local")),
    };
    let mut targets: Vec<Target> = (0..count).map(target).collect();
    targets.sort_by_key(|target| target.rank);
    let ports = vec![(80, Transport::Tcp)];
    Zone::new(
        &authority,
        [(name("many.kontena.local"), Records { targets, ports })],
        [],
    )
}

proptest! {
    #[test]
    fn every_answer_can_be_read_and_keeps_its_limit(
        count: u8,
        which in 0..4_usize,
        kind in prop_oneof![Just(A), Just(AAAA), Just(SRV), Just(PTR), Just(ANY), any::<u16>()],
        payload in prop::option::of(any::<u16>()),
        limit in 512..4096_usize,
        seed: u64,
    ) {
        let names = ["many.kontena.local", "_80._tcp.many.kontena.local", "none.kontena.local", "kontena.local"];
        let query = question(names[which], kind, payload);
        let answer = raw(&crowd(count), &query, limit, seed).unwrap();
        prop_assert!(answer.len() <= limit);
        let message = Message::from_vec(&answer).unwrap();
        prop_assert_eq!(message.id, 0x1234);
        prop_assert_eq!(message.edns.is_some(), payload.is_some());
        let complete = usize::from(count) * usize::from(which < 2);
        let is_asked = [A, ANY].contains(&kind) && which == 0 || [SRV, ANY].contains(&kind) && which == 1;
        if is_asked && !message.truncation {
            prop_assert_eq!(message.answers.len(), complete);
        }
    }
}
