//! Whom to push news to at once, instead of waiting for the next exchange.

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::id::NodeId;
use crate::view::Standing;

/// In rosters up to this size everybody is told directly: one hop, and the messages of a flood
/// still number fewer than a hundred.
const ALL_UP_TO: usize = 8;

/// Six, as gossipsub's mesh degree: a flood then misses a fresh node with a chance of about e⁻⁶,
/// which the next exchange makes good.
const FRESH: usize = 6;

/// Whom to send news to: everybody in a small roster, else six random members that are online and
/// one more of any standing, so that a healed side is found without a special case.
///
/// `skip` are those who have it: this node, and the one that it came from.
pub fn fanout(
    standings: &BTreeMap<NodeId, Standing>,
    skip: &[NodeId],
    chance: &mut Chance,
) -> Vec<NodeId> {
    let others = || standings.iter().filter(|(node, _)| !skip.contains(node));
    if standings.len() <= ALL_UP_TO {
        return others().map(|(node, _)| *node).collect();
    }
    let online = others()
        .filter(|(_, standing)| standing.freshness.is_online())
        .map(|(node, _)| *node)
        .collect();
    let mut chosen = chance.take(online, FRESH);
    let rest: Vec<NodeId> = others()
        .map(|(node, _)| *node)
        .filter(|node| !chosen.contains(node))
        .collect();
    chosen.extend(chance.pick(&rest));
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::time::WallTime;
    use crate::view::Freshness;

    #[test]
    fn a_small_roster_is_told_whole() {
        let told = fanout(
            &roster(8, 3),
            &[node(0), node(5)],
            &mut Chance::new(1, "flood"),
        );
        assert_eq!(told.len(), 6);
        assert!(!told.contains(&node(0)) && !told.contains(&node(5)));
    }

    #[test]
    fn of_a_large_roster_six_online_and_one_more_are_told() {
        for seed in 0..100 {
            let told = fanout(&roster(50, 20), &[node(0)], &mut Chance::new(seed, "flood"));
            let distinct: BTreeSet<_> = told.iter().collect();
            assert_eq!(distinct.len(), 7);
            assert!(told[..6].iter().all(|told| *told < node(20)));
            assert!(!told.contains(&node(0)));
        }
    }

    #[test]
    fn a_node_whose_peers_are_all_stale_still_tells_one() {
        let told = fanout(&roster(50, 1), &[node(0)], &mut Chance::new(1, "flood"));
        assert_eq!(told.len(), 1);
    }

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn roster(members: u8, online: u8) -> BTreeMap<NodeId, Standing> {
        (0..members)
            .map(|number| {
                let freshness = match number < online {
                    true => Freshness::Fresh,
                    false => Freshness::Absent,
                };
                let since = WallTime(0);
                (node(number), Standing { freshness, since })
            })
            .collect()
    }
}
