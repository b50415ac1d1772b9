//! What a container wrote before it ended by itself: it is part of what all nodes are told, and so it is short.

use crate::time::WallTime;

use super::action::{Container, ContainerId, ContainerState};

/// Of each line, as of the whole: every node has it.
const MAX_LINE_BYTES: usize = 200;
const MAX_LINES: usize = 10;

/// The last lines of one container, up to one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastWords {
    container: ContainerId,
    ended: WallTime,
    lines: Vec<String>,
}

impl LastWords {
    /// Of a container that has ended; `None` while it has not.
    pub(super) fn new(container: &Container, lines: Vec<String>) -> Option<Self> {
        let ContainerState::Exited { at, .. } = container.state else {
            return None;
        };
        let first = lines.len().saturating_sub(MAX_LINES);
        let lines = lines.into_iter().skip(first).map(shortened);
        Some(Self {
            container: container.id.clone(),
            ended: at,
            lines: lines.collect(),
        })
    }

    /// Whether they are of this end of the container.
    pub(super) fn are_of(&self, container: &Container) -> bool {
        let ended = match container.state {
            ContainerState::Exited { at, .. } => at,
            ContainerState::Created
            | ContainerState::Running { .. }
            | ContainerState::Paused
            | ContainerState::Restarting
            | ContainerState::Dead => return self.container == container.id,
        };
        self.container == container.id && self.ended == ended
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
