//! What a resolver answered: checked, and said again to whoever asks, with the time that it is old.

use crate::answer::{truncated, write_edns};
use crate::name::NameBuffer;
use crate::query::{HEADER, MOST_PAYLOAD, OPT, Query, Record, SOA, word};

/// The longest that an answer is kept, whatever its own records say: an hour, and five minutes for "there is
/// none" (RFC 2308 recommends at most three hours; containers come and go faster).
const KEEP_MOST: u32 = 3_600;
const KEEP_MOST_OF_NOTHING: u32 = 300;

const EDNS: usize = 11;
const AUTHENTIC: u16 = 0x0020;

/// An answer without the EDNS record of whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    bytes: Box<[u8]>,
    ttls: Vec<usize>,
    pub(crate) is_truncated: bool,
    code: u8,
    /// How many seconds it may be kept; `None` if not at all.
    pub(crate) keep: Option<u32>,
}

impl Reply {
    /// Reads the answer to `query` that was asked under `id`; `None` if it is not that.
    pub(crate) fn read(message: &[u8], query: &Query, id: u16) -> Option<Self> {
        let header: &[u8; HEADER] = message.first_chunk()?;
        let flags = word(header, 2)?;
        let is_answer = word(header, 0)? == id && flags & 0x8000 != 0 && word(header, 4)? == 1;
        let (name, end) = NameBuffer::read(message, HEADER)?;
        let is_ours = name.as_wire() == query.name.as_wire()
            && (word(message, end)?, word(message, end + 2)?) == (query.kind, query.class);
        if !is_answer || !is_ours {
            return None;
        }
        let counts = [word(header, 6)?, word(header, 8)?, word(header, 10)?];
        let is_truncated = flags & 0x0200 != 0;
        let body = Body::read(message, end + 4, counts, is_truncated)?;
        let mut bytes: Box<[u8]> = message[..body.end].into();
        bytes[10..12].copy_from_slice(&body.additional.to_be_bytes());
        let code = (flags & 15) as u8;
        let keep = body
            .keep(code)
            .filter(|_| !is_truncated && body.code_above == 0);
        Some(Self {
            bytes,
            ttls: body.ttls,
            is_truncated,
            code,
            keep,
        })
    }

    /// Whether another resolver may know better: this one failed, or does not want to.
    pub(crate) fn is_unhelpful(&self) -> bool {
        !matches!(self.code, 0 | 3)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes it as the answer to `query` after `age` seconds; only that it is too long, if it is.
    pub(crate) fn write(&self, query: &Query, age: u32, limit: usize, out: &mut Vec<u8>) {
        let edns = if query.edns.is_some() { EDNS } else { 0 };
        if self.is_truncated || self.bytes.len() + edns > limit {
            truncated(query, out);
            return;
        }
        out.clear();
        out.extend(&self.bytes[..]);
        out[..2].copy_from_slice(&query.id.to_be_bytes());
        let authentic = if query.wants_dnssec() { AUTHENTIC } else { 0 };
        let said = u16::from_be_bytes([out[2], out[3]]) & (0x000f | authentic);
        out[2..4].copy_from_slice(&(0x8080 | query.flags | said).to_be_bytes());
        out[HEADER..HEADER + query.question.len()].copy_from_slice(&query.question);
        for at in &self.ttls {
            let ttl = u32::from_be_bytes([out[*at], out[at + 1], out[at + 2], out[at + 3]]);
            out[*at..at + 4].copy_from_slice(&ttl.saturating_sub(age).to_be_bytes());
        }
        if query.edns.is_some() {
            write_edns(out, 0, query.wants_dnssec());
            let additional = u16::from_be_bytes([out[10], out[11]]).saturating_add(1);
            out[10..12].copy_from_slice(&additional.to_be_bytes());
        }
    }
}

/// The records of an answer.
#[derive(Debug)]
struct Body {
    ttls: Vec<usize>,
    lowest: Option<u32>,
    answers: u16,
    /// How long it may be remembered that there is nothing.
    nothing: Option<u32>,
    additional: u16,
    code_above: u8,
    end: usize,
}

impl Body {
    /// What was cut off ends early. Everything behind an EDNS record is left out with it: it would move, and
    /// names point to places.
    fn read(message: &[u8], start: usize, counts: [u16; 3], is_truncated: bool) -> Option<Self> {
        let mut body = Self {
            ttls: Vec::new(),
            lowest: None,
            answers: counts[0],
            nothing: None,
            additional: 0,
            code_above: 0,
            end: start,
        };
        if is_truncated {
            return Some(body);
        }
        for (section, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                let record = Record::read(message, body.end)?;
                if record.kind == OPT {
                    [body.code_above, ..] = record.ttl.to_be_bytes();
                    return (section == 2).then_some(body);
                }
                body.add(message, section, record);
            }
        }
        (body.end == message.len()).then_some(body)
    }

    fn add(&mut self, message: &[u8], section: usize, record: Record) {
        // The highest bit is none of a time (RFC 2181, 8).
        let ttl = if record.ttl > i32::MAX.unsigned_abs() {
            0
        } else {
            record.ttl
        };
        self.ttls.push(record.ttl_at);
        self.lowest = Some(self.lowest.map_or(ttl, |lowest| lowest.min(ttl)));
        if section == 1 && record.kind == SOA && record.end - record.data >= 22 {
            let minimum = message[record.end - 4..record.end].iter();
            let minimum = minimum.fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
            self.nothing = Some(ttl.min(minimum));
        }
        self.additional += u16::from(section == 2);
        self.end = record.end;
    }

    fn keep(&self, code: u8) -> Option<u32> {
        let seconds = match (code, self.answers) {
            (0, 1..) => self.lowest?.min(KEEP_MOST),
            (0, 0) | (3, _) => self.nothing?.min(KEEP_MOST_OF_NOTHING),
            _ => return None,
        };
        (seconds > 0).then_some(seconds)
    }
}

/// The question as a resolver gets it: as the client wrote it, under an id of its own.
pub(crate) fn question(query: &Query, id: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + query.question.len() + EDNS);
    out.extend(id.to_be_bytes());
    out.extend((query.flags | 0x0100).to_be_bytes());
    out.extend([0, 1, 0, 0, 0, 0, 0, 1]);
    out.extend(&query.question[..]);
    write_edns(&mut out, 0, query.wants_dnssec());
    debug_assert!(out.len() < MOST_PAYLOAD);
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
    use hickory_proto::rr::rdata::{A as V4, SOA as Authority};
    use hickory_proto::rr::{Name, RData, Record};
    use proptest::prelude::*;

    use super::*;
    use crate::query::{A, tests::question as ask};

    fn query(payload: Option<u16>) -> Query {
        Query::read(&ask("Example.com", A, payload)).unwrap()
    }

    /// A resolver's answer to [`query`].
    pub(crate) fn message(asked: &[u8], answers: u8, ttl: u32, code: ResponseCode) -> Message {
        let asked = Message::from_vec(asked).unwrap();
        let mut message = Message::new(asked.id, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.recursion_available = true;
        message.queries = asked.queries.clone();
        let name = asked.queries[0].name().clone();
        for number in 0..answers {
            let data = RData::A(V4::new(192, 0, 2, number));
            message
                .answers
                .push(Record::from_rdata(name.clone(), ttl, data));
        }
        if answers == 0 {
            let root = Name::root();
            let data = RData::SOA(Authority::new(root.clone(), root.clone(), 1, 1, 1, 1, 60));
            message
                .authorities
                .push(Record::from_rdata(root, ttl, data));
        }
        message.edns = asked.edns.clone();
        message
    }

    fn answered(answers: u8, ttl: u32, code: ResponseCode) -> Reply {
        let query = query(Some(1232));
        let bytes = message(&question(&query, 9), answers, ttl, code)
            .to_vec()
            .unwrap();
        Reply::read(&bytes, &query, 9).unwrap()
    }

    fn said(reply: &Reply, payload: Option<u16>, age: u32, limit: usize) -> Message {
        let mut out = Vec::new();
        reply.write(&query(payload), age, limit, &mut out);
        assert!(out.len() <= limit);
        Message::from_vec(&out).unwrap()
    }

    #[test]
    fn an_answer_is_said_again_with_its_age() {
        let reply = answered(3, 100, ResponseCode::NoError);
        assert_eq!(reply.keep, Some(100));
        for payload in [None, Some(1232)] {
            let message = said(&reply, payload, 40, 1232);
            assert_eq!((message.id, message.answers.len()), (0x1234, 3));
            assert!(message.answers.iter().all(|record| record.ttl == 60));
            assert_eq!(message.edns.is_some(), payload.is_some());
            assert!(!message.authoritative && message.recursion_available);
            assert_eq!(message.queries[0].name().to_string(), "Example.com.");
        }
    }

    #[test]
    fn that_there_is_nothing_is_kept_as_long_as_its_zone_says() {
        assert_eq!(answered(0, 30, ResponseCode::NXDomain).keep, Some(30));
        assert_eq!(answered(0, 900, ResponseCode::NoError).keep, Some(60));
        assert_eq!(answered(0, 900, ResponseCode::ServFail).keep, None);
        assert_eq!(answered(1, 0, ResponseCode::NoError).keep, None);
        assert_eq!(
            answered(1, 1_000_000, ResponseCode::NoError).keep,
            Some(KEEP_MOST)
        );
    }

    #[test]
    fn what_is_too_long_for_the_client_sends_it_to_tcp() {
        let reply = answered(60, 100, ResponseCode::NoError);
        let message = said(&reply, None, 0, 512);
        assert!(message.truncation && message.answers.is_empty());
        assert_eq!(said(&reply, None, 0, 65_535).answers.len(), 60);
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let query = query(Some(1232));
        let good = message(&question(&query, 9), 1, 100, ResponseCode::NoError);
        let read = |message: &Message, id| Reply::read(&message.to_vec().unwrap(), &query, id);
        assert!(read(&good, 9).is_some());
        assert!(read(&good, 10).is_none());
        let other = Query::read(&ask("example.net", A, None)).unwrap();
        let other = message(&question(&other, 9), 1, 100, ResponseCode::NoError);
        assert!(read(&other, 9).is_none());
        let bytes = question(&query, 9);
        assert!(
            Reply::read(&bytes, &query, 9).is_none(),
            "a question is no answer"
        );
    }

    proptest! {
        #[test]
        fn a_damaged_answer_is_none_or_can_be_said(
            answers in 0..6_u8,
            changes in prop::collection::vec((12..200_usize, any::<u8>()), 0..5),
            cut in prop::option::of(12..200_usize),
        ) {
            let query = query(Some(1232));
            let good = message(&question(&query, 9), answers, 100, ResponseCode::NoError);
            let mut bytes = good.to_vec().unwrap();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            if let Some(reply) = Reply::read(&bytes, &query, 9) {
                let mut out = Vec::new();
                reply.write(&query, 1_000, 512, &mut out);
                prop_assert!(out.len() <= 512);
            }
        }
    }
}
