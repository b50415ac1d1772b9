//! Other formats in, a stack file out, which can be read.

use expect_test::expect;

use super::*;
use crate::tests::Memory;

fn notes(text: &str) -> Vec<String> {
    let converted = convert("f.yml", text, "My_App").unwrap();
    let notes = converted.notes.warnings.iter();
    notes
        .map(|note| format!("{}: {}", note.at.map_or(0, |at| at.line), note.message))
        .collect()
}

#[test]
fn a_compose_file_becomes_a_stack_file() {
    let text = "\
version: '3.7'
services:
  web:
    image: web:${TAG:-latest}
    command: [\"serve\", \"--name\", \"a b\"]
    ports: [\"80:8080\", 443, \"22\"]
    environment: [A=1, B]
    depends_on: {db: {condition: service_healthy}}
    volumes: [data:/data, ./src:/src, /etc/x:/x:ro]
    restart: always
    deploy:
      replicas: 3
      resources: {limits: {memory: 64MB, cpus: '0.5'}}
      placement: {constraints: [node.labels.disk == ssd, node.role == manager]}
      update_config: {parallelism: 2, failure_action: rollback, order: start-first}
  db:
    build: ./db
    deploy: {mode: global}
networks: {front: }
";
    let converted = convert("f.yml", text, "My_App").unwrap();
    expect![[r#"
        stack: my-app
        version: "0.0.1"
        variables:
          B:
            type: string
            from:
              env: B
          TAG:
            type: string
            from:
              env: TAG
            default: latest
        services:
          web:
            image: "web:${TAG}"
            command: "serve --name 'a b'"
            ports:
              - "80:8080"
              - "443:443"
              - "22:22"
            environment:
              - A=1
              - "B=${B}"
            depends_on:
              - db
            volumes:
              - data:/data
              - /etc/x:/x:ro
            instances: 3
            mem_limit: "64m"
            cpus: 0.5
            affinity:
              - label==disk=ssd
            deploy:
              on_failure: rollback
              order: start-first
          db:
            image: db
            build: "./db"
            deploy:
              strategy: daemon
        volumes:
          data:
            external: true
    "#]]
    .assert_eq(&converted.text);
    assert_eq!(
        notes(text),
        [
            "6: the port 443 is published as 443: Docker would choose one",
            "6: the port 22 is published as 22: Docker would choose one",
            "9: a stack creates no volumes: create `data` with `kontena volume create`",
            "9: the volume `./src:/src` is left out: `./src` is on the machine of the file, not on the nodes",
            "10: `restart` is left out: instances are always restarted",
            "14: the constraint `node.role == manager` is left out: a stack has no counterpart",
            "15: `parallelism` of `update_config` is left out: a stack has no counterpart",
            "16: `db` has no `image`: build it, and name what is built",
            "19: `networks` is left out: all services of a grid share one network",
        ]
    );
    assert!(Memory::with(&converted.text).value("B", "2").read().is_ok());
}

#[test]
fn a_flat_file_becomes_a_stack_file() {
    let text = "\
lb:
  image: kontena/lb
  ports: [80:80]
  net: host
web:
  image: web
  instances: 2
  external_links: [front/lb]
  log_driver: syslog
  log_opt: {tag: '{{.Name}}'}
  environment:
    HOST: db.${project}.${grid}.kontena.local
    COST: 5$$
";
    let converted = convert("f.yml", text, "shop").unwrap();
    expect![[r#"
        stack: shop
        version: "0.0.1"
        services:
          lb:
            image: kontena/lb
            ports:
              - "80:80"
            network_mode: host
          web:
            image: web
            instances: 2
            links:
              - front/lb
            logging:
              driver: syslog
              options:
                tag: "{% raw %}{{.Name}}{% endraw %}"
            environment:
              HOST: "db.${STACK}.${GRID}.kontena.local"
              COST: "5$$"
    "#]]
    .assert_eq(&converted.text);
    let mut world = Memory::with(&converted.text);
    assert_eq!(world.part("services.1.log_opts.tag"), "\"{{.Name}}\"\n");
}

#[test]
fn what_is_no_such_file_is_refused() {
    for (text, said) in [
        (
            "stack: a\nservices: {a: {image: b}}",
            "the file is a stack file already",
        ),
        ("- a", "the file has to be a mapping of services"),
        ("services: {}", "the file has no services"),
        ("a: [", "not valid YAML"),
    ] {
        let findings = convert("f.yml", text, "x").unwrap_err();
        assert!(findings.to_string().contains(said), "{text}");
    }
}
