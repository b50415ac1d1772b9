//! Prepare, save, commit or abandon; and load again.

use super::*;
use crate::document::WriteRefusal;

#[test]
fn one_change_at_a_time_is_being_saved() {
    let mut first = replicas(1).remove(0);
    let prepared = first.prepare(&[revision("a:1")], WallTime(1)).unwrap();
    assert_eq!(
        first.prepare(&[scale(1)], WallTime(1)).unwrap_err(),
        WriteRefusal::Outstanding
    );
    assert!(first.documents().services.is_empty());
    assert_eq!(first.commit(prepared).len(), 1);
    assert_eq!(first.documents().services.len(), 1);
}

#[test]
fn a_change_that_came_meanwhile_stands_beside_the_one_being_saved() {
    let mut all = replicas(2);
    let prepared = all[0]
        .prepare(&[revision("a:1"), scale(3)], WallTime(1))
        .unwrap();
    let newly = write(
        &mut all[1],
        &[Edit::Stack {
            stack: "shop".parse().unwrap(),
            record: record(),
        }],
    );
    for envelope in newly {
        all[0].ingest(envelope);
    }
    all[0].commit(prepared);
    assert_eq!(all[0].heads(&shop()).len(), 2);
    assert_eq!(all[0].documents().stacks.len(), 1);
    assert_eq!(the_web(&mut all[0]).instances, 3);
}

fn record() -> crate::view::StackRecord {
    serde_json::from_str(r#"{"stack":"me/shop","version":"1","revision":1,"novelty":7}"#).unwrap()
}

#[test]
fn a_stack_says_when_it_came_and_when_it_changed() {
    let mut first = replicas(1).remove(0);
    let edit = |revision| Edit::Stack {
        stack: "shop".parse().unwrap(),
        record: crate::view::StackRecord {
            revision,
            ..record()
        },
    };
    for (revision, time) in [(1, 10), (2, 20)] {
        let prepared = first.prepare(&[edit(revision)], WallTime(time)).unwrap();
        first.commit(prepared);
    }
    let shop = first.documents().stacks[&"shop".parse().unwrap()].clone();
    assert_eq!(
        (shop.revision, shop.created, shop.updated),
        (2, WallTime(10), WallTime(20))
    );
    assert_eq!(shop.unknown["novelty"], 7);
}

#[test]
fn a_grid_is_founded_only_once_it_is_saved() {
    let mut replica = Replica::new(key(1), 1);
    assert_eq!(
        replica.prepare(&[scale(1)], WallTime(1)).unwrap_err(),
        WriteRefusal::NoGrid
    );
    let edits = [Edit::Admit(admission(1, 1))];
    let prepared = replica
        .prepare_genesis(&grid_key(), &edits, WallTime(1))
        .unwrap();
    assert_eq!(replica.grid(), None);
    replica.abandon(prepared);
    let prepared = replica
        .prepare_genesis(&grid_key(), &edits, WallTime(1))
        .unwrap();
    replica.commit(prepared);
    assert_eq!(replica.grid(), Some(grid()));
    assert_eq!(replica.documents().roster.len(), 1);
    let again = replica.prepare_genesis(&grid_key(), &edits, WallTime(1));
    assert_eq!(again.unwrap_err(), WriteRefusal::AlreadyInGrid);
}

#[test]
fn a_damaged_envelope_on_the_disk_is_told_and_comes_back_from_a_peer() {
    let mut all = replicas(2);
    create(&mut all[0]);
    write(&mut all[0], &[scale(4)]);
    let mut saved = all[0].envelopes_of(&DocumentId::Grid);
    saved.extend(all[0].envelopes_of(&shop()));
    let damaged = saved.len() - 2;
    saved[damaged].bytes.truncate(10);
    let mut loaded = Replica::new(key(1), 99);
    loaded.open_grid(grid());
    assert_eq!(loaded.load(saved).len(), 1);
    assert!(loaded.documents().services.is_empty());
    assert!(loaded.wanted().contains(&shop()));
    sync_loosely(&mut loaded, &mut all[0]);
    assert_eq!(loaded.documents(), all[0].documents());
    assert!(loaded.wanted().is_empty());
}

#[test]
fn the_version_rises_only_when_something_changed() {
    let mut first = replicas(1).remove(0);
    create(&mut first);
    let version = first.version();
    let known = first.envelopes_of(&shop()).remove(0);
    assert_eq!(first.ingest(known), Ingested::Known);
    assert_eq!(first.version(), version);
    write(&mut first, &[scale(8)]);
    assert_eq!(first.version(), version + 1);
}

#[test]
fn history_says_who_wrote_what() {
    let mut all = replicas(2);
    create(&mut all[0]);
    let (a, b) = all.split_at_mut(1);
    sync(&mut a[0], &mut b[0], 1 << 20);
    write(&mut b[0], &[scale(8)]);
    let history = b[0].history(&shop());
    assert_eq!(history.len(), 2);
    assert_eq!(
        (history[0].author, history[1].author),
        (node(1).0, node(2).0)
    );
    assert_eq!(history[1].writes, ["service/web/instances = 8"]);
}

/// How long many changes take: `cargo test --release -- --ignored --nocapture thousands`.
#[test]
#[ignore = "a measurement"]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "it measures and tells"
)]
fn many_thousands_of_changes_are_written_loaded_and_synced() {
    const CHANGES: u32 = 2_000;
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        work();
        eprintln!("{what}: {:?}", start.elapsed());
    };
    let mut all = replicas(2);
    create(&mut all[0]);
    let (first, second) = all.split_at_mut(1);
    let (first, second) = (&mut first[0], &mut second[0]);
    timed("write", &mut || {
        for change in 0..CHANGES {
            write(first, &[scale(change % 100)]);
        }
    });
    timed("sync", &mut || {
        sync(first, second, 1 << 20);
    });
    timed("view", &mut || {
        second.documents();
    });
    let saved: Vec<SignedEnvelope> = [DocumentId::Grid, shop()]
        .iter()
        .flat_map(|document| first.envelopes_of(document))
        .collect();
    let mut loaded = Replica::new(key(1), 99);
    loaded.open_grid(grid());
    timed("load", &mut || {
        assert!(loaded.load(saved.clone()).is_empty());
    });
    timed("view", &mut || {
        loaded.documents();
    });
    assert_eq!(loaded.documents(), first.documents());
}
