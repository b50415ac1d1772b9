//! The top level, and the order of processing.

use expect_test::expect;

use super::*;

#[test]
fn a_template_without_quotes_and_tags_in_comments_are_carried_out() {
    let mut world = Memory::with(
        "stack: s\nvariables:\n  n: {type: integer, value: 2}\n  gone: {type: string, required: false}\nservices:\n  web:\n    image: {{ n | append: '-x' }}\n    # {% if gone %}\n    instances: 9\n    # {% else %}\n    instances: {{ n }}\n    # {% endif %}\n    environment:\n      # {% for i in (1..n) %}\n      - V{{ i }}=$$HOME\n      # {% endfor %}\n",
    );
    check(&mut world, "services.0.image", expect!["\"2-x:latest\"\n"]);
    check(&mut world, "services.0.instances", expect!["2\n"]);
    check(
        &mut world,
        "services.0.env",
        expect![[r#"
        - V1=$HOME
        - V2=$HOME
    "#]],
    );
}

#[test]
fn a_fault_behind_a_loop_is_shown_where_it_stands_in_the_file() {
    let mut world = Memory::with(
        "stack: s\nservices:\n  # {% for i in (1..5) %}\n  web{{ i }}:\n    image: a\n  # {% endfor %}\n  db:\n    imag: a\n",
    );
    check(
        &mut world,
        "",
        expect![[r#"
            error: the service `db` has no `image`
              --> kontena.yml:7:3
            7 |   db:
              |   ^
            error: `imag` is not a key of a service
              --> kontena.yml:8:5
            8 |     imag: a
              |     ^
            hint: did you mean `image`?"#]],
    );
}

#[test]
fn built_in_names_are_known_everywhere() {
    let mut world = service("image: a\nenvironment: [\"$STACK.$GRID.${PLATFORM}=1\"]");
    check(
        &mut world,
        "services.0.env.0",
        expect![[r#"
        s.home.home-platform=1
    "#]],
    );
    world.name = Some("other".to_owned());
    check(
        &mut world,
        "services.0.env.0",
        expect![[r#"
        other.home.home-platform=1
    "#]],
    );
}

#[test]
fn an_undeclared_variable_is_refused_in_comments_too() {
    let mut world = service("image: a # or $tag\nuser: ${usr}");
    check(
        &mut world,
        "",
        expect![[r"
            error: the variable `tag` is not declared
              --> kontena.yml:4:19
            4 |     image: a # or $tag
              |                   ^
            hint: declare it under `variables`, or write `$$` for a `$` of its own
            error: the variable `usr` is not declared
              --> kontena.yml:5:11
            5 |     user: ${usr}
              |           ^
            hint: declare it under `variables`, or write `$$` for a `$` of its own"]],
    );
}

#[test]
fn what_variables_leave_behind_has_to_be_yaml_without_them() {
    let mut world = Memory::with(
        "stack: s\nvariables:\n  p: {type: integer, value: 80}\nservices:\n  web:\n    image: a\n    ports:\n      - ${p}:${p}/tcp\n",
    );
    check(
        &mut world,
        "",
        expect![[r#"
            error: `:/tcp` begins with a colon, which YAML reads as a symbol
              --> kontena.yml:8:13
            8 |       - ${p}:${p}/tcp
              |             ^
            hint: variables are left out while `variables` is read: put quotes around the value"#]],
    );
}

#[test]
fn the_top_level_is_told_as_it_is_written() {
    let mut world = Memory::with(
        "stack: user/shop\nversion: 0.1\nexpose: web\nlabels: [a.b=c]\nmeta: {tags: [x]}\nservices:\n  web: {image: a}\nvolumes:\n  data: {external: true}\n  logs: {external: {name: $STACK-logs}}\n",
    );
    let stack = world.read().unwrap();
    let Value::Map(mut payload) = stack.payload else {
        panic!("a payload is a mapping");
    };
    payload.retain(|(key, _)| key != "services" && key != "source");
    expect![[r#"
        name: shop
        stack: user/shop
        version: 0.1
        registry: file://
        expose: web
        labels:
          - a.b=c
        metadata:
          tags:
            - x
        volumes:
          - name: data
            external: data
          - name: logs
            external: shop-logs
        variables: {}
        dependencies: null
        parent: null
    "#]]
    .assert_eq(&yaml::print(&Value::Map(payload)));
}

#[test]
fn faults_of_the_top_level_are_refused() {
    for (text, said) in [
        ("services: {a: {image: b}}", "the file has no `stack`"),
        (
            "stack: [a]\nservices: {a: {image: b}}",
            "`stack` has to be a name, this is a list",
        ),
        ("stack: s", "the file has neither `services` nor `volumes`"),
        (
            "stack: s\nservices: [a]",
            "`services` has to be a mapping, this is a list",
        ),
        (
            "stack: s\nservices: {a: x}",
            "the service `a` has to be a mapping, this is a text",
        ),
        (
            "stack: s\nservices: {a: {image: b}}\nvolumes: {v: {driver: local, external: true}}",
            "`driver` is not a key of a volume",
        ),
        (
            "stack: s\nservices: {a: {image: b}}\nvolumes: {v: }",
            "the volume `v` has to be a mapping, this is nothing",
        ),
        (
            "stack: s\nservices: {a: {image: b}}\nlabels: ['A=b']",
            "the label `A=b` has to be KEY=VALUE, the key of a-z, 0-9, `.` and `-`",
        ),
        (
            "stack: s\nservices: {a: {image: b}}\ndepends: {a: {stack: other.yml}}",
            "`a` is both a service and a dependency",
        ),
        ("- a", "the file has no `stack`"),
        ("", "the file is empty"),
        (
            "a: [",
            "not valid YAML: while parsing a node, did not find expected node content",
        ),
        (
            "stack: s\nvariables: [x]\nservices: {a: {image: b}}",
            "`variables` has to be a mapping, this is a list",
        ),
    ] {
        let mut world = Memory::with(text).file("other.yml", "stack: o\nservices: {x: {image: y}}");
        let problems = match world.read() {
            Ok(_) => Vec::new(),
            Err(findings) => findings
                .problems
                .into_iter()
                .map(|problem| problem.message)
                .collect(),
        };
        assert!(
            problems.iter().any(|problem| problem == said),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn oddities_of_the_top_level_are_warned_of_and_accepted() {
    let mut world = Memory::with(
        "stack: My_Stack\ndescricption: x\nexpose: db\nnetworks: {}\nservices:\n  in_side: {image: a, image: b}\n",
    );
    let warnings = world.read().unwrap().warnings.warnings;
    let warnings: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        warnings,
        [
            "the stack name `My_Stack` is no host name",
            "`descricption` is not a key of a stack file, and means nothing",
            "`expose` names `db`, which is no service of the file",
            "`networks` means nothing: all services of a grid share one network",
            "the service name `in_side` is no host name",
            "the key `image` is given twice: the last one counts",
        ]
    );
}

#[test]
fn conditions_leave_services_and_volumes_out_after_checking_them() {
    let text = "stack: s\nvariables:\n  db: {type: string, value: galera}\nservices:\n  a: {image: x, only_if: {db: galera}}\n  b: {image: x, skip_if: db}\n  c: {image: x, only_if: [db, {db: mysql}]}\nvolumes:\n  v: {external: true, skip_if: db}\n";
    let mut world = Memory::with(text);
    let stack = world.read().unwrap();
    let names: Vec<String> = at(&stack.payload, "services")
        .as_list()
        .unwrap()
        .iter()
        .map(|service| at(service, "name").to_string())
        .collect();
    assert_eq!(names, ["a"]);
    assert_eq!(at(&stack.payload, "volumes").as_list().unwrap().len(), 0);
    let wrong = text.replace("{image: x, skip_if: db}", "{image: x, skip_if: db, a: 1}");
    assert_eq!(
        first_problem(&mut Memory::with(&wrong)),
        "`a` is not a key of a service"
    );
}
