//! What is to be in a volume, written beside it first: the two change places in one step, or nothing changes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;
use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use tokio::time::{Instant, sleep};

use super::tar::Root;
use super::{name_of, said};
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
    /// The one whose place it takes.
    of: Volume,
}

impl Staged {
    fn target(&self) -> &Path {
        Path::new(&self.of.mountpoint)
    }
}

impl Docker {
    /// Makes a volume beside another one, with the owner and the mode of that.
    ///
    /// # Errors
    /// It is not one of Docker's own driver whose files this host has.
    pub(crate) async fn stage(&self, beside: &Volume, grid: &str) -> anyhow::Result<Staged> {
        check_is_here(beside)?;
        let name = name_of("staged")?;
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(self.in_passing(grid)),
            ..VolumeCreateRequest::default()
        };
        let made = self
            .call(CHANGE_LIMIT, |client| async move {
                client.create_volume(request).await
            })
            .await;
        let place = made.as_ref().map(|made| made.mountpoint.clone());
        // The engine may have made it though it did not say so.
        let staged = Staged {
            name,
            place: place.unwrap_or_default().into(),
            of: beside.clone(),
        };
        let made = made.map_err(|trouble| said("make a volume beside it", &trouble));
        match made.and_then(|_| make_alike(&staged)) {
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
        root: Option<Root>,
    ) -> anyhow::Result<()> {
        let root = match self.maps_users().await? {
            // A tar has the users that containers see, and the disk others: the owner of before stays.
            true => None,
            false => root,
        };
        let place = staged.place.clone();
        let ready = tokio::task::spawn_blocking(move || make_durable(&place, root));
        ready.await.context("failed to make the files durable")??;
        // No container of ours is made or started as long as this is held.
        let _alone = self.alone().await?;
        self.check_is_idle(&staged.of).await?;
        exchange(&staged.place, staged.target())?;
        // A start that this daemon has given up, or somebody else's, may have found what was there before.
        let idle = self.check_is_idle(&staged.of).await;
        if idle.is_err() {
            exchange(&staged.place, staged.target()).context("failed to undo it")?;
        }
        idle
    }

    /// That it is the same volume yet, and nothing runs that mounts it.
    async fn check_is_idle(&self, of: &Volume) -> anyhow::Result<()> {
        let found = self.find_volume(&of.name).await?;
        ensure!(
            found.is_some_and(|found| found.labels == of.labels && found.mountpoint == of.mountpoint),
            "the volume was removed, or made anew, meanwhile"
        );
        match self.users(&of.name).await?.first() {
            Some(user) => bail!("the container `{}` runs and mounts it", user.name),
            None => Ok(()),
        }
    }

    /// Whether the engine gives containers other users than they see (`userns-remap`, or one without root).
    async fn maps_users(&self) -> anyhow::Result<bool> {
        let info = self
            .call(READ_LIMIT, |client| async move { client.info().await })
            .await;
        let info = info.map_err(|trouble| said("ask for the engine's options", &trouble))?;
        let options = info.security_options.unwrap_or_default();
        let maps =
            |option: &String| option.contains("name=userns") || option.contains("name=rootless");
        Ok(options.iter().any(maps))
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

    pub(super) async fn remove_staged(&self, name: &str) -> Result<(), Trouble> {
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
    let of = fs::metadata(staged.target()).context("failed to look at the volume")?;
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
            of: Volume {
                mountpoint: at("old").to_string_lossy().into_owned(),
                ..Volume::default()
            },
        };
        let of = staged.target().to_owned();
        fs::set_permissions(&of, Permissions::from_mode(0o1770)).unwrap();
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
        exchange(&staged.place, &of).unwrap();
        assert_eq!(fs::read(of.join("new")).unwrap(), b"new");
        assert_eq!(fs::read(staged.place.join("old")).unwrap(), b"old");
        assert_eq!((mode(&of), mode(&staged.place)), (0o700, 0o1770));
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
