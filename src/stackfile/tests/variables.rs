//! Types, resolvers, setters and conditions.

use expect_test::expect;

use super::*;

/// A stack with one variable `x`, and what it is in the end.
fn variable(lines: &str) -> Memory {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    Memory::with(&format!(
        "stack: s\nvariables:\n  first:\n    type: integer\n    value: 6\n  x:\n{lines}services:\n  web:\n    image: a\n    environment:\n      - X=${{x}}\n"
    ))
}

fn value_of(mut world: Memory) -> String {
    match world.read() {
        Ok(stack) => at(&stack.payload, "variables.x").inspect(),
        Err(findings) => findings.problems[0].message.clone(),
    }
}

#[track_caller]
fn check_values(cases: &[(&str, &str)]) {
    for (lines, expected) in cases {
        assert_eq!(value_of(variable(lines)), *expected, "{lines}");
    }
}

#[test]
fn texts_are_changed_and_measured() {
    check_values(&[
        (
            "type: string\nvalue: ' Ab '\nstrip: true\nupcase: true",
            "\"AB\"",
        ),
        ("type: string\nvalue: aB\ncapitalize: true", "\"Ab\""),
        ("type: string\nvalue: abc\nencode_64: true", "\"YWJj\""),
        ("type: string\nvalue: YWJj\ndecode_64: true", "\"abc\""),
        (
            "type: string\nvalue: abc\nhexdigest: md5",
            "\"900150983cd24fb0d6963f7d28e17f72\"",
        ),
        (
            "type: string\nvalue: abc\nhexdigest: sha1",
            "\"a9993e364706816aba3e25717850c26c9cd0d89d\"",
        ),
        (
            "type: string\nvalue: abc\nhexdigest: md6",
            "the variable `x` cannot be digested by `md6`: there are md5, sha1, sha256, sha384 and sha512",
        ),
        ("type: string\nvalue: ab\ntransform: [upcase]", "\"AB\""),
        ("type: string\nvalue: 12", "\"12\""),
        (
            "type: string\nvalue: ab\nmin_length: 3",
            "the variable `x` has 2 characters, at least 3 are needed",
        ),
        (
            "type: string\nvalue: abcd\nvalidate: {max_length: 3}",
            "the variable `x` has 4 characters, at most 3 are possible",
        ),
        (
            "type: string\nvalue: ''",
            "the variable `x` is required, and has no value",
        ),
        ("type: string\nvalue: ''\nempty_is_nil: false", "\"\""),
        (
            "type: string\nvalue: b\nin: [a, c]",
            "the variable `x` is `b`, not one of a, c",
        ),
    ]);
}

#[test]
fn numbers_booleans_and_the_rest_are_what_kontena_makes_of_them() {
    check_values(&[
        ("type: integer\nvalue: '12'", "12"),
        ("type: integer\nvalue: 1638.4", "1638"),
        (
            "type: integer\nvalue: -1",
            "the variable `x` is -1, the least is 0",
        ),
        (
            "type: integer\nvalue: 9\nmax: 8",
            "the variable `x` is 9, the most is 8",
        ),
        (
            "type: integer\nvalue: a",
            "the variable `x` is `a`, not a whole number",
        ),
        ("type: integer\nnil_is_zero: true", "0"),
        ("type: boolean\nvalue: 'on'", "true"),
        ("type: boolean\nvalue: nope", "false"),
        ("type: boolean\nvalue: yes\nas: string", "\"true\""),
        ("type: boolean\nvalue: yes\nas: integer", "1"),
        (
            "type: boolean\nvalue: no\nas: true_or_nil\nrequired: false",
            "nil",
        ),
        ("type: boolean\nvalue: si\ntruthy: [si]", "true"),
        (
            "type: enum\nvalue: b\noptions: [a, {value: b, label: B}]",
            "\"b\"",
        ),
        (
            "type: enum\nvalue: c\noptions: [a, b]",
            "the variable `x` is `c`, not one of a, b",
        ),
        (
            "type: enum\nvalue: c\noptions: [a]\ncan_be_other: true",
            "\"c\"",
        ),
        ("type: uri\nvalue: https://a.b/c", "\"https://a.b/c\""),
        (
            "type: uri\nvalue: ftp://a.b\nschemes: [ftp]",
            "\"ftp://a.b\"",
        ),
        (
            "type: uri\nvalue: ftp://a.b",
            "the variable `x` is `ftp://a.b`, which begins with none of http, https",
        ),
        (
            "type: uri\nvalue: nothing",
            "the variable `x` is `nothing`, not a URI as `https://example.com`",
        ),
        (
            "type: array\nvalue: b,a,b\nsort: true\nuniq: true",
            "[\"a\", \"b\"]",
        ),
        ("type: array\nvalue: a;b\nsplit: ;\njoin: +", "\"a+b\""),
        ("type: array\nvalue: a,,b\ncompact: true\ncount: true", "2"),
    ]);
}

#[test]
fn resolvers_are_asked_in_order_until_one_knows() {
    check_values(&[
        (
            "type: string\nfrom: {env: NO, random_string: 4}",
            "\"1234\"",
        ),
        (
            "type: string\nfrom: {random_string: {length: 3, charset: hex}}",
            "\"123\"",
        ),
        (
            "type: string\nfrom: {random_string: {length: 3, charset: x-z}}",
            "\"yzx\"",
        ),
        (
            "type: string\nfrom: {random_string: {length: 3, charset: base64}}",
            "the variable `x` from `random_string`: the `length` of base64 is a multiple of 4",
        ),
        (
            "type: integer\nfrom: {random_number: {min: 5, max: 9}}",
            "6",
        ),
        (
            "type: string\nfrom: random_uuid",
            "\"12345678-9abc-4def-b012-3456789abcde\"",
        ),
        (
            "type: string\nfrom:\n  interpolate: a${first}-$GRID",
            "\"a6-home\"",
        ),
        (
            "type: string\nfrom:\n  interpolate: $later",
            "the variable `x` from `interpolate`: `later` is no variable before it",
        ),
        ("type: integer\nfrom:\n  evaluate: ${first} * 2.5", "15"),
        (
            "type: integer\nfrom:\n  evaluate: ${first} % 2",
            "the variable `x` from `evaluate`: `6 % 2` cannot be computed: `%` cannot stand there",
        ),
        ("type: integer\nfrom: {variable: first}", "6"),
        (
            "type: string\nfrom: {condition: [{if: {first: 5}, then: five}, {elsif: {first: 6}, then: six}, {else: x}]}",
            "\"six\"",
        ),
        (
            "type: string\nfrom: {file: no.txt}",
            "the variable `x` from `file`: failed to read `no.txt`: there is no such file",
        ),
        (
            "type: string\nfrom: {file: {path: no.txt, ignore_errors: true}}\ndefault: d",
            "\"d\"",
        ),
        ("type: integer\nfrom: {service_instances: web}", "4"),
        (
            "type: integer\nfrom: {service_instances: db}\ndefault: 1",
            "1",
        ),
        (
            "type: string\ndefault: d\nfrom: {nonsense: 1}",
            "`nonsense` is no source of a variable",
        ),
        ("type: strnig", "`strnig` is no type of a variable"),
    ]);
}

#[test]
fn the_world_answers_files_the_environment_the_vault_and_yaml() {
    let mut world = variable("type: string\nfrom: {file: x.txt}").file("x.txt", "from a file");
    assert_eq!(value_of(std::mem::take(&mut world)), "\"from a file\"");
    let mut world = variable("type: string\nfrom: [env]");
    world.environment.insert("x".to_owned(), "e".to_owned());
    assert_eq!(value_of(world), "\"e\"");
    let mut world = variable("type: string\ndefault: d");
    world
        .environment
        .insert("x".to_owned(), "its own name".to_owned());
    assert_eq!(value_of(world), "\"its own name\"");
    let mut world = variable("type: string\nfrom: {env: [A, B]}");
    world.environment.insert("B".to_owned(), "b".to_owned());
    assert_eq!(value_of(world), "\"b\"");
    let mut world = variable("type: string\nfrom: {vault: secret}");
    world.secrets.insert("secret".to_owned(), "kept".to_owned());
    assert_eq!(value_of(world), "\"kept\"");
    let world = variable("type: string\nfrom: {yaml: {file: x.yml, key: a.b}}");
    assert_eq!(value_of(world.file("x.yml", "a: {b: deep}")), "\"deep\"");
}

#[test]
fn a_person_is_asked_by_type_with_what_is_offered() {
    let mut world = variable("type: enum\noptions: [a, b]\ndefault: a\nfrom: {prompt: Which?}");
    world.answers.insert("x".to_owned(), "b".into());
    assert!(world.read().is_ok());
    assert_eq!(world.asked[0].text, "Which?");
    assert_eq!(world.asked[0].default, Some("a".into()));
    assert!(matches!(&asked_kinds(&world)[0], AnswerKind::One(choices) if choices.len() == 2));

    let mut world = variable(
        "type: string\nrequired: false\nfrom: {service_link: {prompt: LB?, image: kontena/lb}}",
    );
    world.services = Some(vec!["edge/lb".to_owned()]);
    assert!(world.read().is_ok());
    assert!(
        matches!(&asked_kinds(&world)[0], AnswerKind::One(choices) if choices[0].label == "<none>")
    );

    let mut world = variable("type: array\nfrom: vault_cert_prompt");
    world.secrets.insert("SSL_a".to_owned(), String::new());
    world.secrets.insert("other".to_owned(), String::new());
    world
        .answers
        .insert("x".to_owned(), Value::List(vec!["SSL_a".into()]));
    assert_eq!(
        at(&world.read().unwrap().payload, "variables.x").inspect(),
        "[\"SSL_a\"]"
    );
    assert!(matches!(&asked_kinds(&world)[0], AnswerKind::Many(choices) if choices.len() == 1));

    let mut world = variable("type: string\necho: false\nfrom: prompt");
    let _ = world.read();
    assert_eq!(asked_kinds(&world), [AnswerKind::Text { shown: false }]);
}

#[test]
fn what_the_user_gives_wins_and_the_last_answer_is_the_new_default() {
    let given = || variable("type: integer\nvalue: 3").value("x", Value::Integer(7));
    assert_eq!(value_of(given()), "7");
    let mut world = variable("type: integer\ndefault: 3\nfrom: prompt");
    world.previous.insert("x".to_owned(), Value::Integer(5));
    assert_eq!(value_of(world), "5");
}

#[test]
fn conditions_leave_variables_out() {
    check_values(&[
        ("type: string\nvalue: a\nonly_if: first", "\"a\""),
        ("type: string\nvalue: a\nskip_if: first", "nil"),
        ("type: string\nvalue: a\nonly_if: {first: 6}", "\"a\""),
        (
            "type: string\nvalue: a\nonly_if: {first: {gt: 5, lt: 7}}",
            "\"a\"",
        ),
        (
            "type: string\nvalue: a\nonly_if: {first: {lte: 6}}",
            "\"a\"",
        ),
        ("type: string\nvalue: a\nonly_if: {first: {gte: 6}}", "nil"),
        (
            "type: string\nvalue: a\nonly_if: [first, GRID, {GRID: {start_with: ho}}]",
            "\"a\"",
        ),
        (
            "type: string\nvalue: a\nskip_if: {GRID: {any_of: [home, work]}}",
            "nil",
        ),
        (
            "type: string\nvalue: a\nonly_if: {GRID: {contain: om, end_with: me, ne: x, eq: home}}",
            "\"a\"",
        ),
        (
            "type: string\nvalue: a\nonly_if: later",
            "the variable `x`: the condition names `later`, which is no variable before it",
        ),
        (
            "type: string\nvalue: a\nonly_if: {first: {near: 5}}",
            "the variable `x`: `near` compares nothing: there are lt, lte, gt, gte, eq, ne, start_with, end_with, contain, any_of",
        ),
    ]);
}

#[test]
fn setters_reach_the_environment_and_the_vault() {
    let mut world = Memory::with(
        "stack: s\nvariables:\n  x:\n    type: string\n    value: v\n    to: {env: TAG, vault: kept}\n  y:\n    type: string\n    from: {env: TAG}\nservices:\n  web:\n    image: \"a:$TAG\"\n",
    );
    let stack = world.read().unwrap();
    assert_eq!(at(&stack.payload, "services.0.image"), "a:v".into());
    assert_eq!(at(&stack.payload, "variables.y"), "v".into());
    assert_eq!(stack.secrets.get("kept").map(String::as_str), Some("v"));
    assert!(stack.secret_variables.contains("x"));
    let answers: Vec<String> = stack.answers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        answers,
        ["y"],
        "what goes to the vault is kept nowhere else"
    );
    let (definition, left_out) = stack.definition();
    assert_eq!(definition["variables"].to_string(), r#"{"y":"v"}"#);
    let told = left_out.iter().map(|problem| problem.message.as_str());
    assert!(
        told.clone().any(|told| told
            == "`variables` puts the secret `kept` into the vault, which is not there yet: it is not kept"),
        "{:?}",
        told.collect::<Vec<_>>()
    );
}

#[test]
fn a_required_variable_without_a_value_says_how_to_give_it() {
    check(
        &mut variable("type: string"),
        "",
        expect![[r"
            error: the variable `x` is required, and has no value
              --> kontena.yml:6:3
            6 |   x:
              |   ^
            hint: give it with `-v x=VALUE`"]],
    );
}

#[test]
fn values_that_would_break_out_of_their_line_are_quoted() {
    let text = "stack: s\nvariables:\n  x:\n    type: string\nservices:\n  web:\n    image: a\n    command: ${x}\n    environment: [\"A=1\", B=$$x]\n";
    let mut world = Memory::with(text).value("x", "echo 'a b' | cat\n- evil: true");
    check(
        &mut world,
        "services.0.cmd",
        expect![[r#"
            - echo
            - a b
            - "|"
            - cat
            - "-"
            - "evil:"
            - "true"
        "#]],
    );
    check(
        &mut world,
        "services.0.env",
        expect![[r#"
        - A=1
        - B=$x
    "#]],
    );
}
