//! A node as a wire type.

use std::net::{IpAddr, SocketAddr};

use kontena_core::id::NodeId;
use kontena_core::network::zone::node_name;
use kontena_core::placement;
use kontena_core::report::{Disk, Engine, Report};
use kontena_core::time::WallTime;
use kontena_core::view::{Availability, Freshness, Member};

use super::Snapshot;
use crate::api::types::Time;
use crate::api::types::node::{Departing, Departures, Fate, Node, NodeStatus, VolumeDriver};

/// A member of the roster.
pub(in crate::api) fn node(snapshot: &Snapshot, id: &NodeId) -> Node {
    let view = &snapshot.view;
    let member = &view.documents.roster[id];
    let report = view.reports.get(id).map(AsRef::as_ref);
    let freshness = view.freshness(id);
    let since = view
        .standings
        .get(id)
        .and_then(|standing| Time::known(standing.since));
    let engine = report.map(|report| &report.engine);
    let addresses = addresses(snapshot, id);
    let online = freshness.is_online();
    Node {
        id: format!("{}/{}", snapshot.grid, member.name),
        node_id: id.to_string(),
        name: member.name.to_string(),
        agent_version: report.map(|report| report.version.clone()),
        docker_version: engine.and_then(|engine| text(&engine.version)),
        status: status(freshness, report, member),
        connected: online,
        created_at: Time::known(member.joined),
        connected_at: since.filter(|_| online),
        disconnected_at: since.filter(|_| !online),
        last_seen_at: since,
        availability: member.availability.to_string(),
        labels: member.labels.clone(),
        node_number: member.number,
        initial_member: false,
        public_ip: addresses.public,
        private_ip: addresses.private,
        overlay_ip: member.subnet.map(|subnet| subnet.gateway().to_string()),
        dns: Some(node_name(&snapshot.grid, &member.name).to_string()),
        os: engine.and_then(|engine| text(&engine.operating_system)),
        kernel_version: engine.and_then(|engine| text(&engine.kernel)),
        driver: None,
        volume_drivers: volume_drivers(engine),
        cpus: engine.and_then(measured(|engine| engine.cpus)),
        mem_total: engine.and_then(measured(|engine| engine.memory_bytes)),
        engine_root_dir: None,
        resource_usage: None,
        freshness: freshness.to_string(),
        since,
        addresses: addresses.all,
        instance_count: report.map_or(0, |report| report.holds.len()),
        problems: report
            .map(problems)
            .into_iter()
            .flatten()
            .chain(given_up(snapshot, id))
            .collect(),
    }
}

fn volume_drivers(engine: Option<&Engine>) -> Vec<VolumeDriver> {
    let drivers = engine.into_iter().flat_map(|engine| &engine.volume_drivers);
    drivers
        .map(|name| VolumeDriver { name: name.clone() })
        .collect()
}

pub(in crate::api) fn departures(snapshot: &Snapshot, id: &NodeId) -> Departures {
    let all = placement::departures(&snapshot.view, snapshot.placement(), *id);
    let all = all.into_iter().map(|one| Departing {
        instance: one.instance.to_string(),
        fate: match one.fate {
            placement::Fate::Moves { .. } => Fate::Moves,
            placement::Fate::Stops => Fate::Stops,
            placement::Fate::StandsBy => Fate::StandsBy,
            placement::Fate::Stays => Fate::Stays,
        },
        to: match one.fate {
            placement::Fate::Moves { to } => {
                let member = snapshot.view.documents.roster.get(&to);
                member.map(|member| member.name.to_string())
            }
            placement::Fate::Stops | placement::Fate::StandsBy | placement::Fate::Stays => None,
        },
    });
    Departures {
        away: snapshot.view.freshness(id) >= Freshness::Absent,
        departures: all.collect(),
    }
}

/// Kontena's word for it: it is `connecting` while it is heard of and has not reported yet. One that
/// is not heard of is `offline`, whether it ever reported or not.
fn status(freshness: Freshness, report: Option<&Report>, member: &Member) -> NodeStatus {
    match (freshness.is_online(), report, member.availability) {
        (false, _, _) => NodeStatus::Offline,
        (true, None, _) => NodeStatus::Connecting,
        (true, Some(_), Availability::Active) => NodeStatus::Online,
        (true, Some(_), Availability::Drain) => NodeStatus::Drain,
    }
}

/// Empty and zero stand for "not known yet" in a report.
fn text(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

fn measured<T: Default + PartialEq>(field: impl Fn(&Engine) -> T) -> impl Fn(&Engine) -> Option<T> {
    move |engine| Some(field(engine)).filter(|value| *value != T::default())
}

fn problems(report: &Report) -> Vec<String> {
    let disk = match &report.disk {
        Disk::Working => None,
        Disk::Failed { since, problem } => Some((*since, problem.as_str())),
    };
    let disk = disk.map(|trouble| problem("disk", trouble));
    engine_problem(report).into_iter().chain(disk).collect()
}

/// What is wrong with its engine, if anything is.
pub(super) fn engine_problem(report: &Report) -> Option<String> {
    let trouble = report.engine.state.trouble()?;
    Some(problem("docker engine", trouble))
}

/// What a person said of it.
fn given_up(snapshot: &Snapshot, id: &NodeId) -> Option<String> {
    let absence = snapshot.view.absence(id);
    let said = "assumed dead: nobody waits for it until it is heard of again";
    absence.assumed_dead.then(|| said.to_owned())
}

/// `disk: in trouble since 2026-01-31T12:00:00Z: no space left`, by the clock of the node that has it.
fn problem(what: &str, (since, problem): (WallTime, &str)) -> String {
    match Time::known(since) {
        Some(since) => format!("{what}: in trouble since {since}: {problem}"),
        None => format!("{what}: {problem}"),
    }
}

/// Where a node can be reached.
pub(super) struct Addresses {
    pub(super) all: Vec<String>,
    pub(super) public: Option<String>,
    pub(super) private: Option<String>,
}

/// What it reports, or where it was admitted. Kontena's public IP falls back to the first of all,
/// because its command line connects to it.
pub(super) fn addresses(snapshot: &Snapshot, id: &NodeId) -> Addresses {
    let reported = snapshot
        .view
        .reports
        .get(id)
        .map(|report| &report.addresses);
    let admitted = snapshot.view.documents.roster.get(id);
    let all = reported
        .filter(|addresses| !addresses.is_empty())
        .or(admitted.map(|member| &member.addresses))
        .cloned()
        .unwrap_or_default();
    let ips: Vec<IpAddr> = all
        .iter()
        .filter_map(|address| address.parse::<SocketAddr>().ok())
        .map(|address| address.ip())
        .collect();
    let first = |private: bool| ips.iter().find(|ip| is_private(**ip) == private);
    Addresses {
        public: first(false).or(ips.first()).map(ToString::to_string),
        private: first(true).map(ToString::to_string),
        all,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
