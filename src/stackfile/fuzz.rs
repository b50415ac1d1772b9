//! Texts that chance made, thrown at the readers: whatever comes, reading ends soon, without a panic and within bounds.
//!
//! Each target runs for `KONTENA_FUZZ_SECONDS`, a second where nothing is said; `scripts/fuzz` gives it minutes and a
//! limit of memory. What is tried follows from `KONTENA_FUZZ_SEED` and counting, so that a finding can be tried again:
//! it is printed with both.

#![allow(
    clippy::disallowed_methods,
    reason = "how long to go on is for whoever calls"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::liquid;
use crate::problem::Report;
use crate::tests::Memory;
use crate::text::Source;
use crate::{Value, convert, yaml};

/// Reading takes a few milliseconds, and the budget of templates at most some seconds in a debug build.
const LONGEST: Duration = Duration::from_secs(60);
/// Longer texts are tried in the tests of the limits.
const MAX_BYTES: usize = 16 * 1024;

const PIECES: [&str; 48] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{% for i in (1..99999999) %}",
    "{% endfor %}",
    "{% if a %}",
    "{% endif %}",
    "{% raw %}",
    "{% endraw %}",
    "{% assign b = a %}",
    "{% capture c %}",
    "| split: ','",
    "| replace: 'a', b",
    "$",
    "${",
    "$$",
    "$a",
    ": ",
    "- ",
    "? ",
    "\n",
    "\r\n",
    "  ",
    "\t",
    "'",
    "\"",
    "&x ",
    "*x",
    "<<: *x",
    "{",
    "}",
    "[",
    "]",
    "|",
    ">-",
    "!!binary ",
    "--- ",
    "...",
    "%YAML 1.1",
    "\u{feff}",
    "\u{0}",
    "0x",
    "1e999",
    "190:20:30",
    "extends: web",
    "interpolate: ${a}",
    "evaluate: ((1 / 0",
];

const YAML: &str = "a: &x {b: [1, 2.5, ~, yes, 0o7]}\nc: *x\nd:\n  - |\n    text\n  - >-\n    more\n  - 'it''s'\n  - \"\\u00e4\\n\"\n? {k: v}\n: {{ odd }}\ne: 2001-01-01\n<<: {f: g}\n";

const LIQUID: &str = "{% assign b = a | upcase %}{% for h in hosts %}{{ h }}{{ forloop.index }}{% unless no %},{% endunless %}{% endfor %}\n{% case a %}{% when 'x' %}1{% else %}{{ count | plus: 2 | times: 1.5 }}{% endcase %}{% capture c %}{{ b }}{% endcapture %}{% raw %}{{ }}{% endraw %}{% comment %}x{% endcomment %}{{ hosts | join: '-' | split: '-' | size }}\n";

const VARIABLES: &str = "stack: s\nvariables:\n  a: {type: string, default: x, min_length: 1, from: {env: A, prompt: Which?}, hexdigest: md5}\n  n: {type: integer, min: 0, max: 9, from: {evaluate: \"1 + (2 * 3)\"}}\n  b: {type: boolean, only_if: a, truthy: [y], as: string, required: false}\n  e: {type: enum, options: [{value: v, label: l}, w], default: v}\n  u: {type: uri, schemes: [https], default: 'https://a/'}\n  l: {type: array, split: ',', join: '-', sort: true, default: 'c,b'}\n  r: {type: string, from: {random_string: {length: 8, charset: a-f}}, to: {env: R, vault: r}}\n  m: {type: integer, from: {random_number: {min: 1, max: 5}}}\n  i: {type: string, from: {interpolate: \"${a}-x\"}}\n  c:\n    type: string\n    from:\n      condition:\n        - {if: {a: x}, then: y}\n        - {else: z}\nservices:\n  web: {image: \"a:$a\"}\n";

const WHOLE: &str = "stack: user/s\nversion: 1.0\nexpose: web\nlabels: [a=b]\nvariables:\n  a: {type: string, default: x}\n  b: {type: boolean, default: true}\nservices:\n  web:\n    image: {{ a }}:$a\n    # {% if b %}\n    ports: [\"80:80\"]\n    # {% endif %}\n    environment: [A=${a}, B=$$c]\n    extends: db\n    deploy: {strategy: ha, min_health: 0.5, interval: 1h}\n    health_check: {protocol: http, port: 80}\n    hooks:\n      post_start:\n        - {name: x, cmd: 'a | b', instances: '*'}\n  db: &db\n    image: db\n    affinity: ['label!=/x/', 'service==~db']\n    volumes: [v:/v]\n    extends: {file: other.yml, service: base}\nvolumes:\n  v: {external: true}\ndepends:\n  c: {stack: c.yml, variables: {x: 1}}\n";

/// Numbers that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

fn mutated(seeds: &[String], dice: &mut Dice) -> String {
    let mut text = seeds[dice.below(seeds.len())].clone().into_bytes();
    for _ in 0..=dice.below(8) {
        let at = dice.below(text.len() + 1);
        let end = (at + dice.below(12)).min(text.len());
        match dice.below(6) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(60)).min(other.len());
                let part = other.as_bytes()[from..to].to_vec();
                text.splice(at..at, part);
            }
            3 => {
                let part = text[at..end].repeat(1 + dice.below(40));
                text.splice(at..at, part);
            }
            4 => {
                let byte = u8::try_from(dice.below(128)).unwrap();
                text.splice(at..end.min(at + 1), [byte]);
            }
            _ => {
                let piece = dice.pick(&PIECES).as_bytes().to_vec();
                text.splice(at..at, piece);
            }
        }
    }
    text.truncate(MAX_BYTES);
    String::from_utf8_lossy(&text).into_owned()
}

fn asked(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |said| said.parse().expect("a number"))
}

#[track_caller]
fn fuzz(seeds: &[String], target: impl Fn(&str)) {
    let lasts = Duration::from_secs(asked("KONTENA_FUZZ_SECONDS", 1));
    let seed = asked("KONTENA_FUZZ_SEED", 1);
    let began = Instant::now();
    let mut number = 0_u64;
    while began.elapsed() < lasts {
        let mut dice = Dice(seed.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d)));
        let text = mutated(seeds, &mut dice);
        let start = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| target(&text)));
        let took = start.elapsed();
        assert!(
            read.is_ok() && took < LONGEST,
            "seed {seed}, number {number}, {took:?}: {text:?}"
        );
        number += 1;
    }
}

/// The given texts, and the public files beside the repository, where they are at hand.
fn seeds(own: &[&str]) -> Vec<String> {
    let mut seeds: Vec<String> = own.iter().map(|text| (*text).to_owned()).collect();
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut files = folders.map(|folder| folder.join("shared/corpus/files"));
    let Some(folder) = files.find(|folder| folder.is_dir()) else {
        return seeds;
    };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    seeds.extend(texts.filter(|text| text.len() <= MAX_BYTES));
    seeds
}

#[test]
fn yaml_is_read_or_refused_and_what_is_read_prints_to_the_same() {
    fuzz(&seeds(&[YAML, WHOLE]), |text| {
        if let Ok(value) = yaml::parse("f", text) {
            let again = yaml::parse("f", &yaml::print(&value));
            // Numbers that are none are not equal to themselves.
            let same = again.map(|again| format!("{again:?}"));
            assert_eq!(same.ok(), Some(format!("{value:?}")));
        }
    });
}

#[test]
fn templates_are_carried_out_or_refused() {
    let values = [
        ("a", Value::from("x")),
        ("no", Value::Boolean(false)),
        ("count", Value::Integer(3)),
        ("hosts", Value::List(vec!["a".into(), "b".into()])),
    ];
    let values: BTreeMap<String, Value> =
        values.map(|(name, value)| (name.to_owned(), value)).into();
    fuzz(&seeds(&[LIQUID]), |text| {
        let mut report = Report::new(Rc::new(Source::new("f", text)));
        let rendered = liquid::render(&values, &mut report);
        assert!(
            rendered.is_some() || !report.is_clean(),
            "refused without a word"
        );
    });
}

#[test]
fn variables_are_resolved_or_refused() {
    fuzz(&[VARIABLES.to_owned()], |text| {
        read(&mut Memory::with(text));
    });
}

#[test]
fn whole_files_are_read_or_refused() {
    fuzz(&seeds(&[WHOLE]), |text| {
        let other = "stack: o\nservices: {base: {image: b, user: x}}\n";
        let below = "stack: c\nvariables: {x: {type: integer}}\nservices: {c: {image: c}}\n";
        read(
            &mut Memory::with(text)
                .file("other.yml", other)
                .file("c.yml", below),
        );
        // A file may extend itself and depend on itself.
        read(
            &mut Memory::with(text)
                .file("other.yml", text)
                .file("c.yml", text),
        );
    });
}

#[test]
fn other_files_are_converted_or_refused() {
    fuzz(&seeds(&[WHOLE]), |text| {
        if let Err(findings) = convert("f", text, "name") {
            assert!(!findings.problems.is_empty(), "refused without a word");
        }
    });
}

fn read(world: &mut Memory) {
    match world.read() {
        Ok(stack) => drop(stack.definition()),
        Err(findings) => assert!(!findings.problems.is_empty(), "refused without a word"),
    }
}
