//! What is measured on one way.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::link::{ENDS, Link, within};
use crate::ways::{Tunnel, Way};

/// Of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) gbits: f64,
    /// CPU seconds of both tunnel processes for each Gbit.
    pub(crate) tunnel_cpu: f64,
    /// CPU seconds of the whole machine for each Gbit, `iperf3` and others' work included.
    pub(crate) machine_cpu: f64,
    pub(crate) retransmits: f64,
    pub(crate) rtt_us: f64,
}

pub(crate) fn measure(_link: &Link, way: Way, seconds: u32) -> Figures {
    let tunnel = way.up();
    await_answer(&tunnel.target);
    let rtt_us = rtt(&tunnel.target);
    let before = (cpu_of(&tunnel), cpu_of_machine());
    let report = iperf(&tunnel.target, seconds);
    let after = (cpu_of(&tunnel), cpu_of_machine());
    let sum = &report["end"];
    let bits = sum["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap_or(f64::NAN);
    let gbit = sum["sum_received"]["bytes"].as_f64().unwrap_or(f64::NAN) * 8.0 / 1e9;
    Figures {
        gbits: bits / 1e9,
        tunnel_cpu: (after.0 - before.0) / gbit,
        machine_cpu: (after.1 - before.1) / gbit,
        retransmits: sum["sum_sent"]["retransmits"].as_f64().unwrap_or(f64::NAN),
        rtt_us,
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn await_answer(target: &str) {
    for _ in 0..50 {
        let ping = within(ENDS[0], "ping")
            .args(["-c1", "-W1", target])
            .output();
        if ping.is_ok_and(|output| output.status.success()) {
            return;
        }
        sleep(Duration::from_millis(200));
    }
    panic!("{target} does not answer");
}

/// The median of the round trips, in microseconds.
fn rtt(target: &str) -> f64 {
    let output = within(ENDS[0], "ping")
        .args(["-c", "200", "-i", "0.01", target])
        .output()
        .expect("`ping` can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let times = text.lines().filter_map(|line| {
        let (_, time) = line.split_once("time=")?;
        time.trim_end_matches(" ms").parse::<f64>().ok()
    });
    median(times.collect()) * 1000.0
}

fn iperf(target: &str, seconds: u32) -> Value {
    let mut server = within(ENDS[1], "iperf3")
        .args(["-s", "-1"])
        .stdout(Stdio::null())
        .spawn()
        .expect("`iperf3` can be run");
    sleep(Duration::from_millis(300));
    let output = within(ENDS[0], "iperf3")
        .args(["-J", "-c", target, "-t", &seconds.to_string()])
        .output()
        .expect("`iperf3` can be run");
    let _ = server.kill();
    let _ = server.wait();
    serde_json::from_slice(&output.stdout).expect("`iperf3` reports in JSON")
}

/// CPU seconds that the measured processes have used.
fn cpu_of(tunnel: &Tunnel) -> f64 {
    tunnel
        .measured
        .iter()
        .map(|process| cpu_of_process(*process))
        .sum()
}

fn cpu_of_process(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which is in parentheses: user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / ticks_in_second()
}

fn cpu_of_machine() -> f64 {
    let stat = fs::read_to_string("/proc/stat").expect("Linux has it");
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    // All but idle and waiting.
    let idle = ticks.get(3).unwrap_or(&0.0) + ticks.get(4).unwrap_or(&0.0);
    (ticks.iter().take(8).sum::<f64>() - idle) / ticks_in_second()
}

fn ticks_in_second() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100.0)
}
