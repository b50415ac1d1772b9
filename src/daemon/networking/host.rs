//! The task that prepares this host for containers of the grid: the engine's network, forwarding, and the
//! firewall's rules (before the engine's own, so after its network).
//!
//! The engine may hang, and somebody may hold the firewall's lock: this task may be dropped at any moment, and
//! whatever it did half is completed by the next look, because each step looks at what is there.

use std::sync::Arc;
use std::time::Duration;

use kontena_core::network::addresses::{BY_HAND, BY_HAND_PREFIX};
use kontena_core::network::ipam::Subnet;
use kontena_core::network::peers::Wanted;
use kontena_core::network::plan::{Range, in_the_way};
use kontena_core::network::sight::Containers;
use kontena_names::Host;
use kontena_overlay::DEFAULT_MTU;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::{HostSide, LOOK_EVERY, OverlayIs, Setting, Told, looks};
use crate::daemon::naming::forget;
use crate::disk::Footprint;
use crate::docker::{BridgeNetwork, Docker, Ensured, Removed};
use crate::network::{Firewall, Names, allow_forwarding, answer_for_users, host_routes};

/// How long a removal is tried while the engine still lets go of containers.
const REMOVE_WITHIN: Duration = Duration::from_secs(8);
const REMOVE_PAUSE: Duration = Duration::from_millis(300);

pub(super) struct Worker {
    /// `None`: this node takes no part.
    names: Option<Names>,
    /// What earlier daemons called theirs, while something of it may be left.
    earlier: Vec<Names>,
    docker: Docker,
    footprint: Arc<Footprint>,
    told: watch::Receiver<Told>,
    overlay: watch::Receiver<OverlayIs>,
    seen: watch::Sender<HostSide>,
    again: Arc<Notify>,
    now: HostSide,
    /// Nothing of ours is left on this host.
    is_clean: bool,
    /// What is left and was told, so that it is told once.
    left: Vec<String>,
}

impl Worker {
    pub(super) fn new(
        setting: &Setting,
        overlay: watch::Receiver<OverlayIs>,
        seen: watch::Sender<HostSide>,
        again: Arc<Notify>,
    ) -> Self {
        let known = setting.footprint.interfaces();
        let earlier = known
            .iter()
            .filter_map(|interface| Names::of(interface).ok());
        let now = seen.borrow().clone();
        Self {
            earlier: earlier
                .filter(|names| Some(names) != setting.names.as_ref())
                .collect(),
            names: setting.names.clone(),
            docker: setting.docker.clone(),
            footprint: Arc::clone(&setting.footprint),
            told: setting.told.clone(),
            overlay,
            seen,
            again,
            now,
            is_clean: false,
            left: Vec::new(),
        }
    }

    /// Works until it is told to remove everything, and does that.
    pub(super) async fn run(mut self, ended: oneshot::Receiver<()>) {
        let ended = tokio::select! {
            () = self.follow() => return,
            ended = ended => ended,
        };
        if ended.is_ok() {
            self.remove_soon().await;
        }
    }

    /// Ends with whoever tells what is wanted.
    async fn follow(&mut self) {
        let mut look = looks(LOOK_EVERY);
        let (mut told, mut overlay) = (self.told.clone(), self.overlay.clone());
        let again = Arc::clone(&self.again);
        loop {
            tokio::select! {
                changed = told.changed() => match changed {
                    // Other peers are none of this task's matters.
                    Ok(()) if self.is_settled() => continue,
                    Ok(()) => {}
                    Err(_) => return,
                },
                Ok(()) = overlay.changed() => {}
                () = again.notified() => {}
                _ = look.tick() => {}
            }
            self.remove_earlier().await;
            if let Some(names) = self.names.clone() {
                self.settle(&names).await;
            }
            self.say();
        }
    }

    fn is_settled(&self) -> bool {
        let told = self.told.borrow();
        let subnet = |wanted: &Arc<Wanted>| wanted.subnet;
        let wanted = told.as_ref().and_then(|wanted| wanted.as_ref());
        wanted.is_some_and(|wanted| subnet(wanted) == self.now.attached)
    }

    fn say(&self) {
        self.seen.send_if_modified(|known| {
            let changed = *known != self.now;
            known.clone_from(&self.now);
            changed
        });
    }

    /// Makes everything what it shall be.
    async fn settle(&mut self, names: &Names) {
        let told = self.told.borrow().clone();
        match told {
            None => {}
            Some(None) => {
                let left = self.remove(names).await;
                self.tell_left(left);
            }
            Some(Some(wanted)) => {
                self.is_clean = false;
                let before = self.now.problem.take();
                self.prepare(names, &wanted).await;
                if self.now.problem != before
                    && let Some(problem) = &self.now.problem
                {
                    tracing::warn!(%problem, "The network of containers is not as it should be");
                }
            }
        }
    }

    async fn prepare(&mut self, names: &Names, wanted: &Wanted) {
        let overlay = *self.overlay.borrow();
        match (overlay, self.now.containers) {
            (OverlayIs::Running, _) => self.set_up(names, wanted).await,
            (OverlayIs::Failing, Containers::Pending) => self.now.containers = Containers::Plain,
            // The overlay is made first.
            (OverlayIs::Failing | OverlayIs::NotWanted, _) => {}
        }
    }

    async fn set_up(&mut self, names: &Names, wanted: &Wanted) {
        let Some(subnet) = wanted.subnet else {
            self.now.containers = Containers::Plain;
            self.now.problem =
                Some("this node has no subnet: all of the grid's are taken".to_owned());
            return;
        };
        if self.now.attached.is_some_and(|attached| attached != subnet) {
            // Nothing is started in the network that goes.
            self.now.containers = Containers::Pending;
            self.now.attached = None;
            self.say();
        }
        let network = bridge_network(names, subnet);
        match self.docker.ensure_network(&network).await {
            Ensured::Ready => self.attached(names, wanted, subnet).await,
            Ensured::Incomplete(problem) => {
                self.now.problem = Some(problem);
                self.attached(names, wanted, subnet).await;
            }
            // The engine's trouble is told elsewhere, and nothing is started meanwhile.
            Ensured::Unreachable => {}
            Ensured::Failed(problem) => {
                self.now.containers = Containers::Plain;
                self.now.problem = Some(format!("the engine's network cannot be made: {problem}"));
            }
        }
    }

    async fn attached(&mut self, names: &Names, wanted: &Wanted, subnet: Subnet) {
        self.now.containers = Containers::Attached;
        self.now.attached = Some(subnet);
        self.set_up_rules(names, subnet).await;
        self.look_for_overlaps(names, wanted.supernet);
    }

    async fn set_up_rules(&mut self, names: &Names, subnet: Subnet) {
        let firewall = Firewall::new(names.clone());
        let ensured = match allow_forwarding().and_then(|()| answer_for_users(&names.bridge)) {
            Ok(()) => firewall.ensure(&subnet.to_string()).await,
            Err(problem) => Err(problem),
        };
        match ensured {
            Ok(rules) => self.now.rules = rules,
            Err(problem) => {
                self.now.problem = Some(format!(
                    "containers of other nodes are not let in: {problem:#}"
                ));
            }
        }
    }

    /// Nobody is admitted whose host has such a route, but it may get one later: people have to know.
    fn look_for_overlaps(&mut self, names: &Names, supernet: Range) {
        let routes = match host_routes(names) {
            Ok(routes) => routes,
            Err(problem) => {
                return tracing::debug!(
                    problem = format!("{problem:#}"),
                    "The routes are not known"
                );
            }
        };
        if let Some(route) = in_the_way(supernet, &routes)
            && self.now.problem.is_none()
        {
            self.now.problem = Some(format!(
                "{supernet}, the grid's network, overlaps a route of this host: `{route}`. One of the two is not \
                 reached from here"
            ));
        }
    }

    /// What a daemon of other names left, which was this one under an earlier configuration.
    async fn remove_earlier(&mut self) {
        for names in std::mem::take(&mut self.earlier) {
            let left = self.remove_all(&names).await;
            if !left.is_empty() {
                self.earlier.push(names);
                self.tell_left(left);
            }
        }
    }

    /// Removes what is ours; what the engine does not let go yet is tried again.
    async fn remove(&mut self, names: &Names) -> Vec<String> {
        self.now = HostSide {
            rules: std::mem::take(&mut self.now.rules),
            ..HostSide::begins(true)
        };
        if self.is_clean {
            return Vec::new();
        }
        let left = self.remove_all(names).await;
        self.is_clean = left.is_empty();
        if self.is_clean {
            self.now.rules.clear();
        }
        left
    }

    /// Removes whatever bears these names, and forgets it where nothing is left. What is left, and why.
    async fn remove_all(&self, names: &Names) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(problem) = Firewall::new(names.clone()).remove().await {
            let comment = &names.comment;
            left.push(format!(
                "firewall rules with the comment `{comment}`: {problem:#}"
            ));
        }
        let (network, interface) = (&names.network, &names.interface);
        let removed = self.docker.remove_network(network, interface).await;
        if let Removed::NotYet(problem) = removed {
            left.push(format!("the network `{network}` of the engine: {problem}"));
        }
        if let Err(problem) = self.ask_no_more(names).await {
            left.push(format!("this host's resolvers: {problem}"));
        }
        if left.is_empty()
            && let Err(problem) = self.footprint.remove_interface(interface)
        {
            tracing::debug!(
                problem = format!("{problem:#}"),
                "It is looked for once more"
            );
        }
        left
    }

    /// Whoever serves names takes its own back. It is not there where this node takes no part any more.
    async fn ask_no_more(&self, names: &Names) -> Result<(), String> {
        forget(Host::default(), names.bridge.clone()).await
    }

    fn tell_left(&mut self, left: Vec<String>) {
        for what in &left {
            if !self.left.contains(what) {
                tracing::warn!(%what, "Something of the network is left behind on this host; it is tried again");
            }
        }
        self.left = left;
    }

    async fn remove_soon(&mut self) {
        let Some(names) = self.names.clone() else {
            return;
        };
        self.is_clean = false;
        let mut left = vec![format!("all that is called `{}`", names.interface)];
        let removed = async {
            while !self.is_clean {
                left = self.remove(&names).await;
                sleep(REMOVE_PAUSE).await;
            }
        };
        if timeout(REMOVE_WITHIN, removed).await.is_err() {
            self.tell_left(left);
        }
    }
}

fn bridge_network(names: &Names, subnet: Subnet) -> BridgeNetwork {
    BridgeNetwork {
        name: names.network.clone(),
        bridge: names.bridge.clone(),
        interface: names.interface.clone(),
        subnet: subnet.to_string(),
        gateway: subnet.gateway(),
        by_hand: format!("{}/{BY_HAND_PREFIX}", subnet.address(BY_HAND)),
        mtu: DEFAULT_MTU,
    }
}
