//! What templates write, and what is wrong with them.

use std::collections::BTreeMap;
use std::rc::Rc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::text::Source;

fn variables() -> BTreeMap<String, Value> {
    let values = [
        ("name", Value::from("db")),
        ("docker-image", Value::from("nginx")),
        ("count", Value::Integer(3)),
        ("nothing", Value::Null),
        ("no", Value::Boolean(false)),
        ("empty_text", Value::from("")),
        (
            "hosts",
            Value::List(vec!["a".into(), "b".into(), "c".into()]),
        ),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

fn written(text: &str) -> String {
    let mut report = Report::new(Rc::new(Source::new("f", text)));
    let rendered = render(&variables(), &mut report);
    match rendered {
        Some(rendered) if report.is_clean() => rendered.text,
        Some(_) | None => report.findings.to_string(),
    }
}

#[track_caller]
fn check_all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(written(text), *expected, "{text}");
    }
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&written(text));
}

#[test]
fn what_opens_a_tag_does_not_close_it() {
    check_all(&[("{% raw %}{%}{% endraw %}", "{%}")]);
    for unclosed in [
        "{% raw %}{%}",
        "{% comment %}{%}",
        "{%}",
        "{% comment %}{%}{% endcomment %}",
    ] {
        assert!(written(unclosed).contains("not"), "{unclosed}");
    }
}

#[test]
fn outputs_write_values() {
    check_all(&[
        ("a {{ name }} b {{count}}", "a db b 3"),
        ("{{ docker-image }}", "nginx"),
        ("{{ nothing }}{{ no }}", "false"),
        ("{{ hosts }}", "abc"),
        (
            "{{ hosts[1] }}{{ hosts[-1] }}{{ hosts.first }}{{ hosts.size }}",
            "bca3",
        ),
        ("{{ 'it' }}{{ \"x\" }}{{ 1.50 }}{{ -2 }}", "itx1.5-2"),
        ("{{ }}", ""),
        ("a  {{- name -}}  b", "adbb"),
        ("{% raw %}{{.Name}}{% endraw %}", "{{.Name}}"),
        ("a{% comment %}{{ undefined }}{% endcomment %}b", "ab"),
    ]);
}

#[test]
fn tags_choose_and_repeat() {
    check_all(&[
        (
            "{% if nothing %}a{% elsif no %}b{% else %}c{% endif %}",
            "c",
        ),
        ("{% if empty_text %}a{% endif %}", "a"),
        ("{% unless no %}a{% else %}b{% endunless %}", "a"),
        ("{% if count > 2 and name == 'db' %}a{% endif %}", "a"),
        ("{% if true or false and false %}a{% endif %}", "a"),
        (
            "{% if no and nothing.size > 0 %}a{% else %}b{% endif %}",
            "b",
        ),
        ("{% if hosts contains 'b' %}a{% endif %}", "a"),
        ("{% if name contains 'd' %}a{% endif %}", "a"),
        ("{% if empty_text == empty %}a{% endif %}", "a"),
        (
            "{% for i in (1..count) %}{{ i }}{% unless forloop.last %},{% endunless %}{% endfor %}",
            "1,2,3",
        ),
        (
            "{% for h in hosts reversed limit:2 offset:1 %}{{ h }}{% endfor %}",
            "cb",
        ),
        ("{% for h in nothing %}x{% else %}none{% endfor %}", "none"),
        (
            "{% for i in (1..9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "12",
        ),
        (
            "{% for i in (1..3) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        (
            "{% case count %}{% when 1 %}a{% when 2, 3 %}b{% else %}c{% endcase %}",
            "b",
        ),
        ("{% assign x = name | upcase %}{{ x }}", "DB"),
        (
            "{% capture x %}<{{ name }}>{% endcapture %}{{ x }}{{ x }}",
            "<db><db>",
        ),
        (
            "{% increment n %}{% increment n %}{{ n }}{% decrement m %}",
            "012-1",
        ),
        (
            "{% for i in (1..3) %}{% cycle 'a', 'b' %}{% endfor %}",
            "aba",
        ),
    ]);
}

#[test]
fn filters_change_values() {
    check_all(&[
        ("{{ 'a,b,,' | split: ',' | size }}", "2"),
        ("{{ 'a-b' | split: '-' | join: '+' }}", "a+b"),
        (
            "{{ name | append: '1' | prepend: '<' | replace: '1', '2' | capitalize }}",
            "<db2",
        ),
        (
            "{{ nothing | default: 'x' }}{{ '' | default: 'y' }}{{ no | default: 'z' }}",
            "xyz",
        ),
        (
            "{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ 7 | divided_by: 2.0 }}",
            "3 -4 3.5",
        ),
        (
            "{{ -7 | modulo: 3 }} {{ '3' | plus: 4 }} {{ 2 | times: 1.5 }} {{ 1.6 | round }}",
            "2 7 3.0 2",
        ),
        (
            "{{ 1.2345 | round: 2 }} {{ 1.2 | ceil }} {{ 1.8 | floor }} {{ -3 | abs }}",
            "1.23 2 1 3",
        ),
        (
            "{{ 'abcdef' | slice: 1, 3 }} {{ 'abcdef' | slice: -2, 2 }} {{ 'abc' | slice: 0 }}",
            "bcd ef a",
        ),
        (
            "{{ 'one two three' | truncate: 7 }} {{ 'one two three' | truncatewords: 2 }}",
            "one ... one two...",
        ),
        (
            "{{ 'b,a,B,a' | split: ',' | uniq | sort_natural | join: '' }}",
            "abB",
        ),
        (
            "{{ 'a b&c' | url_encode }} {{ 'a+b%26c' | url_decode }}",
            "a+b%26c a b&c",
        ),
        (
            "{{ ' x ' | strip }}{{ hosts | reverse | first }}{{ 5 | at_most: 3 }}{{ 1 | at_least: 2 }}",
            "xc32",
        ),
        ("{{ hosts | concat: hosts | size }}", "6"),
    ]);
}

#[test]
fn everything_that_nobody_declared_is_reported_at_once() {
    check(
        "a: {{ nmae }}\nb: {{ other }}\n",
        expect![[r"
            error: Liquid knows no variable `nmae`
              --> f:1:7
            1 | a: {{ nmae }}
              |       ^
            hint: did you mean `name`?
            error: Liquid knows no variable `other`
              --> f:2:7
            2 | b: {{ other }}
              |       ^
            hint: declare it under `variables`"]],
    );
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    for (text, said) in [
        (
            "x {{ name | upcas }}",
            "Liquid knows no filter `upcas`\n  --> f:1:13",
        ),
        (
            "{{ name | date: '%s' }}",
            "hint: a stack file means the same at any time",
        ),
        ("{{.Name}}", "a value is missing here\n  --> f:1:3"),
        ("{% if name %}", "`{% if %}` is not closed by `{% endif %}`"),
        ("{% endfor %}", "`endfor` ends no block"),
        ("{% fro i in hosts %}", "did you mean `for`?"),
        ("{{ name", "`{{` is not closed by `}}`"),
        ("{% if name > 1 %}{% endif %}", "cannot be compared"),
        ("{% include 'x' %}", "has no meaning in a stack file"),
        ("{{ name | append }}", "takes 1 arguments"),
        ("{{ 1 | divided_by: 0 }}", "nothing can be divided by 0"),
        ("{{ name.foo }}", "`name` has no `foo`"),
        ("{% raw %}", "is not closed"),
    ] {
        assert!(written(text).contains(said), "{text}: {}", written(text));
    }
}

#[test]
fn a_template_cannot_cost_more_than_its_budget() {
    for bomb in [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}",
        "{% assign a = 'aaaaaaaa' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}",
        "{% assign a = 'a' | split: '' %}{% for i in (1..99) %}{% assign a = a | concat: a %}{% endfor %}",
        "{% for i in (1..99999) %}{% capture a %}{{ a }}xxxxxxxx{% endcapture %}{% endfor %}",
    ] {
        let said = written(bomb);
        assert!(
            said.contains("too much") || said.contains("4 MiB") || said.contains("no variable `a`"),
            "{said}"
        );
    }
    let nested = format!(
        "{}{}",
        "{% if true %}".repeat(1000),
        "{% endif %}".repeat(1000)
    );
    assert!(written(&nested).contains("too many blocks"));
    let brackets = format!("{{{{ {}1 }}}}", "hosts[".repeat(100));
    assert!(written(&brackets).contains("too many brackets"));
}

#[test]
fn what_is_written_knows_where_it_comes_from() {
    let text = "ab{{ name }}{% for i in (1..2) %}x{% endfor %}";
    let mut report = Report::new(Rc::new(Source::new("f", text)));
    let rendered = render(&variables(), &mut report).unwrap();
    assert_eq!(rendered.text, "abdbxx");
    let origins: Vec<usize> = (0..6).map(|at| rendered.origin(at)).collect();
    assert_eq!(origins, [0, 1, 2, 2, 33, 33]);
}

proptest! {
    #[test]
    fn no_template_makes_the_interpreter_panic(
        parts in prop::collection::vec(
            prop_oneof![
                Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just(" if "), Just(" endif "),
                Just(" for i in (1..3) "), Just(" endfor "), Just("name"), Just(" | "), Just("size"),
                Just(": "), Just("'x'"), Just("-"), Just("1"), Just("99999999999999999999"),
                Just(" assign a = "), Just("hosts[0]"), Just("."), Just(" raw "), Just("ä"), Just("\n"),
                Just(" slice: -9, 9 "), Just(" capture b "), Just(" endcapture "), Just(" else "),
            ],
            0..24,
        )
    ) {
        let _ = written(&parts.concat());
    }
}
