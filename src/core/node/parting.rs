//! Who has taken note that instances of this node leave the names, and what others are told of theirs.
//!
//! A report that says of an instance that it stops, or is about to be replaced, asks for an answer: the order of that
//! report, once the names here follow it. Nothing else is answered, so that a grid at rest says nothing, and an answer
//! never leads to another. It goes to the one node that waits for it and is not kept: what got lost costs that node the
//! rest of its two seconds.

use std::collections::BTreeMap;

use crate::id::{InstanceId, NodeId};
use crate::message::Message;
use crate::reconcile::Leaves;
use crate::report::{Hold, InstanceState, Report, ReportOrder};
use crate::time::Now;
use crate::view::View;

use super::{Node, Output};

#[derive(Debug, Default)]
pub(super) struct Partings {
    /// The report that said first that an instance leaves, while it does.
    said: BTreeMap<(InstanceId, Leaves), ReportOrder>,
    /// The newest report of this node that another one follows.
    applied: BTreeMap<NodeId, ReportOrder>,
    /// The newest report of each other node that was answered.
    answered: BTreeMap<NodeId, ReportOrder>,
}

impl Partings {
    /// What this node has just said.
    pub(super) fn say(&mut self, report: &Report) {
        let holds = &report.holds;
        self.said.retain(|(instance, leaves), _| {
            let hold = holds.get(instance);
            hold.is_some_and(|hold| leaving(hold).any(|other| other == *leaves))
        });
        for (instance, hold) in holds {
            for leaves in leaving(hold) {
                let said = self.said.entry((instance.clone(), leaves));
                said.or_insert(report.order);
            }
        }
    }

    /// Another node follows this report, and all before it.
    fn apply(&mut self, by: NodeId, order: ReportOrder) {
        let known = self.applied.entry(by).or_insert(order);
        *known = order.max(*known);
    }

    /// What everybody who is waited for has taken note of.
    fn heard(&self, view: &View, me: &NodeId) -> Vec<(InstanceId, Leaves)> {
        if self.said.is_empty() {
            return Vec::new();
        }
        let asked: Vec<&NodeId> = clients(view, me).collect();
        let follows = |order: &ReportOrder| {
            let mut asked = asked.iter();
            asked.all(|node| self.applied.get(node).is_some_and(|known| known >= order))
        };
        let heard = self.said.iter().filter(|(_, order)| follows(order));
        heard.map(|(leaving, _)| leaving.clone()).collect()
    }
}

/// Who may lead somebody to an instance now: whoever was heard of just now and has containers, because each of them may
/// ask for any name.
fn clients<'a>(view: &'a View, me: &'a NodeId) -> impl Iterator<Item = &'a NodeId> {
    let has_clients = |node: &&NodeId| {
        let report = view.reports.get(*node);
        report.is_some_and(|report| !report.holds.is_empty())
    };
    let members = view.documents.roster.keys();
    members
        .filter(move |node| *node != me && view.is_fresh(node))
        .filter(has_clients)
}

/// What names lead to no more because its holder says so, and may still run.
fn leaving(hold: &Hold) -> impl Iterator<Item = Leaves> {
    let itself = hold.state == InstanceState::Stopping || hold.updating;
    let itself = itself.then_some(Leaves::Itself);
    itself
        .into_iter()
        .chain(hold.former.then_some(Leaves::Former))
}

impl Node {
    pub(super) fn applied(&mut self, by: NodeId, order: ReportOrder) {
        if self.view.documents.roster.contains_key(&by) {
            self.partings.apply(by, order);
        }
    }

    /// What others have taken note of may be stopped once its time has come.
    pub(super) fn heed_partings(&mut self, now: Now) {
        let heard = self.partings.heard(&self.view, &self.me);
        if let Some(instances) = &mut self.instances
            && !heard.is_empty()
        {
            instances.heard(&heard, now);
        }
    }

    /// Answers reports that ask for it: whoever reads the view that was just shown follows them.
    pub(super) fn answer_partings(&mut self) {
        let view = std::sync::Arc::clone(&self.view);
        let roster = &view.documents.roster;
        let partings = &mut self.partings;
        partings.applied.retain(|node, _| roster.contains_key(node));
        partings
            .answered
            .retain(|node, _| roster.contains_key(node));
        let me = self.me;
        for (node, report) in view.reports.iter().filter(|(node, _)| **node != me) {
            let asks = report
                .holds
                .values()
                .any(|hold| leaving(hold).next().is_some());
            let is_answered = self.partings.answered.get(node) == Some(&report.order);
            if asks && !is_answered {
                self.partings.answered.insert(*node, report.order);
                let order = report.order;
                let message = Message::Applied { order };
                self.push(Output::Send { to: *node, message });
            }
        }
    }
}
