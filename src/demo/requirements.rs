//! What a lab needs of the machine, checked before anything is touched, all at once.

use std::path::Path;

use anyhow::{Result, bail};

/// A program and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 13] = [
    ("apt-get", "apt"),
    ("bash", "bash"),
    ("containerd", "containerd"),
    ("docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("dpkg-deb", "dpkg"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("ldd", "libc-bin"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

pub(super) fn check_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "`kontena demo` needs root: it makes network namespaces and starts Docker engines\n\
             hint: `sudo kontena demo`"
        );
    }
    Ok(())
}

pub(super) fn check() -> Result<()> {
    check_root()?;
    let mut missing: Vec<&(&str, &str)> = PROGRAMS
        .iter()
        .filter(|(name, _)| !installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<String> = missing
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    missing.dedup_by_key(|(_, package)| *package);
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    bail!(
        "`kontena demo` needs {}, not found on this machine\n\
         hint: `apt-get install {}`, or run `scripts/demo`, which does that",
        programs.join(", "),
        packages.join(" ")
    )
}

fn installed(program: &str) -> bool {
    FOLDERS
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}
