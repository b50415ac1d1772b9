//! The newest report of every node, ours included: kept, compared, and handed on as signed bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::NodeId;
use crate::identity::Seal;
use crate::message::Digest;
use crate::report::{InvalidReport, Report, ReportOrder, SignedReport};

/// The reports of one node's view.
#[derive(Debug, Default)]
pub(super) struct Reports {
    known: BTreeMap<NodeId, Known>,
    /// Of all that are known: most of what a flood brings is a copy, and need not be read.
    seals: BTreeSet<Seal>,
    /// Not yet handed to the disk.
    unsaved: BTreeSet<NodeId>,
    /// Of whom which report is known: the sum of [`digest_of`].
    digest: Digest,
    version: u64,
    /// Counts the reports of another place, or of other ways, than before.
    moves: u64,
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
        if self.seals.contains(&signed.seal()) {
            return Ok(None);
        }
        let report = signed.read()?;
        let node = report.node;
        if !is_member(&node) {
            return Ok(None);
        }
        // Late copies of a flood end here, before the signature is looked at.
        if self.order(&node).is_some_and(|known| known >= report.order) {
            return Ok(None);
        }
        signed.check_signature(&node)?;
        let is_there = |before: &Arc<Report>| {
            before.addresses == report.addresses && before.network == report.network
        };
        self.moves += u64::from(!self.get(&node).is_some_and(is_there));
        self.unsaved.insert(node);
        self.count_out(&node);
        self.seals.insert(signed.seal());
        self.digest.toggle(digest_of(&node, &report.order));
        self.known.insert(
            node,
            Known {
                report: Arc::new(report),
                signed,
            },
        );
        Ok(Some(node))
    }

    fn count_out(&mut self, node: &NodeId) {
        if let Some(known) = self.known.get(node) {
            self.digest.toggle(digest_of(node, &known.report.order));
            self.seals.remove(&known.signed.seal());
        }
        self.version += 1;
    }

    /// Rises whenever another report is known.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Rises whenever a node is found elsewhere, or finds others otherwise, than before.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// The same on all nodes that know the same reports.
    pub(super) fn digest(&self) -> Digest {
        self.digest
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

    /// The newest order known of each node.
    pub(super) fn orders(&self) -> BTreeMap<NodeId, ReportOrder> {
        self.known
            .iter()
            .map(|(node, known)| (*node, known.report.order))
            .collect()
    }

    /// Reports that are newer than what a peer says it has, up to a number of bytes: the rest
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
        let left: Vec<NodeId> = self
            .known
            .keys()
            .filter(|node| !keep(node))
            .copied()
            .collect();
        for node in left {
            self.count_out(&node);
            self.known.remove(&node);
            self.unsaved.remove(&node);
        }
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

fn digest_of(node: &NodeId, order: &ReportOrder) -> Digest {
    let numbers = [order.boot, order.nonce, order.sequence].map(u64::to_be_bytes);
    Digest::of([node.as_bytes().as_slice(), numbers.as_flattened()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

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
        let theirs = reports.orders();
        assert!(reports.newer_than(&theirs, 1 << 20).is_empty());
        reports.accept(report(1, 3)).unwrap();
        assert_eq!(reports.newer_than(&theirs, 1 << 20).len(), 1);
        assert_eq!(
            reports.newer_than(&BTreeMap::new(), 1).len(),
            0,
            "bounded by bytes"
        );
    }

    #[test]
    fn the_digest_says_what_is_known_and_not_how_it_came() {
        let mut one = Reports::default();
        one.accept(report(1, 2)).unwrap();
        let mut other = Reports::default();
        for sequence in 0..3 {
            other.accept(report(1, sequence)).unwrap();
        }
        assert_eq!(one.digest(), other.digest());
        other.accept(report(1, 3)).unwrap();
        assert_ne!(one.digest(), other.digest());
        other.retain(|_| false);
        assert_eq!(other.digest(), Digest::default());
    }

    #[test]
    fn a_forged_report_is_refused() {
        let mut reports = Reports::default();
        let forged = SignedReport::new(
            &report(1, 2).open().unwrap(),
            &SecretKey::from_seed([8; 32]),
        );
        assert!(reports.accept(forged).is_err());
        assert_eq!(reports.digest(), Digest::default());
    }

    fn report(boot: u64, sequence: u64) -> SignedReport {
        let key = SecretKey::from_seed([7; 32]);
        let order = ReportOrder {
            boot,
            nonce: 1,
            sequence,
        };
        let report = Report::empty(key.node_id(), order);
        SignedReport::new(&report, &key)
    }
}
