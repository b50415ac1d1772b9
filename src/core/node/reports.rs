//! The newest report of every node, ours included: kept, compared, and handed on as signed bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::NodeId;
use crate::report::{InvalidReport, Report, ReportOrder, SignedReport};

/// The reports of one node's view.
#[derive(Debug, Default)]
pub(super) struct Reports {
    known: BTreeMap<NodeId, Known>,
    /// Not yet handed to the disk.
    unsaved: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Known {
    report: Arc<Report>,
    signed: SignedReport,
}

impl Reports {
    /// Takes a report if it is newer than what is known.
    pub(super) fn accept(&mut self, signed: SignedReport) -> Result<Option<NodeId>, InvalidReport> {
        self.accept_of(signed, |_| true)
    }

    /// The same, from a peer: of members only, because anybody can make keys and sign with them.
    pub(super) fn accept_of(
        &mut self,
        signed: SignedReport,
        is_member: impl Fn(&NodeId) -> bool,
    ) -> Result<Option<NodeId>, InvalidReport> {
        let report = signed.open()?;
        let node = report.node;
        if !is_member(&node) {
            return Ok(None);
        }
        if self.order(&node).is_some_and(|known| known >= report.order) {
            return Ok(None);
        }
        self.unsaved.insert(node);
        self.known.insert(
            node,
            Known {
                report: Arc::new(report),
                signed,
            },
        );
        Ok(Some(node))
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Arc<Report>> {
        self.known.get(node).map(|known| &known.report)
    }

    pub(super) fn signed(&self, node: &NodeId) -> Option<&SignedReport> {
        self.known.get(node).map(|known| &known.signed)
    }

    pub(super) fn order(&self, node: &NodeId) -> Option<ReportOrder> {
        self.get(node).map(|report| report.order)
    }

    /// The newest order known of each node: what an exchange carries.
    pub(super) fn digest(&self) -> BTreeMap<NodeId, ReportOrder> {
        self.known
            .iter()
            .map(|(node, known)| (*node, known.report.order))
            .collect()
    }

    /// Reports that are newer than a peer's digest says it has, up to a number of bytes: the rest
    /// comes with the next exchange.
    pub(super) fn newer_than(
        &self,
        theirs: &BTreeMap<NodeId, ReportOrder>,
        max_bytes: usize,
    ) -> Vec<SignedReport> {
        let mut bytes = 0;
        let newer = |node: &NodeId, known: &Known| {
            theirs
                .get(node)
                .is_none_or(|order| *order < known.report.order)
        };
        self.known
            .iter()
            .filter(|(node, known)| newer(node, known))
            .map(|(_, known)| known.signed.clone())
            .take_while(|signed| {
                bytes += signed.len();
                bytes <= max_bytes
            })
            .collect()
    }

    /// The reports of these nodes, as a view shows them.
    pub(super) fn of(&self, nodes: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, Arc<Report>> {
        nodes
            .filter_map(|node| Some((node, self.get(&node)?.clone())))
            .collect()
    }

    /// Forgets everybody who is not one of these.
    pub(super) fn retain(&mut self, keep: impl Fn(&NodeId) -> bool) {
        self.known.retain(|node, _| keep(node));
        self.unsaved.retain(|node| keep(node));
    }

    /// What shall be written down, once.
    pub(super) fn take_unsaved(&mut self) -> Vec<(NodeId, SignedReport)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved
            .into_iter()
            .filter_map(|node| Some((node, self.signed(&node)?.clone())))
            .collect()
    }

    /// What was handed to the disk is not on it.
    pub(super) fn not_saved(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        let known = nodes
            .into_iter()
            .filter(|node| self.known.contains_key(node));
        self.unsaved.extend(known);
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;
    use crate::report::{Disk, Engine};

    #[test]
    fn only_a_newer_report_replaces_the_known_one() {
        let mut reports = Reports::default();
        assert!(reports.accept(report(1, 2)).unwrap().is_some());
        assert!(reports.accept(report(1, 1)).unwrap().is_none());
        assert!(reports.accept(report(1, 2)).unwrap().is_none());
        assert!(reports.accept(report(2, 0)).unwrap().is_some());
    }

    #[test]
    fn a_peer_is_sent_what_it_lacks() {
        let mut reports = Reports::default();
        reports.accept(report(1, 2)).unwrap();
        let theirs = reports.digest();
        assert!(reports.newer_than(&theirs, 1 << 20).is_empty());
        reports.accept(report(1, 3)).unwrap();
        assert_eq!(reports.newer_than(&theirs, 1 << 20).len(), 1);
        assert_eq!(
            reports.newer_than(&BTreeMap::new(), 1).len(),
            0,
            "bounded by bytes"
        );
    }

    fn report(boot: u64, sequence: u64) -> SignedReport {
        let key = SecretKey::from_seed([7; 32]);
        let report = Report {
            node: key.node_id(),
            order: ReportOrder {
                boot,
                nonce: 1,
                sequence,
            },
            version: String::new(),
            placement_version: 1,
            engine: Engine::default(),
            disk: Disk::Working,
            addresses: Vec::new(),
            restarting: false,
            holds: BTreeMap::new(),
            refusals: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        SignedReport::new(&report, &key)
    }
}
