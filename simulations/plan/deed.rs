//! One thing that befalls a grid: a fault, or what somebody does.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Ask;

/// How long a hook is waited for at most: those before a start.
const LONGEST_HOOK: Duration = Duration::from_secs(300);

/// Times are milliseconds, shares thousandths, hosts numbers from 0.
///
/// Some happen at one moment; others are a condition that holds as long as the step lasts, or begin
/// something that is put right at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing gets from the first hosts to the second; nor back, if `both`.
    Cut {
        from: Vec<usize>,
        to: Vec<usize>,
        both: bool,
    },
    Lose {
        share: u64,
    },
    Double {
        share: u64,
    },
    HoldUp {
        share: u64,
        longest: u64,
    },
    SlowLinks {
        host: usize,
        by: u64,
    },
    /// Nobody finds a way to the host in the data plane, nor it to anybody; nodes still hear each other.
    Seclude {
        host: usize,
    },
    /// The host gets another address, and keeps it.
    Move {
        host: usize,
    },

    /// The daemon is killed, and started at the end.
    KillNode {
        host: usize,
    },
    /// The power goes, and comes back at the end.
    KillHost {
        host: usize,
    },
    /// The daemon is told to stop, and ends by itself; it is started at the end, and killed before that
    /// if it has not ended yet.
    StopNode {
        host: usize,
    },
    /// The daemon's loop stands still.
    Stall {
        host: usize,
    },
    /// The wall clock is set forward, or back.
    Jump {
        host: usize,
        by: i64,
    },
    /// The monotonic clock runs fast or slow, in parts per million, for the whole run.
    Drift {
        host: usize,
        by: i64,
    },

    /// The host has another processor than most, for the whole run.
    OtherProcessor {
        host: usize,
    },
    /// This version's image was built for the processor that most have, and for no other, for the whole run.
    BuiltForMost {
        service: usize,
        version: u32,
    },

    HangEngine {
        host: usize,
    },
    SlowPulls {
        host: usize,
        by: u64,
    },
    NoPulls {
        host: usize,
    },
    /// No volume can be made: the engine's disk is full.
    FillEngine {
        host: usize,
    },
    FailStarts {
        host: usize,
    },
    LoseAnswers {
        host: usize,
        share: u64,
    },
    IgnoreStops {
        host: usize,
    },
    /// One running container crashes, or all.
    Crash {
        host: usize,
        all: bool,
    },
    /// Containers whose health is checked fall ill: one that runs, or all. Only a restart makes them well.
    FallIll {
        host: usize,
        all: bool,
    },
    /// Whatever runs here and is checked does not do its work; health checks fail, or hang.
    Sicken {
        host: usize,
        hangs: bool,
    },
    /// All containers are removed behind the node's back.
    LoseContainers {
        host: usize,
    },
    /// A container of another grid has the name of an instance.
    Squat {
        host: usize,
        service: usize,
    },
    /// Containers of this version exit at once, everywhere.
    BreakImage {
        service: usize,
        version: u32,
    },

    /// As long as it lasts the name of this version's image means what was built anew, everywhere.
    MoveTag {
        service: usize,
        version: u32,
    },
    /// Hooks on the host do not end by themselves.
    HangHooks {
        host: usize,
    },

    /// With its reports the host sends forged ones of all others, signed by itself: nobody may be troubled by
    /// that.
    Forge {
        host: usize,
    },

    FillDisk {
        host: usize,
    },
    SlowDisk {
        host: usize,
        by: u64,
    },
    /// A power cut damages what was written last.
    DamageDisk {
        host: usize,
    },
    /// At the end the disk is replaced by a copy from the beginning.
    RestoreDisk {
        host: usize,
    },
    /// Another host runs with a copy of the disk until the end.
    CloneDisk {
        from: usize,
        to: usize,
    },
    /// The machine is lost; at the end an empty one joins in its place.
    Replace {
        host: usize,
        sponsor: usize,
    },

    Join {
        host: usize,
        sponsor: usize,
    },
    /// A program writes a key on its host: this value, or none any more.
    WriteKey {
        on: usize,
        key: usize,
        value: Option<u64>,
    },
    /// Somebody asks the node of a host for something.
    Ask {
        on: usize,
        ask: Ask,
    },
}

/// Whom a deed troubles, so that no promise for calm times holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    Nobody,
    Hosts(Vec<usize>),
    All,
}

impl Deed {
    pub fn touches(&self) -> Touched {
        match self {
            Self::Cut { .. }
            | Self::Lose { .. }
            | Self::Double { .. }
            | Self::HoldUp { .. }
            | Self::BreakImage { .. } => Touched::All,
            Self::SlowLinks { host, .. }
            | Self::Move { host }
            | Self::KillNode { host }
            | Self::KillHost { host }
            | Self::StopNode { host }
            | Self::Stall { host }
            | Self::HangEngine { host }
            | Self::SlowPulls { host, .. }
            | Self::NoPulls { host }
            | Self::FillEngine { host }
            | Self::FailStarts { host }
            | Self::LoseAnswers { host, .. }
            | Self::IgnoreStops { host }
            | Self::Crash { host, .. }
            | Self::FallIll { host, .. }
            | Self::Sicken { host, .. }
            | Self::HangHooks { host }
            | Self::LoseContainers { host }
            | Self::Squat { host, .. }
            | Self::FillDisk { host }
            | Self::SlowDisk { host, .. }
            | Self::DamageDisk { host }
            | Self::RestoreDisk { host }
            | Self::Replace { host, .. }
            | Self::Join { host, .. } => Touched::Hosts(vec![*host]),
            Self::CloneDisk { from, to } => Touched::Hosts(vec![*from, *to]),
            Self::Ask {
                ask: Ask::RemoveNode { node, .. },
                ..
            } => Touched::Hosts(vec![*node]),
            Self::Ask {
                on,
                ask: Ask::Leave { .. },
            } => Touched::Hosts(vec![*on]),
            Self::Seclude { .. }
            | Self::OtherProcessor { .. }
            | Self::BuiltForMost { .. }
            | Self::MoveTag { .. }
            | Self::Forge { .. }
            | Self::Jump { .. }
            | Self::Drift { .. }
            | Self::WriteKey { .. }
            | Self::Ask { .. } => Touched::Nobody,
        }
    }

    /// How long what was begun meanwhile may go on after it.
    pub fn lingers(&self) -> Duration {
        if let Self::HangHooks { .. } = self {
            return LONGEST_HOOK;
        }
        Duration::ZERO
    }

    /// The host that is down as long as this lasts.
    pub fn keeps_down(&self) -> Option<usize> {
        match self {
            Self::KillNode { host }
            | Self::KillHost { host }
            | Self::StopNode { host }
            | Self::DamageDisk { host }
            | Self::Replace { host, .. } => Some(*host),
            Self::Cut { .. }
            | Self::Lose { .. }
            | Self::Double { .. }
            | Self::HoldUp { .. }
            | Self::SlowLinks { .. }
            | Self::Seclude { .. }
            | Self::Move { .. }
            | Self::Stall { .. }
            | Self::Jump { .. }
            | Self::Drift { .. }
            | Self::OtherProcessor { .. }
            | Self::BuiltForMost { .. }
            | Self::HangEngine { .. }
            | Self::SlowPulls { .. }
            | Self::NoPulls { .. }
            | Self::FillEngine { .. }
            | Self::FailStarts { .. }
            | Self::LoseAnswers { .. }
            | Self::IgnoreStops { .. }
            | Self::Crash { .. }
            | Self::FallIll { .. }
            | Self::Sicken { .. }
            | Self::LoseContainers { .. }
            | Self::Squat { .. }
            | Self::BreakImage { .. }
            | Self::MoveTag { .. }
            | Self::HangHooks { .. }
            | Self::Forge { .. }
            | Self::FillDisk { .. }
            | Self::SlowDisk { .. }
            | Self::RestoreDisk { .. }
            | Self::CloneDisk { .. }
            | Self::Join { .. }
            | Self::WriteKey { .. }
            | Self::Ask { .. } => None,
        }
    }

    /// Every host that it names: a grid without one of them cannot have it.
    pub fn names(&self) -> BTreeSet<usize> {
        let mut hosts = match self.touches() {
            Touched::Hosts(hosts) => BTreeSet::from_iter(hosts),
            Touched::Nobody | Touched::All => BTreeSet::new(),
        };
        if let Self::Cut { from, to, .. } = self {
            hosts.extend(from.iter().chain(to));
        }
        if let Self::Seclude { host }
        | Self::Forge { host }
        | Self::Jump { host, .. }
        | Self::Drift { host, .. } = self
        {
            hosts.insert(*host);
        }
        if let Self::Replace { sponsor, .. } | Self::Join { sponsor, .. } = self {
            hosts.insert(*sponsor);
        }
        if let Self::WriteKey { on, .. } = self {
            hosts.insert(*on);
        }
        if let Self::Ask { on, ask } = self {
            hosts.insert(*on);
            hosts.extend(named_by(ask));
        }
        hosts
    }
}

fn named_by(ask: &Ask) -> Option<usize> {
    match ask {
        Ask::Drain { node }
        | Ask::Activate { node }
        | Ask::AssumeDead { node }
        | Ask::Zone { node, .. }
        | Ask::ForceMove { node, .. }
        | Ask::Move { node, .. }
        | Ask::RemoveNode { node, .. } => Some(*node),
        Ask::Create { .. }
        | Ask::Update { .. }
        | Ask::Scale { .. }
        | Ask::Deploy { .. }
        | Ask::Abort { .. }
        | Ask::Promote { .. }
        | Ask::Stop { .. }
        | Ask::Start { .. }
        | Ask::Restart { .. }
        | Ask::Remove { .. }
        | Ask::Leave { .. }
        | Ask::Install { .. }
        | Ask::Upgrade { .. }
        | Ask::DeployStack
        | Ask::Resolve
        | Ask::CreateVolume { .. }
        | Ask::RemoveVolume { .. }
        | Ask::CancelMove { .. }
        | Ask::Nonsense { .. } => None,
    }
}
