//! The two files: a stack and the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use kontena_core::id::NodeName;
use kontena_core::manifest::compiled;
use kontena_core::stack::Stack;
use kontena_stackfile::{Alone, Findings, Problem, Request};

use super::nodes::{self, PlannedNode};
use crate::failure::Failure;

/// One byte more than is read as a file, so that a longer one is refused and never cut.
const MAX_BYTES: u64 = (1 << 20) + 1;

/// The name of every imagined grid.
pub(super) const GRID: &str = "demo";

pub(super) struct Files {
    pub(super) stack: Stack,
    pub(super) nodes: Vec<PlannedNode>,
    /// What is odd in them, a line or more each.
    pub(super) warnings: Vec<String>,
    nodes_file: String,
}

impl Files {
    pub(super) fn read(stack: &Path, nodes: &Path) -> Result<Self, Failure> {
        let (stack_file, nodes_file) = (shown(stack), shown(nodes));
        Self::parse(&stack_file, &text(stack)?, &nodes_file, &text(nodes)?)
    }

    pub(super) fn parse(
        stack_file: &str,
        stack: &str,
        nodes_file: &str,
        nodes: &str,
    ) -> Result<Self, Failure> {
        let (stack, warnings) = read_stack(stack_file, stack)?;
        let nodes = nodes::parse(nodes_file, nodes)
            .map_err(|findings| Failure::Problems(findings.to_string()))?;
        Ok(Self {
            warnings,
            stack,
            nodes,
            nodes_file: nodes_file.to_owned(),
        })
    }

    /// Which of the nodes these are, by their place in the file.
    pub(super) fn hosts(&self, names: &[NodeName]) -> Result<BTreeSet<usize>, Failure> {
        let hosts = names.iter().map(|name| self.host(name));
        let hosts: BTreeSet<usize> = hosts.collect::<Result<_, _>>()?;
        if hosts.len() == self.nodes.len() {
            let failure = Failure::usage("no node is left to take anything over");
            return Err(failure.hint("let at least one node live"));
        }
        Ok(hosts)
    }

    fn host(&self, name: &NodeName) -> Result<usize, Failure> {
        let found = self.nodes.iter().position(|node| node.name == *name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            let failure = Failure::usage(format!("no node `{name}` in `{}`", self.nodes_file));
            failure.hint(format!("its nodes are {}", names.join(", ")))
        })
    }
}

/// The stack of a file on the imagined grid, and what is odd in it.
fn read_stack(file: &str, text: &str) -> Result<(Stack, Vec<String>), Failure> {
    let mut world = Alone {
        name: file.to_owned(),
        text: text.to_owned(),
    };
    let request = Request {
        location: world.location(),
        name: None,
        grid: GRID,
        platform: GRID,
        values: &BTreeMap::new(),
        previous: &BTreeMap::new(),
    };
    let stack = kontena_stackfile::read(&request, &mut world)
        .map_err(|findings| Failure::Problems(findings.to_string()))?;
    let (definition, left_out) = stack.definition();
    let compiled = compiled::read(&definition).map_err(|problems| {
        let problems = problems.iter();
        let problems = problems.map(|problem| stack.problem(&problem.path, &problem.message));
        Failure::Problems(refusal(problems.collect()))
    })?;
    let warnings = stack.warnings.warnings.iter().chain(&left_out);
    let warnings = warnings.map(|warning| format!("{}\n", warning.display("warning")));
    Ok((compiled.stack, warnings.collect()))
}

fn refusal(problems: Vec<Problem>) -> String {
    let findings = Findings {
        problems,
        ..Findings::default()
    };
    findings.to_string()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn text(path: &Path) -> Result<String, Failure> {
    let problem = |problem: std::io::Error| {
        Failure::failed(format!("failed to read `{}`: {problem}", path.display()))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(problem)?;
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(problem)?;
    Ok(text)
}
