//! Which writes of each register are there, and what each of them replaced.
//!
//! So it is known what an author saw who knew some part of the history, without asking automerge,
//! which looks through all of a document for every such question.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, Index, Past};

/// The writes of a document by register. Each is named by its entry: an entry writes a register once.
#[derive(Debug, Default)]
pub(super) struct Writes(BTreeMap<String, Register>);

#[derive(Debug, Default)]
struct Register {
    /// Those that nothing replaced.
    tips: BTreeSet<Index>,
    replaced: BTreeMap<Index, Vec<Index>>,
    replaced_by: BTreeMap<Index, Vec<Index>>,
}

impl Writes {
    /// Adds a write by somebody who knew `past`, and so replaced what is seen there.
    pub(super) fn add(&mut self, graph: &Graph, register: &str, entry: Index, past: &Past) {
        let replaced = self.seen_at(graph, register, past);
        let register = self.0.entry(register.to_owned()).or_default();
        for old in &replaced {
            register.tips.remove(old);
            register.replaced_by.entry(*old).or_default().push(entry);
        }
        register.tips.insert(entry);
        register.replaced.insert(entry, replaced);
    }

    /// What is seen of a register by who knows `past`: the writes there that no other one there
    /// replaced.
    pub(super) fn seen_at(&self, graph: &Graph, register: &str, past: &Past) -> Vec<Index> {
        let Some(register) = self.0.get(register) else {
            return Vec::new();
        };
        let mut waiting: Vec<Index> = register.tips.iter().copied().collect();
        let mut visited = BTreeSet::new();
        let mut found = Vec::new();
        while let Some(write) = waiting.pop() {
            if !visited.insert(write) {
                continue;
            }
            if graph.contains(past, write) {
                found.push(write);
            } else {
                waiting.extend(register.replaced.get(&write).into_iter().flatten());
            }
        }
        // One may be reached around another that replaced it.
        found.retain(|write| {
            let mut later = register.replaced_by.get(write).into_iter().flatten();
            !later.any(|later| graph.contains(past, *later))
        });
        found
    }
}
