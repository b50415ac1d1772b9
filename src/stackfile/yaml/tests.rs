//! What the tree of a text is, and what is refused.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn inspect(text: &str) -> String {
    match parse("f", text) {
        Ok(value) => value.inspect(),
        Err(findings) => findings.to_string(),
    }
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&inspect(text));
}

#[test]
fn a_later_key_wins_and_merges_count_where_they_stand() {
    check("{a: 1, b: 2, a: 3}", expect![[r#"{"a"=>3, "b"=>2}"#]]);
    check(
        "b: &x {a: 2, c: 3}\nd:\n  c: 9\n  <<: *x\n  a: 7\n",
        expect![[r#"{"b"=>{"a"=>2, "c"=>3}, "d"=>{"c"=>3, "a"=>7}}"#]],
    );
    check(
        "d:\n  <<: [{a: 1, b: 1}, {a: 2, c: 2}]\n",
        expect![[r#"{"d"=>{"a"=>1, "c"=>2, "b"=>1}}"#]],
    );
}

#[test]
fn a_template_without_quotes_is_a_mapping_as_a_key() {
    check("- {{ x }}", expect![[r#"[{"{\"x\"=>nil}"=>nil}]"#]]);
}

#[test]
fn symbols_and_dates_are_refused_with_all_their_places() {
    check(
        "a: :b\nc: 2018-01-01\n",
        expect![[r"
            error: `:b` begins with a colon, which YAML reads as a symbol
              --> f:1:4
            1 | a: :b
              |    ^
            hint: put quotes around it
            error: `2018-01-01` is a date, which YAML reads as a date
              --> f:2:4
            2 | c: 2018-01-01
              |    ^
            hint: put quotes around it"]],
    );
}

#[test]
fn a_block_at_the_end_has_a_last_line_break_only_if_the_text_has() {
    check("a: |\n  x\n", expect![[r#"{"a"=>"x\n"}"#]]);
    check("a: |\n  x", expect![[r#"{"a"=>"x"}"#]]);
    check("a: >\n  x\nb: 1", expect![[r#"{"a"=>"x\n", "b"=>1}"#]]);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut last = 'a';
    for name in 'b'..='j' {
        let items = vec![format!("*{last}"); 9].join(", ");
        text.push_str(&format!("{name}: &{name} [{items}]\n"));
        last = name;
    }
    assert!(inspect(&text).contains("the aliases of this file make too much of it"));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert!(inspect(&deep).contains("more than 64 levels deep"));
    let deep = "- ".repeat(100_000);
    assert!(inspect(&deep).contains("more than 64 levels deep"));
    let large = format!("a: {}", "x".repeat(MAX_BYTES));
    assert!(inspect(&large).contains("larger than 1 MiB"));
}

/// What is written of a key in a key has its quotes quoted again.
#[test]
fn keys_in_keys_are_bounded() {
    let nested = |levels: usize| format!("{}x: 1", "? ".repeat(levels));
    assert!(inspect(&nested(3)).contains("=>"));
    assert!(inspect(&nested(4)).contains("more than 3 keys that are no texts"));
    assert!(inspect(&nested(60)).contains("more than 3 keys that are no texts"));
}

/// Found by `scripts/fuzz` (seed 20261126, number 36728).
#[test]
fn a_long_key_reads_back_as_the_same() {
    let keys = ["a".repeat(1_500), "\"=>".repeat(600), "ä".repeat(1_001)];
    let entries = keys
        .into_iter()
        .map(|key| (key, Value::List(vec![Value::Null])));
    let value = Value::Map(vec![("m".to_owned(), Value::Map(entries.collect()))]);
    assert_eq!(parse("f", &print(&value)), Ok(value));
}

#[test]
fn an_alias_in_its_own_anchor_and_unknown_tags_are_refused() {
    assert!(inspect("a: &x [*x]").contains("within its own anchor"));
    assert!(inspect("a: !ruby/object:Object {}").contains("is not supported"));
    check("a: !!str 1", expect![[r#"{"a"=>"1"}"#]]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let float = any::<f64>().prop_filter("NaN is unequal to itself", |number| !number.is_nan());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        float.prop_map(Value::Float),
        ".*".prop_map(Value::Text),
        "[a-z0-9:/ .#-]{0,12}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key = prop_oneof!["[a-z]{1,6}", ".{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Map(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same(value in any_value()) {
        let printed = print(&value);
        let again = parse("f", &printed);
        prop_assert_eq!(again.as_ref().ok(), Some(&value), "{}", printed);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-a:?\\[\\]{}&*!|>%@` \t\n\r\"'#,0-9<~.ä]{0,80}") {
        let _ = parse("f", &text);
    }
}
