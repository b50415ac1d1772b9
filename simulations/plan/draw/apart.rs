//! What some plans have beside their faults: each is drawn by a chance of its own, so that a plan is with it what it
//! is without.

use super::{Draw, MINUTE, SECOND};
use crate::chance::Chance;
use crate::plan::{Ask, Deed, KEYS, LEASED, Shape, Step, VERSIONS};

impl Draw {
    pub(super) fn add_what_is_drawn_apart(&mut self, seed: u64) {
        self.lie(seed);
        self.restart_in_a_row(seed);
        self.join_in_a_split(seed);
        self.die_beside_a_stall(seed);
        self.lose_all_ways(seed);
        self.upgrade_in_a_split(seed);
        self.deploy_in_a_split(seed);
        self.give_up(seed);
        self.fall_ill(seed);
        self.move_tags(seed);
        self.hang_hooks(seed);
        self.mix_processors(seed);
        self.write_keys(seed);
        self.make_volumes(seed);
        self.fill_engines(seed);
        self.force_moves(seed);
        self.moves(seed);
        self.lease(seed);
    }

    /// A service that runs under a lease, which is deployed, stopped, and made anew now and then. Its witnesses are the
    /// first three nodes.
    fn lease(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "leases");
        if self.plan.nodes < 3 || !chance.happens(350) {
            return;
        }
        let (service, instances) = (LEASED, 1);
        let on = chance.index(self.plan.nodes);
        self.ask(16 * SECOND, on, Ask::Create { service, instances });
        for _ in 0..chance.range(0, 6) {
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            let on = chance.index(self.plan.nodes);
            let version = u32::try_from(chance.range(1, u64::from(VERSIONS))).expect("small");
            let (ask, follows) = match chance.index(6) {
                0 | 1 => (Ask::Update { service, version }, None),
                2 => (Ask::Restart { service }, None),
                3 => (Ask::Stop { service }, Some(Ask::Start { service })),
                4 => (Ask::Start { service }, None),
                _ => (
                    Ask::Remove { service },
                    Some(Ask::Create { service, instances }),
                ),
            };
            self.ask(at, on, ask);
            if let Some(next) = follows {
                let at = at + chance.range(SECOND, MINUTE);
                self.ask(at.min(self.ends), on, next);
            }
        }
        self.trouble_a_lease(&mut chance);
    }

    /// Who holds it is not known beforehand: each of the nodes is cut off, killed or stands still for about as long as a
    /// lease lasts.
    fn trouble_a_lease(&mut self, chance: &mut Chance) {
        for _ in 0..chance.range(0, 6) {
            let host = chance.index(self.plan.nodes);
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            let lasts = chance.range(4 * SECOND, 90 * SECOND);
            let (from, to): (Vec<usize>, Vec<usize>) =
                (0..self.plan.nodes).partition(|node| *node != host);
            let both = chance.happens(600);
            let deed = match chance.index(5) {
                0 | 1 => Deed::Cut { from, to, both },
                2 => Deed::KillNode { host },
                3 => Deed::KillHost { host },
                _ => Deed::Stall { host },
            };
            self.add(at, lasts, deed);
        }
    }

    /// What services mount is there before them, mostly; somebody removes it now and then, and makes it anew.
    fn make_volumes(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "volumes");
        let numbers = 0..self.services;
        let kept = numbers.map(|number| self.numbered(number));
        let kept: Vec<usize> = kept
            .filter(|service| Shape::of(*service) == Shape::Kept)
            .collect();
        for service in kept {
            self.ask(0, 0, Ask::CreateVolume { service });
            let (on, instances) = (chance.index(self.plan.nodes), chance.range(1, 4));
            let instances = u32::try_from(instances).expect("a small number");
            self.ask(12 * SECOND, on, Ask::Create { service, instances });
            for _ in 0..chance.range(0, 4) {
                let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
                let on = chance.index(self.plan.nodes);
                self.ask(at, on, Ask::RemoveVolume { service });
                let at = at + chance.range(SECOND, 2 * MINUTE);
                let on = chance.index(self.plan.nodes);
                self.ask(at.min(self.ends), on, Ask::CreateVolume { service });
            }
        }
    }

    /// Somebody gives up the data of instances, mostly while a node is cut off or dead.
    fn force_moves(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "forced moves");
        let numbers = 0..self.services;
        let bound = numbers.map(|number| self.numbered(number));
        let bound: Vec<usize> = bound
            .filter(|service| Shape::of(*service).is_bound())
            .collect();
        if bound.is_empty() || !chance.happens(300) {
            return;
        }
        for _ in 0..chance.range(1, 4) {
            let ask = Ask::ForceMove {
                service: *chance.pick(&bound).expect("not empty"),
                instance: u32::try_from(chance.range(1, 3)).expect("a small number"),
                node: chance.index(self.plan.nodes),
            };
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            if chance.happens(600) {
                let host = chance.index(self.plan.nodes);
                let lasts = chance.range(20 * SECOND, 3 * MINUTE);
                let (from, to): (Vec<usize>, Vec<usize>) =
                    (0..self.plan.nodes).partition(|node| *node != host);
                let both = true;
                let deed = match chance.happens(500) {
                    true => Deed::Cut { from, to, both },
                    false => Deed::KillHost { host },
                };
                self.add(at.saturating_sub(lasts / 2), lasts, deed);
            }
            let on = chance.index(self.plan.nodes);
            self.ask(at.min(self.ends), on, ask);
        }
    }

    /// Somebody moves instances with their data, some a moment before something happens to one of the two nodes; some of that is
    /// taken back.
    fn moves(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "moves");
        let numbers = 0..self.services;
        let bound = numbers.map(|number| self.numbered(number));
        let bound: Vec<usize> = bound
            .filter(|service| Shape::of(*service).is_bound())
            .collect();
        if bound.is_empty() || !chance.happens(400) {
            return;
        }
        for _ in 0..chance.range(1, 6) {
            let service = *chance.pick(&bound).expect("not empty");
            let instance = u32::try_from(chance.range(1, 3)).expect("a small number");
            let node = chance.index(self.plan.nodes);
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            let on = chance.index(self.plan.nodes);
            let order = Ask::Move {
                service,
                instance,
                node,
            };
            self.ask(at.min(self.ends), on, order);
            if chance.happens(500) {
                self.trouble_a_move(&mut chance, at, node);
            }
            if chance.happens(200) {
                let at = at + chance.range(0, 40 * SECOND);
                let on = chance.index(self.plan.nodes);
                self.ask(at.min(self.ends), on, Ask::CancelMove { service, instance });
            }
        }
    }

    fn trouble_a_move(&mut self, chance: &mut Chance, at: u64, node: usize) {
        let host = match chance.happens(400) {
            true => node,
            false => chance.index(self.plan.nodes),
        };
        let at = at + chance.range(SECOND, 45 * SECOND);
        let lasts = chance.range(SECOND, 2 * MINUTE);
        let (from, to): (Vec<usize>, Vec<usize>) =
            (0..self.plan.nodes).partition(|node| *node != host);
        let both = true;
        let deed = match chance.index(3) {
            0 => Deed::Cut { from, to, both },
            1 => Deed::KillHost { host },
            _ => Deed::KillNode { host },
        };
        self.add(at, lasts, deed);
    }

    /// Disks of engines are full for a while, sometimes when services are founded.
    fn fill_engines(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "full engines");
        if !chance.happens(250) {
            return;
        }
        for _ in 0..chance.range(1, 3) {
            let host = chance.index(self.plan.nodes);
            let at = match chance.happens(500) {
                true => 0,
                false => chance.range(MINUTE, self.ends.max(2 * MINUTE)),
            };
            let lasts = chance.range(20 * SECOND, 10 * MINUTE);
            self.add(at, lasts, Deed::FillEngine { host });
        }
    }

    /// Programs write keys, now and then the same one on two hosts at once, each another value.
    fn write_keys(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "keys");
        if !chance.happens(300) {
            return;
        }
        for value in 0..chance.range(5, 60) {
            let key = chance.index(KEYS);
            let at = chance.range(20 * SECOND, self.ends.max(2 * MINUTE));
            let hosts = 1 + usize::from(chance.happens(300));
            for twin in 0..hosts as u64 {
                let is_removal = chance.happens(200);
                let deed = Deed::WriteKey {
                    on: chance.index(self.plan.nodes),
                    key,
                    value: (!is_removal).then_some(2 * value + twin),
                };
                self.add(at + twin, 0, deed);
            }
        }
    }

    fn lie(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "forgeries");
        if chance.happens(100) {
            let host = chance.index(self.plan.nodes);
            let (at, lasts) = (40 * SECOND, self.ends);
            self.add(at, lasts, Deed::Forge { host });
        }
    }

    /// The daemon dies as soon as it is started: what one life of it says may come after the words of the next.
    fn restart_in_a_row(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "restarts in a row");
        if chance.happens(250) {
            let (host, times) = (chance.index(self.plan.nodes), chance.range(2, 5));
            let first = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            for at in first..first + times {
                self.add(at, 0, Deed::KillNode { host });
            }
        }
    }

    /// Both sides of a split admit somebody, where no sponsor is removed.
    fn join_in_a_split(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "joins in a split");
        let removes = |step: &Step| {
            matches!(
                step.deed,
                Deed::Replace { .. }
                    | Deed::Ask {
                        ask: Ask::RemoveNode { .. },
                        ..
                    }
            )
        };
        if chance.happens(150) && !self.plan.steps.iter().any(removes) {
            let (nodes, spares) = (self.plan.nodes, self.plan.nodes..self.plan.hosts());
            let border = 1 + chance.index(nodes - 1);
            let (mut from, mut to): (Vec<usize>, Vec<usize>) =
                (0..nodes).partition(|n| *n < border);
            let sponsors = [0, border];
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            for (host, sponsor) in spares.zip(sponsors) {
                match sponsor {
                    0 => from.push(host),
                    _ => to.push(host),
                }
                let at = at + chance.range(SECOND, 20 * SECOND);
                self.add(at, 0, Deed::Join { host, sponsor });
            }
            let (lasts, both) = (chance.range(30 * SECOND, 2 * MINUTE), true);
            self.add(at, lasts, Deed::Cut { from, to, both });
        }
    }

    /// A host dies while the loop of another stands still, which hears nothing of it.
    fn die_beside_a_stall(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "deaths beside a stall");
        if chance.happens(150) {
            let (host, other) = (chance.index(self.plan.nodes), chance.index(self.plan.nodes));
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            let lasts = chance.range(4 * SECOND, 12 * SECOND);
            self.add(at, lasts, Deed::Stall { host });
            if host != other {
                let at = at + chance.below(lasts);
                let lasts = chance.range(MINUTE, 3 * MINUTE);
                self.add(at, lasts, Deed::KillHost { host: other });
            }
        }
    }

    /// The data plane of a host carries nothing for a while, again and again; longer than it takes to be told.
    fn lose_all_ways(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "lost ways");
        if chance.happens(200) {
            for _ in 0..chance.range(1, 4) {
                let host = chance.index(self.plan.nodes);
                let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
                let lasts = chance.range(5 * SECOND, 5 * MINUTE);
                self.add(at, lasts, Deed::Seclude { host });
            }
        }
    }

    /// Somebody says of nodes that are not heard of that they are dead: of one that is, or of the other side of a split.
    fn give_up(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "nodes given up");
        if !chance.happens(250) {
            return;
        }
        let by = chance.index(self.plan.nodes);
        let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
        let lasts = chance.range(30 * SECOND, 4 * MINUTE);
        let lost: Vec<usize> = (0..self.plan.nodes)
            .filter(|host| *host != by && chance.happens(600))
            .collect();
        match chance.happens(500) {
            true => {
                let from = (0..self.plan.nodes).filter(|host| !lost.contains(host));
                let (from, to, both) = (from.collect(), lost.clone(), true);
                self.add(at, lasts, Deed::Cut { from, to, both });
            }
            false => {
                for host in lost.clone() {
                    self.add(at, lasts, Deed::KillHost { host });
                }
            }
        }
        for node in lost {
            let said = at + chance.range(4 * SECOND, lasts);
            self.ask(said.min(self.ends), by, Ask::AssumeDead { node });
        }
    }

    /// Both sides of a split give one stack other services and other definitions; later somebody settles it.
    fn upgrade_in_a_split(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "upgrades in a split");
        if !chance.happens(350) {
            return;
        }
        let border = 1 + chance.index(self.plan.nodes - 1);
        let (from, to): (Vec<usize>, Vec<usize>) = (0..self.plan.nodes).partition(|n| *n < border);
        let (at, both) = (chance.range(MINUTE, self.ends.max(2 * MINUTE)), true);
        let lasts = chance.range(40 * SECOND, 3 * MINUTE);
        let (services, version) = (0b0111, 1);
        self.ask(25 * SECOND, 0, Ask::Install { services, version });
        for on in [0, border] {
            for _ in 0..=u8::from(chance.happens(200)) {
                let services = u8::try_from(chance.range(1, 31)).expect("five bits");
                let version = u32::try_from(chance.range(1, 3)).expect("a small number");
                let at = at + chance.range(2 * SECOND, 30 * SECOND);
                self.ask(at, on, Ask::Upgrade { services, version });
            }
        }
        self.add(at, lasts, Deed::Cut { from, to, both });
        if chance.happens(300) {
            let at = at + lasts + chance.range(5 * SECOND, MINUTE);
            self.ask(
                at.min(self.ends),
                chance.index(self.plan.nodes),
                Ask::Resolve,
            );
        }
    }

    /// What is recorded of the stack is deployed soon after, where it was recorded; mostly.
    fn deploy_in_a_split(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "deploys of stacks");
        if !chance.happens(600) {
            return;
        }
        let recorded = self.plan.steps.iter().filter_map(|step| {
            let Deed::Ask { on, ask } = &step.deed else {
                return None;
            };
            let records = matches!(
                ask,
                Ask::Install { .. } | Ask::Upgrade { .. } | Ask::Resolve
            );
            records.then_some((step.at, *on))
        });
        for (at, on) in recorded.collect::<Vec<_>>() {
            let at = at + chance.range(SECOND, 15 * SECOND);
            if chance.happens(700) {
                self.ask(at.min(self.ends.max(MINUTE)), on, Ask::DeployStack);
            }
        }
    }

    /// Containers run, and do not do their work.
    fn fall_ill(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "illness");
        if !chance.happens(300) {
            return;
        }
        for _ in 0..chance.range(1, 6) {
            let host = chance.index(self.plan.nodes);
            let at = chance.range(MINUTE, self.ends.max(2 * MINUTE));
            if chance.happens(600) {
                let all = chance.happens(400);
                self.add(at, 0, Deed::FallIll { host, all });
            } else {
                let lasts = chance.range(5 * SECOND, 3 * MINUTE);
                let hangs = chance.happens(400);
                self.add(at, lasts, Deed::Sicken { host, hangs });
            }
        }
    }

    /// Some hosts have another processor, and some versions of services are not built for it: those without data, which
    /// waits for a person where its node cannot run what is deployed. Not where an engine or the registry is silent: what
    /// an image was built for is not known then.
    fn mix_processors(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "processors");
        let silences =
            |step: &Step| matches!(step.deed, Deed::HangEngine { .. } | Deed::NoPulls { .. });
        if !chance.happens(300) || self.plan.steps.iter().any(silences) {
            return;
        }
        for host in 0..self.plan.hosts() {
            if chance.happens(400) {
                self.add(0, 0, Deed::OtherProcessor { host });
            }
        }
        for number in 0..self.services {
            let service = self.numbered(number);
            let is_bound = Shape::of(service).is_bound();
            let versions = (1..=VERSIONS).filter(|_| !is_bound && chance.happens(400));
            for version in versions.collect::<Vec<_>>() {
                self.add(0, 0, Deed::BuiltForMost { service, version });
            }
        }
    }

    /// What was built is built anew under the same name, while services are deployed; sometimes the name goes back.
    fn move_tags(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "moved tags");
        if !chance.happens(300) {
            return;
        }
        for _ in 0..chance.range(1, 5) {
            let service = self.numbered(chance.index(self.services));
            let version = u32::try_from(chance.range(1, u64::from(VERSIONS))).expect("small");
            let at = chance.range(20 * SECOND, self.ends.max(2 * MINUTE));
            let lasts = chance.range(30 * SECOND, 20 * MINUTE);
            self.add(at, lasts, Deed::MoveTag { service, version });
            if chance.happens(600) {
                let (on, force) = (chance.index(self.plan.nodes), true);
                let at = at + chance.below(lasts);
                self.ask(at.min(self.ends), on, Ask::Deploy { service, force });
            }
        }
    }

    /// Hooks that do not end by themselves: before a start, after it, and before a stop.
    fn hang_hooks(&mut self, seed: u64) {
        let mut chance = Chance::new(seed, "hooks that hang");
        if chance.happens(250) {
            for _ in 0..chance.range(1, 4) {
                let host = chance.index(self.plan.nodes);
                let at = chance.range(20 * SECOND, self.ends.max(2 * MINUTE));
                let lasts = chance.range(5 * SECOND, 8 * MINUTE);
                self.add(at, lasts, Deed::HangHooks { host });
            }
        }
    }
}
