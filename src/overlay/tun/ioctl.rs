//! The ioctls of a TUN device (`linux/if_tun.h`). The only unsafe code of this package: no safe
//! wrapper of them exists.
#![allow(unsafe_code, reason = "each use says why it is sound")]

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io;
use rustix::ioctl::{IntegerSetter, Opcode, Updater, ioctl, opcode};

const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const TUNSETOFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);

const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
const IFF_VNET_HDR: i16 = 0x4000;
/// Refuse a device that exists, whoever made it.
const IFF_TUN_EXCL: i16 = i16::MIN;

const TUN_F_CSUM: usize = 0x01;
const TUN_F_TSO4: usize = 0x02;
const TUN_F_TSO6: usize = 0x04;
const TUN_F_USO4: usize = 0x20;
const TUN_F_USO6: usize = 0x40;

/// Longest name of an interface in bytes.
const NAME_LENGTH: usize = 15;

/// `struct ifreq` with the part of its union that is used here; padded to the size of the kernel's.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_LENGTH + 1],
    flags: i16,
    rest: [u8; 22],
}

/// The kernel reads and writes this many bytes on 64-bit machines.
const _: () = assert!(size_of::<InterfaceRequest>() == 40);

/// What the device may leave to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offloads {
    pub(crate) tcp: bool,
    pub(crate) udp: bool,
}

/// Makes the open `/dev/net/tun` a device of this name, with an offload header before each packet.
pub(crate) fn name_device(device: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let mut request = InterfaceRequest {
        name: [0; NAME_LENGTH + 1],
        flags: IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL,
        rest: [0; 22],
    };
    let room = request.name.get_mut(..name.len().min(NAME_LENGTH));
    room.expect("it was cut to what there is")
        .copy_from_slice(&name.as_bytes()[..name.len().min(NAME_LENGTH)]);
    // SAFETY: TUNSETIFF takes a pointer to `struct ifreq`. The kernel reads `sizeof(struct ifreq)`
    // bytes there, and writes as many back: 40, which `InterfaceRequest` has, as asserted above.
    // All bit patterns are valid for its fields, and nothing keeps the pointer after the call.
    unsafe { ioctl(device.as_fd(), Updater::<TUNSETIFF, _>::new(&mut request)) }
}

/// Says which large segments we take and give. Fails where the kernel knows none of them.
pub(crate) fn set_offloads(device: BorrowedFd<'_>, offloads: Offloads) -> io::Result<()> {
    let bits = if offloads.tcp {
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6
    } else {
        0
    };
    let bits = if offloads.udp {
        bits | TUN_F_USO4 | TUN_F_USO6
    } else {
        bits
    };
    // SAFETY: TUNSETOFFLOAD takes its argument by value and dereferences nothing.
    unsafe {
        ioctl(
            device.as_fd(),
            IntegerSetter::<TUNSETOFFLOAD>::new_usize(bits),
        )
    }
}
