//! A question as it came in: whatever a client sends becomes a [`Query`] or a [`Flaw`].

use crate::name::{Name, NameBuffer, skip};

pub(crate) const HEADER: usize = 12;

/// More than any question needs; what is longer is refused.
pub(crate) const MAX_QUERY: usize = 4096;

/// The longest answer that everybody takes by UDP (RFC 1035), and the longest that we send to who takes more:
/// it crosses every network unfragmented (DNS flag day 2020).
pub(crate) const LEAST_PAYLOAD: usize = 512;
pub(crate) const MOST_PAYLOAD: usize = 1232;

/// Types that are answered from a zone (RFC 1035, 3596, 2782), and the ones that move whole zones.
pub(crate) const A: u16 = 1;
pub(crate) const SOA: u16 = 6;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const OPT: u16 = 41;
pub(crate) const IXFR: u16 = 251;
pub(crate) const AXFR: u16 = 252;
pub(crate) const ANY: u16 = 255;

pub(crate) const CLASS_IN: u16 = 1;

/// More records beside a question than any client sends.
const MAX_ADDITIONAL: u16 = 8;

/// One question.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) id: u16,
    /// What the client asks for with its second flag byte pair: recursion, and no checking.
    pub(crate) flags: u16,
    pub(crate) name: NameBuffer,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    /// The question as it was written, to be said again.
    pub(crate) question: Box<[u8]>,
    pub(crate) edns: Option<Edns>,
}

/// What a client says of itself by EDNS (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) payload: u16,
    pub(crate) version: u8,
    /// Wants signatures.
    pub(crate) dnssec: bool,
}

/// Why a message is no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No header, or an answer: nobody is told, because two servers would go on telling each other.
    Silent,
    /// It has an id, and the rest cannot be read.
    Format { id: u16 },
    /// Something other than a question is asked for.
    Opcode { id: u16 },
}

impl Query {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, as far as its sender may be told.
    pub fn read(message: &[u8]) -> Result<Self, Flaw> {
        let header: &[u8; HEADER] = message.first_chunk().ok_or(Flaw::Silent)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, flags) = (word(0), word(2));
        if flags & 0x8000 != 0 {
            return Err(Flaw::Silent);
        }
        if flags & 0x7800 != 0 {
            return Err(Flaw::Opcode { id });
        }
        let counts = [word(4), word(6), word(8), word(10)];
        Self::read_body(message, id, flags, counts).ok_or(Flaw::Format { id })
    }

    fn read_body(message: &[u8], id: u16, flags: u16, counts: [u16; 4]) -> Option<Self> {
        let [questions, answers, authorities, additional] = counts;
        if (questions, answers, authorities) != (1, 0, 0) || additional > MAX_ADDITIONAL {
            return None;
        }
        let (name, end) = NameBuffer::read(message, HEADER)?;
        let (kind, class) = (word(message, end)?, word(message, end + 2)?);
        let (edns, end_of_all) = read_additional(message, end + 4, additional)?;
        (end_of_all == message.len()).then(|| Self {
            id,
            flags: flags & 0x0110,
            name,
            kind,
            class,
            question: message[HEADER..end + 4].into(),
            edns,
        })
    }

    /// A question of our own.
    pub(crate) fn of(name: &Name, kind: u16) -> Self {
        let (buffer, _) = NameBuffer::read(name.as_wire(), 0).expect("a name is one on the wire");
        let fixed = [kind.to_be_bytes(), CLASS_IN.to_be_bytes()].concat();
        Self {
            id: 0,
            flags: 0,
            name: buffer,
            kind,
            class: CLASS_IN,
            question: [name.as_wire(), &fixed].concat().into(),
            edns: None,
        }
    }

    /// The longest answer that the client takes by UDP.
    pub(crate) fn payload(&self) -> usize {
        let payload = self
            .edns
            .map_or(LEAST_PAYLOAD, |edns| usize::from(edns.payload));
        payload.clamp(LEAST_PAYLOAD, MOST_PAYLOAD)
    }

    pub(crate) fn wants_dnssec(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec)
    }
}

fn read_additional(message: &[u8], mut at: usize, count: u16) -> Option<(Option<Edns>, usize)> {
    let mut edns = None;
    for _ in 0..count {
        let record = Record::read(message, at)?;
        if record.kind == OPT {
            let is_root = message[at] == 0;
            if edns.is_some() || !is_root {
                return None;
            }
            let [_, version, high, _] = record.ttl.to_be_bytes();
            let dnssec = high & 0x80 != 0;
            edns = Some(Edns {
                payload: record.class,
                version,
                dnssec,
            });
        }
        at = record.end;
    }
    Some((edns, at))
}

/// The fixed part of a record in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    /// Where `ttl` and the data are, and where the next one begins.
    pub(crate) ttl_at: usize,
    pub(crate) data: usize,
    pub(crate) end: usize,
}

impl Record {
    pub(crate) fn read(message: &[u8], at: usize) -> Option<Self> {
        let fixed = skip(message, at)?;
        let high: u32 = word(message, fixed + 4)?.into();
        let low: u32 = word(message, fixed + 6)?.into();
        let length: usize = word(message, fixed + 8)?.into();
        let end = fixed + 10 + length;
        (end <= message.len()).then_some(Self {
            kind: word(message, fixed)?,
            class: word(message, fixed + 2)?,
            ttl: high << 16 | low,
            ttl_at: fixed + 4,
            data: fixed + 10,
            end,
        })
    }
}

pub(crate) fn word(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The question for `name`, with EDNS if there is a payload.
    pub(crate) fn question(name: &str, kind: u16, payload: Option<u16>) -> Vec<u8> {
        let mut message = vec![
            0x12,
            0x34,
            1,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            u8::from(payload.is_some()),
        ];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        if let Some(payload) = payload {
            message.extend([0, 0, 41]);
            message.extend(payload.to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }

    #[test]
    fn a_question_is_read() {
        let query = Query::read(&question("Web.shop", A, Some(4096))).unwrap();
        assert_eq!((query.id, query.kind, query.class), (0x1234, A, CLASS_IN));
        assert_eq!(format!("{:?}", query.name), "web.shop");
        assert_eq!(query.payload(), MOST_PAYLOAD);
        assert_eq!(
            Query::read(&question("web", A, None)).unwrap().payload(),
            LEAST_PAYLOAD
        );
        assert_eq!(
            Query::read(&question("web", A, Some(1))).unwrap().payload(),
            LEAST_PAYLOAD
        );
    }

    #[test]
    fn what_is_no_question_is_told_apart() {
        let good = question("web", A, None);
        let changed = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            Query::read(&message).unwrap_err()
        };
        assert_eq!(changed(2, 0x80), Flaw::Silent);
        assert_eq!(changed(2, 0x28), Flaw::Opcode { id: 0x1234 });
        assert_eq!(changed(5, 2), Flaw::Format { id: 0x1234 });
        assert_eq!(changed(12, 0xc0), Flaw::Format { id: 0x1234 });
        assert_eq!(Query::read(&good[..11]).unwrap_err(), Flaw::Silent);
        assert_eq!(
            Query::read(&good[..13]).unwrap_err(),
            Flaw::Format { id: 0x1234 }
        );
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(
            Query::read(&trailing).unwrap_err(),
            Flaw::Format { id: 0x1234 }
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_question_or_a_flaw(message: Vec<u8>) {
            drop(Query::read(&message));
        }

        #[test]
        fn a_question_with_some_bytes_changed_is_one_or_a_flaw(
            changes in prop::collection::vec((0..64_usize, any::<u8>()), 1..6),
        ) {
            let mut message = question("web.shop.demo.kontena.local", A, Some(1232));
            for (at, byte) in changes {
                let at = at % message.len();
                message[at] = byte;
            }
            if let Ok(query) = Query::read(&message) {
                prop_assert!(query.question.len() <= message.len() - HEADER);
            }
        }
    }
}
