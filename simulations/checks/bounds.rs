//! Everything has a bound: messages, work for one input, what is under way, starts, idle talk.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::message::MAX_MESSAGE_BYTES;
use kontena_core::reconcile::action::{Action, Container};
use kontena_core::time::Instant;

use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[
    &MESSAGE_SIZE,
    &OUTPUTS,
    &TALK,
    &IDLE_TALK,
    &UNDER_WAY,
    &STARTS,
    &ASKS,
];

static MESSAGE_SIZE: Check = Check {
    name: "messages-are-small",
    says: "no message is larger than the wire allows",
    why: "the receiver refuses it, and it would be sent again for ever",
};

static OUTPUTS: Check = Check {
    name: "outputs-are-few",
    says: "no input makes a node ask for more than a thousand things",
    why: "whoever drives it holds them all in memory",
};

static TALK: Check = Check {
    name: "talk-is-bounded",
    says: "no node sends more than 100 messages a second to each other host over ten seconds",
    why: "a storm of messages is how a large grid dies of a small fault",
};

static IDLE_TALK: Check = Check {
    name: "idle-is-quiet",
    says: "in a grid of up to ten nodes at rest a node sends at most eight messages a second",
    why: "two exchanges a second are begun, and as many answered; the rest would be noise",
};

static UNDER_WAY: Check = Check {
    name: "little-is-under-way",
    says: "no more than 5,000 events for each host are under way",
    why: "messages, saves and actions that pile up are memory that grows",
};

static STARTS: Check = Check {
    name: "starts-back-off",
    says: "no boot of a node starts one deploy of an instance more than fifteen times in a minute",
    why: "a container that crashes at once must not keep a host busy",
};

static ASKS: Check = Check {
    name: "asks-back-off",
    says: "no boot of a node asks its engine for the same thing more than fifteen times in a minute",
    why: "what fails at once must not keep an engine or a registry busy",
};

const MOST_OUTPUTS: usize = 1000;
const WINDOW: Duration = Duration::from_secs(10);
const TALK_EACH: u64 = 100;
const IDLE_EACH: u64 = 8;
const EVENTS_EACH: usize = 5000;
const MINUTE: Duration = Duration::from_secs(60);
const MOST_STARTS: usize = 15;
const MOST_ASKS: usize = 15;

#[derive(Debug)]
pub(super) struct Bounds {
    /// When the window of each host began, and how much it had sent by then.
    windows: Vec<(Instant, u64)>,
    /// Of this boot of each host, by deploy.
    starts: BTreeMap<(usize, InstanceId, u64), VecDeque<Instant>>,
    /// Of this boot of each host, by what was asked for.
    asked: BTreeMap<(usize, String), VecDeque<Instant>>,
}

impl Bounds {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            windows: vec![(Instant::ZERO, 0); hosts],
            starts: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }
}

impl Topic for Bounds {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Sent { bytes } = fact {
            findings.expect(*bytes <= MAX_MESSAGE_BYTES, &MESSAGE_SIZE, || {
                format!("{} sends {bytes} bytes", name(host))
            });
            self.talk(scene, host, findings);
        }
        if let Fact::Answered { outputs } = fact {
            findings.expect(*outputs <= MOST_OUTPUTS, &OUTPUTS, || {
                format!("{} asks for {outputs} things at once", name(host))
            });
        }
        if let Fact::Changed(Change::Started(container)) = fact {
            self.start(scene, host, container, findings);
        }
        if let Fact::Booted = fact {
            self.starts.retain(|(of, _, _), _| *of != host);
            self.asked.retain(|(of, _), _| *of != host);
        }
        if let Fact::Asked(action) = fact {
            self.ask(scene, host, action, findings);
        }
    }

    /// What was sent before belongs to another window.
    fn rest(&mut self, scene: Scene<'_>, _findings: &mut Findings) {
        for (host, window) in self.windows.iter_mut().enumerate() {
            *window = (scene.now(), scene.host(host).sent);
        }
    }
}

impl Bounds {
    fn talk(&mut self, scene: Scene<'_>, host: usize, findings: &mut Findings) {
        let (begun, sent_then) = self.windows[host];
        let lasts = scene.now().since(begun);
        if lasts < WINDOW {
            return;
        }
        let sent = scene.host(host).sent;
        self.windows[host] = (scene.now(), sent);
        let hosts = scene.world.hosts.len();
        let (each, check) = match scene.rests && hosts <= 10 {
            true => (IDLE_EACH, &IDLE_TALK),
            false => (TALK_EACH * hosts as u64, &TALK),
        };
        let most = each * lasts.as_secs().max(1);
        findings.expect(sent - sent_then <= most, check, || {
            format!(
                "{} sent {} messages in {lasts:?}",
                name(host),
                sent - sent_then
            )
        });
        let under_way = scene.world.foreseen();
        findings.expect(under_way <= EVENTS_EACH * hosts, &UNDER_WAY, || {
            format!("{under_way} events are under way")
        });
    }

    fn start(
        &mut self,
        scene: Scene<'_>,
        host: usize,
        container: &Container,
        findings: &mut Findings,
    ) {
        let instance = &container.owner.instance;
        let deploy = (host, instance.clone(), container.owner.generation);
        let starts = in_a_minute(self.starts.entry(deploy).or_default(), scene.now());
        findings.expect(starts <= MOST_STARTS, &STARTS, || {
            format!("{} started {instance} {starts} times", name(host))
        });
    }

    fn ask(&mut self, scene: Scene<'_>, host: usize, action: &Action, findings: &mut Findings) {
        let Some(what) = wanted_by(action) else {
            return;
        };
        let times = self.asked.entry((host, what.clone())).or_default();
        let asked = in_a_minute(times, scene.now());
        findings.expect(asked <= MOST_ASKS, &ASKS, || {
            format!("{} asks to {what} {asked} times", name(host))
        });
    }
}

/// Counts one more, and how many there were within a minute.
fn in_a_minute(times: &mut VecDeque<Instant>, now: Instant) -> usize {
    times.push_back(now);
    while times
        .front()
        .is_some_and(|first| now.since(*first) > MINUTE)
    {
        times.pop_front();
    }
    times.len()
}

/// What an action is to bring about; nothing where it only looks.
fn wanted_by(action: &Action) -> Option<String> {
    match action {
        Action::Fetch { image, .. } => Some(format!("fetch {image}")),
        Action::Run(spec) => {
            let owner = &spec.labels;
            Some(format!("run {} of {}", owner.instance, owner.generation))
        }
        Action::Start { container } => Some(format!("start {}", container.0)),
        Action::Stop { container, .. } => Some(format!("stop {}", container.0)),
        Action::Remove { container } => Some(format!("remove {}", container.0)),
        Action::RemoveVolume { name, .. } => Some(format!("remove volume {name}")),
        // Each waits for the one before it, and longer each time.
        Action::Move(_) => None,
        Action::Rename { container, name } => Some(format!("rename {} to {name}", container.0)),
        Action::Hook { spec, hook, .. } => Some(format!("hook {hook} of {}", spec.name)),
        Action::Command {
            container, hook, ..
        } => Some(format!("hook {hook} in {}", container.0)),
        Action::Probe { .. } | Action::Check { .. } | Action::LastLines { .. } => None,
    }
}
