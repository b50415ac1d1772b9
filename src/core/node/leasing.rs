//! Leases, as this node wants them and as it grants them: messages, the disk, and what the fence is told.
//!
//! The rules are in [`crate::lease`]. A witness answers only what its documents know it to be a witness of, so what it
//! keeps is bounded by them; and only once it has looked around, for its disk may have been set back or copied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{InstanceId, NodeId};
use crate::lease::{
    Book, Decision, FenceTag, Granted, LENGTH, LeaseAnswer, LeaseAsk, LeaseId, LeaseWord, Tenure,
    TenureId, Verdict,
};
use crate::message::Message;
use crate::reconcile::{Held, LeaseNeed};
use crate::time::{Instant, Now};
use crate::view::{Documents, View};

use super::saving::Purpose;
use super::{Node, Output, Record};

/// The local value with what this node granted.
const GRANTS: &str = "leases";

/// What stops in order has so long, hooks and all.
const STOPS_SEEN_WITHIN: Duration = Duration::from_secs(600);

/// What an engine that does not answer may still run: as long as until its node counts as one without an engine.
const STOPS_UNSEEN_WITHIN: Duration = Duration::from_secs(60);

/// A grant that goes to the disk, and the answer to its holder that waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    granted: Granted,
    round: u64,
}

/// What this node knows of leases.
#[derive(Debug)]
pub(super) struct Leasing {
    book: Book,
    tenures: BTreeMap<InstanceId, Tenure>,
    /// Of the last tenure or question: begins anywhere, so that none of an earlier boot has the same.
    last: u64,
    /// What the fence was told, by tag.
    fenced: BTreeMap<FenceTag, Instant>,
    /// Whether the fence does its work; `None` until it said so.
    fence: Option<Result<(), String>>,
    /// Until then what runs here since before this boot may, by what the fence was told last.
    recalls_until: Instant,
    /// Since when something that is to be gone from here holds a lease.
    leaving: BTreeMap<InstanceId, Instant>,
    /// Of these the lease is not renewed any more.
    unrenewed: BTreeSet<InstanceId>,
    /// Grants on their way to the disk: one at a time for each lease, however slow the disk is and however often somebody asks.
    saving: BTreeSet<LeaseId>,
    /// Those that this node is a witness of, by the documents that were read last.
    witnessed: BTreeSet<LeaseId>,
    read: Option<Arc<Documents>>,
}

impl Leasing {
    pub(super) fn new(nonce: u64, now: Instant) -> Self {
        Self {
            book: Book::open([], now),
            tenures: BTreeMap::new(),
            last: nonce >> 1,
            fenced: BTreeMap::new(),
            fence: None,
            recalls_until: now + LENGTH,
            leaving: BTreeMap::new(),
            unrenewed: BTreeSet::new(),
            saving: BTreeSet::new(),
            witnessed: BTreeSet::new(),
            read: None,
        }
    }

    fn number(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// What was on the disk.
    pub(super) fn restore(&mut self, local: &BTreeMap<String, Vec<u8>>, now: Instant) {
        let Some(bytes) = local.get(GRANTS) else {
            return;
        };
        match ciborium::from_reader::<Vec<Granted>, _>(bytes.as_slice()) {
            Ok(written) => self.book = Book::open(written, now),
            // What it had granted is over before it grants anything anew.
            Err(problem) => tracing::warn!(%problem, "The leases on disk cannot be read"),
        }
    }

    /// Peers know a later life of this node.
    pub(super) fn distrust(&mut self, now: Instant) {
        self.book.distrust(now);
    }

    /// When somebody is to be asked next.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let tenures = self.tenures.iter();
        let renewed = tenures.filter(|(instance, _)| !self.unrenewed.contains(*instance));
        renewed.map(|(_, tenure)| tenure.next_wake()).min()
    }

    fn record(&self) -> Record {
        let mut value = Vec::new();
        ciborium::into_writer(&self.book.written(), &mut value).expect("it is written to memory");
        Record::Local {
            key: GRANTS.to_owned(),
            value,
        }
    }

    /// What the instances go by.
    fn held(&self, me: &NodeId, view: &View, now: Instant) -> BTreeMap<InstanceId, Held> {
        let is_heard = |node: &&NodeId| view.freshness(node).is_online();
        let heard = |tenure: &Tenure| tenure.witnesses().iter().filter(is_heard).count();
        let held = |tenure: &Tenure| Held {
            lease: tenure.lease(),
            tag: FenceTag::of(&tenure.lease(), me),
            epoch: tenure.epoch(),
            until: tenure.until(),
            turnout: tenure.turnout(now),
            since: tenure.since(),
            hears_majority: 2 * heard(tenure) > tenure.witnesses().len(),
            answered: tenure.answered_by_majority(),
        };
        let tenures = self.tenures.iter();
        tenures
            .map(|(instance, tenure)| (instance.clone(), held(tenure)))
            .collect()
    }

    /// Which leases the documents know this node to be a witness of.
    fn follow(&mut self, documents: &Arc<Documents>, me: NodeId, now: Instant) {
        let is_read = |read: &Arc<Documents>| Arc::ptr_eq(read, documents);
        if self.read.as_ref().is_some_and(is_read) {
            return;
        }
        let services = documents.services.iter();
        let ours = services.filter(|(_, record)| record.witnesses.contains(&me));
        self.witnessed = ours
            .map(|(key, record)| LeaseId::of(key, record.creation, &record.witnesses))
            .collect();
        self.read = Some(Arc::clone(documents));
        self.book
            .forget(|lease| self.witnessed.contains(lease), now);
    }
}

impl Node {
    /// A word of another node, as far as it concerns this one.
    pub(super) fn told_of_lease(&mut self, from: NodeId, word: LeaseWord, now: Now) {
        match word {
            LeaseWord::Ask(ask) => {
                if let Some(verdict) = self.asked_for_lease(from, ask, now) {
                    let answer = answer(ask.lease, ask.round, ask.epoch, verdict);
                    self.push(Output::Answer {
                        to: from,
                        message: Message::Lease(LeaseWord::Answer(answer)),
                    });
                }
            }
            LeaseWord::Answer(answer) => self.lease_answered(from, answer, now.monotonic),
            LeaseWord::Release { lease, tenure } => {
                self.leasing
                    .book
                    .release(from, lease, tenure, now.monotonic);
            }
        }
    }

    /// What this node says as a witness; `None` where it says nothing, or not yet.
    fn asked_for_lease(&mut self, from: NodeId, ask: LeaseAsk, now: Now) -> Option<Verdict> {
        let documents = Arc::clone(&self.view.documents);
        self.leasing.follow(&documents, self.me, now.monotonic);
        let is_member = documents.roster.contains_key(&from);
        let is_known = self.leasing.witnessed.contains(&ask.lease);
        let is_ours = is_known || self.leasing.book.has(from, &ask);
        let may_speak = self.acts() && now.monotonic >= self.acts_from();
        if !is_member || !is_ours || !may_speak {
            return None;
        }
        match self.leasing.book.ask(from, ask, now.monotonic) {
            Decision::Answer(verdict) => Some(verdict),
            Decision::Write if !self.leasing.saving.insert(ask.lease) => None,
            Decision::Write => {
                let grant = Grant {
                    granted: Granted::of(from, &ask),
                    round: ask.round,
                };
                let record = self.leasing.record();
                self.save(Purpose::Lease(grant), vec![record]);
                None
            }
        }
    }

    /// What was granted is on the disk, or could not be written: then nobody hears of it, and whoever wants it asks again.
    pub(super) fn lease_saved(&mut self, grant: Grant, result: &Result<(), String>, now: Now) {
        let Grant { granted, round } = grant;
        self.leasing.saving.remove(&granted.lease);
        let is_granted = result.is_ok() && self.leasing.book.saved(granted);
        if !is_granted {
            return;
        }
        let answer = answer(granted.lease, round, granted.epoch, Verdict::Granted);
        if granted.holder == self.me {
            return self.lease_answered(self.me, answer, now.monotonic);
        }
        self.push(Output::Send {
            to: granted.holder,
            message: Message::Lease(LeaseWord::Answer(answer)),
        });
    }

    fn lease_answered(&mut self, from: NodeId, answer: LeaseAnswer, now: Instant) {
        let mut tenures = self.leasing.tenures.values_mut();
        if let Some(tenure) = tenures.find(|tenure| tenure.lease() == answer.lease) {
            tenure.answered(from, answer, now);
        }
    }

    /// Whether the fence does its work, by who runs it.
    pub(super) fn fence_told(&mut self, fence: Result<(), String>) {
        self.leasing.fence = Some(fence);
    }

    /// Asks for what is needed, lets go what is not any more, and tells instances and the fence what this node has.
    pub(super) fn hold_leases(&mut self, now: Now) {
        if !self.acts() {
            // A copy, or none that is in a grid: what runs has the time that it was promised, and no more.
            return self.leasing.tenures.clear();
        }
        let Some(instances) = self.instances.as_ref() else {
            return;
        };
        let needs = instances.lease_needs(now);
        if needs.is_empty() && self.leasing.tenures.is_empty() {
            return;
        }
        self.end_tenures(&needs);
        self.begin_tenures(&needs, now.monotonic);
        self.let_lapse(&needs, now.monotonic);
        self.ask_witnesses(now);
        self.tell_fence();
        let held = self.leasing.held(&self.me, &self.view, now.monotonic);
        let fence = self.leasing.fence.clone();
        let recalls_until = self.leasing.recalls_until;
        if let Some(instances) = self.instances.as_mut() {
            instances.lease(held, fence, recalls_until, now);
        }
    }

    /// Nothing of these is here any more: whoever is next need not wait until they are over.
    fn end_tenures(&mut self, needs: &BTreeMap<InstanceId, LeaseNeed>) {
        let is_over = |instance: &InstanceId, tenure: &Tenure| match needs.get(instance) {
            None => true,
            Some(LeaseNeed::Runs { .. }) => false,
            // The service was made anew, and nothing of the former one runs.
            Some(LeaseNeed::Wants(terms)) => terms.lease != tenure.lease(),
        };
        let tenures = std::mem::take(&mut self.leasing.tenures);
        let (over, kept) = tenures
            .into_iter()
            .partition(|(instance, tenure)| is_over(instance, tenure));
        self.leasing.tenures = kept;
        let over: BTreeMap<InstanceId, Tenure> = over;
        for tenure in over.into_values() {
            self.release_lease(&tenure);
        }
    }

    fn release_lease(&mut self, tenure: &Tenure) {
        let tag = FenceTag::of(&tenure.lease(), &self.me);
        self.leasing.fenced.remove(&tag);
        // What an engine that hung may still start has no time left.
        let until = self.driven;
        self.push(Output::Fence { tag, until });
        let (lease, id) = (tenure.lease(), tenure.id());
        for witness in tenure.witnesses() {
            if *witness == self.me {
                self.leasing.book.release(self.me, lease, id, self.driven);
            } else {
                self.push(Output::Send {
                    to: *witness,
                    message: Message::Lease(LeaseWord::Release { lease, tenure: id }),
                });
            }
        }
    }

    /// What is to be gone, and is not for long, or cannot be seen to be, has no right to hold up another: its lease ends, and the
    /// fence, which needs no engine, ends what runs.
    fn let_lapse(&mut self, needs: &BTreeMap<InstanceId, LeaseNeed>, now: Instant) {
        let leasing = &mut self.leasing;
        leasing
            .leaving
            .retain(|instance, _| matches!(needs.get(instance), Some(LeaseNeed::Runs { .. })));
        leasing.unrenewed.clear();
        for (instance, need) in needs {
            let LeaseNeed::Runs { is_seen } = need else {
                continue;
            };
            let since = *leasing.leaving.entry(instance.clone()).or_insert(now);
            let bound = if *is_seen {
                STOPS_SEEN_WITHIN
            } else {
                STOPS_UNSEEN_WITHIN
            };
            if now.since(since) >= bound {
                leasing.unrenewed.insert(instance.clone());
            }
        }
    }

    fn begin_tenures(&mut self, needs: &BTreeMap<InstanceId, LeaseNeed>, now: Instant) {
        for (instance, need) in needs {
            let LeaseNeed::Wants(terms) = need else {
                continue;
            };
            if !self.leasing.tenures.contains_key(instance) {
                let id = TenureId(self.leasing.number());
                let tenure = Tenure::new(id, terms.lease, terms.witnesses.clone(), now);
                self.leasing.tenures.insert(instance.clone(), tenure);
            }
        }
    }

    fn ask_witnesses(&mut self, now: Now) {
        let mut asks: Vec<(LeaseAsk, Vec<NodeId>)> = Vec::new();
        let next = self.leasing.last.wrapping_add(1);
        let unrenewed = &self.leasing.unrenewed;
        let tenures = self.leasing.tenures.iter_mut();
        let renewed = tenures.filter(|(instance, _)| !unrenewed.contains(*instance));
        for (round, (_, tenure)) in (next..).zip(renewed) {
            if let Some(ask) = tenure.ask(round, now.monotonic) {
                self.leasing.last = round;
                asks.push((ask, tenure.witnesses().iter().copied().collect()));
            }
        }
        for (ask, witnesses) in asks {
            for witness in witnesses {
                self.ask_witness(witness, ask, now);
            }
        }
    }

    fn ask_witness(&mut self, witness: NodeId, ask: LeaseAsk, now: Now) {
        if witness != self.me {
            let message = Message::Lease(LeaseWord::Ask(ask));
            return self.push(Output::Send {
                to: witness,
                message,
            });
        }
        if let Some(verdict) = self.asked_for_lease(self.me, ask, now) {
            let answer = answer(ask.lease, ask.round, ask.epoch, verdict);
            self.lease_answered(self.me, answer, now.monotonic);
        }
    }

    /// What the fence knows is moved on alone: what it was told once, witnesses have promised.
    fn tell_fence(&mut self) {
        let me = self.me;
        let held = self.leasing.tenures.values();
        let untils: Vec<(FenceTag, Instant)> = held
            .filter_map(|tenure| Some((FenceTag::of(&tenure.lease(), &me), tenure.until()?)))
            .collect();
        for (tag, until) in untils {
            let known = self.leasing.fenced.get(&tag);
            if known.is_none_or(|known| *known < until) {
                self.leasing.fenced.insert(tag, until);
                self.push(Output::Fence { tag, until });
            }
        }
    }
}

fn answer(lease: LeaseId, round: u64, epoch: u64, verdict: Verdict) -> LeaseAnswer {
    LeaseAnswer {
        lease,
        round,
        epoch,
        verdict,
    }
}
