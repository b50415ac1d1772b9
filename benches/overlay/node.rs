//! This program as one node of the overlay, until its standard input ends.

use std::io::{Write, stdout};
use std::process::ExitCode;

use kontena_overlay::{Config, Overlay, Peer, PrivateKey, PublicKey};

/// The private key of node `number` of the benchmark.
pub(crate) fn key(number: u8) -> PrivateKey {
    PrivateKey::new([number; 32])
}

/// The address of node `number` inside the tunnel.
pub(crate) fn address(number: u8) -> String {
    format!("10.98.0.{number}")
}

/// `node NUMBER[-NUMBER] PEER=ADDRESS…`: the overlays of these numbers, and the peers of each.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let (first, last) = arguments[0]
        .split_once('-')
        .unwrap_or((&arguments[0], &arguments[0]));
    let numbers = first.parse::<u8>().unwrap()..=last.parse::<u8>().unwrap();
    let overlays: Vec<Overlay> = numbers
        .map(|number| start(number, &arguments[1..]))
        .collect();
    println!("ready");
    stdout().flush().unwrap();
    // A pipe that is closed is the sign to end.
    let _ = std::io::stdin().read_line(&mut String::new());
    for overlay in overlays {
        if std::env::var_os("OVERLAY_BENCH_SNAPSHOT").is_some() {
            eprintln!("{:#?}", overlay.snapshot().unwrap());
        }
        overlay.stop();
    }
    ExitCode::SUCCESS
}

fn start(number: u8, peers: &[String]) -> Overlay {
    let mut config = Config::new(&format!("kbench{number}"), key(number));
    config.addresses = vec![format!("{}/32", address(number)).parse().unwrap()];
    // All nodes of the crowd share one host, which has one table of routes: they send nothing.
    if number <= 2 {
        config.routes = vec!["10.98.0.0/24".parse().unwrap()];
    }
    config.port = 5000 + u16::from(number);
    let overlay = Overlay::start(&config).unwrap();
    let peers = peers.iter().map(|peer| member(peer)).collect();
    overlay.apply(peers).unwrap().unwrap();
    overlay
}

fn member(text: &str) -> Peer {
    let (number, host) = text.split_once('=').unwrap();
    let number = number.parse().unwrap();
    let mut peer = Peer::member(PublicKey(key(number).public_key().0));
    peer.allowed = vec![format!("{}/32", address(number)).parse().unwrap()];
    peer.endpoints = vec![
        format!("{host}:{}", 5000 + u16::from(number))
            .parse()
            .unwrap(),
    ];
    peer.keepalive = Some(std::time::Duration::from_secs(10));
    peer
}
