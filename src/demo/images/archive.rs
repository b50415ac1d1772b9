//! Images as one archive that `docker load` reads: layers, a configuration for each image, a manifest.
//!
//! Nothing in it depends on when or where it was made: an image's id is the hash of its configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::program::Program;

/// A packed file system.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    tar: PathBuf,
    hash: String,
}

#[derive(Debug)]
pub(crate) struct Image {
    name: &'static str,
    layers: Vec<Layer>,
    command: Vec<String>,
    environment: Vec<String>,
    ports: Vec<u16>,
}

impl Image {
    pub(crate) fn new(name: &'static str, layers: Vec<Layer>, command: &[&str]) -> Self {
        Self {
            name,
            layers,
            command: command.iter().map(ToString::to_string).collect(),
            environment: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            ports: Vec::new(),
        }
    }

    pub(crate) fn env(mut self, variable: &str) -> Self {
        self.environment.push(variable.to_owned());
        self
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    fn configuration(&self) -> Value {
        let ports: serde_json::Map<String, Value> = self
            .ports
            .iter()
            .map(|port| (format!("{port}/tcp"), json!({})))
            .collect();
        let layers: Vec<String> = self
            .layers
            .iter()
            .map(|layer| format!("sha256:{}", layer.hash))
            .collect();
        json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": { "Cmd": self.command, "Env": self.environment, "ExposedPorts": ports },
            "rootfs": { "type": "layers", "diff_ids": layers },
        })
    }
}

/// Docker's name for what this program was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Packs the file system at `root` beside itself.
pub(crate) async fn pack(root: &Path) -> Result<Layer> {
    let tar = tar(root).await?;
    let bytes =
        std::fs::read(&tar).with_context(|| format!("failed to read `{}`", tar.display()))?;
    Ok(Layer {
        hash: HEXLOWER.encode(&Sha256::digest(bytes)),
        tar,
    })
}

/// Writes `images` to the directory `archive` and packs it as `archive.tar`.
pub(crate) async fn write(images: &[Image], archive: &Path) -> Result<()> {
    std::fs::create_dir(archive)?;
    let manifest: Vec<Value> = images
        .iter()
        .map(|image| add(image, archive))
        .collect::<Result<_>>()?;
    std::fs::write(
        archive.join("manifest.json"),
        serde_json::to_vec(&manifest)?,
    )?;
    tar(archive).await?;
    Ok(())
}

/// Adds one image's files, unless another image brought them; its entry in the manifest.
fn add(image: &Image, archive: &Path) -> Result<Value> {
    let mut layers = Vec::new();
    for layer in &image.layers {
        let name = format!("{}.tar", layer.hash);
        if !archive.join(&name).exists() {
            std::fs::hard_link(&layer.tar, archive.join(&name))?;
        }
        layers.push(name);
    }
    let configuration = serde_json::to_vec(&image.configuration())?;
    let name = format!("{}.json", HEXLOWER.encode(&Sha256::digest(&configuration)));
    std::fs::write(archive.join(&name), configuration)?;
    Ok(json!({ "Config": name, "RepoTags": [image.name], "Layers": layers }))
}

/// Packs a directory so that equal contents give equal bytes.
async fn tar(directory: &Path) -> Result<PathBuf> {
    let target = directory.with_extension("tar");
    Program::new("tar")
        .args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
        ])
        .args(["--format=gnu", "--create", "--file"])
        .arg(&target)
        .arg("--directory")
        .arg(directory)
        .arg(".")
        .run()
        .await?;
    Ok(target)
}
