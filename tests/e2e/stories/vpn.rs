//! A laptop that belongs to the grid's network: a stock WireGuard on a host that is no node.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::grid::{LATER, SOON};
use crate::support::talk::{Asker, address, app, stack, try_address};
use crate::support::{Grid, Lab, Node, eventually, say, seen};

/// The host that is no node.
const LAPTOP: u8 = 3;

/// A revoked user is shut out everywhere within this.
const SHUT_OUT_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_laptop_with_a_stock_wireguard_reaches_what_it_may_and_nothing_once_it_is_revoked() {
    let Some(lab) = Lab::up(3) else { return };
    if !has("wg-quick") || !has("wireguard-go") {
        say("skipped: wireguard-tools and wireguard-go are not installed");
        return;
    }
    let grid = Grid::on(lab, 2);
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&[1, 2], &app(2), SOON);

    let ip = grid.node(1).address();
    grid.node(1)
        .kontena(&["vpn", "create", "--node", "node-1", "--ip", &ip]);
    as_user(&grid.node(1), &["vpn", "user", "add", "laptop"]);
    let refused =
        grid.node(2)
            .try_kontena(&["vpn", "user", "add", "laptop", "--public-key", OTHER]);
    refused.refused(1, &["VPN user", "laptop", "exists already"]);
    up(&grid, "node-1");
    let own = behind(&grid, "node-1");
    for node in [1, 2] {
        eventually(SOON, &format!("the laptop to reach node-{node}"), || {
            let answer = ask(&grid, node, "CLIENT LIST")?;
            seen(answer.contains(&format!(" addr={own}:")), (&own, answer))
        });
        let database = address(&grid.node(node), "redis");
        let carried = Asker::Host(grid.node(LAPTOP)).carries_much(&database);
        assert!(carried.is_ok(), "node-{node}: {carried:?}");
    }

    eventually(SOON, "the laptop to resolve names", || resolves(&grid));

    // Without any VPN, from a host whose API is asked.
    let proxied = proxied(&grid);
    assert!(proxied.contains("PONG"), "{proxied}");

    // Only the boxes.
    grid.node(2)
        .kontena(&["vpn", "user", "update", "laptop", "--only", "net/box"]);
    eventually(SOON, "the databases to be out of reach", || {
        let answers: Vec<_> = [1, 2].map(|node| ask(&grid, node, "PING")).into();
        seen(
            answers
                .iter()
                .all(|answer| !answer.as_deref().unwrap_or("").contains("PONG")),
            answers,
        )
    });
    eventually(SOON, "the boxes to be in reach", || ping(&grid, 2, "box"));
    eventually(SOON, "names still to be answered", || resolves(&grid));
    assert!(
        ping_gateway(&grid).is_err(),
        "the entry itself is no service"
    );
    grid.node(2)
        .kontena(&["vpn", "user", "update", "laptop", "--everything"]);
    eventually(SOON, "the databases to be in reach again", || {
        let answer = ask(&grid, 2, "PING")?;
        seen(answer.contains("PONG"), answer)
    });

    // The other entry takes over, under another address.
    grid.node(1).kontena(&["vpn", "create", "--node", "node-2"]);
    down(&grid);
    up(&grid, "node-2");
    let other = behind(&grid, "node-2");
    assert_ne!(own, other);
    eventually(SOON, "the laptop to reach node-1 by node-2", || {
        let answer = ask(&grid, 1, "CLIENT LIST")?;
        seen(
            answer.contains(&format!(" addr={other}:")),
            (&other, answer),
        )
    });

    // Revoked at a node that it does not enter by.
    as_user(&grid.node(1), &["vpn", "user", "rm", "laptop", "--force"]);
    let revoked = Instant::now();
    eventually(SOON, "the laptop to be shut out", || {
        let answer = ask(&grid, 1, "PING").unwrap_or_default();
        seen(!answer.contains("PONG"), answer)
    });
    let took = revoked.elapsed();
    assert!(took < SHUT_OUT_WITHIN, "{took:?}");
    let again = [
        "vpn",
        "user",
        "add",
        "laptop",
        "--public-key",
        &public(&grid),
    ];
    grid.node(1)
        .try_kontena(&again)
        .refused(1, &["was revoked"]);
    let shown = grid.node(2).kontena_json(&["vpn", "ls"]);
    assert_eq!(shown["users"].as_array().map(Vec::len), Some(0), "{shown}");
    down(&grid);
}

/// Nothing but our own program, which also goes on by itself when its entry dies.
#[test]
fn a_laptop_with_our_own_program_is_in_and_goes_on_by_the_other_entry_and_leaves_nothing_behind() {
    let Some(lab) = Lab::up(3) else { return };
    let grid = Grid::on(lab, 2);
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&[1, 2], &app(2), SOON);
    for number in [1, 2] {
        let (name, ip) = (grid.node(number).name(), grid.node(number).address());
        let create = ["vpn", "create", "--node", &name, "--ip", &ip];
        grid.node(1).kontena(&create);
    }
    as_user(&grid.node(1), &["vpn", "user", "add", "laptop"]);
    let (first, second) = (behind(&grid, "node-1"), behind(&grid, "node-2"));
    let before = grid.node(LAPTOP).run("cat", &["/etc/resolv.conf"]);

    let up = Upped::start(&grid, "node-1");
    eventually(SOON, "the laptop to be in by node-1", || up.says("node-1"));
    for node in [1, 2] {
        eventually(SOON, &format!("the laptop to reach node-{node}"), || {
            let answer = ask(&grid, node, "CLIENT LIST")?;
            seen(
                answer.contains(&format!(" addr={first}:")),
                (&first, answer),
            )
        });
    }
    let database = address(&grid.node(2), "redis");
    let carried = Asker::Host(grid.node(LAPTOP)).carries_much(&database);
    assert!(carried.is_ok(), "{carried:?}");
    eventually(SOON, "the laptop's own programs to know names", || {
        let script = "getent ahostsv4 redis.net.e2e.kontena.local || true";
        let found = grid.node(LAPTOP).run("sh", &["-c", script]);
        seen(found.contains(&database), found)
    });

    // A node is in the network already.
    let on_a_node = ["vpn", "up", "laptop", "--key-file", &key_file(&grid)];
    grid.node(2)
        .try_kontena(&on_a_node)
        .refused(1, &["kontena0", "already", "hint"]);

    grid.lab.cut(1);
    eventually(LATER, "the laptop to go on by node-2", || up.says("node-2"));
    eventually(SOON, "the laptop to reach node-2 by node-2", || {
        let answer = ask(&grid, 2, "CLIENT LIST")?;
        seen(
            answer.contains(&format!(" addr={second}:")),
            (&second, answer),
        )
    });
    grid.lab.heal(1);

    up.interrupt();
    let resolvers = || grid.node(LAPTOP).run("cat", &["/etc/resolv.conf"]);
    assert_eq!(resolvers(), before, "its resolvers are its own again");

    // One that was killed leaves its line, for the next one or `vpn down` to take out.
    for tidies in ["vpn up", "vpn down"] {
        let up = Upped::start(&grid, "node-2");
        eventually(SOON, "the laptop to be in again", || up.says("node-2"));
        up.kill();
        assert_ne!(resolvers(), before);
        if tidies == "vpn up" {
            let next = Upped::start(&grid, "node-2");
            eventually(SOON, "the next one to be in", || next.says("node-2"));
            next.interrupt();
        } else {
            grid.node(LAPTOP).kontena(&["vpn", "down"]);
        }
        assert_eq!(resolvers(), before, "after `{tidies}`");
    }
    let links = grid.node(LAPTOP).run("ip", &["-brief", "link"]);
    assert!(!links.contains("kontena"), "{links}");

    // Shut out, it is told so and not kept waiting.
    grid.all_online(&[1, 2]);
    as_user(&grid.node(1), &["vpn", "user", "rm", "laptop", "--force"]);
    let again = Upped::start(&grid, "node-1");
    let ended = again.ends();
    assert!(ended.contains("ended with 1"), "{ended}");
    assert!(ended.contains("`laptop` does not exist"), "{ended}");
}

/// `kontena vpn up` on the laptop, which reaches the API of node 1 by the lab's shared disk alone.
struct Upped<'a> {
    grid: &'a Grid,
}

const SAID: &str = "/run/vpn-up";

impl<'a> Upped<'a> {
    #[track_caller]
    fn start(grid: &'a Grid, node: &str) -> Self {
        let socket = grid.node(1).disk().join("kontena.sock");
        let script = format!(
            "rm -f {SAID}; (exec 2>{SAID} >&2 </dev/null; {} --socket {} vpn up laptop --node {node} --key-file {} & \
             echo $! >{SAID}.pid; wait $!; echo ended with $? >>{SAID}) &",
            env!("CARGO_BIN_EXE_kontena"),
            socket.display(),
            key_file(grid),
        );
        grid.node(LAPTOP).run("sh", &["-c", &script]);
        Self { grid }
    }

    fn said(&self) -> String {
        let script = format!("cat {SAID} 2>/dev/null || true");
        self.grid.node(LAPTOP).run("sh", &["-c", &script])
    }

    /// Whether it is in by this entry.
    fn says(&self, node: &str) -> Result<(), String> {
        let said = self.said();
        seen(said.contains(&format!("is in, by node `{node}`")), said)
    }

    /// Presses Ctrl-C.
    #[track_caller]
    fn interrupt(&self) {
        let script = format!("kill -INT $(cat {SAID}.pid)");
        self.grid.node(LAPTOP).run("sh", &["-c", &script]);
        let ended = self.ends();
        assert!(ended.contains("ended with 0"), "{ended}");
    }

    #[track_caller]
    fn kill(&self) {
        let script = format!("kill -KILL $(cat {SAID}.pid)");
        self.grid.node(LAPTOP).run("sh", &["-c", &script]);
        let ended = self.ends();
        assert!(ended.contains("ended with 137"), "{ended}");
    }

    /// What it has said when it has ended.
    #[track_caller]
    fn ends(&self) -> String {
        eventually(SOON, "it to end", || {
            let said = self.said();
            seen(said.contains("ended with"), &said)?;
            Ok(said)
        })
    }
}

/// Where [`as_user`] keeps the key of the laptop.
fn key_file(grid: &Grid) -> String {
    let disk = grid.node(1).disk().display().to_string();
    format!("{disk}/.kontena_vpn/e2e/laptop.key")
}

/// Some public key.
const OTHER: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// `kontena` as somebody whose keys lie on this host's own disk.
#[track_caller]
fn as_user(node: &Node<'_>, arguments: &[&str]) -> String {
    let home = format!("HOME={}", node.disk().display());
    let socket = node.disk().join("kontena.sock").display().to_string();
    let before = [
        home.as_str(),
        env!("CARGO_BIN_EXE_kontena"),
        "--socket",
        &socket,
    ];
    node.run("env", &[&before, arguments].concat())
}

/// The laptop's address behind an entry.
#[track_caller]
fn behind(grid: &Grid, entry: &str) -> String {
    let shown = grid.node(1).kontena_json(&["vpn", "show", "laptop"]);
    let addresses = shown["addresses"].as_array().unwrap();
    let one = addresses.iter().find(|address| address["node"] == entry);
    one.unwrap()["address"].as_str().unwrap().to_owned()
}

/// Brings the laptop's WireGuard up, with the configuration as it is printed, but for names: a lab host has
/// nothing that would be told of them.
#[track_caller]
fn up(grid: &Grid, entry: &str) {
    let config = as_user(&grid.node(1), &["vpn", "config", "laptop", "--node", entry]);
    assert!(config.contains("DNS = 10."), "{config}");
    let lines = config.lines().filter(|line| !line.starts_with("DNS"));
    let config: String = lines.map(|line| format!("{line}\n")).collect();
    let file = grid.write("laptop.conf", &config);
    let script = format!("WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up {file} 2>&1");
    grid.node(LAPTOP).run("sh", &["-c", &script]);
}

#[track_caller]
fn down(grid: &Grid) {
    let file = grid.lab.directory().join("laptop.conf");
    let script = format!("wg-quick down {} 2>&1", file.display());
    grid.node(LAPTOP).run("sh", &["-c", &script]);
}

/// The public half of the key that the laptop uses.
#[track_caller]
fn public(grid: &Grid) -> String {
    let key = grid
        .node(LAPTOP)
        .run("wg", &["show", "laptop", "public-key"]);
    key.trim().to_owned()
}

/// What a database answers through a port of this host.
#[track_caller]
fn proxied(grid: &Grid) -> String {
    let kontena = env!("CARGO_BIN_EXE_kontena");
    let socket = grid.node(2).disk().join("kontena.sock");
    let script = format!(
        "timeout 20 {kontena} --socket {} proxy 16379:net/redis:6379 2>/tmp/proxy & proxy=$!\n\
         while kill -0 $proxy && ! grep -q leads /tmp/proxy; do sleep 0.05; done\n\
         (printf 'PING\\r\\n'; sleep 0.5) | timeout 5 busybox nc -w 4 127.0.0.1 16379\n\
         kill -INT $proxy; wait $proxy; echo ended with $?; cat /tmp/proxy; rm /tmp/proxy",
        socket.display()
    );
    grid.node(2).run("sh", &["-c", &script])
}

/// By the server that the configuration names.
fn resolves(grid: &Grid) -> Result<(), String> {
    let vpn = grid.node(1).try_json(&["vpn", "ls"])?;
    let dns = vpn["entries"][0]["dns"].as_str().unwrap_or_default();
    let script = format!("busybox nslookup redis.net.e2e.kontena.local {dns} 2>&1 || true");
    let answer = grid.node(LAPTOP).run("sh", &["-c", &script]);
    let database = try_address(&grid.node(2), "redis")?;
    seen(answer.contains(&database), answer)
}

/// From the laptop to the database of a node.
fn ask(grid: &Grid, node: u8, command: &str) -> Result<String, String> {
    let database = try_address(&grid.node(node), "redis")?;
    Asker::Host(grid.node(LAPTOP)).ask(&database, command)
}

fn ping_gateway(grid: &Grid) -> Result<(), String> {
    let vpn = grid.node(1).try_json(&["vpn", "ls"])?;
    ping_at(grid, vpn["entries"][0]["dns"].as_str().unwrap_or_default())
}

fn ping(grid: &Grid, node: u8, service: &str) -> Result<(), String> {
    ping_at(grid, &try_address(&grid.node(node), service)?)
}

fn ping_at(grid: &Grid, address: &str) -> Result<(), String> {
    let script = format!("busybox ping -c 1 -W 2 {address} 2>&1 || true");
    let answer = grid.node(LAPTOP).run("sh", &["-c", &script]);
    seen(answer.contains("1 packets received"), answer)
}
