//! Whatever a file says, reading it ends, and ends without a panic.

use proptest::prelude::*;

use super::*;

const WHOLE: &str = "stack: user/s\nversion: 1.0\nexpose: web\nvariables:\n  a: {type: string, default: x, from: {env: A, prompt: Which?}}\n  n:\n    type: integer\n    from:\n      evaluate: ${b} * 2\n  b: {type: boolean, only_if: a}\nservices:\n  web:\n    image: {{ a }}:$n\n    # {% if b %}\n    ports: [\"80:80\"]\n    # {% endif %}\n    environment: [A=${a}, B=$$c]\n    extends: db\n    deploy: {strategy: ha, min_health: 0.5}\n    hooks:\n      post_start:\n        - {name: x, cmd: 'a | b', instances: '*'}\n  db: &db\n    image: db\n    volumes: [v:/v]\n    <<: *x\nvolumes:\n  v: {external: true}\ndepends:\n  c: {stack: c.yml}\n";

fn any_edit() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let piece = prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{% for i in (1..9) %}"),
        Just("{% endfor %}"),
        Just("$"),
        Just("${"),
        Just("$a"),
        Just(": "),
        Just("- "),
        Just("\n"),
        Just("  "),
        Just("'"),
        Just("\""),
        Just("&x "),
        Just("*x"),
        Just("<<: "),
        Just("{"),
        Just("]"),
        Just("|"),
        Just("null"),
        Just("1"),
        Just("ä"),
        Just("\t"),
        Just("# "),
        Just("extends: web\n"),
        Just("type: "),
        Just("interpolate: "),
        Just("\u{0}"),
        Just("!!x "),
    ];
    (
        any::<prop::sample::Index>(),
        0_usize..6,
        piece.prop_map(str::to_owned),
    )
}

proptest! {
    #[test]
    fn a_mutated_file_is_read_or_refused_with_places(edits in prop::collection::vec(any_edit(), 1..8)) {
        let mut text: Vec<char> = WHOLE.replace("<<: *x", "user: x").chars().collect();
        for (at, removed, added) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, added.chars());
        }
        let text: String = text.into_iter().collect();
        let mut world = Memory::with(&text).file("c.yml", "stack: c\nservices: {c: {image: c}}");
        let read = world.read();
        if let Err(findings) = read {
            prop_assert!(!findings.problems.is_empty());
            let lines = text.lines().count() + 1;
            for problem in findings.problems {
                prop_assert!(problem.at.is_none_or(|at| at.line <= lines), "{problem:?}");
            }
        }
    }

    #[test]
    fn a_variable_of_any_kind_with_any_value_is_read_or_refused(
        kind in prop::sample::select(vec!["string", "integer", "boolean", "enum", "uri", "array", "group"]),
        options in prop::collection::vec(
            prop::sample::select(vec![
                "min_length: 3", "max_length: -1", "hexdigest: md5", "decode_64: true", "min: x", "max: 3",
                "as: string", "options: [a]", "options: {a: b}", "schemes: []", "split: ''", "join: '-'",
                "count: true", "nil_is: 4", "truthy: x", "in: [1, 2]", "required: false", "default: [1]",
                "from: {random_string: {length: -3}}", "from: {random_number: {min: 9, max: 1}}",
                "from: {condition: x}", "from: {yaml: {}}", "from: {evaluate: ((1}", "only_if: {GRID: 3}",
            ]),
            0..5,
        ),
        value in ".{0,12}",
    ) {
        let options: String = options.iter().map(|option| format!("    {option}\n")).collect();
        let text = format!("stack: s\nvariables:\n  x:\n    type: {kind}\n{options}services:\n  web:\n    image: a\n    user: \"{{{{ x }}}}\"\n");
        let _ = Memory::with(&text).value("x", value.as_str()).read();
        let _ = Memory::with(&text).read();
    }
}
