//! From what is known to what this node does: view, placement, goals, actions, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{InstanceId, NodeId};
use crate::membership::admission::MAX_ADDRESSES;
use crate::membership::vector::Life;
use crate::message::Message;
use crate::placement::{Incremental, Placement};
use crate::reconcile::action::{ActionId, Observed, Outcome};
use crate::reconcile::goals::{Holder, goals};
use crate::reconcile::{Goals, Identity, Instances, Remembered};
use crate::report::{Disk, Health, Hold, Report, ReportOrder, SignedReport};
use crate::time::{Instant, Now};
use crate::view::{Documents, Freshness, LastSign, Standing, View};

use super::agreement::hears_half;
use super::gossip::TOLD_DIRECTLY;
use super::{Node, Output, Phase, Status, journal};

/// In a large grid a view follows from what others say so often at most: a hundredth of the time that it
/// takes to find a node absent.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// What was derived last, and from what.
#[derive(Debug, Default)]
pub(super) struct Work {
    placement: Incremental,
    /// What the goals were made for, beside the view.
    basis: Option<Basis>,
    /// The view has changed since placement was computed.
    stale: bool,
    /// The versions of standings and reports that the view was made of.
    seen: Option<[u64; 3]>,
    /// When it was made.
    looked: Instant,
    /// What the newest report of this node was made of, or compared with.
    reported: Option<Origin>,
    shown: Option<Arc<View>>,
    /// Of the reports, when the view was made: where nodes are follows from it.
    moves: Option<u64>,
    /// Whether enough members are heard of for them to know everything together.
    hears_half: bool,
    /// The report of another life of this node whose jobs are remembered.
    pub(super) recalled: Option<ReportOrder>,
    /// No slot goes to the disk before: it has refused one.
    pub(super) slots_from: Instant,
    /// Who may talk to this node and where, as told last.
    peers: Option<BTreeMap<NodeId, Vec<String>>>,
}

/// What goals follow from, beside the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    instances: u64,
    takeovers_held_until: Option<Instant>,
    is_up_to_date: bool,
}

/// What this node's report follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    instances: u64,
    own: u64,
    network: u64,
    disk_works: bool,
    last: Option<ReportOrder>,
}

impl Node {
    /// Makes the view equal to what is known, if anything changed.
    pub(super) fn look(&mut self, now: Now) {
        if !self.in_grid() {
            return;
        }
        self.doubts.expire(now.monotonic);
        self.doubts.listens_since(self.pulse.woken(), now.monotonic);
        let documents = self.replica.documents();
        let is_same = Arc::ptr_eq(&documents, &self.view.documents);
        if !is_same {
            self.follow_roster(&documents, now);
        } else if self.look_waits(now.monotonic) || !self.has_news(now.monotonic) {
            return;
        }
        self.work.seen = Some(self.sources());
        self.work.looked = now.monotonic;
        let mut standings = self.pulse.standings();
        let dead = self.assumed_dead(&documents, &mut standings);
        for (node, standing) in standings.iter().filter(|(node, _)| **node != self.me) {
            self.doubts.follow(*node, standing.freshness, now.monotonic);
            self.absences
                .follow(*node, standing.freshness, now.monotonic);
        }
        let members = documents.roster.keys().copied();
        let reports = self.believed(self.reports.of(members));
        let view = View {
            documents,
            reports,
            standings,
            absences: self.absences.of(&dead, now.monotonic),
        };
        journal::tell(&self.view, &view, self.me);
        self.work.hears_half = hears_half(&view);
        self.view = Arc::new(view);
        self.work.stale = true;
        self.heed_roster();
        let moves = Some(self.reports.moves());
        if !is_same || self.work.moves != moves {
            self.work.moves = moves;
            self.set_peers();
        }
    }

    /// Whether something changed that the view is made of, beside the documents.
    fn has_news(&self, now: Instant) -> bool {
        self.work.seen != Some(self.sources()) || self.absences.have_grown(&self.view.absences, now)
    }

    /// The newest sign of life of a member that is known here.
    pub(super) fn last_sign(&self, node: &NodeId) -> Option<LastSign> {
        let beat = self.pulse.beat(node)?;
        Some(LastSign {
            boot: beat.boot,
            nonce: beat.nonce,
            counter: beat.counter,
        })
    }

    /// Members that a person said are dead, that nobody hears of, and of which no newer sign of life is known. They
    /// count as gone at once.
    fn assumed_dead(
        &self,
        documents: &Documents,
        standings: &mut BTreeMap<NodeId, Standing>,
    ) -> BTreeSet<NodeId> {
        let mut dead = BTreeSet::new();
        for (node, last) in &documents.assumed_dead {
            let is_outlived = self
                .last_sign(node)
                .is_some_and(|sign| last.is_outlived_by(sign));
            if let Some(standing) = standings.get_mut(node)
                && standing.freshness >= Freshness::Stale
                && !is_outlived
            {
                standing.freshness = Freshness::Gone;
                dead.insert(*node);
            }
        }
        dead
    }

    /// In a large grid what others say of themselves gathers for a moment: a view is put together of
    /// everybody, and placement is computed from it. What this node says of itself counts at once.
    fn look_waits(&self, now: Instant) -> bool {
        let is_large = self.view.documents.roster.len() > TOLD_DIRECTLY;
        let own = self.view.reports.get(&self.me).map(|own| own.order);
        is_large && own == self.reports.order(&self.me) && now < self.work.looked + LOOKS_EVERY
    }

    /// When something that is known already becomes part of the view.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let is_due = self.in_grid() && self.work.seen != Some(self.sources());
        is_due.then_some(self.work.looked + LOOKS_EVERY)
    }

    /// The versions of what the view is made of, beside the documents.
    fn sources(&self) -> [u64; 3] {
        [
            self.pulse.version(),
            self.reports.version(),
            self.doubts.version(),
        ]
    }

    /// The versions of standings and of places that the view was made of.
    pub(super) fn seen_places(&self) -> Option<[u64; 2]> {
        let [standings, ..] = self.work.seen?;
        Some([standings, self.work.moves?])
    }

    /// As the view has it.
    pub(super) fn hears_half(&self) -> bool {
        self.work.hears_half
    }

    fn follow_roster(&mut self, documents: &Documents, now: Now) {
        let roster = documents.roster.keys().copied().collect();
        self.pulse.set_roster(&roster, now);
        self.lives.set_roster(&roster);
        if roster != self.view.documents.roster.keys().copied().collect() {
            self.agreement.begin_anew(roster.len() == 1, now.monotonic);
        }
        self.reports
            .retain(|node| documents.roster.contains_key(node));
        self.doubts
            .retain(|node| documents.roster.contains_key(node));
        self.absences
            .retain(|node| documents.roster.contains_key(node));
        self.absences.heed(documents);
    }

    /// Reports as far as they can be believed. A node that has begun a new life since it spoke may run
    /// nothing of what it says there: until it reports again, nothing of it counts as healthy, so
    /// that nobody stops a replacement for a container that is not there. Nor does what is doubted.
    fn believed(
        &self,
        mut reports: BTreeMap<NodeId, Arc<Report>>,
    ) -> BTreeMap<NodeId, Arc<Report>> {
        for (node, report) in &mut reports {
            let life = self.pulse.life(node);
            let of_it = Life::from(report.order);
            let is_of_another_life = life.is_some_and(|life| life != of_it);
            // What this node says of itself it has from its own engine: nobody told it.
            let is_hearsay = *node != self.me && self.doubts.contains(node);
            let is_doubted = is_of_another_life || is_hearsay;
            if is_doubted && !report.holds.is_empty() {
                *report = Arc::new(Report {
                    holds: unconfirmed(&report.holds),
                    ..Report::clone(report)
                });
            }
        }
        reports
    }

    /// Whether this node belongs. Being excluded need not last: the removal of its sponsor is looked
    /// through if the author of that removal was itself removed by somebody before it.
    fn heed_roster(&mut self) {
        let documents = &self.view.documents;
        if self.phase == Phase::Member && documents.excludes(&self.me) {
            self.phase = Phase::Removed;
        } else if self.phase == Phase::Removed
            && let Some(member) = documents.roster.get(&self.me)
        {
            self.phase = Phase::Member;
            if let Some(instances) = &mut self.instances {
                instances.rename_node(member.name.clone());
            }
        }
    }

    /// Members may talk to us; those that are none any more may hear so.
    fn set_peers(&mut self) {
        let documents = &self.view.documents;
        let excluded = documents.removed.iter().chain(&documents.disowned);
        let known = documents.roster.keys().chain(excluded).copied();
        let peers: BTreeMap<NodeId, Vec<String>> = known
            .filter(|node| *node != self.me)
            .map(|node| (node, self.addresses_of(&node)))
            .collect();
        if self.work.peers.as_ref() != Some(&peers) {
            self.work.peers = Some(peers.clone());
            self.push(Output::SetPeers(peers));
        }
    }

    /// Where a member says it is, else where it was admitted.
    fn addresses_of(&self, node: &NodeId) -> Vec<String> {
        let reported = self
            .view
            .reports
            .get(node)
            .map(|report| report.addresses.clone())
            .unwrap_or_default();
        let admitted = self
            .view
            .documents
            .roster
            .get(node)
            .map(|member| member.addresses.clone());
        let mut addresses = reported;
        addresses.truncate(MAX_ADDRESSES);
        for address in admitted.into_iter().flatten() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    pub(super) fn observed(&mut self, observed: Observed, now: Now) {
        match &observed {
            Observed::Engine(_) | Observed::EngineTrouble { .. } => {
                self.own.engine = Some(observed.clone());
            }
            Observed::Containers(_) | Observed::OneOffs(_) | Observed::Volumes(_) => {}
        }
        if let Some(instances) = &mut self.instances {
            instances.observe(observed, now);
        }
    }

    pub(super) fn done(&mut self, id: ActionId, outcome: Outcome, now: Now) {
        if let Some(instances) = &mut self.instances {
            instances.done(id, outcome, now);
        }
    }

    pub(super) fn progressed(&mut self, id: ActionId, hundredths: u8, now: Now) {
        if let Some(instances) = &mut self.instances {
            instances.progressed(id, hundredths, now);
        }
    }

    /// Decides what this node runs, and tells the others. A new report is itself something that is
    /// known, so it is looked at again until nothing changes; only then anything is begun.
    pub(super) fn work(&mut self, now: Now) {
        self.heed_partings(now);
        self.recall_jobs(now);
        for _ in 0..4 {
            self.reconcile(now);
            self.hold_leases(now);
            self.stand_by(now);
            if !self.report(now) {
                break;
            }
            self.look(now);
            self.heed_partings(now);
        }
        self.save_slots(now);
        if self.acts() && self.begins_actions() {
            self.begin_actions();
        }
    }

    /// The placement of the newest view, as it is followed.
    pub(super) fn followed(&self) -> &Incremental {
        &self.work.placement
    }

    pub(super) fn placement(&self) -> &Placement {
        self.work.placement.placement()
    }

    fn begin_actions(&mut self) {
        let Some(instances) = self.instances.as_mut() else {
            return;
        };
        while let Some((id, action)) = instances.poll_action() {
            self.outputs.push_back(Output::Run { id, action });
        }
    }

    fn reconcile(&mut self, now: Now) {
        if !self.acts() {
            return self.only_look(now);
        }
        if self.instances.is_none() {
            self.embody(now);
        }
        if self.work.stale {
            self.work.placement.update(&self.view);
        }
        let held_until = self
            .pulse
            .self_suspicion(now.monotonic)
            .map(|suspicion| suspicion.until);
        let starts_from = self.starts_from(now.monotonic);
        let is_up_to_date = self.is_up_to_date(now.monotonic);
        let wiring = self.wiring();
        let Some(instances) = self.instances.as_mut() else {
            return;
        };
        instances.wire(wiring, now);
        instances.only_look_until(starts_from, now);
        let basis = Some(Basis {
            instances: instances.version(),
            takeovers_held_until: held_until,
            is_up_to_date,
        });
        if self.work.stale || self.work.basis != basis {
            let holder = Holder {
                node: self.me,
                holds: instances.holds(),
                ledgers: instances.told_jobs(),
                is_up_to_date,
                arrivals: instances.arrivals(),
            };
            let goals = match self.view.documents.excludes(&self.me) {
                true => Goals::none(instances.told_jobs(), instances.arrivals()),
                false => goals(
                    &self.view,
                    self.work.placement.placement(),
                    holder,
                    held_until,
                ),
            };
            self.work.basis = basis;
            self.work.stale = false;
            instances.reconcile(goals, now);
        } else if instances
            .next_wake()
            .is_some_and(|wake| wake <= now.monotonic)
        {
            instances.wake(now);
        }
    }

    /// What a node sees that does nothing: its report stays true, and its timer goes on.
    fn only_look(&mut self, now: Now) {
        let Some(instances) = &mut self.instances else {
            return;
        };
        instances.only_look_from_now_on(now);
        let wake = instances.next_wake();
        if wake.is_some_and(|wake| wake <= now.monotonic) {
            instances.wake(now);
        }
    }

    /// Whether this node decides about containers: as a member, or to stop what it ran as one.
    pub(super) fn acts(&self) -> bool {
        let has_grid = self.view.documents.grid.id.is_some();
        match self.phase {
            Phase::Member | Phase::Leaving | Phase::Removed => has_grid,
            Phase::Alone | Phase::Joining | Phase::Cloned => false,
        }
    }

    /// Publishes this node's report if it changed.
    pub(super) fn report(&mut self, now: Now) -> bool {
        let Some(instances) = self.instances.as_ref() else {
            return false;
        };
        if !self.pulse.may_report(now.monotonic) {
            return false;
        }
        let origin = Origin {
            instances: instances.version(),
            own: self.own.version(),
            network: self.networking.version(),
            disk_works: self.own.disk(now.monotonic) == Disk::Working,
            last: self.reports.order(&self.me),
        };
        if self.work.reported.replace(origin) == Some(origin) {
            return false;
        }
        let last = self.reports.get(&self.me).cloned();
        let network = self.networking.report();
        let next = self
            .own
            .next(self.me, last.as_deref(), now.monotonic, |report| {
                report.engine = instances.engine(now);
                report.holds = instances.holds().clone();
                report.refusals = instances.refusals().clone();
                report.images = instances.ready_images().clone();
                report.missing_images = instances.missing_images().clone();
                report.volumes = instances.volumes().clone();
                report.made = instances.told_made().clone();
                report.jobs = instances.told_jobs().clone();
                report.one_offs = instances.one_offs().clone();
                report.arrived = instances.arrived();
                report.arrivals = instances.told_arrivals().clone();
                report.network = network;
            });
        let Some(report) = next else {
            return false;
        };
        let signed = SignedReport::new(&report, &self.config.key);
        match self.reports.accept(signed.clone()) {
            Ok(Some(_)) => self.partings.say(&report),
            // A later life of this node is known: nobody would believe this before it is overtaken.
            Ok(None) => return false,
            Err(problem) => {
                tracing::error!(%problem, "This node's own report is not valid");
                return false;
            }
        }
        self.tell(Message::Reports(vec![signed]), None);
        true
    }

    /// Who this node is to its containers, once the documents say so. A removed node has no name any
    /// more, and needs none: it only stops what it ran.
    pub(super) fn embody(&mut self, now: Now) {
        let documents = self.replica.documents();
        let (Some(id), Some(name)) = (documents.grid.id, documents.grid.name.clone()) else {
            return;
        };
        let node_name = match documents.roster.get(&self.me) {
            Some(member) => member.name.clone(),
            None if documents.excludes(&self.me) => "removed".parse().expect("a label of letters"),
            None => return,
        };
        let identity = Identity {
            grid: id,
            grid_name: name,
            node_name,
        };
        let own = self.reports.get(&self.me);
        self.work.recalled = own.map(|own| own.order);
        let remembered = own.map(|report| Remembered {
            holds: report.holds.clone(),
            volumes: report.volumes.clone(),
            made: report.made.clone(),
            jobs: report.jobs.clone(),
            arrivals: BTreeMap::new(),
        });
        let remembered = Remembered {
            arrivals: std::mem::take(&mut self.arrivals),
            ..remembered.unwrap_or_default()
        };
        let mut instances = Instances::new(identity, remembered);
        instances.only_look_until(self.starts_from(now.monotonic), now);
        if let Some(observed) = self.own.engine.clone() {
            instances.observe(observed, now);
        }
        self.instances = Some(instances);
        self.work.reported = None;
    }

    /// Shows the view to whoever reads, if it or this node's state changed.
    pub(super) fn show(&mut self) {
        let status = Status {
            phase: self.phase.clone(),
            problems: self.problems(),
        };
        if self
            .work
            .shown
            .as_ref()
            .is_some_and(|shown| Arc::ptr_eq(shown, &self.view))
            && self.shown.as_ref() == Some(&status)
        {
            return;
        }
        self.work.shown = Some(Arc::clone(&self.view));
        journal::tell_status(self.shown.as_ref(), &status);
        self.shown = Some(status.clone());
        self.push(Output::Show {
            view: Arc::clone(&self.view),
            status,
        });
        self.answer_partings();
    }

    fn why_excluded(&self) -> &'static str {
        if self.view.documents.disowned.contains(&self.me) {
            "this node is no member any more: the node that admitted it had been removed; \
             `kontena leave`, then join again through another"
        } else {
            "this node was removed from its grid: `kontena leave` makes it a new node"
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(problem) = self.own.disk_problem() {
            problems.push(format!("the disk cannot be written: {problem}"));
        }
        let own = self.reports.get(&self.me);
        if let Some((_, problem)) = own.and_then(|report| report.engine.state.trouble()) {
            problems.push(format!("the Docker engine does not work: {problem}"));
        }
        if let Some(problem) = self.networking.problem() {
            problems.push(format!("the network of containers: {problem}"));
        }
        if self.phase == Phase::Cloned {
            problems.push(
                "another machine runs with this node's identity: its disk was cloned".to_owned(),
            );
        }
        if self.phase == Phase::Removed {
            problems.push(self.why_excluded().to_owned());
        }
        problems
    }
}

/// What was held in an earlier life: still held, and not known to be healthy.
fn unconfirmed(holds: &BTreeMap<InstanceId, Hold>) -> BTreeMap<InstanceId, Hold> {
    let doubt = |hold: &Hold| Hold {
        health: Health::Unknown,
        ..hold.clone()
    };
    holds
        .iter()
        .map(|(instance, hold)| (instance.clone(), doubt(hold)))
        .collect()
}
