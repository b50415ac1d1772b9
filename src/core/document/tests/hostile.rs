//! Envelopes that must not get in, or must do no harm.

use super::*;
use crate::access::Denied;
use crate::document::change::{Change, Unusable, Write};
use crate::document::envelope::Envelope;
use crate::document::log::Unfit;
use crate::document::replica::{Event, Refusal};
use crate::network::plan::AddressPlan;

/// A change that node 2 would make now, to be spoilt.
pub(super) fn draft(replica: &mut Replica, edits: &[Edit]) -> Envelope {
    let prepared = replica.prepare(edits, WallTime(7)).unwrap();
    let envelope = prepared[0].envelope.open().unwrap();
    replica.abandon(prepared);
    envelope
}

pub(super) fn with_change(envelope: &Envelope, change: impl FnOnce(&mut Change)) -> Envelope {
    let mut changed = Change::decode(&envelope.payload).unwrap();
    change(&mut changed);
    Envelope {
        payload: changed.encode(),
        ..envelope.clone()
    }
}

#[track_caller]
fn refused(replica: &mut Replica, envelope: SignedEnvelope) -> Refusal {
    let before = replica.documents();
    let Ingested::Refused(refusal) = replica.ingest(envelope.clone()) else {
        panic!("it was taken in");
    };
    assert_eq!(replica.documents(), before);
    assert_eq!(
        replica.ingest(envelope),
        Ingested::Refused(refusal.clone()),
        "and again"
    );
    refusal
}

fn two() -> (Replica, Replica) {
    let mut all = replicas(2).into_iter();
    let (mut a, mut b) = (all.next().unwrap(), all.next().unwrap());
    create(&mut a);
    sync(&mut a, &mut b, 1 << 20);
    (a, b)
}

#[test]
fn a_forged_signature_is_refused() {
    let (mut a, mut b) = two();
    let envelope = draft(&mut b, &[scale(9)]);
    assert_eq!(refused(&mut a, envelope.sign(&key(1))), Refusal::Forged);
    let mut bent = envelope.sign(&key(2));
    bent.seal.0[3] ^= 1;
    assert_eq!(refused(&mut a, bent), Refusal::Forged);
}

#[test]
fn a_stranger_and_another_grid_are_refused() {
    let (mut a, mut b) = two();
    for edits in [[scale(9)], [Edit::PlacementVersion(9)]] {
        let mut envelope = draft(&mut b, &edits);
        envelope.author = key(66).public();
        let envelope = with_change(&envelope, |change| change.sequence = 1);
        assert_eq!(
            refused(&mut a, envelope.sign(&key(66))),
            Denied::NotMember.into()
        );
    }
    let other = SecretKey::from_seed([77; 32]);
    let mut founder = Replica::new(key(66), 1);
    let mut admission = admission(66, 66);
    admission.grid = GridId(other.public());
    let prepared = founder
        .prepare_genesis(&other, &[Edit::Admit(admission)], WallTime(1))
        .unwrap();
    let genesis = prepared[0].envelope.clone();
    founder.commit(prepared);
    assert_eq!(refused(&mut a, genesis), Denied::NotGenesis.into());

    let mut joiner = Replica::new(key(3), 3);
    assert_eq!(
        joiner.ingest(a.envelopes_of(&DocumentId::Grid).remove(0)),
        Ingested::Refused(Refusal::NoGrid)
    );
    joiner.open_grid(grid());
    give(&founder, &mut joiner);
    assert!(
        joiner.documents().roster.is_empty(),
        "a welcome into another grid"
    );
}

#[test]
fn the_grids_key_writes_one_envelope() {
    let (mut a, mut b) = two();
    let mut envelope = draft(&mut b, &[Edit::PlacementVersion(9)]);
    envelope.author = grid().0;
    let envelope = with_change(&envelope, |change| change.sequence = 1);
    assert_eq!(
        refused(&mut a, envelope.sign(&grid_key())),
        Denied::NotGenesis.into()
    );
}

#[test]
fn nobody_changes_the_address_plan_of_a_grid() {
    let (mut a, mut b) = two();
    let supernet = "10.160.0.0/12".parse().unwrap();
    let plan = AddressPlan::new(supernet, None).unwrap();
    let refused_here = b.prepare(&[Edit::AddressPlan(plan)], WallTime(1));
    assert!(refused_here.is_err(), "{refused_here:?}");
    let envelope = with_change(&draft(&mut b, &[Edit::PlacementVersion(2)]), |change| {
        change.writes = vec![Write {
            register: "address_plan".to_owned(),
            value: serde_json::to_string(&plan).unwrap(),
            replaces: Vec::new(),
        }];
    });
    assert_eq!(
        refused(&mut a, envelope.sign(&key(2))),
        Denied::AddressPlan.into()
    );
    assert_eq!(a.documents().grid.plan, AddressPlan::default());
}

#[test]
fn rights_are_named_and_judged_where_they_are_named() {
    let mut all = replicas(3);
    let old = all[0].envelopes_of(&DocumentId::Grid)[0].hash();
    let mut envelope = draft(&mut all[2], &[revision("a:1")]);
    envelope.access = Vec::new();
    assert_eq!(
        refused(&mut all[0], envelope.sign(&key(3))),
        Denied::NoAccess.into()
    );
    envelope.access = vec![old];
    assert_eq!(
        refused(&mut all[0], envelope.sign(&key(3))),
        Denied::NotMember.into()
    );
}

#[test]
fn what_does_not_fit_into_its_document_is_refused() {
    let (mut a, mut b) = two();
    let good = draft(&mut b, &[scale(9)]);
    let late = Envelope {
        lamport: 1 << 60,
        ..good.clone()
    };
    assert!(matches!(
        refused(&mut a, late.sign(&key(2))),
        Refusal::Unfit(Unfit::Lamport { .. })
    ));
    let skipped = with_change(&good, |change| change.sequence = 5);
    assert_eq!(
        refused(&mut a, skipped.sign(&key(2))),
        Unfit::Sequence.into()
    );
    let nowhere = with_change(&good, |change| change.sequence = 0);
    assert_eq!(
        refused(&mut a, nowhere.sign(&key(2))),
        Unfit::Sequence.into()
    );
    let blind = with_change(&good, |change| change.writes[0].replaces.clear());
    assert!(matches!(
        refused(&mut a, blind.sign(&key(2))),
        Refusal::Unfit(Unfit::Replaces(_))
    ));
    let greedy = with_change(&good, |change| {
        let mut more = change.writes[0].replaces[0].clone();
        more.counter += 1;
        change.writes[0].replaces.push(more);
    });
    assert!(matches!(
        refused(&mut a, greedy.sign(&key(2))),
        Refusal::Unfit(Unfit::Replaces(_))
    ));
    let twice = with_change(&good, |change| change.writes.push(change.writes[0].clone()));
    assert_eq!(
        refused(&mut a, twice.sign(&key(2))),
        Unusable::Writes.into()
    );
    let empty = with_change(&good, |change| change.writes.clear());
    assert_eq!(
        refused(&mut a, empty.sign(&key(2))),
        Unusable::Writes.into()
    );
    let garbage = Envelope {
        payload: vec![0xff; 9],
        ..good.clone()
    };
    assert!(matches!(
        refused(&mut a, garbage.sign(&key(2))),
        Refusal::Unusable(_)
    ));
    assert_eq!(a.rejected().count(), 8);
    assert!(
        matches!(a.ingest(good.sign(&key(2))), Ingested::Applied { .. }),
        "the good one still fits"
    );
}

#[test]
fn a_register_of_the_other_kind_of_document_is_refused() {
    let (mut a, mut b) = two();
    let good = draft(&mut b, &[scale(9)]);
    let smuggled = with_change(&good, |change| {
        change.writes[0].register = format!("node/{}/admission", node(9));
        change.writes[0].replaces.clear();
    });
    assert!(matches!(
        refused(&mut a, smuggled.sign(&key(2))),
        Refusal::Register { .. }
    ));
}

#[test]
fn an_admission_needs_a_token_that_is_valid_there() {
    let (mut a, mut b) = two();
    let mut denied = |admission: Admission| {
        let register = format!("node/{}/admission", admission.node);
        let envelope = with_change(&draft(&mut b, &[Edit::PlacementVersion(2)]), |change| {
            change.writes = vec![Write {
                register,
                value: serde_json::to_string(&admission).unwrap(),
                replaces: Vec::new(),
            }];
        });
        refused(&mut a, envelope.sign(&key(2)))
    };
    assert_eq!(
        denied(Admission {
            proof: None,
            ..admission(9, 2)
        }),
        Denied::Token(node(9)).into()
    );
    let stolen = Admission {
        proof: admission(8, 2).proof,
        ..admission(9, 2)
    };
    assert_eq!(denied(stolen), Denied::Token(node(9)).into());
    let unregistered = Admission {
        token: Some(TokenId(key(5).public())),
        ..admission(9, 2)
    };
    assert_eq!(denied(unregistered), Denied::Token(node(9)).into());
    assert_eq!(denied(admission(9, 1)), Denied::Foreign(node(9)).into());
    let foreign = Admission {
        grid: GridId([1; 32]),
        ..admission(9, 2)
    };
    assert_eq!(denied(foreign), Denied::Foreign(node(9)).into());

    write(&mut b, &[Edit::RevokeJoinToken(token())]);
    let refused = b
        .prepare(&[Edit::Admit(admission(9, 2))], WallTime(1))
        .unwrap_err();
    assert!(
        refused.to_string().contains("shows no valid token"),
        "{refused}"
    );
    assert!(b.documents().join_tokens[&token()].revoked);
}

#[test]
fn what_depends_on_a_refused_change_is_refused_too() {
    let (mut a, mut b) = two();
    let good = draft(&mut b, &[scale(9)]);
    let bad = Envelope {
        lamport: 77,
        ..good.clone()
    }
    .sign(&key(2));
    let child = Envelope {
        dependencies: vec![bad.hash()],
        ..good
    }
    .sign(&key(2));
    assert_eq!(a.ingest(child.clone()), Ingested::Parked);
    assert_eq!(a.wanted(), [DocumentId::Grid, shop()].into());
    refused(&mut a, bad);
    let mut c = Replica::new(key(9), 9);
    c.open_grid(grid());
    give(&b, &mut c);
    let bad = Envelope {
        lamport: 77,
        ..draft(&mut b, &[scale(9)])
    }
    .sign(&key(2));
    let child = Envelope {
        dependencies: vec![bad.hash()],
        ..draft(&mut b, &[scale(9)])
    }
    .sign(&key(2));
    refused(&mut c, bad);
    assert_eq!(refused(&mut c, child), Refusal::DependsOnRefused);
}

/// Two machines run with one key and one session: a cloned disk whose random numbers were cloned too.
fn clones() -> (Replica, Replica) {
    let (a, b) = two();
    let mut clone = Replica::new(key(2), 2);
    clone.open_grid(grid());
    give(&a, &mut clone);
    (b, clone)
}

#[test]
fn one_place_used_twice_does_not_wedge_anybody() {
    let (mut b, mut clone) = clones();
    let (mut a, _) = two();
    write(&mut b, &[scale(5)]);
    write(&mut b, &[scale(6)]);
    write(&mut clone, &[scale(7)]);
    write(&mut clone, &[scale(8)]);
    sync_loosely(&mut a, &mut b);
    write(
        &mut a,
        &[Edit::Lifecycle {
            service: web(),
            state: crate::view::Lifecycle::Stopped,
        }],
    );
    sync_loosely(&mut a, &mut clone);
    sync_loosely(&mut a, &mut b);
    sync_loosely(&mut clone, &mut b);
    assert_eq!(a.documents(), b.documents());
    assert_eq!(a.documents(), clone.documents());
    let instances = the_web(&mut a).instances;
    assert!(instances == 6 || instances == 8, "{instances}");
    let events = a.take_events();
    assert!(matches!(events[0], Event::Equivocation { author, .. } if author == node(2).0));

    let mut loaded = Replica::new(key(9), 9);
    loaded.open_grid(grid());
    let mut saved = a.envelopes_of(&DocumentId::Grid);
    saved.extend(a.envelopes_of(&shop()));
    assert_eq!(loaded.load(saved), vec![]);
    assert_eq!(loaded.documents(), a.documents());

    write(&mut a, &[scale(3)]);
    sync_loosely(&mut a, &mut b);
    assert_eq!(the_web(&mut b).instances, 3);
}

#[test]
fn unknown_registers_and_fields_survive_and_do_no_harm() {
    let (mut a, mut b) = two();
    let novel = with_change(&draft(&mut b, &[deploy("nginx:1")]), |change| {
        let fields = change.writes[0].value.trim_end_matches('}').to_owned();
        change.writes[0].value = format!("{fields},\"canary\":7}}");
        change.writes.push(Write {
            register: "service/web/novelty".to_owned(),
            value: "1".to_owned(),
            replaces: Vec::new(),
        });
    });
    assert!(matches!(
        a.ingest(novel.sign(&key(2))),
        Ingested::Applied { .. }
    ));
    assert_eq!(the_web(&mut a).instances, 2);
    write(&mut a, &[deploy("nginx:1")]);
    let history = a.history(&shop());
    assert!(
        history.last().unwrap().writes[0].contains("\"canary\":7"),
        "{history:?}"
    );
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    assert!(
        b.history(&shop())
            .iter()
            .any(|change| change.writes.iter().any(|write| write.contains("novelty")))
    );
}

#[test]
fn a_definition_that_does_not_match_its_hash_is_ignored() {
    let (mut a, mut b) = two();
    let evil = with_change(
        &draft(&mut b, &[revision("nginx:2"), deploy("nginx:2")]),
        |change| {
            for write in &mut change.writes {
                if write.register.starts_with("revision/") {
                    write.value = String::from_utf8(Service::new("evil:1").encode()).unwrap();
                }
            }
        },
    );
    assert!(matches!(
        a.ingest(evil.sign(&key(2))),
        Ingested::Applied { .. }
    ));
    assert_eq!(
        the_web(&mut a).latest.service,
        Err("its definition is missing".to_owned())
    );
}
