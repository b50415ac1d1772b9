//! One network: a container of one node reaches one of another by its address, and is seen with its own.

use std::time::{Duration, Instant};

use crate::source::demo::images::{BUSYBOX, REDIS, WEB};
use crate::support::grid::{LATER, SOON};
use crate::support::settle::none_restarted;
use crate::support::talk::{
    Asker, address, app, everybody_reaches_everybody, reaches, stack, try_address, try_address_of,
};
use crate::support::{Grid, Lab, Node, eventually, say, seen};

const ALL: [u8; 3] = [1, 2, 3];

/// From the daemon's first word after a restart until containers reach each other again: a handshake and a probe.
const BACK_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn containers_reach_each_other_across_nodes_whatever_befalls_the_hosts() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &app(3), SOON);
    for number in ALL {
        let rules = grid.node(number).run("iptables", &["-S", "FORWARD"]);
        let policy = "-P FORWARD DROP";
        assert!(
            rules.starts_with(policy),
            "else a missing rule goes unnoticed: {rules}"
        );
    }
    everybody_reaches_everybody(&grid, &ALL, SOON);
    ways_are_shown(&grid);

    // Somebody flushes the firewall.
    let flush = "iptables -t nat -F POSTROUTING; iptables -F DOCKER-USER; iptables -F INPUT";
    grid.node(2).run("sh", &["-c", flush]);
    eventually(SOON, "our rules to be put back", || {
        let rules = ours_of(&grid.node(2));
        let ours = rules
            .iter()
            .filter(|line| line.contains("kontena:kontena0"));
        seen(ours.count() == 9, &rules)
    });
    everybody_reaches_everybody(&grid, &ALL, SOON);

    // The daemon restarts: containers go on, and are back on the network at once.
    let addresses = addresses(&grid);
    grid.node(2).kill_daemon();
    nothing_leaves_unsealed(&grid.node(2), &addresses[0]);
    grid.node(2).start_daemon();
    let up = Instant::now();
    eventually(SOON, "node-1 to reach node-2", || reaches(&grid, 1, 2));
    assert!(up.elapsed() < BACK_WITHIN, "{:?}", up.elapsed());
    let after = grid.settled(&ALL, &app(3), SOON);
    none_restarted(&running, &after, &ALL);

    // The engine restarts, and with it what it ran.
    grid.node(2).kill_engine();
    grid.node(2).start_engine();
    grid.settled(&ALL, &app(3), LATER);
    everybody_reaches_everybody(&grid, &ALL, SOON);
    assert_eq!(self::addresses(&grid), addresses, "each kept its address");

    grid.lab.cut(3);
    eventually(SOON, "the cut to be felt", || {
        let cut = reaches(&grid, 1, 3);
        seen(cut.is_err(), cut)
    });
    grid.lab.heal(3);
    everybody_reaches_everybody(&grid, &ALL, LATER);

    // The whole host.
    grid.node(3).kill();
    grid.node(3).start();
    grid.node(3).start_daemon();
    grid.settled(&ALL, &app(3), LATER);
    everybody_reaches_everybody(&grid, &ALL, SOON);

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
    grid.settled(&BOTH, &app(2), SOON);
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

/// A host's provider, or DHCP, gives it another address; nobody tells the grid.
#[test]
fn a_host_that_gets_another_address_is_found_there() {
    let Some(grid) = Grid::up(3) else { return };
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    let running = grid.settled(&ALL, &app(3), SOON);
    everybody_reaches_everybody(&grid, &ALL, SOON);

    let script = "ip address del 10.77.0.13/24 dev eth0 && ip address add 10.77.0.93/24 dev eth0";
    grid.node(3).run("sh", &["-c", script]);
    let moved = Instant::now();
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2)] {
        eventually(LATER, &format!("node-{from} to reach node-{to}"), || {
            reaches(&grid, from, to)
        });
    }
    say(&format!("reached again after {:?}", moved.elapsed()));
    everybody_reaches_everybody(&grid, &ALL, SOON);
    eventually(LATER, "the new address to be shown everywhere", || {
        ALL.into_iter().try_for_each(|asked| {
            let shown = grid.node(asked).try_json(&["network", "ls"])?;
            let pairs = shown.as_array().cloned().unwrap_or_default();
            let to_it = pairs.iter().filter(|pair| pair["node"] == "node-3");
            let through = to_it.map(|pair| pair["through"].as_str().unwrap_or_default());
            let found = through.filter(|through| through.starts_with("10.77.0.93:"));
            seen(found.count() == 2, &shown)
        })
    });
    let after = grid.settled(&ALL, &app(3), LATER);
    none_restarted(&running, &after, &ALL);
}

/// Two hosts got one subnet on two sides of a split. There are four: while both are admitted one is free, and
/// when the sides meet again another has become free.
#[test]
fn containers_move_to_another_subnet_when_theirs_is_another_nodes() {
    const FIRST: [u8; 3] = [1, 2, 3];
    const PINNED: [(u8, &str); 2] = [(3, "third"), (4, "fourth")];
    let Some(lab) = Lab::up(4) else { return };
    let plan = ["--supernet", "10.96.0.0/16", "--subnet", "10.96.4.0/22"];
    let grid = Grid::begun(lab, 3, &plan);
    let file = grid.write("kontena.yml", &stack());
    grid.node(1).kontena(&["stack", "install", &file]);
    grid.settled(&FIRST, &app(3), SOON);
    everybody_reaches_everybody(&grid, &FIRST, SOON);

    // One side is 1, 3 and 4; the other is 2, and later 3.
    part(&grid, 2, &[1, 3, 4]);
    grid.offline(1, &["node-2"]);
    grid.node(4).start_daemon();
    grid.join(4);
    pin(&grid, 1, "fourth", "node-4");
    grid.node(3).kontena(&["leave", "--force"]);
    meet(&grid, 3);
    part(&grid, 3, &[1, 4]);
    let (sponsor, again) = (grid.node(2).address(), "node-3-again");
    let join = ["join", &sponsor, "--token", &grid.token, "--name", again];
    grid.node(3).kontena(&join);
    pin(&grid, 2, "third", again);
    let before = eventually(LATER, "both to run in one subnet", || {
        let both = [pinned(&grid, PINNED[0])?, pinned(&grid, PINNED[1])?];
        seen(both[0].subnet == both[1].subnet, &both)?;
        Ok(both)
    });

    for node in FIRST {
        meet(&grid, node);
    }
    eventually(LATER, "one to be moved, without a restart", || {
        let after = [pinned(&grid, PINNED[0])?, pinned(&grid, PINNED[1])?];
        let stay = [0, 1].map(|at| after[at].subnet == before[at].subnet);
        let runs = [0, 1].map(|at| after[at].run == before[at].run);
        seen(stay[0] != stay[1] && runs == [true; 2], (&before, &after))
    });
    for (host, name) in PINNED {
        for from in [1, 2] {
            eventually(LATER, &format!("node-{from} to reach `{name}`"), || {
                let database = try_address_of(&grid.node(host), &format!("{name}-"))?;
                let asker = Asker::Box(grid.node(from));
                let answer = asker.ask(&database, "CLIENT LIST")?;
                let own = try_address(&grid.node(from), "box")?;
                seen(answer.contains(&format!(" addr={own}:")), (own, answer))?;
                asker.carries_much(&database)
            });
        }
    }
    let shown = grid.node(1).kontena_json(&["grid", "show"]);
    assert!(shown["conflicts"].to_string().contains("10.96."), "{shown}");
}

/// A database that runs on one node alone.
fn pin(grid: &Grid, by: u8, name: &str, node: &str) {
    let affinity = format!("node=={node}");
    let create = ["service", "create", name, REDIS, "--affinity", &affinity];
    grid.node(by).kontena(&create);
    grid.node(by).kontena(&["service", "deploy", name]);
}

/// What is seen of such a database.
#[derive(Debug)]
struct Pinned {
    /// The first three numbers of its address.
    subnet: String,
    /// The container, and since when it runs.
    run: String,
}

fn pinned(grid: &Grid, (host, name): (u8, &str)) -> Result<Pinned, String> {
    let node = grid.node(host);
    let address = try_address_of(&node, &format!("{name}-"))?;
    let (subnet, _) = address.rsplit_once('.').ok_or("no address")?;
    seen(subnet.starts_with("10.96."), &address)?;
    let format = "{{.Id}} {{.State.StartedAt}}";
    let run = node.try_docker(&["inspect", "--format", format, &format!("{name}-1")])?;
    Ok(Pinned {
        subnet: subnet.to_owned(),
        run,
    })
}

/// A host hears nothing of these others, nor they of it.
fn part(grid: &Grid, host: u8, others: &[u8]) {
    for other in others {
        for (at, of) in [(host, *other), (*other, host)] {
            let from = grid.node(of).address();
            let rule = ["-I", "INPUT", "-s", &from, "-i", "eth0", "-j", "DROP"];
            grid.node(at).run("iptables", &rule);
        }
    }
}

/// A host hears everybody again, and everybody it.
fn meet(grid: &Grid, host: u8) {
    let script = "iptables-save | grep -v -- '-i eth0 -j DROP' | iptables-restore";
    let ip = grid.node(host).address();
    grid.node(host).run("sh", &["-c", script]);
    for other in grid.lab.hosts() {
        let script =
            format!("while iptables -D INPUT -s {ip} -i eth0 -j DROP 2>/dev/null; do :; done");
        other.run("sh", &["-c", &script]);
    }
}

/// A range that a host uses already is nobody's: neither the first node nor a joining one begins with it.
#[test]
fn a_host_whose_routes_overlap_the_grids_network_is_refused_with_the_route() {
    let Some(lab) = Lab::bare(2) else { return };
    let add = |host: &Node<'_>, route: &str| {
        host.run("ip", &["route", "add", route, "dev", "eth0"]);
    };
    for number in [1, 2] {
        lab.host(number).start_daemon();
    }
    let first = lab.host(1);
    add(&first, "10.88.0.0/16");
    let refused = first.try_kontena(&["init"]);
    refused.refused(
        1,
        &[
            "10.88.0.0/16 dev eth0",
            "10.80.0.0/12",
            "hint",
            "--supernet 10.160.0.0/12",
        ],
    );
    first
        .try_kontena(&["init", "--supernet", "10.88.0.0"])
        .refused(2, &["10.88.0.0", "is not an IPv4 network"]);
    first
        .try_kontena(&[
            "init",
            "--supernet",
            "10.160.0.0/12",
            "--subnet",
            "10.80.0.0/16",
        ])
        .refused(1, &["is not within supernet"]);
    let begun = first.kontena_json(&["init", "--supernet", "10.160.0.0/12"]);
    let token = begun["join_token"].as_str().unwrap();
    let shown = first.kontena_json(&["grid", "show"]);
    assert_eq!(shown["supernet"], "10.160.0.0/12");

    let second = lab.host(2);
    let join = ["join", &first.address(), "--token", token];
    second.run("ip", &["address", "add", "10.161.2.3/32", "dev", "lo"]);
    second.try_kontena(&join).refused(
        1,
        &["10.161.2.3/32 dev lo", "10.160.0.0/12", "--overlay off"],
    );
    second.run("ip", &["address", "del", "10.161.2.3/32", "dev", "lo"]);
    add(&second, "10.80.0.0/12");
    second.kontena(&join);
    eventually(SOON, "the route into the grid's network", || {
        let routes = second.run("ip", &["route"]);
        seen(routes.contains("10.160.0.0/12 dev kontena0"), routes)
    });
}

fn resolv_conf(node: &Node<'_>) -> String {
    node.run("cat", &["/etc/resolv.conf"])
}

fn ask_by_name(grid: &Grid, from: u8, name: &str) -> Result<String, String> {
    Asker::Box(grid.node(from)).ask(name, "PING")
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
    grid.settled(&ALL, &app(3), SOON);
    eventually(LATER, &format!("both to be {expected}"), || {
        let both = [way(&grid, 1, 2)?, way(&grid, 2, 1)?];
        seen(both.iter().all(|way| way == expected), pairs(&grid))
    });
    everybody_reaches_everybody(&grid, &ALL, SOON);
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

/// Once the interface went with its daemon, the way to another node's container leads nowhere, and not to the
/// host's own router.
fn nothing_leaves_unsealed(node: &Node<'_>, to: &str) {
    let ask = format!("ip route get {to} 2>&1 || true");
    eventually(SOON, "the interface to be gone", || {
        let way = node.run("sh", &["-c", &ask]);
        seen(!way.contains("kontena0"), way)
    });
    let way = node.run("sh", &["-c", &ask]);
    assert!(!way.contains(" dev "), "it would leave in the clear: {way}");
    let held = node.run("ip", &["route", "show", "type", "blackhole"]);
    assert!(held.contains("10.80.0.0/12"), "{held}");
}

fn addresses(grid: &Grid) -> Vec<String> {
    let of = |number: u8| ["box", "redis"].map(|service| address(&grid.node(number), service));
    ALL.into_iter().flat_map(of).collect()
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
    assert_eq!(shown["rules"].as_array().map(Vec::len), Some(9), "{shown}");
    let text = grid.node(1).kontena(&["network", "ls"]);
    assert!(text.contains("node-2") && text.contains("direct"), "{text}");
}

/// Interfaces, routes, rules and networks of ours on a host.
fn ours_of(node: &Node<'_>) -> Vec<String> {
    let script = "ip -brief link | grep -i kontena; ip route | grep -e '^10\\.8' -e ^blackhole; \
                  ip -6 route show type blackhole; \
                  iptables-save | grep kontena; docker network ls --format '{{.Name}}' | grep kontena; true";
    let found = node.run("sh", &["-c", script]);
    found.lines().map(str::to_owned).collect()
}
