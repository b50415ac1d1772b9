//! The lab itself: if a cut does not cut, no other test here means anything.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::source::demo::images::{BUSYBOX, REDIS, WEB, WEB_NEXT};
use crate::support::{Lab, Node, eventually, seen};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_lab_of_three_runs_containers_on_every_host() {
    let Some(lab) = Lab::up(3) else { return };
    for host in lab.hosts() {
        let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        for image in [WEB, WEB_NEXT, REDIS, BUSYBOX] {
            assert!(
                images.lines().any(|line| line == image),
                "{image} in {images}"
            );
        }
        assert_eq!(host.run("hostname", &[]).trim(), host.name());
        host.docker(&["run", "-d", "--name", "web", "-p", "8080:80", WEB]);
        host.docker(&["run", "-d", "--name", "redis", REDIS]);
    }
    for number in 1..=3 {
        let page = eventually(SOON, "the web page", || lab.get(number, 8080));
        assert!(page.contains("version 1"), "{page}");
        let pong = || {
            let pong = lab
                .host(number)
                .docker(&["exec", "redis", "redis-cli", "ping"]);
            seen(pong == "PONG", pong)
        };
        eventually(SOON, "redis", pong);
        assert_eq!(lab.host(number).containers(), ["redis", "web"]);
    }
}

#[test]
fn engines_are_apart_and_images_are_the_same() {
    let Some(lab) = Lab::up(2) else { return };
    let ask = |arguments: &[&str]| -> BTreeSet<String> {
        lab.hosts()
            .iter()
            .map(|host| host.docker(arguments))
            .collect()
    };
    assert_eq!(
        ask(&["info", "--format", "{{.ID}}"]).len(),
        2,
        "each engine has its own identity"
    );
    assert_eq!(ask(&["info", "--format", "{{.Name}}"]).len(), 2);
    let list = [
        "images",
        "--no-trunc",
        "--format",
        "{{.Repository}}:{{.Tag}} {{.ID}}",
    ];
    let images = |host: &Node<'_>| -> BTreeSet<String> {
        host.docker(&list).lines().map(str::to_owned).collect()
    };
    assert_eq!(images(&lab.host(1)).len(), 4);
    assert_eq!(
        images(&lab.host(1)),
        images(&lab.host(2)),
        "an image has one id everywhere"
    );
}

#[test]
fn a_killed_host_comes_back_with_its_disk() {
    let Some(lab) = Lab::up(2) else { return };
    let host = lab.host(1);
    host.docker(&[
        "run",
        "-d",
        "--name",
        "kept",
        "-v",
        "data:/data",
        BUSYBOX,
        "sleep",
        "1000",
    ]);
    host.docker(&["exec", "kept", "sh", "-c", "echo 42 >/data/answer && sync"]);
    host.run(
        "sh",
        &[
            "-c",
            "echo kept >/etc/kept; iptables -A INPUT -s 192.0.2.1 -j DROP",
        ],
    );

    host.kill();
    assert!(!host.is_up() && !host.engine_answers());
    assert!(
        lab.host(2).is_up() && lab.host(2).engine_answers(),
        "the other host goes on"
    );

    host.start();
    assert!(host.containers().is_empty(), "a power cut ends containers");
    assert_eq!(host.run("cat", &["/etc/kept"]).trim(), "kept");
    let rules = host.run("iptables", &["-S", "INPUT"]);
    assert!(
        !rules.contains("192.0.2.1"),
        "the kernel is a fresh one: {rules}"
    );
    host.docker(&["start", "kept"]);
    assert_eq!(host.docker(&["exec", "kept", "cat", "/data/answer"]), "42");
}

#[test]
fn a_cut_cable_is_silent_until_it_is_healed() {
    let Some(lab) = Lab::up(2) else { return };
    lab.host(2)
        .docker(&["run", "-d", "--name", "web", "-p", "8080:80", WEB]);
    eventually(SOON, "the web page", || lab.get(2, 8080));
    let ping = "timeout 2 bash -c '</dev/tcp/10.77.0.12/8080' && echo reached || echo $?";
    let from_other = || lab.host(1).run("bash", &["-c", ping]).trim().to_owned();
    assert_eq!(from_other(), "reached");

    lab.cut(2);
    assert_eq!(from_other(), "124", "silence, not a refusal");
    assert!(lab.get(2, 8080).is_err());

    // A reboot does not mend a cable.
    lab.host(2).kill();
    lab.host(2).start();
    lab.host(2).docker(&["start", "web"]);
    assert!(lab.get(2, 8080).is_err());

    lab.heal(2);
    eventually(SOON, "the web page again", || lab.get(2, 8080));
    assert_eq!(from_other(), "reached");
}

#[test]
fn containers_survive_their_engine_until_it_is_started_again() {
    let Some(lab) = Lab::up(1) else { return };
    let host = lab.host(1);
    host.docker(&["run", "-d", "--name", "web", "-p", "8080:80", WEB]);
    eventually(SOON, "the web page", || lab.get(1, 8080));

    host.kill_engine();
    assert!(!host.engine_answers());
    assert!(
        host.run("sh", &["-c", "pidof nginx"])
            .split_whitespace()
            .count()
            >= 2
    );

    host.start_engine();
    assert!(
        host.docker(&["ps", "-a", "--format", "{{.Names}}"])
            .contains("web")
    );
}

#[test]
fn nobody_outside_is_reached_and_nobody_waits_for_it() {
    let Some(lab) = Lab::bare(1) else { return };
    let start = Instant::now();
    let script =
        "timeout 10 bash -c '</dev/tcp/192.0.2.1/80'; echo $?; getent hosts example.com; echo $?";
    let output = lab.host(1).run("bash", &["-c", script]);
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["1", "2"]);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn down_leaves_nothing_behind() {
    let Some(lab) = Lab::up(2) else { return };
    lab.host(1)
        .docker(&["run", "-d", "--name", "web", "-p", "8080:80", WEB]);
    lab.host(2).kill();
    assert!(
        !traces(lab.name()).is_empty(),
        "the check sees a lab that is up"
    );
    lab.down();
    assert_eq!(traces(lab.name()), BTreeSet::new());
    lab.down();
}

#[test]
fn down_removes_what_a_killed_maker_left_half_built() {
    let Some(lab) = Lab::bare(1) else { return };
    // As after a kill -9 in the middle: a process without its namespace's name, a stray mount, a group.
    let name = lab.name();
    let mut orphan = Command::new("sleep")
        .arg("1000")
        .env("DEMO_LAB", name)
        .process_group(0)
        .spawn()
        .unwrap();
    let folder = lab.directory().join("mounted");
    std::fs::create_dir(&folder).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(mounted.success());
    assert!(
        Command::new("ip")
            .args(["netns", "delete", &format!("{name}-switch")])
            .status()
            .unwrap()
            .success()
    );

    lab.down();
    assert!(!orphan.wait().unwrap().success());
    assert_eq!(traces(name), BTreeSet::new());
}

/// Everything on this machine that bears the lab's name.
fn traces(name: &str) -> BTreeSet<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts = mounts
        .lines()
        .filter(|line| line.contains(name))
        .map(str::to_owned);
    let namespaces = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .unwrap()
        .stdout;
    let namespaces = String::from_utf8(namespaces).unwrap();
    let namespaces = namespaces
        .lines()
        .filter(|line| line.contains(name))
        .map(str::to_owned);
    let named = format!("*{name}*");
    let files = Command::new("find")
        .args([
            "/sys/fs/cgroup",
            "/var/lib",
            "/run",
            "/tmp",
            "-maxdepth",
            "4",
            "-name",
            &named,
        ])
        .output()
        .unwrap();
    let files = String::from_utf8(files.stdout).unwrap();
    let files = files.lines().map(str::to_owned);
    processes(name)
        .chain(mounts)
        .chain(namespaces)
        .chain(files)
        .collect()
}

/// The processes whose arguments, environment or control group bear the name.
fn processes(name: &str) -> impl Iterator<Item = String> {
    let bears = |process: &Path| {
        ["cmdline", "environ", "cgroup"].iter().any(|file| {
            let text = std::fs::read(process.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(name)
        })
    };
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let numbered = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .parse::<u32>()
            .is_ok()
    };
    let found: Vec<PathBuf> = all.filter(numbered).filter(|path| bears(path)).collect();
    found.into_iter().map(|path| path.display().to_string())
}
