//! What members say to each other, and what is answered.
//!
//! Freshness, reports and documents all travel by the same two ways: news is pushed at once
//! (a flood, bounded by hops), and an exchange with a random member now and then finds what a push
//! missed ([`super::exchange`]). A lost message costs a round.

use std::collections::BTreeMap;

use crate::document::{DocumentId, Ingested, SignedEnvelope};
use crate::id::{EnvelopeHash, NodeId};
use crate::membership::clone::Own as OwnLife;
use crate::membership::fanout::fanout;
use crate::message::{Beats, Envelopes, Exchange, Inventory, Message};
use crate::report::{ReportOrder, SignedReport};
use crate::time::Now;

use super::saving::Purpose;
use super::{Node, Output, Phase, Record, SavedState};

/// What one answer carries at most; the rest comes with the next round.
pub(super) const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A flood to six nodes each reaches 1,000 nodes in four hops.
pub(super) const MAX_HOPS: u8 = 6;

/// In rosters up to this size the author tells everybody: nobody passes anything on.
pub(super) const TOLD_DIRECTLY: usize = 8;

impl Node {
    /// Bumps this node's counter, and exchanges with a member when it is time.
    pub(super) fn beat(&mut self, now: Now) {
        if !self.in_grid() {
            return;
        }
        for to in self.pulse.tick(now) {
            let message = Message::Exchange(self.exchange(true, None, now));
            self.push(Output::Send { to, message });
        }
    }

    pub(super) fn grid_digest(&self) -> Option<EnvelopeHash> {
        self.replica.digests().get(&DocumentId::Grid).copied()
    }

    /// Peers may know a later life of this node, or a second one.
    pub(super) fn heed_own_life(&mut self, life: OwnLife, now: Now) {
        match life {
            OwnLife::Agreed => {}
            OwnLife::RestartAbove { boot } => {
                let boot = self.pulse.restart_above(boot, now.monotonic);
                self.own.restart_at(boot);
                self.leasing.distrust(now.monotonic);
                let ahead = boot.saturating_sub(self.config.boot);
                self.save(
                    Purpose::Store,
                    vec![Record::Local {
                        key: SavedState::BOOTS_AHEAD.to_owned(),
                        value: ahead.to_le_bytes().to_vec(),
                    }],
                );
            }
        }
        self.heed_clone();
    }

    pub(super) fn received(&mut self, from: NodeId, message: Message, now: Now) {
        if !self.in_grid() {
            return;
        }
        if self.view.documents.excludes(&from) {
            return self.tell_excluded(from, &message);
        }
        match message {
            Message::Exchange(exchange) => self.exchanged(from, exchange, now),
            Message::Beats(beats) => self.told_beats(from, beats, now),
            Message::Inventory(inventory) => self.compare(from, inventory, now),
            Message::Reports(reports) => self.reported(from, reports, now),
            Message::Envelopes(envelopes) => self.changed(from, envelopes),
            Message::Want(wanted) => self.send_missing(from, &wanted),
            Message::Stored(hashes) => self.stored(from, &hashes),
            Message::Applied { order } => self.applied(from, order),
            Message::Lease(word) => self.told_of_lease(from, word, now),
            Message::KeysHeld(held) => self.send_missing_keys(from, &held, now),
            Message::Keys(news) => self.told_keys(from, news, now),
            Message::Cloned { first, second } => self.told_cloned(first, second),
        }
    }

    fn told_cloned(&mut self, first: ReportOrder, second: ReportOrder) {
        self.pulse.told_cloned(first, second);
        self.heed_clone();
    }

    fn heed_clone(&mut self) {
        match self.phase {
            Phase::Member if self.pulse.is_cloned() => self.phase = Phase::Cloned,
            // Both copies of a removed node stop what they run; nobody else may have it.
            Phase::Member
            | Phase::Leaving
            | Phase::Removed
            | Phase::Cloned
            | Phase::Alone
            | Phase::Joining => {}
        }
    }

    /// Asks for what a peer has of documents that differ.
    pub(super) fn want(&mut self, from: NodeId, theirs: &BTreeMap<DocumentId, EnvelopeHash>) {
        let ours = self.replica.digests();
        let differ = theirs
            .iter()
            .filter(|(document, digest)| ours.get(document) != Some(digest));
        let wanted: BTreeMap<_, _> = differ
            .map(|(document, _)| (document.clone(), self.replica.have(document)))
            .collect();
        if !wanted.is_empty() {
            self.push(Output::Send {
                to: from,
                message: Message::Want(wanted),
            });
        }
    }

    fn send_missing(&mut self, to: NodeId, wanted: &BTreeMap<DocumentId, crate::document::Have>) {
        let mut left = MAX_ANSWER_BYTES;
        let mut envelopes = Vec::new();
        for (document, have) in wanted {
            // Each document gives at least one: together they may be more than a message holds.
            if left == 0 {
                break;
            }
            let missing = self.replica.missing(document, have, left);
            left = left.saturating_sub(missing.iter().map(|envelope| envelope.bytes.len()).sum());
            envelopes.extend(missing);
        }
        if !envelopes.is_empty() {
            // Asked for, so nobody else needs it from the receiver at once: no further hops.
            let message = Message::Envelopes(Envelopes {
                envelopes,
                acknowledge: false,
                hops: MAX_HOPS,
            });
            self.push(Output::Send { to, message });
        }
    }

    /// Changes are kept until [`Node::merge`] takes them in.
    fn changed(&mut self, from: NodeId, received: Envelopes) {
        if !self.inbox.push(from, received) {
            tracing::debug!(node = %from.short(), "Changes came faster than they are taken in");
        }
    }

    /// Takes in a slice of what waits.
    pub(super) fn merge(&mut self) {
        let Some(slice) = self.inbox.take() else {
            return;
        };
        let from = slice.from;
        let mut hashes = Vec::new();
        let mut news = Vec::new();
        let mut is_parked = slice.is_parked;
        for envelope in slice.envelopes {
            let hash = envelope.hash();
            match self.replica.ingest(envelope) {
                Ingested::Applied { newly: applied } => {
                    news.extend(applied);
                    hashes.push(hash);
                }
                Ingested::Known => hashes.push(hash),
                Ingested::Parked => is_parked = true,
                Ingested::Refused(problem) => {
                    tracing::warn!(node = %from.short(), %problem, "A change was refused");
                }
            }
        }
        match (is_parked, slice.is_last) {
            // What was asked for and brought nothing new will not bring it the next time either: exchanges go
            // on asking, now and then.
            (true, true) if slice.hops < MAX_HOPS || !news.is_empty() => self.want_parked(from),
            (true, false) => self.inbox.note_parked(&from),
            (true, true) | (false, _) => {}
        }
        for envelope in &news {
            self.saving.add(envelope.clone());
        }
        if slice.acknowledge {
            self.acknowledge_when_stored(from, hashes);
        }
        self.store();
        if self.view.documents.roster.len() > TOLD_DIRECTLY && slice.hops < MAX_HOPS {
            self.flood(news, slice.hops + 1, false, Some(from));
        }
    }

    /// What is known and on disk already is acknowledged now, the rest with its save.
    fn acknowledge_when_stored(&mut self, from: NodeId, hashes: Vec<EnvelopeHash>) {
        let unsaved = self.saving.unsaved();
        let (unsaved, saved): (Vec<_>, Vec<_>) =
            hashes.into_iter().partition(|hash| unsaved.contains(hash));
        if !unsaved.is_empty() {
            self.saving.owe(from, unsaved);
        }
        if !saved.is_empty() {
            self.push(Output::Send {
                to: from,
                message: Message::Stored(saved),
            });
        }
    }

    /// A change came before what it depends on: the sender has the rest.
    fn want_parked(&mut self, from: NodeId) {
        let wanted: BTreeMap<_, _> = self
            .replica
            .wanted()
            .into_iter()
            .map(|document| {
                let have = self.replica.have(&document);
                (document, have)
            })
            .collect();
        self.push(Output::Send {
            to: from,
            message: Message::Want(wanted),
        });
    }

    fn reported(&mut self, from: NodeId, reports: Vec<SignedReport>, now: Now) {
        let mut news = Vec::new();
        let roster = &self.view.documents.roster;
        for signed in reports {
            let accepted = self
                .reports
                .accept_of(signed.clone(), |node| roster.contains_key(node));
            match accepted {
                Ok(Some(author)) => {
                    if author == from {
                        self.doubts.confirm(&from);
                    }
                    news.push((author, signed));
                }
                Ok(None) => {}
                Err(problem) => {
                    tracing::warn!(node = %from.short(), %problem, "A report was refused");
                }
            }
        }
        if news.iter().any(|(author, _)| *author == self.me) {
            self.heed_own_report(self.reports.order(&self.me), now);
        }
        self.heed_restarts(&news, now);
        self.pass_on(news, now);
        self.look(now);
    }

    /// Those whose newest report is their last word for now are given patience.
    fn heed_restarts(&mut self, news: &[(NodeId, SignedReport)], now: Now) {
        for (node, _) in news {
            if self.reports.get(node).is_some_and(|own| own.restarting) {
                self.pulse.restarts(*node, now);
            }
        }
    }

    /// Pushes changes to others at once.
    pub(super) fn flood(
        &mut self,
        envelopes: Vec<SignedEnvelope>,
        hops: u8,
        acknowledge: bool,
        from: Option<NodeId>,
    ) {
        if !envelopes.is_empty() {
            self.tell(
                Message::Envelopes(Envelopes {
                    envelopes,
                    acknowledge,
                    hops,
                }),
                from,
            );
        }
    }

    /// Sends news to some members, but to whom it came from.
    pub(super) fn tell(&mut self, message: Message, from: Option<NodeId>) {
        let skip: Vec<NodeId> = from.into_iter().chain([self.me]).collect();
        for to in fanout(&self.view.standings, &skip, &mut self.chance) {
            self.push(Output::Send {
                to,
                message: message.clone(),
            });
        }
    }

    /// A node that is no member any more and still speaks is given the `grid` document, which proves
    /// that; nothing else.
    fn tell_excluded(&mut self, from: NodeId, message: &Message) {
        match message {
            Message::Exchange(Exchange { reply: true, .. })
            | Message::Beats(Beats { reply: true, .. }) => {
                let grid = self.grid_digest().map(|digest| (DocumentId::Grid, digest));
                let message = Message::Inventory(Inventory {
                    reports: None,
                    documents: Some(grid.into_iter().collect()),
                });
                self.push(Output::Answer { to: from, message });
            }
            Message::Want(wanted) => {
                let grid: BTreeMap<_, _> = wanted
                    .iter()
                    .filter(|(id, _)| **id == DocumentId::Grid)
                    .map(|(id, have)| (id.clone(), have.clone()))
                    .collect();
                self.send_missing(from, &grid);
            }
            Message::Exchange(_)
            | Message::Beats(_)
            | Message::Inventory(_)
            | Message::Reports(_)
            | Message::Envelopes(_)
            | Message::Stored(_)
            | Message::Applied { .. }
            | Message::KeysHeld(_)
            | Message::Lease(_)
            | Message::Keys(_)
            | Message::Cloned { .. } => {}
        }
    }
}
