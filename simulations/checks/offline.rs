//! What services say of nodes that are away: who may take over, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::report::Report;
use kontena_core::stack::{Offline, Takeover};
use kontena_core::time::Instant;
use kontena_core::view::{Freshness, View};

use super::running::service_number;
use super::stopping::is_bound;
use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[&AS_PATIENT, &BY_NOBODY];

static AS_PATIENT: Check = Check {
    name: "as-patient-as-asked",
    says: "a node takes over no instance of a holder that has been absent to it for less than the service's `replace_after`, unless that holder released it or a person says that it is dead",
    why: "who sets it has a node that is often away for a while, and wants nothing started meanwhile",
};

static BY_NOBODY: Check = Check {
    name: "taken-over-by-nobody",
    says: "no node takes over an instance of a service with `takeover: never` while a member that is away holds it, unless that member released it or a person says that it is dead",
    why: "who sets it would rather have none than two",
};

/// A host's clock may run faster than the world's, by less than this part.
const DRIFT: u32 = 1_000;

/// Since when each node is absent to each host, by the views that it showed: counted here, beside the node's own count.
#[derive(Debug, Default)]
pub(super) struct Offlines(BTreeMap<(usize, NodeId), Instant>);

impl Topic for Offlines {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        let Fact::Shown { before, .. } = fact else {
            return;
        };
        self.follow(scene, host);
        let me = scene.world.id(host);
        let view = scene.view(host);
        let (Some(was), Some(is)) = (before.reports.get(&me), view.reports.get(&me)) else {
            return;
        };
        if Arc::ptr_eq(was, is) || was.order.boot != is.order.boot {
            return;
        }
        let taken = is.holds.iter().filter(|(instance, hold)| {
            hold.container.is_none() && !was.holds.contains_key(*instance) && !is_bound(instance)
        });
        for (instance, _) in taken {
            self.may_take(scene, host, [before, view], instance, findings);
        }
    }
}

impl Offlines {
    fn follow(&mut self, scene: Scene<'_>, host: usize) {
        for (node, standing) in &scene.view(host).standings {
            let key = (host, *node);
            if standing.freshness >= Freshness::Absent {
                self.0.entry(key).or_insert_with(|| scene.now());
            } else {
                self.0.remove(&key);
            }
        }
    }

    /// It decided on one of two views, or on one in between: what holds in both is held against it.
    fn may_take(
        &self,
        scene: Scene<'_>,
        host: usize,
        views: [&View; 2],
        instance: &InstanceId,
        findings: &mut Findings,
    ) {
        let Some(offline) = offline(instance) else {
            return;
        };
        let [before, view] = views;
        for node in view.documents.roster.keys() {
            if !views.iter().all(|view| waits_for(view, node, instance)) {
                continue;
            }
            let by_nobody = offline.takeover == Takeover::Never;
            let said = || format!("{} takes {instance}, which an absent node has", name(host));
            findings.expect(!by_nobody, &BY_NOBODY, said);
            let is_gone = before.freshness(node) == Freshness::Gone;
            let since = self.0.get(&(host, *node));
            let absent = since.map(|since| scene.now().since(*since));
            let is_patient =
                absent.is_some_and(|absent| absent + absent / DRIFT >= offline.replace_after());
            findings.expect(is_gone || is_patient, &AS_PATIENT, || {
                format!("{} takes {instance} after {absent:?}", name(host))
            });
        }
    }
}

fn offline(instance: &InstanceId) -> Option<Offline> {
    let number = service_number(instance)?;
    let service = Shape::of(number).service(number, 1);
    Some(service.deploy.offline)
}

/// Whether a member that is away holds the instance for itself.
fn waits_for(view: &View, node: &NodeId, instance: &InstanceId) -> bool {
    let is_away = view.freshness(node) >= Freshness::Absent && !view.absence(node).assumed_dead;
    let holds =
        |report: &Arc<Report>| report.holds.contains_key(instance) && !report.has_released();
    is_away && view.reports.get(node).is_some_and(holds)
}
