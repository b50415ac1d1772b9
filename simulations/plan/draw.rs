//! Drawing a plan from a seed: which faults this run has, how often, and what people do meanwhile.
//!
//! Each run leaves out most kinds of faults (swarm testing: Groce et al., ISSTA 2012), so that those
//! which are there meet each other more often, and rare combinations occur.

mod apart;

use std::time::Duration;

use super::{Ask, COMMON_SERVICES, Deed, Plan, Step, VERSIONS};
use crate::chance::Chance;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

/// Kinds of faults and of what people do, with how often each is chosen where a run has it.
const KINDS: [(Kind, u64); 33] = [
    (Kind::Split, 6),
    (Kind::OneWay, 4),
    (Kind::Isolate, 6),
    (Kind::Flap, 2),
    (Kind::Lose, 3),
    (Kind::Double, 2),
    (Kind::HoldUp, 2),
    (Kind::SlowLinks, 2),
    (Kind::Move, 1),
    (Kind::KillNode, 6),
    (Kind::KillHost, 6),
    (Kind::StopNode, 3),
    (Kind::Stall, 4),
    (Kind::Jump, 2),
    (Kind::HangEngine, 3),
    (Kind::SlowPulls, 3),
    (Kind::NoPulls, 2),
    (Kind::FailStarts, 3),
    (Kind::LoseAnswers, 3),
    (Kind::IgnoreStops, 3),
    (Kind::Crash, 5),
    (Kind::LoseContainers, 2),
    (Kind::Squat, 1),
    (Kind::BreakImage, 2),
    (Kind::FillDisk, 3),
    (Kind::SlowDisk, 2),
    (Kind::DamageDisk, 2),
    (Kind::RestoreDisk, 2),
    (Kind::CloneDisk, 1),
    (Kind::Replace, 1),
    (Kind::Crowd, 2),
    (Kind::RemoveNode, 1),
    (Kind::Nonsense, 1),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Split,
    OneWay,
    Isolate,
    Flap,
    Lose,
    Double,
    HoldUp,
    SlowLinks,
    Move,
    KillNode,
    KillHost,
    StopNode,
    Stall,
    Jump,
    HangEngine,
    SlowPulls,
    NoPulls,
    FailStarts,
    LoseAnswers,
    IgnoreStops,
    Crash,
    LoseContainers,
    Squat,
    BreakImage,
    FillDisk,
    SlowDisk,
    DamageDisk,
    RestoreDisk,
    CloneDisk,
    Replace,
    Crowd,
    RemoveNode,
    Nonsense,
}

/// A plan for `nodes` nodes (drawn too if `None`: 2 to 6) and about `lasts` of faults.
pub fn draw(seed: u64, nodes: Option<usize>, lasts: Duration) -> Plan {
    let mut chance = Chance::new(seed, "plan");
    let drawn = 2 + chance.index(5);
    let nodes = nodes.unwrap_or(drawn);
    let ends = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let mut draw = Draw {
        kinds: Vec::new(),
        services: 1 + chance.index(5),
        first: first_service(seed),
        gap: *chance.pick(&[8, 20, 60, 180]).expect("not empty") * SECOND,
        ends,
        next_spare: nodes,
        plan: Plan::new(seed, nodes, 2),
        chance,
    };
    draw.choose_kinds();
    draw.found();
    draw.befall();
    draw.add_what_is_drawn_apart(seed);
    draw.finish()
}

/// Most runs have the first kinds of services, the others any that follow each other.
fn first_service(seed: u64) -> usize {
    let mut chance = Chance::new(seed, "services");
    match chance.happens(300) {
        true => chance.index(COMMON_SERVICES),
        false => 0,
    }
}

struct Draw {
    chance: Chance,
    /// Of this run, each as often as its weight.
    kinds: Vec<Kind>,
    services: usize,
    /// The number of the first one: the kind of each follows from its number.
    first: usize,
    /// Between two deeds, on average.
    gap: u64,
    ends: u64,
    next_spare: usize,
    plan: Plan,
}

impl Draw {
    fn choose_kinds(&mut self) {
        for (kind, weight) in KINDS {
            if self.chance.happens(300) {
                self.kinds.extend((0..weight).map(|_| kind));
            }
        }
    }

    /// Services are there from the beginning; some hosts have a zone and clocks of their own.
    fn found(&mut self) {
        for number in 0..self.services {
            let service = self.numbered(number);
            let instances = self.instances();
            let (on, at) = (self.node(), number as u64 * 2 * SECOND);
            self.ask(at, on, Ask::Create { service, instances });
        }
        for node in 0..self.plan.nodes {
            let (zone, by) = (self.chance.index(2), self.chance.range(0, 400));
            self.ask(12 * SECOND, node, Ask::Zone { node, zone });
            let by = i64::try_from(by).expect("a small number") - 200;
            self.add(0, 0, Deed::Drift { host: node, by });
        }
    }

    fn befall(&mut self) {
        let mut at = 40 * SECOND;
        while at < self.ends {
            if self.kinds.is_empty() || self.chance.happens(350) {
                self.somebody_asks(at);
            } else {
                let kind = *self.chance.pick(&self.kinds).expect("not empty");
                self.fault(at, kind);
            }
            at += self.chance.range(SECOND / 5, 2 * self.gap);
        }
    }

    fn finish(mut self) -> Plan {
        self.plan.steps.sort_by_key(|step| step.at);
        self.plan.ends = self.ends;
        for step in &mut self.plan.steps {
            step.lasts = step.lasts.min(self.ends.saturating_sub(step.at));
        }
        self.plan
    }

    fn add(&mut self, at: u64, lasts: u64, deed: Deed) {
        self.plan.steps.push(Step { at, lasts, deed });
    }

    fn ask(&mut self, at: u64, on: usize, ask: Ask) {
        self.add(at, 0, Deed::Ask { on, ask });
    }

    fn node(&mut self) -> usize {
        self.chance.index(self.plan.nodes)
    }

    fn service(&mut self) -> usize {
        let number = self.chance.index(self.services);
        self.numbered(number)
    }

    fn numbered(&self, number: usize) -> usize {
        (self.first + number) % COMMON_SERVICES
    }

    fn instances(&mut self) -> u32 {
        u32::try_from(self.chance.range(1, 4)).expect("a small number")
    }

    /// Mostly short, sometimes long: a fault that ends before its grace and one that outlasts it
    /// lead to different things.
    fn while_it_lasts(&mut self) -> u64 {
        match self.chance.below(10) {
            0..=3 => self.chance.range(SECOND, 8 * SECOND),
            4..=7 => self.chance.range(8 * SECOND, 90 * SECOND),
            _ => self.chance.range(90 * SECOND, 12 * MINUTE),
        }
    }

    fn somebody_asks(&mut self, at: u64) {
        let (service, on) = (self.service(), self.node());
        let ask = match self.chance.below(16) {
            0..=3 => Ask::Scale {
                service,
                instances: self.instances(),
            },
            4..=7 => Ask::Update {
                service,
                version: u32::try_from(self.chance.range(1, u64::from(VERSIONS))).expect("small"),
            },
            8 => self.ask_of_a_deploy(service),
            9 => Ask::Stop { service },
            10 => Ask::Start { service },
            11 => Ask::Restart { service },
            12 => Ask::Remove { service },
            13 => Ask::Create {
                service,
                instances: self.instances(),
            },
            14 => Ask::Drain { node: self.node() },
            _ => Ask::Zone {
                node: self.node(),
                zone: self.chance.index(2),
            },
        };
        if let Ask::Drain { node } = ask {
            let later = at + self.while_it_lasts();
            self.ask(later.min(self.ends), on, Ask::Activate { node });
        }
        self.ask(at, on, ask);
        if self.chance.happens(150) {
            self.somebody_contradicts(at, service);
        }
    }

    fn ask_of_a_deploy(&mut self, service: usize) -> Ask {
        match self.chance.below(4) {
            0 => Ask::Abort {
                service,
                rollback: [None, Some(true), Some(false)][self.chance.index(3)],
            },
            1 => Ask::Promote { service },
            _ => Ask::Deploy {
                service,
                force: self.chance.happens(500),
            },
        }
    }

    /// Somebody else asks for something else at about the same time.
    fn somebody_contradicts(&mut self, at: u64, service: usize) {
        let at = at + self.chance.below(3 * SECOND);
        let on = self.node();
        let ask = match self.chance.below(3) {
            0 => Ask::Scale {
                service,
                instances: self.instances(),
            },
            1 => Ask::Update {
                service,
                version: 2,
            },
            _ => Ask::Remove { service },
        };
        self.ask(at, on, ask);
    }

    fn fault(&mut self, at: u64, kind: Kind) {
        let (host, lasts) = (self.node(), self.while_it_lasts());
        let once = |deed| Some((0, deed));
        let deed = match kind {
            Kind::Split => self.split().map(|deed| (lasts, deed)),
            Kind::OneWay => self.one_way().map(|deed| (lasts, deed)),
            Kind::Isolate => Some((lasts, self.isolate(host))),
            Kind::Flap => return self.flap(at, host),
            Kind::Lose => Some((
                lasts,
                Deed::Lose {
                    share: self.chance.range(20, 300),
                },
            )),
            Kind::Double => Some((
                lasts,
                Deed::Double {
                    share: self.chance.range(50, 500),
                },
            )),
            Kind::HoldUp => Some((lasts, self.hold_up())),
            Kind::SlowLinks => Some((
                lasts,
                Deed::SlowLinks {
                    host,
                    by: self.chance.range(50, 1500),
                },
            )),
            // Two that move at once while nobody sees them lose each other: one host at most moves.
            Kind::Move => once(Deed::Move { host: 1 }),
            Kind::KillNode => Some((lasts, Deed::KillNode { host })),
            Kind::KillHost => Some((lasts, Deed::KillHost { host })),
            Kind::StopNode => Some((lasts, Deed::StopNode { host })),
            Kind::Stall => Some((lasts.min(60 * SECOND), Deed::Stall { host })),
            Kind::Jump => once(self.jump(host)),
            Kind::HangEngine => Some((lasts, Deed::HangEngine { host })),
            Kind::SlowPulls => Some((
                lasts,
                Deed::SlowPulls {
                    host,
                    by: self.chance.range(10, 120) * SECOND,
                },
            )),
            Kind::NoPulls => Some((lasts, Deed::NoPulls { host })),
            Kind::FailStarts => Some((lasts, Deed::FailStarts { host })),
            Kind::LoseAnswers => Some((
                lasts,
                Deed::LoseAnswers {
                    host,
                    share: self.chance.range(100, 900),
                },
            )),
            Kind::IgnoreStops => Some((lasts, Deed::IgnoreStops { host })),
            Kind::Crash => once(Deed::Crash {
                host,
                all: self.chance.happens(300),
            }),
            Kind::LoseContainers => once(Deed::LoseContainers { host }),
            Kind::Squat => Some((
                lasts,
                Deed::Squat {
                    host,
                    service: self.service(),
                },
            )),
            Kind::BreakImage => Some((lasts, self.break_image())),
            Kind::FillDisk => Some((lasts, Deed::FillDisk { host })),
            Kind::SlowDisk => Some((
                lasts,
                Deed::SlowDisk {
                    host,
                    by: self.chance.range(100, 5000),
                },
            )),
            Kind::DamageDisk => Some((lasts, Deed::DamageDisk { host })),
            Kind::RestoreDisk => Some((lasts, Deed::RestoreDisk { host })),
            Kind::CloneDisk => self.clone_disk(host).map(|deed| (lasts, deed)),
            Kind::Replace => self.replace(host).map(|deed| (lasts, deed)),
            Kind::Crowd => return self.crowd(at),
            Kind::RemoveNode => return self.remove_node(at),
            Kind::Nonsense => once(Deed::Ask {
                on: host,
                ask: Ask::Nonsense {
                    kind: self.chance.index(3),
                },
            }),
        };
        if let Some((lasts, deed)) = deed {
            self.add(at, lasts, deed);
        }
    }

    /// Any shape: each host is on one side or the other.
    fn split(&mut self) -> Option<Deed> {
        let all = 0..self.plan.hosts();
        let sides: Vec<bool> = all.clone().map(|_| self.chance.happens(500)).collect();
        let (from, to): (Vec<usize>, Vec<usize>) = all.partition(|host| sides[*host]);
        let both = !self.chance.happens(100);
        (!from.is_empty() && !to.is_empty()).then_some(Deed::Cut { from, to, both })
    }

    fn one_way(&mut self) -> Option<Deed> {
        let (a, b) = (self.node(), self.node());
        let (from, to, both) = (vec![a], vec![b], self.chance.happens(300));
        (a != b).then_some(Deed::Cut { from, to, both })
    }

    fn isolate(&mut self, host: usize) -> Deed {
        Deed::Cut {
            from: vec![host],
            to: (0..self.plan.hosts())
                .filter(|other| *other != host)
                .collect(),
            both: !self.chance.happens(200),
        }
    }

    /// A link that comes and goes, with a period around the grace.
    fn flap(&mut self, at: u64, host: usize) {
        let (period, times) = (self.chance.range(4, 40) * SECOND, self.chance.range(3, 8));
        let cut = self.isolate(host);
        for time in 0..times {
            self.add(at + time * period, period / 2, cut.clone());
        }
    }

    fn hold_up(&mut self) -> Deed {
        Deed::HoldUp {
            share: self.chance.range(10, 300),
            longest: self.chance.range(100, 4000),
        }
    }

    /// Minutes or a day, forward or back.
    fn jump(&mut self, host: usize) -> Deed {
        let minutes = *self
            .chance
            .pick(&[-1440, -10, 10, 1440])
            .expect("not empty");
        let by = minutes * 60_000;
        Deed::Jump { host, by }
    }

    fn break_image(&mut self) -> Deed {
        Deed::BreakImage {
            service: self.service(),
            version: u32::try_from(self.chance.range(2, u64::from(VERSIONS))).expect("small"),
        }
    }

    fn clone_disk(&mut self, from: usize) -> Option<Deed> {
        let to = self.take_spare()?;
        Some(Deed::CloneDisk { from, to })
    }

    fn replace(&mut self, host: usize) -> Option<Deed> {
        let sponsor = self.node();
        (host != sponsor && host != 0).then_some(Deed::Replace { host, sponsor })
    }

    fn take_spare(&mut self) -> Option<usize> {
        let spare = self.next_spare;
        self.next_spare += 1;
        (spare < self.plan.hosts()).then_some(spare)
    }

    /// Hosts join within seconds of each other; some leave again.
    fn crowd(&mut self, at: u64) {
        while let Some(host) = self.take_spare() {
            let at = at + self.chance.below(10 * SECOND);
            let sponsor = self.node();
            self.add(at, 0, Deed::Join { host, sponsor });
            if self.chance.happens(400) {
                let later = at + self.while_it_lasts() + SECOND;
                let force = self.chance.happens(300);
                self.ask(later.min(self.ends), host, Ask::Leave { force });
            }
        }
    }

    /// Never the first host, which sponsors the others: rows of nodes whose sponsor was removed on
    /// the other side of a split are lost, as `docs/design/status.md` says.
    fn remove_node(&mut self, at: u64) {
        let node = self.plan.nodes - 1;
        let sponsors = self.plan.steps.iter().any(|step| {
            matches!(step.deed, Deed::Join { sponsor, .. } | Deed::Replace { sponsor, .. } if sponsor == node)
        });
        if node > 1 && !sponsors {
            let (on, force) = (self.chance.index(node), self.chance.happens(700));
            self.ask(at, on, Ask::RemoveNode { node, force });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_plans_and_others_differ() {
        let hour = Duration::from_secs(3600);
        assert_eq!(draw(1, None, hour), draw(1, None, hour));
        assert_ne!(draw(1, None, hour).steps, draw(2, None, hour).steps);
    }

    #[test]
    fn every_step_is_over_when_faults_end() {
        for seed in 0..200 {
            let plan = draw(seed, None, Duration::from_secs(1800));
            for step in &plan.steps {
                assert!(step.at + step.lasts <= plan.ends.max(step.at), "{step:?}");
                assert!(step.deed.names().iter().all(|host| *host < plan.hosts()));
            }
        }
    }

    #[test]
    fn every_kind_is_in_some_runs_and_missing_in_others() {
        let plans: Vec<String> = (0..60)
            .map(|seed| draw(seed, Some(4), Duration::from_secs(3600)).to_string())
            .collect();
        for deed in [
            "Cut",
            "KillHost",
            "CloneDisk",
            "Crash",
            "Stall",
            "FillDisk",
            "Join",
        ] {
            let with = plans.iter().filter(|plan| plan.contains(deed)).count();
            assert!(with > 0 && with < plans.len(), "{deed} is in {with} plans");
        }
    }
}
