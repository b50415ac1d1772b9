//! Names of 10,000 instances on 1,000 nodes: from nothing, and where nothing changed that they are made of.

use kontena_core::network::zone::{Zones, zone};

use crate::figure::{Row, Times};
use crate::placing;

const RUNS: usize = 11;

pub(crate) fn measure(report: &mut dyn FnMut(Row)) {
    let view = placing::held();
    let mut nothing = Times::default();
    let mut names = 0;
    for _ in 0..RUNS {
        names = nothing.measure(|| zone(&view)).names.len();
    }
    report(Row {
        what: format!("{names} names of a grid, from nothing"),
        figure: nothing.in_milliseconds(),
        aim: "a few ms",
    });
    let mut zones = Zones::default();
    zones.follow(&view);
    let mut rest = Times::default();
    for _ in 0..RUNS {
        rest.measure_many(1_000, || (0..1_000).for_each(|_| drop(zones.follow(&view))));
    }
    report(Row {
        what: "– of another view that says the same".to_owned(),
        figure: rest.in_milliseconds(),
        aim: "",
    });
}
