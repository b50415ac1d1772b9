//! Namespaces, a router between them, and what the tests do to it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::IpAddr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::host::{Host, Stopped};

static LABS: AtomicU32 = AtomicU32::new(0);

/// One network; gone with it.
pub(crate) struct Lab {
    prefix: String,
    namespaces: RefCell<Vec<String>>,
    hosts: Cell<u8>,
}

impl Lab {
    /// An empty network, or what this machine lacks for it.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("root".to_owned());
        }
        if fs::metadata("/dev/net/tun").is_err() {
            return Err("/dev/net/tun".to_owned());
        }
        if let Some(missing) = ["ip", "ping", "iptables", "tc"]
            .into_iter()
            .find(|name| !has(name))
        {
            return Err(format!("`{missing}`"));
        }
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("ko{}-{number}-{name}", std::process::id());
        let lab = Self {
            prefix,
            namespaces: RefCell::default(),
            hosts: Cell::new(0),
        };
        let router = lab.namespace("router");
        succeed(&format!(
            "ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"
        ));
        Ok(lab)
    }

    pub(crate) fn router(&self) -> String {
        format!("{}-router", self.prefix)
    }

    /// Hosts of these addresses. Those with an equal third number share a network; the rest reach
    /// each other by the router.
    pub(crate) fn hosts<const COUNT: usize>(&self, addresses: [&str; COUNT]) -> [Stopped; COUNT] {
        let flat = addresses
            .iter()
            .all(|address| !address.starts_with("10.99") || address.starts_with("10.99.0."));
        if flat {
            self.bridge();
        }
        addresses.map(|address| {
            let (number, namespace) = self.host();
            let address: IpAddr = address.parse().expect("an address");
            if flat {
                self.attach(&namespace, number, address);
            } else {
                self.route(&namespace, number, address);
            }
            Stopped::new(namespace, number, address)
        })
    }

    /// Two hosts on one network that know each other.
    pub(crate) fn connected(&self) -> [Host; 2] {
        let [a, b] = self.hosts(["10.99.0.1", "10.99.0.2"]);
        let (a, b) = (a.start(), b.start());
        a.apply(&[&b]);
        b.apply(&[&a]);
        [a, b]
    }

    fn bridge(&self) {
        let router = self.router();
        succeed(&format!("ip -n {router} link add br0 type bridge"));
        succeed(&format!("ip -n {router} link set br0 up"));
    }

    fn attach(&self, namespace: &str, number: u8, address: IpAddr) {
        let router = self.router();
        self.link(namespace, number);
        succeed(&format!("ip -n {router} link set v{number} master br0"));
        let length = if address.is_ipv4() { 16 } else { 64 };
        add_address(namespace, "eth0", address, length);
    }

    fn route(&self, namespace: &str, number: u8, address: IpAddr) {
        let router = self.router();
        self.link(namespace, number);
        let IpAddr::V4(host) = address else {
            panic!("the router knows IPv4 alone");
        };
        let [a, b, c, _] = host.octets();
        let gateway = format!("{a}.{b}.{c}.254");
        add_address(
            &router,
            &format!("v{number}"),
            gateway.parse().expect("an address"),
            24,
        );
        add_address(namespace, "eth0", address, 24);
        succeed(&format!(
            "ip -n {namespace} route add default via {gateway}"
        ));
    }

    fn link(&self, namespace: &str, number: u8) {
        let router = self.router();
        succeed(&format!(
            "ip -n {namespace} link add eth0 type veth peer name v{number} netns {router}"
        ));
        succeed(&format!("ip -n {namespace} link set eth0 up"));
        succeed(&format!("ip -n {router} link set v{number} up"));
    }

    /// Narrows a host's link to the router, and lets the router tell nobody: a black hole for what
    /// may not be fragmented.
    pub(crate) fn narrow(&self, host: &Host, mtu: u16) {
        let router = self.router();
        succeed(&format!(
            "ip -n {router} link set v{} mtu {mtu}",
            host.number()
        ));
        host.run(&format!("ip link set eth0 mtu {mtu}"));
        let silent = "iptables -A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP";
        succeed(&format!("ip netns exec {router} {silent}"));
    }

    /// A host behind a translator of its own on the network of the others, and its outer address.
    pub(crate) fn translated(&self) -> (Stopped, String) {
        let (number, namespace) = self.host();
        let translator = self.namespace(&format!("t{number}"));
        let outer = format!("10.99.0.{}", 100 + number);
        self.attach(
            &translator,
            100 + number,
            outer.parse().expect("an address"),
        );
        let inner: IpAddr = format!("192.168.{number}.1").parse().expect("an address");
        let gateway: IpAddr = format!("192.168.{number}.254").parse().expect("an address");
        succeed(&format!(
            "ip -n {namespace} link add eth0 type veth peer name inside netns {translator}"
        ));
        succeed(&format!("ip -n {namespace} link set eth0 up"));
        succeed(&format!("ip -n {translator} link set inside up"));
        add_address(&namespace, "eth0", inner, 24);
        add_address(&translator, "inside", gateway, 24);
        succeed(&format!(
            "ip -n {namespace} route add default via {gateway}"
        ));
        let run = |line: &str| succeed(&format!("ip netns exec {translator} {line}"));
        run("sysctl -qw net.ipv4.ip_forward=1");
        // What the host begins leaves with the outer address; only answers come back.
        run(&format!(
            "iptables -t nat -A POSTROUTING -o eth0 -j SNAT --to-source {outer}"
        ));
        // Dropped and not refused, else the translator remembers what came uninvited and gives
        // the host's own packets to that address another port.
        run("iptables -A INPUT -i eth0 -j DROP");
        run("iptables -A FORWARD -i eth0 -m conntrack --ctstate NEW -j DROP");
        (Stopped::new(namespace, number, inner), outer)
    }

    /// The number and the namespace of a new host.
    fn host(&self) -> (u8, String) {
        let number = self.hosts.get() + 1;
        self.hosts.set(number);
        (number, self.namespace(&format!("h{number}")))
    }

    fn namespace(&self, name: &str) -> String {
        let namespace = format!("{}-{name}", self.prefix);
        succeed(&format!("ip netns add {namespace}"));
        succeed(&format!("ip -n {namespace} link set lo up"));
        self.namespaces.borrow_mut().push(namespace.clone());
        namespace
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.namespaces.borrow().iter() {
            let _ = output(&format!("ip netns delete {namespace}"));
        }
    }
}

fn add_address(namespace: &str, device: &str, address: IpAddr, length: u8) {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    succeed(&format!(
        "ip -n {namespace} address add {address}/{length} dev {device}{nodad}"
    ));
}

/// Whether a program is installed.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("which").arg(program).output();
    found.is_ok_and(|output| output.status.success())
}

pub(crate) fn succeed(line: &str) -> String {
    let output = output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn output(line: &str) -> Output {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a command has a name");
    let output = Command::new(program).args(words).output();
    output.unwrap_or_else(|error| panic!("`{line}` cannot be run: {error}"))
}
