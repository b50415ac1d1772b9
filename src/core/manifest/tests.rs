//! Whole files in, stacks or problems out.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::stack::{Strategy, VolumeSource};

#[test]
fn a_complete_file_is_understood() {
    let parsed = read(COMPLETE).unwrap();
    let stack = &parsed.stack;
    assert_eq!(stack.stack, "acme/shop");
    assert_eq!(stack.default_name.as_str(), "shop");
    assert_eq!(stack.version, "1.10");
    let web = &stack.services[&"web".parse().unwrap()];
    assert_eq!(web.instances, Some(3));
    let service = &web.service;
    assert_eq!(service.image, "acme/web:latest");
    assert_eq!(
        service.command.as_deref().unwrap(),
        ["sh", "-c", "exec web --cost 5$"]
    );
    assert_eq!(
        service.environment,
        [
            "DB=db.shop.home.kontena.local",
            "DEBUG=true",
            "RATIO=1.50",
            "EMPTY="
        ]
    );
    assert_eq!(service.ports.len(), 2);
    let links: Vec<String> = service.links.iter().map(ToString::to_string).collect();
    assert_eq!(links, ["db:database", "system/lb", "cache"]);
    assert_eq!(service.deploy.strategy, Strategy::Daemon);
    assert_eq!(service.deploy.min_health, 500);
    assert_eq!(service.deploy.wait_for_port, Some(80));
    assert_eq!(service.stop_grace_millis, Some(90_000));
    assert_eq!(service.labels["tier"], "front");
    let db = &stack.services[&"db".parse().unwrap()];
    assert!(db.service.stateful);
    assert_eq!(db.instances, None);
    assert_eq!(db.service.volumes[0].source, VolumeSource::Anonymous);
    assert_eq!(db.service.stop_signal.as_deref(), Some("SIGQUIT"));
    let cache = &stack.services[&"cache".parse().unwrap()];
    assert_eq!(cache.service.labels["tier"], "front"); // merged
    assert_eq!(parsed.warnings, []);
}

const COMPLETE: &str = r#"
stack: acme/shop
version: 1.10
description: A shop
services:
  web:
    image: acme/web
    instances: 3
    command: sh -c "exec web --cost 5$$"
    environment: &environment
      DB: db.$STACK.${GRID}.kontena.local
      DEBUG: true
      RATIO: 1.50
      EMPTY:
    ports:
      - 80:80
      - "127.0.0.1:53:53/udp"
    links:
      - db:database
      - system/lb
    depends_on: [db, cache]
    affinity:
      - node!=/^db-/
    stop_grace_period: 1m30s
    deploy:
      strategy: daemon
      wait_for_port: 80
      min_health: .5
    labels: &labels
      tier: front
    privileged: false
    hooks:
  db:
    image: redis:7
    stateful: yes
    stop_signal: quit
    volumes:
      - /data
      - /etc/ssl:/etc/ssl:ro
  cache:
    image: memcached
    labels:
      <<: *labels
      own: x
"#;

#[test]
fn every_problem_is_told_at_once() {
    check(
        r#"
stack: Shop
verison: 1.0.0
variables:
  PASSWORD:
    type: string
services:
  web:
    imgae: nginx
    instances: two
    restart: always
    stateful: 1
    ports:
      - 22:22
      - 80
      - "80:80"
      - "127.0.0.1:80:81"
    links:
      - dd
      - web
      - b_d
    environment:
      - A
      - B: 1
      - C=$PASSWORD
    volumes:
      - data:/data
      - ./x:/x
    health_check:
      port: 80
    deploy:
      strategy: deamon
      min_health: 80%
  db:
    image: Redis
    affinity: node==a
"#,
        expect![[r#""#]],
    );
}

#[test]
fn services_that_need_each_other_in_a_circle_are_refused() {
    check(
        "
stack: shop
services:
  a: {image: x, links: [b]}
  b: {image: x, links: [c]}
  c: {image: x, links: [shop/b, a]}
  d: {image: x, links: [a]}
",
        expect![[r#""#]],
    );
}

#[test]
fn what_is_not_yet_supported_is_never_passed_on() {
    check(
        "
stack: shop
# {% if tls %}
services:
  web:
    image: {{ image }}
    command: run ${COMMAND}
    environment:
      A: '{{ a }}'
      $B: b
# {% endif %}
",
        expect![[r#""#]],
    );
}

#[test]
fn text_that_is_not_yaml_is_one_problem() {
    check("stack: [a\nservices: b", expect![[r#""#]]);
    check("stack: a\nservices:\n\tweb: x", expect![[r#""#]]);
    check("stack: a\nport: {{ a }}:{{ b }}", expect![[r#""#]]);
    check("", expect![[r#""#]]);
    check("stack: a\n---\nstack: b", expect![[r#""#]]);
    check("- a", expect![[r#""#]]);
    check("stack: !ruby/object:Kernel x", expect![[r#""#]]);
}

#[test]
fn a_compose_file_is_told_what_it_lacks() {
    check(
        "version: '2'\nservices:\n  a:\n    image: x\n",
        expect![[r#""#]],
    );
    check("web:\n  image: x\n", expect![[r#""#]]);
}

#[test]
fn a_key_given_twice_is_refused() {
    check(
        "stack: a\nservices:\n  web:\n    image: x\n    image: y\n  web: {image: z}\n",
        expect![[r#""#]],
    );
}

#[test]
fn a_name_too_long_for_a_host_is_refused() {
    let name = "w".repeat(50);
    let text = format!("stack: shop\nservices:\n  {name}:\n    image: x\n");
    assert!(
        read(&text)
            .unwrap_err()
            .to_string()
            .contains("has 75 characters")
    );
}

#[test]
fn what_is_odd_and_harmless_is_a_warning() {
    let text = "stack: a\nnetworks:\nservices:\n  web:\n    image: x\n    environment: {A: yes}\n  db:\n    image: x\n    environment: [A=1, A=2]\n";
    let parsed = read(text).unwrap();
    let warnings: Vec<String> = parsed
        .warnings
        .iter()
        .map(|warning| warning.display("warning", "kontena.yml").to_string())
        .collect();
    expect![[r#""#]].assert_eq(&warnings.join("\n"));
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(",");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(
        read(&text)
            .unwrap_err()
            .to_string()
            .contains("make too much of it")
    );
}

#[test]
fn a_file_cannot_be_endlessly_deep_or_long() {
    let nested = "[".repeat(100_000);
    assert!(
        read(&nested)
            .unwrap_err()
            .to_string()
            .contains("64 levels deep")
    );
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for level in 1..1_000 {
        chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(
        read(&chain)
            .unwrap_err()
            .to_string()
            .contains("64 levels deep")
    );
    let long = "#".repeat(yaml::MAX_BYTES + 1);
    assert!(
        read(&long)
            .unwrap_err()
            .to_string()
            .contains("larger than 1 MiB")
    );
}

#[test]
fn messages_are_safe_for_a_terminal() {
    let text = format!(
        "stack: \"a\\e[31m{}\"\nservices: {{}}\n",
        "x".repeat(10_000)
    );
    let shown = read(&text).unwrap_err().to_string();
    assert!(!shown.contains('\u{1b}') && shown.len() < 2_000, "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        check_positions(&text);
    }

    #[test]
    fn no_text_of_yaml_signs_makes_it_panic(text in "[-a:\\[\\]{}&*!|>'\"%@`#,? \n\r\t\u{feff}é<~$0]{0,60}") {
        check_positions(&text);
    }

    #[test]
    fn no_broken_file_makes_it_panic(cut in 0..COMPLETE.len(), length in 0..40_usize, put in "[-:\\[\\]{}&*!|>'\"#, \n\t$éa0]{0,6}") {
        let end = (cut + length).min(COMPLETE.len());
        let text = format!("{}{put}{}", &COMPLETE[..cut], &COMPLETE[end..]);
        check_positions(&text);
    }
}

/// Every problem is at a character of the text, or right behind the last one of its line.
#[track_caller]
pub(super) fn check_positions(text: &str) {
    let (problems, warnings) = match read(text) {
        Ok(parsed) => (Vec::new(), parsed.warnings),
        Err(problems) => (problems.list, problems.warnings),
    };
    let lines: Vec<&str> = text.lines().collect();
    for problem in problems.iter().chain(&warnings) {
        let Position { line, column } = problem.at;
        let last = lines.len().max(1);
        assert!((1..=last).contains(&line), "{problem:?} in {text:?}");
        let length = lines.get(line - 1).map_or(0, |line| line.chars().count());
        assert!(
            (1..=length + 1).contains(&column),
            "{problem:?} in {text:?}"
        );
    }
}

fn read(text: &str) -> Result<Parsed, Problems> {
    parse(&Source {
        file: "kontena.yml",
        text,
        stack: None,
        grid: "home",
    })
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    let problems = read(text).unwrap_err();
    expected.assert_eq(&problems.to_string());
}
