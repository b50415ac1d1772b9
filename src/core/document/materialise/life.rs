//! One life of a stack or of a service: from its creations to the removals that know them.
//!
//! What is made anew under an old name is another life. Who did not know of it meant the old one, and what he
//! wrote beside the removal must not become a part of the new one: a pin of then would bind what is elsewhere now.

use crate::document::graph::{Graph, Index};
use crate::document::log::Value;

#[derive(Clone, Debug)]
pub(super) struct Life<'a> {
    graph: &'a Graph,
    removals: Vec<Index>,
    /// Those that no removal knows: several where sides of a split made it at once.
    creations: Vec<Index>,
}

impl<'a> Life<'a> {
    pub(super) fn new(graph: &'a Graph, removals: Vec<Index>, created: &[Value]) -> Self {
        let mut life = Self {
            graph,
            removals,
            creations: Vec::new(),
        };
        let sources = created.iter().map(|value| value.source);
        life.creations = sources.filter(|source| !life.is_over(*source)).collect();
        life
    }

    pub(super) fn creations(&self) -> &[Index] {
        &self.creations
    }

    pub(super) fn removals(&self) -> &[Index] {
        &self.removals
    }

    /// Whether an entry of the log is a part of it.
    pub(super) fn has(&self, source: Index) -> bool {
        let knows_it = |creation: &Index| self.graph.reaches(source, *creation);
        !self.is_over(source) && self.creations.iter().any(knows_it)
    }

    /// Whether an entry was written beside the removal of what it meant, by somebody who knew neither that
    /// nor a creation since, and none of those who made it anew knew the entry.
    pub(super) fn misses(&self, source: Index) -> bool {
        let is_known = |creation: &Index| self.graph.reaches(*creation, source);
        !self.has(source) && !self.is_over(source) && !self.creations.iter().any(is_known)
    }

    /// Whether a removal knew it.
    fn is_over(&self, source: Index) -> bool {
        let knows_it = |removal: &Index| self.graph.reaches(*removal, source);
        self.removals.iter().any(knows_it)
    }

    /// The values that are a part of it.
    pub(super) fn of(&self, values: &[Value]) -> Vec<Value> {
        let values = values.iter().filter(|value| self.has(value.source));
        values.cloned().collect()
    }
}
