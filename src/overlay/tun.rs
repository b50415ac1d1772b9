//! The network interface of the overlay: a TUN device, through which the kernel hands us packets
//! and takes ours. It is not persistent: it vanishes with its file descriptor, however we end.

mod ioctl;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{self, Errno, read, write};

pub(crate) use ioctl::Offloads;

const CLONE_DEVICE: &str = "/dev/net/tun";

/// Longest frame: the offload header and the longest IP packet.
pub(crate) const FRAME: usize = crate::packet::offload::LENGTH + 65_535;

#[derive(Debug)]
pub(crate) struct Tun {
    device: OwnedFd,
    offloads: Offloads,
}

impl Tun {
    /// Makes the interface `name`, which must not exist, in the network namespace of this thread.
    pub(crate) fn create(name: &str, offload: bool) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = open(CLONE_DEVICE, flags, Mode::empty())?;
        ioctl::name_device(device.as_fd(), name)?;
        let offloads = negotiate(device.as_fd(), offload);
        Ok(Self { device, offloads })
    }

    /// What the kernel agreed to.
    pub(crate) fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Reads one frame; nothing if there is none now.
    pub(crate) fn receive(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match read(&self.device, frame) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a frame to the kernel.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        write(&self.device, frame).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Asks for all offloads, then for fewer: large datagrams came with Linux 6.2.
fn negotiate(device: BorrowedFd<'_>, wanted: bool) -> Offloads {
    let all = Offloads {
        tcp: wanted,
        udp: wanted,
    };
    let tcp = Offloads { udp: false, ..all };
    let none = Offloads { tcp: false, ..tcp };
    [all, tcp]
        .into_iter()
        .find(|offloads| ioctl::set_offloads(device, *offloads).is_ok())
        .unwrap_or(none)
}
