//! Answers from the zone, and errors, in wire form.

use std::net::IpAddr;

use crate::name::Name;
use crate::query::{
    A, AAAA, AXFR, CLASS_IN, Flaw, HEADER, IXFR, MOST_PAYLOAD, PTR, Query, SOA, SRV,
};
use crate::zone::{Found, Target, Zone};

/// RFC 1035 4.1.1; BADVERS of RFC 6891.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoError = 0,
    Format = 1,
    Failure = 2,
    NoName = 3,
    NotImplemented = 4,
    Refused = 5,
    BadVersion = 16,
}

const ANSWER: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_AVAILABLE: u16 = 0x0080;

/// Points to the name in the question.
const QUESTION_NAME: u16 = 0xc00c;

const CLASS_ANY: u16 = 255;

/// Writes the zone's answer of at most `limit` bytes into `out`; `false` if others have to be asked.
/// `seed` chooses the order within each rank.
pub(crate) fn answer(
    zone: &Zone,
    query: &Query,
    limit: usize,
    seed: u64,
    out: &mut Vec<u8>,
) -> bool {
    if query.edns.is_some_and(|edns| edns.version > 0) {
        error(query, Code::BadVersion, out);
        return true;
    }
    if ![CLASS_IN, CLASS_ANY].contains(&query.class) || [AXFR, IXFR].contains(&query.kind) {
        error(query, Code::Refused, out);
        return true;
    }
    let found = zone.find(query.name.as_wire(), query.kind);
    if found == Found::Elsewhere {
        return false;
    }
    let mut writer = Writer::new(query, limit, out);
    match found {
        Found::Addresses(targets) => {
            for target in order(targets, seed) {
                writer.address(query.kind, target.address, zone.ttl);
            }
        }
        Found::Service { targets, port } => writer.services(&order(targets, seed), port, zone.ttl),
        Found::Pointer(name) => {
            let name = name.as_wire();
            writer.record(Section::Answer, None, PTR, zone.ttl, &[name]);
        }
        Found::NoData | Found::NoName => writer.negative(zone, query),
        Found::Elsewhere => {}
    }
    let code = if found == Found::NoName {
        Code::NoName
    } else {
        Code::NoError
    };
    writer.finish(AUTHORITATIVE, code);
    true
}

/// Writes an answer that says nothing but why there is none.
pub(crate) fn error(query: &Query, code: Code, out: &mut Vec<u8>) {
    Writer::new(query, MOST_PAYLOAD, out).finish(0, code);
}

/// Writes an answer without records that sends the client to TCP.
pub(crate) fn truncated(query: &Query, out: &mut Vec<u8>) {
    Writer::new(query, MOST_PAYLOAD, out).finish(TRUNCATED, Code::NoError);
}

/// Writes what the sender of a message that is no question may be told; `false` if nothing.
pub(crate) fn flawed(flaw: Flaw, out: &mut Vec<u8>) -> bool {
    let (id, code) = match flaw {
        Flaw::Silent => return false,
        Flaw::Format { id } => (id, Code::Format),
        Flaw::Opcode { id } => (id, Code::NotImplemented),
    };
    out.clear();
    out.extend(id.to_be_bytes());
    out.extend((ANSWER | RECURSION_AVAILABLE | code as u16).to_be_bytes());
    out.extend([0; 8]);
    true
}

/// The targets by rank, in an order within each that follows from the seed.
fn order(targets: &[Target], seed: u64) -> Vec<&Target> {
    let mut order: Vec<&Target> = targets.iter().collect();
    let mut state = seed;
    for group in order.chunk_by_mut(|a, b| a.rank == b.rank) {
        for place in (1..group.len()).rev() {
            state = mixed(state);
            let other = state % (place as u64 + 1);
            group.swap(
                place,
                usize::try_from(other).expect("it is below a length in memory"),
            );
        }
    }
    order
}

/// SplitMix64's step: it spreads load, and keeps no secret.
pub(crate) fn mixed(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

/// An answer as it is written.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    query: &'a Query,
    /// What records may fill: there is room for EDNS behind.
    limit: usize,
    counts: [u16; 3],
    is_truncated: bool,
}

/// The bytes of our own EDNS record.
const EDNS: usize = 11;

impl<'a> Writer<'a> {
    fn new(query: &'a Query, limit: usize, out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.extend(query.id.to_be_bytes());
        out.extend([0; HEADER - 2]);
        out.extend(&query.question[..]);
        Self {
            out,
            query,
            limit: limit - EDNS,
            counts: [0; 3],
            is_truncated: false,
        }
    }

    /// A record of the name in the question, or of another; left out if there is no room, which only
    /// matters where the client would miss it.
    fn record(
        &mut self,
        section: Section,
        owner: Option<&[u8]>,
        kind: u16,
        ttl: u32,
        data: &[&[u8]],
    ) {
        let start = self.out.len();
        match owner {
            Some(owner) => self.out.extend(owner),
            None => self.out.extend(QUESTION_NAME.to_be_bytes()),
        }
        let length: usize = data.iter().map(|part| part.len()).sum();
        let length = u16::try_from(length).expect("our records are a few names long");
        self.out.extend(kind.to_be_bytes());
        self.out.extend(CLASS_IN.to_be_bytes());
        self.out.extend(ttl.to_be_bytes());
        self.out.extend(length.to_be_bytes());
        data.iter().for_each(|part| self.out.extend(*part));
        if self.out.len() > self.limit {
            self.out.truncate(start);
            self.is_truncated |= section == Section::Answer;
        } else {
            self.counts[section as usize] += 1;
        }
    }

    /// An address, if it is of the type that was asked for.
    fn address(&mut self, asked: u16, address: IpAddr, ttl: u32) {
        self.address_of(Section::Answer, None, asked, address, ttl);
    }

    fn address_of(
        &mut self,
        section: Section,
        owner: Option<&[u8]>,
        asked: u16,
        address: IpAddr,
        ttl: u32,
    ) {
        match address {
            IpAddr::V4(v4) if asked != AAAA => self.record(section, owner, A, ttl, &[&v4.octets()]),
            IpAddr::V6(v6) if asked != A => self.record(section, owner, AAAA, ttl, &[&v6.octets()]),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
    }

    /// The port at each target, and where that is.
    fn services(&mut self, targets: &[&Target], port: u16, ttl: u32) {
        for target in targets {
            let priority = u16::from(target.rank).to_be_bytes();
            let name = target.name.as_wire();
            let weight = 1_u16.to_be_bytes();
            let data = [&priority[..], &weight, &port.to_be_bytes(), name];
            self.record(Section::Answer, None, SRV, ttl, &data);
        }
        for target in targets {
            let owner = Some(target.name.as_wire());
            self.address_of(Section::Additional, owner, SRV, target.address, ttl);
        }
    }

    /// How long it may be remembered that there is nothing (RFC 2308).
    fn negative(&mut self, zone: &Zone, query: &Query) {
        let Some(apex) = zone.apex(query.name.as_wire()) else {
            return;
        };
        let apex = query.name.as_wire()[apex..].to_vec();
        let contact = Name::of_labels(["hostmaster"].into_iter());
        let contact = contact.as_wire().strip_suffix(&[0]).unwrap_or_default();
        let [serial, refresh, retry, expire] = [1_u32, 60, 60, 60].map(u32::to_be_bytes);
        let ttl = zone.ttl.to_be_bytes();
        let data = [
            &apex, contact, &apex, &serial, &refresh, &retry, &expire, &ttl,
        ];
        let section = if query.kind == SOA && apex == query.name.as_wire() {
            Section::Answer
        } else {
            Section::Authority
        };
        self.record(section, Some(&apex), SOA, zone.ttl, &data);
    }

    fn finish(mut self, flags: u16, code: Code) {
        let truncated = if self.is_truncated { TRUNCATED } else { 0 };
        let code = code as u16;
        let flags =
            ANSWER | RECURSION_AVAILABLE | flags | truncated | self.query.flags | (code & 15);
        if self.query.edns.is_some() {
            write_edns(self.out, code >> 4, self.query.wants_dnssec());
            self.counts[2] += 1;
        }
        self.out[2..4].copy_from_slice(&flags.to_be_bytes());
        self.out[4..6].copy_from_slice(&1_u16.to_be_bytes());
        for (count, at) in self.counts.iter().zip([6, 8, 10]) {
            self.out[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
    }
}

/// Our own EDNS record: what we take, and the upper bits of the code.
pub(crate) fn write_edns(out: &mut Vec<u8>, code_above: u16, dnssec: bool) {
    let payload = u16::try_from(MOST_PAYLOAD).expect("it is 1232");
    out.extend([0, 0, 41]);
    out.extend(payload.to_be_bytes());
    out.push(u8::try_from(code_above & 0xff).expect("it is masked"));
    out.extend([0, if dnssec { 0x80 } else { 0 }, 0, 0, 0]);
}

#[cfg(test)]
mod tests;
