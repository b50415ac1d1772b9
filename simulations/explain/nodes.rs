//! A node file: the nodes of a grid that somebody imagines, to ask what would run where.
//!
//! ```text
//! nodes:
//!   n1:
//!   n2: { zone: eu-1, labels: [ssd, rack=7] }
//!   n3: { availability: drain, cpus: 4, memory: 16g }
//! ```

use kontena_core::id::NodeName;
use kontena_core::membership::admission::check_labels;
use kontena_core::stack::size_bytes;
use kontena_stackfile::yaml::{Document, Node};
use kontena_stackfile::{Findings, nearest};

use crate::engine::Engine;

/// The most nodes of a file: what the pace of gossip was measured for.
const MAX_NODES: usize = 1_000;

/// One node that is imagined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedNode {
    pub(super) name: NodeName,
    /// As they are written; a `zone` is the label `az=ZONE`, as for real nodes.
    pub(super) labels: Vec<String>,
    /// Takes no new work.
    pub(super) drains: bool,
    /// Cores.
    pub(super) cpus: u32,
    /// In bytes.
    pub(super) memory: u64,
}

/// Reads a node file of at most 1 MiB: at least one node, in the order of the file. `file` is the name
/// shown in problems.
///
/// # Errors
/// Every problem of the file, in the order of the file.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<PlannedNode>, Findings> {
    let document = Document::read(file, text)?;
    let root = document.root();
    let mut reader = Reader { document };
    let nodes = reader.nodes(&root);
    let mut findings = reader.document.findings();
    // Two nodes of one name are one too few.
    findings.problems.append(&mut findings.warnings);
    if findings.problems.is_empty() {
        return Ok(nodes);
    }
    Err(findings)
}

/// Keys that people try, each with what to do instead.
const FOREIGN: [(&str, &str); 6] = [
    ("services", "services are in the stack file"),
    ("stack", "this is the place for the node file"),
    ("name", "the name of a node is its key under `nodes`"),
    ("az", "the key is `zone`"),
    ("region", "the key is `zone`"),
    ("mem_limit", "the key is `memory`: what the node has"),
];

struct Reader {
    document: Document,
}

impl Reader {
    fn refuse(&mut self, node: &Node, message: impl std::fmt::Display) {
        self.document.refuse(node, message, None);
    }

    /// The entries of a mapping of which all keys are known; none for null.
    fn section<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        keys: &[&str],
    ) -> Vec<(String, &'n Node)> {
        let mut known = Vec::new();
        for (key, value) in self.entries(node, what) {
            let name = key.key();
            if keys.contains(&name.as_str()) {
                known.push((name, value));
                continue;
            }
            let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == name);
            let hint = foreign.map(|(_, hint)| (*hint).to_owned()).or_else(|| {
                let near = nearest(&name, keys.iter().copied())?;
                Some(format!("did you mean `{near}`?"))
            });
            let message = format!("`{name}` is not a key of {what}");
            self.document.refuse(key, message, hint);
        }
        known
    }

    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n Node)> {
        match node.entries() {
            Some(entries) => entries
                .iter()
                .map(|(key, value)| (&**key, &**value))
                .collect(),
            None => {
                if !node.is_null() {
                    let message = format!("{what} has to be a mapping, this is {}", node.what());
                    self.refuse(node, message);
                }
                Vec::new()
            }
        }
    }

    fn nodes(&mut self, root: &Node) -> Vec<PlannedNode> {
        let mut nodes = Vec::new();
        for (_, list) in self.section(root, "a node file", &["nodes"]) {
            let entries = self.entries(list, "`nodes`");
            if entries.len() > MAX_NODES {
                let message = format!("{} nodes, {MAX_NODES} are possible", entries.len());
                self.refuse(list, message);
                return Vec::new();
            }
            for (key, node) in entries {
                nodes.extend(self.node(key, node));
            }
        }
        if nodes.is_empty() {
            let hint = "list at least one under `nodes`, as in `nodes: { n1: , n2: }`";
            let message = "the file has no nodes";
            self.document.refuse(root, message, Some(hint.to_owned()));
        }
        nodes
    }

    fn node(&mut self, key: &Node, node: &Node) -> Option<PlannedNode> {
        let (mut labels, mut drains) = (Vec::new(), false);
        let (mut cpus, mut memory) = (Engine::CPUS, Engine::MEMORY);
        let keys = ["zone", "labels", "availability", "cpus", "memory"];
        for (name, value) in self.section(node, "a node", &keys) {
            match name.as_str() {
                "zone" => labels.extend(self.zone(value)),
                "availability" => drains = self.availability(value)?,
                "cpus" => cpus = self.cpus(value)?,
                "memory" => memory = self.memory(value)?,
                _ => labels.extend(self.labels(value)),
            }
        }
        match key.key().parse() {
            Ok(name) => Some(PlannedNode {
                name,
                labels,
                drains,
                cpus,
                memory,
            }),
            Err(problem) => {
                let hint = host_name_hint(&key.key());
                self.document.refuse(key, problem, hint);
                None
            }
        }
    }

    /// A text as it shows, whatever YAML takes it for.
    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        if node.entries().is_some() || node.items().is_some() || node.is_null() {
            let message = format!("{what} has to be a text, this is {}", node.what());
            self.refuse(node, message);
            return None;
        }
        Some(node.key())
    }

    fn zone(&mut self, node: &Node) -> Option<String> {
        let zone = self.text(node, "a zone")?;
        self.label(node, format!("az={zone}"))
    }

    fn availability(&mut self, node: &Node) -> Option<bool> {
        let text = self.text(node, "an availability")?;
        match text.as_str() {
            "active" => Some(false),
            "drain" => Some(true),
            _ => {
                let message = format!("an availability is `{text}`, not one of active, drain");
                self.refuse(node, message);
                None
            }
        }
    }

    fn cpus(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node, "a number of cores")?;
        let cores = text.parse().ok().filter(|cores| *cores > 0);
        if cores.is_none() {
            self.refuse(node, format!("`{text}` is not a whole number of cores"));
        }
        cores
    }

    fn memory(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node, "a size")?;
        match size_bytes(&text) {
            Ok(bytes) => Some(bytes),
            Err(problem) => {
                self.refuse(node, problem);
                None
            }
        }
    }

    fn labels(&mut self, node: &Node) -> Vec<String> {
        let Some(items) = node.items() else {
            if !node.is_null() {
                let message = format!("`labels` has to be a list, this is {}", node.what());
                self.refuse(node, message);
            }
            return Vec::new();
        };
        let mut labels = Vec::new();
        for item in items {
            if let Some(text) = self.text(item, "a label") {
                labels.extend(self.label(item, text));
            }
        }
        labels
    }

    fn label(&mut self, node: &Node, label: String) -> Option<String> {
        match check_labels(std::slice::from_ref(&label)) {
            Ok(()) => Some(label),
            Err(problem) => {
                self.refuse(node, problem);
                None
            }
        }
    }
}

/// A valid name near `wrong`, for the usual reasons that one is not a host name: `My_Node`.
fn host_name_hint(wrong: &str) -> Option<String> {
    let name = wrong.to_lowercase().replace(['_', '.', ' '], "-");
    let valid = name.parse::<NodeName>().is_ok() && name != wrong;
    valid.then(|| format!("names become host names: use `{name}`"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn nodes_are_read_in_the_order_of_the_file() {
        let text = "
            nodes:
              n2: { zone: eu-1, labels: [ssd, rack=7] }
              n1:
              n3: { availability: drain, cpus: 4, memory: 16g }
        ";
        let nodes = parse("nodes.yml", text).unwrap();
        let shown: Vec<String> = nodes
            .iter()
            .map(|node| {
                format!(
                    "{} {:?} {} {} {}",
                    node.name, node.labels, node.drains, node.cpus, node.memory
                )
            })
            .collect();
        let expected = [
            r#"n2 ["az=eu-1", "ssd", "rack=7"] false 2 8589934592"#,
            "n1 [] false 2 8589934592",
            "n3 [] true 4 17179869184",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        check(
            "nodes:
  My_Node:
  n1: { availability: drained, az: eu }
  n2: { labels: ssd }
  n3:
  n3: { zone: }
",
            expect![[r#"
                error: `My_Node` is not a valid node name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
                  --> nodes.yml:2:3
                2 |   My_Node:
                  |   ^
                hint: names become host names: use `my-node`
                error: an availability is `drained`, not one of active, drain
                  --> nodes.yml:3:23
                3 |   n1: { availability: drained, az: eu }
                  |                       ^
                error: `az` is not a key of a node
                  --> nodes.yml:3:32
                3 |   n1: { availability: drained, az: eu }
                  |                                ^
                hint: the key is `zone`
                error: `labels` has to be a list, this is a text
                  --> nodes.yml:4:17
                4 |   n2: { labels: ssd }
                  |                 ^
                error: a zone has to be a text, this is nothing
                  --> nodes.yml:6:13
                6 |   n3: { zone: }
                  |             ^
                error: the key `n3` is given twice: the last one counts
                  --> nodes.yml:6:3
                6 |   n3: { zone: }
                  |   ^"#]],
        );
    }

    #[test]
    fn a_file_without_nodes_is_refused() {
        check(
            "services: {}\n",
            expect![[r#"
            error: `services` is not a key of a node file
              --> nodes.yml:1:1
            1 | services: {}
              | ^
            hint: services are in the stack file
            error: the file has no nodes
              --> nodes.yml:1:1
            1 | services: {}
              | ^
            hint: list at least one under `nodes`, as in `nodes: { n1: , n2: }`"#]],
        );
    }

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let problems = parse("nodes.yml", text).unwrap_err();
        expected.assert_eq(&problems.to_string());
    }
}
