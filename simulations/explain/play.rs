//! The story itself: deploy, death, return; and what was seen of each instance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::membership::freshness::Pace;
use kontena_core::placement::{Explained, Verdict, explain};
use kontena_core::reconcile::action::ContainerId;
use kontena_core::view::{Availability, View};

use super::stage::{Stage, refused};
use super::story::{Back, Death, Lost, Placed, Rejected, Stands, Story, Successor};
use super::witness::Witness;
use crate::failure::Failure;
use crate::world::World;

/// What has not changed for so long is settled: twice the longest time between two signs of one change,
/// which is the wait of a node that doubts itself (30 s).
const QUIET: Duration = Duration::from_secs(60);

/// Nothing is waited for longer: the longest grace is 15 minutes.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Which containers run where.
type Running = BTreeMap<InstanceId, BTreeMap<usize, ContainerId>>;

pub(super) fn play(mut stage: Stage, killed: &BTreeSet<usize>) -> Result<Story, Failure> {
    let reasons = deploy(&mut stage)?;
    let limit = absent_after(&stage);
    settle(&mut stage.world, QUIET, |_| ());
    let placed = placed(&stage, &reasons);
    let nodes = stands(&stage, killed);
    let death = match killed.is_empty() {
        true => None,
        false => Some(die(&mut stage, killed)),
    };
    Ok(Story {
        stack: stage.stack.to_string(),
        nodes,
        absent_after_seconds: limit.as_secs_f64(),
        placed,
        death,
    })
}

fn absent_after(stage: &Stage) -> Duration {
    Pace::of(stage.names.len()).absent
}

/// Deploys; what each instance's placement looked like before anything of it was started.
fn deploy(stage: &mut Stage) -> Result<BTreeMap<InstanceId, Explained>, Failure> {
    let world = &mut stage.world;
    let id = world.give(0, Command::DeployStack(stage.stack.clone()));
    let start = world.now();
    let mut reasons = None;
    while world.now().since(start) < QUIET {
        if reasons.is_none() && is_deployed(&world.hosts[0].view) {
            reasons = Some(explained(&before_any_start(&world.hosts[0].view)));
        }
        match (world.reply(id), &reasons) {
            (Some(Err(refusal)), _) => return Err(refused(&refusal)),
            (Some(Ok(_)), Some(reasons)) => return Ok(reasons.clone()),
            (Some(Ok(_)), None) | (None, _) => world.step(),
        }
    }
    Err(Failure::failed("the grid did not deploy the stack in time"))
}

/// As every node sees it when it decides: the first node has begun in the moment in which it deployed.
fn before_any_start(view: &View) -> View {
    let mut view = view.clone();
    for report in view.reports.values_mut() {
        Arc::make_mut(report).holds.clear();
    }
    view
}

fn is_deployed(view: &View) -> bool {
    let mut services = view.documents.services.values();
    services.all(|record| record.deployed.is_some())
}

/// Every instance that is wanted, with the reason for where it is.
fn explained(view: &View) -> BTreeMap<InstanceId, Explained> {
    let mut all = BTreeMap::new();
    for key in view.documents.services.keys() {
        for instance in explain(view, key, None).instances {
            all.insert(InstanceId::new(key.clone(), instance.number), instance);
        }
    }
    all
}

fn stands(stage: &Stage, killed: &BTreeSet<usize>) -> Vec<Stands> {
    let roster = &stage.world.hosts[0].view.documents.roster;
    let nodes = stage.names.iter().enumerate().map(|(host, name)| {
        let member = &roster[&stage.world.id(host)];
        Stands {
            name: name.clone(),
            labels: member.labels.clone(),
            drains: member.availability == Availability::Drain,
            killed: killed.contains(&host),
        }
    });
    nodes.collect()
}

fn placed(stage: &Stage, reasons: &BTreeMap<InstanceId, Explained>) -> Vec<Placed> {
    let running = running(&stage.world);
    let now = explained(&stage.world.hosts[0].view);
    let placed = now.iter().map(|(instance, now)| {
        let nodes = running.get(instance).into_iter().flat_map(BTreeMap::keys);
        let told = reasons
            .get(instance)
            .filter(|then| then.holder == now.holder);
        let told = told.unwrap_or(now);
        Placed {
            instance: shown(instance),
            nodes: nodes.map(|host| stage.names[*host].clone()).collect(),
            why: told.reason.clone(),
            rejected: rejected(told),
        }
    });
    placed.collect()
}

fn rejected(explained: &Explained) -> Vec<Rejected> {
    if explained.holder.is_some() {
        return Vec::new();
    }
    let rows = explained.nodes.iter().filter_map(|row| match &row.verdict {
        Verdict::Rejected { reason } => Some(Rejected {
            node: row.node.to_string(),
            reason: reason.clone(),
        }),
        Verdict::Chosen { .. } | Verdict::Eligible { .. } => None,
    });
    rows.collect()
}

/// The nodes lose their power, and get it back once everything has settled without them.
fn die(stage: &mut Stage, killed: &BTreeSet<usize>) -> Death {
    let before = running(&stage.world);
    for host in killed {
        stage.world.kill_host(*host);
    }
    let mut witness = Witness::new(&stage.world, killed);
    let (after, settled_after) = settle(
        &mut stage.world,
        quiet_without(stage.names.len()),
        |world| {
            witness.look(world);
        },
    );
    let lost = lost(stage, &before, &after, killed, &witness);
    let survivors: Running = survivors(&before, killed);
    let moved_needlessly = changed(&survivors, &after);
    let (back, moved_by_return) = come_back(stage, killed, &after);
    Death {
        killed: killed
            .iter()
            .map(|host| stage.names[*host].clone())
            .collect(),
        lost,
        untouched: survivors.len() - moved_needlessly.len(),
        moved_needlessly,
        settled_after_seconds: settled_after.as_secs_f64(),
        back,
        moved_by_return,
    }
}

/// Silence has to last for the grace before anything follows from it.
fn quiet_without(nodes: usize) -> Duration {
    QUIET + 2 * Pace::of(nodes).absent
}

/// The instances that ran on nodes that live, as they ran there.
fn survivors(before: &Running, killed: &BTreeSet<usize>) -> Running {
    let alive = before.iter().filter_map(|(instance, holders)| {
        let mut holders = holders.clone();
        holders.retain(|host, _| !killed.contains(host));
        (!holders.is_empty()).then(|| (instance.clone(), holders))
    });
    alive.collect()
}

/// Which of `before` run in other containers, or elsewhere.
fn changed(before: &Running, after: &Running) -> Vec<String> {
    let differs = |instance: &InstanceId, holders| after.get(instance) != Some(holders);
    before
        .iter()
        .filter(|(instance, holders)| differs(instance, *holders))
        .map(|(instance, _)| shown(instance))
        .collect()
}

fn lost(
    stage: &Stage,
    before: &Running,
    after: &Running,
    killed: &BTreeSet<usize>,
    witness: &Witness,
) -> Vec<Lost> {
    let viewer = witness.viewer;
    let now = explained(&stage.world.hosts[viewer].view);
    let mut lost = Vec::new();
    for (instance, holders) in before {
        let Some(from) = holders.keys().find(|host| killed.contains(host)) else {
            continue;
        };
        let to = after
            .get(instance)
            .and_then(|holders| holders.keys().next());
        let decided = to.and_then(|host| witness.decided(instance, *host));
        let now = now.get(instance);
        let why = decided.or_else(|| now.map(|now| &now.reason));
        lost.push(Lost {
            instance: shown(instance),
            from: stage.names[*from].clone(),
            to: to.map(|host| Successor {
                node: stage.names[*host].clone(),
                after_seconds: witness.started_after(instance, *host).as_secs_f64(),
            }),
            why: why
                .cloned()
                .unwrap_or_else(|| "is not wanted any more".to_owned()),
            rejected: now.map(rejected).unwrap_or_default(),
        });
    }
    lost
}

fn come_back(
    stage: &mut Stage,
    killed: &BTreeSet<usize>,
    before: &Running,
) -> (Vec<Back>, Vec<String>) {
    let mut witness = Witness::new(&stage.world, killed);
    for host in killed {
        stage.world.boot(*host);
    }
    let (after, _) = settle(&mut stage.world, QUIET, |world| witness.look(world));
    let mut back = Vec::new();
    for (instance, holders) in &after {
        let new = holders.keys().filter(|host| killed.contains(host));
        for host in new {
            back.push(Back {
                instance: shown(instance),
                node: stage.names[*host].clone(),
                after_seconds: witness.started_after(instance, *host).as_secs_f64(),
            });
        }
    }
    (back, changed(before, &after))
}

/// Runs until what runs has not changed for `quiet`; what runs then, and when it last changed.
fn settle(world: &mut World, quiet: Duration, mut look: impl FnMut(&World)) -> (Running, Duration) {
    let start = world.now();
    let (mut last, mut changed) = (running(world), start);
    while world.now().since(changed) < quiet && world.now().since(start) < LIMIT {
        world.step();
        look(world);
        let now = running(world);
        if now != last {
            (last, changed) = (now, world.now());
        }
    }
    (last, changed.since(start))
}

fn running(world: &World) -> Running {
    let mut running = Running::new();
    for (host, machine) in world.hosts.iter().enumerate() {
        for container in machine.engine.running() {
            let holders = running.entry(container.owner.instance.clone()).or_default();
            holders.insert(host, container.id.clone());
        }
    }
    running
}

/// `stack/service.number`, as `kontena why` writes it.
fn shown(instance: &InstanceId) -> String {
    format!("{}.{}", instance.service, instance.number)
}
