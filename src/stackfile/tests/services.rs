//! Keys of a service: what is told to the API, and what is refused.

use expect_test::expect;

use super::*;

#[test]
fn every_key_has_its_field() {
    check(
        &mut service(
            r#"image: nginx
instances: 2
stateful: true
command: sh -c "echo 'a b'"
entrypoint: /run me
environment: {A: 1, B: , C: yes}
links: [db, system/lb:edge]
depends_on: [db, mail]
external_links: [other/x]
ports: ["80:8080", "127.0.0.1:53:53/udp"]
network_mode: host
pid: host
privileged: true
cap_add: [NET_ADMIN]
cap_drop: [ALL]
user: www
read_only: true
cpus: 1.5
cpu_shares: 512
mem_limit: 64m
shm_size: 1g
volumes: [/data, "/srv:/srv:ro"]
logging: {driver: syslog, options: {tag: web}}
affinity: ["node==~a", "label!=b", "service==/^db/", "node==n-%s"]
deploy: {strategy: random, wait_for_port: 80, min_health: 0.5, interval: 30min}
health_check: {protocol: http, port: 80, uri: /up, timeout: 5, interval: 10, initial_delay: 3}
secrets: [{secret: s, name: S, type: env}]
certificates: [{subject: a.b, name: C, type: env}]
stop_signal: SIGRTMIN+3
stop_grace_period: 1m30s
build: {context: ., args: [A=1]}
hooks:
  pre_stop: [{name: bye, cmd: drain, instances: "*", oneshot: false}]"#,
        ),
        "services.0",
        expect![[r#"
            name: web
            image: nginx:latest
            stateful: true
            instances: 2
            env:
              - A=1
              - B=
              - C=true
            links:
              - name: db
                alias: db
              - name: system/lb
                alias: edge
              - name: mail
                alias: mail
            external_links:
              - name: other/x
                alias: other/x
            ports:
              - ip: "0.0.0.0"
                container_port: "8080"
                node_port: "80"
                protocol: tcp
              - ip: "127.0.0.1"
                container_port: "53"
                node_port: "53"
                protocol: udp
            affinity:
              - "node==~a"
              - "label!=b"
              - "service==/^db/"
              - "node==n-%s"
            volumes:
              - /data
              - /srv:/srv:ro
            volumes_from: []
            log_driver: syslog
            log_opts:
              tag: web
            deploy_opts:
              wait_for_port: 80
              min_health: 0.5
              interval: 1800
            health_check:
              protocol: http
              port: 80
              uri: /up
              timeout: 5
              interval: 10
              initial_delay: 3
            hooks:
              pre_stop:
                - name: bye
                  cmd: drain
                  instances: "*"
                  oneshot: false
            read_only: true
            secrets:
              - secret: s
                name: S
                type: env
            certificates:
              - subject: a.b
                name: C
                type: env
            entrypoint: /run me
            user: www
            cpus: 1.5
            cpu_shares: 512
            cap_add:
              - NET_ADMIN
            cap_drop:
              - ALL
            pid: host
            build:
              context: /work
              args:
                A: "1"
            stop_signal: SIGRTMIN+3
            stop_grace_period: "1m30s"
            net: host
            privileged: true
            cmd:
              - sh
              - "-c"
              - "echo 'a b'"
            memory: 67108864
            shm_size: 1073741824
            strategy: random
        "#]],
    );
}

#[test]
fn ours_is_told_beside_what_kontena_knows() {
    check(
        &mut service(
            "image: a\ndeploy: {spread: label=rack, max_per_node: 2, order: start-first, on_failure: rollback, canary: 1, standby_images: 0, offline: {replace_after: 2m, takeover: never}}",
        ),
        "services.0.deploy_opts",
        expect![[r#"
            wait_for_port: null
            min_health: null
            interval: null
            spread:
              - label=rack
            max_per_node: 2
            offline:
              replace_after: "2m"
              takeover: never
            standby_images: 0
            order: start-first
            on_failure: rollback
            canary: 1
        "#]],
    );
}

#[test]
fn what_kontena_refuses_is_refused() {
    for (lines, said) in [
        (
            "cpus: 1",
            "`cpus` has to be a number with a point, this is 1",
        ),
        (
            "deploy: {min_health: 1}",
            "`min_health` has to be a number with a point, this is 1",
        ),
        (
            "deploy: {strategy: hA}",
            "`strategy` is `hA`, not one of ha, daemon, random",
        ),
        (
            "deploy: {interval: 1w}",
            "`interval` has to be a time as `30min`, `12h` or `7d`",
        ),
        (
            "deploy: {spread: rack}",
            "`spread` is `rack`, it has to be `label=KEY`",
        ),
        (
            "deploy: {spread: [label=rack, 7]}",
            "an item of `spread` has to be a text, this is a whole number",
        ),
        (
            "deploy: {spread: [label=a, label=b, label=c, label=d]}",
            "`spread` has 4 labels, 3 are possible",
        ),
        (
            "deploy: {spread: [label=a, label=a]}",
            "`label=a` is given twice",
        ),
        (
            "deploy: {order: start}",
            "`order` is `start`, not one of stop-first, start-first",
        ),
        (
            "deploy: {on_failure: pause}",
            "`on_failure` is `pause`, not one of halt, rollback",
        ),
        (
            "deploy: {canary: 0}",
            "`canary` is 0, it has to be from 1 to 10000",
        ),
        (
            "deploy: {singleton: raft, witnesses: [a, b, c]}",
            "`singleton` is `raft`, not one of lease",
        ),
        (
            "deploy: {singleton: lease}",
            "`singleton` has no `witnesses`",
        ),
        (
            "deploy: {witnesses: [a, b, c]}",
            "`witnesses` grant a lease, and there is none",
        ),
        (
            "deploy: {singleton: lease, witnesses: a}",
            "`witnesses` has to be a list, this is a text",
        ),
        (
            "deploy: {max_per_node: 0}",
            "`max_per_node` is 0, it has to be from 1 to 10000",
        ),
        (
            "deploy: {standby_images: 3}",
            "`standby_images` is 3, it has to be from 0 to 2",
        ),
        (
            "deploy: {offline: {replace_after: 2}}",
            "`replace_after` has to be a text, this is a whole number",
        ),
        (
            "deploy: {offline: {replace_after: soon}}",
            "`replace_after` is `soon`, not a duration as `30s` or `1m30s`",
        ),
        (
            "deploy: {offline: {takeover: whole}}",
            "`takeover` is `whole`, not one of half, always, never",
        ),
        (
            "deploy: {offline: {return: keep_original}}",
            "`return` is not a key of `offline`",
        ),
        ("spread: label=rack", "`spread` is not a key of a service"),
        (
            "ports: [22:22]",
            "a port has to be a text, this is a whole number",
        ),
        (
            "ports: [80]",
            "a port has to be a text, this is a whole number",
        ),
        (
            "ports: ['80']",
            "`80` is no port: it has to be [IP:]HOST:CONTAINER[/PROTOCOL]",
        ),
        (
            "instances: two",
            "`instances` has to be a whole number, this is a text",
        ),
        (
            "stateful: 'yes'",
            "`stateful` has to be true or false, this is a text",
        ),
        (
            "environment: [A]",
            "`A` is no variable: it has to be NAME=VALUE",
        ),
        (
            "environment: {A: [1]}",
            "the variable `A` has to be a single value, this is a list",
        ),
        (
            "affinity: [somewhere]",
            "the affinity `somewhere` has neither `==` nor `!=`",
        ),
        (
            "volumes: [data:/data]",
            "the volume `data` is not among the `volumes` of the file",
        ),
        (
            "volumes: [./data:/data]",
            "`./data` is neither an absolute path nor the name of a volume",
        ),
        ("volumes: [/a, /b:/a]", "two volumes are mounted on `/a`"),
        ("restart: always", "`restart` is not a key of a service"),
        (
            "memswap_limit: 1g",
            "`memswap_limit` is not a key of a service",
        ),
        ("imgae: x", "`imgae` is not a key of a service"),
        (
            "command: [a, b]",
            "`command` has to be a text, this is a list",
        ),
        (
            "command: a 'b",
            "the `command` of the service `web` has a quote that is not closed",
        ),
        (
            "user: 1000",
            "`user` has to be a text, this is a whole number",
        ),
        (
            "cpu_shares: 2000",
            "`cpu_shares` is 2000, it has to be from 0 to 1024",
        ),
        (
            "mem_limit: lots",
            "`mem_limit` is `lots`, not a size as `512m` or `2g`",
        ),
        (
            "network_mode: none",
            "`network_mode` is `none`, not one of bridge, host",
        ),
        ("secrets: [{secret: a, name: b}]", "a secret has no `type`"),
        (
            "health_check: {port: 80}",
            "`health_check` has no `protocol`",
        ),
        (
            "health_check: {protocol: http, port: 80, uri: up}",
            "`uri` is `up`, it has to begin with `/`",
        ),
        (
            "health_check: {protocol: tcp, port: 80, interval: 5, timeout: 6}",
            "`interval` is 5, shorter than `timeout`, which is 6",
        ),
        (
            "health_check: {protocol: grpc, port: 80}",
            "`protocol` is `grpc`, not one of http, tcp, exec",
        ),
        (
            "health_check: {protocol: exec}",
            "a `health_check` by exec has no `cmd`",
        ),
        (
            "health_check: {protocol: exec, cmd: a, port: 80}",
            "`port` means nothing to the protocol `exec`",
        ),
        (
            "health_check: {protocol: tcp, port: 80, cmd: a}",
            "`cmd` is only for the protocol `exec`",
        ),
        (
            "hooks: {post_start: [{name: a, cmd: b, instances: '1,b'}]}",
            "`instances` has to be a whole number, this is a text",
        ),
        (
            "hooks: {pre_build: [{name: a, cmd: b, oneshot: true}]}",
            "`oneshot` is not a key of a hook",
        ),
        (
            "stop_signal: TERM",
            "`stop_signal` is `TERM`, not a signal as `SIGTERM` or a number",
        ),
        (
            "stop_grace_period: 10",
            "`stop_grace_period` has to be a text, this is a whole number",
        ),
        (
            "stateful: true\nvolumes_from: [db-%s]",
            "a stateful service cannot use `volumes_from`",
        ),
        ("extends: {file: x.yml}", "`extends` has no `service`"),
        (
            "logging: syslog",
            "`logging` has to be a mapping, this is a text",
        ),
        (
            "env_file: [1]",
            "an item of `env_file` has to be a text, this is a whole number",
        ),
    ] {
        let mut world = service(&format!("image: a\n{lines}"));
        assert_eq!(first_problem(&mut world), said, "{lines}");
    }
    assert_eq!(
        first_problem(&mut service("instances: 1")),
        "the service `web` has no `image`"
    );
}

#[test]
fn all_faults_of_a_file_come_at_once_each_with_its_line() {
    check(
        &mut service("imgae: nginx\nports:\n  - 22:22\ndeploy:\n  strategy: daemno"),
        "",
        expect![[r#"
            error: the service `web` has no `image`
              --> kontena.yml:3:3
            3 |   web:
              |   ^
            error: `imgae` is not a key of a service
              --> kontena.yml:4:5
            4 |     imgae: nginx
              |     ^
            hint: did you mean `image`?
            error: a port has to be a text, this is a whole number
              --> kontena.yml:6:9
            6 |       - 22:22
              |         ^
            hint: put quotes around it
            error: `strategy` is `daemno`, not one of ha, daemon, random
              --> kontena.yml:8:17
            8 |       strategy: daemno
              |                 ^
            hint: did you mean `daemon`?"#]],
    );
}

#[test]
fn all_faults_of_witnesses_come_at_once_each_with_its_line() {
    check(
        &mut service(
            "image: a\ndeploy:\n  singleton: lease\n  witnesses:\n    - a\n    - b.c\n    - a\n    - 7",
        ),
        "",
        expect![[r#"
            error: `witnesses` has 4 names, a lease is granted by three or five
              --> kontena.yml:8:9
            8 |         - a
              |         ^
            error: `b.c` is not the name of a node
              --> kontena.yml:9:11
            9 |         - b.c
              |           ^
            hint: it is 1 to 63 of a-z, 0-9 and `-`, with no `-` at its ends
            error: the witness `a` is given twice
              --> kontena.yml:10:11
            10 |         - a
               |           ^
            error: an item of `witnesses` has to be a text, this is a whole number
              --> kontena.yml:11:11
            11 |         - 7
               |           ^
            hint: put quotes around it"#]],
    );
}

#[test]
fn what_the_api_refuses_under_deploy_is_shown_at_its_own_key() {
    let mut world = service(
        "image: a\ndeploy:\n  strategy: random\n  offline:\n    takeover: never\n  canary: 1",
    );
    let stack = world.read().unwrap();
    let places = [
        "services[0].deploy_opts.offline.takeover",
        "services[web].deploy_opts.canary",
        "services[0].deploy_opts.witnesses[1]",
        "services[0].strategy",
        "services[0].stateful",
    ];
    let told = places.map(|path| {
        let problem = stack.problem(path, "is refused");
        (problem.at.unwrap().line, problem.message)
    });
    expect![[r#"
        [
            (
                8,
                "`deploy.offline.takeover` of the service `web` is refused",
            ),
            (
                9,
                "`deploy.canary` of the service `web` is refused",
            ),
            (
                5,
                "`deploy` of the service `web` is refused",
            ),
            (
                6,
                "`deploy.strategy` of the service `web` is refused",
            ),
            (
                3,
                "`stateful` of the service `web` is refused",
            ),
        ]
    "#]]
    .assert_debug_eq(&told);
}

#[test]
fn a_lease_is_told_as_it_is_written() {
    check(
        &mut service("image: a\ndeploy: {singleton: lease, witnesses: [c, a, b]}"),
        "services.0.deploy_opts",
        expect![[r#"
            wait_for_port: null
            min_health: null
            interval: null
            singleton: lease
            witnesses:
              - c
              - a
              - b
        "#]],
    );
}

#[test]
fn an_empty_key_says_nothing() {
    let lines = "image: a\nports:\nlinks:\nenvironment:\ndeploy:\nhealth_check:\nhooks:\nvolumes:\naffinity:";
    check(&mut service(lines), "services.0.ports", expect!["[]\n"]);
}

#[test]
fn a_link_that_a_variable_left_empty_is_left_out() {
    let mut world = service("image: a\nlinks:\n  -\n  - db");
    let stack = world.read().unwrap();
    assert_eq!(
        at(&stack.payload, "services.0.links")
            .as_list()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(stack.warnings.warnings.len(), 1);
}

#[test]
fn a_hook_before_the_start_may_be_of_one_instance_and_run_once() {
    check(
        &mut service(
            "image: a\nhooks:\n  pre_start:\n    - {name: init, cmd: migrate, instances: 1, oneshot: true}\n    - {name: each, cmd: 'chown -R x /data'}",
        ),
        "services.0.hooks",
        expect![[r#"
            pre_start:
              - name: init
                cmd: migrate
                instances: 1
                oneshot: true
              - name: each
                cmd: chown -R x /data
        "#]],
    );
    let without_command = "image: a\nhooks:\n  pre_start: [{name: init}]";
    assert_ne!(first_problem(&mut service(without_command)), "");
}
