//! How long a stack file takes: read within one process, and by `kontena stack validate` from its start
//! to its end.
//!
//! ```text
//! cargo bench -p kontena-stackfile -- [--kontena PROGRAM] [--runs N] [FILE [VALUES]]
//! ```
//!
//! Without a file it takes one with variables, a template, twenty services and every section; without a
//! program it measures the reading alone. Aim: less than 10 ms for a whole run of the program.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark is a program whose output is its text, and which looks at the clock"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use kontena_stackfile::{Alone, Request, Value, read, yaml};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| argument != "--bench");
    let program = option(&mut arguments, "--kontena");
    let runs = option(&mut arguments, "--runs").map_or(200, |runs| runs.parse().unwrap());
    let file = arguments.first().cloned();
    let text = file
        .as_ref()
        .map_or_else(example, |file| std::fs::read_to_string(file).unwrap());
    let values = arguments.get(1);
    let given = values.map(|file| std::fs::read_to_string(file).unwrap());
    println!("file of {} bytes, {runs} runs", text.len());
    show("read", &times(runs, || read_once(&text, given.as_deref())));
    if let Some(program) = program {
        let folder = std::env::temp_dir().join(format!("stackfile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kontena.yml");
        std::fs::write(&path, &text).unwrap();
        let validate = || {
            let mut command = Command::new(&program);
            command
                .args(["stack", "validate", "--format", "api-json"])
                .arg(&path);
            command.args(values.map(|values| format!("--values-from={values}")));
            assert!(command.output().unwrap().status.success());
        };
        show("kontena stack validate", &times(runs, validate));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.remove(at);
    Some(arguments.remove(at))
}

fn read_once(text: &str, values: Option<&str>) {
    let values = values.map(|values| yaml::parse("values", values).unwrap());
    let values: BTreeMap<String, Value> = match values {
        Some(Value::Map(values)) => values.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let mut world = Alone {
        name: "kontena.yml".to_owned(),
        text: text.to_owned(),
    };
    let request = Request {
        location: world.location(),
        name: None,
        grid: "validate",
        platform: "validate",
        values: &values,
        previous: &BTreeMap::new(),
    };
    read(&request, &mut world).unwrap();
}

fn times(runs: usize, mut run: impl FnMut()) -> Vec<Duration> {
    let once = |_| {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    let mut times: Vec<Duration> = (0..runs).map(once).collect();
    times.sort();
    times
}

fn show(what: &str, times: &[Duration]) {
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, least {:.2} ms",
        at(50),
        at(99),
        at(0)
    );
}

fn example() -> String {
    let mut text = "\
stack: bench/whole
version: 1.0.0
variables:
  count: {type: integer, default: 3}
  domain: {type: string, default: example.com}
services:
"
    .to_owned();
    for number in 0..20 {
        text.push_str(&format!(
            "  service-{number}:
    image: registry.example.com/service-{number}:{{{{ count }}}}
    instances: ${{count}}
    environment:
      # {{% for i in (1..count) %}}
      - PEER_{{{{ i }}}}=service-{number}-{{{{ i }}}}.${{STACK}}.${{GRID}}.kontena.local
      # {{% endfor %}}
      - DOMAIN=$domain
    ports: [\"{0}:80\"]
    deploy: {{strategy: ha, wait_for_port: 80, min_health: 0.5}}
    health_check: {{protocol: http, port: 80, uri: /health}}
    secrets: [{{secret: key-{number}, name: KEY, type: env}}]
",
            8000 + number
        ));
    }
    text
}
