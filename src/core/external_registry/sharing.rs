//! Who gives a node that came later the keys of the registries' passwords.
//!
//! Whoever adds a registry seals its password for the members it knows. For a node that is admitted later, or on the
//! other side of a split, another one that has the key does it: of those that are fresh the one with the lowest id, so
//! that one change is written and not one by each. Where nothing comes of that for a while, because its disk has failed,
//! it is of an older version or its key is none, the next one does it too. Either of two keys is right.

use std::time::Duration;

use crate::id::NodeId;
use crate::network::keys;
use crate::report::Disk;
use crate::view::View;

use super::{Registry, RegistryName};

/// Keys that are given with one change at most: 1,000 would not fit into one envelope.
pub const MAX_SHARED: usize = 256;

/// How long each of those who could give a key leaves it to the one before.
const LEFT_FOR: Duration = Duration::from_secs(10);

/// Members that lack a key which this node could give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub registry: RegistryName,
    /// [`MAX_SHARED`] at most.
    pub nodes: Vec<NodeId>,
    /// So long others are given the time to do it.
    pub left_for: Duration,
}

/// What this node could give.
pub fn lacks(view: &View, me: NodeId) -> Vec<Lack> {
    let registries = view.documents.registries.iter();
    let lacks = registries.filter_map(|(name, registry)| {
        let rank = givers(view, registry).position(|node| *node == me)?;
        let roster = view.documents.roster.keys();
        let lacking = roster.filter(|node| !registry.keys.contains_key(node));
        let lacking = lacking.filter(|node| keys::public(node).is_some());
        let nodes: Vec<NodeId> = lacking.take(MAX_SHARED).copied().collect();
        (!nodes.is_empty()).then(|| Lack {
            registry: name.clone(),
            nodes,
            left_for: LEFT_FOR * u32::try_from(rank).unwrap_or(u32::MAX),
        })
    });
    lacks.collect()
}

/// Those that have the key, are heard of and can write, in the order of ids.
fn givers<'v>(view: &'v View, registry: &'v Registry) -> impl Iterator<Item = &'v NodeId> {
    let can_write = |node: &NodeId| {
        let report = view.reports.get(node);
        report.is_none_or(|report| matches!(report.disk, Disk::Working))
    };
    let holders = registry.keys.keys();
    holders.filter(move |node| view.is_fresh(node) && can_write(node))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::external_registry::{Account, Lock, Registry, SealedKey, SealedText};
    use crate::identity::SecretKey;
    use crate::report::{Report, ReportOrder};
    use crate::time::WallTime;
    use crate::view::{Availability, Documents, Freshness, Member, Standing};

    fn node(number: u8) -> NodeId {
        SecretKey::from_seed([number; 32]).node_id()
    }

    fn member(number: u8) -> (NodeId, Member) {
        let member = Member {
            name: format!("n{number}").parse().unwrap(),
            sponsor: node(1),
            joined: WallTime(0),
            labels: Vec::new(),
            availability: Availability::Active,
            number: number.into(),
            addresses: Vec::new(),
            subnet: None,
        };
        (node(number), member)
    }

    /// Three members, of which `holders` have the key and `fresh` are heard of.
    fn view(holders: &[u8], fresh: &[u8]) -> View {
        let lock = Lock([7; 32]);
        let key = SealedKey {
            lock,
            key: Vec::new(),
        };
        let registry = Registry {
            account: Account {
                url: "https://quay.io".to_owned(),
                username: "me".to_owned(),
                email: None,
                password: SealedText {
                    lock,
                    text: Vec::new(),
                },
            },
            since: WallTime(0),
            keys: holders.iter().map(|n| (node(*n), key.clone())).collect(),
        };
        let documents = Documents {
            roster: (1..=3).map(member).collect(),
            registries: [("quay.io".parse().unwrap(), Arc::new(registry))].into(),
            ..Documents::default()
        };
        let standing = Standing {
            freshness: Freshness::Fresh,
            since: WallTime(0),
        };
        View {
            documents: Arc::new(documents),
            standings: fresh.iter().map(|n| (node(*n), standing)).collect(),
            ..View::default()
        }
    }

    /// Who lacks it, and after how many seconds this node gives it.
    fn asked(view: &View, me: u8) -> Option<(Vec<NodeId>, u64)> {
        let lack = lacks(view, node(me)).pop()?;
        Some((lack.nodes, lack.left_for.as_secs()))
    }

    #[test]
    fn the_first_fresh_node_that_has_the_key_gives_it_and_the_next_one_later() {
        let (first, second) = match node(1) < node(2) {
            true => (1, 2),
            false => (2, 1),
        };
        let all_fresh = view(&[1, 2], &[1, 2, 3]);
        assert_eq!(asked(&all_fresh, first), Some((vec![node(3)], 0)));
        assert_eq!(asked(&all_fresh, second), Some((vec![node(3)], 10)));
        assert_eq!(asked(&all_fresh, 3), None);
        let first_is_away = view(&[1, 2], &[second, 3]);
        assert_eq!(asked(&first_is_away, second), Some((vec![node(3)], 0)));
    }

    #[test]
    fn a_node_whose_disk_has_failed_is_left_out() {
        let mut view = view(&[1], &[1, 2, 3]);
        assert!(asked(&view, 1).is_some());
        let mut report = Report::empty(node(1), ReportOrder::default());
        report.disk = Disk::Failed {
            since: WallTime(0),
            problem: "full".to_owned(),
        };
        view.reports.insert(node(1), Arc::new(report));
        assert_eq!(asked(&view, 1), None);
    }

    #[test]
    fn nobody_gives_what_all_have_or_nobody_who_is_there_has() {
        assert_eq!(asked(&view(&[1, 2, 3], &[1, 2, 3]), 1), None);
        assert_eq!(asked(&view(&[1], &[2, 3]), 2), None);
    }
}
