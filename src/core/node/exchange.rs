//! Exchanges: two members compare what they know, in as few bytes as they differ by.
//!
//! ```text
//! A                                        B
//! ├── Exchange: counters, digests ────────►│   same lives: the counters are merged
//! │◄──────────────── Exchange, Inventory ──┤   an inventory only if the digests differ
//! ├── Beats: everything, with lives ──────►│   only if the lives differ
//! │◄────────────────────────────── Beats ──┤
//! ```

use crate::document::DocumentId;
use crate::id::NodeId;
use crate::membership::vector::Life;
use crate::message::{Beats, Exchange, Inventory, Message};
use crate::report::ReportOrder;
use crate::time::Now;

use super::gossip::MAX_ANSWER_BYTES;
use super::{Node, Output};

impl Node {
    /// `yours`: what the receiver is told of its own newest report.
    pub(super) fn exchange(
        &mut self,
        reply: bool,
        yours: Option<ReportOrder>,
        now: Now,
    ) -> Exchange {
        Exchange {
            reply,
            brief: self.pulse.brief(now.monotonic),
            yours,
            reports: self.reports.digest(),
            documents: self.replica.digest(),
            keys: self.keys_digest(),
        }
    }

    pub(super) fn exchanged(&mut self, from: NodeId, theirs: Exchange, now: Now) {
        self.pulse.spoke(from, !theirs.reply, now);
        let agrees = theirs.documents == self.replica.digest();
        self.agreement.hear(agrees, now.monotonic);
        match theirs.reports == self.reports.digest() {
            true => self.doubts.confirm(&from),
            false => self.doubts.renew(&from, now.monotonic),
        }
        let (own, is_same) = self.pulse.hear_brief(from, &theirs.brief, now);
        self.heed_own_life(own, now);
        self.heed_own_report(theirs.yours, now);
        if let Some(life) = self.pulse.life(&from).filter(|_| is_same) {
            self.heed_speaker(from, order_of(life), now);
        }
        if theirs.reply {
            let yours = self.reports.order(&from);
            let differs = theirs.reports != self.reports.digest();
            let answer = self.exchange(false, yours.filter(|_| differs), now);
            let message = Message::Exchange(answer);
            self.push(Output::Answer { to: from, message });
        } else if !is_same {
            let message = Message::Beats(self.beats(true));
            self.push(Output::Send { to: from, message });
        }
        self.say_what_differs(from, &theirs);
        self.compare_keys(from, theirs.keys);
    }

    fn beats(&self, reply: bool) -> Beats {
        Beats {
            reply,
            order: self.own.order(),
            vector: self.pulse.vector(),
        }
    }

    pub(super) fn told_beats(&mut self, from: NodeId, theirs: Beats, now: Now) {
        self.pulse.spoke(from, !theirs.reply, now);
        let own = self.pulse.hear(from, &theirs.vector, now);
        self.heed_own_life(own, now);
        self.heed_speaker(from, theirs.order, now);
        if theirs.reply {
            let message = Message::Beats(self.beats(false));
            self.push(Output::Answer { to: from, message });
        }
    }

    /// What a peer has as this node's newest report may be of a later life than this one.
    pub(super) fn heed_own_report(&mut self, order: Option<ReportOrder>, now: Now) {
        if let Some(order) = order {
            let life = self.pulse.hear_own_report(order, now.monotonic);
            self.heed_own_life(life, now);
        }
    }

    /// Which life of a peer speaks: two of them in turn are told.
    fn heed_speaker(&mut self, from: NodeId, order: ReportOrder, now: Now) {
        if let Some(doubled) = self.lives.spoke(from, order, now.monotonic) {
            let message = Message::Cloned {
                first: doubled.first,
                second: doubled.second,
            };
            self.push(Output::Answer { to: from, message });
        }
    }

    /// The peer answers an inventory with what is missing here.
    fn say_what_differs(&mut self, from: NodeId, theirs: &Exchange) {
        let differ_in_documents = theirs.documents != self.replica.digest();
        if !differ_in_documents {
            self.leave_is_known();
        }
        let inventory = Inventory {
            reports: (theirs.reports != self.reports.digest()).then(|| self.reports.orders()),
            documents: differ_in_documents.then(|| self.replica.digests().clone()),
        };
        if inventory.reports.is_some() || inventory.documents.is_some() {
            let message = Message::Inventory(inventory);
            self.push(Output::Send { to: from, message });
        }
    }

    /// Sends the reports that a peer lacks, and asks for the documents that it has otherwise.
    pub(super) fn compare(&mut self, from: NodeId, theirs: Inventory, now: Now) {
        // To a removed node it is all that its exchange is answered with: it need not ask another.
        self.pulse.spoke(from, false, now);
        if let Some(orders) = theirs.reports {
            let own = orders.get(&from).copied();
            if own.is_some() && own <= self.reports.order(&from) {
                self.doubts.confirm(&from);
            }
            let reports = self.reports.newer_than(&orders, MAX_ANSWER_BYTES);
            if !reports.is_empty() {
                let message = Message::Reports(reports);
                self.push(Output::Send { to: from, message });
            }
        }
        if let Some(documents) = theirs.documents {
            let grid = self.grid_digest();
            if grid.is_some() && documents.get(&DocumentId::Grid) == grid.as_ref() {
                self.leave_is_known();
            }
            self.want(from, &documents);
        }
    }
}

/// Of a life that speaks; which of its reports was the last is not said.
fn order_of(life: Life) -> ReportOrder {
    ReportOrder {
        boot: life.boot,
        nonce: life.nonce,
        sequence: 0,
    }
}
