//! One host of a lab, and what a test may do to it.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use super::{Lab, say};
use crate::source::demo::daemon::DAEMON;
use crate::source::demo::host::{Host, VOLATILE};
use crate::source::demo::program;

/// How much of the daemon's log a failed test shows for each host.
const LAST_LINES: usize = 30;

/// What a command of kontena's did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One host of the lab; see `src/demo/host.rs` for what each deed means.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(super) lab: &'a Lab,
    pub(super) host: Host,
}

impl Node<'_> {
    pub(crate) fn name(&self) -> String {
        self.host.name()
    }

    pub(crate) fn address(&self) -> String {
        self.host.address().to_string()
    }

    /// The directory that is the host's disk, the same path inside and outside.
    pub(crate) fn disk(&self) -> &Path {
        self.host.disk()
    }

    pub(crate) fn kontena_data(&self) -> PathBuf {
        self.host.kontena_data()
    }

    /// Powers the host on with its old disk, engine included, daemon not.
    #[track_caller]
    pub(crate) fn start(&self) {
        self.lab.wait(self.host.start());
    }

    /// Cuts the power; cut the cable before if the others must not notice by closed connections.
    #[track_caller]
    pub(crate) fn kill(&self) {
        self.lab.wait(self.host.kill());
    }

    pub(crate) fn is_up(&self) -> bool {
        self.host.is_up()
    }

    /// Kills dockerd and containerd, and nothing else: the containers go on.
    #[track_caller]
    pub(crate) fn kill_engine(&self) {
        // The kernel may end containerd with the dockerd that started it.
        let script = "\
            engine=$(cat /run/docker.pid) && kill -KILL $engine || exit\n\
            for pid in $engine $(cat /run/docker/containerd/containerd.pid); do\n\
              while kill -KILL $pid 2>/dev/null; do sleep 0.02; done\n\
            done\n\
            rm /run/docker.pid";
        self.run("sh", &["-c", script]);
    }

    /// dockerd does nothing any more, not even refuse; the containers go on.
    #[track_caller]
    pub(crate) fn hang_engine(&self) {
        self.run("sh", &["-c", "kill -STOP $(cat /run/docker.pid)"]);
    }

    #[track_caller]
    pub(crate) fn resume_engine(&self) {
        self.run("sh", &["-c", "kill -CONT $(cat /run/docker.pid)"]);
    }

    #[track_caller]
    pub(crate) fn start_engine(&self) {
        self.lab.wait(self.host.start_engine());
    }

    pub(crate) fn engine_answers(&self) -> bool {
        self.lab.runtime.block_on(self.host.engine_answers())
    }

    /// `docker` against this host's engine; what it printed.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        self.lab.wait(self.host.docker(arguments))
    }

    /// `docker` against this host's engine, where it may fail.
    pub(crate) fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.lab.runtime.block_on(self.host.docker(arguments));
        output.map_err(|problem| format!("{problem:#}"))
    }

    /// The id of an image by its name: what containers are made from.
    #[track_caller]
    pub(crate) fn image_id(&self, image: &str) -> String {
        self.docker(&["inspect", "--format", "{{.Id}}", image])
    }

    /// The names of the containers that run, sorted.
    #[track_caller]
    pub(crate) fn containers(&self) -> Vec<String> {
        let list = self.docker(&["ps", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Runs a program inside the host; what it printed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let work = async { self.host.program(program)?.args(arguments).run().await };
        self.lab.wait(work)
    }

    /// Runs a shell's script inside the host, which may call `kontena` as somebody there would and leave files in
    /// `$T`; what it printed.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        let folder = self.lab.kontena.parent().expect("a program is in a folder");
        let socket = self.host.kontena_socket();
        let ready = format!(
            "export PATH={}:$PATH KONTENA_SOCKET={} T={}\n{script}",
            folder.display(),
            socket.display(),
            self.disk().display()
        );
        self.run("sh", &["-c", &ready])
    }

    #[track_caller]
    pub(crate) fn start_daemon(&self) {
        self.lab.wait(self.host.start_daemon(&self.lab.kontena));
    }

    /// SIGKILL: the daemon has no time to say goodbye. Its containers go on.
    #[track_caller]
    pub(crate) fn kill_daemon(&self) {
        self.end(DAEMON, "KILL");
    }

    /// SIGTERM, and waits until the daemon has ended.
    #[track_caller]
    pub(crate) fn stop_daemon(&self) {
        self.end(DAEMON, "TERM");
    }

    /// SIGSTOP: the daemon does nothing any more, and does not know it.
    #[track_caller]
    pub(crate) fn pause_daemon(&self) {
        self.signal_daemon("STOP");
    }

    #[track_caller]
    pub(crate) fn resume_daemon(&self) {
        self.signal_daemon("CONT");
    }

    #[track_caller]
    fn signal_daemon(&self, signal: &str) {
        let script = format!("kill -{signal} $(cat {VOLATILE}/{DAEMON}.pid)");
        self.run("sh", &["-c", &script]);
    }

    #[track_caller]
    pub(crate) fn daemon_runs(&self) -> bool {
        self.lab.wait(self.host.is_running(DAEMON))
    }

    /// What the daemon has printed since the host was made.
    pub(crate) fn daemon_log(&self) -> String {
        let log = std::fs::read(self.host.log(DAEMON)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Sends the signal to what was started as `name`, and waits until it is gone.
    #[track_caller]
    fn end(&self, name: &str, signal: &str) {
        let script = format!(
            "pid=$(cat {VOLATILE}/{name}.pid) && kill -{signal} $pid || exit\n\
             while kill -0 $pid 2>/dev/null; do sleep 0.02; done"
        );
        self.run("sh", &["-c", &script]);
    }

    /// `kontena` with these arguments, typed on this host; that it failed is for the test to judge.
    #[track_caller]
    pub(crate) fn try_kontena(&self, arguments: &[&str]) -> Ran {
        let work = async {
            self.host
                .kontena(&self.lab.kontena, arguments)?
                .finish()
                .await
        };
        let program::Finished {
            status,
            stdout,
            stderr,
        } = self.lab.wait(work);
        Ran {
            status,
            stdout,
            stderr,
        }
    }

    /// `kontena` with these arguments, which must succeed; what it printed.
    #[track_caller]
    pub(crate) fn kontena(&self, arguments: &[&str]) -> String {
        let ran = self.try_kontena(arguments);
        assert!(
            ran.status.success(),
            "kontena {arguments:?} on {}: {ran:#?}",
            self.name()
        );
        ran.stdout
    }

    /// What `kontena … --json` says, where it may fail.
    pub(crate) fn try_json(&self, arguments: &[&str]) -> Result<Value, String> {
        let ran = self.try_kontena(&[arguments, &["--json"]].concat());
        if !ran.status.success() {
            return Err(format!("{arguments:?} on {}: {}", self.name(), ran.stderr));
        }
        serde_json::from_str(&ran.stdout).map_err(|problem| format!("{problem} in {}", ran.stdout))
    }

    /// Begins a grid on this host; its join token.
    #[track_caller]
    pub(crate) fn init(&self, grid: &str, options: &[&str]) -> String {
        let begun = self.kontena_json(&[&["init", "--grid", grid], options].concat());
        let token = begun["join_token"].as_str();
        token.expect("`init` prints a join token").to_owned()
    }

    /// What `kontena … --json` says.
    #[track_caller]
    pub(crate) fn kontena_json(&self, arguments: &[&str]) -> Value {
        let text = self.kontena(&[arguments, &["--json"]].concat());
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(problem) => panic!("kontena {arguments:?} --json: {problem} in {text}"),
        }
    }

    /// What a failed test shows of this host.
    pub(super) fn say_last_words(&self) {
        let log = self.daemon_log();
        let lines: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        say(&format!("--- the daemon's last lines on {}", self.name()));
        lines.iter().rev().for_each(|line| say(line));
    }
}
