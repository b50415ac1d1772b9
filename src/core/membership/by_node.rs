//! A map from nodes to something small, as one sorted vector.
//!
//! An exchange walks two of these beside each other, a thousand entries each, several times a second
//! on every node: one after the other in memory that takes a tenth of the time of a tree.

use crate::id::NodeId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByNode<V>(Vec<(NodeId, V)>);

impl<V> Default for ByNode<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> ByNode<V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&V> {
        let at = self.find(node).ok()?;
        Some(&self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, node: &NodeId) -> Option<&mut V> {
        let at = self.find(node).ok()?;
        Some(&mut self.0[at].1)
    }

    pub(crate) fn contains(&self, node: &NodeId) -> bool {
        self.find(node).is_ok()
    }

    /// Puts a value in the place of the one that was there, if any.
    pub(crate) fn insert(&mut self, node: NodeId, value: V) {
        match self.find(&node) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (node, value)),
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&NodeId) -> bool) {
        self.0.retain(|(node, _)| keep(node));
    }

    /// In the order of the nodes' keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &V)> {
        self.0.iter().map(|(node, value)| (node, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeId, &mut V)> {
        self.0.iter_mut().map(|(node, value)| (&*node, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    fn find(&self, node: &NodeId) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(node))
    }
}

impl<V> FromIterator<(NodeId, V)> for ByNode<V> {
    /// Of several values of one node the last one stays.
    fn from_iter<I: IntoIterator<Item = (NodeId, V)>>(entries: I) -> Self {
        let mut entries: Vec<(NodeId, V)> = entries.into_iter().collect();
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.reverse();
            entries.sort_by_key(|entry| entry.0);
            entries.dedup_by_key(|entry| entry.0);
        }
        Self(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_would(entries in prop::collection::vec((0..20_u8, 0..9_u32), 0..40), more in any::<(u8, u32)>()) {
            let entries = entries.into_iter().map(|(node, value)| (NodeId([node; 32]), value));
            let mut tree: BTreeMap<NodeId, u32> = entries.clone().collect();
            let mut ours: ByNode<u32> = entries.collect();
            prop_assert!(ours.iter().eq(tree.iter()));
            let (node, value) = (NodeId([more.0 % 25; 32]), more.1);
            tree.insert(node, value);
            ours.insert(node, value);
            prop_assert!(ours.iter().eq(tree.iter()));
            prop_assert_eq!(ours.get(&node), Some(&value));
            tree.retain(|other, _| *other != node);
            ours.retain(|other| *other != node);
            prop_assert!(ours.iter().eq(tree.iter()) && !ours.contains(&node));
        }
    }
}
