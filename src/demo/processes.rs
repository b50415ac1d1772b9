//! Which processes belong to a lab, read from `/proc`: nothing about them is kept in memory or in files,
//! so that a lab whose maker was killed can still be found and ended.
//!
//! A process is a host's if it runs in that host's network namespace or carries the lab's name in its
//! environment. Containers have namespaces of their own; they end with the host's first process.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal};

/// The environment variable that names the lab (and by it the processes that `ip netns` no longer knows).
pub(super) const LAB_VARIABLE: &str = "DEMO_LAB";
/// SIGKILL is obeyed at once unless the disk is very busy.
const DEATH_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// The processes that run in the network namespace at `namespace`.
pub(super) fn in_network(namespace: &Path) -> Vec<i32> {
    let Some(wanted) = identity(namespace) else {
        return Vec::new();
    };
    all()
        .filter(|pid| identity(Path::new(&format!("/proc/{pid}/ns/net"))) == Some(wanted))
        .collect()
}

/// The first process of the host whose network namespace is at `namespace`, if the host is up.
pub(super) fn first_of(namespace: &Path) -> Option<i32> {
    let depth = namespace_pids("self")?.len() + 1;
    in_network(namespace).into_iter().find(|pid| {
        namespace_pids(&pid.to_string())
            .is_some_and(|pids| pids.len() == depth && pids.last().is_some_and(|pid| pid == "1"))
    })
}

/// The processes that carry the name of `lab` in their environment.
pub(super) fn named(lab: &str) -> Vec<i32> {
    let wanted = format!("{LAB_VARIABLE}={lab}");
    let carries = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| {
            all.split(|&byte| byte == 0)
                .any(|one| one == wanted.as_bytes())
        })
    };
    all().filter(carries).collect()
}

/// Kills whatever `find` finds until it finds nothing.
pub(super) async fn kill_all(what: &str, find: impl Fn() -> Vec<i32>) -> Result<()> {
    let deadline = tokio::time::Instant::now() + DEATH_DEADLINE;
    loop {
        let pids = find();
        if pids.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            bail!("{what}: processes {pids:?} did not die of SIGKILL within {DEATH_DEADLINE:?}");
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            // It may have died in between: the next round looks again.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the process still exists, be it as a zombie.
pub(super) fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn all() -> impl Iterator<Item = i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(move |pid| *pid != own)
}

/// What makes a namespace the same one: its device and inode.
fn identity(namespace: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(namespace).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The process's ids, from the outermost PID namespace inwards.
fn namespace_pids(process: &str) -> Option<Vec<String>> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(line.split_whitespace().map(str::to_owned).collect())
}
