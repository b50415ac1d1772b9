//! Admission: the record that makes a node a member, signed by its sponsor, without an expiry date.
//!
//! In: what a stranger shows ([`JoinRequest`]) and what the grid's documents say. Out: the record
//! to write, or the reason to refuse ([`admit`]). Everything that a stranger sends is bounded here,
//! because it ends up in a document that lives for ever. Not here: writing and signing the record
//! (`document`), and the token's text ([`super::token`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{GridId, NodeId, NodeName, TokenId};
use crate::identity::Seal;
use crate::membership::token::{Token, proof_is_valid};
use crate::message::JoinRefusal;
use crate::network::ipam::{self, Subnet};
use crate::time::WallTime;
use crate::view::Documents;

/// The most labels that a node can have.
pub const MAX_LABELS: usize = 64;
/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 255;
/// The most addresses that a node can be admitted with.
pub const MAX_ADDRESSES: usize = 16;
/// The longest version text, in bytes.
pub const MAX_VERSION_BYTES: usize = 64;

/// A member's admission record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    pub grid: GridId,
    pub node: NodeId,
    pub name: NodeName,
    pub labels: Vec<String>,
    /// Where the sponsor saw it: `IP:PORT`.
    pub addresses: Vec<String>,
    /// The node's /24 of the grid's supernet, written by the sponsor: `10.80.7.0/24`.
    pub subnet: String,
    pub joined: WallTime,
    /// Who admits it; itself for the first node, which the grid's key admits.
    pub sponsor: NodeId,
    /// The token that it showed, and its proof; none for the first node.
    pub token: Option<TokenId>,
    pub proof: Option<Seal>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// What a stranger shows to be admitted. Its node id is proved by the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    pub grid: GridId,
    pub node: NodeId,
    pub name: NodeName,
    pub labels: Vec<String>,
    /// Where it listens: `IP:PORT`; an unspecified IP means the one that the sponsor sees.
    pub addresses: Vec<String>,
    pub token: TokenId,
    /// Signature of the token's secret key over (grid, node): useless to anybody else.
    pub proof: Seal,
    /// The version of its daemon.
    pub version: String,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// Who a node is, as it is written into its admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub node: NodeId,
    pub name: NodeName,
    pub labels: Vec<String>,
    /// `IP:PORT`.
    pub addresses: Vec<String>,
}

/// What a sponsor does with a stranger that may belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Write this record, then welcome it.
    Now(Box<Admission>),
    /// It is a member: the answer was lost, so it asks again. Welcome it and write nothing.
    Already,
}

impl JoinRequest {
    /// What `candidate` sends to a sponsor to be admitted with `token`.
    pub fn new(token: &Token, candidate: Candidate, version: String) -> Self {
        Self {
            grid: token.grid(),
            node: candidate.node,
            name: candidate.name,
            labels: candidate.labels,
            addresses: candidate.addresses,
            token: token.id(),
            proof: token.prove(candidate.node),
            version,
            unknown: BTreeMap::new(),
        }
    }
}

impl Admission {
    /// The first node of a grid: no token, no other sponsor; the grid's key admits it.
    pub fn founding(grid: GridId, candidate: Candidate, now: WallTime) -> Self {
        let subnet = ipam::allocate(candidate.node, &BTreeSet::new())
            .expect("a grid without members has every subnet free");
        Self {
            grid,
            node: candidate.node,
            name: candidate.name,
            labels: sorted(&candidate.labels),
            addresses: candidate.addresses,
            subnet: subnet.to_string(),
            joined: now,
            sponsor: candidate.node,
            token: None,
            proof: None,
            unknown: BTreeMap::new(),
        }
    }
}

/// What a sponsor knows about a call, beside what the stranger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose key the connection proved.
    pub from: NodeId,
    /// Where the call came from, if the transport can tell.
    pub seen: Option<IpAddr>,
    /// The member that was asked.
    pub sponsor: NodeId,
    pub now: WallTime,
}

/// Decides whether a stranger becomes a member, and with which record.
///
/// The errors are for the stranger: they say nothing of the grid to who has no token, and tell the
/// owner of a removed key that it was removed.
pub fn admit(
    documents: &Documents,
    request: &JoinRequest,
    call: &Call,
) -> Result<Admitted, JoinRefusal> {
    if request.node != call.from {
        return Err(not_now(
            "the request names another node than the connection",
        ));
    }
    let grid = documents
        .grid
        .id
        .ok_or_else(|| not_now("the node that was asked is in no grid"))?;
    if request.grid != grid {
        return Err(JoinRefusal::Token);
    }
    if documents.removed.contains(&request.node) {
        return Err(JoinRefusal::Removed);
    }
    if documents.roster.contains_key(&request.node) {
        return Ok(Admitted::Already);
    }
    check_token(documents, grid, request)?;
    check_bounds(request).map_err(|problem| not_now(&problem))?;
    check_name(documents, &request.name)?;
    record(documents, grid, request, call).map(|record| Admitted::Now(Box::new(record)))
}

fn record(
    documents: &Documents,
    grid: GridId,
    request: &JoinRequest,
    call: &Call,
) -> Result<Admission, JoinRefusal> {
    let subnet = ipam::allocate(request.node, &taken_subnets(documents))
        .ok_or_else(|| not_now("all 4,096 subnets of this grid are taken"))?;
    Ok(Admission {
        grid,
        node: request.node,
        name: request.name.clone(),
        labels: sorted(&request.labels),
        addresses: reachable(&request.addresses, call.seen),
        subnet: subnet.to_string(),
        joined: call.now,
        sponsor: call.sponsor,
        token: Some(request.token),
        proof: Some(request.proof),
        // A stranger's unknown fields are not the sponsor's to sign.
        unknown: BTreeMap::new(),
    })
}

fn check_token(
    documents: &Documents,
    grid: GridId,
    request: &JoinRequest,
) -> Result<(), JoinRefusal> {
    let known = documents
        .join_tokens
        .get(&request.token)
        .is_some_and(|token| !token.revoked);
    if known && proof_is_valid(grid, request.node, request.token, &request.proof) {
        Ok(())
    } else {
        Err(JoinRefusal::Token)
    }
}

fn check_bounds(request: &JoinRequest) -> Result<(), String> {
    check_labels(&request.labels)?;
    if request.addresses.len() > MAX_ADDRESSES {
        return Err(format!("more than {MAX_ADDRESSES} addresses"));
    }
    for address in &request.addresses {
        if address.parse::<SocketAddr>().is_err() {
            return Err(format!("`{}` is not an `IP:PORT`", excerpt(address)));
        }
    }
    if !is_printable(&request.version, MAX_VERSION_BYTES) {
        return Err(format!(
            "a version has 1 to {MAX_VERSION_BYTES} printable bytes"
        ));
    }
    Ok(())
}

/// What labels a node may have; also for the node itself, before it asks.
pub fn check_labels(labels: &[String]) -> Result<(), String> {
    if labels.len() > MAX_LABELS {
        return Err(format!("more than {MAX_LABELS} labels"));
    }
    for label in labels {
        if !is_printable(label, MAX_LABEL_BYTES) {
            let shown = excerpt(label);
            return Err(format!(
                "label `{shown}`: a label has 1 to {MAX_LABEL_BYTES} printable bytes"
            ));
        }
    }
    Ok(())
}

fn is_printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn check_name(documents: &Documents, name: &NodeName) -> Result<(), JoinRefusal> {
    match name_suggestion(documents, name) {
        None => Ok(()),
        Some(suggestion) => Err(JoinRefusal::NameTaken {
            name: name.to_string(),
            suggestion: suggestion.to_string(),
        }),
    }
}

/// A free name like `name`: `NAME-2`, `NAME-3` …; `None` if `name` itself is free.
pub fn name_suggestion(documents: &Documents, name: &NodeName) -> Option<NodeName> {
    let taken: BTreeSet<&NodeName> = documents
        .roster
        .values()
        .map(|member| &member.name)
        .collect();
    if !taken.contains(name) {
        return None;
    }
    (2_u64..)
        .map(|number| numbered(name, number))
        .find(|free| !taken.contains(free))
}

fn numbered(name: &NodeName, number: u64) -> NodeName {
    let ending = format!("-{number}");
    let stem: String = name
        .as_str()
        .chars()
        .take(NodeName::MAX - ending.len())
        .collect();
    format!("{}{ending}", stem.trim_end_matches('-'))
        .parse()
        .expect("a shortened label with digits at its end is a label")
}

fn taken_subnets(documents: &Documents) -> BTreeSet<Subnet> {
    // One that cannot be read was written by a later version, out of another supernet.
    documents
        .roster
        .values()
        .filter_map(|member| member.subnet.parse().ok())
        .collect()
}

/// The addresses that other nodes can use, each once, in the stranger's order.
///
/// Loopback is dropped unless the stranger called over loopback itself: every node has one.
fn reachable(addresses: &[String], seen: Option<IpAddr>) -> Vec<String> {
    let seen = seen.map(|ip| ip.to_canonical());
    let mut kept = Vec::new();
    for address in addresses
        .iter()
        .filter_map(|raw| raw.parse::<SocketAddr>().ok())
    {
        let Some(address) = seen_from_outside(address, seen) else {
            continue;
        };
        let address = address.to_string();
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

fn seen_from_outside(mut address: SocketAddr, seen: Option<IpAddr>) -> Option<SocketAddr> {
    if address.ip().is_unspecified() {
        address.set_ip(seen?);
    }
    let is_local = seen.is_some_and(|ip| ip.is_loopback());
    (address.port() != 0 && (is_local || !address.ip().is_loopback())).then_some(address)
}

fn sorted(labels: &[String]) -> Vec<String> {
    labels
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn not_now(problem: &str) -> JoinRefusal {
    JoinRefusal::NotNow {
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Availability, JoinToken, Member};

    const SPONSOR: NodeId = NodeId([1; 32]);
    const STRANGER: NodeId = NodeId([2; 32]);

    #[test]
    fn a_stranger_with_a_token_is_admitted() {
        let documents = grid();
        let record = admitted(&documents, &request("web"));
        assert_eq!((record.node, record.sponsor), (STRANGER, SPONSOR));
        assert_eq!(record.labels, ["az=b", "ssd"]);
        assert_eq!(record.addresses, ["192.0.2.7:7400", "[2001:db8::1]:7400"]);
        assert_ne!(record.subnet, documents.roster[&SPONSOR].subnet);
        assert!(record.subnet.parse::<Subnet>().is_ok());
        let (token, proof) = (record.token.unwrap(), record.proof.unwrap());
        assert!(proof_is_valid(record.grid, record.node, token, &proof));
    }

    #[test]
    fn asking_again_after_a_lost_answer_writes_nothing() {
        let mut documents = grid();
        documents.roster.insert(STRANGER, member("web"));
        documents.join_tokens.clear();
        let answer = admit(&documents, &request("other"), &call());
        assert_eq!(answer, Ok(Admitted::Already));
    }

    #[test]
    fn without_a_valid_token_nobody_is_admitted() {
        let revoke = |documents: &mut Documents, _: &mut JoinRequest| {
            documents
                .join_tokens
                .values_mut()
                .for_each(|token| token.revoked = true);
        };
        refused(JoinRefusal::Token, revoke);
        refused(JoinRefusal::Token, |documents, _| {
            documents.join_tokens.clear()
        });
        refused(JoinRefusal::Token, |_, request| {
            request.grid = GridId([8; 32])
        });
        refused(JoinRefusal::Token, |_, request| {
            request.proof = token().prove(NodeId([3; 32]));
        });
        refused(JoinRefusal::Token, |_, request| {
            let other = Token::new(request.grid, [8; 32]);
            request.proof = other.prove(STRANGER);
        });
    }

    #[test]
    fn a_removed_node_never_comes_back() {
        refused(JoinRefusal::Removed, |documents, _| {
            documents.removed.insert(STRANGER);
        });
    }

    #[test]
    fn a_request_speaks_for_its_own_connection_only() {
        let mut request = request("web");
        request.node = NodeId([3; 32]);
        let answer = admit(&grid(), &request, &call());
        assert!(
            matches!(answer, Err(JoinRefusal::NotNow { .. })),
            "{answer:?}"
        );
    }

    #[test]
    fn a_taken_name_is_refused_with_a_free_one() {
        let long = "n".repeat(62);
        for (name, suggestion) in [
            ("first", "first-3".to_owned()),
            (&long, format!("{}-2", "n".repeat(61))),
        ] {
            let mut documents = grid();
            for (number, taken) in ["first-2", &long].into_iter().enumerate() {
                let id = NodeId([50 + number as u8; 32]);
                documents.roster.insert(id, member(taken));
            }
            let name = name.to_owned();
            let refusal = admit(&documents, &request(&name), &call()).unwrap_err();
            assert_eq!(refusal, JoinRefusal::NameTaken { name, suggestion });
        }
    }

    #[test]
    fn what_a_stranger_sends_is_bounded() {
        let check = |change: fn(&mut JoinRequest)| {
            let mut request = request("web");
            change(&mut request);
            let answer = admit(&grid(), &request, &call());
            assert!(
                matches!(answer, Err(JoinRefusal::NotNow { .. })),
                "{answer:?}"
            );
        };
        check(|request| request.labels = vec!["a".to_owned(); 65]);
        check(|request| request.labels = vec!["a".repeat(256)]);
        check(|request| request.labels = vec![String::new()]);
        check(|request| request.labels = vec!["a\u{1b}[2J".to_owned()]);
        check(|request| request.addresses = vec!["192.0.2.1:1".to_owned(); 17]);
        check(|request| request.addresses = vec!["example.com:80".to_owned()]);
        check(|request| request.version = "1".repeat(65));
    }

    #[test]
    fn unknown_fields_of_a_stranger_are_not_signed() {
        let mut request = request("web");
        request.unknown.insert("rights".to_owned(), "all".into());
        assert!(admitted(&grid(), &request).unknown.is_empty());
    }

    #[test]
    fn addresses_that_others_cannot_use_are_left_out() {
        let seen =
            |seen: &str, own: &str| reachable(&[own.to_owned()], seen.parse().ok()).join(" ");
        assert_eq!(seen("192.0.2.7", "0.0.0.0:7400"), "192.0.2.7:7400");
        assert_eq!(seen("::ffff:192.0.2.7", "[::]:7400"), "192.0.2.7:7400");
        assert_eq!(seen("192.0.2.7", "127.0.0.1:7400"), "");
        assert_eq!(seen("127.0.0.1", "127.0.0.1:7400"), "127.0.0.1:7400");
        assert_eq!(seen("192.0.2.7", "192.0.2.7:0"), "");
        assert_eq!(seen("unknown", "0.0.0.0:7400"), "");
        assert_eq!(seen("unknown", "10.0.0.1:7400"), "10.0.0.1:7400");
    }

    #[test]
    fn the_first_node_admits_itself() {
        let record = Admission::founding(token().grid(), candidate("first"), WallTime(7));
        assert_eq!((record.sponsor, record.token), (STRANGER, None));
        assert!(record.subnet.parse::<Subnet>().is_ok());
    }

    #[track_caller]
    fn refused(expected: JoinRefusal, change: fn(&mut Documents, &mut JoinRequest)) {
        let (mut documents, mut request) = (grid(), request("web"));
        change(&mut documents, &mut request);
        assert_eq!(admit(&documents, &request, &call()), Err(expected));
    }

    #[track_caller]
    fn admitted(documents: &Documents, request: &JoinRequest) -> Admission {
        match admit(documents, request, &call()) {
            Ok(Admitted::Now(record)) => *record,
            other => panic!("not admitted: {other:?}"),
        }
    }

    fn token() -> Token {
        Token::new(GridId([9; 32]), [5; 32])
    }

    fn grid() -> Documents {
        let mut documents = Documents::default();
        documents.grid.id = Some(token().grid());
        let mut first = member("first");
        // The stranger's own first choice is taken.
        first.subnet = ipam::allocate(STRANGER, &BTreeSet::new())
            .unwrap()
            .to_string();
        documents.roster.insert(SPONSOR, first);
        let known = JoinToken {
            created: WallTime(1),
            revoked: false,
        };
        documents.join_tokens.insert(token().id(), known);
        documents
    }

    fn member(name: &str) -> Member {
        Member {
            name: name.parse().unwrap(),
            sponsor: SPONSOR,
            joined: WallTime(1),
            labels: Vec::new(),
            availability: Availability::Active,
            number: 1,
            addresses: Vec::new(),
            subnet: String::new(),
        }
    }

    fn request(name: &str) -> JoinRequest {
        JoinRequest::new(&token(), candidate(name), "2.0.0".to_owned())
    }

    fn candidate(name: &str) -> Candidate {
        Candidate {
            node: STRANGER,
            name: name.parse().unwrap(),
            labels: ["ssd", "az=b", "ssd"].map(str::to_owned).to_vec(),
            addresses: ["0.0.0.0:7400", "[2001:db8::1]:7400", "127.0.0.1:7400"]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    fn call() -> Call {
        Call {
            from: STRANGER,
            seen: Some(IpAddr::from([192, 0, 2, 7])),
            sponsor: SPONSOR,
            now: WallTime(2),
        }
    }
}
