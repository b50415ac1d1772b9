//! Starts the daemon where systemd has its unit.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::failure::Failure;
use super::session::Session;
use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::target::{DEFAULT_SOCKET, Target};
use crate::api::types::membership::Status;

const UNIT: &str = "kontena.service";
/// systemd's own limit for a start is 90 s.
const START_LIMIT: Duration = Duration::from_secs(100);
/// From the unit's start until its socket answers: the documents are read in between.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// The daemon's state, after it was started if that was all that was missing.
pub(crate) async fn status_of_running_daemon(session: &Session) -> Result<Status, Failure> {
    let problem = match session.client.get(paths::STATUS).await {
        Ok(status) => return Ok(status),
        Err(problem) => problem,
    };
    if !is_ours_to_start(session, &problem) || !is_loaded_and_inactive().await {
        return Err(problem.into());
    }
    session.output.talk(&format!("starting `{UNIT}`"));
    start().await?;
    answer(session).await
}

/// Only the unit's own socket: it opens no other.
fn is_ours_to_start(session: &Session, problem: &ApiError) -> bool {
    let unit_socket = Target::Socket(DEFAULT_SOCKET.into());
    problem.is_unconnected()
        && *session.client.target() == unit_socket
        && Path::new("/run/systemd/system").is_dir()
}

async fn is_loaded_and_inactive() -> bool {
    let mut show = Command::new("systemctl");
    show.args(["show", "--property=LoadState,ActiveState", UNIT])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(ANSWER_LIMIT, show.output()).await {
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let has = |line: &str| text.lines().any(|found| found == line);
            has("LoadState=loaded") && !has("ActiveState=active")
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

async fn start() -> Result<(), Failure> {
    let mut start = Command::new("systemctl");
    start
        .args(["start", UNIT])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let failed = |problem: String| {
        Failure::failed(format!("failed to start `{UNIT}`: {problem}")).hint(format!(
            "see `systemctl status {UNIT}` and `journalctl -u {UNIT}`"
        ))
    };
    let output = timeout(START_LIMIT, start.output())
        .await
        .map_err(|_| failed(format!("no answer within {} s", START_LIMIT.as_secs())))?
        .map_err(|problem| failed(problem.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().next().unwrap_or_default().to_owned()))
}

async fn answer(session: &Session) -> Result<Status, Failure> {
    let end = Instant::now() + ANSWER_LIMIT;
    loop {
        match session.client.get(paths::STATUS).await {
            Ok(status) => return Ok(status),
            Err(problem) if problem.is_unconnected() && Instant::now() < end => sleep(PAUSE).await,
            Err(problem) => {
                let hint = format!("see `journalctl -u {UNIT}`");
                return Err(
                    Failure::failed(format!("`{UNIT}` was started: {}", problem.message))
                        .hint(hint),
                );
            }
        }
    }
}
