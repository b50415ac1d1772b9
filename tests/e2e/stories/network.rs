//! One network: a container of one node reaches one of another by its address, and is seen with its own.

use std::time::{Duration, Instant};

use crate::source::demo::images::{BUSYBOX, REDIS, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::none_restarted;
use crate::support::{Grid, Lab, Node, eventually, seen};

const ALL: [u8; 3] = [1, 2, 3];
const APP: [(&str, usize); 2] = [("net/box", 3), ("net/redis", 3)];

/// From the daemon's first word after a restart until containers reach each other again: a handshake and a probe.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// More than the largest batch that the data plane carries in one piece.
const BIG: usize = 60_000;

#[test]
fn containers_reach_each_other_across_nodes_whatever_befalls_the_hosts() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &APP, SOON);
    for number in ALL {
        let rules = grid.node(number).run("iptables", &["-S", "FORWARD"]);
        let policy = "-P FORWARD DROP";
        assert!(
            rules.starts_with(policy),
            "else a missing rule goes unnoticed: {rules}"
        );
    }
    everybody_reaches_everybody(&grid, SOON);
    ways_are_shown(&grid);

    // Somebody flushes the firewall.
    let flush = "iptables -t nat -F POSTROUTING; iptables -F DOCKER-USER; iptables -F INPUT";
    grid.node(2).run("sh", &["-c", flush]);
    eventually(SOON, "our rules to be put back", || {
        let rules = ours_of(&grid.node(2));
        let ours = rules
            .iter()
            .filter(|line| line.contains("kontena:kontena0"));
        seen(ours.count() == 8, &rules)
    });
    everybody_reaches_everybody(&grid, SOON);

    // The daemon restarts: containers go on, and are back on the network at once.
    let addresses = addresses(&grid);
    grid.node(2).kill_daemon();
    grid.node(2).start_daemon();
    let up = Instant::now();
    eventually(SOON, "node-1 to reach node-2", || reaches(&grid, 1, 2));
    assert!(up.elapsed() < BACK_WITHIN, "{:?}", up.elapsed());
    let after = grid.settled(&ALL, &APP, SOON);
    none_restarted(&running, &after, &ALL);

    // The engine restarts, and with it what it ran.
    grid.node(2).kill_engine();
    grid.node(2).start_engine();
    grid.settled(&ALL, &APP, LATER);
    everybody_reaches_everybody(&grid, SOON);
    assert_eq!(self::addresses(&grid), addresses, "each kept its address");

    grid.lab.cut(3);
    eventually(SOON, "the cut to be felt", || {
        let cut = reaches(&grid, 1, 3);
        seen(cut.is_err(), cut)
    });
    grid.lab.heal(3);
    everybody_reaches_everybody(&grid, LATER);

    // The whole host.
    grid.node(3).kill();
    grid.node(3).start();
    grid.node(3).start_daemon();
    grid.settled(&ALL, &APP, LATER);
    everybody_reaches_everybody(&grid, SOON);

    grid.node(3).kontena(&["leave", "--force"]);
    eventually(SOON, "nothing of ours to be left", || {
        let left = ours_of(&grid.node(3));
        seen(left.is_empty(), left)
    });
    eventually(SOON, "the peer to be gone", || {
        let shown = grid
            .node(1)
            .try_json(&["network", "ls", "--from", "node-1"])?;
        seen(
            shown.as_array().is_some_and(|pairs| pairs.len() == 1),
            &shown,
        )
    });
}

#[test]
fn containers_and_hosts_find_services_by_name() {
    const BOTH: [u8; 2] = [1, 2];
    let Some(grid) = Grid::up(2) else { return };
    let before = BOTH.map(|number| resolv_conf(&grid.node(number)));
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&BOTH, &[("net/box", 2), ("net/redis", 2)], SOON);
    let shown = grid.node(1).kontena_json(&["service", "show", "net/redis"]);
    let instances = shown["instances"].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = instances
        .iter()
        .filter_map(|instance| instance["dns"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(names.len(), 2, "{shown}");
    let (_, domain) = names[0].split_once('.').unwrap();
    let service = format!("redis.{domain}");
    for from in BOTH {
        // By the search domains, the exposed name, the whole one, and each instance's own.
        for name in ["redis", "net", &service, &names[0], &names[1]] {
            eventually(SOON, &format!("`{name}` to answer node-{from}"), || {
                let answer = ask_by_name(&grid, from, name)?;
                seen(answer.contains("PONG"), answer)
            });
        }
        eventually(SOON, "the host to know the name", || {
            let found = grid
                .node(from)
                .run("sh", &["-c", &format!("getent ahostsv4 {service} || true")]);
            let addresses = BOTH.map(|number| address(&grid.node(number), "redis"));
            seen(
                addresses.iter().all(|address| found.contains(address)),
                found,
            )
        });
    }

    // The daemon is away: names are not served, and come back with it.
    grid.node(2).kill_daemon();
    grid.node(2).start_daemon();
    eventually(SOON, "names to be back", || {
        let answer = ask_by_name(&grid, 2, "redis")?;
        seen(answer.contains("PONG"), answer)
    });

    grid.node(2).kontena(&["leave", "--force"]);
    eventually(SOON, "the host's resolvers to be its own again", || {
        let now = resolv_conf(&grid.node(2));
        seen(now == before[1], now)
    });
}

fn resolv_conf(node: &Node<'_>) -> String {
    node.run("cat", &["/etc/resolv.conf"])
}

fn ask_by_name(grid: &Grid, from: u8, name: &str) -> Result<String, String> {
    let script = format!("(printf 'PING\\r\\n'; sleep 0.3) | timeout 5 nc -w 2 {name} 6379");
    let container = container(&grid.node(from), "box");
    grid.node(from)
        .try_docker(&["exec", &container, "sh", "-c", &script])
}

/// Two hosts behind translators of addresses that give every destination the same port: what others saw is enough.
#[test]
fn hosts_behind_translators_meet_where_others_see_them() {
    reach_each_other_behind_translators("40000", "punched");
}

/// Each destination sees another port, and nobody can foretell it.
#[test]
fn hosts_that_cannot_meet_go_through_a_third() {
    reach_each_other_behind_translators("41000-49000 --random", "relayed");
}

/// Hosts 1 and 2 are translated to these ports; everybody reaches host 3.
fn reach_each_other_behind_translators(ports: &str, expected: &str) {
    let Some(lab) = Lab::up(3) else { return };
    for number in [1, 2] {
        translate(&lab.host(number), ports);
    }
    let grid = Grid::on(lab, 3);
    let file = grid.write("kontena.yml", &stack());
    grid.node(3).kontena(&["stack", "install", &file]);
    grid.settled(&ALL, &APP, SOON);
    eventually(LATER, &format!("both to be {expected}"), || {
        let both = [way(&grid, 1, 2)?, way(&grid, 2, 1)?];
        seen(both.iter().all(|way| way == expected), pairs(&grid))
    });
    everybody_reaches_everybody(&grid, SOON);
}

#[test]
fn a_host_that_cannot_take_part_says_so_and_runs_its_containers_all_the_same() {
    let Some(lab) = Lab::up(1) else { return };
    // Something else has the interface's name.
    lab.host(1).run(
        "ip",
        &[
            "link", "add", "kontena0", "type", "veth", "peer", "name", "other0",
        ],
    );
    let grid = Grid::on(lab, 1);
    let node = grid.node(1);
    node.kontena(&[
        "service",
        "create",
        "old",
        WEB,
        "--deploy-wait-for-port",
        "80",
    ]);
    node.kontena(&["service", "deploy", "old"]);
    let before = grid.settled(&[1], &[("old", 1)], SOON);
    let status = node.kontena(&["node", "show", "node-1", "--network"]);
    assert!(
        status.contains("Docker's own bridge") && status.contains("/dev/net/tun"),
        "{status}"
    );
    let network = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}";
    assert_eq!(
        node.docker(&["inspect", "--format", network, "old-1"]),
        "bridge"
    );

    node.run("ip", &["link", "delete", "kontena0"]);
    eventually(SOON, "the node to take part", || {
        let shown = node.try_json(&["node", "show", "node-1", "--network"])?;
        let takes_part = shown["containers"] == "attached" && shown["problem"].is_null();
        seen(takes_part, shown)
    });
    node.kontena(&[
        "service",
        "create",
        "new",
        WEB,
        "--deploy-wait-for-port",
        "80",
    ]);
    node.kontena(&["service", "deploy", "new"]);
    node.kontena(&[
        "service",
        "create",
        "wide",
        BUSYBOX,
        "--cmd",
        "sleep 100000",
        "--net",
        "host",
        "--stop-signal",
        "SIGKILL",
    ]);
    node.kontena(&["service", "deploy", "wide"]);
    let after = grid.settled(&[1], &[("old", 1), ("new", 1), ("wide", 1)], SOON);
    assert_eq!(
        node.docker(&["inspect", "--format", network, "new-1"]),
        "kontena"
    );
    assert_eq!(
        node.docker(&["inspect", "--format", network, "wide-1"]),
        "host"
    );
    assert_eq!(
        after["old-1"], before["old-1"],
        "nothing is restarted for the network"
    );
}

/// The overlay's datagrams leave from these ports, and none comes in that nobody asked for.
fn translate(node: &Node<'_>, ports: &str) {
    let script = format!(
        "iptables -t nat -I POSTROUTING -o eth0 -p udp --sport 8470 -j MASQUERADE --to-ports {ports} && \
         iptables -I INPUT -i eth0 -p udp -m conntrack --ctstate NEW -j DROP"
    );
    node.run("sh", &["-c", &script]);
}

fn way(grid: &Grid, from: u8, to: u8) -> Result<String, String> {
    let name = grid.node(from).name();
    let pairs = grid.node(3).try_json(&["network", "ls", "--from", &name])?;
    let pairs = pairs.as_array().cloned().unwrap_or_default();
    let pair = pairs
        .iter()
        .find(|pair| pair["node"] == grid.node(to).name());
    let way = pair.and_then(|pair| pair["way"].as_str());
    way.map(str::to_owned).ok_or_else(|| format!("{pairs:?}"))
}

fn pairs(grid: &Grid) -> String {
    grid.node(3).kontena(&["network", "ls"])
}

/// From every node to every other: the source that is seen is the container's own, and large amounts pass.
#[track_caller]
fn everybody_reaches_everybody(grid: &Grid, within: Duration) {
    for from in ALL {
        for to in ALL.into_iter().filter(|to| *to != from) {
            eventually(within, &format!("node-{from} to reach node-{to}"), || {
                reaches(grid, from, to)
            });
            let script = format!(
                "(printf 'SET big '; head -c {BIG} /dev/zero | tr '\\000' x; printf '\\r\\nSTRLEN big\\r\\nGET big\\r\\n'; sleep 1) \
                 | timeout 10 nc {} 6379 | wc -c",
                address(&grid.node(to), "redis")
            );
            let name = container(&grid.node(from), "box");
            let counted = grid
                .node(from)
                .docker(&["exec", &name, "sh", "-c", &script]);
            let counted: usize = counted.trim().parse().unwrap();
            assert!(
                counted > BIG,
                "{counted} bytes came back from node-{to} to node-{from}"
            );
        }
    }
}

/// Whether the box of one node reaches the database of another, and is seen there as what it is.
fn reaches(grid: &Grid, from: u8, to: u8) -> Result<(), String> {
    let answer = ask(grid, from, to, "CLIENT LIST")?;
    let own = address(&grid.node(from), "box");
    seen(answer.contains(&format!(" addr={own}:")), (own, answer))
}

fn ask(grid: &Grid, from: u8, to: u8, command: &str) -> Result<String, String> {
    let database = address(&grid.node(to), "redis");
    let script =
        format!("(printf '{command}\\r\\n'; sleep 0.3) | timeout 3 nc -w 2 {database} 6379");
    let name = container(&grid.node(from), "box");
    grid.node(from)
        .try_docker(&["exec", &name, "sh", "-c", &script])
}

fn addresses(grid: &Grid) -> Vec<String> {
    let of = |number: u8| ["box", "redis"].map(|service| address(&grid.node(number), service));
    ALL.into_iter().flat_map(of).collect()
}

/// The address in the grid's network of a service's container on this host.
#[track_caller]
fn address(node: &Node<'_>, service: &str) -> String {
    let name = container(node, service);
    let format = "{{with index .NetworkSettings.Networks \"kontena\"}}{{.IPAddress}}{{end}}";
    let address = node.docker(&["inspect", "--format", format, &name]);
    assert!(
        address.starts_with("10.8") || address.starts_with("10.9"),
        "`{address}` of {name}"
    );
    address
}

/// The container of a service on this host.
#[track_caller]
fn container(node: &Node<'_>, service: &str) -> String {
    let begin = format!("net.{service}-");
    let names = node.containers();
    let name = names.iter().find(|name| name.starts_with(&begin));
    name.unwrap_or_else(|| panic!("{begin} in {names:?}"))
        .clone()
}

fn ways_are_shown(grid: &Grid) {
    eventually(SOON, "all ways to be direct", || {
        let pairs = grid.node(1).try_json(&["network", "ls"])?;
        let all = pairs.as_array().cloned().unwrap_or_default();
        let direct = all.iter().filter(|pair| pair["way"] == "direct").count();
        seen(all.len() == 6 && direct == 6, &pairs)
    });
    let shown = grid
        .node(1)
        .kontena_json(&["node", "show", "node-2", "--network"]);
    assert_eq!(shown["containers"], "attached", "{shown}");
    assert_eq!(shown["interface"], "kontena0", "{shown}");
    assert_eq!(shown["rules"].as_array().map(Vec::len), Some(8), "{shown}");
    let text = grid.node(1).kontena(&["network", "ls"]);
    assert!(text.contains("node-2") && text.contains("direct"), "{text}");
}

/// Interfaces, routes, rules and networks of ours on a host.
fn ours_of(node: &Node<'_>) -> Vec<String> {
    let script = "ip -brief link | grep -i kontena; ip route | grep '^10\\.8'; \
                  iptables-save | grep kontena; docker network ls --format '{{.Name}}' | grep kontena; true";
    let found = node.run("sh", &["-c", script]);
    found.lines().map(str::to_owned).collect()
}

fn stack() -> String {
    format!(
        "\
stack: demo/net
expose: redis
services:
  redis:
    image: {REDIS}
    deploy:
      strategy: daemon
      wait_for_port: 6379
  box:
    image: {BUSYBOX}
    command: sleep 100000
    stop_signal: SIGKILL
    deploy:
      strategy: daemon
"
    )
}
