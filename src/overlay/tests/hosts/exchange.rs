//! Connections between hosts, whose content is looked at.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::thread::spawn;
use std::time::Duration;

use super::host::Host;

/// The wait for a stalled stream; a path that is cut takes some seconds to be left.
const STALLED: Duration = Duration::from_secs(60);

/// Sends bytes over one TCP connection in both directions at once, and compares each.
pub(crate) fn exchange(from: &Host, to: &Host, address: &str, bytes: usize) {
    let (near, far) = connect(from, to, address);
    let sides = [(near, 1), (far, 2)].map(|(stream, seed)| {
        let writing = stream.try_clone().expect("a handle");
        let written = spawn(move || send(writing, seed, bytes));
        (written, spawn(move || receive(stream, 3 - seed, bytes)))
    });
    for (written, read) in sides {
        written.join().expect("all was sent");
        read.join().expect("all was received as it was sent");
    }
}

/// Both ends of a connection between two hosts.
fn connect(from: &Host, to: &Host, address: &str) -> (TcpStream, TcpStream) {
    let address: IpAddr = address.parse().expect("an address");
    let listener = to.within(move || TcpListener::bind((address, 0_u16)).expect("a port"));
    let to = listener.local_addr().expect("it is bound");
    let near = from.within(move || TcpStream::connect_timeout(&to, STALLED).expect("a connection"));
    let (far, _) = listener.accept().expect("a connection");
    for stream in [&near, &far] {
        stream
            .set_read_timeout(Some(STALLED))
            .expect("a timeout can be set");
        stream
            .set_write_timeout(Some(STALLED))
            .expect("a timeout can be set");
    }
    (near, far)
}

fn send(mut stream: TcpStream, seed: u64, bytes: usize) {
    let mut sent = 0;
    let mut chance = seed;
    while sent < bytes {
        // Pieces of all sizes, so that segments of all sizes are on their way.
        let size = (1 + chance as usize % 70_000).min(bytes - sent);
        let piece: Vec<u8> = (sent..sent + size).map(|at| content(seed, at)).collect();
        stream.write_all(&piece).expect("it can be sent");
        sent += size;
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(seed)
            >> 1;
    }
    stream.shutdown(Shutdown::Write).expect("it can be closed");
}

fn receive(mut stream: TcpStream, seed: u64, bytes: usize) {
    let mut got = 0;
    let mut buffer = vec![0; 65_536];
    loop {
        let length = stream.read(&mut buffer).expect("the stream goes on");
        if length == 0 {
            break;
        }
        for byte in &buffer[..length] {
            assert_eq!(*byte, content(seed, got), "at {got}");
            got += 1;
        }
    }
    assert_eq!(got, bytes);
}

/// The byte at a place of a stream.
fn content(seed: u64, at: usize) -> u8 {
    ((at as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A connection over which something is sent there and back now and then.
pub(crate) struct Echo {
    near: TcpStream,
    far: TcpStream,
}

impl Echo {
    pub(crate) fn new(from: &Host, to: &Host) -> Self {
        let (near, far) = connect(from, to, &to.inner());
        Self { near, far }
    }

    pub(crate) fn round(&self) {
        let mut buffer = [0; 4];
        (&self.near).write_all(b"ping").expect("it can be sent");
        (&self.far).read_exact(&mut buffer).expect("it arrives");
        (&self.far).write_all(b"pong").expect("it can be sent");
        (&self.near).read_exact(&mut buffer).expect("it arrives");
        assert_eq!(&buffer, b"pong");
    }
}
