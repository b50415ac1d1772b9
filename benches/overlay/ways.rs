//! The ways from one end of the link to the other that are compared.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;

use crate::link::{ADDRESSES, ENDS, succeed, within};
use crate::node;

/// Peers of one end in [`Way::Crowded`], the other end among them.
const CROWD: u8 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The bare link.
    Raw,
    Overlay,
    /// The overlay, with many other peers that are connected and quiet.
    Crowded,
    WireguardGo,
    Boringtun,
    Gotatun,
}

/// The processes of a way, while it is up.
pub(crate) struct Tunnel {
    processes: Vec<Child>,
    /// The two that carry what is measured.
    pub(crate) measured: Vec<u32>,
    /// The address of the far end.
    pub(crate) target: String,
}

impl Way {
    pub(crate) fn all() -> [Self; 6] {
        [
            Self::Raw,
            Self::Overlay,
            Self::Crowded,
            Self::WireguardGo,
            Self::Boringtun,
            Self::Gotatun,
        ]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Overlay => "overlay",
            Self::Crowded => "overlay-100",
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun-cli",
            Self::Gotatun => "gotatun-cli",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        let program = match self {
            Self::Raw | Self::Overlay | Self::Crowded => return true,
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun-cli",
            Self::Gotatun => "gotatun",
        };
        let found = Command::new("which").arg(program).output();
        found.is_ok_and(|output| output.status.success())
    }

    pub(crate) fn up(self) -> Tunnel {
        match self {
            Self::Raw => Tunnel {
                processes: Vec::new(),
                measured: Vec::new(),
                target: ADDRESSES[1].to_owned(),
            },
            Self::Overlay => overlay(1),
            Self::Crowded => overlay(CROWD),
            Self::WireguardGo => uapi("wireguard-go", &["-f"]),
            // One thread: with more, its packets overtake each other.
            Self::Boringtun => uapi(
                "boringtun-cli",
                &["-f", "-t", "1", "--disable-drop-privileges"],
            ),
            Self::Gotatun => uapi("gotatun", &["-f", "--disable-drop-privileges"]),
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.stdin.take());
            // Nodes of ours end by themselves, and tell what they have seen.
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end && matches!(process.try_wait(), Ok(None)) {
                sleep(Duration::from_millis(20));
                if process.stdout.is_none() {
                    let _ = process.kill();
                }
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn overlay(peers: u8) -> Tunnel {
    let mut near = vec![
        "node".to_owned(),
        "1".to_owned(),
        format!("2={}", ADDRESSES[1]),
    ];
    near.extend((3..=peers + 1).map(|number| format!("{number}={}", ADDRESSES[2])));
    let far = [
        "node".to_owned(),
        "2".to_owned(),
        format!("1={}", ADDRESSES[0]),
    ];
    let mut processes = vec![own(ENDS[0], &near), own(ENDS[1], &far)];
    let measured = processes.iter().map(Child::id).collect();
    if peers > 1 {
        let crowd = [
            "node".to_owned(),
            format!("3-{}", peers + 1),
            "1=10.99.1.1".to_owned(),
        ];
        processes.push(own(ENDS[2], &crowd));
        // All of them shake hands.
        sleep(Duration::from_secs(3));
    }
    Tunnel {
        processes,
        measured,
        target: node::address(2),
    }
}

/// This program as a node in a namespace; ready when this returns.
fn own(end: &str, arguments: &[String]) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut process = within(end, &program.display().to_string())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run");
    let output = process.stdout.take().expect("it is piped");
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output
        .read_line(&mut line)
        .expect("a node says that it is ready");
    assert_eq!(line, "ready\n");
    process.stdout = Some(output.into_inner());
    process
}

/// A pair of an implementation that is set up through its socket, by `wg`.
fn uapi(program: &str, arguments: &[&str]) -> Tunnel {
    let mut processes = Vec::new();
    for number in [1_u8, 2] {
        let end = ENDS[usize::from(number) - 1];
        let name = format!("kbench{number}");
        // One that was killed leaves it behind.
        let _ = fs::remove_file(socket(&name));
        let process = within(end, program)
            .args(arguments)
            .arg(&name)
            .env("WG_LOG_LEVEL", "error")
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`{program}` cannot be run: {error}"));
        processes.push(process);
        configure(end, &name, number);
    }
    Tunnel {
        measured: processes.iter().map(Child::id).collect(),
        processes,
        target: node::address(2),
    }
}

/// Where an implementation takes its settings.
fn socket(name: &str) -> String {
    format!("/var/run/wireguard/{name}.sock")
}

fn configure(end: &str, name: &str, number: u8) {
    let socket = socket(name);
    let limit = Instant::now() + Duration::from_secs(10);
    while fs::metadata(&socket).is_err() {
        assert!(Instant::now() < limit, "`{name}` did not come up");
        sleep(Duration::from_millis(20));
    }
    let other = 3 - number;
    let peer = BASE64.encode(&node::key(other).public_key().0);
    let settings = format!(
        "[Interface]\nPrivateKey = {}\nListenPort = {}\n[Peer]\nPublicKey = {peer}\n\
         AllowedIPs = {}/32\nEndpoint = {}:{}\n",
        BASE64.encode(&[number; 32]),
        5000 + u16::from(number),
        node::address(other),
        ADDRESSES[usize::from(other) - 1],
        5000 + u16::from(other),
    );
    let file = std::env::temp_dir().join(format!("{name}.conf"));
    fs::write(&file, settings).expect("a file can be written");
    sleep(Duration::from_millis(100));
    succeed(&format!(
        "ip netns exec {end} wg setconf {name} {}",
        file.display()
    ));
    succeed(&format!(
        "ip -n {end} address add {}/24 dev {name}",
        node::address(number)
    ));
    succeed(&format!("ip -n {end} link set {name} mtu 1420 up"));
    let _ = fs::remove_file(file);
}
