//! The handle of a running overlay.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rustix::io::write;

use crate::config::{Applied, Config, Peer, PeersError};
use crate::driver::{Command, Driver, StartError};
use crate::snapshot::Snapshot;

/// A running overlay. Its interface is gone once this is dropped, or the process has ended in
/// whatever way.
///
/// Calls are answered by the overlay's own thread within one of its rounds, far below a
/// millisecond unless the machine is overloaded; they may be made from async code that bears that.
#[derive(Debug)]
pub struct Overlay {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// The overlay has ended by itself; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the overlay has stopped")]
pub struct Stopped;

impl Overlay {
    /// Makes the interface, which must not exist, and carries packets from now on. Takes the right
    /// to administer the network (`CAP_NET_ADMIN`), and `/dev/net/tun`. Both belong to the network
    /// namespace of the calling thread.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        let (commands, receiver) = channel();
        let (driver, wake) = Driver::new(config, receiver)?;
        let thread = std::thread::Builder::new()
            .name(config.interface.clone())
            .spawn(move || driver.run())?;
        Ok(Self {
            commands,
            wake,
            thread: Some(thread),
        })
    }

    /// Makes the peers those that are given: the whole set, each time. Peers that stay keep their
    /// sessions, whatever of them is said anew but the preshared key and the kind.
    pub fn apply(&self, peers: Vec<Peer>) -> Result<Result<Applied, PeersError>, Stopped> {
        self.ask(|reply| Command::Apply(peers, reply))
    }

    /// What is now.
    pub fn snapshot(&self) -> Result<Snapshot, Stopped> {
        self.ask(Command::Snapshot)
    }

    /// Ends the overlay, and returns when its interface, addresses and routes are gone.
    pub fn stop(self) {
        drop(self);
    }

    fn ask<Answer>(
        &self,
        command: impl FnOnce(Sender<Answer>) -> Command,
    ) -> Result<Answer, Stopped> {
        let (reply, answer) = channel();
        self.tell(command(reply))?;
        answer.recv().map_err(|_| Stopped)
    }

    fn tell(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).map_err(|_| Stopped)?;
        // Full means that the thread is already told to look.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
        Ok(())
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let told = self.tell(Command::Stop);
        if let (Ok(()), Some(thread)) = (told, self.thread.take())
            && thread.join().is_err()
        {
            tracing::error!("the overlay's thread had panicked");
        }
    }
}
