//! A registry on every host of a lab, at an address of its own loopback: engines ask such ones without a certificate.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::load::compile;
use super::{Lab, Node};

/// Where it listens, on each host.
const PORT: &str = "5000";
/// What its process is found by.
const PROGRAM: &str = "e2e-registry";
const NAME: &str = "ready";

/// Puts an image of the lab's first host into a registry that every host has; what it is called there. Nobody has it by that name.
#[track_caller]
pub(crate) fn publish(lab: &Lab, image: &str) -> String {
    publish_for(lab, image, None)
}

/// The same, for those alone who have this name and password: `NAME:PASSWORD`.
#[track_caller]
pub(crate) fn publish_for(lab: &Lab, image: &str, account: Option<&str>) -> String {
    let folder = lab.directory().join("registry");
    write(&lab.host(1), image, &folder);
    let program = lab.directory().join(PROGRAM);
    compile(&program);
    let account = account.map(|account| BASE64.encode(account.as_bytes()));
    let authorization = account.map(|account| format!("'Basic {account}'"));
    let script = format!(
        "setsid {} registry {PORT} {} {} >/dev/null 2>&1 </dev/null & echo $! >{}",
        program.display(),
        folder.display(),
        authorization.unwrap_or_default(),
        process()
    );
    for host in lab.hosts() {
        host.run("sh", &["-c", &script]);
    }
    format!("127.0.0.1:{PORT}/{NAME}:1")
}

/// From now on the registry of this host does not answer.
#[track_caller]
pub(crate) fn end(host: &Node<'_>) {
    host.run("sh", &["-c", &format!("kill $(cat {})", process())]);
}

/// Where a host keeps the number of the process.
fn process() -> String {
    format!("{}/{PROGRAM}.pid", crate::source::demo::host::VOLATILE)
}

/// The image as files of a registry.
fn write(host: &Node<'_>, image: &str, folder: &Path) {
    let saved = folder.join("saved");
    let blobs = folder.join(NAME).join("blobs");
    let manifests = folder.join(NAME).join("manifests");
    for made in [&saved, &blobs, &manifests] {
        std::fs::create_dir_all(made).expect("the lab's directory can be written");
    }
    let archive = folder.join("saved.tar").display().to_string();
    host.docker(&["save", "--output", &archive, image]);
    host.run(
        "tar",
        &["-xf", &archive, "-C", &saved.display().to_string()],
    );
    let list = std::fs::read(saved.join("manifest.json")).expect("an archive has a list");
    let list: Value = serde_json::from_slice(&list).expect("it is JSON");
    let blob = |path: &Value, kind: &str| {
        let file = saved.join(path.as_str().expect("a path"));
        let digest = store(host, &file, &blobs);
        let size = std::fs::metadata(&file).expect("it is there").len();
        json!({"mediaType": kind, "size": size, "digest": digest})
    };
    let layers = list[0]["Layers"].as_array().expect("layers");
    let layers = layers
        .iter()
        .map(|layer| blob(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "layers": layers.collect::<Vec<_>>(),
        "config": blob(&list[0]["Config"], "application/vnd.docker.container.image.v1+json"),
    });
    let tagged = manifests.join("1");
    std::fs::write(&tagged, manifest.to_string()).expect("it can be written");
    store(host, &tagged, &manifests);
}

/// Copies a file to where its digest is its name.
fn store(host: &Node<'_>, file: &Path, folder: &Path) -> String {
    let sum = host.run("sha256sum", &[&file.display().to_string()]);
    let digest = format!("sha256:{}", sum.split(' ').next().expect("a sum"));
    let target: PathBuf = folder.join(&digest);
    std::fs::copy(file, target).expect("it can be copied");
    digest
}
