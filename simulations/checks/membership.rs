//! Who belongs, and who counts as there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::document::DocumentId;
use kontena_core::id::{GridId, NodeId};
use kontena_core::node::Phase;
use kontena_core::view::{Freshness, View};

use super::changes::Changes;
use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[
    &SELF_FRESH,
    &NO_FALSE_ABSENCE,
    &REMOVED_STAYS,
    &REMOVED_IS_NOBODY,
    &NAMES_APART,
    &SUBNETS_APART,
    &ALL_FRESH,
    &ALL_BELONG,
    &REMOVED_KNOWS,
];

static SELF_FRESH: Check = Check {
    name: "fresh-to-itself",
    says: "a member is always fresh to itself",
    why: "placement relies on it",
};

static NO_FALSE_ABSENCE: Check = Check {
    name: "no-false-absence",
    says: "nobody is found absent by a member when for 90 s nothing troubled either, unless a person says that it is dead",
    why: "an absent node's work is taken over: a false alarm makes duplicates",
};

static REMOVED_STAYS: Check = Check {
    name: "removed-stays-removed",
    says: "who was removed is never a member again, unless everybody who removed it is found to be no member",
    why: "a removed id never comes back: a stolen machine must not; and what a removed node writes counts for nothing",
};

static REMOVED_IS_NOBODY: Check = Check {
    name: "removed-is-nobody",
    says: "no view has a removed node in its roster, or reports or standings of one",
    why: "a removed node has no effect",
};

static NAMES_APART: Check = Check {
    name: "names-apart",
    says: "no two members of a view have one name",
    why: "people and affinities name nodes",
};

static SUBNETS_APART: Check = Check {
    name: "subnets-apart",
    says: "no two members of a view have one subnet, whatever their admissions say",
    why: "packets would go to the wrong host",
};

static ALL_FRESH: Check = Check {
    name: "all-are-fresh",
    says: "after faults every member sees every member fresh",
    why: "a heal needs no special case",
};

static ALL_BELONG: Check = Check {
    name: "all-belong",
    says: "after faults whoever takes itself for a member is one to all others",
    why: "one that is not would wait for ever, and run what others run too",
};

static REMOVED_KNOWS: Check = Check {
    name: "removed-knows-it",
    says: "after faults a removed node that is up knows that it was removed",
    why: "it must stop what it runs",
};

const CALM: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Of each host in this boot: its grid, and who was removed there, ever.
    removed: BTreeMap<usize, (Option<GridId>, BTreeSet<NodeId>)>,
}

impl Topic for Membership {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted = fact {
            self.removed.remove(&host);
        }
        let Fact::Shown { before, .. } = fact else {
            return;
        };
        let view = scene.view(host);
        if scene.host(host).status.phase == Phase::Member {
            let own = view.freshness(&scene.world.id(host));
            findings.expect(own == Freshness::Fresh, &SELF_FRESH, || {
                format!("{} is {own} to itself", name(host))
            });
        }
        absences(scene, host, before, findings);
        if !std::sync::Arc::ptr_eq(&before.documents, &view.documents) {
            self.removals(scene, host, findings);
            names(host, view, findings);
            subnets(host, view, findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (host, _) in scene.members() {
            others(scene, host, findings);
        }
        removed_know(scene, findings);
    }
}

/// What a removed node sees has no effect, and nobody tells it anything.
fn absences(scene: Scene<'_>, viewer: usize, before: &View, findings: &mut Findings) {
    if scene.host(viewer).status.phase != Phase::Member {
        return;
    }
    for (node, standing) in &scene.view(viewer).standings {
        let was = before
            .standings
            .get(node)
            .map(|standing| standing.freshness);
        let became_absent = standing.freshness >= Freshness::Absent
            && was.is_some_and(|was| was < Freshness::Absent);
        let is_assumed_dead = scene.view(viewer).absence(node).assumed_dead;
        if !became_absent || is_assumed_dead {
            continue;
        }
        let subject = scene.members().find(|(_, host)| host.id() == *node);
        if let Some((subject, _)) = subject
            && scene.is_calm(subject, CALM)
            && scene.is_calm(viewer, CALM)
        {
            findings.add(
                &NO_FALSE_ABSENCE,
                format!("{} finds {} absent", name(viewer), name(subject)),
            );
        }
    }
}

impl Membership {
    fn removals(&mut self, scene: Scene<'_>, host: usize, findings: &mut Findings) {
        let documents = &scene.view(host).documents;
        let known = self.removed.entry(host).or_default();
        if known.0 != documents.grid.id {
            *known = (documents.grid.id, BTreeSet::new());
        }
        let is_back = |node: &&NodeId| documents.roster.contains_key(*node);
        let back: Vec<NodeId> = known.1.iter().filter(is_back).copied().collect();
        for node in back {
            findings.expect(
                counts_for_nothing(scene, host, &node),
                &REMOVED_STAYS,
                || {
                    let node = scene.name_of(&node);
                    format!("{} has {node} as a member, which was removed", name(host))
                },
            );
            known.1.remove(&node);
        }
        known.1.extend(documents.removed.iter().copied());
        removed_are_nobody(scene, host, findings);
    }
}

/// Whether everybody who removed the node is no member to this host.
fn counts_for_nothing(scene: Scene<'_>, host: usize, node: &NodeId) -> bool {
    let documents = &scene.view(host).documents;
    let changes = Changes::of(scene, &DocumentId::Grid);
    let register = format!("node/{node}/removed");
    let authors = changes
        .writing(&register)
        .map(|hash| NodeId(changes.get(hash).author));
    let authors: Vec<NodeId> = authors.collect();
    !authors.is_empty() && authors.iter().all(|author| documents.excludes(author))
}

fn removed_are_nobody(scene: Scene<'_>, host: usize, findings: &mut Findings) {
    let view = scene.view(host);
    for node in &view.documents.removed {
        let is_nobody = !view.documents.roster.contains_key(node)
            && !view.reports.contains_key(node)
            && (!view.standings.contains_key(node) || *node == scene.world.id(host));
        findings.expect(is_nobody, &REMOVED_IS_NOBODY, || {
            format!("{} still knows {}", name(host), scene.name_of(node))
        });
    }
}

fn names(host: usize, view: &View, findings: &mut Findings) {
    let roster = &view.documents.roster;
    let names: BTreeSet<_> = roster.values().map(|member| &member.name).collect();
    findings.expect(names.len() == roster.len(), &NAMES_APART, || {
        format!("{} sees {names:?} for {} members", name(host), roster.len())
    });
}

fn subnets(host: usize, view: &View, findings: &mut Findings) {
    let roster = &view.documents.roster;
    let subnets: BTreeSet<_> = roster.values().filter_map(|member| member.subnet).collect();
    findings.expect(subnets.len() == roster.len(), &SUBNETS_APART, || {
        format!(
            "{} sees {subnets:?} for {} members",
            name(host),
            roster.len()
        )
    });
}

fn others(scene: Scene<'_>, host: usize, findings: &mut Findings) {
    let view = scene.view(host);
    for (other, machine) in scene.members() {
        let id = machine.id();
        let belongs = view.documents.roster.contains_key(&id);
        findings.expect(belongs, &ALL_BELONG, || {
            format!("{} is no member to {}", name(other), name(host))
        });
        let freshness = view.freshness(&id);
        findings.expect(
            !belongs || freshness == Freshness::Fresh,
            &ALL_FRESH,
            || format!("{} is {freshness} to {}", name(other), name(host)),
        );
    }
}

fn removed_know(scene: Scene<'_>, findings: &mut Findings) {
    let Some((_, first)) = scene.members().next() else {
        return;
    };
    for (host, machine) in scene.members() {
        let is_removed = first.view.documents.removed.contains(&machine.id());
        findings.expect(!is_removed, &REMOVED_KNOWS, || {
            format!("{} takes itself for a member", name(host))
        });
    }
}
