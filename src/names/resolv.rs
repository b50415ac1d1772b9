//! resolv.conf: which resolvers the host has, and how ours becomes the first of them.
//!
//! Pure text: who calls reads and writes the file. It is changed in place, because it may be a mount, and what
//! was there stays behind ours, so that a host whose daemon was killed still resolves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where systemd-resolved writes the resolvers that it asks itself.
pub const REAL_FILE_OF_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

pub const FILE: &str = "/etc/resolv.conf";

const PORT: u16 = 53;

/// Begins the line above each one that is Kontena's; whose it is follows.
const MARK: &str = "# The next line is Kontena's, for ";

/// Who asks to be the first: several daemons and tunnels may share a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The interface behind which the resolver is.
    pub interface: String,
    /// What a person types to be rid of it.
    pub remover: String,
}

impl Owner {
    fn mark(&self) -> String {
        let Self { interface, remover } = self;
        format!("{MARK}{interface}. `{remover}` removes it.")
    }
}

/// Where systemd-resolved answers programs: its stub, and the one without its own names.
const STUBS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54)),
];

/// The resolvers of a file, in its order. A zone of a link-local address (`fe80::1%eth0`) is not understood,
/// and the line left out.
pub fn nameservers(text: &str) -> Vec<IpAddr> {
    let lines = without_kontena_s(text);
    let lines = lines
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let words = lines
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| rest.split_whitespace().next());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Whom to ask for names that are not ours: the resolvers of the host's file or, where that names
/// systemd-resolved's stub alone, those that it asks itself. The stub may ask us, so it is never asked where
/// there are others; nor is anybody whom `is_own` says to be us.
pub fn upstreams(
    host: &str,
    real: Option<&str>,
    is_own: impl Fn(IpAddr) -> bool,
) -> Vec<SocketAddr> {
    let named = nameservers(host);
    let asked_by_stub = real.filter(|_| is_stub_alone(host)).map(nameservers);
    let mut chosen = asked_by_stub
        .filter(|real| !real.is_empty())
        .unwrap_or(named);
    chosen.retain(|address| !is_own(*address));
    chosen
        .into_iter()
        .map(|address| (address, PORT).into())
        .collect()
}

/// Whether programs of this host ask systemd-resolved, and nobody else.
pub fn is_stub_alone(text: &str) -> bool {
    let named = nameservers(text);
    !named.is_empty() && named.iter().all(|address| STUBS.contains(address))
}

/// The same file with our server before all others, which stay. Among several that are Kontena's the order is
/// nobody's matter.
pub fn with_own(text: &str, own: IpAddr, owner: &Owner) -> String {
    let ours = format!("{}\nnameserver {own}\n", owner.mark());
    let others = without_own(text, &owner.interface);
    // Ours is in front where only lines of Kontena's stand before it, and it is there once.
    let is_in_front = text.split_once(&ours).is_some_and(|(before, after)| {
        without_kontena_s(before).is_empty() && [before, after].concat() == others
    });
    match is_in_front {
        true => text.to_owned(),
        false => format!("{ours}{others}"),
    }
}

/// The file without the lines for this interface: what others changed since stays.
pub fn without_own(text: &str, interface: &str) -> String {
    let ours = format!("{MARK}{interface}.");
    without(text, |line| line.starts_with(&ours))
}

fn without_kontena_s(text: &str) -> String {
    without(text, |line| line.starts_with(MARK))
}

/// The text without the marks that are meant, and without the line behind each.
fn without(text: &str, is_meant: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_marked = false;
    for line in text.split_inclusive('\n') {
        let is_mark = is_meant(line);
        if !is_mark && !is_marked {
            kept.push_str(line);
        }
        is_marked = is_mark;
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(host: &str, real: Option<&str>) -> Vec<String> {
        let is_own = |address: IpAddr| address == IpAddr::from([10, 80, 1, 1]);
        upstreams(host, real, is_own)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn resolvers_are_read_in_their_order() {
        let text = "# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\n  nameserver\t192.0.2.2 \nnameserver fe80::1%eth0\nnameserver 2001:db8::1\nnameservers 192.0.2.8\nnameserver x\n";
        assert_eq!(
            chosen(text, None),
            ["192.0.2.1:53", "192.0.2.2:53", "[2001:db8::1]:53"]
        );
    }

    #[test]
    fn behind_a_stub_are_those_that_it_asks() {
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        let real = "nameserver 10.80.1.1\nnameserver 192.0.2.1\n";
        assert_eq!(chosen(stub, Some(real)), ["192.0.2.1:53"]);
        assert_eq!(chosen(stub, None), ["127.0.0.53:53"]);
        assert_eq!(chosen(stub, Some("")), ["127.0.0.53:53"]);
        assert_eq!(
            chosen("nameserver 192.0.2.7\n", Some(real)),
            ["192.0.2.7:53"]
        );
    }

    fn owner(interface: &str) -> Owner {
        Owner {
            interface: interface.to_owned(),
            remover: "kontena leave".to_owned(),
        }
    }

    #[test]
    fn two_on_one_host_leave_each_other_alone() {
        let before = "nameserver 192.0.2.1\n";
        let first = |text: &str| with_own(text, [10, 80, 1, 1].into(), &owner("kontena-br"));
        let second = |text: &str| with_own(text, [10, 96, 1, 1].into(), &owner("kontena-b"));
        let both = second(&first(before));
        assert_eq!(first(&both), both, "nobody has to be the very first");
        assert_eq!(second(&both), both);
        assert_eq!(
            chosen(&both, None),
            ["192.0.2.1:53"],
            "neither asks the other"
        );
        let of_one = without_own(&both, "kontena-b");
        assert_eq!(of_one, first(before));
        assert_eq!(without_own(&of_one, "kontena-br"), before);
        let pushed = format!("nameserver 192.0.2.2\n{both}");
        assert!(first(&pushed).starts_with(&owner("kontena-br").mark()));
    }

    #[test]
    fn we_are_first_and_never_asked_by_ourselves() {
        let before = "search example.com\nnameserver 192.0.2.1\n";
        let own = IpAddr::from([10, 80, 1, 1]);
        let after = with_own(before, own, &owner("kontena-br"));
        assert_eq!(after.lines().nth(1), Some("nameserver 10.80.1.1"));
        assert!(after.ends_with(before));
        assert_eq!(chosen(&after, None), ["192.0.2.1:53"]);
        assert_eq!(with_own(&after, own, &owner("kontena-br")), after);
        assert_eq!(
            chosen("nameserver 10.80.1.1\nnameserver 192.0.2.1\n", None),
            ["192.0.2.1:53"]
        );
    }

    proptest! {
        #[test]
        fn what_was_there_comes_back_whatever_it_was(text in "([a-z #.\n]|nameserver 192.0.2.1\n){0,40}", own: u32) {
            let own = IpAddr::V4(own.into());
            let with = with_own(&text, own, &owner("kontena-br"));
            prop_assert_eq!(without_own(&with, "kontena-br"), text);
        }
    }
}
