//! `daemon`: this program as the node itself.

use tracing::level_filters::LevelFilter;

use super::failure::{Complaint, Failure};
use super::output::Output;
use super::session::Environment;
use crate::daemon::config::{self, DaemonArgs};
use crate::telemetry;

/// Runs until it is told to stop. Every mistake of the configuration is told before anything is
/// opened.
pub(crate) fn run(
    output: &Output,
    environment: Environment<'_>,
    asked: &DaemonArgs,
) -> Result<(), Failure> {
    let file = config::read_file(asked, environment).map_err(Failure::usage)?;
    let config = config::load(asked, environment, file.as_ref()).map_err(|problems| {
        for problem in problems {
            output.complain(&Complaint {
                message: problem.to_string(),
                hint: None,
            });
        }
        Failure::ReportedUsage
    })?;
    telemetry::start(LevelFilter::from_level(config.log));
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|problem| Failure::failed(format!("failed to start: {problem}")))?
        .block_on(crate::daemon::run(config))?;
    Ok(())
}
