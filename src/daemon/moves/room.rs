//! Whether there is room for what comes: nobody else's disk is to be filled by it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, ensure};

/// What is left free in any case: a twentieth of the disk, and this at most.
const RESERVE: u64 = 1 << 30;

const LOOK: &str = "failed to look how much room there is";
const SPOOL: &str = "what comes, in the daemon's data directory";
const VOLUMES: &str = "the volumes, in the engine's directory";

/// The disk is full, or would be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoRoom(String);

/// A file system, as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    device: u64,
    size: u64,
    free: u64,
}

/// For how many bytes there has to be room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    pub(super) spool: u64,
    pub(super) volumes: u64,
}

impl Room {
    pub(super) fn at(place: &Path) -> io::Result<Self> {
        let about = rustix::fs::statvfs(place)?;
        Ok(Self {
            device: fs::metadata(place)?.dev(),
            size: about.f_blocks.saturating_mul(about.f_frsize),
            free: about.f_bavail.saturating_mul(about.f_frsize),
        })
    }

    /// Those of one disk need not have one number: parts of a file system that have numbers of their own are as large, and have
    /// as much room, as each other.
    fn is_one_with(&self, other: &Self) -> bool {
        self.device == other.device || (self.size == other.size && self.free == other.free)
    }

    /// What is to be left free.
    pub(super) fn reserve(&self) -> u64 {
        (self.size / 20).min(RESERVE)
    }

    fn check(&self, needed: u64, what: &str) -> Result<(), NoRoom> {
        let needed = needed.saturating_add(self.reserve());
        match needed <= self.free {
            true => Ok(()),
            false => Err(NoRoom(format!(
                "it has no room for {what}: {} MiB are needed, and {} MiB are free",
                needed >> 20,
                self.free >> 20
            ))),
        }
    }
}

/// That both have room, which may be one disk. `volumes`: `None` where the engine's disk is another host's.
///
/// # Errors
/// There is none, which is [`NoRoom`].
pub(super) fn check(spool: &Path, volumes: Option<&Path>, needed: Needed) -> anyhow::Result<()> {
    let spool = Room::at(spool).context(LOOK)?;
    let volumes = volumes.map(Room::at).transpose().context(LOOK)?;
    Ok(check_both(spool, volumes, needed)?)
}

fn check_both(spool: Room, volumes: Option<Room>, needed: Needed) -> Result<(), NoRoom> {
    match volumes {
        Some(volumes) if volumes.is_one_with(&spool) => {
            let both = needed.spool.saturating_add(needed.volumes);
            spool.check(both, "the data twice, as it comes and as it is used")
        }
        Some(volumes) => {
            spool.check(needed.spool, SPOOL)?;
            volumes.check(needed.volumes, VOLUMES)
        }
        None => spool.check(needed.spool, SPOOL),
    }
}

/// That the engine's disk has room for a volume of so many bytes.
///
/// # Errors
/// It has none, which is [`NoRoom`].
pub(super) fn check_for_volume(place: &Path, bytes: u64) -> anyhow::Result<()> {
    let room = Room::at(place).context(LOOK)?;
    Ok(room.check(bytes, VOLUMES)?)
}

/// That so much is left, as more comes.
///
/// # Errors
/// There is less, which is [`NoRoom`].
pub(super) fn check_is_left(place: &Path, reserve: u64) -> anyhow::Result<()> {
    let free = Room::at(place).context(LOOK)?.free;
    let problem = || {
        NoRoom(format!(
            "its disk is about to be full: {} MiB are free",
            free >> 20
        ))
    };
    ensure!(free >= reserve, problem());
    Ok(())
}

/// Whether it is for want of room that something failed.
pub(super) fn is_want_of_it(problem: &anyhow::Error) -> bool {
    let is_full = |kind| {
        matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    };
    let says_so = |text: String| text.to_lowercase().contains("no space left on device");
    problem.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        cause.is::<NoRoom>()
            || io.is_some_and(|io| is_full(io.kind()))
            || says_so(cause.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(device: u64, free: u64) -> Room {
        Room {
            device,
            size: 1_000 * MIB + device,
            free: free * MIB,
        }
    }

    fn fits(spool: Room, volumes: Option<Room>) -> bool {
        let needed = Needed {
            spool: 100 * MIB,
            volumes: 300 * MIB,
        };
        check_both(spool, volumes, needed).is_ok()
    }

    #[test]
    fn there_is_room_for_both_and_something_is_left() {
        // A twentieth is 50.
        assert!(fits(room(1, 451), Some(room(1, 451))));
        assert!(!fits(room(1, 449), Some(room(1, 449))), "one disk for both");
        assert!(fits(room(1, 151), Some(room(2, 351))));
        assert!(!fits(room(1, 149), Some(room(2, 351))));
        assert!(!fits(room(1, 151), Some(room(2, 349))));
        assert!(fits(room(1, 151), None));
        assert!(!fits(room(1, 149), None));
        let large = Room {
            device: 1,
            size: u64::MAX,
            free: 0,
        };
        assert_eq!(large.reserve(), RESERVE);
    }

    #[test]
    fn parts_of_a_file_system_with_numbers_of_their_own_are_one_disk() {
        let part = Room {
            device: 7,
            ..room(1, 449)
        };
        assert!(part.is_one_with(&room(1, 449)));
        assert!(!fits(part, Some(room(1, 449))));
    }

    #[test]
    fn want_of_room_is_told_from_other_problems() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let full = Err::<(), _>(full).context("failed to write").unwrap_err();
        assert!(is_want_of_it(&full));
        let engine = "failed to write the volume: write /x: no space left on device";
        assert!(is_want_of_it(&anyhow::anyhow!(engine)));
        let here = Path::new("/");
        assert!(is_want_of_it(&check_is_left(here, u64::MAX).unwrap_err()));
        assert!(check_is_left(here, 0).is_ok());
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(!is_want_of_it(&broken.into()));
    }
}
