//! The filters: whether a node may run an instance, and if not, why.
//!
//! In: the survey and the service. Out: the first [`Rejection`] in a fixed order, from what
//! people decided (availability, affinity) to what the node can do now. A rejection is what `why` prints.
//!
//! Not here: which of the remaining nodes is best (`score`), pins (`decide`), how full a node is (`survey`).

use std::fmt;
use std::num::NonZeroU32;

use crate::id::{InstanceId, NodeName, ServiceKey};
use crate::report::{Disk, EngineState};
use crate::stack::{Affinity, Cpus, Platforms};
use crate::view::{Availability, Freshness};
use crate::volume::{Definition, VolumeName};

use super::sources::{self, Sourceless};
use super::survey::Survey;
use super::wanted::Wanted;

/// The label, with a value or without, of a node that may vanish at any time (as Kontena).
const EPHEMERAL: &str = "ephemeral";

/// Why a node cannot run an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejection<'v> {
    Drains,
    /// Stateful instances keep away from it.
    Ephemeral,
    Affinity(&'v Affinity),
    /// It never said what it can do.
    Unreported,
    TooOld {
        knows: u32,
        needs: u32,
    },
    EngineFailed(&'v str),
    /// Its engine never answered since its daemon started: it gets no new work.
    EngineSilent,
    /// Its engine is in trouble, for less than a minute: it gets no new work.
    EngineTroubled(&'v str),
    DiskFailed(&'v str),
    /// Its image was built for other processors.
    ForOthers {
        has: &'v str,
        built_for: &'v Platforms,
    },
    /// It has not the driver of a volume that is mounted.
    NoDriver {
        driver: &'v str,
        volume: &'v VolumeName,
    },
    TooFewCores {
        has: u32,
        needs: Cpus,
    },
    /// Bytes that it has in all, and that others than this instance have set aside.
    TooLittleMemory {
        has: u64,
        taken: u64,
        needs: u64,
    },
    PortTaken {
        port: u16,
        service: &'v ServiceKey,
        number: u32,
    },
    /// It has as many instances of the service as one node may have.
    Full {
        most: NonZeroU32,
    },
    Refuses(&'v str),
    /// It is not fresh, and gets no new work.
    NotFresh(Freshness),
    /// The volumes that it mounts of this instance are on another node.
    Elsewhere {
        source: InstanceId,
        /// `None`: a node that is no member any more.
        node: Option<&'v NodeName>,
    },
    Sourceless(Sourceless),
}

impl fmt::Display for Rejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drains => f.write_str("drains: takes no new work"),
            Self::Ephemeral => f.write_str("is ephemeral: gets no data"),
            Self::Affinity(affinity) => write!(f, "needs {affinity}"),
            Self::Unreported => f.write_str("has not reported yet"),
            Self::TooOld { knows, needs } => write!(
                f,
                "knows version {knows} of the placement rules, the grid uses {needs}"
            ),
            Self::EngineFailed(problem) => write!(f, "its engine fails: {problem}"),
            Self::EngineSilent => f.write_str("its engine has not answered yet: gets no new work"),
            Self::EngineTroubled(problem) => {
                write!(f, "its engine is in trouble: gets no new work: {problem}")
            }
            Self::DiskFailed(problem) => write!(f, "its disk fails: {problem}"),
            Self::ForOthers { has, built_for } => write!(
                f,
                "is {has}, and the image was built for {}",
                built_for.listing()
            ),
            Self::NoDriver { driver, volume } => {
                write!(f, "has no volume driver `{driver}`, which keeps `{volume}`")
            }
            Self::TooFewCores { has, needs } => {
                write!(f, "needs {needs} cores, and has {has}")
            }
            Self::TooLittleMemory { has, taken, needs } => write!(
                f,
                "has {} of memory, {} of it taken, {} are needed",
                size(*has),
                size(*taken),
                size(*needs)
            ),
            Self::PortTaken {
                port,
                service,
                number,
            } => write!(f, "port {port} is taken by {service}.{number}"),
            Self::Full { most } => {
                write!(f, "has {most} of the service, and no node may have more")
            }
            Self::Refuses(problem) => write!(f, "refuses: {problem}"),
            Self::NotFresh(freshness) => write!(f, "is {freshness}: gets no new work"),
            Self::Elsewhere {
                source,
                node: Some(node),
            } => write!(
                f,
                "it mounts the volumes of `{source}`, which is on node {node}"
            ),
            Self::Elsewhere { source, node: None } => {
                write!(
                    f,
                    "it mounts the volumes of `{source}`, whose node was removed"
                )
            }
            Self::Sourceless(why) => why.fmt(f),
        }
    }
}

/// Why a node may not be given an instance that it does not hold; `None` if it may. What Kontena asks comes first, in
/// its order.
pub(super) fn candidate<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    drains(survey, node)
        .or_else(|| ephemeral(survey, wanted, node))
        .or_else(|| driver(survey, wanted, node))
        .or_else(|| affinity(survey, wanted, node, number, true))
        .or_else(|| affinity(survey, wanted, node, number, false))
        .or_else(|| port(survey, wanted, node, number))
        .or_else(|| cores(survey, wanted, node))
        .or_else(|| memory(survey, wanted, node))
        .or_else(|| apart(survey, wanted, node, number))
        .or_else(|| foreign(survey, wanted, node))
        .or_else(|| unable(survey, node))
        .or_else(|| full(survey, wanted, node))
        .or_else(|| refusal(survey, wanted, node, number))
        .or_else(|| unready(survey, node))
}

/// Why a node may not run a container that is none of the instances, and publishes nothing.
pub(super) fn one_off<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    fixed(survey, wanted, node)
        .or_else(|| affinity(survey, wanted, node, number, false))
        .or_else(|| memory(survey, wanted, node))
        .or_else(|| apart(survey, wanted, node, number))
        .or_else(|| unready(survey, node))
}

/// Why a node whom nothing fixed rejects may not be given an instance now; `None` if it may.
pub(super) fn newcomer<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    changing(survey, wanted, node, number).or_else(|| memory(survey, wanted, node))
}

/// Why a node may not keep an instance that it holds; `None` if it may.
pub(super) fn keeper<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    fixed(survey, wanted, node).or_else(|| changing(survey, wanted, node, number))
}

/// Why a node is to have no instance of a daemon. What it cannot do now, or has no room for, does not matter: its
/// instance could run nowhere else. What it lacks for good is another question ([`unfit`]).
pub(super) fn unsuitable<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    drains(survey, node)
        .or_else(|| affinity(survey, wanted, node, number, true))
        .or_else(|| affinity(survey, wanted, node, number, false))
        .or_else(|| elsewhere(survey, wanted, node, number))
}

/// Why a node could never run an instance of the service, whoever wants it to.
pub(super) fn unfit<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
) -> Option<Rejection<'v>> {
    driver(survey, wanted, node)
        .or_else(|| cores(survey, wanted, node))
        .or_else(|| foreign(survey, wanted, node))
}

/// Whether the documents alone allow the node: what the half that must be seen is counted over.
pub(super) fn is_eligible(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    node: usize,
    number: u32,
) -> bool {
    let documented = || wanted.hard.iter().filter(|rule| rule.is_documented());
    survey.nodes[node].member.availability == Availability::Active
        && documented().all(|rule| rule.is_satisfied(survey, node, wanted.asker(number)))
}

/// What is the same for all instances of the service.
pub(super) fn fixed<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
) -> Option<Rejection<'v>> {
    drains(survey, node)
        .or_else(|| affinity(survey, wanted, node, 0, true))
        .or_else(|| unable(survey, node))
        .or_else(|| unfit(survey, wanted, node))
}

/// Whether the node takes new work at all.
pub(super) fn is_open(survey: &Survey<'_>, node: usize) -> bool {
    unready(survey, node).is_none()
        && drains(survey, node).is_none()
        && unable(survey, node).is_none()
}

/// Whether the node satisfies what the service asks for and is the same for all of its instances.
pub(super) fn is_suitable(survey: &Survey<'_>, wanted: &Wanted<'_>, node: usize) -> bool {
    ephemeral(survey, wanted, node).is_none()
        && affinity(survey, wanted, node, 0, true).is_none()
        && unfit(survey, wanted, node).is_none()
}

/// What depends on the instance, or on what was given away already.
pub(super) fn changing<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    let rules = !wanted.fixed;
    rules
        .then(|| affinity(survey, wanted, node, number, false))
        .flatten()
        .or_else(|| apart(survey, wanted, node, number))
        .or_else(|| port(survey, wanted, node, number))
        .or_else(|| full(survey, wanted, node))
        .or_else(|| refusal(survey, wanted, node, number))
}

/// The node has as many of the service as it may have. Those that are kept are counted first, the lower numbers
/// before the higher, so where a node has too many the highest leave.
fn full<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, node: usize) -> Option<Rejection<'v>> {
    let most = wanted.service.deploy.max_per_node?;
    (survey.on_node[node] >= most.get()).then_some(Rejection::Full { most })
}

/// Only a fresh node whose engine works now gets new work. What it holds it keeps.
fn unready<'v>(survey: &Survey<'v>, node: usize) -> Option<Rejection<'v>> {
    silent(survey, node).or_else(|| engine(survey, node))
}

fn engine<'v>(survey: &Survey<'v>, node: usize) -> Option<Rejection<'v>> {
    match &survey.nodes[node].report?.engine.state {
        EngineState::Working => None,
        EngineState::Starting => Some(Rejection::EngineSilent),
        EngineState::Troubled { problem, .. } => Some(Rejection::EngineTroubled(problem)),
        EngineState::Failed { problem, .. } => Some(Rejection::EngineFailed(problem)),
    }
}

fn silent<'v>(survey: &Survey<'v>, node: usize) -> Option<Rejection<'v>> {
    match survey.nodes[node].freshness {
        Freshness::Fresh => None,
        other @ (Freshness::Late | Freshness::Stale | Freshness::Absent | Freshness::Gone) => {
            Some(Rejection::NotFresh(other))
        }
    }
}

fn drains<'v>(survey: &Survey<'v>, node: usize) -> Option<Rejection<'v>> {
    match survey.nodes[node].member.availability {
        Availability::Active => None,
        Availability::Drain => Some(Rejection::Drains),
    }
}

/// A node that may vanish at any time gets no data (as Kontena). What is bound to it already stays.
fn ephemeral<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, node: usize) -> Option<Rejection<'v>> {
    let mut labels = survey.nodes[node].member.labels.iter();
    let mut is_ephemeral = || labels.any(|label| label.split('=').next() == Some(EPHEMERAL));
    (wanted.service.is_bound() && is_ephemeral()).then_some(Rejection::Ephemeral)
}

/// The first hard rule that the node breaks, among those that are fixed or among the others.
fn affinity<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
    fixed: bool,
) -> Option<Rejection<'v>> {
    let rules = wanted.hard.iter().filter(|rule| rule.is_fixed() == fixed);
    let asker = wanted.asker(number);
    rules
        .filter(|rule| !rule.is_satisfied(survey, node, asker))
        .map(|rule| Rejection::Affinity(rule.affinity))
        .next()
}

fn unable<'v>(survey: &Survey<'v>, node: usize) -> Option<Rejection<'v>> {
    let needs = survey.view.documents.grid.placement_version;
    let Some(report) = survey.nodes[node].report else {
        return Some(Rejection::Unreported);
    };
    if report.placement_version < needs {
        let knows = report.placement_version;
        return Some(Rejection::TooOld { knows, needs });
    }
    if let EngineState::Failed { problem, .. } = &report.engine.state {
        return Some(Rejection::EngineFailed(problem));
    }
    match &report.disk {
        Disk::Working => None,
        Disk::Failed { problem, .. } => Some(Rejection::DiskFailed(problem)),
    }
}

/// The engine has fewer cores in all than the service asks for (as Kontena): Docker would refuse the container. An engine
/// that has not said how many is let be.
fn cores<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, node: usize) -> Option<Rejection<'v>> {
    let needs = wanted.service.resources.cpus?;
    let has = survey.nodes[node].report?.engine.cpus;
    let are_too_few = has > 0 && u64::from(has) * 1_000 < u64::from(needs.thousandths());
    are_too_few.then_some(Rejection::TooFewCores { has, needs })
}

/// The engine has not the driver of a volume (as Kontena). One that has not said which ones it has is let be.
fn driver<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, node: usize) -> Option<Rejection<'v>> {
    let has = &survey.nodes[node].report?.engine.volume_drivers;
    let mut volumes = wanted.volumes.iter();
    let lacking = volumes.find(|(_, volume)| !has.contains(&volume.driver))?;
    let (volume, Definition { driver, .. }) = *lacking;
    (!has.is_empty()).then_some(Rejection::NoDriver { driver, volume })
}

/// The image was built for other processors than the node's, as far as both are known.
fn foreign<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, node: usize) -> Option<Rejection<'v>> {
    let built_for = wanted.image?.platforms()?;
    let has = survey.nodes[node].report?.engine.architecture.as_str();
    (!built_for.run_on(has)).then_some(Rejection::ForOthers { has, built_for })
}

/// The memory that instances on the node have set aside leaves too little for one more. Whoever holds an instance keeps
/// it, however full its node is (as Kontena).
pub(super) fn memory<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
) -> Option<Rejection<'v>> {
    let needs = wanted.service.resources.memory?;
    let has = survey.nodes[node].report?.engine.memory_bytes;
    if has == 0 {
        return None;
    }
    let taken = survey.memory_taken(node);
    let is_too_little = taken.saturating_add(needs) > has;
    is_too_little.then_some(Rejection::TooLittleMemory { has, taken, needs })
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    match bytes {
        0 => "none".to_owned(),
        bytes if bytes < MEBIBYTE => format!("{bytes} B"),
        bytes => format!("{} MiB", bytes / MEBIBYTE),
    }
}

/// The first host port of the service that somebody else has on the node.
pub(super) fn port<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    wanted.service.ports.iter().find_map(|port| {
        let claim = survey.claim(node, port.node_port)?;
        let ours = claim.number == number && claim.key == wanted.key;
        (!ours).then_some(Rejection::PortTaken {
            port: port.node_port,
            service: claim.key,
            number: claim.number,
        })
    })
}

/// The volumes of others that it mounts are not here (as Kontena, which asked for one of them alone).
fn apart<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    let sourceless = || sourceless(survey, wanted, number).map(Rejection::Sourceless);
    elsewhere(survey, wanted, node, number).or_else(sourceless)
}

/// They are on another node.
fn elsewhere<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    let (source, home) = sources::home(survey, wanted, number)?.ok()?;
    let index = survey.index(&home);
    (index != Some(node)).then(|| Rejection::Elsewhere {
        source,
        node: index.map(|home| &survey.nodes[home].member.name),
    })
}

/// Nobody can say where they are.
pub(super) fn sourceless(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
) -> Option<Sourceless> {
    sources::home(survey, wanted, number)?.err()
}

fn refusal<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    node: usize,
    number: u32,
) -> Option<Rejection<'v>> {
    let refusals = &survey.nodes[node].report?.refusals;
    if refusals.is_empty() {
        return None;
    }
    let instance = InstanceId::new(wanted.key.clone(), number);
    refusals.get(&instance).map(|why| Rejection::Refuses(why))
}
