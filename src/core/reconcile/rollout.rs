//! Rolling deploys without a leader: whether it is this instance's turn to be replaced.
//!
//! Nobody coordinates. The owner of an instance replaces it when the reports, as it sees them, say
//! that (1) no instance of the new deploy has failed, (2) it is among the first that are left, in
//! the order of numbers, and (3) enough others are healthy. It announces `updating` first, waits
//! one gossip round and looks again, so that two owners who see each other late do not both go.
//!
//! A rollout halts by observation: while an instance of the new deploy is failed, nobody takes
//! another one down. Once the holder of that instance has written the halt into the document, or a person
//! did, it stays halted, although the instance recovers or its node vanishes. With a canary only the first
//! few are replaced until somebody promotes the deploy.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::report::{Health, Hold, InstanceState};
use crate::view::{Freshness, Halt, HaltCause};

use super::wanted::Aim;

/// How long an announcement is given to reach everybody: two exchanges of the gossip (0.5 s each
/// in a small grid), and it is pushed at once besides.
pub const ANNOUNCED_FOR: Duration = Duration::from_secs(1);

/// At most so many instances of one service are replaced at a time (Kontena 1.x).
pub const MAX_PARALLEL: u32 = 20;

/// One instance number of a service, as its one rightful holder reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub number: u32,
    /// How lately its holder was heard of; `None` where nobody holds it.
    pub holder: Option<Freshness>,
    /// Running and healthy, at whatever deploy.
    pub healthy: bool,
    /// At the wanted deploy, or a newer one that somebody may know.
    pub current: bool,
    /// Failed or unhealthy at the wanted deploy.
    pub failed: bool,
    /// Its holder announced that it takes it down.
    pub updating: bool,
    /// Nobody is to have it: who has it keeps it as it is, for want of a node that may run the new deploy.
    pub kept: bool,
}

impl Peer {
    /// The instance as its holder reports it, when `aim` is wanted.
    pub fn of(number: u32, holder: Freshness, hold: &Hold, aim: Aim<'_>) -> Self {
        let current = aim.is_met_by(&hold.revision, hold.generation);
        // What a way back leaves as it is says nothing of that way.
        let is_of_it = current && hold.generation >= aim.generation;
        let is_broken = hold.state == InstanceState::Failed || hold.health == Health::Unhealthy;
        Self {
            number,
            holder: Some(holder),
            healthy: hold.state == InstanceState::Running && hold.health == Health::Healthy,
            current,
            failed: is_of_it && is_broken,
            updating: hold.updating,
            kept: false,
        }
    }

    /// An instance that nobody holds.
    pub fn vacant(number: u32) -> Self {
        Self {
            number,
            holder: None,
            healthy: false,
            current: false,
            failed: false,
            updating: false,
            kept: false,
        }
    }

    /// An absent holder's instance does not hold up the others; nor does one without a holder.
    pub(super) fn is_skippable(&self) -> bool {
        match self.holder {
            Some(Freshness::Fresh | Freshness::Late | Freshness::Stale) => false,
            Some(Freshness::Absent | Freshness::Gone) | None => true,
        }
    }

    /// Healthy, by a holder that was heard of lately enough to be believed.
    fn counts_as_healthy(&self) -> bool {
        self.healthy && self.holder.is_some_and(Freshness::is_online)
    }

    pub(super) fn is_done(&self) -> bool {
        self.current && self.healthy
    }
}

/// Why an instance is not replaced now. The texts hold no numbers that change as the rollout goes
/// on: they are part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// An instance failed at the new deploy.
    Halted { number: u32 },
    /// A person stopped the deploy.
    Aborted,
    /// The first few are tried, and nobody promoted the deploy yet.
    Canary,
    /// Lower numbers go first.
    Earlier,
    /// Too few others are healthy.
    Floor { floor: u32 },
}

impl Hindrance {
    /// What a halt means to those that are not replaced yet.
    pub fn of(halt: &Halt) -> Self {
        match halt.cause {
            HaltCause::Failed { number, .. } => Self::Halted { number },
            HaltCause::Aborted => Self::Aborted,
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halted { number } => {
                write!(f, "the deploy is halted: instance {number} failed")
            }
            Self::Aborted => f.write_str("the deploy was aborted"),
            Self::Canary => f.write_str("waits until the deploy is promoted"),
            Self::Earlier => f.write_str("waits for its turn in the deploy"),
            Self::Floor { floor } => {
                write!(f, "waits until {floor} other instances are healthy")
            }
        }
    }
}

/// A rollout as the owner of one instance sees it.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The instance that is to be replaced.
    pub number: u32,
    /// In thousandths.
    pub min_health: u16,
    /// A daemon service counts only nodes that are not absent, as Kontena does: a shop that is
    /// offline for days must not hold up the other shops.
    pub daemon: bool,
    /// Nobody goes on with this deploy.
    pub halted: Option<Hindrance>,
    /// So many instances, those with the lowest numbers, are replaced; the others wait.
    pub canary: Option<u32>,
    /// By number, the own one included.
    pub peers: BTreeMap<u32, Peer>,
}

/// How many instances of `n` must stay healthy while one is replaced, stop before start.
pub fn floor(min_health: u16, n: u32) -> u32 {
    let share = (u64::from(min_health) * u64::from(n)).div_ceil(1000);
    u32::try_from(share)
        .unwrap_or(u32::MAX)
        .min(n.saturating_sub(1))
}

impl Rollout {
    /// How many instances count: all, or for a daemon service those whose node is not absent.
    pub fn size(&self) -> u32 {
        let counted = self
            .peers
            .values()
            .filter(|peer| !self.daemon || peer.number == self.number || !peer.is_skippable());
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }

    fn floor(&self) -> u32 {
        floor(self.min_health, self.size())
    }

    /// How many may be under replacement at once.
    fn allowance(&self) -> u32 {
        (self.size() - self.floor().min(self.size())).clamp(1, MAX_PARALLEL)
    }

    fn others(&self) -> impl Iterator<Item = &Peer> {
        self.peers
            .values()
            .filter(|peer| peer.number != self.number)
    }

    /// Whether the instance may announce that it is taken down: everybody else who announced
    /// counts as down.
    pub fn may_announce(&self) -> Result<(), Hindrance> {
        self.is_its_turn()?;
        self.keeps_floor(|_| true)
    }

    /// Whether the instance, announced a round ago, may be taken down: of those who announced at
    /// the same time, the lower number goes first, so only lower ones count as down. (A higher one
    /// that is down already is not healthy, and so never counted.)
    pub fn may_take_down(&self) -> Result<(), Hindrance> {
        self.is_its_turn()?;
        self.keeps_floor(|peer| peer.number < self.number)
    }

    /// Whether a container of the new deploy may be started beside the instance's: nobody goes down for it, but there
    /// are never more at a time than would be replaced stop-first, so that nodes are not asked for twice of everything.
    pub fn may_start_beside(&self) -> Result<(), Hindrance> {
        self.is_its_turn()
    }

    /// Whether an instance that is down or unhealthy may be replaced. That costs nobody anything, so
    /// neither order nor floor hold it: else a deploy that repairs a broken one could never begin,
    /// where the broken instance is not the first and the floor leaves no room for another.
    pub fn may_repair(&self) -> Result<(), Hindrance> {
        if let Some(halted) = self.halted {
            return Err(halted);
        }
        let failed = self.others().find(|peer| peer.failed);
        match failed.map(|peer| peer.number) {
            Some(number) => Err(Hindrance::Halted { number }),
            None if self.is_behind_the_canary() => Err(Hindrance::Canary),
            None => Ok(()),
        }
    }

    fn is_behind_the_canary(&self) -> bool {
        let lower = self.peers.range(..self.number);
        let lower = lower.filter(|(_, peer)| !peer.kept).count();
        let lower = u32::try_from(lower).unwrap_or(u32::MAX);
        self.canary.is_some_and(|canary| lower >= canary)
    }

    fn is_its_turn(&self) -> Result<(), Hindrance> {
        self.may_repair()?;
        let goes_first = |peer: &&Peer| {
            peer.number < self.number && !peer.is_done() && !peer.is_skippable() && !peer.kept
        };
        let behind = self.others().filter(goes_first);
        if u32::try_from(behind.count()).unwrap_or(u32::MAX) >= self.allowance() {
            return Err(Hindrance::Earlier);
        }
        Ok(())
    }

    fn keeps_floor(&self, down_if_updating: impl Fn(&Peer) -> bool) -> Result<(), Hindrance> {
        let healthy = self
            .others()
            .filter(|peer| peer.counts_as_healthy())
            .filter(|peer| !(peer.updating && down_if_updating(peer)));
        let floor = self.floor();
        if u32::try_from(healthy.count()).unwrap_or(u32::MAX) < floor {
            return Err(Hindrance::Floor { floor });
        }
        Ok(())
    }
}
