//! A run as text: one line for each change of state, a column for each node.

use kontena_core::reconcile::action::{Action, MoveStep};
use kontena_core::time::Instant;
use kontena_core::view::View;

use crate::engine::Change;
use crate::fact::Fact;
use crate::plan::Deed;
use crate::world::World;

/// Characters for the columns of all nodes together.
const WIDTH: usize = 132;

/// A column is never narrower: `+s3-12 e4 g123`.
const NARROWEST: usize = 14;

#[derive(Debug)]
pub struct Trace {
    column: usize,
    hosts: usize,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(hosts: usize, is_wanted: bool) -> Self {
        let column = (WIDTH / hosts.max(1)).clamp(NARROWEST, 28);
        let mut trace = Self {
            column,
            hosts,
            lines: is_wanted.then(Vec::new),
        };
        trace.head();
        trace
    }

    fn head(&mut self) {
        let cells = (0..self.hosts).map(|host| pad(&format!("n{}", host + 1), self.column));
        let line = format!(
            "{:>10} | {}",
            "seconds",
            cells.collect::<Vec<_>>().join("| ")
        );
        self.push(line);
    }

    pub fn lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    fn push(&mut self, line: String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line.trim_end().to_owned());
        }
    }

    pub fn deed(&mut self, now: Instant, deed: &Deed, begins: bool) {
        if self.lines.is_some() {
            let mark = if begins { "begins" } else { "ends" };
            self.note(now, &format!("{mark}: {deed:?}"));
        }
    }

    pub fn note(&mut self, now: Instant, text: &str) {
        self.push(format!("{} | ---- {text}", seconds(now)));
    }

    pub fn fact(&mut self, world: &World, host: usize, fact: &Fact) {
        if self.lines.is_none() {
            return;
        }
        for text in texts(world, host, fact) {
            let cells = (0..self.hosts).map(|column| match column == host {
                true => pad(&text, self.column),
                false => pad("", self.column),
            });
            let cells: Vec<_> = cells.collect();
            self.push(format!("{} | {}", seconds(world.now()), cells.join("| ")));
        }
    }
}

fn seconds(now: Instant) -> String {
    format!("{:>10.3}", now.since_start().as_secs_f64())
}

fn pad(text: &str, width: usize) -> String {
    let cut: String = text.chars().take(width).collect();
    format!("{cut:<width$}")
}

/// What became different.
fn texts(world: &World, host: usize, fact: &Fact) -> Vec<String> {
    match fact {
        Fact::Booted => vec!["boots".to_owned()],
        Fact::ToldToStop => vec!["is told to stop".to_owned()],
        Fact::Died { power: true } => vec!["power off".to_owned()],
        Fact::Died { power: false } => vec!["daemon ends".to_owned()],
        Fact::Replied { reply: Ok(ok), .. } => vec![format!("accepts, on {}", ok.saved_on.len())],
        Fact::Replied { reply: Err(no), .. } => vec![format!("refuses: {no}")],
        Fact::KeyWritten { write, .. } => vec![format!("{}: {:?}", write.key, write.change)],
        Fact::KeyAnswered {
            reply: Ok(event), ..
        } => vec![format!("{}: kept", event.key)],
        Fact::KeyAnswered { reply: Err(no), .. } => vec![format!("key refused: {no}")],
        Fact::Asked(action) => asked(world, host, action).into_iter().collect(),
        Fact::Changed(change) => changed(change).into_iter().collect(),
        Fact::Lost(lost) => vec![format!("loses {} changes", lost.len())],
        Fact::Shown { before, was } => shown(world, host, before, was),
        Fact::Given(_) | Fact::Saved(_) | Fact::Answered { .. } | Fact::Sent { .. } => Vec::new(),
    }
}

fn asked(world: &World, host: usize, action: &Action) -> Option<String> {
    let name = |id| {
        let container = world.hosts[host].engine.get(id);
        container.map_or("?", |container| container.name.as_str())
    };
    match action {
        Action::Run(spec) => {
            let labels = &spec.labels;
            let (epoch, generation) = (labels.epoch, labels.generation);
            Some(format!("run {} e{epoch} g{generation}", spec.name))
        }
        Action::Start { container } => Some(format!("start {}", name(container))),
        Action::Stop { container, .. } => Some(format!("stop {}", name(container))),
        Action::Remove { container } => Some(format!("remove {}", name(container))),
        Action::RemoveVolume { name, .. } => Some(format!("remove volume {name}")),
        Action::Move(step) => Some(step_words(step)),
        Action::Rename {
            container,
            name: new,
        } => Some(format!("rename {} to {new}", name(container))),
        Action::Hook { hook, .. } => Some(format!("hook {hook}")),
        Action::Command {
            container, hook, ..
        } => Some(format!("hook {hook} in {}", name(container))),
        Action::Fetch { .. }
        | Action::Probe { .. }
        | Action::Check { .. }
        | Action::LastLines { .. } => None,
    }
}

fn step_words(step: &MoveStep) -> String {
    match step {
        MoveStep::Send { copies, .. } => format!("send {} copies", copies.len()),
        MoveStep::Bring { instance, .. } => format!("bring {instance}"),
        MoveStep::Accept { instance, .. } => format!("accept {instance}"),
        MoveStep::Release { instance, .. } => format!("release {instance}"),
        MoveStep::Discard { instance } => format!("discard {instance}"),
    }
}

fn changed(change: &Change) -> Option<String> {
    match change {
        Change::Started(container) => {
            let owner = &container.owner;
            let (epoch, generation) = (owner.epoch, owner.generation);
            Some(format!("+{} e{epoch} g{generation}", container.name))
        }
        Change::Ended { container, by_node } => {
            let how = if *by_node { "" } else { " ended" };
            Some(format!("-{}{how}", container.name))
        }
        Change::FellIll(container) => Some(format!("{} falls ill", container.name)),
        Change::Removed(_) => None,
    }
}

fn shown(
    world: &World,
    host: usize,
    before: &View,
    was: &kontena_core::node::Phase,
) -> Vec<String> {
    let machine = &world.hosts[host];
    let mut texts = Vec::new();
    if machine.status.phase != *was {
        texts.push(format!("is {:?}", machine.status.phase));
    }
    let after = &machine.view;
    if before.documents != after.documents {
        let (services, nodes) = (after.documents.services.len(), after.documents.roster.len());
        texts.push(format!("knows {services} sv {nodes} nd"));
    }
    for (node, standing) in &after.standings {
        let known = before
            .standings
            .get(node)
            .map(|standing| standing.freshness);
        let other = world.hosts.iter().position(|host| host.id() == *node);
        if known != Some(standing.freshness)
            && let Some(other) = other.filter(|other| *other != host)
        {
            texts.push(format!("n{} {}", other + 1, standing.freshness));
        }
    }
    texts
}
