//! Whom this host's programs ask for names, and whom the host asks itself.
//!
//! A task of its own, which looks every [`LOOK_EVERY`], because DHCP clients and administrators write resolv.conf
//! anew. What it asks of the host may hang for seconds (`resolvectl`): new names do not wait for it, nor does a
//! stop. When the daemon stops, resolv.conf stays as it is: the host's own resolvers are behind ours in it.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use kontena_core::network::zone::DOMAIN;
use kontena_names::resolv::Owner;
use kontena_names::{Host, HostProblem, Way};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::daemon::networking::End;

/// How soon a changed resolv.conf is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How the host shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// As it is.
    Leave,
    /// Its programs ask this address first.
    Ask(IpAddr),
    /// They do not ask us.
    Forget,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whom to ask for names that are not ours.
    pub(super) upstreams: Vec<SocketAddr>,
    problem: Option<String>,
    /// The host does not ask us.
    is_clean: bool,
}

/// The task, from outside.
pub(super) struct Resolvers {
    wish: watch::Sender<Wish>,
    found: watch::Receiver<Found>,
    task: JoinHandle<()>,
}

impl Resolvers {
    /// `interface`: behind which our server is.
    pub(super) fn start(host: Host, interface: String) -> Self {
        let (wish, wishes) = watch::channel(Wish::Leave);
        let (found, founds) = watch::channel(Found::default());
        let worker = Worker {
            host,
            owner: Owner {
                interface,
                remover: "kontena leave".to_owned(),
            },
            wish: wishes,
            found,
            way: None,
        };
        Self {
            wish,
            found: founds,
            task: tokio::spawn(worker.run()),
        }
    }

    pub(super) fn wish(&self, now: Wish) {
        self.wish.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
    }

    pub(super) fn found(&self) -> watch::Receiver<Found> {
        self.found.clone()
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.found.borrow().problem.clone()
    }

    /// Takes us out of the host's resolvers where nothing shall stay. A stop waits for nothing.
    pub(super) async fn end(self, how: End) {
        if how == End::Stop {
            return self.task.abort();
        }
        self.wish.send_replace(Wish::Forget);
        drop(self.wish);
        // It may have panicked, and has said so.
        let _ = self.task.await;
    }
}

struct Worker {
    host: Host,
    owner: Owner,
    wish: watch::Receiver<Wish>,
    found: watch::Sender<Found>,
    way: Option<Way>,
}

impl Worker {
    /// Ends with whoever wishes, after the last wish.
    async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                changed = self.wish.changed() => changed.is_err(),
                _ = look.tick() => false,
            };
            let wish = *self.wish.borrow_and_update();
            match wish {
                Wish::Leave => {}
                Wish::Ask(own) if !is_last => self.ask(own).await,
                Wish::Ask(_) => {}
                Wish::Forget => self.forget().await,
            }
            if is_last {
                return;
            }
        }
    }

    /// Learns the host's resolvers, and makes it ask `own` first.
    async fn ask(&mut self, own: IpAddr) {
        let (host, owner) = (self.host.clone(), self.owner.clone());
        let found = self.found.clone();
        let asked = on_thread(move || {
            found.send_if_modified(|found| std::mem::take(&mut found.is_clean));
            let upstreams = host.upstreams(|address| address == own)?;
            // What `resolvectl` does is no matter of those who ask for other names.
            found.send_if_modified(|found| {
                let changed = found.upstreams != upstreams;
                found.upstreams = upstreams;
                changed
            });
            host.ask(own, &owner, DOMAIN)
        });
        let problem = match asked.await {
            Ok(way) => {
                if self.way.replace(way) != Some(way) {
                    tracing::info!(%own, ?way, "This host resolves the grid's names");
                }
                None
            }
            Err(problem) => Some(problem),
        };
        self.found.send_modify(|found| found.problem = problem);
    }

    /// Tries until it succeeded once.
    async fn forget(&mut self) {
        if self.found.borrow().is_clean {
            return;
        }
        self.way = None;
        let forgotten = forget(self.host.clone(), self.owner.interface.clone()).await;
        let problem = forgotten.err();
        let problem =
            problem.map(|problem| format!("this host still asks for the grid's names: {problem}"));
        self.found.send_modify(|found| {
            found.is_clean = problem.is_none();
            found.problem = problem;
        });
    }
}

/// Takes the server behind `interface` out of this host's resolvers, if it is among them; the problem in words.
pub(in crate::daemon) async fn forget(host: Host, interface: String) -> Result<(), String> {
    on_thread(move || host.forget(&interface)).await
}

/// Runs what blocks on a thread of its own: the end of the runtime would wait for one of the runtime's.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostProblem> + Send + 'static,
) -> Result<T, String> {
    let (done, result) = oneshot::channel();
    let begun = thread::Builder::new()
        .name("resolvers".to_owned())
        .spawn(move || {
            // Whoever waited may have been dropped.
            let _ = done.send(work());
        });
    begun.map_err(|problem| format!("failed to start a thread: {problem}"))?;
    match result.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(problem)) => Err(described(&problem)),
        Err(_) => Err("asking this host's resolvers panicked".to_owned()),
    }
}

/// A problem with its cause.
fn described(problem: &HostProblem) -> String {
    match std::error::Error::source(problem) {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use tokio::time::{Instant, timeout};

    use super::*;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 80, 1, 1));
    const PATIENCE: Duration = Duration::from_secs(20);

    fn host(folder: &Path, resolv_conf: &str, resolvectl: &str) -> Host {
        let host = Host {
            file: folder.join("resolv.conf"),
            resolvectl: folder.join("resolvectl"),
        };
        fs::write(&host.file, resolv_conf).unwrap();
        fs::write(&host.resolvectl, format!("#!/bin/sh\n{resolvectl}\n")).unwrap();
        fs::set_permissions(&host.resolvectl, fs::Permissions::from_mode(0o755)).unwrap();
        host
    }

    async fn until(found: &mut watch::Receiver<Found>, is_right: impl FnMut(&Found) -> bool) {
        timeout(PATIENCE, found.wait_for(is_right))
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_resolvectl_that_hangs_keeps_neither_the_resolvers_nor_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), "nameserver 127.0.0.53\n", "exec sleep 600");
        let resolvers = Resolvers::start(host, "kontena-br".to_owned());
        let began = Instant::now();
        resolvers.wish(Wish::Ask(OWN));
        let mut found = resolvers.found();
        // A call of `resolvectl` is ended after 5 s.
        until(&mut found, |found| !found.upstreams.is_empty()).await;
        resolvers.end(End::Stop).await;
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
    }

    #[tokio::test]
    async fn what_cannot_be_taken_back_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let before = "nameserver 192.0.2.1\n";
        let host = host(folder.path(), before, "exit 1");
        let resolvers = Resolvers::start(host.clone(), "kontena-br".to_owned());
        let mut found = resolvers.found();
        resolvers.wish(Wish::Ask(OWN));
        let asks_us = |text: String| text.contains("nameserver 10.80.1.1");
        until(&mut found, |found| !found.upstreams.is_empty()).await;
        let asked = timeout(PATIENCE, async {
            while !asks_us(fs::read_to_string(&host.file).unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        asked.await.unwrap();
        let written = fs::read_to_string(&host.file).unwrap();
        // Something that is not resolv.conf lies there for a while. It comes and goes in one step: of a file that is not there
        // nothing has to be taken back.
        let other = folder.path().join("other");
        std::os::unix::fs::symlink(folder.path(), &other).unwrap();
        fs::rename(&other, &host.file).unwrap();
        resolvers.wish(Wish::Forget);
        until(&mut found, |found| found.problem.is_some()).await;
        fs::write(&other, written).unwrap();
        fs::rename(&other, &host.file).unwrap();
        until(&mut found, |found| found.is_clean).await;
        assert_eq!(fs::read_to_string(&host.file).unwrap(), before);
    }
}
