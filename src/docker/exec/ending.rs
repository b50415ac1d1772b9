//! The end of a command that nobody waits for any more.
//!
//! Docker ends none, so the kernel is asked: a command is the leader of a session of its own (as runc and crun start
//! them), and all that it started is in that session unless it went out of it by itself, as a service does that is
//! meant to stay. Only what is in the container's control group is touched, so that a number which another
//! process has got meanwhile, or one of another machine, ends nothing.

use std::fs;
use std::time::Duration;

use kontena_core::reconcile::action::ContainerId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::{Docker, ExecId};

/// Between the word that its terminal is gone and the end.
const GRACE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);
/// From the engine's answer to the process, on a busy host.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

impl Docker {
    /// Ends a command and what it started: SIGHUP, and SIGKILL where that does not end it.
    pub(in crate::docker) async fn end_exec(&self, container: &ContainerId, id: &ExecId) {
        let Some(session) = self.session_of_exec(container, id).await else {
            return;
        };
        signal(&members(session, container), Signal::HUP);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if members(session, container).is_empty() {
                return;
            }
            sleep(LOOK).await;
        }
        signal(&members(session, container), Signal::KILL);
    }
}

impl Docker {
    /// The number of a command's session, once it has one; none where it has ended, or nobody knows. An engine answers
    /// before it has started a command, and starts it though nobody waits for it any more.
    async fn session_of_exec(&self, container: &ContainerId, id: &ExecId) -> Option<i32> {
        let until = Instant::now() + STARTS_WITHIN;
        while Instant::now() < until {
            let inspected = match self.inspect_exec(id).await {
                Ok(inspected) => inspected,
                Err(trouble) => {
                    let problem = trouble.problem();
                    tracing::warn!(
                        container = container.0,
                        problem,
                        "A command that nobody waits for was not ended"
                    );
                    return None;
                }
            };
            let session = inspected.pid.and_then(|pid| i32::try_from(pid).ok());
            if let Some(session) = session.filter(|pid| *pid > 1) {
                return Some(session);
            }
            if inspected.exit_code.is_some() {
                return None;
            }
            sleep(LOOK).await;
        }
        tracing::warn!(
            container = container.0,
            "A command that nobody waits for has not begun, and may still"
        );
        None
    }
}

fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        // It may have ended in between.
        if let Err(problem) = kill_process(*process, signal) {
            tracing::debug!(%problem, "A process was not told to end");
        }
    }
}

/// Those of a session that are in the container. None where its processes are not this host's.
fn members(session: i32, container: &ContainerId) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    let of_session = numbers.filter(|pid| session_of(*pid) == Some(session));
    let inside = of_session.filter(|pid| is_inside(*pid, container));
    inside.filter_map(Pid::from_raw).collect()
}

fn session_of(pid: i32) -> Option<i32> {
    session(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The sixth field of `/proc/PID/stat`; the second is a name in parentheses, which may hold anything.
fn session(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(3)?.parse().ok()
}

fn is_inside(pid: i32, container: &ContainerId) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    groups.is_ok_and(|groups| groups.contains(container.0.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_behind_a_name_of_any_form() {
        let stat = "4711 (a ) (b) S 1 4700 4699 34816 4711 4194304 152 0";
        assert_eq!(session(stat), Some(4699));
        assert_eq!(session("4711 (sh"), None);
    }

    #[test]
    fn a_process_of_this_host_is_in_no_container_that_it_is_not_in() {
        let me = i32::try_from(std::process::id()).unwrap();
        let session = session_of(me).unwrap();
        let other = ContainerId("f00d".repeat(16));
        assert_eq!(members(session, &other), []);
    }
}
