//! `service runs`: what became of a job's slots.

use kontena_core::id::ServiceKey;
use kontena_core::schedule::MAX_COUNTED;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::session::{Session, about};
use super::super::table::{Cell, Table};
use super::super::text::{Colour, moment, or_dash};
use crate::api::paths;
use crate::api::types::Time;
use crate::api::types::run::{Run, RunState, Runs};

pub(super) async fn list(session: &Session, name: &ServiceKey) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/runs", paths::service(&grid, name));
    let answer = session.client.get(&path).await;
    let Runs { runs } = answer.map_err(about(format!("service `{name}`")))?;
    let table = table(&runs);
    let json: Vec<RunJson> = runs.into_iter().map(RunJson::from).collect();
    session.print_list(false, &json, std::iter::empty(), &table)
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "INSTANCE",
        "NODE",
        "SLOT",
        "STATE",
        "STARTED",
        "DURATION",
        "EXIT CODE",
        "REASON",
    ]);
    for run in runs {
        table.row([
            Cell::from(run.instance_number.to_string()),
            Cell::from(&run.node.name),
            Cell::from(moment(run.slot.as_ref())),
            Cell::coloured(state(run), colour(run.state)),
            Cell::from(moment(run.started_at.as_ref())),
            Cell::from(or_dash(run.duration.map(duration).as_ref())),
            Cell::from(or_dash(run.exit_code.as_ref())),
            Cell::from(or_dash(reason(run).as_ref())),
        ]);
    }
    table
}

/// `missed (3)`: of several slots, how many.
fn state(run: &Run) -> String {
    let word = run.state.as_str();
    match run.missed {
        None | Some(1) => word.to_owned(),
        Some(MAX_COUNTED..) => format!("{word} ({MAX_COUNTED} or more)"),
        Some(count) => format!("{word} ({count})"),
    }
}

fn colour(state: RunState) -> Option<Colour> {
    match state {
        RunState::Succeeded => Some(Colour::Green),
        RunState::Starting | RunState::Running | RunState::Missed | RunState::Replaced => {
            Some(Colour::Yellow)
        }
        RunState::Failed | RunState::TimedOut | RunState::Lost => Some(Colour::Red),
        RunState::Stopped => None,
    }
}

/// The first line: what it wrote is in `--json`, and in its log.
fn reason(run: &Run) -> Option<&str> {
    run.reason.as_deref()?.lines().last()
}

/// `0.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`.
pub(super) fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..10 => format!("{seconds}.{} s", millis % 1_000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A run in `--json`.
#[derive(Serialize)]
struct RunJson {
    instance: u32,
    node: String,
    slot: Option<Time>,
    state: RunState,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    /// Milliseconds.
    duration: Option<u64>,
    exit_code: Option<i64>,
    /// So many slots.
    missed: Option<u32>,
    missed_until: Option<Time>,
    reason: Option<String>,
}

impl From<Run> for RunJson {
    fn from(run: Run) -> Self {
        Self {
            instance: run.instance_number,
            node: run.node.name,
            slot: run.slot,
            state: run.state,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration: run.duration,
            exit_code: run.exit_code,
            missed: run.missed,
            missed_until: run.missed_until,
            reason: run.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_as_exact_as_it_has_to_be() {
        let said = [0, 449, 9_999, 10_000, 59_999, 200_000, 7_500_000].map(duration);
        assert_eq!(
            said,
            [
                "0.0 s", "0.4 s", "9.9 s", "10 s", "59 s", "3 m 20 s", "2 h 5 m"
            ]
        );
    }
}
