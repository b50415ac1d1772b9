//! What is left of a tag's control groups, which engines that make them as folders leave behind.

use std::fs;
use std::path::{Path, PathBuf};

use super::Tag;

const ROOT: &str = "/sys/fs/cgroup";

/// Removes those that are empty: the kernel keeps the others.
pub(crate) fn remove_groups(tag: &Tag) {
    for hierarchy in hierarchies() {
        // Most have none; one that is not empty is somebody's.
        drop(fs::remove_dir(hierarchy.join(tag.group())));
    }
}

/// One for each controller, or one for all.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(ROOT).into_iter().flatten().flatten();
    let folders = folders.map(|entry| entry.path());
    folders.chain([Path::new(ROOT).to_owned()])
}
