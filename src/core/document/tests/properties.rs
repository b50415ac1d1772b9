//! Whatever is written by whom, and in whatever order it comes: the same documents.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::view::{Availability, Lifecycle, Pin};

/// Something that happens in a grid of four.
#[derive(Clone, Debug)]
enum Step {
    Write {
        by: usize,
        edits: Vec<Edit>,
    },
    /// One tells the other everything; the second only as much as fits in 2 kB a round.
    Meet {
        a: usize,
        b: usize,
    },
    Abandon {
        by: usize,
        edits: Vec<Edit>,
    },
}

const NODES: usize = 4;

fn any_edit() -> impl Strategy<Value = Edit> {
    let image = prop::sample::select(vec!["a:1", "b:1", "c:1"]);
    let state = prop::sample::select(vec![Lifecycle::Running, Lifecycle::Stopped]);
    prop_oneof![
        4 => (1u32..9).prop_map(scale),
        3 => image.prop_map(revision),
        1 => Just(Edit::RemoveService(web())),
        1 => Just(Edit::RemoveStack("shop".parse().unwrap())),
        1 => state.prop_map(|state| Edit::Lifecycle { service: web(), state }),
        1 => (1u32..3, 1u8..4).prop_map(|(number, n)| Edit::Pin {
            service: web(),
            number,
            pin: Pin { epoch: u64::from(number), node: node(n), moved: false },
        }),
        1 => (1u8..4).prop_map(|n| Edit::Witnesses {
            service: web(),
            witnesses: [node(n), node(n + 1)].into(),
        }),
        1 => (1u8..5).prop_map(|n| Edit::NodeAvailability { node: node(n), availability: Availability::Drain }),
        1 => (1u8..5).prop_map(|n| Edit::NodeName { node: node(n), name: "same".parse().unwrap() }),
        1 => (3u8..5).prop_map(|n| Edit::RemoveNode(node(n))),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let edits = || prop::collection::vec(any_edit(), 1..4);
    prop_oneof![
        4 => (0..NODES, edits()).prop_map(|(by, edits)| Step::Write { by, edits }),
        3 => (0..NODES, 0..NODES).prop_map(|(a, b)| Step::Meet { a, b }),
        1 => (0..NODES, edits()).prop_map(|(by, edits)| Step::Abandon { by, edits }),
    ]
}

/// A removed node that knows of it may not write; everything else must work.
fn run(steps: &[Step]) -> Vec<Replica> {
    let mut all = replicas(NODES as u8);
    for step in steps {
        match step {
            Step::Write { by, edits } => {
                if let Ok(prepared) = all[*by].prepare(edits, WallTime(7)) {
                    all[*by].commit(prepared);
                }
            }
            Step::Meet { a, b } if a != b => meet(&mut all, *a, *b),
            Step::Meet { .. } => {}
            Step::Abandon { by, edits } => {
                if let Ok(prepared) = all[*by].prepare(edits, WallTime(7)) {
                    all[*by].abandon(prepared);
                }
            }
        }
    }
    all
}

fn meet(all: &mut [Replica], a: usize, b: usize) {
    let [a, b] = all.get_disjoint_mut([a, b]).unwrap();
    sync(a, b, 2000);
}

fn everything(all: &[Replica]) -> Vec<SignedEnvelope> {
    let mut envelopes = Vec::new();
    for replica in all {
        for document in replica.digests().keys() {
            envelopes.extend(replica.envelopes_of(document));
        }
    }
    envelopes
}

/// Picks without end, so that everything comes in a different order, and some of it twice.
fn shuffled(mut envelopes: Vec<SignedEnvelope>, picks: &[Index]) -> Vec<SignedEnvelope> {
    let mut order = Vec::new();
    for pick in picks.iter().cycle() {
        if envelopes.is_empty() {
            break;
        }
        let at = pick.index(envelopes.len());
        order.push(envelopes[at].clone());
        if order.len() % 3 != 0 || order.len() > 1000 {
            envelopes.swap_remove(at);
        }
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        steps in prop::collection::vec(any_step(), 1..25),
        first in prop::collection::vec(any::<Index>(), 1..40),
        second in prop::collection::vec(any::<Index>(), 1..40),
    ) {
        let envelopes = everything(&run(&steps));
        let mut one = Replica::new(key(50), 50);
        let mut two = Replica::new(key(51), 51);
        for (replica, picks) in [(&mut one, &first), (&mut two, &second)] {
            replica.open_grid(grid());
            for envelope in shuffled(envelopes.clone(), picks) {
                let came = replica.ingest(envelope);
                prop_assert!(!matches!(came, Ingested::Refused(_)), "{:?}", came);
                replica.documents();
            }
            prop_assert!(replica.wanted().is_empty());
        }
        prop_assert_eq!(one.digests(), two.digests());
        prop_assert_eq!(one.documents(), two.documents());
    }

    #[test]
    fn any_two_replicas_converge_and_so_do_all(steps in prop::collection::vec(any_step(), 1..25)) {
        let mut all = run(&steps);
        for _ in 0..2 {
            for other in 1..NODES {
                meet(&mut all, 0, other);
            }
        }
        agree(&mut all);
        let mut empty = Replica::new(key(50), 50);
        empty.open_grid(grid());
        sync(&mut all[0], &mut empty, 500);
        prop_assert_eq!(empty.documents(), all[0].documents());
    }

    #[test]
    fn what_an_author_saw_is_what_automerge_shows_of_its_past(
        steps in prop::collection::vec(any_step(), 1..25),
        picks in prop::collection::vec((any::<Index>(), any::<Index>()), 1..20),
    ) {
        for mut replica in run(&steps) {
            replica.documents();
            for log in replica.logs.values().filter(|log| !log.entries().is_empty()) {
                for (one, other) in &picks {
                    let known = [one, other].map(|pick| pick.index(log.entries().len()));
                    if known.iter().any(|index| log.entry(*index).quarantined) {
                        continue;
                    }
                    for register in log.registers().keys() {
                        prop_assert_eq!(
                            log.replaced_by(register, &known),
                            log.replaced_by_automerge(register, &known)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_loaded_equals_what_was_saved(steps in prop::collection::vec(any_step(), 1..25)) {
        for mut replica in run(&steps) {
            let mut loaded = Replica::new(key(50), 50);
            loaded.open_grid(grid());
            prop_assert_eq!(loaded.load(everything(std::slice::from_ref(&replica))), vec![]);
            prop_assert_eq!(loaded.digests(), replica.digests());
            prop_assert_eq!(loaded.documents(), replica.documents());
        }
    }

    #[test]
    fn what_is_abandoned_leaves_no_trace(
        steps in prop::collection::vec(any_step(), 1..15),
        edits in prop::collection::vec(any_edit(), 1..4),
    ) {
        let mut all = run(&steps);
        let (documents, digest, version) = (all[0].documents(), all[0].digests().clone(), all[0].version());
        let prepared = all[0].prepare(&edits, WallTime(7)).unwrap();
        prop_assert_eq!(all[0].documents(), documents.clone());
        let written = prepared.iter().map(|one| one.envelope.clone()).collect::<Vec<_>>();
        all[0].abandon(prepared);
        prop_assert_eq!((all[0].documents(), all[0].digests().clone(), all[0].version()), (documents, digest, version));
        // It reached the disk all the same, and another change took its place: no equivocation.
        let newly = write(&mut all[0], &[scale(7)]);
        let mut other = all.swap_remove(1);
        give(&all[0], &mut other);
        for envelope in written.into_iter().chain(newly) {
            other.ingest(envelope);
        }
        prop_assert_eq!(other.take_events(), vec![]);
    }
}
