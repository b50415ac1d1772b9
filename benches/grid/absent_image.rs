//! The same loss where the survivors do not have the image: they must pull it.
//!
//! A registry (Debian's `docker-registry`, its program alone) runs beside the switch. The lost host is the only one that
//! ever pulled; the image's layers are on no other engine.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tokio::process::{Child, Command};

use crate::field::Field;
use crate::figure::{Row, Samples, seconds};
use crate::say;
use crate::source::demo::images::{BUSYBOX, REDIS};
use crate::source::demo::program::Program;
use crate::source::demo::wait;

/// The switch's own address, inside what the engines accept without encryption.
const REGISTRY: &str = "10.77.0.1:5000";
const PACKAGE: &str = "docker-registry";
const START: Duration = Duration::from_secs(20);
const DOWNLOAD: Duration = Duration::from_secs(120);

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    field.clear().await?;
    // Ends with this function.
    let _registry = start_registry(field).await?;
    let image = push(field).await?;
    let (mut running, mut pull) = (Samples::default(), Samples::default());
    for _ in 0..runs {
        field.begin_anew().await?;
        forget(field, &image).await?;
        pull.add(time_a_pull(field, &image).await?);
        forget(field, &image).await?;
        running.add(once(field, &image).await?);
        say(&format!("image absent: {:.2} s", running.last()));
    }
    field.clear().await?;
    forget(field, &image).await?;
    field.load_images().await?;
    Ok(vec![
        Row::new(
            "link cut → its 1 instance runs on another, which must pull the image (20 MB layer)",
            running.text("s", 2),
            "",
        ),
        Row::new(
            "– `docker pull` of it alone, same lab",
            pull.text("s", 2),
            "",
        ),
    ])
}

async fn once(field: &Field, image: &str) -> Result<f64> {
    field.create("r", image, 1).await?;
    field.deploy("r").await?;
    let found = field.wait_for_instances(&field.numbers(), 1).await?;
    let (lost, _) = found.first().context("no container")?;
    let others = field.others(*lost);
    for number in &others {
        let images = field
            .lab
            .host(*number)
            .docker(&["images", "--quiet", image])
            .await?;
        ensure!(images.is_empty(), "node-{number} has the image already");
    }
    let start = Timestamp::now();
    field.lab.cut(*lost).await?;
    let after = field.wait_for_instances(&others, 1).await?;
    Ok(seconds(start, field.last_start(&after).await?))
}

async fn time_a_pull(field: &Field, image: &str) -> Result<f64> {
    let start = Timestamp::now();
    field
        .lab
        .host(1)
        .docker(&["pull", "--quiet", image])
        .await?;
    Ok(seconds(start, Timestamp::now()))
}

/// The registry's program in the switch's network, with its data among the lab's.
async fn start_registry(field: &Field) -> Result<Child> {
    let program = registry_program(field).await?;
    let directory = field.lab.directory().join("registry");
    std::fs::create_dir_all(&directory)?;
    let configuration = directory.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{REGISTRY}\"}}\n",
        directory.join("data").display()
    );
    std::fs::write(&configuration, text)?;
    let child = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}-switch", field.lab.name()))
        .arg(program)
        .arg("serve")
        .arg(&configuration)
        // By this the lab finds it, should this program be killed.
        .env("DEMO_LAB", field.lab.name())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the registry")?;
    wait::until(START, "the registry", async || {
        let page = field
            .lab
            .host(1)
            .program("curl")?
            .args(["-fsS", &format!("http://{REGISTRY}/v2/")]);
        Ok(page.finish().await?.status.success().then_some(()))
    })
    .await?;
    Ok(child)
}

async fn registry_program(field: &Field) -> Result<PathBuf> {
    let directory = field.lab.directory().join("registry-package");
    std::fs::create_dir_all(&directory)?;
    let proxies =
        std::env::vars().filter(|(name, _)| name.to_ascii_lowercase().ends_with("_proxy"));
    let download = Program::new("apt-get")
        .args([
            "--quiet",
            "--option",
            "APT::Sandbox::User=root",
            "download",
            PACKAGE,
        ])
        .current_dir(&directory)
        .within(DOWNLOAD);
    proxies
        .fold(download, |program, (name, value)| program.env(&name, value))
        .run()
        .await?;
    for entry in std::fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            Program::new("dpkg-deb")
                .arg("-x")
                .arg(path)
                .arg(&directory)
                .run()
                .await?;
        }
    }
    Ok(directory.join("usr/bin/docker-registry"))
}

/// Moves the image of redis from the engines into the registry; its name there.
async fn push(field: &Field) -> Result<String> {
    let image = format!("{REGISTRY}/redis:bench");
    let host = field.lab.host(1);
    host.docker(&["tag", REDIS, &image]).await?;
    host.docker(&["push", "--quiet", &image]).await?;
    for host in field.lab.hosts() {
        host.docker(&["rmi", REDIS]).await?;
    }
    Ok(image)
}

/// No engine has the image or its layers. (The layer of busybox below it stays.)
async fn forget(field: &Field, image: &str) -> Result<()> {
    for host in field.lab.hosts() {
        if !host.docker(&["images", "--quiet", image]).await?.is_empty() {
            host.docker(&["rmi", "--force", image]).await?;
        }
        let left = host.docker(&["images", "--quiet", BUSYBOX]).await?;
        ensure!(!left.is_empty(), "busybox is gone too");
    }
    Ok(())
}
