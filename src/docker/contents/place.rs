//! What is to be in a volume, written beside it first: the two change places in one step, or nothing changes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use tokio::time::{Instant, sleep};

use super::tar::Root;
use super::{PASSING, name_of, passing, said};
use crate::docker::trouble::{NOT_FOUND, Trouble};
use crate::docker::{CHANGE_LIMIT, Docker, READ_LIMIT};

/// While containers are being made, each for a moment, nobody changes what they mount.
const ALONE_LIMIT: Duration = Duration::from_secs(60);
const ALONE_PAUSE: Duration = Duration::from_millis(20);

/// A volume that is nobody's yet. To be given back to [`Docker::unstage`].
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) name: String,
    /// Where it is on this host.
    place: PathBuf,
    /// Where the one is whose place it takes.
    of: PathBuf,
}

impl Docker {
    /// Makes a volume beside another one, with the owner and the mode of that.
    ///
    /// # Errors
    /// It is not one of Docker's own driver whose files this host has.
    pub(crate) async fn stage(&self, beside: &Volume, grid: &str) -> anyhow::Result<Staged> {
        check_is_here(beside)?;
        let request = VolumeCreateRequest {
            name: Some(name_of("staged")?),
            labels: Some([(PASSING.to_owned(), grid.to_owned())].into()),
            ..VolumeCreateRequest::default()
        };
        let made = self
            .call(CHANGE_LIMIT, |client| async move {
                client.create_volume(request).await
            })
            .await;
        let made = made.map_err(|trouble| said("make a volume beside it", &trouble))?;
        let staged = Staged {
            name: made.name,
            place: made.mountpoint.into(),
            of: beside.mountpoint.clone().into(),
        };
        let alike = make_alike(&staged);
        match alike {
            Ok(()) => Ok(staged),
            Err(problem) => {
                self.unstage(staged).await;
                Err(problem)
            }
        }
    }

    /// Puts it in place, durably. What was there before is in the staged one after that.
    ///
    /// # Errors
    /// A container runs that mounts it, or the host refuses: nothing changed.
    pub(crate) async fn put_in_place(
        &self,
        staged: &Staged,
        volume: &str,
        root: Option<Root>,
    ) -> anyhow::Result<()> {
        let place = staged.place.clone();
        let ready = tokio::task::spawn_blocking(move || make_durable(&place, root));
        ready.await.context("failed to make the files durable")??;
        // No container of ours is made or started as long as this is held.
        let _alone = self.alone().await?;
        let users = self.users(volume).await?;
        if let Some(user) = users.running.first() {
            bail!("the container `{}` runs and mounts it", user.name);
        }
        exchange(&staged.place, &staged.of)
    }

    async fn alone(&self) -> anyhow::Result<tokio::sync::RwLockWriteGuard<'_, ()>> {
        let until = Instant::now() + ALONE_LIMIT;
        loop {
            if let Ok(alone) = self.mounting.try_write() {
                return Ok(alone);
            }
            ensure!(
                Instant::now() < until,
                "containers are being made all the time"
            );
            sleep(ALONE_PAUSE).await;
        }
    }

    /// With all that is in it. What cannot be removed now is removed when the daemon starts.
    pub(crate) async fn unstage(&self, staged: Staged) {
        if let Err(trouble) = self.remove_staged(&staged.name).await {
            let problem = trouble.problem();
            tracing::warn!(volume = staged.name, problem, "A volume is left over");
        }
    }

    async fn remove_staged(&self, name: &str) -> Result<(), Trouble> {
        let name = name.to_owned();
        let removed = self
            .call(CHANGE_LIMIT, |client| async move {
                client
                    .remove_volume(&name, None::<RemoveVolumeOptions>)
                    .await
            })
            .await;
        match removed {
            Err(trouble) if trouble.is_status(NOT_FOUND) => Ok(()),
            removed => removed,
        }
    }

    pub(super) async fn remove_old_staged(&self, grid: &str) -> Result<(), Trouble> {
        let options = ListVolumesOptions {
            filters: Some(passing(grid)),
        };
        let listed = self
            .call(READ_LIMIT, |client| async move {
                client.list_volumes(Some(options)).await
            })
            .await?;
        for volume in listed.volumes.into_iter().flatten() {
            tracing::info!(
                volume = volume.name,
                "Removing a volume that nobody puts in place any more"
            );
            self.remove_staged(&volume.name).await?;
        }
        Ok(())
    }
}

/// Other drivers keep the files elsewhere; so does Docker's own where it is told to mount something.
fn check_is_here(volume: &Volume) -> anyhow::Result<()> {
    let Volume {
        driver, options, ..
    } = volume;
    ensure!(
        driver == "local",
        "its files are kept by the volume driver `{driver}`: only those of Docker's own are replaced"
    );
    ensure!(
        options.is_empty(),
        "the driver was given options for it, and mounts it from elsewhere: only plain volumes are replaced"
    );
    ensure!(
        Path::new(&volume.mountpoint).is_dir(),
        "its files are not on this host: the engine is elsewhere"
    );
    Ok(())
}

fn make_alike(staged: &Staged) -> anyhow::Result<()> {
    let of = fs::metadata(&staged.of).context("failed to look at the volume")?;
    let place = &staged.place;
    let own = fs::metadata(place).context("failed to look at the new volume")?;
    ensure!(
        of.dev() == own.dev(),
        "it is on another file system than new volumes are"
    );
    let root = Root {
        user: of.uid(),
        group: of.gid(),
        mode: of.mode() & 0o7777,
    };
    give(place, root)
}

fn give(place: &Path, root: Root) -> anyhow::Result<()> {
    let Root { user, group, mode } = root;
    // Another owner takes some bits of the mode away.
    chown(place, Some(user), Some(group))
        .and_then(|()| fs::set_permissions(place, Permissions::from_mode(mode & 0o7777)))
        .context("failed to give the volume its owner")
}

fn make_durable(place: &Path, root: Option<Root>) -> anyhow::Result<()> {
    if let Some(root) = root {
        give(place, root)?;
    }
    let directory = File::open(place).context("failed to open the new volume")?;
    syncfs(&directory).context("failed to write the files to the disk")
}

fn exchange(staged: &Path, of: &Path) -> anyhow::Result<()> {
    renameat_with(CWD, staged, CWD, of, RenameFlags::EXCHANGE)
        .context("failed to put the files in place")?;
    let parents = [staged, of].into_iter().filter_map(Path::parent);
    for parent in parents {
        let synced = File::open(parent).and_then(|directory| directory.sync_all());
        // They are in place, and a power cut within seconds may bring the old ones back.
        if let Err(problem) = synced {
            tracing::warn!(%problem, directory = %parent.display(), "What was put in place is not known to be on the disk");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directories_change_places_and_the_new_one_has_the_owner_of_its_tar() {
        let host = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let place = host.path().join(name).join("_data");
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(name), name).unwrap();
            place
        };
        let staged = Staged {
            name: "new".to_owned(),
            place: at("new"),
            of: at("old"),
        };
        fs::set_permissions(&staged.of, Permissions::from_mode(0o1770)).unwrap();
        make_alike(&staged).unwrap();
        let mode = |place: &Path| fs::metadata(place).unwrap().mode() & 0o7777;
        assert_eq!(mode(&staged.place), 0o1770);
        let own = fs::metadata(&staged.place).unwrap();
        let root = Root {
            user: own.uid(),
            group: own.gid(),
            mode: 0o700,
        };
        make_durable(&staged.place, Some(root)).unwrap();
        exchange(&staged.place, &staged.of).unwrap();
        assert_eq!(fs::read(staged.of.join("new")).unwrap(), b"new");
        assert_eq!(fs::read(staged.place.join("old")).unwrap(), b"old");
        assert_eq!((mode(&staged.of), mode(&staged.place)), (0o700, 0o1770));
    }

    #[test]
    fn only_plain_volumes_of_this_host_are_replaced() {
        let host = tempfile::tempdir().unwrap();
        let here = Volume {
            driver: "local".to_owned(),
            mountpoint: host.path().to_string_lossy().into_owned(),
            ..Volume::default()
        };
        assert!(check_is_here(&here).is_ok());
        let elsewhere = Volume {
            mountpoint: "/nowhere/at/all".to_owned(),
            ..here.clone()
        };
        let mounted = Volume {
            options: [("type".to_owned(), "nfs".to_owned())].into(),
            ..here.clone()
        };
        let driven = Volume {
            driver: "rexray".to_owned(),
            ..here
        };
        for (volume, word) in [
            (elsewhere, "host"),
            (mounted, "options"),
            (driven, "rexray"),
        ] {
            let problem = check_is_here(&volume).unwrap_err().to_string();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
