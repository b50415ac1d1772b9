//! Why an instance is where it is: the same decision once more, with everything that was weighed.
//!
//! For `kontena why`: serialises into stable JSON, and prints as aligned text. Node ids become names.
//!
//! Not here: any rule. Each verdict asks the functions that the decision itself asks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, NodeName, ServiceKey};
use crate::stack::Strategy;
use crate::view::{Availability, Freshness, View};

use super::score::Scores;
use super::standby::standbys;
use super::survey::Survey;
use super::wanted::Wanted;
use super::words::{name, reason, shown};
use super::{Assignment, Reason, ServicePlacement, Wait, in_order, place_service};
use super::{domains, filter};

/// The placement of one service, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub service: ServiceKey,
    /// Why nothing, or not the instance asked for, is placed.
    pub problem: Option<String>,
    pub instances: Vec<Explained>,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub number: u32,
    /// The node that is to run it.
    pub holder: Option<NodeName>,
    /// The rule that held, for people: `kept by a`, `waits: no node fits` …
    pub reason: String,
    /// Nodes that hold it and are to give it up.
    pub outgoing: Vec<NodeName>,
    /// Every roster member, by name.
    pub nodes: Vec<Row>,
}

/// One node, as it looked to the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub node: NodeName,
    /// Its labels, and whatever is unusual about it: `drain`, `stale`, `cut off` …
    pub facts: Vec<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the node says of the instance that it holds: why it failed, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether it comes next for the service, and so has its image ready, or should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,
}

/// A node that is to keep the image of the service ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standby {
    /// Whether it says that it has the image.
    pub has_image: bool,
    /// Why it has not, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// It is to run the instance.
    Chosen {
        #[serde(flatten)]
        weight: Weight,
    },
    Eligible {
        #[serde(flatten)]
        weight: Weight,
    },
    Rejected {
        reason: String,
    },
}

/// What orders the nodes that fit: smaller comes first, of `score` the larger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// It refuses another instance of the service, and comes after those that do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses: bool,
    /// Soft affinities that the node misses.
    pub misses: u32,
    /// Other instances of this service in the node's zone; in the first of `domains`, where there are any.
    pub in_zone: u32,
    /// What the service is spread over by `deploy.spread`, the widest first; empty for zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
    /// Other instances of this service on the node.
    pub of_service: u32,
    /// Instances of all services on the node.
    pub on_node: u32,
    /// It says that it has the image, and comes before those that are equal otherwise and do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_image: bool,
    /// The rendezvous score, 16 hexadecimal digits (JSON numbers are not exact that far).
    pub score: String,
}

/// A part of the grid that the service is spread over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// `rack=r1`; `rack=default` are the nodes without the label.
    pub label: String,
    /// Other instances of this service in it.
    pub instances: u32,
}

/// Explains one instance of a service, or all.
pub fn explain(view: &View, key: &ServiceKey, number: Option<u32>) -> Explanation {
    let mut explanation = Explanation {
        service: key.clone(),
        problem: None,
        instances: Vec::new(),
    };
    let services = &view.documents.services;
    let Some(record) = services.get(key) else {
        explanation.problem = Some("no such service".to_owned());
        return explanation;
    };
    let standbys = standbys(view, key);
    let mut survey = Survey::of(view);
    for (earlier, record) in in_order(view).take_while(|(other, _)| *other != key) {
        place_service(&mut survey, earlier, record, &mut |_, _, _, _| ());
    }
    let placed = place_service(
        &mut survey,
        key,
        record,
        &mut |survey, wanted, at, decided| {
            if number.is_none_or(|number| number == at) {
                explanation
                    .instances
                    .push(explained(survey, wanted, at, decided, &standbys));
            }
        },
    );
    explanation
        .instances
        .sort_by_key(|instance| instance.number);
    explanation.problem = match placed {
        ServicePlacement::Idle(idle) => Some(idle.to_string()),
        ServicePlacement::Frozen(problem) => Some(format!("keeps what it runs: {problem}")),
        ServicePlacement::Placed(_) if !explanation.instances.is_empty() => None,
        ServicePlacement::Placed(_) => Some(nothing_wanted(number)),
    };
    explanation
}

fn nothing_wanted(number: Option<u32>) -> String {
    match number {
        Some(number) => format!("instance {number} is not wanted"),
        None => "no instance is wanted".to_owned(),
    }
}

fn explained(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
    decided: &Assignment,
    standbys: &[NodeId],
) -> Explained {
    let row = |node: usize| Row {
        standby: standbys
            .contains(&survey.nodes[node].id)
            .then(|| standby(survey, wanted, node)),
        ..row(survey, wanted, number, node, decided)
    };
    let mut nodes: Vec<Row> = (0..survey.nodes.len()).map(row).collect();
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    let outgoing = decided.leaving.iter().chain(&decided.rivals);
    Explained {
        number,
        holder: decided.holder.and_then(|id| name(survey.view, &id)),
        reason: reason_of(survey.view, wanted, decided),
        outgoing: outgoing.filter_map(|id| name(survey.view, id)).collect(),
        nodes,
    }
}

fn row(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
    node: usize,
    decided: &Assignment,
) -> Row {
    let chosen = decided.holder == Some(survey.nodes[node].id);
    let weight = || weight(survey, wanted, node, number);
    let rejection = rejection(survey, wanted, number, node, decided);
    Row {
        node: survey.nodes[node].member.name.clone(),
        facts: facts(survey, node),
        verdict: match rejection {
            _ if chosen => Verdict::Chosen { weight: weight() },
            Some(reason) => Verdict::Rejected { reason },
            None => Verdict::Eligible { weight: weight() },
        },
        problem: problem(survey, wanted, number, node),
        standby: None,
    }
}

fn standby(survey: &Survey<'_>, wanted: &Wanted<'_>, node: usize) -> Standby {
    let has_image = wanted.has_image(survey, node);
    let report = survey.nodes[node].report.filter(|_| !has_image);
    let missing = report.map(|report| &report.missing_images);
    let problem = missing.and_then(|missing| missing.get(&wanted.mark()).cloned());
    Standby { has_image, problem }
}

fn weight(survey: &Survey<'_>, wanted: &Wanted<'_>, node: usize, number: u32) -> Weight {
    let Scores { crowd, rendezvous } = wanted.scores(survey, node, number);
    let labels = domains::labels(survey.nodes[node].member, &wanted.service.deploy.spread);
    let domains = labels.into_iter().zip(crowd.domains);
    Weight {
        refuses: crowd.refuses,
        misses: crowd.misses.count_ones(),
        in_zone: crowd.domains[0],
        domains: domains
            .map(|(label, instances)| Domain { label, instances })
            .collect(),
        of_service: crowd.service,
        on_node: crowd.fullness.total(),
        has_image: wanted.has_image(survey, node),
        score: format!("{:016x}", rendezvous.0),
    }
}

fn problem(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32, node: usize) -> Option<String> {
    let mut holders = survey.holders(wanted.key, number).iter();
    let holder = holders.find(|holder| holder.node == node)?;
    holder.hold.problem.clone()
}

/// The rule that decided, and of a job when it is run.
fn reason_of(view: &View, wanted: &Wanted<'_>, decided: &Assignment) -> String {
    let said = reason(view, decided);
    let Some(schedule) = &wanted.service.deploy.schedule else {
        return said;
    };
    match (&decided.reason, decided.holder) {
        (Reason::Waits(Wait::PinLost { node }), _) => format!(
            "waits: it is bound to {}, which was removed: `kontena service force-move` binds it to another",
            shown(view, node)
        ),
        (_, Some(_)) => format!(
            "{said}: a job, run there at `{}` ({})",
            schedule.cron, schedule.time_zone
        ),
        (_, None) => said,
    }
}

/// Why a node that was not chosen could not have been.
fn rejection(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
    node: usize,
    decided: &Assignment,
) -> Option<String> {
    if wanted.service.deploy.strategy == Strategy::Daemon {
        return Some(daemon_rejection(survey, wanted, number, node));
    }
    let elsewhere = bound_to(decided).filter(|id| *id != survey.nodes[node].id);
    match elsewhere.filter(|_| wanted.service.is_bound()) {
        Some(id) if wanted.service.stateful => {
            Some(format!("its data is on {}", shown(survey.view, &id)))
        }
        Some(id) => Some(format!("it is bound to {}", shown(survey.view, &id))),
        None => filter::candidate(survey, wanted, node, number).map(|why| why.to_string()),
    }
}

/// The node that a stateful instance cannot leave.
fn bound_to(decided: &Assignment) -> Option<NodeId> {
    let Reason::Waits(wait) = &decided.reason else {
        return decided.holder;
    };
    match wait {
        Wait::HolderAbsent { node } | Wait::PinDrains { node } | Wait::PinLost { node } => {
            Some(*node)
        }
        Wait::RunsElsewhere { pin, .. } => Some(*pin),
        Wait::NoNodeFits
        | Wait::Sourceless(_)
        | Wait::TooFewSeen { .. }
        | Wait::TooEarly { .. }
        | Wait::NotTakenOver { .. }
        | Wait::NotBound => decided.holder,
    }
}

fn daemon_rejection(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32, node: usize) -> String {
    filter::unsuitable(survey, wanted, node, number)
        .or_else(|| filter::unfit(survey, wanted, node))
        .or_else(|| filter::port(survey, wanted, node, number))
        .map_or_else(
            || "has instances of its own".to_owned(),
            |why| why.to_string(),
        )
}

fn facts(survey: &Survey<'_>, node: usize) -> Vec<String> {
    let node = &survey.nodes[node];
    let drain = (node.member.availability == Availability::Drain).then(|| "drain".to_owned());
    let silent = (node.freshness != Freshness::Fresh).then(|| node.freshness.to_string());
    let labels = node.member.labels.iter().cloned();
    let cut_off = node.cut_off.then(|| "cut off".to_owned());
    labels.chain(drain).chain(silent).chain(cut_off).collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(problem) = &self.problem {
            writeln!(f, "{}: {problem}", self.service)?;
        }
        for instance in &self.instances {
            writeln!(
                f,
                "{}.{} {}",
                self.service, instance.number, instance.reason
            )?;
            instance.write_nodes(f)?;
        }
        Ok(())
    }
}

impl Explained {
    fn write_nodes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts: Vec<String> = self.nodes.iter().map(|row| row.facts.join(", ")).collect();
        let chars = |text: &str| text.chars().count();
        let names = self.nodes.iter().map(|row| chars(row.node.as_str()));
        let names = names.max().unwrap_or(0);
        let widest = facts.iter().map(|facts| chars(facts)).max().unwrap_or(0);
        for (row, facts) in self.nodes.iter().zip(&facts) {
            write!(f, "  {:names$}  {facts:widest$}  {}", row.node, row.verdict)?;
            if let Some(standby) = &row.standby {
                write!(f, "; {standby}")?;
            }
            writeln!(f)?;
            if let Some(problem) = &row.problem {
                writeln!(f, "  {:names$}  says: {problem}", "")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.has_image, &self.problem) {
            (true, _) => f.write_str("standby"),
            (false, None) => f.write_str("standby without image"),
            (false, Some(problem)) => write!(f, "standby without image: {problem}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen { weight } => write!(f, "chosen    {weight}"),
            Self::Eligible { weight } => write!(f, "eligible  {weight}"),
            Self::Rejected { reason } => f.write_str(reason),
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refuses,
            misses,
            in_zone,
            domains,
            of_service,
            on_node,
            has_image,
            score,
        } = self;
        if *refuses {
            f.write_str("refuses another instance, ")?;
        }
        write!(f, "misses {misses}, ")?;
        if domains.is_empty() {
            write!(f, "in zone {in_zone}, ")?;
        }
        for Domain { label, instances } in domains {
            write!(f, "in {label} {instances}, ")?;
        }
        write!(f, "of service {of_service}, on node {on_node}, ")?;
        if *has_image {
            f.write_str("has the image, ")?;
        }
        write!(f, "score {score}")
    }
}
