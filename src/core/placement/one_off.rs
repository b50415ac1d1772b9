//! Where a one-off container of a service runs: a command beside its instances, which nobody keeps or takes over.
//!
//! In: the view, and what a person wishes. Out: a node that the service's own filters allow and that has the data of the
//! instance whose place it takes, or why there is none. What one instance alone can have (a host port, a share of
//! `max_per_node`, a refusal) is not asked.

use crate::id::{InstanceId, NodeId, NodeName, ServiceKey};
use crate::stack::{Service, Strategy};
use crate::view::{ServiceRecord, View};

use super::score::Scores;
use super::survey::{DAEMON_STRIDE, Survey};
use super::wanted::Wanted;
use super::words::name;
use super::{filter, in_order, place_service, readable};

/// So many nodes are named with what is against each.
const NAMED: usize = 5;

/// What a person says of it.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The instance whose volumes it mounts.
    pub number: Option<u32>,
    pub node: Option<NodeId>,
    /// The node that is asked, which is chosen if it is as good as any.
    pub asked: NodeId,
}

/// Where it runs, and as which instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Berth {
    pub node: NodeId,
    pub number: u32,
    /// The deploy whose definition it has.
    pub generation: u64,
}

/// Why it runs nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBerth {
    #[error("service `{0}` was never deployed")]
    NeverDeployed(ServiceKey),
    #[error("service `{key}` cannot be run: {problem}")]
    Unreadable { key: ServiceKey, problem: String },
    #[error("service `{key}` has no instance {number}")]
    NoInstance { key: ServiceKey, number: u32 },
    #[error("the data of `{0}` is on no node yet")]
    NoData(InstanceId),
    #[error("the data of `{instance}` is on node `{node}`, and nowhere else")]
    Elsewhere { instance: InstanceId, node: String },
    #[error("node `{node}` cannot run it: {reason}")]
    Rejected { node: String, reason: String },
    #[error("no node can run it: {}", listing(.0))]
    NoneFits(Vec<(String, String)>),
}

/// The node that a one-off container of a service is to run on.
///
/// # Errors
/// Why there is none.
pub fn one_off(view: &View, key: &ServiceKey, wish: Wish) -> Result<Berth, NoBerth> {
    let never = || NoBerth::NeverDeployed(key.clone());
    let (key, record) = view
        .documents
        .services
        .get_key_value(key)
        .ok_or_else(never)?;
    let generation = record.deployed.as_ref().ok_or_else(never)?.generation;
    let service = readable(view, record).map_err(|problem| NoBerth::Unreadable {
        key: key.clone(),
        problem,
    })?;
    let wanted = Wanted::deployed(view, key, service, record);
    let search = Search {
        survey: surveyed(view, key, service, record),
        wanted,
        record,
        wish,
    };
    let node = search.node()?;
    Ok(Berth {
        node: search.survey.nodes[node].id,
        number: search.number(node),
        generation,
    })
}

/// With all services placed, this one last, so that it is at hand.
fn surveyed<'v>(
    view: &'v View,
    key: &'v ServiceKey,
    service: &'v Service,
    record: &'v ServiceRecord,
) -> Survey<'v> {
    let mut survey = Survey::of(view);
    for (key, record) in in_order(view).filter(|(other, _)| *other != key) {
        place_service(&mut survey, key, record, &mut |_, _, _, _| ());
    }
    // One that is stopped is placed nowhere.
    survey.begin(key, service);
    place_service(&mut survey, key, record, &mut |_, _, _, _| ());
    survey
}

struct Search<'v> {
    survey: Survey<'v>,
    wanted: Wanted<'v>,
    record: &'v ServiceRecord,
    wish: Wish,
}

impl Search<'_> {
    fn node(&self) -> Result<usize, NoBerth> {
        let home = self.home()?;
        let wished = self.wish.node.and_then(|id| self.survey.index(&id));
        match (home, wished) {
            (Some(home), Some(node)) if home != node => Err(self.elsewhere(home)),
            (Some(node), _) | (None, Some(node)) => self.fitting(node),
            (None, None) => self.best(),
        }
    }

    fn is_daemon(&self) -> bool {
        self.wanted.service.deploy.strategy == Strategy::Daemon
    }

    /// The instance whose place it takes on a node: each node has those of a daemon for itself.
    fn number(&self, node: usize) -> u32 {
        let first = match self.is_daemon() {
            true => self.survey.nodes[node].number,
            false => 1,
        };
        self.wish.number.unwrap_or(first)
    }

    /// The only node where it can have what it mounts.
    fn home(&self) -> Result<Option<usize>, NoBerth> {
        let (number, is_stateful) = (self.wish.number, self.wanted.service.stateful);
        match (number, self.is_daemon()) {
            (None, true) => Ok(None),
            (Some(number), true) => {
                let nodes = &self.survey.nodes;
                let home = nodes
                    .iter()
                    .position(|node| node.number == number % DAEMON_STRIDE);
                home.map(Some).ok_or_else(|| self.no_instance(number))
            }
            (Some(number), false) if !(1..=self.record.instances).contains(&number) => {
                Err(self.no_instance(number))
            }
            (number, false) if is_stateful => self.bound(number.unwrap_or(1)).map(Some),
            (Some(number), false) if self.wanted.has_own_volumes() => self.holder(number).map(Some),
            (Some(_) | None, false) => Ok(None),
        }
    }

    fn no_instance(&self, number: u32) -> NoBerth {
        NoBerth::NoInstance {
            key: self.wanted.key.clone(),
            number,
        }
    }

    fn instance(&self, number: u32) -> InstanceId {
        InstanceId::new(self.wanted.key.clone(), number)
    }

    /// Where a stateful instance has its data. A binding of which nothing was made yet may be given up, and what was
    /// written there with it.
    fn bound(&self, number: u32) -> Result<usize, NoBerth> {
        let instance = self.instance(number);
        let pin = self.record.pins.get(&number);
        let node = pin.and_then(|pin| self.survey.index(&pin.node));
        let is_made = |node: &usize| {
            let report = self.survey.nodes[*node].report;
            report.is_some_and(|report| report.made.contains(&instance))
        };
        let made = node.filter(is_made);
        made.ok_or_else(|| NoBerth::NoData(instance.clone()))
    }

    fn holder(&self, number: u32) -> Result<usize, NoBerth> {
        let holders = self.wanted.holders(&self.survey, number, false);
        let no_data = || NoBerth::NoData(self.instance(number));
        holders
            .first()
            .map(|holder| holder.node)
            .ok_or_else(no_data)
    }

    fn elsewhere(&self, home: usize) -> NoBerth {
        NoBerth::Elsewhere {
            instance: self.instance(self.number(home)),
            node: self.name(home),
        }
    }

    fn name(&self, node: usize) -> String {
        let Self { survey, .. } = self;
        let name: Option<NodeName> = name(survey.view, &survey.nodes[node].id);
        name.map(|name| name.to_string()).unwrap_or_default()
    }

    fn against(&self, node: usize) -> Option<String> {
        let rejection = filter::one_off(&self.survey, &self.wanted, node, self.number(node));
        rejection.map(|rejection| rejection.to_string())
    }

    fn fitting(&self, node: usize) -> Result<usize, NoBerth> {
        match self.against(node) {
            None => Ok(node),
            Some(reason) => Err(NoBerth::Rejected {
                node: self.name(node),
                reason,
            }),
        }
    }

    fn best(&self) -> Result<usize, NoBerth> {
        let nodes = 0..self.survey.nodes.len();
        let best = nodes
            .clone()
            .filter(|node| self.against(*node).is_none())
            .min_by_key(|node| self.rank(*node));
        best.ok_or_else(|| {
            let named = nodes.filter_map(|node| Some((self.name(node), self.against(node)?)));
            NoBerth::NoneFits(named.collect())
        })
    }

    /// Smaller is better: its own volumes are there, it is the node that is asked, the image is there.
    fn rank(&self, node: usize) -> (bool, u32, bool, bool, Scores) {
        let number = self.number(node);
        let scores = self.wanted.scores(&self.survey, node, number);
        let Scores { crowd, .. } = scores;
        let is_other = self.survey.nodes[node].id != self.wish.asked;
        let holds_none = self.survey.on_node[node] == 0;
        (
            crowd.cut_off,
            crowd.lacks_volumes,
            is_other,
            holds_none,
            scores,
        )
    }
}

fn listing(against: &[(String, String)]) -> String {
    let named = against.iter().take(NAMED);
    let named: Vec<String> = named.map(|(node, why)| format!("{node} {why}")).collect();
    let others = against.len().saturating_sub(NAMED);
    match others {
        0 => named.join("; "),
        others => format!("{}; and {others} others", named.join("; ")),
    }
}
