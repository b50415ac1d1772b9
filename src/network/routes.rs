//! Where addresses lead on this host already.

use std::net::Ipv4Addr;

use anyhow::Context;
use kontena_core::network::plan::{HostRoute, Range};
use nix::ifaddrs::getifaddrs;

use super::names::Names;

const TABLE: &str = "/proc/net/route";

/// How the table shows the device of a route that leads nowhere, such as the one that holds back what would leave
/// unsealed.
const NOWHERE: &str = "*";

/// The IPv4 routes of this host's main table and the addresses of its interfaces. Ours do not count.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn host_routes(names: &Names) -> anyhow::Result<Vec<HostRoute>> {
    let table =
        std::fs::read_to_string(TABLE).with_context(|| format!("failed to read `{TABLE}`"))?;
    let all = routes(&table).chain(addresses()?);
    let is_ours =
        |device: &str| device == names.interface || device == names.bridge || device == NOWHERE;
    Ok(all.filter(|route| !is_ours(&route.device)).collect())
}

/// An address may have no route of its own: 192.0.2.1/32 has none.
fn addresses() -> anyhow::Result<impl Iterator<Item = HostRoute>> {
    let interfaces = getifaddrs().context("failed to list the interfaces")?;
    Ok(interfaces.filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        Some(HostRoute {
            to: Range::around(address, 32)?,
            device: interface.interface_name,
        })
    }))
}

/// The routes of a table: the kernel writes addresses as hexadecimal numbers of its own byte order.
fn routes(table: &str) -> impl Iterator<Item = HostRoute> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
        let destination = number(fields.get(1)?)?;
        let mask = number(fields.get(7)?)?;
        let length = u8::try_from(mask.leading_ones()).ok()?;
        Some(HostRoute {
            to: Range::around(Ipv4Addr::from_bits(destination), length)?,
            device: (*fields.first()?).to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    /// A line of the table, as this machine's kernel writes it.
    fn line(device: &str, destination: [u8; 4], length: u32) -> String {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let (destination, mask) = (
            u32::from_ne_bytes(destination),
            u32::from_ne_bytes(mask.to_be_bytes()),
        );
        format!("{device}\t{destination:08X}\t00000000\t0001\t0\t0\t0\t{mask:08X}\t0\t0\t0\n")
    }

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let table = [
            HEAD.to_owned(),
            line("eth0", [0, 0, 0, 0], 0),
            line("podman0", [10, 88, 0, 0], 16),
        ]
        .concat();
        let read: Vec<String> = routes(&table).map(|route| route.to_string()).collect();
        assert_eq!(read, ["0.0.0.0/0 dev eth0", "10.88.0.0/16 dev podman0"]);
    }

    #[test]
    fn the_addresses_of_this_host_are_among_its_routes() {
        let routes = host_routes(&Names::standard()).unwrap();
        let loopback = routes.iter().find(|route| route.device == "lo");
        assert_eq!(loopback.unwrap().to.to_string(), "127.0.0.1/32");
    }
}
