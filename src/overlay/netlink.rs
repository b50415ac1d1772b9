//! The kernel's interface to addresses, routes and link settings (rtnetlink), as far as the
//! overlay's own interface needs it. It stays in the network namespace in which it was opened.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::{self, Errno};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, recv, send,
    socket_with,
};

use crate::prefix::Prefix;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_EXCL: u16 = 0x200;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;

const IFLA_MTU: u16 = 4;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const NESTED: u16 = 0x8000;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;

/// Any other route to the same range comes first.
const LAST: u32 = 0xff00_0000;

/// Length of the header of a netlink message, and of the fixed part that a link message has.
const HEADER: usize = 16;

/// A way to change one interface.
#[derive(Debug)]
pub(crate) struct Interface {
    socket: OwnedFd,
    index: u32,
}

impl Interface {
    /// The interface `name` of this thread's network namespace.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let socket = open()?;
        let index = netdevice::name_to_index(&socket, name)?;
        Ok(Self { socket, index })
    }

    /// Sets the longest packet that the interface takes.
    pub(crate) fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        let mut message = self.link(0, 0);
        attribute(&mut message, IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        self.request(RTM_NEWLINK, 0, &message)
    }

    /// Sets the longest segment that the kernel hands over in one piece.
    pub(crate) fn set_longest_segment(&self, bytes: u32) -> io::Result<()> {
        let mut message = self.link(0, 0);
        attribute(&mut message, IFLA_GSO_MAX_SIZE, &bytes.to_ne_bytes());
        self.request(RTM_NEWLINK, 0, &message)
    }

    /// Keeps the kernel from giving the interface an IPv6 address of its own making.
    pub(crate) fn forbid_own_addresses(&self) -> io::Result<()> {
        let mut mode = Vec::new();
        attribute(&mut mode, IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        let mut family = Vec::new();
        attribute(&mut family, u16::from(AF_INET6) | NESTED, &mode);
        let mut message = self.link(0, 0);
        attribute(&mut message, IFLA_AF_SPEC | NESTED, &family);
        self.request(RTM_NEWLINK, 0, &message)
    }

    pub(crate) fn set_up(&self) -> io::Result<()> {
        self.request(RTM_NEWLINK, 0, &self.link(IFF_UP, IFF_UP))
    }

    pub(crate) fn add_address(&self, prefix: Prefix) -> io::Result<()> {
        let mut message = vec![
            family(prefix.address()),
            prefix.length(),
            IFA_F_NODAD,
            RT_SCOPE_UNIVERSE,
        ];
        message.extend(self.index.to_ne_bytes());
        let address = octets(prefix.address());
        attribute(&mut message, IFA_LOCAL, &address);
        attribute(&mut message, IFA_ADDRESS, &address);
        self.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message)
    }

    /// Leads a range of addresses to the interface; connections from this host then come from
    /// `source`.
    pub(crate) fn add_route(&self, prefix: Prefix, source: Option<IpAddr>) -> io::Result<()> {
        let network = prefix.network();
        let scope = match network.address() {
            IpAddr::V4(_) => RT_SCOPE_LINK,
            IpAddr::V6(_) => RT_SCOPE_UNIVERSE,
        };
        let family = family(network.address());
        let mut message = vec![family, network.length(), 0, 0, RT_TABLE_MAIN, RTPROT_STATIC];
        message.extend([scope, RTN_UNICAST, 0, 0, 0, 0]);
        attribute(&mut message, RTA_DST, &octets(network.address()));
        attribute(&mut message, RTA_OIF, &self.index.to_ne_bytes());
        if let Some(source) = source {
            attribute(&mut message, RTA_PREFSRC, &octets(source));
        }
        self.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &message)
    }

    /// The fixed part of a link message (`struct ifinfomsg`).
    fn link(&self, flags: u32, change: u32) -> Vec<u8> {
        let mut message = vec![0; 4];
        message.extend(self.index.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(change.to_ne_bytes());
        message
    }

    fn request(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        request(&self.socket, kind, flags, body)
    }
}

/// See [`crate::hold_back`].
pub(crate) fn hold_back(range: Prefix) -> io::Result<()> {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    match request(&open()?, RTM_NEWROUTE, flags, &nowhere(range)) {
        Err(Errno::EXIST) => Ok(()),
        outcome => outcome,
    }
}

/// See [`crate::let_go`].
pub(crate) fn let_go(range: Prefix) -> io::Result<()> {
    match request(&open()?, RTM_DELROUTE, 0, &nowhere(range)) {
        Err(Errno::SRCH) => Ok(()),
        outcome => outcome,
    }
}

/// The last route to a range, which leads nowhere and belongs to no interface.
fn nowhere(range: Prefix) -> Vec<u8> {
    let network = range.network();
    let family = family(network.address());
    let mut message = vec![family, network.length(), 0, 0, RT_TABLE_MAIN, RTPROT_STATIC];
    message.extend([RT_SCOPE_UNIVERSE, RTN_BLACKHOLE, 0, 0, 0, 0]);
    attribute(&mut message, RTA_DST, &octets(network.address()));
    attribute(&mut message, RTA_PRIORITY, &LAST.to_ne_bytes());
    message
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // The protocol without a number: routes, links and addresses.
        None,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Sends a request and waits for the kernel's answer, which comes at once.
fn request(socket: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    send(socket, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 4096];
    let (length, _) = recv(socket, &mut answer[..], RecvFlags::empty())?;
    outcome(&answer[..length])
}

/// What the kernel says to a request: an error's number, zero if all is well.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let number = |at: usize| {
        answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
    };
    let kind = answer
        .get(4..6)
        .map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    match number(HEADER).map(i32::from_ne_bytes) {
        Some(0) if kind == Some(NLMSG_ERROR) => Ok(()),
        Some(error) if kind == Some(NLMSG_ERROR) => Err(Errno::from_raw_os_error(-error)),
        _ => Err(Errno::BADMSG),
    }
}

/// Appends an attribute, padded to four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
