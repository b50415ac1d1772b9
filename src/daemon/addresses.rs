//! Where this node can be reached: what it was told to say, else the addresses of its interfaces.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Interfaces that containers and virtual machines make: the same addresses exist on every host.
const VIRTUAL: [&str; 7] = ["docker", "br-", "veth", "virbr", "cni", "lxc", "kontena"];

/// `IP:PORT` of every way in, best first: IPv4 before IPv6, as more networks carry it.
pub(super) fn addresses(listen: &[SocketAddr], advertise: &[SocketAddr]) -> Vec<String> {
    if !advertise.is_empty() {
        return advertise.iter().map(ToString::to_string).collect();
    }
    let interfaces = interfaces();
    let mut all: Vec<SocketAddr> = listen
        .iter()
        .flat_map(|socket| reached_by(*socket, &interfaces))
        .collect();
    all.sort_by_key(|address| (address.is_ipv6(), *address));
    all.dedup();
    all.iter().map(ToString::to_string).collect()
}

/// What a listening socket is reached by: itself, or every address of the host.
fn reached_by(listen: SocketAddr, interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let same_family = interfaces
        .iter()
        .filter(|ip| ip.is_ipv4() == listen.is_ipv4());
    same_family
        .map(|ip| SocketAddr::new(*ip, listen.port()))
        .collect()
}

/// The addresses of all interfaces that are up and lead somewhere.
fn interfaces() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter(|interface| {
            !VIRTUAL
                .iter()
                .any(|prefix| interface.interface_name.starts_with(prefix))
        })
        .filter_map(|interface| ip_of(interface.address?))
        .filter(leads_somewhere)
        .collect()
}

/// Every address of this host, whatever it is for.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    interfaces
        .filter_map(|interface| ip_of(interface.address?))
        .collect()
}

fn ip_of(address: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}

fn leads_somewhere(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_socket_is_reached_by_every_address_of_its_family() {
        let interfaces = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let v4 = reached_by("0.0.0.0:8470".parse().unwrap(), &interfaces);
        assert_eq!(v4, ["10.0.0.1:8470".parse().unwrap()]);
        let v6 = reached_by("[::]:8470".parse().unwrap(), &interfaces);
        assert_eq!(v6, ["[fd00::1]:8470".parse().unwrap()]);
    }

    #[test]
    fn what_is_advertised_is_all_that_is_said() {
        let said = addresses(
            &["0.0.0.0:1".parse().unwrap()],
            &["192.0.2.1:8470".parse().unwrap()],
        );
        assert_eq!(said, ["192.0.2.1:8470"]);
    }
}
