//! What a container wrote before it ended by itself: it is part of what all nodes are told, and so it is short.

use crate::time::WallTime;

use super::action::{Container, ContainerId, ContainerState};

/// Of each line, as of the whole: every node has it.
const MAX_LINE_BYTES: usize = 200;
const MAX_LINES: usize = 10;

/// The last lines of one container, up to one of its ends or while it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastWords {
    container: ContainerId,
    ended: Option<WallTime>,
    lines: Vec<String>,
}

impl LastWords {
    pub(super) fn new(container: &Container, lines: Vec<String>) -> Self {
        let first = lines.len().saturating_sub(MAX_LINES);
        let lines = lines.into_iter().skip(first).map(shortened);
        Self {
            container: container.id.clone(),
            ended: end_of(container),
            lines: lines.collect(),
        }
    }

    /// Whether the container wrote them, before this end or another.
    pub(super) fn are_of(&self, container: &Container) -> bool {
        self.container == container.id
    }

    pub(super) fn are_of_container(&self, container: &ContainerId) -> bool {
        self.container == *container
    }

    /// Whether nothing newer can have been written: they are of this end of the container.
    pub(super) fn are_its_last(&self, container: &Container) -> bool {
        self.are_of(container) && self.ended == end_of(container)
    }

    /// The lines alone.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The problem, and the lines below it.
    pub(super) fn under(&self, problem: &str) -> String {
        let lines = self.lines.iter().map(String::as_str);
        let all: Vec<&str> = std::iter::once(problem).chain(lines).collect();
        all.join("\n")
    }
}

fn shortened(mut line: String) -> String {
    let mut end = line.len().min(MAX_LINE_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    // One line is one line, whatever was written.
    line.replace('\n', " ")
}

fn end_of(container: &Container) -> Option<WallTime> {
    match container.state {
        ContainerState::Exited { at, .. } => Some(at),
        ContainerState::Created
        | ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Dead => None,
    }
}
