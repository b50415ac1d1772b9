//! Load on a service from a container on every host, and the image whose server ends well (`tests/e2e/load`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use super::{Grid, Lab, Node, eventually, say, seen};
use crate::load::record::{Answered, Failure, Line};
use crate::source::demo::images::BUSYBOX;

/// Whose `serve` answers at port 80 with one page, and ends as a good server does when Docker says SIGTERM.
pub(crate) const SERVER: &str = "load:e2e";
/// The name of the container that asks.
const CLIENT: &str = "load";

/// What SIGTERM means is for the shell: a program without libraries cannot hear it without unsafe code.
const SERVE: &str = "\
#!/bin/sh
rm -f /tmp/ends
trap 'touch /tmp/ends' TERM
load serve 80 /tmp/ends &
wait
wait
";
/// Of a request, before its client calls it failed: the name, the connection, the answer. And some for the machine.
const LONGEST: Duration = Duration::from_secs(8);
/// How many more requests each client has to have answered, in either way, whenever it is looked at.
const MORE: u64 = 20;
/// How many failures a failed test shows.
const SHOWN: usize = 30;

/// Clients that ask on some hosts, until the lab is removed.
pub(crate) struct Load<'a> {
    hosts: Vec<Node<'a>>,
    records: PathBuf,
    begun: Instant,
}

/// Gives every engine of the lab the image [`SERVER`], the same bytes to each.
#[track_caller]
pub(crate) fn install(lab: &Lab) {
    let root = lab.directory().join("load");
    let bin = root.join("bin");
    std::fs::create_dir_all(&bin).expect("the lab's directory can be written");
    compile(&bin.join("load"));
    let serve = bin.join("serve");
    std::fs::write(&serve, SERVE).expect("the lab's directory can be written");
    let archive = lab.directory().join("load.tar").display().to_string();
    let first = lab.host(1);
    first.run("chmod", &["0755", &serve.display().to_string()]);
    first.docker(&["create", "--name", CLIENT, BUSYBOX]);
    let contents = format!("{}/.", root.display());
    first.docker(&["cp", &contents, &format!("{CLIENT}:/")]);
    first.docker(&["commit", "--change", "CMD [\"serve\"]", CLIENT, SERVER]);
    first.docker(&["rm", CLIENT]);
    first.docker(&["save", "--output", &archive, SERVER]);
    for other in lab.hosts().iter().skip(1) {
        other.docker(&["load", "--quiet", "--input", &archive]);
    }
}

/// By the compiler that built the test. Nothing of the machine is needed where it runs.
#[track_caller]
pub(crate) fn compile(target: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/load/main.rs");
    let output = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
        .args(["--edition", "2024", "--crate-name", "load", "-O"])
        .args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"])
        .arg("-o")
        .args([target, &source])
        .output()
        .expect("the compiler that built this is there");
    assert!(output.status.success(), "{output:?}");
}

impl<'a> Load<'a> {
    /// Begins on these hosts to ask this name, which leads to somebody already.
    #[track_caller]
    pub(crate) fn begin(grid: &'a Grid, hosts: &[u8], name: &str) -> Self {
        let records = grid.lab.directory().join("records");
        std::fs::create_dir_all(&records).expect("the lab's directory can be written");
        let hosts: Vec<Node<'a>> = hosts.iter().map(|host| grid.node(*host)).collect();
        for host in &hosts {
            begin_on(host, name, &records);
        }
        let this = Self {
            hosts,
            records,
            begun: Instant::now(),
        };
        this.goes_on();
        this
    }

    /// That no request failed since the load began, and that it did not cease.
    #[track_caller]
    pub(crate) fn lost_nothing(&self) {
        self.goes_on();
        self.judge();
    }

    /// The same for all that was asked until now, and how much that was.
    #[track_caller]
    pub(crate) fn lost_nothing_until_now(&self) {
        let until = now();
        let what = "the last requests to have come to an end";
        eventually(LONGEST * 2, what, || {
            self.totals().try_for_each(|(host, totals)| {
                let asked_since = totals.at.saturating_sub(until);
                seen(
                    u128::from(asked_since) > LONGEST.as_millis(),
                    (host, totals),
                )
            })
        });
        self.lost_nothing();
        let (mut answered, mut slowest) = (0, 0);
        for (_, totals) in self.totals() {
            answered += totals.each + totals.kept;
            slowest = slowest.max(totals.slowest);
        }
        say(&format!(
            "{answered} requests in {:.0?}, the slowest {slowest} ms, none failed",
            self.begun.elapsed()
        ));
    }

    /// Every failure, and on which host.
    pub(crate) fn failures(&self) -> Vec<(String, Failure)> {
        let of_host = |host: &Node<'_>| {
            let lines = self.lines(host).into_iter();
            let failures = lines.filter_map(|line| match line {
                Line::Failed(failure) => Some((host.name(), failure)),
                Line::Answered(_) => None,
            });
            failures.collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(of_host).collect()
    }

    /// Waits until every client has had more requests answered, in both ways.
    #[track_caller]
    fn goes_on(&self) {
        let before: Vec<Answered> = self.totals().map(|(_, totals)| totals).collect();
        let what = "every host's load to go on";
        eventually(LONGEST * 2, what, || {
            let mut both = self.totals().zip(&before);
            both.try_for_each(|((host, now), before)| {
                let grown = now.each >= before.each + MORE && now.kept >= before.kept + MORE;
                seen(grown, (host, now, before, self.failures().first()))
            })
        });
    }

    #[track_caller]
    fn judge(&self) {
        let failures = self.failures();
        let shown: Vec<String> = failures
            .iter()
            .take(SHOWN)
            .map(|(host, failure)| format!("{host}: {}", Line::Failed(failure.clone())))
            .collect();
        assert!(
            failures.is_empty(),
            "{} requests failed:\n{}",
            failures.len(),
            shown.join("\n")
        );
    }

    /// What each host's client last said of what was answered.
    fn totals(&self) -> impl Iterator<Item = (String, Answered)> {
        self.hosts.iter().map(|host| {
            let lines = self.lines(host).into_iter().rev();
            let mut totals = lines.filter_map(|line| match line {
                Line::Answered(totals) => Some(totals),
                Line::Failed(_) => None,
            });
            (host.name(), totals.next().unwrap_or_default())
        })
    }

    /// All whole lines that a host's client wrote.
    fn lines(&self, host: &Node<'_>) -> Vec<Line> {
        let text = std::fs::read_to_string(self.records.join(host.name())).unwrap_or_default();
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole
            .lines()
            .map(|line| line.parse().expect("a client writes lines of a record"))
            .collect()
    }
}

/// A container beside the grid's own, in its network: it stays when its host is drained. Its resolver asks once, so
/// that an answer that got lost is a failure.
#[track_caller]
fn begin_on(host: &Node<'_>, name: &str, records: &Path) {
    let gateway = "{{(index .IPAM.Config 0).Gateway}}";
    let resolver = host.docker(&["network", "inspect", "kontena", "--format", gateway]);
    let records = records.display().to_string();
    let volume = format!("{records}:{records}");
    let record = format!("{records}/{}", host.name());
    let resolver = ["--dns", &resolver, "--dns-opt", "attempts:1"];
    let place = ["--network", "kontena", "--volume", &volume];
    let command = [SERVER, "load", "client", name, "80", &record];
    let run = ["run", "--detach", "--name", CLIENT];
    host.docker(&[&run[..], &place, &resolver, &command].concat());
}

/// Milliseconds since 1970, as the clients count.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.expect("the machine's clock is right");
    u64::try_from(since.as_millis()).expect("it is not the year 500 million")
}
