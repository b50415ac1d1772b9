//! Answers every request with one page; when it is told to end it takes no new connection, says so with the next
//! answer on each that is open, and ends when all are closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Scope, scope, sleep};
use std::time::{Duration, Instant};

use super::http::{self, Missing};

/// What a page takes, so that requests are under way whenever it is told to end.
const WORK: Duration = Duration::from_millis(5);
/// How often it looks whether it is told to end.
const LOOK: Duration = Duration::from_millis(20);
/// An open connection that says nothing for so long once the server ends is closed: a client asks more often.
const IDLE: Duration = Duration::from_secs(2);
/// Below the ten seconds after which it is killed.
const DRAINED_WITHIN: Duration = Duration::from_secs(8);
const LINGER: Duration = Duration::from_millis(500);
const PAGE: &str = "well\n";

#[derive(Default)]
struct State {
    ends: AtomicBool,
    open: AtomicU32,
}

/// Answers until `flag` is there.
pub(crate) fn run(port: u16, flag: &Path) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address)
        .map_err(|problem| format!("failed to listen on {address}: {problem}"))?;
    let state = State::default();
    scope(|threads| {
        let state = &state;
        threads.spawn(move || accept(listener, state, threads));
        while !flag.exists() {
            sleep(LOOK);
        }
        state.ends.store(true, Ordering::SeqCst);
        wake(port);
        drained(state)
    })
}

/// Takes connections until the server ends; the listener is closed then.
fn accept<'scope>(listener: TcpListener, state: &'scope State, threads: &'scope Scope<'scope, '_>) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                state.open.fetch_add(1, Ordering::SeqCst);
                threads.spawn(move || {
                    // A client that breaks its connection off has its own record of it.
                    let _ = converse(stream, state);
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Err(problem) => super::say(&format!("failed to take a connection: {problem}")),
        }
        if state.ends.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Whoever waits for a connection gets one, and looks up.
fn wake(port: u16) {
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Err(problem) = TcpStream::connect_timeout(&own, LINGER) {
        super::say(&format!("failed to wake the listener: {problem}"));
    }
}

fn drained(state: &State) -> Result<(), String> {
    let begun = Instant::now();
    while state.open.load(Ordering::SeqCst) > 0 {
        if begun.elapsed() > DRAINED_WITHIN {
            super::say("connections are still open");
            // Their threads would keep it.
            std::process::exit(1);
        }
        sleep(LOOK);
    }
    Ok(())
}

/// Answers what comes by one connection, until one side wants it closed.
fn converse(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        if !is_asked(&stream, state)? {
            return Ok(());
        }
        stream.set_read_timeout(Some(IDLE))?;
        let request = match http::read(&mut stream) {
            Ok(request) => request,
            Err(Missing::Closed) => return Ok(()),
            Err(Missing::Broken(problem)) => return Err(problem),
        };
        sleep(WORK);
        let closes = request.closes || state.ends.load(Ordering::SeqCst);
        let connection = if closes { "close" } else { "keep-alive" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{PAGE}",
            PAGE.len()
        );
        stream.write_all(answer.as_bytes())?;
        if closes {
            return close(stream);
        }
    }
}

/// Waits for the next request; `false` once nothing came for so long while the server ends.
fn is_asked(stream: &TcpStream, state: &State) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(LOOK * 5))?;
    let mut ends_since = None;
    loop {
        match stream.peek(&mut [0]) {
            Ok(_) => return Ok(true),
            Err(problem) if is_too_early(problem.kind()) => {}
            Err(problem) => return Err(problem),
        }
        if state.ends.load(Ordering::SeqCst) {
            let since = *ends_since.get_or_insert_with(Instant::now);
            if since.elapsed() > IDLE {
                return Ok(false);
            }
        }
    }
}

fn is_too_early(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The answer is not lost to a reset: what the client still sends is read until it closes too.
fn close(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}
