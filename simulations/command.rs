//! What can be asked of the simulator.

pub(crate) mod replay;
pub(crate) mod single;
pub(crate) mod sweep;

use std::io::Write;
use std::time::Duration;

use anyhow::Context;

/// How the program is called.
pub(crate) const PROGRAM: &str = "cargo run --release -p kontena-simulations --";

/// To standard output: the result.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("failed to write to standard output")
}

/// To standard error: what is not part of the result. Nobody may listen.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `1.25 days`.
pub(crate) fn days(simulated: Duration) -> String {
    format!("{:.2} days", simulated.as_secs_f64() / 86_400.0)
}
