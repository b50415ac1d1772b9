//! The images that a lab runs, built on the spot from Debian packages: no registry, no network but apt's.
//!
//! Out: one archive for `docker load`, the same bytes from the same packages, so that every engine
//! gives an image the same id. It holds
//!
//! * [`WEB`]: nginx; every page says which instance of which version answers,
//! * [`WEB_NEXT`]: the same as version 2,
//! * [`REDIS`]: redis, with its data in `/data`,
//! * [`BUSYBOX`]: a shell and small tools.
//!
//! That is the archive of [`Demo`]; who wants another image has a [`Recipe`] of their own.
//!
//! How a file system is put together is in `images/layer.rs`, how an archive is in `images/archive.rs`.

pub(crate) mod archive;
pub(crate) mod layer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use self::archive::Image;
use super::processes::LAB_VARIABLE;
use super::program::Program;
use super::wait;

pub(crate) const WEB: &str = "nginx:demo";
pub(crate) const WEB_NEXT: &str = "nginx:demo-2";
pub(crate) const REDIS: &str = "redis:demo";
pub(crate) const BUSYBOX: &str = "busybox:demo";

/// 8 MB of packages, or 35 with a database's, over a slow line.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(240);
/// How long to wait for somebody else who builds the same archive.
const BUILD_DEADLINE: Duration = Duration::from_secs(300);

/// What an archive is made of, and how.
pub(crate) trait Recipe {
    /// The name of its file.
    const NAME: &'static str;
    /// Raise it when the recipe changes: a cached archive of another recipe is not used.
    const VERSION: u32;
    /// What brings the programs, and those of their libraries that a small system may lack.
    const PACKAGES: &'static [&'static str];

    /// The images, of what was in the packages; their file systems are put together below `work`.
    async fn images(work: &Path, unpacked: &Path) -> Result<Vec<Image>>;
}

/// The images that every lab has.
pub(crate) struct Demo;

impl Recipe for Demo {
    const NAME: &'static str = "images";
    const VERSION: u32 = 1;
    const PACKAGES: &'static [&'static str] = &[
        "busybox-static",
        "nginx",
        "redis-server",
        "redis-tools",
        "libatomic1",
        "libjemalloc2",
        "liblzf1",
        "libpcre2-8-0",
        "libssl3",
    ];

    async fn images(work: &Path, unpacked: &Path) -> Result<Vec<Image>> {
        let base = archive::pack(&layer::base(work, unpacked).await?).await?;
        let web = archive::pack(&layer::web(work, unpacked).await?).await?;
        let redis = archive::pack(&layer::redis(work, unpacked).await?).await?;
        let image = |name, layers: &[&archive::Layer], command: &[&str]| {
            Image::new(name, layers.iter().copied().cloned().collect(), command)
        };
        Ok(vec![
            image(BUSYBOX, &[&base], &["sh"]),
            image(WEB, &[&base, &web], &["/bin/web"])
                .env("VERSION=1")
                .port(80),
            image(WEB_NEXT, &[&base, &web], &["/bin/web"])
                .env("VERSION=2")
                .port(80),
            image(
                REDIS,
                &[&base, &redis],
                &["redis-server", "--protected-mode", "no", "--dir", "/data"],
            )
            .port(6379),
        ])
    }
}

/// The archive in `directory`, built first unless it is there. Several may call this at once.
/// A download that its maker left behind is ended with the lab `lab`.
pub(crate) async fn build<R: Recipe>(directory: &Path, lab: &str) -> Result<PathBuf> {
    let archive = directory.join(format!("{}-{}.tar", R::NAME, R::VERSION));
    std::fs::create_dir_all(directory)
        .with_context(|| format!("failed to create `{}`", directory.display()))?;
    let lock = std::fs::File::open(directory).context("failed to open the images' folder")?;
    wait::until(
        BUILD_DEADLINE,
        "somebody else who builds the images",
        async || Ok(lock.try_lock().is_ok().then_some(())),
    )
    .await?;
    if !archive.exists() {
        build_anew::<R>(&directory.join("work"), &archive, lab)
            .await
            .context("failed to build the images")?;
    }
    Ok(archive)
}

async fn build_anew<R: Recipe>(work: &Path, archive: &Path, lab: &str) -> Result<()> {
    // What an interrupted build left.
    let _ = std::fs::remove_dir_all(work);
    let packages = work.join("packages");
    std::fs::create_dir_all(&packages)?;
    download(R::PACKAGES, &packages, lab).await?;
    let unpacked = unpack(&packages, work).await?;
    let images = R::images(work, &unpacked).await?;
    archive::write(&images, &work.join("archive")).await?;
    // Renamed, so that a half-written one is never found.
    std::fs::rename(work.join("archive.tar"), archive)?;
    std::fs::remove_dir_all(work)?;
    Ok(())
}

/// Fetches the packages; refreshes apt's lists where it does not know them.
async fn download(packages: &[&str], directory: &Path, lab: &str) -> Result<()> {
    let fetch = || {
        apt(lab)
            .arg("download")
            .args(packages)
            .current_dir(directory)
            .within(DOWNLOAD_DEADLINE)
    };
    if fetch().finish().await?.status.success() {
        return Ok(());
    }
    apt(lab)
        .arg("update")
        .within(DOWNLOAD_DEADLINE)
        .run()
        .await?;
    fetch().run().await?;
    Ok(())
}

fn apt(lab: &str) -> Program {
    // As root, because apt's own user cannot write to a private folder.
    let program = Program::new("apt-get")
        .args(["--quiet", "--option", "APT::Sandbox::User=root"])
        .env(LAB_VARIABLE, lab);
    proxies().fold(program, |program, (name, value)| program.env(&name, value))
}

/// apt may need the way out that its caller has.
fn proxies() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter(|(name, _)| name.to_ascii_lowercase().ends_with("_proxy"))
}

async fn unpack(packages: &Path, work: &Path) -> Result<PathBuf> {
    let unpacked = work.join("unpacked");
    for entry in std::fs::read_dir(packages)? {
        Program::new("dpkg-deb")
            .arg("-x")
            .arg(entry?.path())
            .arg(&unpacked)
            .run()
            .await?;
    }
    Ok(unpacked)
}
