//! Admission: the record that makes a node a member, signed by its sponsor, without an expiry date.
//!
//! In: what a stranger shows ([`JoinRequest`]) and what the grid's documents say. Out: the record
//! to write, or the reason to refuse ([`admit`]). Everything that a stranger sends is bounded here,
//! because it ends up in a document that lives for ever. Not here: writing and signing the record
//! (`document`), and the token's text ([`super::token`]).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{GridId, NodeId, NodeName, TokenId};
use crate::identity::Seal;
use crate::membership::token::{Token, proof_is_valid};
use crate::message::JoinRefusal;
use crate::network::ipam::{self, Subnet};
use crate::network::keys;
use crate::network::plan::{AddressPlan, HostRoute, MAX_ROUTES, in_the_way};
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
    /// Where addresses lead on its host that a grid could have; none if it takes no part in the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<HostRoute>,
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
    /// Where addresses lead on its host, as it is told before it asks.
    pub routes: Vec<HostRoute>,
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
            routes: candidate.routes,
            unknown: BTreeMap::new(),
        }
    }
}

impl Admission {
    /// The first node of a grid: no token, no other sponsor; the grid's key admits it.
    pub fn founding(grid: GridId, plan: AddressPlan, candidate: Candidate, now: WallTime) -> Self {
        let subnet = ipam::allocate(plan, candidate.node, &BTreeSet::new())
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
    check_key(documents, &request.node)?;
    check_name(documents, &request.name)?;
    check_routes(documents, &request.routes)?;
    record(documents, grid, request, call).map(|record| Admitted::Now(Box::new(record)))
}

fn record(
    documents: &Documents,
    grid: GridId,
    request: &JoinRequest,
    call: &Call,
) -> Result<Admission, JoinRefusal> {
    let plan = documents.grid.plan;
    let full = || {
        not_now(&format!(
            "all {} subnets of this grid are taken",
            plan.room()
        ))
    };
    let subnet = ipam::allocate(plan, request.node, &taken_subnets(documents)).ok_or_else(full)?;
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
    if request.routes.len() > MAX_ROUTES {
        return Err(format!("more than {MAX_ROUTES} routes"));
    }
    if !request.routes.iter().all(HostRoute::is_plausible) {
        return Err("a route is by way of an interface".to_owned());
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

/// Whoever holds one key holds its negative, which is another id with the same key in the overlay.
fn check_key(documents: &Documents, node: &NodeId) -> Result<(), JoinRefusal> {
    let stem = keys::stem(node);
    match documents
        .roster
        .keys()
        .any(|member| keys::stem(member) == stem)
    {
        false => Ok(()),
        true => Err(not_now(
            "a member has the same key in the overlay; `kontena leave --force` there, or a new identity here",
        )),
    }
}

/// A host whose own routes lead into the grid's network would lose one of the two.
fn check_routes(documents: &Documents, routes: &[HostRoute]) -> Result<(), JoinRefusal> {
    let supernet = documents.grid.plan.supernet();
    match in_the_way(supernet, routes) {
        None => Ok(()),
        Some(route) => Err(JoinRefusal::Overlap {
            supernet,
            route: route.clone(),
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
    let members = documents.roster.values();
    members.filter_map(|member| member.subnet).collect()
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
