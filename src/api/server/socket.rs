//! The unix socket: who may open it, and who listens there already.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Its members command the node, as root does.
const GROUP: &str = "kontena";
/// Root and the group.
const MODE: u32 = 0o660;
/// A daemon that hangs does not accept; it is alive all the same.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Listens on `path`, replacing a socket that nobody listens on.
///
/// # Errors
/// Somebody listens there, or something that is no socket is there.
pub(crate) async fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    // Made aside and moved, so that nobody can open it before its mode is right.
    let (fresh, listener) = bind_aside(path).await?;
    let placed = restrict(&fresh)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("failed to place the socket `{}`", path.display()));
    if placed.is_err() {
        remove(&fresh);
    }
    placed.map(|()| listener)
}

/// Whether [`bind`] would work now; what is there stays as it is.
pub(crate) async fn check(path: &Path) -> anyhow::Result<()> {
    let (fresh, _) = bind_aside(path).await?;
    remove(&fresh);
    Ok(())
}

async fn bind_aside(path: &Path) -> anyhow::Result<(PathBuf, UnixListener)> {
    let folder = path
        .parent()
        .with_context(|| format!("`{}` is not a path for a socket", path.display()))?;
    fs::create_dir_all(folder)
        .with_context(|| format!("failed to create `{}`", folder.display()))?;
    refuse_taken(path).await?;
    let fresh = aside(path);
    remove(&fresh);
    let listener = UnixListener::bind(&fresh)
        .with_context(|| format!("failed to listen on `{}`", path.display()))?;
    Ok((fresh, listener))
}

/// Removes a socket, if it is there.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => (),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => (),
        Err(problem) => {
            tracing::warn!(%problem, path = %path.display(), "Socket was not removed");
        }
    }
}

async fn refuse_taken(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(problem).context(format!("failed to look at `{shown}`")),
        Ok(found) if !found.file_type().is_socket() => {
            bail!("`{shown}` is there and is not a socket: it is left alone");
        }
        Ok(_) => (),
    }
    match timeout(PROBE_LIMIT, UnixStream::connect(path)).await {
        Ok(Err(problem)) if problem.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(problem)) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(problem)) => {
            Err(problem).context(format!("failed to look who listens on `{shown}`"))
        }
        Ok(Ok(_)) | Err(_) => bail!("another daemon listens on `{shown}`"),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn restrict(path: &Path) -> io::Result<()> {
    if let Some(group) = group_id()
        && let Err(problem) = chown(path, None, Some(group))
    {
        tracing::warn!(%problem, group = GROUP, "Socket stays with the daemon's own group");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
}

/// The group's number, if there is such a group on this host.
fn group_id() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    find_group(&groups, GROUP)
}

/// In a file of the form `name:password:number:members`.
fn find_group(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_wanted = fields.next() == Some(wanted);
        fields.nth(1).filter(|_| is_wanted)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\nkontena-old:x:7:\nkontena:x:998:ann,bob\n";
        assert_eq!(find_group(groups, "kontena"), Some(998));
        assert_eq!(find_group(groups, "kont"), None);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/kontena.sock");
        let first = bind(&path).await.unwrap();
        let taken = bind(&path).await.unwrap_err().to_string();
        assert!(taken.contains("another daemon listens on"), "{taken}");

        drop(first);
        let second = bind(&path).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        UnixStream::connect(&path).await.unwrap();
        drop(second);
        assert!(!aside(&path).exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        let problem = bind(&path).await.unwrap_err().to_string();
        assert!(problem.contains("is not a socket"), "{problem}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }
}
