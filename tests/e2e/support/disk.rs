//! A disk with a cache, as disks have: with the power goes what was not written through.
//!
//! The processes of a host that is killed are gone, and nothing else: what they wrote is the machine's to keep. Here
//! it is not.

use std::path::PathBuf;
use std::process::Command;

use super::Node;

/// Room for a few databases; what is not used takes none.
const SIZE: &str = "1G";

/// Where a host has its volumes.
pub(crate) struct Disk {
    place: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Puts the volumes of a host, which has none yet, on such a disk. The host is started anew, without its daemon.
    #[track_caller]
    pub(crate) fn below_volumes(node: &Node<'_>) -> Self {
        node.kill();
        let place = node.disk().join("docker/volumes");
        let image = node.disk().join("volumes.img");
        // The engine's own list, of none.
        std::fs::remove_dir_all(&place).expect("an engine made it");
        std::fs::create_dir(&place).expect("a folder can be made");
        let disk = Self { place, image };
        let [place, image] = [&disk.place, &disk.image].map(|path| path.display().to_string());
        ran("truncate", &["--size", SIZE, &image]);
        ran("mkfs.ext4", &["-q", &image]);
        ran("mount", &["-o", "loop", &image, &place]);
        node.start();
        disk
    }

    /// Cuts the power of the host and of its disk. When it comes back it has what was written through.
    #[track_caller]
    pub(crate) fn kill(&self, node: &Node<'_>) {
        let [place, image] = [&self.place, &self.image].map(|path| path.display().to_string());
        node.kill();
        ran("xfs_io", &["-x", "-c", "shutdown", &place]);
        ran("umount", &[&place]);
        // Under another file: who booted meanwhile may hold the first one's file system, as it was in memory.
        let copy = format!("{image}.copy");
        ran("cp", &["--sparse=always", &image, &copy]);
        ran("mv", &[&copy, &image]);
        ran("mount", &["-o", "loop", &image, &place]);
    }
}

/// On the machine, where a host's mounts come from.
#[track_caller]
fn ran(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|problem| panic!("{program}: {problem}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}
