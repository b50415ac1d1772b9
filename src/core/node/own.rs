//! This node's own report, in the making.

use std::time::Duration;

use crate::id::NodeId;
use crate::placement::PLACEMENT_VERSION;
use crate::reconcile::action::Observed;
use crate::report::{Disk, Report, ReportOrder};
use crate::time::{Instant, Now};

use super::NodeConfig;

/// A disk that fails for this long has failed: others may take over what runs here (rules of the
/// mesh 2). Until then only this node says so.
const DISK_FAILED_AFTER: Duration = Duration::from_secs(60);

/// What the report says beside holds and refusals, and its order.
#[derive(Debug)]
pub(super) struct Own {
    order: ReportOrder,
    daemon: String,
    /// What was seen of the engine last, for the time before there are instances.
    pub(super) engine: Option<Observed>,
    /// Since when this boot looks before it acts, if it has to.
    pub(super) looks_since: Option<Instant>,
    /// Since when the disk refuses, and why.
    disk_trouble: Option<(Now, String)>,
    /// `IP:PORT`, best first.
    addresses: Vec<String>,
    restarting: bool,
    version: u64,
}

impl Own {
    pub(super) fn new(config: &NodeConfig, boot: u64) -> Self {
        Self {
            order: ReportOrder {
                boot,
                nonce: config.nonce,
                sequence: 0,
            },
            daemon: config.version.clone(),
            engine: None,
            looks_since: None,
            disk_trouble: None,
            addresses: Vec::new(),
            restarting: false,
            version: 0,
        }
    }

    /// Rises whenever the report would say something else, but for what only time changes.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// From now on the report says that this boot is over.
    pub(super) fn announce_restart(&mut self) {
        self.restarting = true;
        self.version += 1;
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) fn listen_on(&mut self, addresses: Vec<String>) {
        self.addresses = addresses;
        self.version += 1;
    }

    /// Which life of this node speaks.
    pub(super) fn order(&self) -> ReportOrder {
        self.order
    }

    /// Continues above a later life of this node that peers know: its disk was restored.
    pub(super) fn restart_at(&mut self, boot: u64) {
        self.order.boot = boot;
        self.version += 1;
    }

    /// The disk refused a write, or took one again.
    pub(super) fn disk_result(&mut self, result: &Result<(), String>, now: Now) {
        self.version += u64::from(result.is_ok() == self.disk_trouble.is_some());
        match result {
            Ok(()) => self.disk_trouble = None,
            Err(problem) => {
                self.disk_trouble.get_or_insert((now, problem.clone()));
            }
        }
    }

    /// Why the disk could not be written last, if it could not.
    pub(super) fn disk_problem(&self) -> Option<&str> {
        self.disk_trouble
            .as_ref()
            .map(|(_, problem)| problem.as_str())
    }

    /// What is said of the disk now.
    pub(super) fn disk(&self, now: Instant) -> Disk {
        match &self.disk_trouble {
            Some((since, problem)) if now.since(since.monotonic) >= DISK_FAILED_AFTER => {
                Disk::Failed {
                    since: since.wall,
                    problem: problem.clone(),
                }
            }
            Some(_) | None => Disk::Working,
        }
    }

    /// The report as it should be now, if it differs from the last one.
    pub(super) fn next(
        &mut self,
        node: NodeId,
        last: Option<&Report>,
        now: Instant,
        fill: impl FnOnce(&mut Report),
    ) -> Option<Report> {
        let order = last.map_or(self.order, |last| last.order);
        let mut report = Report {
            version: self.daemon.clone(),
            placement_version: PLACEMENT_VERSION,
            disk: self.disk(now),
            addresses: self.addresses.clone(),
            restarting: self.restarting,
            ..Report::empty(node, order)
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
