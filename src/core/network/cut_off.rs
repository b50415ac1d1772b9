//! Whom most others find no way to: such a node is alive, and still the last to be given work.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeId;
use crate::view::View;

/// Members that more than half of the other fresh ones say they cannot reach, directly or through another
/// (rules of the mesh 1, data plane). A node's word about itself does not count, and two nodes that miss each
/// other are two that say so of one each: of a pair alone both are cut off, of more neither.
pub fn cut_off(view: &View) -> BTreeSet<NodeId> {
    let mut complaints: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (node, report) in &view.reports {
        let unreachable = report
            .network
            .iter()
            .flat_map(|network| &network.unreachable);
        for other in unreachable.filter(|other| *other != node && view.is_fresh(node)) {
            *complaints.entry(*other).or_default() += 1;
        }
    }
    if complaints.is_empty() {
        return BTreeSet::new();
    }
    let members = view.documents.roster.keys();
    let fresh = members.filter(|node| view.is_fresh(node)).count();
    let is_most = |(node, count): &(NodeId, usize)| {
        let others = fresh - usize::from(view.is_fresh(node));
        2 * count > others
    };
    let most = complaints.into_iter().filter(is_most);
    most.map(|(node, _)| node).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::{Network, Report, ReportOrder};
    use crate::time::WallTime;
    use crate::view::{Availability, Freshness, Member, Standing};

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    /// Fresh nodes, each with those that it cannot reach.
    fn view(unreachable: &[&[u8]]) -> View {
        let mut view = View::default();
        for (number, others) in (0..).zip(unreachable) {
            let member = Member {
                name: format!("n{number}").parse().unwrap(),
                sponsor: node(0),
                joined: WallTime(1),
                labels: Vec::new(),
                availability: Availability::Active,
                number: number.into(),
                addresses: Vec::new(),
                subnet: None,
            };
            Arc::make_mut(&mut view.documents)
                .roster
                .insert(node(number), member);
            let network = Network {
                unreachable: others.iter().map(|other| node(*other)).collect(),
                ..Network::default()
            };
            let report = Report {
                network: Some(network),
                ..Report::empty(node(number), ReportOrder::default())
            };
            view.reports.insert(node(number), Arc::new(report));
            set(&mut view, number, Freshness::Fresh);
        }
        view
    }

    fn set(view: &mut View, number: u8, freshness: Freshness) {
        let since = WallTime(1);
        view.standings
            .insert(node(number), Standing { freshness, since });
    }

    fn cut_off_in(unreachable: &[&[u8]]) -> Vec<u8> {
        let found = cut_off(&view(unreachable));
        found.iter().map(|node| node.as_bytes()[0]).collect()
    }

    #[test]
    fn it_takes_more_than_half_of_the_others() {
        assert_eq!(cut_off_in(&[&[], &[], &[], &[]]), [0_u8; 0]);
        assert_eq!(cut_off_in(&[&[3], &[], &[], &[]]), [0_u8; 0]);
        assert_eq!(cut_off_in(&[&[3], &[3], &[], &[]]), [3]);
        // Of four others, two are half.
        assert_eq!(cut_off_in(&[&[4], &[4], &[], &[], &[]]), [0_u8; 0]);
    }

    #[test]
    fn who_reaches_nobody_condemns_nobody_and_what_it_says_of_itself_counts_for_nothing() {
        assert_eq!(cut_off_in(&[&[1, 2], &[0], &[0]]), [0]);
        assert_eq!(cut_off_in(&[&[0], &[], &[]]), [0_u8; 0]);
    }

    #[test]
    fn of_a_pair_both_are_cut_off() {
        assert_eq!(cut_off_in(&[&[1], &[0]]), [0, 1]);
    }

    #[test]
    fn only_those_who_are_fresh_have_a_say() {
        let mut view = view(&[&[3], &[3], &[], &[]]);
        set(&mut view, 1, Freshness::Late);
        // One of two fresh others.
        assert!(cut_off(&view).is_empty());
        set(&mut view, 2, Freshness::Absent);
        assert_eq!(cut_off(&view), [node(3)].into());
    }
}
