//! A lab whose hosts are the nodes of one grid.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Lab, Node, Ran, eventually};

/// Joining takes a second; a machine that also starts engines takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// A takeover or a return, on a machine with two labs: 8 s and 13 s when it is idle.
pub(crate) const LATER: Duration = Duration::from_secs(90);

/// What has failed for a minute is said then, by itself, and heard within a moment.
pub(crate) const FAILED: Duration = Duration::from_secs(120);

/// A grid on the hosts of a lab, or on some of them.
pub(crate) struct Grid {
    pub(crate) lab: Lab,
    /// What `init` printed.
    pub(crate) token: String,
}

impl Grid {
    /// Every host of a new lab is a node. `None`, with a message, for anybody but root.
    pub(crate) fn up(hosts: u8) -> Option<Self> {
        Some(Self::on(Lab::up(hosts)?, hosts))
    }

    /// The first `members` hosts of the lab become nodes: host 1 begins, the others join it.
    pub(crate) fn on(lab: Lab, members: u8) -> Self {
        Self::begun(lab, members, &[])
    }

    /// The same, of a grid that is begun with these options.
    pub(crate) fn begun(lab: Lab, members: u8, options: &[&str]) -> Self {
        let token = {
            let first = lab.host(1);
            first.start_daemon();
            first.init("e2e", options)
        };
        let grid = Self { lab, token };
        for number in 2..=members {
            grid.node(number).start_daemon();
            grid.join(number);
        }
        grid.all_online(&(1..=members).collect::<Vec<_>>());
        grid
    }

    pub(crate) fn node(&self, number: u8) -> Node<'_> {
        self.lab.host(number)
    }

    /// Host `number` joins through host 1.
    #[track_caller]
    pub(crate) fn join(&self, number: u8) {
        let address = self.node(1).address();
        self.node(number)
            .kontena(&["join", &address, "--token", &self.token]);
    }

    /// Waits until each of these nodes says that they, and nobody else, are online.
    #[track_caller]
    pub(crate) fn all_online(&self, nodes: &[u8]) {
        let wanted: Vec<String> = nodes.iter().map(|node| self.node(*node).name()).collect();
        eventually(SOON, "all nodes to be online on all nodes", || {
            nodes.iter().try_for_each(|asked| {
                let seen = self.node(*asked).try_json(&["node", "ls"])?;
                let online = names_where(&seen, "status", "online");
                super::seen(online == wanted, (asked, seen))
            })
        });
    }

    /// Waits until `asked` says that the nodes of these names are offline.
    #[track_caller]
    pub(crate) fn offline(&self, asked: u8, names: &[&str]) {
        eventually(SOON, "nodes to be offline", || {
            let seen = self.node(asked).try_json(&["node", "ls"])?;
            super::seen(names_where(&seen, "status", "offline") == names, seen)
        });
    }

    /// Whether `asked` shows that the node of this name has a problem that begins so.
    pub(crate) fn problem_shown(&self, asked: u8, name: &str, begin: &str) -> Result<(), String> {
        let shown = self.node(asked).try_json(&["node", "show", name])?;
        let problems = shown["problems"].as_array().into_iter().flatten();
        let mut words = problems.filter_map(Value::as_str);
        super::seen(words.any(|words| words.starts_with(begin)), &shown)
    }

    /// A file that every host sees.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.lab.directory().join(name);
        std::fs::write(&path, text).expect("the lab's directory can be written");
        path.display().to_string()
    }

    /// What all of these nodes answer; panics if they do not come to say the same.
    #[track_caller]
    pub(crate) fn same_answer(&self, nodes: &[u8], arguments: &[&str]) -> Value {
        eventually(SOON, &format!("one answer to {arguments:?}"), || {
            self.one_answer(nodes, arguments)
        })
    }

    /// What all of these nodes answer now, or what they said instead.
    pub(super) fn one_answer(&self, nodes: &[u8], arguments: &[&str]) -> Result<Value, String> {
        let mut answers = nodes.iter().map(|node| {
            let answer = self.node(*node).try_json(arguments)?;
            Ok::<_, String>(without_own_clock(answer))
        });
        let first = answers.next().expect("somebody is asked")?;
        for (node, answer) in nodes.iter().skip(1).zip(answers) {
            let answer = answer?;
            if answer != first {
                return Err(format!(
                    "{arguments:?}: node-{} says {first}, node-{node} says {answer}",
                    nodes[0]
                ));
            }
        }
        Ok(first)
    }
}

/// `since` of a node is by the asked node's own clock.
fn without_own_clock(mut answer: Value) -> Value {
    let rows = answer.as_array_mut().into_iter().flatten();
    for row in rows.filter_map(Value::as_object_mut) {
        if row.contains_key("freshness") {
            row.remove("since");
        }
    }
    answer
}

/// The names of the rows that have this value, in their order.
fn names_where(rows: &Value, field: &str, value: &str) -> Vec<String> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter(|row| row[field] == value)
        .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

impl Ran {
    /// That it failed with this exit code, said nothing on standard output, and each of these words
    /// on standard error.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "data only: {self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` in {self:#?}");
        }
    }
}
