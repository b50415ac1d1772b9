//! Domains: the parts of a grid that a service is spread over, by the labels of its nodes.
//!
//! In: the roster and a [`Spread`]. Out: for each node and each level of the spread the domain that it lies in. A
//! domain of the second level is one value of the second label within one value of the first, so racks of two rooms
//! may have the same names. A node without a label has the value `default` (as Kontena has it of `az`).
//!
//! Not here: how many instances are in a domain (`survey`).

use std::collections::BTreeMap;

use crate::stack::Spread;
use crate::view::Member;

use super::survey::Node;

/// The label of Kontena's zones.
const ZONE: &str = "az";

/// The levels that are not in use point to this domain, which no node is counted in.
const NOWHERE: u32 = 0;

/// The domains of a node, the widest first.
pub(super) type Place = [u32; Spread::MAX_LABELS];

/// Where each node lies for one spread.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// In the order of the survey's nodes.
    pub(super) places: Vec<Place>,
    /// How many domains there are, the one that nobody is in among them.
    pub(super) count: usize,
    /// How many of the places' entries are in use.
    levels: usize,
}

impl Domains {
    pub(super) fn new<'v>(nodes: &[Node<'v>], spread: &Spread) -> Self {
        let keys: Vec<&str> = match spread.labels() {
            [] => vec![ZONE],
            labels => labels.iter().map(|label| label.key()).collect(),
        };
        let mut known: BTreeMap<(u32, &str), u32> = BTreeMap::new();
        let place = |node: &Node<'v>| {
            let mut place = [NOWHERE; Spread::MAX_LABELS];
            let mut within = NOWHERE;
            for (level, key) in place.iter_mut().zip(&keys) {
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX - 1) + 1;
                within = *known
                    .entry((within, node.member.label_or_default(key)))
                    .or_insert(next);
                *level = within;
            }
            place
        };
        let places = nodes.iter().map(place).collect();
        Self {
            places,
            count: known.len() + 1,
            levels: keys.len(),
        }
    }

    /// The domains that an instance on the node counts in.
    pub(super) fn of(&self, node: usize) -> &[u32] {
        &self.places[node][..self.levels]
    }
}

/// What an instance on a node counts in, for people: `rack=r1`.
pub(super) fn labels(member: &Member, spread: &Spread) -> Vec<String> {
    let labels = spread.labels().iter();
    labels
        .map(|label| format!("{}={}", label.key(), member.label_or_default(label.key())))
        .collect()
}
