//! Start before stop: two containers of one instance, and who of them goes when.

use kontena_core::placement::{Role, place};
use kontena_core::reconcile::action::{Action, Container};
use kontena_core::report::{Health, InstanceState};
use kontena_core::stack::Service;
use kontena_core::view::{Deployed, Lifecycle};

use super::running::service_number;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::{Change, is_running};
use crate::fact::Fact;
use crate::plan::{Shape, VERSIONS};

pub(super) const CHECKS: &[&Check] = &[&SUCCEEDED, &NO_CROWD];

static SUCCEEDED: Check = Check {
    name: "succeeded-before-it-stops",
    says: "where a service starts first, no node stops the running container that its report names for a deploy",
    why: "rules of the mesh 3: start-first, a deploy takes nobody down, so the report names the new one, and that it is healthy, before",
};

static NO_CROWD: Check = Check {
    name: "two-at-most",
    says: "a host runs two containers of one instance only where the service of the one with another name starts first, and never three",
    why: "what may not run twice would share its port or its data with itself",
};

#[derive(Debug)]
pub(super) struct Successions;

impl Topic for Successions {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Asked(Action::Stop { container, .. }) = fact
            && let Some(container) = scene.host(host).engine.get(container)
            && is_running(container)
        {
            is_succeeded(scene, host, container, findings);
        }
        if let Fact::Changed(Change::Started(container)) = fact {
            is_no_crowd(scene, host, container, findings);
        }
    }
}

fn is_succeeded(scene: Scene<'_>, host: usize, container: &Container, findings: &mut Findings) {
    let Some(deployed) = replaced_for(scene, host, container) else {
        return;
    };
    let service = deployed.revision.service.as_ref();
    if !service.is_ok_and(|service| service.starts_first()) {
        return;
    }
    let report = scene.view(host).reports.get(&scene.world.id(host));
    let hold = report.and_then(|report| report.holds.get(&container.owner.instance));
    let is_it = hold.filter(|hold| hold.container.as_ref() == Some(&container.id.0));
    let is_well = is_it
        .is_some_and(|hold| hold.state == InstanceState::Running && hold.health == Health::Healthy);
    findings.expect(!is_well, &SUCCEEDED, || {
        format!("{} stops {} of {hold:?}", name(host), container.name)
    });
}

/// The deploy that an instance, which is this node's, is to be replaced for.
fn replaced_for<'a>(scene: Scene<'a>, host: usize, container: &Container) -> Option<&'a Deployed> {
    let (view, instance) = (scene.view(host), &container.owner.instance);
    let record = view.documents.services.get(&instance.service)?;
    let is_wanted = record.state == Lifecycle::Running && instance.number <= record.instances;
    let deployed = record.deployed.as_ref().filter(|_| is_wanted)?;
    let is_ours = matches!(
        place(view).role(instance, &scene.world.id(host)),
        Role::Run(_)
    );
    let owner = &container.owner;
    let is_older = !deployed.is_met_by(&owner.revision, owner.generation);
    (is_ours && is_older).then_some(deployed)
}

/// Whether others beside it may run.
fn is_no_crowd(scene: Scene<'_>, host: usize, container: &Container, findings: &mut Findings) {
    let instance = &container.owner.instance;
    let running = scene.host(host).engine.running();
    let here = running.filter(|other| other.owner.instance == *instance);
    let here: Vec<&Container> = here.collect();
    let own = instance.container_name();
    let mut beside = here.iter().filter(|other| other.name != own);
    let starts_first = beside.all(|other| service(other).is_some_and(|it| it.starts_first()));
    let most = if starts_first { 2 } else { 1 };
    findings.expect(here.len() <= most, &NO_CROWD, || {
        let names: Vec<&String> = here.iter().map(|other| &other.name).collect();
        format!("{} runs {names:?}", name(host))
    });
}

/// The revision that it was made of.
fn service(container: &Container) -> Option<Service> {
    let number = service_number(&container.owner.instance)?;
    let mut all = (1..=VERSIONS).map(|version| Shape::of(number).service(number, version));
    all.find(|service| service.hash() == container.owner.revision)
}
