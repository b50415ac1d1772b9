//! Who gives a node that came later the keys of the registries' passwords.
//!
//! Whoever adds a registry seals its password for the members it knows. For a node that is admitted later, or on the
//! other side of a split, another one that has the key does it: of those that are fresh the one with the lowest id, so
//! that one change is written and not one by each. Two that see different nodes as fresh may both write; either is right.

use crate::id::NodeId;
use crate::network::keys;
use crate::view::View;

use super::RegistryName;

/// Keys that are given with one change at most: 1,000 would not fit into one envelope.
pub const MAX_SHARED: usize = 256;

/// The next registry whose key this node is to give, and to whom: [`MAX_SHARED`] nodes at most.
pub fn due(view: &View, me: NodeId) -> Option<(RegistryName, Vec<NodeId>)> {
    let documents = &view.documents;
    documents.registries.iter().find_map(|(name, registry)| {
        let holders = registry.keys.keys();
        let first = holders.filter(|node| view.is_fresh(node)).min();
        let lacking = documents.roster.keys();
        let lacking = lacking.filter(|node| !registry.keys.contains_key(node));
        let lacking = lacking.filter(|node| keys::public(node).is_some());
        let lacking: Vec<NodeId> = lacking.take(MAX_SHARED).copied().collect();
        (first == Some(&me) && !lacking.is_empty()).then(|| (name.clone(), lacking))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::external_registry::{Account, Lock, Registry, SealedKey, SealedText};
    use crate::identity::SecretKey;
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
            registries: [("quay.io".parse().unwrap(), registry)].into(),
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

    fn asked(view: &View, me: u8) -> Option<Vec<NodeId>> {
        due(view, node(me)).map(|(_, nodes)| nodes)
    }

    #[test]
    fn the_first_fresh_node_that_has_the_key_gives_it_to_those_that_lack_it() {
        let (first, second) = match node(1) < node(2) {
            true => (1, 2),
            false => (2, 1),
        };
        let all_fresh = view(&[1, 2], &[1, 2, 3]);
        assert_eq!(asked(&all_fresh, first), Some(vec![node(3)]));
        assert_eq!(asked(&all_fresh, second), None);
        assert_eq!(asked(&all_fresh, 3), None);
        let first_is_away = view(&[1, 2], &[second, 3]);
        assert_eq!(asked(&first_is_away, second), Some(vec![node(3)]));
    }

    #[test]
    fn nobody_gives_what_all_have_or_nobody_who_is_there_has() {
        assert_eq!(asked(&view(&[1, 2, 3], &[1, 2, 3]), 1), None);
        assert_eq!(asked(&view(&[1], &[2, 3]), 2), None);
    }
}
