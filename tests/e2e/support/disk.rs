//! A disk with a cache, as disks have: with the power goes what was not written through.
//!
//! The processes of a host that is killed are gone, and nothing else: what they wrote is the machine's to keep. Here
//! it is not.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::Node;
use crate::source::demo::program::Program;

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
        let place = node.disk().join("volumes");
        let image = node.disk().join("volumes.img");
        std::fs::create_dir(&place).expect("a folder can be made");
        // A mount below its folder is out of the engine's sight, which mounts that folder on itself.
        let volumes = node.disk().join("docker/volumes");
        std::fs::remove_dir_all(&volumes).expect("an engine made it, with a list of none");
        symlink(&place, &volumes).expect("a link can be made");
        let disk = Self { place, image };
        let [place, image] = [&disk.place, &disk.image].map(|path| path.display().to_string());
        ran(node, "truncate", &["--size", SIZE, &image]);
        ran(node, "mkfs.ext4", &["-q", &image]);
        ran(node, "mount", &["-o", "loop", &image, &place]);
        node.start();
        disk
    }

    /// Cuts the power of the host and of its disk. When it comes back it has what was written through.
    #[track_caller]
    pub(crate) fn kill(&self, node: &Node<'_>) {
        let [place, image] = [&self.place, &self.image].map(|path| path.display().to_string());
        node.kill();
        ran(node, "xfs_io", &["-x", "-c", "shutdown", &place]);
        ran(node, "umount", &[&place]);
        // Under another file: who booted meanwhile may hold the first one's file system, as it was in memory.
        let copy = format!("{image}.copy");
        ran(node, "cp", &["--sparse=always", &image, &copy]);
        ran(node, "mv", &[&copy, &image]);
        ran(node, "mount", &["-o", "loop", &image, &place]);
    }
}

/// On the machine, where a host's mounts come from.
#[track_caller]
fn ran(node: &Node<'_>, program: &str, arguments: &[&str]) {
    node.lab.wait(Program::new(program).args(arguments).run());
}
