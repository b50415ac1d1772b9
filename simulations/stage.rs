//! A plan on stage: deeds begin and end in a world, and what they trouble is known.

mod calm;
mod conditions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::command::{Command, CommandId};
use kontena_core::id::{InstanceId, NodeId};
use kontena_core::node::Phase;
use kontena_core::time::Instant;

pub use calm::Calm;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::plan::{
    Ask, Deed, Plan, SERVICES, Shape, VERSIONS, key, key_write, rebuilt, stack_images,
};
use crate::world::World;

/// A grid that has just been formed is left alone for so long.
const FORMED_FOR: Duration = Duration::from_secs(90);

/// A world in which a plan is carried out.
#[derive(Debug)]
pub struct Stage {
    pub world: World,
    pub calm: Calm,
    /// When the grid was formed: steps count from here.
    pub formed: Instant,
    token: String,
    /// Steps under way, by their number in the plan.
    active: BTreeMap<usize, Deed>,
    /// Copies of disks, and whose they are, by the step that puts them back.
    copies: BTreeMap<usize, (NodeId, Disk)>,
    /// Nodes whose machines were lost for good, and the hosts that take their place.
    lost: Vec<NodeId>,
    replaced: BTreeSet<usize>,
    moves: usize,
    /// Commands that only a refusal answers rightly.
    pub wrong: Vec<CommandId>,
}

impl Stage {
    /// The grid of a plan, formed and at rest. From now on facts are told.
    pub fn new(plan: &Plan) -> Self {
        let mut world = World::new(plan.hosts(), plan.seed);
        for (service, version) in (0..SERVICES).flat_map(|s| (1..=VERSIONS).map(move |v| (s, v))) {
            let image = Shape::of(service).service(service, version).image;
            world.publish_image(&rebuilt(&image));
            world.publish_image(&image);
        }
        for image in stack_images() {
            world.publish_image(&image);
        }
        for step in &plan.steps {
            if let Deed::Drift { host, by } = step.deed {
                world.hosts[host].clock = Clock::drifting(by);
            }
            if let Deed::OtherProcessor { host } = step.deed {
                world.hosts[host].engine.machine = "aarch64";
            }
            if let Deed::BuiltForMost { service, version } = step.deed {
                let image = Shape::of(service).service(service, version).image;
                world.build_for(&image, &["amd64"]);
                world.build_for(&rebuilt(&image), &["amd64"]);
            }
        }
        let token = world.form_grid_of(plan.nodes);
        world.run_for(FORMED_FOR);
        world.watch();
        Self {
            calm: Calm::new(plan.hosts()),
            formed: world.now(),
            world,
            token,
            active: BTreeMap::new(),
            copies: BTreeMap::new(),
            lost: Vec::new(),
            replaced: BTreeSet::new(),
            moves: 0,
            wrong: Vec::new(),
        }
    }

    /// A step begins.
    pub fn begin(&mut self, step: usize, deed: &Deed, lasts: Duration) {
        self.active.insert(step, deed.clone());
        self.calm.trouble_begins(&deed.touches(), self.world.now());
        match *deed {
            Deed::KillNode { host } => self.world.kill_node(host),
            Deed::KillHost { host } => self.world.kill_host(host),
            Deed::StopNode { host } => self.world.stop_node(host),
            Deed::DamageDisk { host } => self.world.damage_disk(host),
            Deed::Replace { host, .. } => self.lose(host),
            Deed::RestoreDisk { host } => self.copy_disk(step, host),
            Deed::CloneDisk { from, to } => self.clone_disk(from, to),
            Deed::Stall { host } => self.world.stall(host, lasts),
            Deed::Move { host } => self.move_host(host),
            Deed::Jump { host, by } => self.world.hosts[host].clock.jump(by),
            Deed::Crash { host, all } => self.crash(host, all),
            Deed::FallIll { host, all } => self.world.sicken(host, all),
            Deed::LoseContainers { host } => self.world.lose_containers(host),
            Deed::Squat { host, service } => self.squat(host, service),
            Deed::Join { host, sponsor } => self.join(host, sponsor),
            Deed::Ask { on, ref ask } => self.ask(on, ask),
            Deed::WriteKey { on, key, value } => self.write_key(on, key, value),
            Deed::Drift { .. }
            | Deed::OtherProcessor { .. }
            | Deed::BuiltForMost { .. }
            | Deed::Cut { .. }
            | Deed::Lose { .. }
            | Deed::Double { .. }
            | Deed::HoldUp { .. }
            | Deed::SlowLinks { .. }
            | Deed::Seclude { .. }
            | Deed::HangEngine { .. }
            | Deed::SlowPulls { .. }
            | Deed::NoPulls { .. }
            | Deed::FillEngine { .. }
            | Deed::FailStarts { .. }
            | Deed::LoseAnswers { .. }
            | Deed::IgnoreStops { .. }
            | Deed::Sicken { .. }
            | Deed::BreakImage { .. }
            | Deed::MoveTag { .. }
            | Deed::HangHooks { .. }
            | Deed::Forge { .. }
            | Deed::FillDisk { .. }
            | Deed::SlowDisk { .. } => {}
        }
        self.apply_conditions();
    }

    /// A step that was begun is over.
    pub fn end(&mut self, step: usize) {
        let Some(deed) = self.active.remove(&step) else {
            return;
        };
        self.apply_conditions();
        let over = self.world.now() + deed.lingers();
        self.calm.trouble_ends(&deed.touches(), over);
        if let Deed::StopNode { host } = deed
            && self.world.hosts[host].is_up()
        {
            self.world.kill_node(host);
        }
        if let Some(host) = deed.keeps_down() {
            self.start(host);
        }
        if let Deed::RestoreDisk { host } = deed {
            self.restore_disk(step, host);
        }
        if let Deed::CloneDisk { from, to } = deed {
            self.end_clone(from, to);
        }
        if let Deed::Squat { host, service } = deed {
            self.end_squat(host, service);
        }
        if let Deed::Replace { host, sponsor } = deed {
            self.remove_lost(sponsor);
            self.join(host, sponsor);
        }
    }

    /// Everything that is under way is over, and every host is up.
    pub fn end_all(&mut self) {
        let steps: Vec<usize> = self.active.keys().copied().collect();
        for step in steps {
            self.end(step);
        }
        for host in 0..self.world.hosts.len() {
            self.start(host);
        }
    }

    /// What people do when faults are over: machines that are gone are removed, and their successors
    /// admitted, if that has not been possible before.
    pub fn put_right(&mut self) {
        let is_member =
            |host: &crate::host::Host| host.is_up() && host.status.phase == Phase::Member;
        let Some(sponsor) = self.world.hosts.iter().position(is_member) else {
            return;
        };
        self.remove_lost(sponsor);
        for host in self.replaced.clone() {
            self.join(host, sponsor);
        }
    }

    fn lose(&mut self, host: usize) {
        self.lost.push(self.world.id(host));
        self.replaced.insert(host);
        self.world.replace_host(host);
    }

    fn remove_lost(&mut self, on: usize) {
        for node in self.lost.clone() {
            let roster = &self.world.hosts[on].view.documents.roster;
            if roster.contains_key(&node) && self.world.hosts[on].is_up() {
                self.world
                    .give(on, Command::RemoveNode { node, force: true });
            }
        }
    }

    fn apply_conditions(&mut self) {
        let active: Vec<&Deed> = self.active.values().collect();
        let changed = conditions::apply(&mut self.world, &active);
        for host in changed {
            self.world.observe_soon(host);
        }
    }

    /// Starts a host's node, unless something else keeps it down.
    fn start(&mut self, host: usize) {
        let is_kept_down = self
            .active
            .values()
            .any(|deed| deed.keeps_down() == Some(host));
        if !is_kept_down && !self.world.hosts[host].is_up() {
            self.world.boot(host);
        }
    }

    fn copy_disk(&mut self, step: usize, host: usize) {
        let copy = self.world.hosts[host].disk.clone();
        self.copies.insert(step, (self.world.id(host), copy));
    }

    fn restore_disk(&mut self, step: usize, host: usize) {
        let Some((owner, copy)) = self.copies.remove(&step) else {
            return;
        };
        // The machine may have been replaced meanwhile: the old disk is of no use to the new one.
        if owner == self.world.id(host) {
            self.world.kill_host(host);
            self.world.restore_disk(host, copy);
        }
        self.start(host);
    }

    /// Who was on the other machine is lost with what was on its disk.
    fn clone_disk(&mut self, from: usize, to: usize) {
        self.lost.push(self.world.id(to));
        self.world.clone_host(from, to);
        self.world.boot(to);
        self.start(from);
    }

    /// People find out which one is the copy, and make an end of it.
    fn end_clone(&mut self, from: usize, to: usize) {
        self.replaced.insert(to);
        self.world.replace_host(to);
        self.world.boot(to);
        self.world.kill_node(from);
        self.start(from);
    }

    fn move_host(&mut self, host: usize) {
        self.moves += 1;
        self.world.move_host(host, self.moves);
    }

    fn crash(&mut self, host: usize, all: bool) {
        let running = self.world.hosts[host].engine.running();
        let names: Vec<String> = running.map(|container| container.name.clone()).collect();
        let count = if all { names.len() } else { 1 };
        for name in names.iter().take(count) {
            self.world.crash_container(host, name);
        }
    }

    fn squat(&mut self, host: usize, service: usize) {
        let now = self.world.now();
        let machine = &mut self.world.hosts[host];
        let wall = machine.clock.read(now).wall;
        machine.engine.squat(squatted(service), wall);
    }

    fn end_squat(&mut self, host: usize, service: usize) {
        let name = squatted(service).container_name();
        self.world.hosts[host].engine.end_squat(&name);
    }

    /// A host that belongs to no grid asks to be admitted; who belongs to one has no reason to.
    fn join(&mut self, host: usize, sponsor: usize) {
        let machine = &self.world.hosts[host];
        if machine.is_up() && machine.status.phase == Phase::Alone {
            let command = self.world.join_command(host, sponsor, &self.token);
            self.world.give(host, command);
        }
    }

    /// Nobody takes it where the daemon is down or its loop stands still.
    fn write_key(&mut self, on: usize, key: usize, value: Option<u64>) {
        let host = &self.world.hosts[on];
        if host.is_up() && host.stalled_until <= self.world.now() {
            self.world.write_key(on, key_write(key, value));
        }
    }

    /// Nobody answers where the daemon is down: whoever asks is told at once.
    fn ask(&mut self, on: usize, ask: &Ask) {
        if !self.world.hosts[on].is_up() {
            return;
        }
        for command in ask.commands(&self.world) {
            let id = self.world.give(on, command);
            if ask.is_wrong() {
                self.wrong.push(id);
            }
        }
    }
}

/// The instance whose name is taken: the service's first.
fn squatted(service: usize) -> InstanceId {
    InstanceId::new(key(service), 1)
}
