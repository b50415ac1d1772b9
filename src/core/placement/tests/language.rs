//! Views as text, so that a test shows nothing but what it is about.
//!
//! ```text
//! nodes a b(stale) c(az=eu,drain)      fresh|late|stale|absent|gone|dead, drain, engine, disk, unreported,
//!                                      newcomer, image=SERVICE, lacks=SERVICE, misses=NODE, number=N, cores=N, bytes=N, machine=NAME, away=SECONDS;
//!                                      else a label
//! web x2 port=80 web.1@b web.2!c       NAME xN, then any of: ha daemon random stateful stopped rebalance
//!                                      undeployed future unreadable, port=N, cpus=N, memory=N, for=PLATFORM,PLATFORM, most=N, standbys=N, spread=KEY,KEY, from=SERVICE-N, affinities,
//!                                      after=SECONDS, takeover=…, return=…,
//!                                      holds `web.1@b(epoch=2,age=3,pending,unhealthy,old,updating)`,
//!                                      pins `web.1->b`, refusals `web.1!b`
//! version 2                            the grid's placement version
//! default label==a node!=b             the grid's default affinity
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{EnvelopeHash, InstanceId, NodeId, RevisionHash, ServiceKey};
use crate::placement::PLACEMENT_VERSION;
use crate::report::{Disk, Engine, EngineState, Health, Hold, InstanceState, Report, ReportOrder};
use crate::stack::{FrozenImage, ImageMark, Platforms, Port, Protocol, Service, Spread, Strategy};
use crate::time::WallTime;
use crate::view::{
    Availability, Deployed, Freshness, Lifecycle, Member, Pin, Revision, ServiceRecord, Standing,
    View,
};

/// 2026-01-31T12:00:00Z.
const SINCE: WallTime = WallTime(1_769_860_800_000);

pub(super) fn node_id(name: &str) -> NodeId {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    NodeId(key)
}

pub(super) fn key(name: &str) -> ServiceKey {
    name.parse().unwrap()
}

pub(super) fn parse(text: &str) -> View {
    let mut view = View::default();
    let is_nodes = |line: &&str| line.trim_start().starts_with("nodes");
    let (nodes, others): (Vec<_>, Vec<_>) = text.lines().partition(is_nodes);
    for line in nodes.into_iter().chain(others) {
        let mut words = line.split_whitespace();
        match words.next() {
            None => {}
            Some("nodes") => words.for_each(|word| add_node(&mut view, word)),
            Some("version") => {
                let version = words.next().unwrap().parse().unwrap();
                Arc::make_mut(&mut view.documents).grid.placement_version = version;
            }
            Some("default") => {
                let affinity = words.map(|word| word.parse().unwrap());
                let grid = &mut Arc::make_mut(&mut view.documents).grid;
                grid.default_affinity = affinity.collect();
            }
            Some(name) => add_service(&mut view, name, words.collect()),
        }
    }
    view
}

/// `name(a,b)` → the name and its attributes.
fn attributes(word: &str) -> (&str, Vec<&str>) {
    match word.strip_suffix(')').and_then(|word| word.split_once('(')) {
        Some((name, inner)) => (name, inner.split(',').collect()),
        None => (word, Vec::new()),
    }
}

fn freshness(word: &str) -> Option<Freshness> {
    use Freshness::{Absent, Fresh, Gone, Late, Stale};
    [Fresh, Late, Stale, Absent, Gone]
        .into_iter()
        .find(|freshness| freshness.to_string() == word)
}

fn add_node(view: &mut View, word: &str) {
    let (name, attributes) = attributes(word);
    let id = node_id(name);
    let documents = Arc::make_mut(&mut view.documents);
    let mut member = Member {
        subnet: None,
        name: name.parse().unwrap(),
        sponsor: id,
        joined: WallTime(0),
        labels: Vec::new(),
        availability: Availability::Active,
        number: u32::try_from(documents.roster.len()).unwrap() + 1,
        addresses: Vec::new(),
    };
    let mut report = Some(empty_report(id));
    let mut standing = Freshness::Fresh;
    let problem = || "it hangs".to_owned();
    for attribute in attributes {
        if let Some(freshness) = freshness(attribute) {
            standing = freshness;
        } else if let Some(number) = attribute.strip_prefix("number=") {
            member.number = number.parse().unwrap();
        } else if let Some(other) = attribute.strip_prefix("misses=") {
            let network = &mut report.as_mut().unwrap().network;
            let network = network.get_or_insert_default();
            network.unreachable.insert(node_id(other));
        } else if let Some(service) = attribute.strip_prefix("image=") {
            report.as_mut().unwrap().images.insert(mark(service));
        } else if let Some(service) = attribute.strip_prefix("lacks=") {
            let missing = &mut report.as_mut().unwrap().missing_images;
            missing.insert(mark(service), "no registry has it".to_owned());
        } else if let Some(cores) = attribute.strip_prefix("cores=") {
            report.as_mut().unwrap().engine.cpus = cores.parse().unwrap();
        } else if let Some(bytes) = attribute.strip_prefix("bytes=") {
            report.as_mut().unwrap().engine.memory_bytes = bytes.parse().unwrap();
        } else if let Some(machine) = attribute.strip_prefix("machine=") {
            report.as_mut().unwrap().engine.architecture = machine.to_owned();
        } else if attribute == "dead" {
            standing = Freshness::Gone;
            view.absences.entry(id).or_default().assumed_dead = true;
        } else if let Some(seconds) = attribute.strip_prefix("away=") {
            let passed = Duration::from_secs(seconds.parse().unwrap());
            view.absences.entry(id).or_default().passed = passed;
        } else if attribute == "drain" {
            member.availability = Availability::Drain;
        } else if attribute == "unreported" {
            report = None;
        } else if attribute == "newcomer" {
            report.as_mut().unwrap().placement_version = 0;
        } else if attribute == "engine" {
            let (since, problem) = (WallTime(0), problem());
            report.as_mut().unwrap().engine.state = EngineState::Failed { since, problem };
        } else if attribute == "starting" {
            report.as_mut().unwrap().engine.state = EngineState::Starting;
        } else if attribute == "troubled" {
            let (since, problem) = (WallTime(0), problem());
            report.as_mut().unwrap().engine.state = EngineState::Troubled { since, problem };
        } else if attribute == "disk" {
            let (since, problem) = (WallTime(0), problem());
            report.as_mut().unwrap().disk = Disk::Failed { since, problem };
        } else {
            member.labels.push(attribute.to_owned());
        }
    }
    documents.grid.placement_version = documents.grid.placement_version.max(1);
    documents.roster.insert(id, member);
    let freshness = standing;
    let since = SINCE;
    view.standings.insert(id, Standing { freshness, since });
    if let Some(report) = report {
        view.reports.insert(id, Arc::new(report));
    }
}

/// Of the image that [`add_service`] gives a service.
pub(super) fn mark(service: &str) -> ImageMark {
    ImageMark::of(&format!("{service}:1"), None)
}

/// What a registry says of an image with these builds.
fn built_for(platforms: &str) -> FrozenImage {
    let platforms: Vec<String> = platforms.split(',').map(str::to_owned).collect();
    FrozenImage::Digest {
        digest: "sha256:aa".to_owned(),
        id: None,
        platforms: Platforms::from(platforms),
        said: true,
    }
}

pub(super) fn empty_report(node: NodeId) -> Report {
    Report {
        placement_version: PLACEMENT_VERSION,
        engine: Engine {
            state: EngineState::Working,
            ..Engine::default()
        },
        ..Report::empty(node, ReportOrder::default())
    }
}

fn add_service(view: &mut View, name: &str, words: Vec<&str>) {
    let key: ServiceKey = key(name);
    let mut service = Service::new(format!("{name}:1"));
    let mut pins = BTreeMap::new();
    let (mut instances, mut state, mut deployed) = (1, Lifecycle::Running, true);
    let mut unreadable = false;
    let mut image = None;
    let mut reported = Vec::new();
    for word in words {
        match word {
            "ha" => service.deploy.strategy = Strategy::Ha,
            "daemon" => service.deploy.strategy = Strategy::Daemon,
            "random" => service.deploy.strategy = Strategy::Random,
            "stateful" => service.stateful = true,
            "rebalance" => service.deploy.rebalance = true,
            "stopped" => state = Lifecycle::Stopped,
            "undeployed" => deployed = false,
            "unreadable" => unreadable = true,
            "future" => {
                service.unknown.insert("gpu".to_owned(), 1.into());
            }
            word if word.contains("==") || word.contains("!=") => {
                service.affinity.push(word.parse().unwrap());
            }
            word if word.starts_with("cpus=") => {
                service.resources.cpus = Some(word[5..].parse().unwrap());
            }
            word if word.starts_with("for=") => image = Some(built_for(&word[4..])),
            word if word.starts_with("memory=") => {
                service.resources.memory = Some(word[7..].parse().unwrap());
            }
            word if word.starts_with("from=") => {
                let from = word[5..].split(',').map(|from| from.parse().unwrap());
                service.volumes_from = from.collect();
            }
            word if word.starts_with("after=") => {
                let seconds: u64 = word[6..].parse().unwrap();
                service.deploy.offline.replace_after_millis = seconds * 1_000;
            }
            word if word.starts_with("takeover=") => {
                service.deploy.offline.takeover = word[9..].parse().unwrap();
            }
            word if word.starts_with("return=") => {
                service.deploy.offline.on_return = word[7..].parse().unwrap();
            }
            word if word.starts_with("most=") => {
                service.deploy.max_per_node = Some(word[5..].parse().unwrap());
            }
            word if word.starts_with("standbys=") => {
                service.deploy.standby_images = word[9..].parse().unwrap();
            }
            word if word.starts_with("spread=") => {
                let labels = word[7..].split(',');
                let labels = labels.map(|key| format!("label={key}").parse().unwrap());
                service.deploy.spread = Spread::new(labels.collect()).unwrap();
            }
            word if word.starts_with("port=") => service.ports.push(port(&word[5..])),
            word if word.contains("->") => {
                let (instance, node) = word.split_once("->").unwrap();
                let node = node_id(node);
                pins.insert(
                    number(instance),
                    Pin {
                        epoch: 1,
                        node,
                        moved: false,
                    },
                );
            }
            word if word.contains(['@', '!']) => reported.push(word),
            word => instances = word.strip_prefix('x').unwrap().parse().unwrap(),
        }
    }
    let revision = Revision {
        hash: service.hash(),
        number: 1,
        service: if unreadable {
            Err("it cannot be read".to_owned())
        } else {
            Ok(Arc::new(service.clone()))
        },
        image,
    };
    for word in reported {
        report(view, &key, service.hash(), word);
    }
    let record = ServiceRecord {
        creation: EnvelopeHash([0; 32]),
        born: 0,
        latest: revision.clone(),
        deployed: deployed.then_some(Deployed::new(revision, 1, WallTime(0))),
        deploys: Arc::default(),
        instances,
        state,
        pins,
        moves: BTreeMap::new(),
        witnesses: Default::default(),
        created: WallTime(0),
        updated: WallTime(0),
    };
    let services = &mut Arc::make_mut(&mut view.documents).services;
    services.insert(key, record);
}

fn port(text: &str) -> Port {
    Port {
        ip: "0.0.0.0".parse().unwrap(),
        node_port: text.parse().unwrap(),
        container_port: 80,
        protocol: Protocol::Tcp,
    }
}

fn number(instance: &str) -> u32 {
    instance.rsplit_once('.').unwrap().1.parse().unwrap()
}

/// `web.1@b(…)` or `web.1!b`.
fn report(view: &mut View, key: &ServiceKey, wanted: RevisionHash, word: &str) {
    let (word, attributes) = attributes(word);
    let (instance, node) = word.split_once(['@', '!']).unwrap();
    let instance = InstanceId::new(key.clone(), number(instance));
    let id = node_id(node);
    let report = view.reports.entry(id);
    let report = report.or_insert_with(|| Arc::new(empty_report(id)));
    let report = Arc::make_mut(report);
    if word.contains('!') {
        report.refusals.insert(instance, "no room".to_owned());
    } else {
        report.holds.insert(instance, hold(wanted, attributes));
    }
}

fn hold(wanted: RevisionHash, attributes: Vec<&str>) -> Hold {
    let mut hold = right_hold(wanted, 1);
    for attribute in attributes {
        match attribute {
            "pending" => hold.state = InstanceState::Pending,
            "stopped" => hold.state = InstanceState::Stopped,
            "updating" => hold.updating = true,
            "unhealthy" => hold.health = Health::Unhealthy,
            "old" => hold.revision = RevisionHash([0; 32]),
            age if age.starts_with("age=") => hold.age = age[4..].parse().unwrap(),
            other => hold.epoch = other.strip_prefix("epoch=").unwrap().parse().unwrap(),
        }
    }
    hold
}

/// Running, healthy, at the wanted revision.
pub(super) fn right_hold(wanted: RevisionHash, epoch: u64) -> Hold {
    Hold {
        epoch,
        revision: wanted,
        generation: 1,
        state: InstanceState::Running,
        health: Health::Healthy,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: None,
        image: None,
        since: WallTime(0),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    }
}
