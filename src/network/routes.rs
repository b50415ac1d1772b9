//! Whether addresses of the grid lead elsewhere on this host.

use std::net::Ipv4Addr;

use anyhow::Context;
use kontena_overlay::Prefix;

use super::names::Names;

const TABLE: &str = "/proc/net/route";

/// Routes of this host that overlap the grid's network, each as `10.88.0.0/16 dev podman0`. Ours do not count, nor
/// does the default route.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn overlapping(supernet: &str, names: &Names) -> anyhow::Result<Vec<String>> {
    let table =
        std::fs::read_to_string(TABLE).with_context(|| format!("failed to read `{TABLE}`"))?;
    let supernet: Prefix = supernet.parse()?;
    let foreign =
        routes(&table).filter(|(device, _)| *device != names.interface && *device != names.bridge);
    let overlapping = foreign.filter(|(_, route)| overlap(*route, supernet));
    Ok(overlapping
        .map(|(device, route)| format!("{route} dev {device}"))
        .collect())
}

fn overlap(a: Prefix, b: Prefix) -> bool {
    a.length() > 0 && (a.contains(b.network().address()) || b.contains(a.network().address()))
}

/// Device and destination of each route: the kernel writes addresses as hexadecimal numbers of its own byte order.
fn routes(table: &str) -> impl Iterator<Item = (&str, Prefix)> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
        let destination = number(fields.get(1)?)?;
        let mask = number(fields.get(7)?)?;
        let length = u8::try_from(mask.leading_ones()).ok()?;
        let route = Prefix::new(Ipv4Addr::from_bits(destination).into(), length).ok()?;
        Some((*fields.first()?, route))
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
        let read: Vec<String> = routes(&table)
            .map(|(device, route)| format!("{route} {device}"))
            .collect();
        assert_eq!(read, ["0.0.0.0/0 eth0", "10.88.0.0/16 podman0"]);
    }

    #[test]
    fn a_wider_and_a_narrower_route_overlap_and_a_neighbour_and_the_default_do_not() {
        let overlaps =
            |route: &str| overlap(route.parse().unwrap(), "10.80.0.0/12".parse().unwrap());
        assert!(overlaps("10.0.0.0/8") && overlaps("10.88.0.0/16") && overlaps("10.80.0.0/12"));
        assert!(!overlaps("10.96.0.0/12") && !overlaps("10.64.0.0/12") && !overlaps("0.0.0.0/0"));
    }
}
