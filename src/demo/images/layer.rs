//! The file systems of the images: a program, the libraries it is linked to, and the few files it reads.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::super::program::Program;

pub(crate) const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
pub(crate) const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

const NGINX_SETTINGS: &str = "\
daemon off; worker_processes 1; error_log stderr; pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
  access_log off; default_type text/plain;
  server { listen 80; location / { return 200 \"@ANSWER@\\n\"; } }
}
";
const WEB_SCRIPT: &str = "\
#!/bin/sh
# nginx, whose every page says which instance answers.
instance=${KONTENA_SERVICE_NAME:-web}-${KONTENA_SERVICE_INSTANCE_NUMBER:-0}
answer=\"$instance version $VERSION on ${KONTENA_NODE_NAME:-?} in $(hostname)\"
sed \"s|@ANSWER@|$answer|\" /etc/nginx.conf >/tmp/nginx.conf
exec nginx -c /tmp/nginx.conf
";

/// A shell, small tools, and the folders that everything expects.
pub(crate) async fn base(work: &Path, unpacked: &Path) -> Result<PathBuf> {
    let root = work.join("base");
    for folder in [
        "bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var",
    ] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    std::fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    symlink("/run", root.join("var/run"))?;
    std::fs::write(root.join("etc/passwd"), PASSWD)?;
    std::fs::write(root.join("etc/group"), GROUP)?;
    std::fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    let busybox = unpacked.join("bin/busybox");
    copy(&busybox, &root.join("bin/busybox"))?;
    for tool in Program::new(&busybox).arg("--list").run().await?.lines() {
        if tool != "busybox" {
            symlink("busybox", root.join("bin").join(tool))?;
        }
    }
    Ok(root)
}

pub(crate) async fn web(work: &Path, unpacked: &Path) -> Result<PathBuf> {
    let root = work.join("web");
    for folder in ["bin", "var/log/nginx", "var/lib/nginx"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    install(unpacked, "usr/sbin/nginx", &root, "usr/sbin/nginx").await?;
    std::fs::create_dir(root.join("etc"))?;
    std::fs::write(root.join("etc/nginx.conf"), NGINX_SETTINGS)?;
    std::fs::write(root.join("bin/web"), WEB_SCRIPT)?;
    std::fs::set_permissions(root.join("bin/web"), PermissionsExt::from_mode(0o755))?;
    Ok(root)
}

pub(crate) async fn redis(work: &Path, unpacked: &Path) -> Result<PathBuf> {
    let root = work.join("redis");
    std::fs::create_dir_all(root.join("data"))?;
    // In Debian the server is a link to this program, which looks at the name it is called by.
    install(
        unpacked,
        "usr/bin/redis-check-rdb",
        &root,
        "usr/bin/redis-server",
    )
    .await?;
    install(unpacked, "usr/bin/redis-cli", &root, "usr/bin/redis-cli").await?;
    Ok(root)
}

/// Copies a program with every library that it is linked to.
pub(crate) async fn install(
    unpacked: &Path,
    program: &str,
    root: &Path,
    target: &str,
) -> Result<()> {
    let program = unpacked.join(program);
    copy(&program, &root.join(target))?;
    for library in libraries(&program, unpacked).await? {
        let inside = library
            .strip_prefix(unpacked)
            .or_else(|_| library.strip_prefix("/"));
        let inside = inside.context("the linker names libraries by their full path")?;
        copy(&library, &root.join(inside))?;
    }
    Ok(())
}

/// The files that the linker would load, those of the packages before those of the machine.
async fn libraries(program: &Path, unpacked: &Path) -> Result<Vec<PathBuf>> {
    // A package may have them in either.
    let folders = ["usr/lib", "lib"].map(|folder| {
        let inside = format!("{folder}/{}-linux-gnu", std::env::consts::ARCH);
        unpacked.join(inside).display().to_string()
    });
    let list = Program::new("ldd")
        .arg(program)
        .env("LD_LIBRARY_PATH", folders.join(":"))
        .run()
        .await?;
    if let Some(missing) = list.lines().find(|line| line.contains("not found")) {
        bail!(
            "`{}` needs a library that this machine lacks: {}",
            program.display(),
            missing.trim()
        );
    }
    Ok(list
        .lines()
        .filter_map(library)
        .map(PathBuf::from)
        .collect())
}

/// `libz.so.1 => /lib/…/libz.so.1 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<&str> {
    let name = line.split_once("=>").map_or(line, |(_, path)| path);
    name.split_whitespace()
        .next()
        .filter(|path| path.starts_with('/'))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().expect("files are copied into a layer");
    std::fs::create_dir_all(parent)?;
    std::fs::copy(from, to)
        .with_context(|| format!("failed to copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_the_linker_lists() {
        let list = "\tlinux-vdso.so.1 (0x0)\n\tlibz.so.1 => /lib/x/libz.so.1 (0x0)\n\t/lib64/ld.so.2 (0x0)\n";
        let found: Vec<&str> = list.lines().filter_map(library).collect();
        assert_eq!(found, ["/lib/x/libz.so.1", "/lib64/ld.so.2"]);
    }
}
