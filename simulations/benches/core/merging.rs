//! Changes of others: what it costs to take them in one by one, and to load them.

use kontena_core::document::edit::Edit;
use kontena_core::document::{DocumentId, Ingested, Replica, SignedEnvelope};
use kontena_core::id::GridId;
use kontena_core::identity::SecretKey;
use kontena_core::membership::admission::{Admission, Candidate};
use kontena_core::network::plan::AddressPlan;
use kontena_core::stack::Service;
use kontena_core::time::WallTime;

use crate::figure::{Row, Times};
use crate::founded::service_key;

const CHANGES: u32 = 5_000;

pub(crate) fn measure(report: &mut dyn FnMut(Row)) {
    let (grid, envelopes) = history();
    let count = envelopes.len();

    for slice in [1, 64] {
        let mut times = Times::default();
        let mut replica = reader(grid);
        for envelopes in envelopes.chunks(slice) {
            let envelopes = envelopes.to_vec();
            times.measure(|| {
                for envelope in envelopes {
                    let ingested = replica.ingest(envelope);
                    assert!(matches!(ingested, Ingested::Applied { .. }), "{ingested:?}");
                }
                replica.documents()
            });
        }
        let all = count.div_ceil(slice);
        let last = 640 / slice;
        report(Row {
            what: format!("{count} changes of one document, taken in and shown {slice} at a time"),
            figure: format!(
                "**{:.2} s**; each time {:.2} ms at the end",
                times.last(all).as_secs_f64(),
                times.last(last).as_secs_f64() * 1e3 / last as f64
            ),
            aim: if slice == 1 { "" } else { "< 10 ms a slice" },
        });
    }

    let mut load = Times::default();
    for _ in 0..5 {
        let saved = envelopes.clone();
        let mut replica = reader(grid);
        let refused = load.measure(|| replica.load(saved));
        assert!(refused.is_empty());
    }
    report(Row {
        what: format!("{count} changes, loaded from the own disk"),
        figure: load.in_milliseconds(),
        aim: "",
    });

    let mut replica = reader(grid);
    replica.load(envelopes);
    let document: DocumentId = "stack/stack-0".parse().expect("a document");
    let mut digest = Times::default();
    let mut have = Times::default();
    for _ in 0..11 {
        digest.measure_many(100, || {
            for _ in 0..100 {
                std::hint::black_box(replica.digest());
            }
        });
        have.measure_many(100, || {
            for _ in 0..100 {
                std::hint::black_box(replica.have(&document));
            }
        });
    }
    report(Row {
        what: "– the digest of its documents".to_owned(),
        figure: digest.in_milliseconds(),
        aim: "",
    });
    report(Row {
        what: "– what it has of the largest".to_owned(),
        figure: have.in_milliseconds(),
        aim: "",
    });
}

fn reader(grid: GridId) -> Replica {
    let mut replica = Replica::new(SecretKey::from_seed([2; 32]), 2);
    replica.open_grid(grid);
    replica
}

/// One service, scaled again and again.
fn history() -> (GridId, Vec<SignedEnvelope>) {
    let key = SecretKey::from_seed([9; 32]);
    let grid = GridId(key.public());
    let author = SecretKey::from_seed([1; 32]);
    let candidate = Candidate {
        node: author.node_id(),
        name: "n1".parse().expect("a label"),
        labels: Vec::new(),
        addresses: Vec::new(),
        routes: Vec::new(),
    };
    let mut replica = Replica::new(author, 1);
    let genesis = [Edit::Admit(Admission::founding(
        grid,
        AddressPlan::default(),
        candidate,
        WallTime(0),
    ))];
    let prepared = replica
        .prepare_genesis(&key, &genesis, WallTime(0))
        .expect("a replica without a grid founds one");
    let mut envelopes = replica.commit(prepared);
    let service = service_key(0);
    let encoded = Service::new("web:1").encode();
    for number in 0..CHANGES {
        let edit = match number {
            0 => Edit::Revision {
                service: service.clone(),
                encoded: encoded.clone(),
            },
            instances => Edit::Instances {
                service: service.clone(),
                instances,
            },
        };
        let prepared = replica
            .prepare(&[edit], WallTime(u64::from(number)))
            .expect("the edit is valid");
        envelopes.extend(replica.commit(prepared));
    }
    (grid, envelopes)
}
