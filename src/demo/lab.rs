//! A lab: several Docker hosts on this one machine, wired by a switch, under one name.
//!
//! Everything is called after the lab: the namespaces `NAME-switch`, `NAME-1` …, the directory
//! `/var/lib/NAME`, the control groups `NAME/…`. What exists is therefore found by name, and [`Lab::down`]
//! removes it whoever made it and however that ended.
//!
//! What a lab is for is not here: `story` tells one, the e2e tests tell many.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;

use super::host::Host;
use super::network::Network;
use super::{leftovers, requirements};

/// Each idle host takes about 115 MiB of memory; sixteen already fill a laptop.
pub(crate) const MOST_HOSTS: u8 = 16;

/// The name of a lab and how many hosts it has.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    name: String,
    hosts: u8,
}

impl Lab {
    /// `name` becomes part of file and namespace names: letters, digits and `-`.
    pub(crate) fn new(name: &str, hosts: u8) -> Result<Self> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > 32 || !name.chars().all(letters) || name.starts_with('-')
        {
            bail!("`{name}` is no name for a lab: up to 32 letters, digits and `-`");
        }
        if !(1..=MOST_HOSTS).contains(&hosts) {
            bail!("a lab has 1 to {MOST_HOSTS} nodes, not {hosts}");
        }
        Ok(Self {
            name: name.to_owned(),
            hosts,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many hosts it has.
    pub(crate) fn size(&self) -> u8 {
        self.hosts
    }

    /// Everything that the lab writes to disk is below here.
    pub(crate) fn directory(&self) -> PathBuf {
        Path::new("/var/lib").join(&self.name)
    }

    /// Host `number`, counted from 1.
    pub(crate) fn host(&self, number: u8) -> Host {
        Host::new(&self.name, &self.directory(), number)
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        (1..=self.hosts).map(|number| self.host(number)).collect()
    }

    fn network(&self) -> Network {
        Network::new(&self.name)
    }

    /// Whether anything of this name exists, running or left behind.
    pub(crate) fn exists(&self) -> bool {
        leftovers::exist(&self.network(), &self.directory())
    }

    /// Builds the switch and all hosts, each with an engine that answers. Fails if anything of this name
    /// is there; what a failure leaves behind is for [`Lab::down`].
    pub(crate) async fn up(&self) -> Result<()> {
        requirements::check()?;
        if self.exists() {
            bail!("there is a lab `{}` already", self.name);
        }
        create_private(&self.directory())?;
        self.network().build_switch().await?;
        try_join_all(self.hosts().iter().map(Host::start)).await?;
        Ok(())
    }

    /// Loads an archive of images into every engine.
    pub(crate) async fn load(&self, archive: &Path) -> Result<()> {
        let archive = archive
            .to_str()
            .context("the archive's path is not UTF-8")?;
        let load = async |host: Host| host.docker(&["load", "--quiet", "--input", archive]).await;
        try_join_all(self.hosts().into_iter().map(load)).await?;
        Ok(())
    }

    /// Cuts the cable of host `number`: silence in both directions.
    pub(crate) async fn cut(&self, number: u8) -> Result<()> {
        self.network().cut(number).await
    }

    pub(crate) async fn heal(&self, number: u8) -> Result<()> {
        self.network().heal(number).await
    }

    /// The page that a host's port answers with, asked for from beside the switch.
    pub(crate) async fn get(
        &self,
        host: u8,
        port: u16,
        path: &str,
        wait: Duration,
    ) -> Result<String> {
        self.network().get(host, port, path, wait).await
    }

    /// Removes everything of this name: processes, namespaces, links, mounts, control groups, files.
    /// May be called at any time, also when there is nothing.
    pub(crate) async fn down(&self) -> Result<()> {
        requirements::check_root()?;
        leftovers::remove(&self.name, &self.network(), &self.directory())
            .await
            .with_context(|| format!("failed to remove all of the lab `{}`", self.name))
    }

    /// Puts a program into the lab's directory, because a host does not see all of the machine's folders.
    pub(crate) async fn install(&self, program: &Path) -> Result<PathBuf> {
        let name = program.file_name().context("a program has a name")?;
        let copy = self.directory().join(name);
        // A second name for the same file where that can be: a debug build is large.
        if std::fs::hard_link(program, &copy).is_err() {
            tokio::fs::copy(program, &copy)
                .await
                .with_context(|| format!("failed to copy `{}`", program.display()))?;
        }
        Ok(copy)
    }
}

fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("failed to create `{}`", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_reach_outside_its_folder_is_refused() {
        for name in ["", "../etc", "-rf", "a b", &"x".repeat(33)] {
            assert!(Lab::new(name, 3).is_err(), "{name}");
        }
        assert!(Lab::new("kontena-demo", 3).is_ok());
    }

    #[test]
    fn the_number_of_hosts_has_bounds() {
        assert!(Lab::new("x", 0).is_err());
        assert_eq!(
            Lab::new("x", 200).unwrap_err().to_string(),
            "a lab has 1 to 16 nodes, not 200"
        );
    }
}
