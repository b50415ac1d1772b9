//! The process that outlives the daemon, against real control groups: as root, where there are any; elsewhere these tests say
//! that they were skipped.

#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::time::{ClockId, clock_gettime};

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Waits until it is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn say_skipped() {
    eprintln!("skipped: needs root, and control groups that may be written");
}

/// By the clock of the fence's files.
fn now() -> Duration {
    clock_gettime(ClockId::Boottime).try_into().unwrap()
}

/// A control group for one tag, in a hierarchy of this machine.
struct Group {
    tag: String,
    path: PathBuf,
}

impl Group {
    /// `None`, after saying so, where there can be none.
    fn new() -> Option<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{:024x}{number:08x}", std::process::id());
        let hierarchies =
            ["pids", "unified", ""].map(|name| Path::new("/sys/fs/cgroup").join(name));
        let place = hierarchies
            .iter()
            .find(|path| path.join("cgroup.procs").exists());
        let path = place.map(|place| place.join(format!("kontena-{tag}/container")));
        match path {
            Some(path) if fs::create_dir_all(&path).is_ok() => Some(Self { tag, path }),
            Some(_) | None => {
                say_skipped();
                None
            }
        }
    }

    fn command(&self, script: &str) -> Command {
        let procs = self.path.join("cgroup.procs");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("echo 0 > {} && {script}", procs.display()))
            .stdin(Stdio::null());
        command
    }

    /// Runs a script in it, and answers once that has made the file `$SIGN`.
    fn run(&self, script: &str) -> Child {
        let folder = tempfile::tempdir().unwrap();
        let sign = folder.path().join("sign");
        let child = self.command(script).env("SIGN", &sign).spawn().unwrap();
        wait_until("the script begins", || sign.exists());
        child
    }

    fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap();
        let numbers = text.lines().map(|line| line.parse().unwrap());
        numbers.filter_map(Pid::from_raw).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let parent = self.path.parent().unwrap();
        wait_until("the control group can be removed", || {
            (fs::remove_dir(&self.path).is_ok() || !self.path.exists())
                && fs::remove_dir(parent).is_ok()
        });
    }
}

/// A folder, with the fences that are run for it.
struct Bench {
    data: tempfile::TempDir,
    fences: Vec<Child>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            data: tempfile::tempdir().unwrap(),
            fences: Vec::new(),
        };
        fs::create_dir(bench.folder()).unwrap();
        bench
    }

    /// Where a daemon has it in its data directory.
    fn folder(&self) -> PathBuf {
        self.data.path().join("fences")
    }

    /// Starts a fence, and answers its number once it beats.
    fn start(&mut self, idle_limit: Duration) -> u32 {
        let idle_limit = idle_limit.as_millis().to_string();
        let fence = Command::new(env!("CARGO_BIN_EXE_kontena"))
            .args(["fence", "--idle-limit", &idle_limit, "--dir"])
            .arg(self.folder())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = fence.id();
        self.fences.push(fence);
        wait_until("the fence beats", || self.beating() == Some(pid));
        pid
    }

    /// Which fence beat last.
    fn beating(&self) -> Option<u32> {
        let text = fs::read(self.folder().join("alive")).ok()?;
        let beat: serde_json::Value = serde_json::from_slice(&text).unwrap();
        u32::try_from(beat["pid"].as_u64()?).ok()
    }

    fn hold(&self, group: &Group, until: Duration) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        self.hold_in(boot.trim(), group, until);
    }

    fn hold_in(&self, boot: &str, group: &Group, until: Duration) {
        let until = until.as_nanos();
        let text = format!(r#"{{"boot":"{boot}","until_nanos":{until}}}"#);
        let beside = self.folder().join("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.folder().join(&group.tag)).unwrap();
    }

    fn wait_for_end(&mut self, at: usize) {
        let fence = &mut self.fences[at];
        let mut ended = None;
        wait_until("the fence ends", || {
            ended = fence.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.unwrap().success(), "{ended:?}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for fence in &mut self.fences {
            drop(fence.kill());
            drop(fence.wait());
        }
    }
}

/// As long as nobody ends the test.
const FOR_LONG: Duration = Duration::from_secs(600);

#[test]
fn what_is_fenced_lives_until_its_deadline_and_is_dead_soon_after_and_others_live_on() {
    let (Some(fenced), Some(other)) = (Group::new(), Group::new()) else {
        return;
    };
    let mut bench = Bench::new();
    let mut own = fenced.run("touch $SIGN; exec sleep 600");
    let mut others = other.run("touch $SIGN; exec sleep 600");
    let deadline = now() + Duration::from_secs(2);
    bench.hold(&fenced, deadline);
    bench.hold(&other, now() + FOR_LONG);
    bench.start(FOR_LONG);
    let mut died = None;
    wait_until("it dies", || {
        died = own.try_wait().unwrap();
        died.is_some()
    });
    let late = now().checked_sub(deadline);
    let late = late.expect("it lives until its deadline");
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert_eq!(others.try_wait().unwrap(), None);
    drop(others.kill());
    others.wait().unwrap();
}

#[test]
fn a_deadline_that_is_moved_on_is_not_the_former_one() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    let former = now() + Duration::from_secs(5);
    bench.hold(&group, former);
    let mut own = group.run("touch $SIGN; exec sleep 600");
    bench.start(FOR_LONG);
    bench.hold(&group, former + Duration::from_secs(600));
    wait_until("the former deadline is long over", || {
        assert_eq!(own.try_wait().unwrap(), None);
        now() > former + Duration::from_secs(1)
    });
    bench.hold(&group, now());
    own.wait().unwrap();
}

#[test]
fn nothing_escapes_by_not_listening_by_leaving_its_parent_or_by_being_stopped() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    // One that hears no signal, one whose parent and session are gone, one that is stopped, and one that bears others.
    let mut own = group.run(
        "trap '' TERM HUP INT
        (setsid sh -c 'sleep 600 & sleep 601 &' &)
        sleep 602 & kill -STOP $!
        (while :; do sleep 0.01; done) &
        touch $SIGN; while :; do sleep 1; done",
    );
    wait_until("all are there", || group.processes().len() >= 5);
    bench.hold(&group, now());
    bench.start(FOR_LONG);
    own.wait().unwrap();
    wait_until("all are dead", || group.processes().is_empty());
}

#[test]
fn what_starts_too_late_dies_as_well() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    bench.hold(&group, now());
    bench.start(FOR_LONG);
    for _ in 0..3 {
        let late = group.command("exec sleep 600").status().unwrap();
        assert!(!late.success());
    }
}

#[test]
fn a_file_that_says_nothing_is_over() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    let mut own = group.run("touch $SIGN; exec sleep 600");
    fs::write(bench.folder().join(&group.tag), "{").unwrap();
    bench.start(FOR_LONG);
    own.wait().unwrap();
}

#[test]
fn a_fence_that_was_stopped_is_replaced_and_leaves_when_it_goes_on() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    let mut own = group.run("touch $SIGN; exec sleep 600");
    bench.hold(&group, now() + FOR_LONG);
    let first = bench.start(FOR_LONG);
    let pid = process(first);
    kill_process(pid, Signal::STOP).unwrap();
    let second = bench.start(FOR_LONG);
    assert_ne!(first, second);
    kill_process(pid, Signal::CONT).unwrap();
    bench.wait_for_end(0);
    test_kill_process(process(second)).unwrap();
    assert_eq!(own.try_wait().unwrap(), None);
    bench.hold(&group, now());
    own.wait().unwrap();
}

#[test]
fn a_fence_without_work_ends_and_leaves_no_sign_of_life() {
    let Some(group) = Group::new() else { return };
    let mut bench = Bench::new();
    // Of another life of the kernel, and over for long.
    bench.hold_in("another", &group, now() + FOR_LONG);
    bench.start(Duration::from_millis(700));
    bench.wait_for_end(0);
    assert_eq!(bench.beating(), None);
}

#[test]
fn a_fence_is_in_a_session_of_its_own() {
    let mut bench = Bench::new();
    let fence = bench.start(FOR_LONG);
    let state = fs::read_to_string(format!("/proc/{fence}/stat")).unwrap();
    let (_, behind) = state.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = behind.split(' ').collect();
    let own = fence.to_string();
    assert_eq!((fields[2], fields[3]), (&*own, &*own), "{state}");
    let name = fs::read_to_string(format!("/proc/{fence}/comm")).unwrap();
    assert_eq!(name.trim(), "kontena-fence");
}

/// A daemon that is in no grid, and whose data directory has the bench's folder.
fn daemon(bench: &Bench) -> Child {
    let data = bench.data.path();
    fs::write(data.join("FORMAT"), "1\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_kontena"))
        .args([
            "daemon",
            "--overlay",
            "off",
            "--docker",
            "unix:///nowhere.sock",
        ])
        .args(["--log", "warn", "--listen", &port.to_string()])
        .arg("--data-dir")
        .arg(data)
        .arg("--socket")
        .arg(data.join("kontena.sock"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn process(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

#[test]
fn a_daemon_starts_a_fence_for_what_a_former_one_left_which_is_replaced_when_it_hangs_and_outlives_it()
 {
    let Some(group) = Group::new() else { return };
    let bench = Bench::new();
    let mut own = group.run("touch $SIGN; exec sleep 600");
    bench.hold(&group, now() + FOR_LONG);
    let mut daemon = daemon(&bench);
    wait_until("a fence beats", || bench.beating().is_some());
    let first = bench.beating().unwrap();
    kill_process(process(first), Signal::STOP).unwrap();
    wait_until("another beats", || bench.beating() != Some(first));
    kill_process(process(first), Signal::CONT).unwrap();
    wait_until("the first leaves, and nothing of it is left", || {
        test_kill_process(process(first)).is_err()
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(own.try_wait().unwrap(), None);
    bench.hold(&group, now());
    own.wait().unwrap();
    kill_process(process(bench.beating().unwrap()), Signal::KILL).unwrap();
}
