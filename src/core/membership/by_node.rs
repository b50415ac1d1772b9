//! A map from nodes to something small, as one sorted vector.
//!
//! It is made whole and read from the beginning to the end, a thousand entries at a time: one after the
//! other in memory that takes a tenth of the time of a tree.

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

    /// In the order of the nodes' keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &V)> {
        self.0.iter().map(|(node, value)| (node, value))
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
        fn it_holds_what_a_tree_would(entries in prop::collection::vec((0..20_u8, 0..9_u32), 0..40), asked in 0..25_u8) {
            let entries = entries.into_iter().map(|(node, value)| (NodeId([node; 32]), value));
            let tree: BTreeMap<NodeId, u32> = entries.clone().collect();
            let ours: ByNode<u32> = entries.collect();
            prop_assert!(ours.iter().eq(tree.iter()) && ours.len() == tree.len());
            let asked = NodeId([asked; 32]);
            prop_assert_eq!(ours.get(&asked), tree.get(&asked));
        }
    }
}
