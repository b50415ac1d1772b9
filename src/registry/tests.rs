//! What takes too long. Everything else is seen from the outside, in `tests/registry`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Included, Limits, Registry};

/// A server that does `harm` with each connection, and where it is.
fn server(harm: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's process.
    thread::spawn(move || listener.incoming().flatten().for_each(harm));
    url
}

#[track_caller]
fn gives_up(url: &str) {
    let limits = Limits {
        bytes: 1000,
        time: Duration::from_millis(300),
    };
    let registry = Registry::at(url, None, limits).unwrap();
    let all = Included {
        prereleases: true,
        private: true,
    };
    let start = Instant::now();
    let refused = registry.search("", &[], all).unwrap_err();
    assert!(refused.why.contains("longer than 0.3 s"), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    gives_up(&server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    }));
}

#[test]
fn a_server_that_drips_is_given_up() {
    gives_up(&server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        // Until whoever reads has had enough.
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    }));
}
