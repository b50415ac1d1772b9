//! The host's own programs resolve the grid's names too: by systemd-resolved where it runs, else because our
//! server is the first in resolv.conf.
//!
//! Either way outlives a killed daemon without harm: what systemd-resolved is told belongs to the interface and
//! goes with it, and in resolv.conf the host's own resolvers stay behind ours. It blocks: callers on a runtime
//! give it a thread.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::resolv::{self, FILE, Owner, is_stub_alone, with_own, without_own};

/// Larger than any resolv.conf; what is larger is something else, and left alone.
const MOST_BYTES: u64 = 64 * 1024;

/// For one call of `resolvectl`, whose own limit is that of D-Bus: 25 s.
const RESOLVECTL_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// Where the host's configuration is.
#[derive(Clone, Debug)]
pub struct Host {
    /// resolv.conf.
    pub file: PathBuf,
    /// The program that speaks to systemd-resolved.
    pub resolvectl: PathBuf,
}

/// resolv.conf as it was read: nobody else's new file is overwritten with what stood in an older one.
struct Read {
    text: String,
    /// `None` where there was no file.
    file: Option<FileId>,
}

/// Device and number of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// How the host was brought to ask our server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// systemd-resolved asks us for our domain alone.
    Resolved,
    /// Every program asks us first.
    File,
}

/// Why the host does not resolve the grid's names.
#[derive(Debug, thiserror::Error)]
pub enum HostProblem {
    #[error("failed to change `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    /// resolv.conf is its own there, and written anew by it.
    #[error("systemd-resolved answers this host's programs, and `{command}` failed: {problem}")]
    Resolved { command: String, problem: String },
}

impl Default for Host {
    fn default() -> Self {
        Self {
            file: FILE.into(),
            resolvectl: "resolvectl".into(),
        }
    }
}

impl Host {
    /// Brings the host to ask `own`, which is behind the owner's interface, for names below `domain`. Doing it
    /// again changes nothing, and mends what others wrote in between.
    ///
    /// # Errors
    /// The host goes on as it was.
    pub fn ask(&self, own: IpAddr, owner: &Owner, domain: &str) -> Result<Way, HostProblem> {
        let read = self.read()?;
        if !is_stub_alone(&read.text) {
            self.write(&read, &with_own(&read.text, own, owner))?;
            return Ok(Way::File);
        }
        let interface = &owner.interface;
        let own = own.to_string();
        let domain = format!("~{domain}");
        self.resolvectl(&["dns", interface, &own])?;
        self.resolvectl(&["domain", interface, &domain])?;
        self.resolvectl(&["default-route", interface, "false"])?;
        Ok(Way::Resolved)
    }

    /// Takes back what [`Host::ask`] did for this interface, whichever way it was.
    ///
    /// # Errors
    /// resolv.conf cannot be written. That systemd-resolved forgets an interface that is gone is no error.
    pub fn forget(&self, interface: &str) -> Result<(), HostProblem> {
        let read = self.read()?;
        self.write(&read, &without_own(&read.text, interface))?;
        if is_stub_alone(&read.text)
            && let Err(problem) = self.resolvectl(&["revert", interface])
        {
            tracing::debug!(%problem, interface, "nothing to take back");
        }
        Ok(())
    }

    /// Whom to ask for all other names; see [`resolv::upstreams`].
    ///
    /// # Errors
    /// resolv.conf cannot be read.
    pub fn upstreams(
        &self,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<std::net::SocketAddr>, HostProblem> {
        let Read { text, .. } = self.read()?;
        let real = fs::read_to_string(resolv::REAL_FILE_OF_RESOLVED).ok();
        Ok(resolv::upstreams(&text, real.as_deref(), is_own))
    }

    /// A host without the file has no resolvers, and gets one with ours.
    fn read(&self) -> Result<Read, HostProblem> {
        read(&self.file).map_err(|source| self.problem(source))
    }

    fn write(&self, before: &Read, after: &str) -> Result<(), HostProblem> {
        if before.text == after {
            return Ok(());
        }
        write_in_place(&self.file, before.file, after).map_err(|source| self.problem(source))
    }

    fn problem(&self, source: io::Error) -> HostProblem {
        HostProblem::File {
            path: self.file.clone(),
            source,
        }
    }

    fn resolvectl(&self, words: &[&str]) -> Result<(), HostProblem> {
        let mut command = Command::new(&self.resolvectl);
        command.args(words).stdin(Stdio::null());
        let problem = match output_within(RESOLVECTL_LIMIT, command) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let command = format!("resolvectl {}", words.join(" "));
        Err(HostProblem::Resolved { command, problem })
    }
}

/// Like [`Command::output`], for one that says little: it is killed when it takes longer.
fn output_within(limit: Duration, mut command: Command) -> io::Result<Output> {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it took too long and was ended",
            ));
        }
        thread::sleep(PAUSE);
    }
    child.wait_with_output()
}

fn read(path: &Path) -> io::Result<Read> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Read {
                text: String::new(),
                file: None,
            });
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.len() > MOST_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Read {
        text,
        file: Some(FileId::of(&metadata)),
    })
}

/// The file may be a mount, so that none can take its place. The new text is written over the old one in one
/// call, and what is too much is cut off after that: at no moment is the file empty.
fn write_in_place(path: &Path, was: Option<FileId>, text: &str) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(was.is_none())
        .truncate(false)
        .open(path)?;
    let is = FileId::of(&file.metadata()?);
    if was.is_some_and(|was| was != is) {
        return Err(io::Error::other(
            "somebody else put another file in its place",
        ));
    }
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 80, 1, 1));

    struct Fixture {
        folder: tempfile::TempDir,
        host: Host,
    }

    fn owner() -> Owner {
        Owner {
            interface: "kontena0".to_owned(),
            remover: "kontena leave".to_owned(),
        }
    }

    /// A host whose `resolvectl` writes down what it is asked, and ends with `status`.
    fn host(resolv_conf: Option<&str>, status: u8) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let host = Host {
            file: folder.path().join("resolv.conf"),
            resolvectl: folder.path().join("resolvectl"),
        };
        if let Some(text) = resolv_conf {
            fs::write(&host.file, text).unwrap();
        }
        let asked = folder.path().join("asked");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>'{}'\necho no >&2\nexit {status}\n",
            asked.display()
        );
        fs::write(&host.resolvectl, script).unwrap();
        fs::set_permissions(&host.resolvectl, fs::Permissions::from_mode(0o755)).unwrap();
        Fixture { folder, host }
    }

    impl Fixture {
        fn file(&self) -> String {
            fs::read_to_string(&self.host.file).unwrap()
        }

        fn asked(&self) -> String {
            fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
        }

        fn ask(&self) -> Result<Way, HostProblem> {
            self.host.ask(OWN, &owner(), "kontena.local")
        }
    }

    #[test]
    fn our_server_is_put_first_and_taken_out_again() {
        let before = "search example.com\nnameserver 192.0.2.1\n";
        let fixture = host(Some(before), 0);
        for _ in 0..2 {
            assert_eq!(fixture.ask().unwrap(), Way::File);
            assert!(
                fixture
                    .file()
                    .contains("nameserver 10.80.1.1\nsearch example.com\nnameserver 192.0.2.1\n")
            );
        }
        let upstreams = fixture.host.upstreams(|address| address == OWN).unwrap();
        assert_eq!(upstreams, ["192.0.2.1:53".parse().unwrap()]);
        fixture.host.forget("kontena0").unwrap();
        assert_eq!(fixture.file(), before);
        assert_eq!(fixture.asked(), "");
    }

    #[test]
    fn what_others_write_in_between_stays() {
        let fixture = host(Some("nameserver 192.0.2.1\n"), 0);
        fixture.ask().unwrap();
        let changed = format!("{}options edns0\n", fixture.file());
        fs::write(&fixture.host.file, changed).unwrap();
        fixture.host.forget("kontena0").unwrap();
        assert_eq!(fixture.file(), "nameserver 192.0.2.1\noptions edns0\n");
        // As a DHCP client does.
        fixture.ask().unwrap();
        fs::write(&fixture.host.file, "nameserver 192.0.2.2\n").unwrap();
        fixture.ask().unwrap();
        assert!(
            fixture
                .file()
                .contains("nameserver 10.80.1.1\nnameserver 192.0.2.2\n")
        );
    }

    #[test]
    fn the_file_itself_stays_because_it_may_be_a_mount() {
        let fixture = host(Some("nameserver 192.0.2.1\n"), 0);
        let inode = |fixture: &Fixture| fs::metadata(&fixture.host.file).unwrap().ino();
        let before = inode(&fixture);
        fixture.ask().unwrap();
        fixture.host.forget("kontena0").unwrap();
        assert_eq!(inode(&fixture), before);
    }

    #[test]
    fn a_file_that_somebody_put_there_meanwhile_is_not_overwritten() {
        let fixture = host(Some("nameserver 192.0.2.1\n"), 0);
        let read = fixture.host.read().unwrap();
        let other = fixture.folder.path().join("new");
        fs::write(&other, "nameserver 192.0.2.2\n").unwrap();
        fs::rename(&other, &fixture.host.file).unwrap();
        fixture
            .host
            .write(&read, "nameserver 10.80.1.1\n")
            .unwrap_err();
        assert_eq!(fixture.file(), "nameserver 192.0.2.2\n");
    }

    #[test]
    fn systemd_resolved_is_told_of_our_domain_alone() {
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        let fixture = host(Some(stub), 0);
        assert_eq!(fixture.ask().unwrap(), Way::Resolved);
        assert_eq!(fixture.file(), stub);
        fixture.host.forget("kontena0").unwrap();
        assert_eq!(
            fixture.asked(),
            "dns kontena0 10.80.1.1\ndomain kontena0 ~kontena.local\ndefault-route kontena0 false\nrevert kontena0\n"
        );
    }

    #[test]
    fn a_systemd_resolved_that_does_not_listen_is_a_problem_and_changes_nothing() {
        let stub = "nameserver 127.0.0.53\n";
        let fixture = host(Some(stub), 1);
        let problem = fixture.ask().unwrap_err().to_string();
        assert!(
            problem.ends_with("`resolvectl dns kontena0 10.80.1.1` failed: no"),
            "{problem}"
        );
        assert_eq!(fixture.file(), stub);
        fixture.host.forget("kontena0").unwrap();
    }

    #[test]
    fn a_host_without_resolvers_gets_ours() {
        let fixture = host(None, 0);
        assert_eq!(fixture.ask().unwrap(), Way::File);
        assert!(fixture.file().ends_with("nameserver 10.80.1.1\n"));
        fixture.host.forget("kontena0").unwrap();
        assert_eq!(fixture.file(), "");
    }

    #[test]
    fn something_that_is_no_resolv_conf_is_left_alone() {
        let huge = "#".repeat(usize::try_from(MOST_BYTES).unwrap() + 1);
        let fixture = host(Some(&huge), 0);
        assert!(fixture.ask().is_err());
        assert_eq!(fixture.file(), huge);
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let mut hangs = Command::new("sleep");
        hangs.arg("600");
        let ended = output_within(Duration::from_millis(20), hangs);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut says = Command::new("sh");
        says.args(["-c", "echo no >&2; exit 3"]);
        let output = output_within(RESOLVECTL_LIMIT, says).unwrap();
        assert_eq!(
            (output.status.code(), &output.stderr[..]),
            (Some(3), &b"no\n"[..])
        );
    }
}
