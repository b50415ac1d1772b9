//! Other files: `extends`, `env_file`, `depends`.

use expect_test::expect;

use super::*;

#[test]
fn a_service_takes_over_what_the_api_is_told_of_its_parent() {
    let world = Memory::with(
        "stack: s\nservices:\n  base:\n    image: a\n    command: run\n    mem_limit: 1g\n    stateful: true\n    links: [x]\n    ports: ['1:2']\n    environment: [A=1, B=2]\n    secrets: [{secret: k, name: K, type: env}, {secret: l, name: L, type: env}]\n    deploy: {strategy: daemon}\n    logging: {driver: none}\n    network_mode: host\n  web:\n    extends: base\n    links: [y]\n    environment: [B=3, C=4]\n    secrets: [{secret: k, name: M, type: env}]\n",
    );
    let mut world = world;
    check(
        &mut world,
        "services.1",
        expect![[r#"
            name: web
            image: a:latest
            stateful: true
            instances: null
            env:
              - A=1
              - B=3
              - C=4
            links:
              - name: "y"
                alias: "y"
            external_links: []
            ports:
              - ip: "0.0.0.0"
                container_port: "2"
                node_port: "1"
                protocol: tcp
            affinity: []
            volumes: []
            volumes_from: []
            log_driver: null
            log_opts: null
            deploy_opts:
              wait_for_port: null
              min_health: null
              interval: null
            health_check:
              protocol: null
              port: null
              uri: null
              timeout: null
              interval: null
              initial_delay: null
            hooks: {}
            read_only: false
            secrets:
              - secret: k
                name: M
                type: env
              - secret: l
                name: L
                type: env
        "#]],
    );
}

#[test]
fn another_file_has_the_variables_of_this_one_and_its_own_folder() {
    let mut world = Memory::with(
        "stack: s\nvariables:\n  tag: {type: string, value: '9'}\nservices:\n  web:\n    extends: {file: sub/base.yml, service: base}\n",
    )
    .file(
        "sub/base.yml",
        "version: '2'\nservices:\n  base:\n    image: a:$tag\n    build: .\n    env_file: [x.env]\n    environment: [A=1]\n",
    )
    .file("sub/x.env", "A=2\nB=3\n");
    check(
        &mut world,
        "services.0.env",
        expect![[r#"
        - A=1
        - B=3
    "#]],
    );
    check(&mut world, "services.0.image", expect!["a:9\n"]);
    check(
        &mut world,
        "services.0.build.context",
        expect!["/work/sub\n"],
    );
}

#[test]
fn a_parent_needs_no_image_of_its_own() {
    let mut world = Memory::with(
        "stack: s\nservices:\n  web: {extends: {file: c.yml, service: web}, image: a}\n",
    )
    .file("c.yml", "services: {web: {build: ., user: www}}");
    check(&mut world, "services.0.user", expect!["www\n"]);
}

#[test]
fn what_is_wrong_with_another_file_is_said_of_that_file() {
    let mut world = Memory::with(
        "stack: s\nservices:\n  web:\n    extends: {file: base.yml, service: base}\n  db:\n    extends: {file: no.yml, service: x}\n",
    )
    .file("base.yml", "services:\n  base:\n    image: a\n    restart: always\n");
    check(
        &mut world,
        "",
        expect![[r#"
            error: `restart` is not a key of a service
              --> base.yml:4:5
            4 |     restart: always
              |     ^
            hint: remove it: instances are always restarted
            error: the service `db` extends one of `no.yml`: there is no such file
              --> kontena.yml"#]],
    );
}

#[test]
fn services_that_extend_each_other_in_a_ring_are_refused() {
    let mut world = Memory::with(
        "stack: s\nservices:\n  a: {image: x, extends: b}\n  b: {image: x, extends: a}\n",
    );
    assert_eq!(
        first_problem(&mut world),
        "the service `a` extends itself, or too many others"
    );
    let mut world = Memory::with("stack: s\nservices:\n  a: {image: x, extends: gone}\n");
    assert_eq!(
        first_problem(&mut world),
        "the service that it extends, `gone`, is not in `kontena.yml`"
    );
}

fn with_children() -> Memory {
    Memory::with(
        "stack: u/top\ndepends:\n  db: {stack: db.yml, variables: {size: 3}}\n  web: {stack: user/web:1.0}\nservices:\n  app:\n    image: a\n    environment: [DB=$db, \"WEB={{ web }}\"]\n",
    )
    .file(
        "db.yml",
        "stack: db\nvariables:\n  size: {type: integer}\n  name: {type: string, default: '${PARENT_STACK}-${STACK}'}\ndepends:\n  log: {stack: log.yml}\nservices:\n  db:\n    image: db\n    instances: ${size}\n",
    )
    .file("log.yml", "stack: log\nvariables:\n  deep: {type: string}\nservices:\n  log: {image: 'log:$deep'}\n")
}

#[test]
fn dependencies_are_named_after_their_parent_and_get_their_values() {
    let mut world = with_children().value("db.log.deep", "d");
    world.registry.insert(
        "user/web:1.0".to_owned(),
        "stack: user/web\nservices: {web: {image: w}}".to_owned(),
    );
    let stack = world.read().unwrap();
    assert_eq!(
        at(&stack.payload, "services.0.env").inspect(),
        "[\"DB=top-db\", \"WEB=top-web\"]"
    );
    expect![[r#"
        - name: db
          stack: /work/db.yml
          variables:
            size: 3
          depends:
            - name: log
              stack: /work/log.yml
              variables: {}
        - name: web
          stack: user/web:1.0
          variables: {}
    "#]]
    .assert_eq(&yaml::print(&at(&stack.payload, "dependencies")));
    expect![[r#"
        db: top-db
        log: top.db-log
        web: top-web
    "#]]
    .assert_eq(&yaml::print(&at(&stack.payload, "variables")));
    let db = stack.children[0].outcome.as_ref().unwrap();
    assert_eq!(db.name, "top-db");
    assert_eq!(at(&db.payload, "services.0.instances"), Value::Integer(3));
    assert_eq!(at(&db.payload, "variables.name"), "top-top-db".into());
    let log = db.children[0].outcome.as_ref().unwrap();
    assert_eq!(log.name, "top-db-log");
    assert_eq!(at(&log.payload, "services.0.image"), "log:d".into());
    let answers: Vec<&str> = stack
        .answers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(answers, ["db.log.deep", "db.size", "db.name"]);
}

#[test]
fn a_dependency_that_is_wrong_is_its_own_matter_and_one_that_is_not_there_is_not() {
    let mut world = with_children();
    assert_eq!(
        first_problem(&mut world),
        "the dependency `web` cannot be read"
    );
    let web = "stack: user/web\nservices: {web: {imgae: w}}".to_owned();
    world.registry.insert("user/web:1.0".to_owned(), web);
    let stack = world.read().unwrap();
    let db = stack.children[0].outcome.as_ref().unwrap();
    assert!(db.children[0].outcome.is_err(), "`deep` has no value");
    assert!(stack.children[1].outcome.is_err(), "`imgae` is no key");
}

#[test]
fn stacks_that_depend_on_each_other_in_a_ring_are_refused() {
    let ring = "stack: a\ndepends: {b: {stack: kontena.yml}}\nservices: {x: {image: y}}";
    assert_eq!(
        first_problem(&mut Memory::with(ring)),
        "the dependency `b` leads back to a stack that needs it"
    );
    let missing = "stack: a\ndepends: {b: {stack: no.yml}}\nservices: {x: {image: y}}";
    assert_eq!(
        first_problem(&mut Memory::with(missing)),
        "the dependency `b` on `no.yml`: there is no such file"
    );
}
