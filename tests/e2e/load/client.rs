//! Asks for pages without pause, in two ways, and never twice for the same: what fails is written down.
//!
//! It goes to one address of those that the name leads to, each in turn, and tries no other if that one fails.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime};

use super::http::{self, Message, Missing};
use super::record::{Answered, Failure, Line, Way};

/// Of each way.
const THREADS: u64 = 2;
/// Between an answer and the next request of a thread: some 25 requests a second.
const PAUSE: Duration = Duration::from_millis(40);
/// For each of the name, the connection and the answer. More than a second is what nobody calls answered.
const PATIENCE: Duration = Duration::from_secs(2);
const TOTALS_EVERY: Duration = Duration::from_millis(200);

/// What all threads of a client write to.
struct Record {
    file: Mutex<File>,
    each: AtomicU64,
    kept: AtomicU64,
    slowest: AtomicU64,
}

/// Asks until it is killed.
pub(crate) fn run(name: &str, port: u16, record: &Path) -> Result<(), String> {
    let file = File::create(record)
        .map_err(|problem| format!("failed to create `{}`: {problem}", record.display()))?;
    let record = Record {
        file: Mutex::new(file),
        each: AtomicU64::new(0),
        kept: AtomicU64::new(0),
        slowest: AtomicU64::new(0),
    };
    let asked = Asked { name, port };
    scope(|threads| {
        for number in 0..THREADS {
            let record = &record;
            threads.spawn(move || ask_each(asked, number, record));
            threads.spawn(move || ask_kept(asked, number, record));
        }
        loop {
            sleep(TOTALS_EVERY);
            record.write(&Line::Answered(record.totals()));
        }
    })
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    name: &'a str,
    port: u16,
}

impl Record {
    /// What a request came to that began then.
    fn request(&self, way: Way, begun: Instant, came: Result<(), String>) {
        match came {
            Ok(()) => {
                let counter = match way {
                    Way::Each => &self.each,
                    Way::Kept => &self.kept,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.slowest.fetch_max(took, Ordering::Relaxed);
            }
            Err(reason) => {
                let reason = reason.replace('\n', " ");
                let at = now();
                self.write(&Line::Failed(Failure { at, way, reason }));
            }
        }
    }

    fn totals(&self) -> Answered {
        Answered {
            at: now(),
            each: self.each.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            slowest: self.slowest.load(Ordering::Relaxed),
        }
    }

    /// A whole line at once, because a test reads meanwhile. A record that cannot be written ends the client, and
    /// the test misses its totals.
    fn write(&self, line: &Line) {
        let mut file = self.file.lock().expect("no thread panics while it writes");
        if let Err(problem) = file.write_all(format!("{line}\n").as_bytes()) {
            super::say(&format!("failed to write the record: {problem}"));
            std::process::exit(1);
        }
    }
}

/// The name, a connection and a page, each time anew.
fn ask_each(asked: Asked<'_>, number: u64, record: &Record) {
    for turn in number.. {
        let begun = Instant::now();
        let came = asked.connect(turn).and_then(|(address, mut stream)| {
            let answer = ask(&mut stream, asked.name, "close");
            told(address, answer.map_err(|missing| why(&missing)))
        });
        record.request(Way::Each, begun, came);
        sleep(PAUSE);
    }
}

/// One page after the other by the same connection, which is given up when the other side says so, in an answer or
/// by closing it between two.
fn ask_kept(asked: Asked<'_>, number: u64, record: &Record) {
    let mut kept: Option<(SocketAddr, TcpStream)> = None;
    let mut turn = number;
    loop {
        let begun = Instant::now();
        let usable = kept.take().filter(|(_, stream)| !is_closed(stream));
        let connection = usable.map_or_else(
            || {
                turn += 1;
                asked.connect(turn)
            },
            Ok,
        );
        let came = connection.and_then(|(address, mut stream)| {
            match ask(&mut stream, asked.name, "keep-alive") {
                Ok(answer) => {
                    let closes = answer.closes;
                    let came = told(address, Ok(answer));
                    if !closes {
                        kept = Some((address, stream));
                    }
                    came
                }
                Err(missing) => told(address, Err(why(&missing))),
            }
        });
        record.request(Way::Kept, begun, came);
        sleep(PAUSE);
    }
}

impl Asked<'_> {
    /// Connects to one of the addresses that the name leads to, to another with each turn.
    fn connect(self, turn: u64) -> Result<(SocketAddr, TcpStream), String> {
        let begun = Instant::now();
        let found = (self.name, self.port).to_socket_addrs();
        let found: Vec<SocketAddr> = found
            .map_err(|problem| format!("- the name: {problem}"))?
            .collect();
        if begun.elapsed() > PATIENCE {
            return Err(format!("- the name took {:?}", begun.elapsed()));
        }
        let place = usize::try_from(turn).unwrap_or(0).checked_rem(found.len());
        let address = *place
            .and_then(|place| found.get(place))
            .ok_or("- the name has no address")?;
        let limits = |stream: TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        TcpStream::connect_timeout(&address, PATIENCE)
            .and_then(limits)
            .map(|stream| (address, stream))
            .map_err(|problem| format!("{address} no connection: {problem}"))
    }
}

/// Whether the other side closed it since the last answer.
fn is_closed(stream: &TcpStream) -> bool {
    let looks = |stream: &TcpStream| {
        stream.set_nonblocking(true)?;
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        seen
    };
    // Whatever it says before it is asked is not an answer.
    !looks(stream).is_err_and(|problem| problem.kind() == ErrorKind::WouldBlock)
}

fn ask(stream: &mut TcpStream, name: &str, connection: &str) -> Result<Message, Missing> {
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: {connection}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(Missing::Broken)?;
    http::read(stream)
}

/// That the page came, or what came instead from whom.
fn told(address: SocketAddr, answer: Result<Message, String>) -> Result<(), String> {
    match answer {
        Ok(answer) if answer.first_line == "HTTP/1.1 200 OK" && answer.body == "well\n" => Ok(()),
        Ok(answer) => Err(format!("{address} answered {answer:?}")),
        Err(reason) => Err(format!("{address} no answer: {reason}")),
    }
}

fn why(missing: &Missing) -> String {
    match missing {
        Missing::Closed => "closed without a word".to_owned(),
        Missing::Broken(problem) => problem.to_string(),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
