//! The processes that carry a tag: found by their control groups, and killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal,
};

use super::Tag;

const PROCESSES: &str = "/proc";

/// What became of killing once.
#[derive(Debug, Default)]
pub(super) struct Killed {
    /// The tags of which something lived, and how many processes.
    pub(super) living: BTreeMap<Tag, usize>,
    pub(super) problems: BTreeSet<String>,
}

/// Kills everything that carries one of these, but for this process. What is born meanwhile is found the next time.
pub(super) fn kill(tags: &BTreeSet<Tag>) -> Killed {
    let mut killed = Killed::default();
    match carriers() {
        Ok(found) => {
            for (pid, carried) in found {
                killed.end(pid, carried.intersection(tags));
            }
        }
        Err(problem) => killed.note(problem, "failed to list processes"),
    }
    killed
}

impl Killed {
    fn end<'a>(&mut self, pid: Pid, tags: impl Iterator<Item = &'a Tag>) {
        for tag in tags {
            match kill_one(pid, tag) {
                Ok(true) => *self.living.entry(tag.clone()).or_default() += 1,
                Ok(false) | Err(Errno::SRCH) => {}
                Err(problem) => self.note(problem.into(), "failed to kill"),
            }
        }
    }

    fn note(&mut self, problem: io::Error, what: &str) {
        self.problems.insert(format!("{what}: {problem}"));
    }
}

/// All processes that carry a tag, but for this one.
///
/// # Errors
/// There is no list of processes.
fn carriers() -> io::Result<Vec<(Pid, BTreeSet<Tag>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(PROCESSES)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = number
            .and_then(Pid::from_raw)
            .filter(|pid| *pid != getpid())
        {
            let tags = carried_by(pid);
            if !tags.is_empty() {
                found.push((pid, tags));
            }
        }
    }
    Ok(found)
}

/// Whether anything that lives carries it.
pub(crate) fn is_carried(tag: &Tag) -> io::Result<bool> {
    let found = carriers()?;
    let mut carriers = found.into_iter().filter(|(_, tags)| tags.contains(tag));
    Ok(carriers.any(|(pid, _)| lives(pid)))
}

/// Nothing where the process is gone.
fn carried_by(pid: Pid) -> BTreeSet<Tag> {
    let text = fs::read_to_string(format!("{PROCESSES}/{pid}/cgroup"));
    Tag::carried(&text.unwrap_or_default()).collect()
}

/// Whether it lived. The number may be another process's by now, which the second look excludes: what is held is either
/// that one or nothing.
fn kill_one(pid: Pid, tag: &Tag) -> Result<bool, Errno> {
    let held = pidfd_open(pid, PidfdFlags::empty());
    if !carried_by(pid).contains(tag) {
        return Ok(false);
    }
    match held {
        Ok(held) => pidfd_send_signal(held, Signal::KILL)?,
        // A kernel before 5.3.
        Err(Errno::NOSYS) => kill_process(pid, Signal::KILL)?,
        Err(problem) => return Err(problem),
    }
    Ok(lives(pid))
}

/// One that only waits for its parent to take note of its end does not. Where its first thread has ended, others may live on.
fn lives(pid: Pid) -> bool {
    let state = fs::read_to_string(format!("{PROCESSES}/{pid}/stat"));
    let has_ended = state.is_ok_and(|state| has_ended(&state));
    let threads = fs::read_dir(format!("{PROCESSES}/{pid}/task"));
    threads.is_ok_and(|threads| !has_ended || threads.count() > 1)
}

/// By the text of `/proc/PID/stat`: `PID (NAME) STATE …`, where a name may have anything in it.
fn has_ended(state: &str) -> bool {
    let behind = state.rsplit_once(") ").map_or("", |(_, behind)| behind);
    behind.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_when_its_state_says_so_whatever_its_name_is() {
        assert!(has_ended("7 (sleep) Z 1 7"));
        assert!(!has_ended("7 (sleep) S 1 7"));
        assert!(!has_ended("7 (a) Z 1) T 1 7"));
        assert!(has_ended("7 (a) R 1) X 1 7"));
        assert!(!has_ended(""));
    }

    #[test]
    fn a_process_of_no_tag_is_not_found() {
        let tag = Tag::read(&"f".repeat(32)).unwrap();
        assert!(!is_carried(&tag).unwrap());
        let killed = kill(&BTreeSet::from([tag]));
        assert!(killed.living.is_empty(), "{killed:?}");
    }
}
