//! The task that owns the overlay: it follows what the core wants, and nothing else.
//!
//! Nothing here waits: a call of the overlay is answered by its own thread, and the kernel makes interfaces and
//! routes at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::network::peers::Wanted;
use kontena_core::network::sight::{self, Containers, Sight};
use tokio::sync::{mpsc, oneshot, watch};

use super::{End, HostSide, LOOK_EVERY, OverlayIs, Setting, Told, looks};
use crate::api::types::network::{self as wire, NodeNetwork};
use crate::disk::Footprint;
use crate::network::{Holding, Names, Pair, Plane, Route};

/// How often the overlay is asked how it is.
const GLANCE_EVERY: Duration = Duration::from_secs(2);

pub(super) struct Worker {
    /// `None`: there is no overlay on this node.
    names: Option<Names>,
    port: u16,
    identity: SecretKey,
    footprint: Arc<Footprint>,
    told: watch::Receiver<Told>,
    host: watch::Receiver<HostSide>,
    overlay: watch::Sender<OverlayIs>,
    sight: watch::Sender<Sight>,
    plane: Option<Plane>,
    holding: Holding,
    problem: Option<String>,
}

impl Worker {
    pub(super) fn new(
        setting: Setting,
        host: watch::Receiver<HostSide>,
        overlay: watch::Sender<OverlayIs>,
        sight: watch::Sender<Sight>,
    ) -> Self {
        Self {
            names: setting.names,
            port: setting.port,
            identity: setting.identity,
            holding: Holding::after(setting.footprint.held()),
            footprint: setting.footprint,
            told: setting.told,
            host,
            overlay,
            sight,
            plane: None,
            problem: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<NodeNetwork>>,
        mut ended: oneshot::Receiver<End>,
    ) {
        let (mut look, mut glance) = (looks(LOOK_EVERY), looks(GLANCE_EVERY));
        let (mut told, mut host) = (self.told.clone(), self.host.clone());
        loop {
            tokio::select! {
                end = &mut ended => {
                    if end == Ok(End::Remove) {
                        self.remove();
                    }
                    return;
                }
                changed = told.changed() => match changed {
                    Ok(()) => self.settle(),
                    Err(_) => return,
                },
                _ = look.tick() => self.settle(),
                _ = glance.tick() => {}
                // The other task may have panicked; this one goes on.
                Ok(()) = host.changed() => {}
                Some(answer) = asked.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.describe());
                }
            }
            self.say();
        }
    }

    fn wanted(&self) -> Option<Arc<Wanted>> {
        self.told.borrow().clone().flatten()
    }

    /// Makes the overlay what it shall be.
    fn settle(&mut self) {
        let told = self.told.borrow().clone();
        match (told, self.names.clone()) {
            (None, _) => {}
            (Some(Some(wanted)), Some(names)) => self.set_up(&names, &wanted),
            // An earlier daemon may have taken part.
            (Some(None), _) | (Some(Some(_)), None) => self.remove(),
        }
    }

    fn set_up(&mut self, names: &Names, wanted: &Wanted) {
        self.write_down(names, wanted);
        if let Err(problem) = self.holding.begin(wanted) {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "What is for other nodes leaves this host unsealed while its overlay is down"
            );
        }
        let before = self.problem.take();
        let is_running = self.carry(names, wanted);
        self.show(match is_running {
            true => OverlayIs::Running,
            false => OverlayIs::Failing,
        });
        if self.problem != before
            && let Some(problem) = &self.problem
        {
            tracing::warn!(%problem, "The overlay is not as it should be");
        }
    }

    /// Before the first thing is made: whatever becomes of this process, a later one finds what to take away.
    fn write_down(&self, names: &Names, wanted: &Wanted) {
        let added =
            Holding::of(wanted).and_then(|held| self.footprint.add(&names.interface, &held));
        if let Err(problem) = added {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "What is set up on this host is not written down: another daemon may leave it behind"
            );
        }
    }

    /// Whether the overlay runs, with these peers or with those of before.
    fn carry(&mut self, names: &Names, wanted: &Wanted) -> bool {
        let started = match self.plane.take().filter(|plane| plane.fits(wanted)) {
            Some(plane) => Ok(plane),
            None => Plane::start(&names.interface, &self.identity, self.port, wanted),
        };
        let plane = match started {
            Ok(plane) => self.plane.insert(plane),
            Err(problem) => {
                self.problem = Some(format!(
                    "{problem:#}; it takes /dev/net/tun and the right CAP_NET_ADMIN. Containers are started \
                     on Docker's own bridge meanwhile"
                ));
                return false;
            }
        };
        // Peers that cannot be set cost nobody those that are: one that ended by itself is found by the next glance.
        if let Err(problem) = plane.apply(wanted) {
            self.problem = Some(format!("{problem:#}; the peers are those of before"));
        }
        true
    }

    fn remove(&mut self) {
        self.plane = None;
        self.problem = None;
        self.show(OverlayIs::NotWanted);
        if self.holding.is_none() {
            return;
        }
        let ended = self.holding.end();
        if let Err(problem) = ended.and_then(|()| self.footprint.remove_held()) {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "A route that leads nowhere is left behind"
            );
        }
    }

    fn show(&self, now: OverlayIs) {
        self.overlay.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
    }

    /// Tells the node what it does not know yet.
    fn say(&mut self) {
        let now = self.look();
        self.sight.send_if_modified(|said| {
            let changed = *said != now;
            *said = now;
            changed
        });
    }

    fn look(&mut self) -> Sight {
        let mut plane = self.glance();
        if plane.is_none() && self.plane.take().is_some() {
            self.settle();
            plane = self.glance();
        }
        let host = self.host.borrow();
        Sight {
            containers: host.containers,
            plane,
            problem: self.problem.clone().or_else(|| host.problem.clone()),
        }
    }

    /// `None` where none runs.
    fn glance(&mut self) -> Option<sight::Plane> {
        match self.plane.as_mut()?.sight() {
            Ok(plane) => Some(plane),
            Err(problem) => {
                tracing::error!(
                    problem = format!("{problem:#}"),
                    "The overlay ended; it is started anew"
                );
                None
            }
        }
    }

    fn describe(&mut self) -> NodeNetwork {
        let wanted = self.wanted();
        let subnet = wanted.as_ref().and_then(|wanted| wanted.subnet);
        let running = self.plane.as_mut().and_then(|plane| plane.sight().ok());
        let pairs = self.plane.as_ref().and_then(|plane| plane.pairs().ok());
        let drops = self.plane.as_ref().and_then(|plane| plane.drops().ok());
        let names = self.names.as_ref();
        let host = self.host.borrow();
        let attached = names.filter(|_| host.attached.is_some());
        NodeNetwork {
            node: String::new(),
            containers: match host.containers {
                Containers::Plain => wire::Containers::Plain,
                Containers::Pending => wire::Containers::Pending,
                Containers::Attached => wire::Containers::Attached,
            },
            problem: self.problem.clone().or_else(|| host.problem.clone()),
            subnet: subnet.map(|subnet| subnet.to_string()),
            address: subnet.map(|subnet| subnet.gateway().to_string()),
            management_address: wanted.map(|wanted| wanted.management.to_string()),
            interface: names
                .filter(|_| running.is_some())
                .map(|names| names.interface.clone()),
            port: running.as_ref().map(|plane| plane.port),
            mtu: running.as_ref().map(|plane| plane.mtu),
            bridge: attached.map(|names| names.bridge.clone()),
            engine_network: attached.map(|names| names.network.clone()),
            rules: host.rules.clone(),
            peers: pairs.into_iter().flatten().map(peer).collect(),
            drops: drops.unwrap_or_default(),
            // Whoever serves names counts them.
            names: BTreeMap::new(),
        }
    }
}

fn peer(pair: Pair) -> wire::Peer {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let micros = |rtt: Duration| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    let (way, through) = match pair.route {
        Route::None => (wire::Way::None, None),
        Route::Direct(endpoint) => (wire::Way::Direct, Some(endpoint.to_string())),
        Route::Punched(endpoint) => (wire::Way::Punched, Some(endpoint.to_string())),
        Route::Relayed(node) => (wire::Way::Relayed, Some(node_text(node))),
    };
    wire::Peer {
        node: String::new(),
        node_id: node_text(pair.node),
        way,
        through,
        rtt_micros: pair.rtt.map(micros),
        lost_in_1000: pair.lost_in_1000,
        handshake_age_millis: pair.handshake_age.map(millis),
        mtu: pair.mtu,
        received_bytes: pair.received_bytes,
        sent_bytes: pair.sent_bytes,
        forwarded_bytes: pair.forwarded_bytes,
        drops: pair.drops,
    }
}

fn node_text(node: NodeId) -> String {
    node.to_string()
}
