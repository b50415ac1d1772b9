//! Which envelope lies in the past of which: reachability in a document's history.
//!
//! The history is cut into chains, along which each envelope depends on the one before it. An
//! envelope keeps, for every chain, how many of its members it has in its past; so "is `a` in the
//! past of `b`" is one comparison. A history without concurrency is one chain, and envelopes along a
//! chain share their table, so that memory grows with merges, not with changes times writers.

use std::sync::Arc;

/// An envelope's position in the order in which this replica received them.
pub(crate) type Index = usize;

#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    places: Vec<Place>,
    /// The last member of each chain.
    ends: Vec<Index>,
}

#[derive(Clone, Debug)]
struct Place {
    chain: usize,
    /// From 1.
    position: u32,
    /// For every chain but the own one, how many of its members lie in the past.
    past: Past,
}

/// For every chain how many of its members are known, from the chain's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past(Arc<Vec<u32>>);

impl Graph {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds an envelope whose dependencies are all there.
    pub(crate) fn add(&mut self, dependencies: &[Index]) -> Index {
        let index = self.places.len();
        let extended = dependencies
            .iter()
            .find(|dependency| self.ends[self.places[**dependency].chain] == **dependency);
        let past = match (dependencies, extended) {
            ([only], Some(_)) => self.places[*only].past.clone(),
            _ => self.past_of(dependencies),
        };
        let (chain, position) = match extended {
            Some(end) => {
                let place = &self.places[*end];
                (place.chain, place.position + 1)
            }
            None => (self.ends.len(), 1),
        };
        if chain == self.ends.len() {
            self.ends.push(index);
        } else {
            self.ends[chain] = index;
        }
        self.places.push(Place {
            chain,
            position,
            past,
        });
        index
    }

    /// Whether `ancestor` is `descendant` or lies in its past.
    pub(crate) fn reaches(&self, descendant: Index, ancestor: Index) -> bool {
        let (from, to) = (&self.places[descendant], &self.places[ancestor]);
        if from.chain == to.chain {
            from.position >= to.position
        } else {
            from.past.count(to.chain) >= to.position
        }
    }

    /// The past of several envelopes, themselves included.
    pub(crate) fn past_of(&self, heads: &[Index]) -> Past {
        let mut counts = vec![0; self.ends.len()];
        for head in heads {
            let place = &self.places[*head];
            for (count, other) in counts.iter_mut().zip(place.past.0.iter()) {
                *count = (*count).max(*other);
            }
            counts[place.chain] = counts[place.chain].max(place.position);
        }
        Past(Arc::new(counts))
    }

    pub(crate) fn contains(&self, past: &Past, index: Index) -> bool {
        let place = &self.places[index];
        past.count(place.chain) >= place.position
    }
}

impl Past {
    fn count(&self, chain: usize) -> u32 {
        self.0.get(chain).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reachability_is_what_walking_the_history_finds(
            picks in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..60)
        ) {
            let mut graph = Graph::default();
            let mut walked: Vec<BTreeSet<Index>> = Vec::new();
            for (index, pick) in picks.iter().enumerate() {
                let dependencies: BTreeSet<Index> = match index {
                    0 => BTreeSet::new(),
                    _ => pick.iter().map(|pick| pick.index(index)).collect(),
                };
                let mut past = BTreeSet::from([index]);
                for dependency in &dependencies {
                    past.extend(&walked[*dependency]);
                }
                walked.push(past);
                let dependencies: Vec<Index> = dependencies.into_iter().collect();
                prop_assert_eq!(graph.add(&dependencies), index);
            }
            for (from, past) in walked.iter().enumerate() {
                for to in 0..walked.len() {
                    prop_assert_eq!(graph.reaches(from, to), past.contains(&to), "{} {}", from, to);
                }
            }
        }
    }
}
