//! Reports of others that are passed on, a few at a time.
//!
//! In a large grid everybody passes every new report on to some others. When a thousand nodes start, or a
//! thousand instances, that is millions of messages; gathered for a moment they are one message for many
//! reports, and of one node only the newest.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::NodeId;
use crate::message::Message;
use crate::report::SignedReport;
use crate::time::{Instant, Now};

use super::Node;
use super::gossip::{MAX_ANSWER_BYTES, TOLD_DIRECTLY};

/// How long reports gather: over the four hops of a flood to 1,000 nodes a fifth of a second, of the
/// second in which everybody shall know.
const GATHERS_FOR: Duration = Duration::from_millis(50);

/// What waits to be passed on.
#[derive(Debug, Default)]
pub(super) struct Relay {
    reports: BTreeMap<NodeId, SignedReport>,
    bytes: usize,
    due: Option<Instant>,
}

impl Relay {
    /// When [`Relay::take`] has something.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.due
    }

    fn add(&mut self, author: NodeId, report: SignedReport, now: Instant) {
        self.bytes += report.len();
        if let Some(older) = self.reports.insert(author, report) {
            self.bytes -= older.len();
        }
        self.due.get_or_insert(now + GATHERS_FOR);
        if self.bytes >= MAX_ANSWER_BYTES {
            self.due = Some(now);
        }
    }

    /// Everything, once it is time.
    fn take(&mut self, now: Instant) -> Vec<SignedReport> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        std::mem::take(self).reports.into_values().collect()
    }
}

impl Node {
    /// These were new here. In a small grid their author told everybody.
    pub(super) fn pass_on(&mut self, news: Vec<(NodeId, SignedReport)>, now: Now) {
        if self.view.documents.roster.len() <= TOLD_DIRECTLY {
            return;
        }
        for (author, report) in news {
            self.relay.add(author, report, now.monotonic);
        }
    }

    /// Passes on what has gathered.
    pub(super) fn relay(&mut self, now: Now) {
        let reports = self.relay.take(now.monotonic);
        if !reports.is_empty() && self.in_grid() {
            self.tell(Message::Reports(reports), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;
    use crate::report::{Report, ReportOrder};

    #[test]
    fn what_comes_within_a_moment_goes_on_together_and_only_the_newest_of_each() {
        let mut relay = Relay::default();
        for (seed, sequence) in [(1, 1), (2, 1), (1, 2)] {
            let (author, report) = report(seed, sequence);
            relay.add(author, report, Instant::ZERO);
        }
        assert!(relay.take(Instant::from_millis(49)).is_empty());
        assert_eq!(relay.next_wake(), Some(Instant::from_millis(50)));
        let taken = relay.take(Instant::from_millis(50));
        let mut sequences: Vec<u64> = taken
            .iter()
            .map(|signed| signed.open().unwrap().order.sequence)
            .collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [1, 2]);
        assert_eq!((relay.bytes, relay.next_wake()), (0, None));
    }

    #[test]
    fn what_fills_a_message_goes_on_at_once() {
        let mut relay = Relay::default();
        let mut added = 0;
        while relay.next_wake() != Some(Instant::ZERO) {
            let (author, report) = report(added, 1);
            relay.add(author, report, Instant::ZERO);
            relay.bytes += MAX_ANSWER_BYTES / 8;
            added += 1;
        }
        assert_eq!(relay.take(Instant::ZERO).len(), usize::from(added));
    }

    fn report(seed: u8, sequence: u64) -> (NodeId, SignedReport) {
        let key = SecretKey::from_seed([seed; 32]);
        let order = ReportOrder {
            boot: 1,
            nonce: 1,
            sequence,
        };
        let report = Report::empty(key.node_id(), order);
        (report.node, SignedReport::new(&report, &key))
    }
}
