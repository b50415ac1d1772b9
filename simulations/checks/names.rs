//! Names: what each node would answer, from its view alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kontena_core::id::{GridName, ServiceKey};
use kontena_core::network::zone::{Class, Zone, Zones, zone};
use kontena_core::node::Phase;
use kontena_core::report::{Health, InstanceState};
use kontena_core::view::{Availability, Freshness, Lifecycle, View};

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;
use crate::plan::Shape;

pub(super) const CHECKS: &[&Check] = &[&KNOWN, &NOT_STALE, &EXACTLY];

static KNOWN: Check = Check {
    name: "names-stay-known",
    says: "the name of a service exists on every member as long as its documents have the service",
    why: "clients take `no such name` for final, and an owner that is out of reach comes back",
};

static NOT_STALE: Check = Check {
    name: "names-avoid-the-stale",
    says: "nobody answers with an instance of a stale node while it knows a healthy one on a fresh node",
    why: "a request that goes to a dead host costs its client a time-out",
};

static EXACTLY: Check = Check {
    name: "names-are-exact",
    says: "after faults every member answers for every service with exactly its healthy instances",
    why: "every container finds every other by name, wherever both run",
};

/// Of each host the zone that it answered with last.
#[derive(Debug)]
pub(super) struct Names {
    zones: Vec<(Zones, Arc<Zone>)>,
}

impl Names {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            zones: (0..hosts).map(|_| Default::default()).collect(),
        }
    }
}

impl Topic for Names {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if !matches!(fact, Fact::Shown { .. }) || scene.host(host).status.phase != Phase::Member {
            return;
        }
        let view = scene.view(host);
        let (zones, last) = &mut self.zones[host];
        let Some(zone) = zones.follow(view) else {
            return;
        };
        *last = zone;
        every_service_is_known(host, view, last, findings);
        the_stale_are_avoided(host, view, last, findings);
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (host, machine) in scene.members() {
            let zone = zone(&machine.view);
            let wanted = healthy(&machine.view);
            for key in machine.view.documents.services.keys() {
                let Some(answered) = answered(&machine.view, &zone, key) else {
                    continue;
                };
                // Without a healthy one the others are answered with: nothing is exact about them.
                let Some(wanted) = wanted.get(key) else {
                    continue;
                };
                findings.expect(answered == *wanted, &EXACTLY, || {
                    format!(
                        "{} answers {answered:?} for {key}, not {wanted:?}",
                        name(host)
                    )
                });
            }
        }
    }
}

fn every_service_is_known(host: usize, view: &View, zone: &Zone, findings: &mut Findings) {
    for key in view.documents.services.keys() {
        let Some(asked) = service_name(view, key) else {
            return;
        };
        findings.expect(zone.names.contains_key(asked.as_str()), &KNOWN, || {
            format!("{} does not know {asked}", name(host))
        });
    }
}

fn the_stale_are_avoided(host: usize, view: &View, zone: &Zone, findings: &mut Findings) {
    let stale: BTreeSet<IpAddr> = addresses_of(view, |freshness| freshness >= Freshness::Stale);
    let fresh: BTreeSet<IpAddr> = addresses_of(view, |freshness| freshness < Freshness::Stale);
    for (asked, records) in &zone.names {
        let is_ready = records
            .targets
            .iter()
            .any(|target| target.class == Class::Ready);
        let gone = records
            .targets
            .iter()
            .find(|target| stale.contains(&target.address) && !fresh.contains(&target.address));
        findings.expect(!is_ready || gone.is_none(), &NOT_STALE, || {
            format!("{} answers {records:?} for {asked}", name(host))
        });
    }
}

fn addresses_of(view: &View, is_meant: impl Fn(Freshness) -> bool) -> BTreeSet<IpAddr> {
    let reports = view
        .reports
        .iter()
        .filter(|(node, _)| is_meant(view.freshness(node)));
    let holds = reports.flat_map(|(_, report)| report.holds.values());
    holds.filter_map(|hold| hold.address).collect()
}

fn service_name(view: &View, key: &ServiceKey) -> Option<String> {
    let grid: &GridName = view.documents.grid.name.as_ref()?;
    let ServiceKey { stack, service } = key;
    Some(match stack.is_null() {
        true => format!("{service}.{grid}.kontena.local"),
        false => format!("{service}.{stack}.{grid}.kontena.local"),
    })
}

fn answered(view: &View, zone: &Zone, key: &ServiceKey) -> Option<BTreeSet<IpAddr>> {
    let records = zone.names.get(service_name(view, key)?.as_str())?;
    Some(
        records
            .targets
            .iter()
            .map(|target| target.address)
            .collect(),
    )
}

/// By service, the addresses in the grid's network of what runs, is healthy and stays, told without the
/// rules of the zone.
fn healthy(view: &View) -> BTreeMap<ServiceKey, BTreeSet<IpAddr>> {
    let mut healthy: BTreeMap<ServiceKey, BTreeSet<IpAddr>> = BTreeMap::new();
    for (node, report) in &view.reports {
        let row = view.documents.roster.get(node);
        let is_active = row.is_some_and(|row| row.availability == Availability::Active);
        if !is_active || !view.freshness(node).is_online() || report.has_released() {
            continue;
        }
        for (instance, hold) in &report.holds {
            let Some(record) = view.documents.services.get(&instance.service) else {
                continue;
            };
            let is_daemon =
                super::running::service_number(instance).map(Shape::of) == Some(Shape::Daemon);
            let stays = record.state == Lifecycle::Running
                && (is_daemon || instance.number <= record.instances);
            let is_up = hold.state == InstanceState::Running && hold.health == Health::Healthy;
            let address = hold.address.filter(is_of_the_grid);
            if let Some(address) = address.filter(|_| stays && is_up && !hold.updating) {
                healthy
                    .entry(instance.service.clone())
                    .or_default()
                    .insert(address);
            }
        }
    }
    healthy
}

fn is_of_the_grid(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
}
