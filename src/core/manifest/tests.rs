//! Whole files in, stacks or problems out.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::stack::{Strategy, VolumeSource};

#[test]
fn a_stack_exposes_one_of_its_services() {
    let file = |expose: &str| {
        format!("stack: shop\nexpose: {expose}\nservices:\n  web:\n    image: nginx:1\n")
    };
    let exposed = |text: &str| {
        read(text)
            .unwrap()
            .stack
            .expose
            .map(|name| name.to_string())
    };
    assert_eq!(exposed(&file("web")), Some("web".to_owned()));
    assert_eq!(exposed(&file("")), None);
    for (wrong, told) in [
        ("db", "which this stack does not define"),
        ("We_b", "is not a valid service name"),
    ] {
        let problems = read(&file(wrong)).unwrap_err();
        assert!(problems.to_string().contains(told), "{problems}");
    }
}

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
        expect![[r#"
            error: `Shop` is not a valid stack name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
              --> kontena.yml:2:8
            hint: names become host names: use `shop`
            error: `verison` is not a key of a stack file
              --> kontena.yml:3:1
            hint: did you mean `version`?
            error: `variables` is not supported yet
              --> kontena.yml:4:1
            error: service `web` has no `image`
              --> kontena.yml:8:3
            error: `imgae` is not a key of a service
              --> kontena.yml:9:5
            hint: did you mean `image`?
            error: `instances` is `two`, not a whole number from 0 to 10000
              --> kontena.yml:10:16
            error: `restart` is not a key of a service
              --> kontena.yml:11:5
            hint: remove it: instances are always restarted
            error: `stateful` is `1`, not true or false
              --> kontena.yml:12:15
            error: YAML takes `22:22` for a number of base 60
              --> kontena.yml:14:9
            hint: quote it: "22:22"
            error: `80` names no host port: expected `HOST:CONTAINER`
              --> kontena.yml:15:9
            error: `127.0.0.1:80:81/tcp` publishes a host port that `0.0.0.0:80:80/tcp` publishes already
              --> kontena.yml:17:9
            error: service `web` needs `dd`, which this stack does not define
              --> kontena.yml:19:9
            hint: did you mean `db`?
            error: service `web` links to itself
              --> kontena.yml:20:9
            hint: remove this link
            error: `b_d` is not a valid service name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
              --> kontena.yml:21:9
            error: `A` is not an environment variable: expected `NAME=VALUE`
              --> kontena.yml:23:9
            error: an item of `environment` has to be a text, this is a mapping
              --> kontena.yml:24:9
            hint: write `- NAME=VALUE`, or leave out the `-` on every line
            error: variables are not supported yet: `$PASSWORD`
              --> kontena.yml:25:9
            hint: write the value, or `$$` for a `$` of its own
            error: the named volume `data` is not supported yet
              --> kontena.yml:27:9
            hint: use a path `/data` (kept with the instance) or a bind mount `/host:/data`
            error: the path `./x` in `./x:/x` is not absolute
              --> kontena.yml:28:9
            error: `health_check` is not supported yet
              --> kontena.yml:29:5
            error: `strategy` is `deamon`, not one of ha, daemon, random
              --> kontena.yml:32:17
            hint: did you mean `daemon`?
            error: `min_health` is `80%`, not a share from 0 to 1, as 0.8
              --> kontena.yml:33:19
            error: `Redis` is not an image: expected `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, the name in lower case
              --> kontena.yml:35:12
            error: `affinity` has to be a list, this is a single value
              --> kontena.yml:36:15"#]],
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
        expect![[r#"
            error: services need each other in a circle: `b` → `c` → `b`
              --> kontena.yml:5:25
            hint: remove one of these links"#]],
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
        expect![[r#"
            error: Liquid templates are not supported yet
              --> kontena.yml:3:3
            hint: Kontena reads `{% … %}` in comments as well
            error: variables are not supported yet: `{{ … }}`
              --> kontena.yml:6:12
            error: variables are not supported yet: `${COMMAND}`
              --> kontena.yml:7:14
            hint: write the value, or `$$` for a `$` of its own
            error: variables are not supported yet: `{{ … }}`
              --> kontena.yml:9:10
            hint: write the value, or `$$` for a `$` of its own
            error: variables are not supported yet: `$B`
              --> kontena.yml:10:7
            hint: write the value, or `$$` for a `$` of its own
            error: Liquid templates are not supported yet
              --> kontena.yml:11:3
            hint: Kontena reads `{% … %}` in comments as well"#]],
    );
}

#[test]
fn text_that_is_not_yaml_is_one_problem() {
    check(
        "stack: [a\nservices: b",
        expect![[r#"
        error: not valid YAML: illegal placement of ':' indicator
          --> kontena.yml:2:9"#]],
    );
    check(
        "stack: a\nservices:\n\tweb: x",
        expect![[r#"
        error: not valid YAML: tabs disallowed within this context (block indentation)
          --> kontena.yml:3:2
        hint: YAML is indented with spaces, not with tabs"#]],
    );
    check(
        "stack: a\nport: {{ a }}:{{ b }}",
        expect![[r#"
        error: not valid YAML: while parsing a block mapping, did not find expected key
          --> kontena.yml:2:14
        hint: put quotes around a text with `{{`"#]],
    );
    check(
        "",
        expect![[r#"
        error: the file is empty
          --> kontena.yml:1:1"#]],
    );
    check(
        "stack: a\n---\nstack: b",
        expect![[r#"
            error: a second document begins here: a file is one
              --> kontena.yml:2:1
            hint: remove the `---`"#]],
    );
    check(
        "- a",
        expect![[r#"
        error: a stack file has to be a mapping, with `stack` and `services`
          --> kontena.yml:1:1"#]],
    );
    check(
        "stack: !ruby/object:Kernel x",
        expect![[r#"
        error: the tag `!ruby/object:Kernel` is not supported
          --> kontena.yml:1:8
        hint: remove it, or quote the value"#]],
    );
}

#[test]
fn a_compose_file_is_told_what_it_lacks() {
    check(
        "version: '2'\nservices:\n  a:\n    image: x\n",
        expect![[r#"
            error: the file has no `stack`
              --> kontena.yml:1:1
            hint: add `stack: NAME` at the top; a Docker Compose file needs it too"#]],
    );
    check(
        "web:\n  image: x\n",
        expect![[r#"
        error: the file has no `stack`
          --> kontena.yml:1:1
        hint: a stack file begins with `stack: NAME` and lists its services under `services`
        error: `web` is not a key of a stack file
          --> kontena.yml:1:1
        error: the file has no `services`
          --> kontena.yml:1:1
        hint: list at least one service under `services`"#]],
    );
}

#[test]
fn a_name_that_is_no_host_name_gets_one_suggested() {
    check(
        "stack: My_Shop\nservices:\n  web_1:\n    image: x\n",
        expect![[r#"
            error: `My_Shop` is not a valid stack name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
              --> kontena.yml:1:8
            hint: names become host names: use `my-shop`
            error: `web_1` is not a valid service name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
              --> kontena.yml:3:3
            hint: names become host names: use `web-1`"#]],
    );
}

#[test]
fn a_service_that_extends_another_needs_no_image() {
    check(
        "stack: a\nservices:\n  web:\n    extends: base\n",
        expect![[r#"
            error: `extends` is not supported yet
              --> kontena.yml:4:5"#]],
    );
}

#[test]
fn an_unsupported_key_is_refused_even_with_an_empty_value() {
    check(
        "stack: a\nvolumes: {}\nvariables:\nservices:\n  web:\n    image: x\n    secrets: []\n    certificates:\n    privileged: false\n    deploy: {interval: }\n",
        expect![[r#"
            error: `volumes` is not supported yet
              --> kontena.yml:2:1
            hint: services can use a path `/data` (kept with the instance) or a bind mount
            error: `variables` is not supported yet
              --> kontena.yml:3:1
            error: `secrets` is not supported yet
              --> kontena.yml:7:5
            error: `certificates` is not supported yet
              --> kontena.yml:8:5
            error: `privileged` is not supported yet
              --> kontena.yml:9:5
            error: `interval` is not supported yet
              --> kontena.yml:10:14"#]],
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    check(
        "stack: a\nservices:\n  web:\n    image: x\n    image: y\n  web: {image: z}\n",
        expect![[r#"
            error: the key `image` is given twice
              --> kontena.yml:5:5
            error: the key `web` is given twice
              --> kontena.yml:6:3"#]],
    );
}

#[test]
fn a_name_too_long_for_a_host_is_refused() {
    let name = "w".repeat(50);
    let text = format!("stack: shop\nservices:\n  {name}:\n    image: x\n");
    refused(
        &text,
        "-1.shop.home.kontena.local` has 76 characters, 64 are possible",
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
    expect![[r#"
        warning: `networks` means nothing here: all services of a grid share one network
          --> kontena.yml:2:1
        warning: YAML takes `yes` for `true`; quote it if not
          --> kontena.yml:6:22
        warning: `A` is given twice, the first one counts
          --> kontena.yml:9:24"#]]
    .assert_eq(&warnings.join("\n"));
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(",");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    refused(&text, "make too much of it");
}

#[test]
fn a_file_cannot_be_endlessly_deep_or_long() {
    refused(&"[".repeat(100), "64 levels deep");
    refused(&"[".repeat(100_000), "recursion limit");
    refused(&"- ".repeat(100_000), "64 levels deep");
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for level in 1..1_000 {
        chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    refused(&chain, "64 levels deep");
    refused(&"#".repeat(yaml::MAX_BYTES + 1), "larger than 1 MiB");
}

#[test]
fn how_an_editor_saves_a_file_changes_nothing() {
    let windows = format!("\u{feff}{}", COMPLETE.trim_start().replace('\n', "\r\n"));
    assert_eq!(read(&windows), read(COMPLETE));
}

#[test]
fn a_problem_behind_the_last_character_is_at_the_end() {
    for text in [
        "? ",
        "a: [\n",
        "a\r",
        "stack:\r\n",
        "\"",
        "services:\n  - ? ",
    ] {
        check_positions(text);
    }
}

#[test]
fn a_mapping_of_variables_has_names_for_keys() {
    let text =
        "stack: a\nservices:\n  web:\n    image: x\n    environment: {A=B: c, M: 010, N: {}}\n";
    check(
        text,
        expect![[r#"
        error: `A=B` is not a name: it contains `=`
          --> kontena.yml:5:19
        error: YAML takes `010` for another number
          --> kontena.yml:5:30
        hint: quote it: "010"
        error: `N` has to be a single value, this is a mapping
          --> kontena.yml:5:38"#]],
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
    let unix = text.replace("\r\n", "\n");
    let lines: Vec<&str> = unix.split(['\n', '\r']).collect();
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
fn refused(text: &str, because: &str) {
    let problems = read(text).unwrap_err().to_string();
    assert!(problems.contains(because), "{problems}");
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    let problems = read(text).unwrap_err();
    expected.assert_eq(&problems.to_string());
}
