//! The DNS server beside dnsmasq, in one run: answers a second, and processor time for each.
//!
//! ```text
//! cargo bench -p kontena-names -- [--runs N] [--seconds N] [--names N]
//! ```
//!
//! Takes `dnsperf` and `dnsmasq` (Debian's dnsperf and dnsmasq-base). Both servers have the same names and
//! addresses and are asked for them in the same order. Runs are interleaved, so that a busy machine is unjust
//! to both alike.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark is a program whose output is its text"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use kontena_names::{Authority, Limits, Name, Records, Server, Settings, Target, Zone};

struct Options {
    runs: usize,
    seconds: u32,
    names: u32,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| argument != "--bench");
    if let [first, address, names] = arguments.as_slice()
        && first == "serve"
    {
        serve(address.parse().unwrap(), names.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    for program in ["dnsperf", "dnsmasq"] {
        if Command::new(program).arg("-h").output().is_err() {
            eprintln!("skipped: `{program}` is not there");
            return ExitCode::SUCCESS;
        }
    }
    run(&options(&arguments));
    ExitCode::SUCCESS
}

fn options(arguments: &[String]) -> Options {
    let number = |name: &str, otherwise: u32| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1)?.parse().ok());
        value.unwrap_or(otherwise)
    };
    Options {
        runs: number("--runs", 3) as usize,
        seconds: number("--seconds", 5),
        names: number("--names", 10_000),
    }
}

fn run(options: &Options) {
    let folder = std::env::temp_dir().join(format!("kontena-names-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let queries = folder.join("queries");
    fs::write(&queries, text_of_queries(options.names)).unwrap();
    let servers = [ours(options.names), dnsmasq(&folder, options.names)];
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        for (server, figures) in servers.iter().zip(&mut figures) {
            figures.push(server.measure(&queries, options.seconds));
        }
    }
    println!(
        "{} names, {} runs of {} s each, medians",
        options.names, options.runs, options.seconds
    );
    println!(
        "{:<10} {:>12} {:>14} {:>8}",
        "server", "answers/s", "CPU µs/answer", "lost"
    );
    for (server, figures) in servers.iter().zip(&figures) {
        let answers = median(figures.iter().map(|figure| figure.answers_per_second));
        let cost = median(figures.iter().map(|figure| figure.microseconds));
        let lost: u64 = figures.iter().map(|figure| figure.lost).sum();
        println!("{:<10} {answers:>12.0} {cost:>14.2} {lost:>8}", server.name);
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `web-1.stack-0.demo.kontena.local` …, ten to a stack.
fn host_name(number: u32) -> String {
    format!(
        "web-{}.stack-{}.demo.kontena.local",
        number % 10 + 1,
        number / 10
    )
}

fn host_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 80, 0, 2)) + number)
}

/// In an order in which neighbours are far apart.
fn text_of_queries(names: u32) -> String {
    let mut text = String::new();
    for index in 0..names {
        let number = u64::from(index) * 7_919 % u64::from(names);
        writeln!(text, "{} A", host_name(u32::try_from(number).unwrap())).unwrap();
    }
    text
}

/// A server in a process of its own.
struct Running {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

#[derive(Debug)]
struct Figure {
    answers_per_second: f64,
    microseconds: f64,
    lost: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

fn ours(names: u32) -> Running {
    let address = free_address();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["serve", &address.to_string(), &names.to_string()]);
    started("kontena", command, address)
}

fn dnsmasq(folder: &Path, names: u32) -> Running {
    let address = free_address();
    let hosts = folder.join("hosts");
    let mut text = String::new();
    for number in 0..names {
        writeln!(text, "{} {}", host_address(number), host_name(number)).unwrap();
    }
    fs::write(&hosts, text).unwrap();
    let mut command = Command::new("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
    ]);
    command.args([
        "--user=root",
        "--bind-interfaces",
        "--local-ttl=1",
        "--cache-size=10000",
    ]);
    command.args(["--dns-forward-max=1000", "--pid-file="]);
    command.arg(format!("--listen-address={}", address.ip()));
    command.arg(format!("--port={}", address.port()));
    command.arg(format!("--addn-hosts={}", hosts.display()));
    started("dnsmasq", command, address)
}

fn started(name: &'static str, mut command: Command, address: SocketAddr) -> Running {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running {
        name,
        child,
        address,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !running.answers() {
        assert!(Instant::now() < deadline, "{name} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    running
}

impl Running {
    /// Whether it answers for the first name.
    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in host_name(0).split('.') {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend(label.bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let mut answer = [0; 512];
        let sent = socket.send_to(&question, self.address);
        sent.is_ok() && socket.recv(&mut answer).is_ok_and(|_| answer[7] == 1)
    }

    fn measure(&self, queries: &Path, seconds: u32) -> Figure {
        let before = self.ticks();
        let mut command = Command::new("dnsperf");
        command.args([
            "-s",
            &self.address.ip().to_string(),
            "-p",
            &self.address.port().to_string(),
        ]);
        command.args([
            "-d",
            queries.to_str().unwrap(),
            "-l",
            &seconds.to_string(),
            "-c",
            "8",
            "-q",
            "100",
        ]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let spent = self.ticks() - before;
        let answered = field(&text, "Queries completed:");
        Figure {
            answers_per_second: field(&text, "Queries per second:"),
            // The kernel counts processor time in hundredths of a second.
            microseconds: spent as f64 * 10_000.0 / answered,
            lost: field(&text, "Queries lost:") as u64,
        }
    }

    /// Processor time that it took up to now, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let path = PathBuf::from(format!("/proc/{}/stat", self.child.id()));
        let text = fs::read_to_string(path).unwrap();
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

/// The number behind a label in what dnsperf prints.
fn field(text: &str, label: &str) -> f64 {
    let line = text.lines().find(|line| line.contains(label)).expect(text);
    let value = line
        .split(label)
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    value.parse().unwrap()
}

fn serve(address: SocketAddr, names: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let settings = Settings {
            clients: vec!["127.0.0.0/8".parse().unwrap()],
            limits: Limits {
                questions: u32::MAX,
                ..Limits::default()
            },
        };
        let mut server = Server::new(zone(names), settings);
        assert!(server.listen(&BTreeSet::from([address])).is_empty());
        std::future::pending::<()>().await;
    });
}

fn zone(names: u32) -> Zone {
    let authority = Authority {
        domain: "kontena.local".parse().unwrap(),
        networks: vec!["10.80.0.0/12".parse().unwrap()],
        ttl: Duration::from_secs(1),
    };
    let all = (0..names).map(|number| {
        let name: Name = host_name(number).parse().unwrap();
        let address = host_address(number).into();
        let targets = vec![Target {
            rank: 0,
            address,
            name: name.clone(),
        }];
        (
            name,
            Records {
                targets,
                ports: Vec::new(),
            },
        )
    });
    let reverse = (0..names).map(|number| {
        (
            host_address(number).into(),
            host_name(number).parse().unwrap(),
        )
    });
    Zone::new(&authority, all, reverse)
}
