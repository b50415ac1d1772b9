//! The figures of the report, and which measurement gives which.

use std::fmt;

use crate::measure::effort::Setup;
use crate::measure::{
    Point, absences, answers, away, changes, detection, heal, movement, swim, traffic,
};

/// What is measured in one run of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Measurement {
    /// How long until a crash is known
    Detection,
    /// Nodes that live and are taken for dead
    Absences,
    /// What follows when a split into halves heals
    Heal,
    /// Bytes at rest
    Rest,
    /// Instances that move when a node dies or links flap
    Movement,
    /// A node that returns after long
    Return,
    /// How long until a change is seen by all
    Changes,
    /// How long names lead to what is not there any more
    Answers,
    /// The same of SWIM (`foca`), for comparison
    Swim,
}

/// One chart, and one file of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    Detection,
    Absences,
    Convergence,
    Duplicates,
    Traffic,
    Movement,
    Return,
    ReturnMoved,
    Changes,
    Answers,
}

impl Measurement {
    pub const ALL: [Self; 9] = [
        Self::Detection,
        Self::Absences,
        Self::Heal,
        Self::Rest,
        Self::Movement,
        Self::Return,
        Self::Changes,
        Self::Answers,
        Self::Swim,
    ];

    pub(super) fn measure(self, setup: Setup) -> Vec<(Figure, Vec<Point>)> {
        match self {
            Self::Detection => vec![(Figure::Detection, detection::measure(setup))],
            Self::Absences => vec![(Figure::Absences, absences::measure(setup))],
            Self::Heal => healed(heal::measure(setup)),
            Self::Rest => vec![(Figure::Traffic, traffic::measure(setup))],
            Self::Movement => vec![(Figure::Movement, movement::measure(setup))],
            Self::Return => returned(away::measure(setup)),
            Self::Changes => vec![(Figure::Changes, changes::measure(setup))],
            Self::Answers => vec![(Figure::Answers, answers::measure(setup))],
            Self::Swim => vec![
                (Figure::Detection, swim::detection(setup)),
                (Figure::Absences, swim::alarms(setup)),
                (Figure::Convergence, vec![swim::heal(setup)]),
                (Figure::Traffic, vec![swim::rest(setup)]),
            ],
        }
    }
}

fn healed(healed: heal::Healed) -> Vec<(Figure, Vec<Point>)> {
    vec![
        (Figure::Convergence, healed.convergence),
        (Figure::Duplicates, healed.duplicates),
        (Figure::Traffic, healed.storm),
    ]
}

fn returned(returned: away::Returned) -> Vec<(Figure, Vec<Point>)> {
    vec![
        (Figure::Return, returned.merged),
        (Figure::ReturnMoved, returned.moved),
    ]
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detection => "detection",
            Self::Absences => "absences",
            Self::Heal => "heal",
            Self::Rest => "rest",
            Self::Movement => "movement",
            Self::Return => "return",
            Self::Changes => "changes",
            Self::Answers => "answers",
            Self::Swim => "swim",
        })
    }
}

impl Figure {
    /// The name of its files, without the ending.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Absences => "false-alarms",
            Self::Convergence => "heal",
            Self::Duplicates => "duplicates",
            Self::Traffic => "traffic",
            Self::Movement => "movement",
            Self::Return => "return",
            Self::ReturnMoved => "return-moved",
            Self::Changes => "changes",
            Self::Answers => "answers",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Detection => "A crash is known as stale",
            Self::Absences => "False alarms: nodes that live, taken for stale or absent",
            Self::Convergence => "After a split into halves of 5 minutes",
            Self::Duplicates => "Running twice after a split into halves",
            Self::Traffic => "Sent by a node",
            Self::Movement => "Instances moved, at three a node",
            Self::Return => "A node returns after a long absence",
            Self::ReturnMoved => "What a long absence moves",
            Self::Changes => "A change is seen",
            Self::Answers => "Names lead to what has ended",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Detection
            | Self::Convergence
            | Self::Duplicates
            | Self::Return
            | Self::Changes
            | Self::Answers => "seconds",
            Self::Absences => "alarms, of one node about another",
            Self::Traffic => "bytes per second",
            Self::Movement | Self::ReturnMoved => "instances",
        }
    }

    /// Whether values lie so far apart that their axis counts in powers of ten.
    pub(super) fn is_logarithmic(self) -> bool {
        self == Self::Traffic
    }
}
