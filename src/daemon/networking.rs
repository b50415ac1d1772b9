//! This node's part in the grid's network: what is set up, looked at again, and removed.
//!
//! Two tasks, because one of them must never wait for the other's work. `data_plane` owns the overlay: it
//! follows what the core wants and waits for nothing else, so that who is shut out is out at once. `host` does
//! what takes the engine and `iptables`, which may hang; it begins once the overlay runs. What the second sees
//! the first tells together with its own, as one [`Sight`] and as the answer to questions.
//!
//! ```text
//! core ── Told ──► data_plane ── OverlayIs ──► host ──► engine, rules, forwarding
//!   ▲                  ▲   │                     │
//!   └──── Sight ───────┼───┘                     │
//!                      └───────── HostSide ──────┘
//! ```

mod data_plane;
mod host;
mod question;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::identity::SecretKey;
use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::Wanted;
use kontena_core::network::sight::{Containers, Sight};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::api::types::network::NodeNetwork;
use crate::disk::Footprint;
use crate::docker::Docker;
use crate::network::Names;

pub(super) use question::NodeNetworks;

/// How often everything is looked at again: engines, administrators and boots remove parts of it. Rules that
/// somebody flushed are missing for so long.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Questions that wait.
const QUESTIONS: usize = 16;

/// What the core said last: nothing in this life, or how the network shall be.
pub(super) type Told = Option<Option<Arc<Wanted>>>;

/// What the tasks run with.
pub(super) struct Setting {
    /// `None`: this node takes no part.
    pub(super) names: Option<Names>,
    /// UDP.
    pub(super) port: u16,
    pub(super) identity: SecretKey,
    pub(super) docker: Docker,
    pub(super) footprint: Arc<Footprint>,
    pub(super) told: watch::Receiver<Told>,
}

/// Asks how everything is.
pub(super) type Questions = mpsc::Sender<oneshot::Sender<NodeNetwork>>;

/// What stays of the network when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The bridge and the rules, so that containers go on; the interface goes with the process.
    Stop,
    /// Nothing: the node left its grid.
    Remove,
}

/// Whether the overlay's interface is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OverlayIs {
    /// It was not tried, or is not wanted.
    NotWanted,
    Running,
    Failing,
}

/// What is there for containers on this host, beside the overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostSide {
    containers: Containers,
    /// The subnet that the engine's network has.
    attached: Option<Subnet>,
    /// Firewall rules, as one would type them.
    rules: Vec<String>,
    problem: Option<String>,
}

impl HostSide {
    fn begins(takes_part: bool) -> Self {
        Self {
            containers: begins(takes_part).containers,
            attached: None,
            rules: Vec::new(),
            problem: None,
        }
    }
}

/// The tasks, from outside.
pub(super) struct Networking {
    look: Arc<Notify>,
    sights: watch::Receiver<Sight>,
    data_plane: Task<End>,
    host: Task<()>,
}

/// A task that ends when it is told how.
struct Task<How> {
    end: oneshot::Sender<How>,
    task: JoinHandle<()>,
}

impl<How> Task<How> {
    async fn end(self, how: How) {
        // It may have ended by itself: it panicked, and has said so.
        let _ = self.end.send(how);
        let _ = self.task.await;
    }
}

impl Networking {
    pub(super) fn start(setting: Setting) -> (Self, Questions) {
        let takes_part = setting.names.is_some();
        let (overlay, overlay_is) = watch::channel(OverlayIs::NotWanted);
        let (seen, host_side) = watch::channel(HostSide::begins(takes_part));
        let (sight, sights) = watch::channel(begins(takes_part));
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let look = Arc::new(Notify::new());
        let host = host::Worker::new(&setting, overlay_is, seen, Arc::clone(&look));
        let data_plane = data_plane::Worker::new(setting, host_side, overlay, sight);
        let (end, ended) = oneshot::channel();
        let data_plane = Task {
            task: tokio::spawn(data_plane.run(asked, ended)),
            end,
        };
        let (end, ended) = oneshot::channel();
        let host = Task {
            task: tokio::spawn(host.run(ended)),
            end,
        };
        let networking = Self {
            look,
            sights,
            data_plane,
            host,
        };
        (networking, questions)
    }

    /// The engine came back: what it had may be gone.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    /// Waits until the network looks different from what was told last. May be dropped and called again.
    pub(super) async fn changed(&mut self) -> Sight {
        match self.sights.changed().await {
            Ok(()) => self.sights.borrow_and_update().clone(),
            // The task panicked, and has said so.
            Err(_) => pending().await,
        }
    }

    /// A stop does not wait for the engine: whatever is half done on the host is looked at by the next daemon.
    pub(super) async fn end(self, how: End) {
        if how == End::Stop {
            self.host.task.abort();
        }
        self.data_plane.end(how).await;
        if how == End::Remove {
            self.host.end(()).await;
        }
    }
}

/// What a node is told before anything was looked at.
pub(super) fn begins(takes_part: bool) -> Sight {
    Sight {
        containers: match takes_part {
            true => Containers::Pending,
            false => Containers::Plain,
        },
        ..Sight::default()
    }
}

fn looks(every: Duration) -> Interval {
    let mut looks = interval(every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
