//! This node's own report, in the making.

use crate::id::NodeId;
use crate::placement::PLACEMENT_VERSION;
use crate::report::{Disk, Engine, Report, ReportOrder};
use crate::time::WallTime;

use super::NodeConfig;

/// What the report says beside holds and refusals, and its order.
#[derive(Debug)]
pub(super) struct Own {
    order: ReportOrder,
    version: String,
    /// What the engine said of itself last, for the time before there are instances.
    pub(super) engine: Option<Engine>,
    pub(super) disk: Disk,
    /// `IP:PORT`, best first.
    pub(super) addresses: Vec<String>,
}

impl Own {
    pub(super) fn new(config: &NodeConfig) -> Self {
        Self {
            order: ReportOrder {
                boot: config.boot,
                nonce: config.nonce,
                sequence: 0,
            },
            version: config.version.clone(),
            engine: None,
            disk: Disk::Working,
            addresses: Vec::new(),
        }
    }

    /// Which life of this node speaks.
    pub(super) fn order(&self) -> ReportOrder {
        self.order
    }

    /// Continues above a later life of this node that peers know: its disk was restored.
    pub(super) fn restart_at(&mut self, boot: u64) {
        self.order.boot = boot;
    }

    /// The disk refused a write, or took one again.
    pub(super) fn disk_result(&mut self, result: &Result<(), String>, wall: WallTime) {
        match (result, &self.disk) {
            (Ok(()), Disk::Failed { .. }) => self.disk = Disk::Working,
            (Err(problem), Disk::Working) => {
                self.disk = Disk::Failed {
                    since: wall,
                    problem: problem.clone(),
                }
            }
            (Ok(()), Disk::Working) | (Err(_), Disk::Failed { .. }) => {}
        }
    }

    /// The report as it should be now, if it differs from the last one.
    pub(super) fn next(
        &mut self,
        node: NodeId,
        last: Option<&Report>,
        fill: impl FnOnce(&mut Report),
    ) -> Option<Report> {
        let mut report = Report {
            node,
            order: last.map_or(self.order, |last| last.order),
            version: self.version.clone(),
            placement_version: PLACEMENT_VERSION,
            engine: Engine::default(),
            disk: self.disk.clone(),
            addresses: self.addresses.clone(),
            holds: Default::default(),
            refusals: Default::default(),
            unknown: Default::default(),
        };
        fill(&mut report);
        let same_life = last.is_some_and(|last| {
            (last.order.boot, last.order.nonce) == (self.order.boot, self.order.nonce)
        });
        if same_life && last == Some(&report) {
            return None;
        }
        self.order.sequence += 1;
        report.order = self.order;
        Some(report)
    }
}
