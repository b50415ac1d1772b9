//! What holds as long as deeds last. It is made anew from all that are under way whenever one begins
//! or ends, so that two of one kind cannot undo each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::disk::Trouble as DiskTrouble;
use crate::engine::{Illness, Trouble as EngineTrouble};
use crate::network::Trouble as NetworkTrouble;
use crate::plan::{Deed, Shape, rebuilt};
use crate::world::World;

/// Puts the conditions in place. Gives the hosts whose engine began or ceased to hang.
pub(super) fn apply(world: &mut World, active: &[&Deed]) -> Vec<usize> {
    world.network.trouble = network(active);
    world.forgers = forgers(active);
    world.seclude(secluded(active));
    let mut changed = Vec::new();
    for (index, host) in world.hosts.iter_mut().enumerate() {
        let hung = host.engine.is_hung();
        host.engine.trouble = engine(active, index);
        host.engine.broken_images = broken_images(active);
        host.engine.tags = tags(active);
        host.disk.trouble = disk(active, index);
        if host.engine.is_hung() != hung {
            changed.push(index);
        }
    }
    changed
}

fn secluded(active: &[&Deed]) -> BTreeSet<usize> {
    let mut secluded = BTreeSet::new();
    for deed in active {
        if let Deed::Seclude { host } = deed {
            secluded.insert(*host);
        }
    }
    secluded
}

fn forgers(active: &[&Deed]) -> BTreeSet<usize> {
    let mut forgers = BTreeSet::new();
    for deed in active {
        if let Deed::Forge { host } = deed {
            forgers.insert(*host);
        }
    }
    forgers
}

fn network(active: &[&Deed]) -> NetworkTrouble {
    let mut trouble = NetworkTrouble::default();
    for deed in active {
        if let Deed::Cut { from, to, both } = deed {
            cut(&mut trouble, from, to, *both);
        }
        if let Deed::Lose { share } = deed {
            trouble.loss = trouble.loss.max(*share);
        }
        if let Deed::Double { share } = deed {
            trouble.doubled = trouble.doubled.max(*share);
        }
        if let Deed::HoldUp { share, longest } = deed {
            trouble.held_up = (*share, Duration::from_millis(*longest));
        }
        if let Deed::SlowLinks { host, by } = deed {
            trouble.slow.insert(*host, Duration::from_millis(*by));
        }
    }
    trouble
}

fn cut(trouble: &mut NetworkTrouble, from: &[usize], to: &[usize], both: bool) {
    for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))) {
        trouble.cut.insert((a, b));
        if both {
            trouble.cut.insert((b, a));
        }
    }
}

fn engine(active: &[&Deed], of: usize) -> EngineTrouble {
    let holds = |deed: &Deed| active.contains(&deed);
    let mut trouble = EngineTrouble::default();
    for deed in active {
        if let Deed::SlowPulls { host, by } = **deed
            && host == of
        {
            trouble.pull = trouble.pull.max(Some(Duration::from_millis(by)));
        }
        if let Deed::Sicken { host, hangs } = **deed
            && host == of
        {
            // Two at once: what hangs fails, too.
            let before = trouble.sickens.unwrap_or_default();
            trouble.sickens = Some(before.max(illness(hangs)));
        }
        if let Deed::LoseAnswers { host, share } = **deed
            && host == of
        {
            trouble.loses_answers = trouble.loses_answers.max(share);
        }
    }
    EngineTrouble {
        hangs: holds(&Deed::HangEngine { host: of }),
        fails_starts: holds(&Deed::FailStarts { host: of }),
        // What keeps containers from starting keeps hooks from doing their work.
        fails_hooks: holds(&Deed::FailStarts { host: of }),
        hangs_hooks: holds(&Deed::HangHooks { host: of }),
        no_room: holds(&Deed::FillEngine { host: of }),
        no_pulls: holds(&Deed::NoPulls { host: of }),
        ignores_stop: holds(&Deed::IgnoreStops { host: of }),
        ..trouble
    }
}

fn illness(hangs: bool) -> Illness {
    match hangs {
        true => Illness::Hangs,
        false => Illness::Fails,
    }
}

fn broken_images(active: &[&Deed]) -> BTreeSet<String> {
    let mut broken = BTreeSet::new();
    for deed in active {
        if let Deed::BreakImage { service, version } = deed {
            broken.insert(Shape::of(*service).service(*service, *version).image);
        }
    }
    broken
}

fn tags(active: &[&Deed]) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for deed in active {
        if let Deed::MoveTag { service, version } = deed {
            let image = Shape::of(*service).service(*service, *version).image;
            tags.insert(image.clone(), rebuilt(&image));
        }
    }
    tags
}

fn disk(active: &[&Deed], of: usize) -> DiskTrouble {
    let mut slow = Duration::ZERO;
    for deed in active {
        if let Deed::SlowDisk { host, by } = **deed
            && host == of
        {
            slow = slow.max(Duration::from_millis(by));
        }
    }
    DiskTrouble {
        full: active.contains(&&Deed::FillDisk { host: of }),
        slow,
    }
}
