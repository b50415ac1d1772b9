//! Nodes that were removed, and what they wrote before, beside and after.

use super::*;
use crate::access::Denied;
use crate::command::{Command, edits};
use crate::document::WriteRefusal;
use crate::document::replica::Effect;
use crate::view::{Freshness, Pin, Standing, View};

/// Three nodes that know of `web`.
fn three() -> [Replica; 3] {
    let mut all = replicas(3);
    create(&mut all[0]);
    let (first, others) = all.split_at_mut(1);
    for other in others {
        sync(&mut first[0], other, 1 << 20);
    }
    all.try_into().unwrap()
}

#[test]
fn what_a_removed_node_wrote_before_stays_and_what_it_writes_after_does_not_count() {
    let [mut a, mut b, mut c] = three();
    write(&mut c, &[scale(4)]);
    sync(&mut a, &mut c, 1 << 20);
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    write(&mut c, &[scale(9)]);
    write(&mut c, &[revision("evil:1"), deploy("evil:1")]);
    write(&mut c, &[Edit::Admit(admission(4, 3))]);
    sync(&mut a, &mut c, 1 << 20);
    sync(&mut b, &mut c, 1 << 20);
    for replica in [&mut a, &mut b, &mut c] {
        let web = the_web(replica);
        assert_eq!((web.instances, web.latest.number), (4, 1));
        let documents = replica.documents();
        assert!(documents.removed.contains(&node(3)));
        assert_eq!(documents.former[&node(3)], admission(3, 1).name);
        assert!(!documents.roster.contains_key(&node(3)));
        assert!(
            !documents.roster.contains_key(&node(4)),
            "admitted by a removed node"
        );
        assert!(documents.conflicts.is_empty());
    }
    let history = a.history(&shop());
    let masked = history
        .iter()
        .filter(|change| change.effect == Effect::Masked);
    assert_eq!(masked.count(), 2);
}

/// A view of these documents in which the node was heard of like this.
fn heard(replica: &mut Replica, of: NodeId, freshness: Freshness) -> View {
    let mut view = View {
        documents: replica.documents(),
        ..View::default()
    };
    let since = WallTime(0);
    view.standings.insert(of, Standing { freshness, since });
    view
}

#[test]
fn a_node_that_is_online_or_has_data_is_removed_only_by_force() {
    let [mut a, ..] = three();
    let remove = |view: &View, force: bool| {
        let node = node(3);
        edits(
            view,
            self::node(1),
            &Command::RemoveNode { node, force },
            WallTime(7),
        )
    };
    let online = heard(&mut a, node(3), Freshness::Fresh);
    let refused = remove(&online, false).unwrap_err().to_string();
    assert!(refused.contains("is online"), "{refused}");
    assert!(remove(&online, true).is_ok());
    let absent = heard(&mut a, node(3), Freshness::Absent);
    assert!(remove(&absent, false).is_ok());
    let pin = Edit::Pin {
        service: web(),
        number: 1,
        pin: Pin {
            epoch: 1,
            node: node(3),
            moved: false,
        },
    };
    write(&mut a, &[pin]);
    let bound = heard(&mut a, node(3), Freshness::Absent);
    let refused = remove(&bound, false).unwrap_err().to_string();
    assert!(
        refused.contains("holds the data of `shop/web-1`"),
        "{refused}"
    );
    assert!(remove(&bound, true).is_ok());
}

#[test]
fn what_a_removed_node_wrote_counts_until_what_its_removal_knew_is_there() {
    let [mut a, mut b, mut c] = three();
    write(&mut c, &[scale(4)]);
    sync(&mut a, &mut c, 1 << 20);
    sync(&mut b, &mut c, 1 << 20);
    write(&mut a, &[revision("nginx:2")]);
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    for envelope in a.envelopes_of(&DocumentId::Grid) {
        b.ingest(envelope);
    }
    assert!(b.documents().removed.contains(&node(3)));
    assert_eq!(the_web(&mut b).instances, 4);
    write(&mut c, &[scale(9)]);
    sync(&mut a, &mut b, 1 << 20);
    sync(&mut b, &mut c, 1 << 20);
    assert_eq!(the_web(&mut b).instances, 4);
}

#[test]
fn an_honest_change_on_top_of_a_removed_nodes_counts() {
    let [mut a, mut b, mut c] = three();
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    write(&mut c, &[scale(9), revision("evil:1")]);
    sync(&mut b, &mut c, 1 << 20);
    write(&mut b, &[scale(5)]);
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    let web = the_web(&mut a);
    assert_eq!((web.instances, web.latest.number), (5, 1));
    assert!(a.documents().conflicts.is_empty());
}

#[test]
fn a_removed_node_that_knows_it_cannot_write_or_come_back() {
    let [mut a, _, mut c] = three();
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    sync(&mut a, &mut c, 1 << 20);
    let refused = c.prepare(&[scale(1)], WallTime(1));
    assert_eq!(
        refused.unwrap_err(),
        WriteRefusal::Refused(Denied::NotMember.into())
    );
}

#[test]
fn a_node_that_leaves_by_itself_is_removed() {
    let [mut a, _, mut c] = three();
    write(&mut c, &[scale(4), Edit::RemoveNode(node(3))]);
    sync(&mut a, &mut c, 1 << 20);
    let documents = a.documents();
    assert!(documents.removed.contains(&node(3)));
    assert_eq!(documents.roster.len(), 2);
    let refused = c.prepare(
        &[Edit::NodeLabels {
            node: node(3),
            labels: vec![],
        }],
        WallTime(1),
    );
    assert!(matches!(refused, Err(WriteRefusal::Refused(_))));
}

#[test]
fn a_removed_id_is_not_admitted_again() {
    let [mut a, _, _] = three();
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    let refused = a
        .prepare(&[Edit::Admit(admission(3, 1))], WallTime(1))
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("was removed and never comes back"),
        "{refused}"
    );
    write(&mut a, &[Edit::Admit(admission(4, 1))]);
    assert_eq!(a.documents().roster[&node(4)].number, 4);
}

#[test]
fn of_two_that_remove_each_other_the_one_admitted_first_prevails() {
    let [mut a, mut b, mut c] = three();
    write(&mut b, &[Edit::RemoveNode(node(3))]);
    write(&mut c, &[Edit::RemoveNode(node(2))]);
    sync(&mut b, &mut c, 1 << 20);
    sync(&mut a, &mut b, 1 << 20);
    for replica in [&mut a, &mut b, &mut c] {
        let documents = replica.documents();
        assert_eq!(documents.removed.iter().collect::<Vec<_>>(), [&node(3)]);
        assert!(documents.roster.contains_key(&node(2)));
    }
    // The one that prevailed goes on, though a removal of it is in its past.
    write(&mut b, &[scale(6)]);
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(the_web(&mut a).instances, 6);
}

#[test]
fn a_node_that_a_removed_one_admitted_is_disowned_until_a_member_admits_it() {
    let [mut a, mut b, mut c] = three();
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    for admitted in [4, 5] {
        write(&mut c, &[Edit::Admit(admission(admitted, 3))]);
    }
    sync(&mut b, &mut c, 1 << 20);
    assert!(b.documents().disowned.is_empty(), "nobody there knows");
    sync(&mut a, &mut b, 1 << 20);
    for replica in [&mut a, &mut b] {
        let documents = replica.documents();
        assert_eq!(documents.disowned, [node(4), node(5)].into());
        assert!(documents.excludes(&node(4)) && documents.excludes(&node(3)));
        assert!(!documents.excludes(&node(2)));
    }
    write(&mut a, &[Edit::Admit(admission(4, 1))]);
    sync(&mut a, &mut b, 1 << 20);
    let documents = b.documents();
    assert!(documents.roster.contains_key(&node(4)));
    assert_eq!(documents.disowned, [node(5)].into());
}

/// Node 3 is removed by node 1 and, before it hears of it, admits `admitted`. Answers node 1 and node 3
/// before they meet.
fn removed_while_it_admits(admitted: u8) -> (Replica, Replica) {
    let [mut a, _, mut c] = three();
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    write(&mut c, &[Edit::Admit(admission(admitted, 3))]);
    (a, c)
}

#[test]
fn a_disowned_node_is_admitted_by_one_that_is_younger_than_its_first_admission() {
    let (mut a, mut c) = removed_while_it_admits(4);
    for label in 2..9 {
        let (node, labels) = (node(1), vec![format!("label-{label}")]);
        write(&mut a, &[Edit::NodeLabels { node, labels }]);
    }
    write(&mut a, &[Edit::Admit(admission(5, 1))]);
    sync(&mut a, &mut c, 1 << 20);
    let mut young = newcomer(5, &mut a);
    assert_eq!(young.documents().disowned, [node(4)].into());
    write(&mut young, &[Edit::Admit(admission(4, 5))]);
    sync(&mut a, &mut young, 1 << 20);
    for replica in [&mut a, &mut young] {
        let documents = replica.documents();
        assert!(documents.roster.contains_key(&node(4)));
        assert!(documents.disowned.is_empty());
    }
}

#[test]
fn whom_a_disowned_node_admitted_belongs_again_with_it() {
    let (mut a, mut c) = removed_while_it_admits(5);
    let mut sponsor = newcomer(5, &mut c);
    write(&mut sponsor, &[Edit::Admit(admission(4, 5))]);
    sync(&mut a, &mut sponsor, 1 << 20);
    assert_eq!(a.documents().disowned, [node(4), node(5)].into());
    write(&mut a, &[Edit::Admit(admission(5, 1))]);
    let documents = a.documents();
    assert!(documents.roster.contains_key(&node(4)) && documents.roster.contains_key(&node(5)));
    assert!(documents.disowned.is_empty());
}

/// The replica of a node that joined by what `sponsor` knows.
fn newcomer(number: u8, sponsor: &mut Replica) -> Replica {
    let mut newcomer = Replica::new(key(number), u64::from(number));
    newcomer.open_grid(grid());
    sync(sponsor, &mut newcomer, 1 << 20);
    newcomer
}

#[test]
fn a_removed_node_is_remembered_by_the_name_that_it_had_last() {
    let [mut a, mut b, _] = three();
    let name = "renamed".parse().unwrap();
    let node_name = Edit::NodeName {
        node: node(3),
        name,
    };
    write(&mut a, &[node_name]);
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    sync(&mut a, &mut b, 1 << 20);
    assert_eq!(b.documents().former[&node(3)].as_str(), "renamed");
    assert!(b.documents().conflicts.is_empty());
}

#[test]
fn the_definition_that_a_removed_node_wrote_is_read_where_an_honest_change_points_to_it() {
    let [mut a, mut b, mut c] = three();
    write(&mut c, &[revision("nginx:2")]);
    sync(&mut b, &mut c, 1 << 20);
    write(&mut b, &[deploy("nginx:2")]);
    write(&mut a, &[Edit::RemoveNode(node(3))]);
    sync(&mut a, &mut b, 1 << 20);
    let service = the_web(&mut a).deployed.unwrap().revision.service;
    assert_eq!(service.unwrap().image, "nginx:2");
    assert_eq!(a.documents(), b.documents());
}
