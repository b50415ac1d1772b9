//! The tree's own rules, held by reading the source as text: who may import whom, and that each
//! module says what it is.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file of the shell, and the words that must not occur in it.
const LAYERS: &[(&str, &[&str], &str)] = &[
    (
        "src/p2p",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/docker",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/disk",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/api",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/network",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/registry",
        EDGES_AND_ABOVE,
        "an edge imports the core and its one library",
    ),
    (
        "src/fence",
        EDGES_AND_ABOVE,
        "the fence knows files, processes and a clock, and nothing of a node",
    ),
    (
        "src/laptop",
        &[
            "crate::p2p",
            "crate::docker",
            "crate::disk",
            "crate::api",
            "crate::daemon",
            "crate::cli",
            "crate::demo",
        ],
        "a person's machine knows packets, names and routes, and nothing of a node",
    ),
    (
        "src/daemon",
        &["crate::cli"],
        "the daemon does not know the command line",
    ),
    (
        "src/cli",
        &[
            "crate::p2p",
            "crate::docker",
            "crate::disk",
            "crate::network",
            "crate::api::server",
            "crate::api::backend",
        ],
        "the command line speaks to the API",
    ),
    (
        "src/core",
        &[
            "tokio",
            "libp2p",
            "bollard",
            "axum",
            "std::fs",
            "std::net::Tcp",
            "std::process",
        ],
        "the core is pure",
    ),
    (
        "src/overlay",
        &[
            "tokio",
            "libp2p",
            "bollard",
            "axum",
            "kontena_core",
            "kontena::",
        ],
        "the data plane knows packets and peers, and nothing of the grid",
    ),
    (
        "src/names",
        &["libp2p", "bollard", "axum", "kontena_core", "kontena::"],
        "the DNS server knows names and addresses, and nothing of the grid",
    ),
    (
        "src/stackfile",
        &[
            "tokio",
            "libp2p",
            "bollard",
            "axum",
            "kontena_core",
            "kontena::",
            "std::process",
        ],
        "the reader of stack files knows texts, and asks for everything else",
    ),
    (
        "simulations",
        &["tokio", "libp2p", "bollard", "axum"],
        "simulations depend on pure packages alone",
    ),
];

const EDGES_AND_ABOVE: &[&str] = &[
    "crate::p2p",
    "crate::docker",
    "crate::disk",
    "crate::network",
    "crate::api",
    "crate::daemon",
    "crate::cli",
    "crate::demo",
];

/// Inside the core, downhill only: a module, and what it must not know.
const DOWNHILL: &[(&str, &[&str])] = &[
    (
        "id",
        &[
            "crate::stack",
            "crate::view",
            "crate::node",
            "crate::document",
            "crate::placement",
            "crate::reconcile",
        ],
    ),
    (
        "stack",
        &[
            "crate::view",
            "crate::node",
            "crate::document",
            "crate::placement",
            "crate::reconcile",
        ],
    ),
    (
        "view",
        &[
            "crate::node",
            "crate::document",
            "crate::placement",
            "crate::reconcile",
            "crate::command",
        ],
    ),
    (
        "manifest",
        &[
            "crate::view",
            "crate::node",
            "crate::document",
            "crate::placement",
            "crate::reconcile",
        ],
    ),
    (
        "placement",
        &[
            "crate::node",
            "crate::document",
            "crate::reconcile",
            "crate::command",
        ],
    ),
    (
        "reconcile",
        &["crate::node", "crate::document", "crate::command"],
    ),
    (
        "network",
        &[
            "crate::node",
            "crate::document",
            "crate::reconcile",
            "crate::command",
        ],
    ),
    (
        "membership",
        &[
            "crate::node",
            "crate::placement",
            "crate::reconcile",
            "crate::command",
        ],
    ),
    (
        "document",
        &[
            "crate::node",
            "crate::placement",
            "crate::reconcile",
            "crate::command",
        ],
    ),
    ("command", &["crate::node"]),
];

#[test]
fn nobody_imports_what_lies_above_or_beside() {
    let mut broken = Vec::new();
    for (place, forbidden, reason) in LAYERS {
        for file in files_of(place) {
            for line in imports(&file, forbidden, place) {
                broken.push(format!("{line}: {reason}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn inside_the_core_arrows_point_downhill() {
    let mut broken = Vec::new();
    for (module, forbidden) in DOWNHILL {
        for file in files_of(&format!("src/core/{module}")) {
            broken.extend(imports(&file, forbidden, module));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Of a page: `| Kontena | here | test |`, where tests are named, and cases of a table by their text.
#[test]
fn each_rule_of_kontenas_scheduler_has_the_tests_that_its_page_names() {
    let page = read(&root().join("docs/design/kontena-scheduling.md"));
    let cases = read(&root().join("src/core/placement/tests/kontena.rs"));
    let tests: Vec<String> = test_names();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let mut missing = Vec::new();
    let mut named = 0;
    for row in &rows {
        let cell = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        if cell == "test" || cell == "–" {
            continue;
        }
        let (in_cases, names) = cited(cell);
        named += in_cases.len() + names.len();
        let no_case = |text: &&String| !cases.contains(&format!("\"{text}\""));
        missing.extend(in_cases.iter().filter(no_case).cloned());
        let no_test = |name: &&String| !tests.contains(name);
        missing.extend(names.iter().filter(no_test).cloned());
        if in_cases.is_empty() && names.is_empty() {
            missing.push(format!("a test of {row}"));
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
    assert!(
        named > 150,
        "the page was not read: {named} tests in {} rows",
        rows.len()
    );
}

/// The texts after `case`, and what stands between backticks outside of them.
fn cited(cell: &str) -> (Vec<String>, Vec<String>) {
    let mut cases = Vec::new();
    let mut rest = String::new();
    for (at, part) in cell.split("case \"").enumerate() {
        let (case, after) = part
            .split_once('"')
            .filter(|_| at > 0)
            .unwrap_or(("", part));
        cases.extend(Some(case.to_owned()).filter(|case| !case.is_empty()));
        rest.push_str(after);
    }
    let names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    (cases, names.collect())
}

/// Every function of the tree that is a test.
fn test_names() -> Vec<String> {
    let mut names = Vec::new();
    for file in all_sources() {
        let text = read(&file);
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[test]" || line.starts_with("#[tokio::test") {
                let found = lines
                    .find_map(|line| line.split_once("fn "))
                    .map(|(_, rest)| rest);
                let name = found.and_then(|rest| rest.split_once('('));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = all_sources()
        .into_iter()
        .filter(|file| {
            !read(file)
                .trim_start_matches("#![")
                .trim_start()
                .starts_with("//!")
        })
        .filter(|file| {
            !read(file)
                .lines()
                .take(5)
                .any(|line| line.starts_with("//!"))
        })
        .collect();
    assert!(silent.is_empty(), "without `//!`: {silent:#?}");
}

#[test]
fn nothing_is_left_for_later_and_only_one_file_prints() {
    let marks = ["todo!(", "unimplemented!(", "FIXME", "XXX"];
    let mut broken = Vec::new();
    for file in all_sources() {
        let text = read(&file);
        broken.extend(
            marks
                .iter()
                .filter(|mark| text.contains(*mark))
                .map(|mark| format!("{}: {mark}", file.display())),
        );
        let prints = text.contains("println!(") || text.contains("eprintln!(");
        let may = is_test(&file) || file.ends_with("src/cli/output.rs");
        if prints && file.starts_with(root().join("src")) && !may {
            broken.push(format!("{}: prints", file.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read(&root().join("docs/design/dependencies.md"));
    let manifests = [
        "Cargo.toml",
        "src/core/Cargo.toml",
        "src/names/Cargo.toml",
        "src/overlay/Cargo.toml",
        "src/stackfile/Cargo.toml",
        "simulations/Cargo.toml",
    ];
    let missing: Vec<String> = manifests
        .iter()
        .flat_map(|manifest| dependencies(&read(&root().join(manifest))))
        .filter(|name| !reasons.contains(&format!("`{name}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "no reason in docs/design/dependencies.md: {missing:?}"
    );
}

/// The names in all `[dependencies]` and `[dev-dependencies]` tables.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies]") && !line.contains("workspace");
        } else if inside && let Some((name, _)) = line.split_once(['=', '.']) {
            names.push(name.trim().to_owned());
        }
    }
    names.retain(|name| {
        !name.is_empty()
            && !name.starts_with('#')
            && name != "kontena-core"
            && name != "kontena-names"
            && name != "kontena-overlay"
            && name != "kontena-stackfile"
    });
    names
}

/// Lines of a file that name something forbidden, but what the place itself is called.
fn imports(file: &Path, forbidden: &[&str], place: &str) -> Vec<String> {
    let own = format!("crate::{}", place.trim_start_matches("src/"));
    read(file)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter(|(_, line)| {
            forbidden
                .iter()
                .any(|word| *word != own && names(line, word))
        })
        .map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim()))
        .collect()
}

/// Whether `line` uses `word` as a path or its beginning, and not as part of a longer name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        let before = line[..at].chars().next_back();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let path = word.contains("::") || line[at + word.len()..].starts_with("::");
        path && !inside(after) && !inside(before)
    })
}

/// Tests beside the code may read files and print why they skip.
fn is_test(file: &Path) -> bool {
    let below = file.strip_prefix(root()).unwrap_or(file);
    below
        .iter()
        .any(|part| part.to_string_lossy().contains("tests"))
}

/// `place.rs` and everything below `place/`, but its tests.
fn files_of(place: &str) -> Vec<PathBuf> {
    let folder = root().join(place);
    let mut files = Vec::new();
    let single = root().join(format!("{place}.rs"));
    if single.is_file() {
        files.push(single);
    }
    collect(&folder, &mut files);
    files.retain(|file| !is_test(file));
    files
}

fn all_sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    collect(&root().join("simulations"), &mut files);
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.expect("the tree can be listed").path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
}
