//! Documents and reports: the same for everybody, and going forward.

use std::sync::Arc;

use kontena_core::document::Replica;
use kontena_core::placement::place;
use kontena_core::view::View;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;
use crate::host::Host;

pub(super) const CHECKS: &[&Check] = &[
    &EQUAL_DOCUMENTS,
    &SAME_CHANGES,
    &REBUILT,
    &EQUAL_PLACEMENTS,
    &REPORTS_GO_FORWARD,
];

static EQUAL_DOCUMENTS: Check = Check {
    name: "equal-documents",
    says: "after faults every member shows the same documents",
    why: "whoever asks any node must get the same answer",
};

static SAME_CHANGES: Check = Check {
    name: "same-changes",
    says: "after faults every member has the same changes on its disk",
    why: "what one node alone has is lost with it",
};

static REBUILT: Check = Check {
    name: "rebuilt-is-equal",
    says: "documents that are rebuilt from the disk alone are equal to those that grew with the messages",
    why: "equal changes must give equal documents, in whatever order they came",
};

static EQUAL_PLACEMENTS: Check = Check {
    name: "equal-placements",
    says: "after faults every member computes the same placement",
    why: "nobody asks anybody who runs what",
};

static REPORTS_GO_FORWARD: Check = Check {
    name: "reports-go-forward",
    says: "the report that a node shows of another is never older than the one it showed before",
    why: "an old report names holders that are none",
};

#[derive(Debug)]
pub(super) struct Documents;

impl Topic for Documents {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Shown { before, .. } = fact {
            reports_go_forward(scene, host, before, findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let Some((first, model)) = scene.members().next() else {
            return;
        };
        for (host, machine) in scene.members() {
            let is_equal = machine.view.documents == model.view.documents;
            findings.expect(is_equal, &EQUAL_DOCUMENTS, || {
                format!("{} and {} show different ones", name(first), name(host))
            });
            let has_same = machine.disk.hashes() == model.disk.hashes();
            findings.expect(has_same, &SAME_CHANGES, || {
                let lacks = model.disk.hashes().difference(machine.disk.hashes());
                let more = machine.disk.hashes().difference(model.disk.hashes());
                let (lacks, more) = (lacks.count(), more.count());
                let (host, first) = (name(host), name(first));
                format!("{host} lacks {lacks} that {first} has, and has {more} more")
            });
        }
    }

    fn rest(&mut self, scene: Scene<'_>, findings: &mut Findings) {
        let placements: Vec<_> = scene
            .members()
            .map(|(host, machine)| (host, place(&machine.view)))
            .collect();
        for pair in placements.windows(2) {
            findings.expect(pair[0].1 == pair[1].1, &EQUAL_PLACEMENTS, || {
                format!("{} and {} differ", name(pair[0].0), name(pair[1].0))
            });
        }
        for (host, machine) in scene.members() {
            findings.expect(is_rebuilt_equal(machine), &REBUILT, || {
                format!("the disk of {} says something else", name(host))
            });
        }
    }
}

fn reports_go_forward(scene: Scene<'_>, host: usize, before: &View, findings: &mut Findings) {
    for (node, is) in &scene.view(host).reports {
        let Some(was) = before.reports.get(node) else {
            continue;
        };
        if !Arc::ptr_eq(was, is) {
            findings.expect(is.order >= was.order, &REPORTS_GO_FORWARD, || {
                let of = scene.name_of(node);
                format!(
                    "{} went from {:?} of {of} to {:?}",
                    name(host),
                    was.order,
                    is.order
                )
            });
        }
    }
}

fn is_rebuilt_equal(host: &Host) -> bool {
    let Some(grid) = host.view.documents.grid.id else {
        return true;
    };
    let mut replica = Replica::new(host.key.clone(), 0);
    replica.open_grid(grid);
    replica.load(host.disk.load().envelopes);
    *replica.documents() == *host.view.documents
}
