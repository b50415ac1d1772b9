//! Removing a lab, from whatever state it was left in.
//!
//! In: its name. Everything else is found: processes by their namespace and environment, namespaces and
//! control groups by their names, mounts by their paths. The order matters: what still runs holds the rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::network::{self, Network};
use super::processes;
use super::program::Program;
use super::wait;

/// Groups empty a moment after the last process in them has died.
const GROUPS_DEADLINE: Duration = Duration::from_secs(10);
const REMOVAL_DEADLINE: Duration = Duration::from_secs(10);
const GROUPS: &str = "/sys/fs/cgroup";

/// Whether anything is there to be removed.
pub(super) fn exist(network: &Network, directory: &Path) -> bool {
    directory.exists() || !network.existing().is_empty()
}

pub(super) async fn remove(lab: &str, network: &Network, directory: &Path) -> Result<()> {
    processes::kill_all(lab, || processes_of(lab, network)).await?;
    network.remove().await?;
    remove_groups(lab).await?;
    remove_fenced_groups();
    unmount_below(directory).await?;
    remove_directory(directory).await
}

fn processes_of(lab: &str, network: &Network) -> Vec<i32> {
    let mut pids = processes::named(lab);
    for name in network.existing() {
        pids.extend(processes::in_network(&network::namespace(&name)));
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The groups of what ran under leases are outside those of the lab: by their tags nobody knows whose they are, but an empty
/// one is nobody's, and the engine makes it anew.
fn remove_fenced_groups() {
    let controllers = std::fs::read_dir(GROUPS).into_iter().flatten();
    let trees = controllers.filter_map(|entry| Some(entry.ok()?.path()));
    for tree in trees.chain([PathBuf::from(GROUPS)]) {
        let groups = std::fs::read_dir(tree).into_iter().flatten();
        let groups = groups.filter_map(|entry| Some(entry.ok()?.path()));
        for group in groups.filter(|group| is_fenced(group)) {
            // The kernel keeps one in which anything runs.
            drop(std::fs::remove_dir(group));
        }
    }
}

fn is_fenced(group: &Path) -> bool {
    let name = group.file_name().and_then(|name| name.to_str());
    let tag = name.and_then(|name| name.strip_prefix("kontena-"));
    tag.is_some_and(|tag| tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The lab's control groups: one tree (version 2), or one for each controller (version 1).
async fn remove_groups(lab: &str) -> Result<()> {
    wait::until(
        GROUPS_DEADLINE,
        "the control groups to become empty",
        async || {
            for tree in group_trees(lab) {
                remove_group(&tree)
                    .with_context(|| format!("failed to remove `{}`", tree.display()))?;
            }
            Ok(Some(()))
        },
    )
    .await
}

fn group_trees(lab: &str) -> Vec<PathBuf> {
    let controllers = std::fs::read_dir(GROUPS).into_iter().flatten();
    controllers
        .filter_map(|entry| Some(entry.ok()?.path().join(lab)))
        .chain([Path::new(GROUPS).join(lab)])
        .filter(|tree| tree.is_dir())
        .collect()
}

fn remove_group(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

/// A lab mounts nothing on the machine itself; but a test, or a person who looked around in it, may have.
async fn unmount_below(directory: &Path) -> Result<()> {
    let mounts =
        std::fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
    let mut below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|target| Path::new(target).starts_with(directory))
        .collect();
    below.sort_unstable();
    for target in below.into_iter().rev() {
        Program::new("umount")
            .args(["--lazy", target])
            .run()
            .await?;
    }
    Ok(())
}

/// Tries more than once: a program of a maker that was killed may still be writing for a moment.
async fn remove_directory(directory: &Path) -> Result<()> {
    wait::until(REMOVAL_DEADLINE, "the files to go", async || {
        let path = directory.to_owned();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await?;
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove `{}`", directory.display()))
            }
            Ok(()) | Err(_) => Ok(Some(())),
        }
    })
    .await
}
