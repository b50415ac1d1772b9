//! Two network namespaces with a link between them, and a third one for a crowd of peers.

use std::process::{Command, Output};

/// The namespaces of the two ends and the crowd, and the addresses they have on the link.
pub(crate) const ENDS: [&str; 3] = ["kbench-a", "kbench-b", "kbench-c"];
pub(crate) const ADDRESSES: [&str; 3] = ["10.99.0.1", "10.99.0.2", "10.99.1.2"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offload {
    /// As the kernel has it by default: large segments pass a link of this kind in one piece.
    On,
    /// Each packet passes for itself, as on a network card without any offload.
    Off,
}

/// The namespaces; they are gone with it.
pub(crate) struct Link;

impl Link {
    pub(crate) fn new(offload: Offload) -> Self {
        remove();
        for end in ENDS {
            succeed(&format!("ip netns add {end}"));
            succeed(&format!("ip -n {end} link set lo up"));
        }
        connect(
            ENDS[0],
            "eth0",
            "10.99.0.1/24",
            ENDS[1],
            "eth0",
            "10.99.0.2/24",
        );
        connect(
            ENDS[0],
            "eth1",
            "10.99.1.1/24",
            ENDS[2],
            "eth0",
            "10.99.1.2/24",
        );
        if offload == Offload::Off {
            for end in &ENDS[..2] {
                let kinds = "tx-udp-segmentation off tso off gso off gro off";
                succeed(&format!("ip netns exec {end} ethtool -K eth0 {kinds}"));
            }
        }
        Self
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        remove();
    }
}

fn connect(a: &str, a_name: &str, a_address: &str, b: &str, b_name: &str, b_address: &str) {
    succeed(&format!(
        "ip -n {a} link add {a_name} type veth peer name {b_name} netns {b}"
    ));
    for (end, name, address) in [(a, a_name, a_address), (b, b_name, b_address)] {
        succeed(&format!("ip -n {end} address add {address} dev {name}"));
        succeed(&format!("ip -n {end} link set {name} up"));
    }
}

fn remove() {
    for end in ENDS {
        let _ = output(&format!("ip netns delete {end}"));
    }
}

/// A command in a namespace.
pub(crate) fn within(end: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", end, program]);
    command
}

pub(crate) fn succeed(line: &str) {
    let output = output(line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {said}");
}

fn output(line: &str) -> Output {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a command has a name");
    Command::new(program)
        .args(words)
        .output()
        .expect("`ip` can be run")
}
