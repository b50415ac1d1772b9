//! The documents of several replicas, written and exchanged.

mod conflicts;
mod deploys;
mod families;
mod following;
mod forced;
mod history;
mod hostile;
mod labels;
mod leases;
mod merge;
mod metadata;
mod moves;
mod properties;
mod registries;
mod removal;
mod saving;
mod stateful;
mod volumes;
mod vpn;

use std::sync::Arc;

use super::edit::Edit;
use super::{DocumentId, Ingested, Replica, SignedEnvelope};
use crate::id::{GridId, NodeId, ServiceKey, TokenId};
use crate::identity::{Context, SecretKey};
use crate::membership::admission::Admission;
use crate::stack::Service;
use crate::time::WallTime;
use crate::view::{Documents, ServiceRecord};

pub(super) fn grid_key() -> SecretKey {
    SecretKey::from_seed([200; 32])
}

fn token_key() -> SecretKey {
    SecretKey::from_seed([201; 32])
}

pub(super) fn grid() -> GridId {
    GridId(grid_key().public())
}

pub(super) fn token() -> TokenId {
    TokenId(token_key().public())
}

pub(super) fn key(node: u8) -> SecretKey {
    SecretKey::from_seed([node; 32])
}

pub(super) fn node(node: u8) -> NodeId {
    key(node).node_id()
}

/// The admission of a node by another; of the first by itself, without a token.
pub(super) fn admission(admitted: u8, sponsor: u8) -> Admission {
    let proof = token_key().sign(Context::JoinProof, &[grid().0, node(admitted).0].concat());
    let first = admitted == sponsor;
    Admission {
        grid: grid(),
        node: node(admitted),
        name: format!("n{admitted}").parse().unwrap(),
        labels: vec!["b".to_owned(), "a".to_owned()],
        addresses: vec!["10.0.0.1:7400".to_owned()],
        subnet: format!("10.80.{admitted}.0/24"),
        joined: WallTime(5),
        sponsor: node(sponsor),
        token: (!first).then(token),
        proof: (!first).then_some(proof),
        unknown: Default::default(),
    }
}

/// A grid of nodes 1 to `count`, admitted by node 1, whose replicas are equal.
pub(super) fn replicas(count: u8) -> Vec<Replica> {
    let mut first = Replica::new(key(1), 1);
    let edits = [
        Edit::GridName("home".parse().unwrap()),
        Edit::PlacementVersion(1),
        Edit::Admit(admission(1, 1)),
        Edit::JoinToken(token()),
        Edit::AdminToken([9; 32]),
    ];
    let prepared = first
        .prepare_genesis(&grid_key(), &edits, WallTime(1))
        .unwrap();
    assert_eq!(first.commit(prepared).len(), 1);
    for other in 2..=count {
        write(&mut first, &[Edit::Admit(admission(other, 1))]);
    }
    let mut all = vec![first];
    for other in 2..=count {
        let mut replica = Replica::new(key(other), u64::from(other));
        replica.open_grid(grid());
        give(&all[0], &mut replica);
        all.push(replica);
    }
    all
}

/// Writes and saves.
#[track_caller]
pub(super) fn write(replica: &mut Replica, edits: &[Edit]) -> Vec<SignedEnvelope> {
    let prepared = replica.prepare(edits, WallTime(7)).unwrap();
    replica.commit(prepared)
}

/// Everything that one has, to the other.
pub(super) fn give(from: &Replica, to: &mut Replica) {
    for document in from.digests().keys() {
        for envelope in from.envelopes_of(document) {
            to.ingest(envelope);
        }
    }
}

/// Everything that each has, to the other, by anti-entropy, and nothing twice; answers the rounds.
#[track_caller]
pub(super) fn sync(a: &mut Replica, b: &mut Replica, max_bytes: usize) -> usize {
    for round in 0..1000 {
        if a.digests() == b.digests() {
            return round;
        }
        assert_eq!(
            pull(a, b, max_bytes) + pull(b, a, max_bytes),
            0,
            "it was not missing"
        );
    }
    panic!("two replicas do not converge");
}

/// The same where something is parked or quarantined, of which [`super::Have`] does not speak.
#[track_caller]
pub(super) fn sync_loosely(a: &mut Replica, b: &mut Replica) {
    for _ in 0..5 {
        pull(a, b, 1 << 20);
        pull(b, a, 1 << 20);
    }
    assert_eq!(a.digests(), b.digests());
}

/// Answers how many were sent needlessly.
fn pull(to: &mut Replica, from: &Replica, max_bytes: usize) -> usize {
    let mut known = 0;
    for document in from.digests().keys() {
        for envelope in from.missing(document, &to.have(document), max_bytes) {
            known += usize::from(to.ingest(envelope) == Ingested::Known);
        }
    }
    known
}

pub(super) fn web() -> ServiceKey {
    "shop/web".parse().unwrap()
}

pub(super) fn shop() -> DocumentId {
    DocumentId::Stack("shop".parse().unwrap())
}

pub(super) fn revision(image: &str) -> Edit {
    Edit::Revision {
        service: web(),
        encoded: Service::new(image).encode(),
    }
}

pub(super) fn deploy(image: &str) -> Edit {
    Edit::Deploy {
        service: web(),
        revision: Service::new(image).hash(),
        image: None,
    }
}

pub(super) fn scale(instances: u32) -> Edit {
    Edit::Instances {
        service: web(),
        instances,
    }
}

pub(super) fn create(replica: &mut Replica) {
    write(replica, &[revision("nginx:1"), scale(2), deploy("nginx:1")]);
}

#[track_caller]
pub(super) fn the_web(replica: &mut Replica) -> ServiceRecord {
    replica.documents().services[&web()].clone()
}

#[track_caller]
pub(super) fn agree(replicas: &mut [Replica]) -> Arc<Documents> {
    let first = replicas[0].documents();
    for replica in replicas {
        assert_eq!(replica.documents(), first);
    }
    first
}
