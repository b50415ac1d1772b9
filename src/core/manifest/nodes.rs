//! A node file: the nodes of a grid that somebody imagines, to ask what would run where.
//!
//! ```text
//! nodes:
//!   n1:
//!   n2: { zone: eu-1, labels: [ssd, rack=7] }
//!   n3: { availability: drain }
//! ```

use super::builtins::Builtins;
use super::problem::{Problem, Problems, Report};
use super::reader::{Entry, Reader};
use super::schema::{NODE, NODES};
use super::suggestion::host_name_hint;
use super::tree::Node;
use super::yaml;
use crate::id::NodeName;
use crate::membership::admission::check_labels;

/// The most nodes of a file: what the pace of gossip was measured for.
pub const MAX_NODES: usize = 1_000;

/// One node that is imagined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNode {
    pub name: NodeName,
    /// As they are written; a `zone` is the label `az=ZONE`, as for real nodes.
    pub labels: Vec<String>,
    /// Takes no new work.
    pub drains: bool,
}

/// Reads a node file of at most 1 MiB: at least one node, in the order of the file. `file` is the name
/// shown in problems.
///
/// # Errors
/// Every problem of the file, in the order of the file.
pub fn parse_nodes(file: &str, text: &str) -> Result<Vec<PlannedNode>, Problems> {
    let mut report = Report::default();
    let nodes = yaml::read(text, &mut report).map(|root| read(&root, &mut report));
    report.only_if_right(file, "grid", nodes)
}

fn read(root: &Node, report: &mut Report) -> Vec<PlannedNode> {
    let builtins = Builtins {
        stack: None,
        grid: "demo",
    };
    let mut reader = Reader { builtins, report };
    let mut nodes = Vec::new();
    for entry in reader.section(root, &NODES) {
        nodes.extend(read_nodes(&mut reader, &entry));
    }
    if nodes.is_empty() {
        let hint = "list at least one under `nodes`, as in `nodes: { n1: , n2: }`";
        report.error_with_hint(root.at, "the file has no nodes", hint);
    }
    nodes
}

fn read_nodes(reader: &mut Reader<'_>, nodes: &Entry<'_>) -> Vec<PlannedNode> {
    let entries = reader.entries(nodes.value, "`nodes`");
    if entries.len() > MAX_NODES {
        let message = format!("{} nodes, {MAX_NODES} are possible", entries.len());
        reader.report.error(nodes.at, message);
        return Vec::new();
    }
    let nodes = entries.iter().filter_map(|entry| read_node(reader, entry));
    nodes.collect()
}

fn read_node(reader: &mut Reader<'_>, node: &Entry<'_>) -> Option<PlannedNode> {
    let (mut labels, mut drains) = (Vec::new(), false);
    for entry in reader.section(node.value, &NODE) {
        match entry.key.as_str() {
            "zone" => labels.extend(zone(reader, entry.value)),
            "availability" => drains = availability(reader, entry.value)?,
            _ => labels.extend(read_labels(reader, entry.value)),
        }
    }
    match node.key.parse() {
        Ok(name) => Some(PlannedNode {
            name,
            labels,
            drains,
        }),
        Err(problem) => {
            let problem = Problem::new(node.at, problem, host_name_hint(&node.key));
            reader.report.push(problem);
            None
        }
    }
}

fn zone(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let zone = reader.text(node, "a zone")?;
    label(reader, node, format!("az={zone}"))
}

fn availability(reader: &mut Reader<'_>, node: &Node) -> Option<bool> {
    reader.choice(
        node,
        "an availability",
        &[("active", false), ("drain", true)],
    )
}

fn read_labels(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let mut labels = Vec::new();
    for item in reader.items(node, "`labels`") {
        if let Some(text) = reader.text(item, "a label") {
            labels.extend(label(reader, item, text));
        }
    }
    labels
}

fn label(reader: &mut Reader<'_>, node: &Node, label: String) -> Option<String> {
    match check_labels(std::slice::from_ref(&label)) {
        Ok(()) => Some(label),
        Err(problem) => {
            reader.report.error(node.at, problem);
            None
        }
    }
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
              n3: { availability: drain }
        ";
        let nodes = parse_nodes("nodes.yml", text).unwrap();
        let shown: Vec<String> = nodes
            .iter()
            .map(|node| format!("{} {:?} {}", node.name, node.labels, node.drains))
            .collect();
        let expected = [
            r#"n2 ["az=eu-1", "ssd", "rack=7"] false"#,
            "n1 [] false",
            "n3 [] true",
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
  n2: { zone: }
",
            expect![[r#"
                error: `My_Node` is not a valid node name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
                  --> nodes.yml:2:3
                hint: names become host names: use `my-node`
                error: an availability is `drained`, not one of active, drain
                  --> nodes.yml:3:23
                error: `az` is not a key of a node
                  --> nodes.yml:3:32
                hint: the key is `zone`
                error: `labels` has to be a list, this is a single value
                  --> nodes.yml:4:17
                error: the key `n2` is given twice
                  --> nodes.yml:5:3"#]],
        );
    }

    #[test]
    fn a_file_without_nodes_is_refused() {
        check(
            "services: {}\n",
            expect![[r#"
                error: `services` is not a key of a node file
                  --> nodes.yml:1:1
                hint: services are in the stack file
                error: the file has no nodes
                  --> nodes.yml:1:1
                hint: list at least one under `nodes`, as in `nodes: { n1: , n2: }`"#]],
        );
    }

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let problems = parse_nodes("nodes.yml", text).unwrap_err();
        expected.assert_eq(&problems.to_string());
    }
}
