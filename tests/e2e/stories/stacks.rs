//! The life of a stack: installed, upgraded, compared, gone back with, removed; and two revisions of one
//! number from two sides of a cut.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::source::demo::images::{BUSYBOX, REDIS, WEB, WEB_NEXT};
use crate::support::grid::{LATER, SOON};
use crate::support::{Grid, Node, eventually, say, seen};

const ALL: [u8; 3] = [1, 2, 3];

#[test]
fn a_stack_goes_forward_and_back_and_two_sides_keep_their_revisions() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let first = grid.write("first.yml", &shop(WEB, false));
    let second = grid.write("second.yml", &shop(WEB_NEXT, true));
    node(2).kontena(&["stack", "install", &first]);
    grid.settled(&ALL, &[("shop/web", 2)], SOON);

    let plan = node(1).kontena(&["stack", "upgrade", "--dry-run", "shop", &second]);
    assert!(plan.contains("create   idle"), "{plan}");
    assert!(plan.contains("replace  web"), "{plan}");
    assert_eq!(
        numbers(&grid.same_answer(&ALL, &["stack", "history", "shop"])),
        ["1"]
    );

    node(3).kontena(&["stack", "upgrade", "shop", &second]);
    grid.settled(&ALL, &[("shop/web", 2), ("shop/idle", 1)], SOON);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history), ["2", "1"]);
    let diff = node(1).kontena(&["stack", "diff", "shop", "1", "2"]);
    assert!(
        diff.contains(&format!("image: {WEB} -> {WEB_NEXT}")),
        "{diff}"
    );
    let same = node(1).kontena(&["stack", "diff", "shop", &second]);
    assert_eq!(same, "no service changes\n");

    node(1).kontena(&["stack", "rollback", "shop"]);
    grid.settled(&ALL, &[("shop/web", 2)], SOON);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history), ["3", "2", "1"]);

    grid.lab.cut(1);
    grid.offline(1, &["node-2", "node-3"]);
    node(1).kontena(&["stack", "upgrade", "--no-deploy", "shop", &second]);
    node(2).kontena(&["stack", "upgrade", "--no-deploy", "shop", &first]);
    grid.lab.heal(1);
    eventually(LATER, "the revisions of both sides", || {
        let history = node(3).kontena_json(&["stack", "history", "shop"]);
        seen(numbers(&history).len() == 5, history)
    });
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    let of_the_small_side = revision_by(&history, "node-1", 4);
    assert!(of_the_small_side.starts_with("4~"), "{history}");
    assert_ne!(of_the_small_side, revision_by(&history, "node-2", 4));
    let unclear = node(3).try_kontena(&["stack", "rollback", "shop", "4"]);
    unclear.refused(1, &[&of_the_small_side]);

    node(3).kontena(&["stack", "rollback", "shop", &of_the_small_side]);
    grid.settled(&ALL, &[("shop/web", 2), ("shop/idle", 1)], LATER);
    let history = grid.same_answer(&ALL, &["stack", "history", "shop"]);
    assert_eq!(numbers(&history)[0], "5");

    node(2).kontena(&["stack", "rm", "--force", "shop"]);
    grid.settled(&ALL, &[], SOON);
    let gone = node(1).try_kontena(&["stack", "history", "shop"]);
    gone.refused(1, &["`shop` does not exist"]);
}

#[test]
fn what_two_sides_of_a_cut_wrote_is_told_and_resolved() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let first = grid.write("first.yml", &shop(WEB, false));
    let second = grid.write("second.yml", &shop(WEB_NEXT, true));
    let third = grid.write(
        "third.yml",
        &shop(WEB, false).replace("80\n", "80\n    environment: [MODE=other]\n"),
    );
    node(2).kontena(&["stack", "install", &first]);
    grid.settled(&ALL, &[("shop/web", 2)], SOON);
    let nothing = node(1).try_kontena(&["stack", "resolve", "shop"]);
    nothing.refused(1, &["it has no conflict"]);

    grid.lab.cut(1);
    grid.offline(1, &["node-2", "node-3"]);
    node(1).kontena(&["stack", "upgrade", "--no-deploy", "shop", &second]);
    node(2).kontena(&["stack", "upgrade", "--no-deploy", "shop", &third]);
    grid.lab.heal(1);
    eventually(LATER, "the conflict of both sides", || {
        let shop = node(3).kontena_json(&["stack", "show", "shop"]);
        seen(
            shop["conflicts"]
                .as_array()
                .is_some_and(|all| all.len() == 1),
            shop,
        )
    });
    let shop = grid.same_answer(&ALL, &["stack", "show", "shop"]);
    let conflict = &shop["conflicts"][0];
    assert_eq!(conflict["service"], "web", "{shop}");
    assert_eq!(conflict["subject"], "definition", "{shop}");
    let sides = conflict["sides"].as_array().expect("a list");
    let of = |node: &str| {
        let side = sides.iter().find(|side| side["by"] == node);
        side.unwrap_or_else(|| panic!("{shop}"))
    };
    assert_eq!(of("node-1")["value"]["image"], WEB_NEXT, "{shop}");
    assert_eq!(of("node-2")["value"]["environment.MODE"], "other", "{shop}");
    let shown = node(1).kontena(&["stack", "show", "shop"]);
    assert!(shown.contains("web definition:"), "{shown}");
    let services = shop["services"].as_array().expect("a list");
    assert_eq!(services.len(), 2, "what one side added stays: {shop}");

    let take = of("node-1")["revision"].as_str().expect("a revision");
    node(3).kontena(&["stack", "resolve", "shop", "--take", take]);
    grid.settled(&ALL, &[("shop/web", 2), ("shop/idle", 1)], LATER);
    let shop = grid.same_answer(&ALL, &["stack", "show", "shop"]);
    assert_eq!(
        shop["conflicts"].as_array().map(Vec::len),
        Some(0),
        "{shop}"
    );
    assert_eq!(shop["revision"], 3, "{shop}");
    let diff = node(2).kontena(&["stack", "diff", "shop", &second]);
    assert_eq!(diff, "no service changes\n");
}

#[test]
fn a_stack_brings_others_along_keeps_its_answers_and_takes_them_with_it() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let sleeper = |name: &str| {
        let image = BUSYBOX;
        format!(
            "  {name}:\n    image: {image}\n    command: sleep 100000\n    stop_signal: SIGKILL\n"
        )
    };
    let below = "stack: demo/db\nvariables: {size: {type: integer}}\nservices:\n";
    let below = format!(
        "{below}{}    environment: [\"SIZE=$size\"]\n",
        sleeper("store")
    );
    grid.write("db.yml", &below);
    let family = |dependency: &str| {
        let head = format!(
            "stack: demo/shop\nlabels: [team=a]\ndepends: {{{dependency}: {{stack: db.yml}}}}\n"
        );
        let web = sleeper("web");
        format!("{head}services:\n{web}    links: [\"${dependency}/store\"]\n")
    };
    let first = grid.write("family.yml", &family("db"));
    let second = grid.write("other.yml", &family("base"));
    let asked = node(1).try_kontena(&["stack", "install", &first]);
    asked.refused(1, &["-v db.size=VALUE"]);
    node(2).kontena(&["stack", "install", "-v", "db.size=3", &first]);
    grid.settled(&ALL, &[("shop-db/store", 1), ("shop/web", 1)], SOON);
    let list = grid.same_answer(&ALL, &["stack", "ls"]);
    assert_eq!(list[0]["children"][0], "shop-db", "{list}");
    assert_eq!(list[0]["labels"][0], "team=a", "{list}");
    assert_eq!(list[1]["parent"], "shop", "{list}");
    assert_eq!(list[1]["variables"]["size"], 3, "{list}");

    // The answers of last time count.
    let plan = node(3).kontena_json(&["stack", "upgrade", "--dry-run", "shop", &first]);
    assert_eq!(plan["services"].as_array().map(Vec::len), Some(0), "{plan}");
    assert_eq!(plan["dependencies"][0]["change"], "upgrade", "{plan}");
    let plan = node(3).kontena(&[
        "stack",
        "upgrade",
        "--dry-run",
        "-v",
        "base.size=4",
        "shop",
        &second,
    ]);
    for expected in [
        "stack `shop-base` is installed:",
        "stack `shop-db` is removed:",
    ] {
        assert!(plan.contains(expected), "{plan}");
    }
    node(3).kontena(&["stack", "upgrade", "-v", "base.size=4", "shop", &second]);
    grid.settled(&ALL, &[("shop-base/store", 1), ("shop/web", 1)], LATER);

    node(1).kontena(&["stack", "rm", "--force", "shop"]);
    grid.settled(&ALL, &[], SOON);
    let list = grid.same_answer(&ALL, &["stack", "ls"]);
    assert_eq!(list.as_array().map(Vec::len), Some(0), "{list}");
}

/// With variables, links, a volume that Docker makes and a folder of the hosts, a stack below, and all that can be
/// done to it.
#[test]
fn a_family_with_data_goes_through_its_whole_life() {
    let Some(grid) = Grid::up(3) else { return };
    let node = |number| grid.node(number);
    let pages = grid.lab.directory().join("pages");
    std::fs::create_dir(&pages).expect("the lab's directory can be written");
    std::fs::write(pages.join("motto"), "slow and steady").expect("it was made");
    grid.write("db.yml", DATABASE);
    let first = grid.write("first.yml", &site(WEB, &pages));
    let second = grid.write("second.yml", &site(WEB_NEXT, &pages));

    let values = ["-v", "mode=calm", "-v", "db.size=3"];
    let install = [&["stack", "install", "--no-deploy", &first], &values[..]].concat();
    node(2).kontena(&install);
    let recorded = grid.same_answer(&ALL, &["stack", "show", "site"]);
    assert_eq!(recorded["state"], "initialized", "{recorded}");
    node(1).kontena(&["stack", "deploy", "site-db", "site"]);
    let all = [("site-db/store", 1), ("site/web", 2)];
    grid.settled(&ALL, &all, SOON);
    let store = Container::find(&grid, "site-db.store-1");
    assert_eq!(store.variable("SIZE"), "3");
    assert_eq!(store.ask("SET visits 41"), "OK");
    assert_eq!(store.ask("SAVE"), "OK");
    let web = Container::find(&grid, "site.web-1");
    assert_eq!(web.run(&["cat", "/pages/motto"]), "slow and steady");
    eventually(SOON, "the linked store to answer the web", || {
        let script = "(printf 'GET visits\\r\\n'; sleep 0.3) | busybox nc -w 2 $STORE 6379";
        let answer = web.try_run(&["sh", "-c", script])?;
        seen(answer.contains("41"), answer)
    });

    // What an upgrade records runs when it is deployed.
    let upgrade = [
        "stack",
        "upgrade",
        "--no-deploy",
        "-v",
        "db.size=4",
        "site",
        &second,
    ];
    node(3).kontena(&upgrade);
    assert_eq!(
        Container::find(&grid, "site-db.store-1").variable("SIZE"),
        "3"
    );
    node(1).kontena(&["stack", "deploy", "site-db"]);
    node(1).kontena(&["stack", "deploy", "site"]);
    grid.settled(&ALL, &all, SOON);
    let store = Container::find(&grid, "site-db.store-1");
    assert_eq!(store.variable("SIZE"), "4");
    assert_eq!(store.ask("GET visits"), "41", "the volume is the same one");
    let web = Container::find(&grid, "site.web-1");
    assert_eq!(web.variable("MODE"), "calm", "an answer of last time");
    assert_eq!(web.variable("VERSION"), "2");

    node(2).kontena(&["stack", "rollback", "site-db"]);
    node(2).kontena(&["stack", "rollback", "site"]);
    grid.settled(&ALL, &all, SOON);
    let store = Container::find(&grid, "site-db.store-1");
    assert_eq!(
        (store.variable("SIZE"), store.ask("GET visits")),
        ("3".into(), "41".into())
    );
    assert_eq!(
        Container::find(&grid, "site.web-1").variable("VERSION"),
        "1"
    );
    let values = node(3).kontena(&["stack", "show", "--values", "site-db"]);
    assert!(values.contains("size: 3"), "{values}");

    node(1).kontena(&["stack", "label", "add", "site", "team=blue", "tier=1"]);
    node(2).kontena(&["stack", "label", "rm", "site", "tier=1"]);
    let labels = grid.same_answer(&ALL, &["stack", "label", "ls", "site"]);
    assert_eq!(labels, serde_json::json!(["team=blue"]));
    let list = node(3).kontena(&["stack", "ls"]);
    assert!(list.contains("team=blue"), "{list}");

    let needed = node(3).try_kontena(&["stack", "rm", "--force", "site-db"]);
    needed.refused(1, &["`site/web` links to it"]);
    let volumes = ["volume", "ls", "--quiet", "--filter", "name=site-db."];
    let data = store.node.docker(&volumes);
    let removed = node(3).try_kontena(&["stack", "rm", "--force", "site"]);
    assert!(removed.status.success(), "{removed:?}");
    assert!(
        removed.stderr.contains("removed stack `site-db`"),
        "{removed:?}"
    );
    grid.settled(&ALL, &[], SOON);
    assert_eq!(store.node.docker(&volumes), data, "data stays");
    assert!(!data.is_empty());
    assert!(pages.join("motto").exists());
}

const DATABASE: &str = "\
stack: demo/db
version: 1.0.0
variables:
  size: {type: integer}
services:
  store:
    image: redis:demo
    stateful: true
    volumes: [/data]
    environment: [\"SIZE=$size\"]
";

fn site(image: &str, pages: &Path) -> String {
    let pages = pages.display();
    format!(
        "\
stack: demo/site
version: 1.0.0
variables:
  mode: {{type: string}}
depends:
  db: {{stack: db.yml}}
services:
  web:
    image: {image}
    instances: 2
    links: [\"$db/store\"]
    volumes: [\"{pages}:/pages:ro\"]
    environment: [\"MODE=$mode\", \"STORE=store.$db.${{GRID}}.kontena.local\"]
    deploy:
      wait_for_port: 80
"
    )
}

/// A container, and the host that has it.
struct Container<'a> {
    node: Node<'a>,
    name: String,
}

impl<'a> Container<'a> {
    #[track_caller]
    fn find(grid: &'a Grid, name: &str) -> Self {
        let mut nodes = ALL.into_iter().map(|number| grid.node(number));
        let node = nodes.find(|node| node.containers().iter().any(|one| one == name));
        let Some(node) = node else {
            panic!("no host runs `{name}`");
        };
        let name = name.to_owned();
        Self { node, name }
    }

    fn try_run(&self, program: &[&str]) -> Result<String, String> {
        let arguments = [&["exec", &self.name], program].concat();
        let said = self.node.try_docker(&arguments)?;
        Ok(said.trim().to_owned())
    }

    #[track_caller]
    fn run(&self, program: &[&str]) -> String {
        match self.try_run(program) {
            Ok(said) => said,
            Err(problem) => panic!("{program:?} in {}: {problem}", self.name),
        }
    }

    #[track_caller]
    fn variable(&self, name: &str) -> String {
        self.run(&["sh", "-c", &format!("echo ${name}")])
    }

    /// What its database answers.
    #[track_caller]
    fn ask(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        self.run(&[&["redis-cli"], &words[..]].concat())
    }
}

/// As their authors wrote them, with images of ours that stand in for theirs.
#[test]
fn public_stack_files_run() {
    let Some(folder) = public_files() else {
        say("skipped: there are no public stack files beside the repository");
        return;
    };
    let Some(grid) = Grid::up(3) else { return };
    let images = [
        (REDIS, "redis:3.2-alpine"),
        (REDIS, "redis:3-alpine"),
        (REDIS, "redis:3.0.7-alpine"),
        (REDIS, "redis:3.2.8-alpine"),
        (WEB, "foo:latest"),
        (WEB, "mattipaksula/xpra:latest"),
    ];
    for node in ALL.map(|number| grid.node(number)) {
        for (ours, theirs) in images {
            node.docker(&["tag", ours, theirs]);
        }
    }
    let path = |file: &str| folder.join(file).display().to_string();
    let fixture = |file: &str| path(&format!("kontena_kontena__{file}.yml"));
    for (name, file) in [
        ("redis", path("kontena_kontena-stacks__redis-kontena.yml")),
        (
            "liquid",
            fixture("cli-spec-fixtures-stack-with-liquid-optional"),
        ),
        (
            "counting",
            fixture("test-spec-fixtures-stack-service_instances_resolver-kontena"),
        ),
        ("old", fixture("test-spec-fixtures-stack-upgrade-version1")),
        ("screen", path("matti_xpra__kontena.yml")),
    ] {
        grid.node(1)
            .kontena(&["stack", "install", "--name", name, &file]);
    }
    let newer = fixture("test-spec-fixtures-stack-upgrade-version2");
    grid.node(2).kontena(&["stack", "upgrade", "old", &newer]);
    let services = [
        ("counting/redis", 1),
        ("liquid/test", 1),
        ("old/redis", 1),
        ("redis/db", 1),
        ("screen/app", 1),
    ];
    grid.settled(&ALL, &services, LATER);
    let shown = grid.node(3).kontena(&["stack", "show", "old"]);
    assert!(shown.contains("image: redis:3.2.8-alpine"), "{shown}");
    for database in ["counting.redis-1", "old.redis-1", "redis.db-1"] {
        assert_eq!(Container::find(&grid, database).ask("PING"), "PONG");
    }
}

/// The collection beside the repository, if it is there.
fn public_files() -> Option<PathBuf> {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = folders.find(|folder| folder.join("shared/corpus/files").is_dir());
    found.map(|folder| folder.join("shared/corpus/files"))
}

/// The newest first.
fn numbers(history: &Value) -> Vec<&str> {
    let revisions = history.as_array().expect("a list");
    revisions
        .iter()
        .map(|one| one["revision"].as_str().expect("a name"))
        .collect()
}

fn revision_by(history: &Value, node: &str, number: u64) -> String {
    let revisions = history.as_array().expect("a list");
    let mut found = revisions
        .iter()
        .filter(|one| one["by"] == node && one["number"] == number);
    let one = found.next().unwrap_or_else(|| panic!("{history}"));
    one["revision"].as_str().expect("a name").to_owned()
}

fn shop(image: &str, with_idle: bool) -> String {
    let idle = format!(
        "  idle:
    image: {BUSYBOX}
    command: sleep 100000
    stop_signal: SIGKILL
"
    );
    format!(
        "\
stack: demo/shop
version: 0.1.0
services:
  web:
    image: {image}
    instances: 2
    deploy:
      wait_for_port: 80
{}",
        if with_idle { idle.as_str() } else { "" }
    )
}
