//! The story as aligned text.

use std::fmt;

use super::story::{Back, Death, Lost, Placed, Rejected, Stands, Story};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "stack {} on {}; a node is absent after {} s of silence",
            self.stack,
            counted(self.nodes.len(), "node"),
            self.absent_after_seconds
        )?;
        rows(f, self.nodes.iter().map(Stands::row))?;
        writeln!(f, "\nplaced")?;
        explained_rows(f, self.placed.iter().map(|one| (one.row(), &one.rejected)))?;
        match &self.death {
            Some(death) => write!(f, "\n{death}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let killed = self.killed.join(", ");
        writeln!(f, "without {killed}")?;
        explained_rows(f, self.lost.iter().map(|one| (one.row(), &one.rejected)))?;
        writeln!(f, "  settled after {:.1} s", self.settled_after_seconds)?;
        writeln!(f, "  {} untouched", counted(self.untouched, "instance"))?;
        writeln!(f, "  moved needlessly: {}", listed(&self.moved_needlessly))?;
        writeln!(f, "\nwith {killed} back")?;
        rows(f, self.back.iter().map(Back::row))?;
        writeln!(
            f,
            "  moved by the return: {}",
            listed(&self.moved_by_return)
        )
    }
}

impl Stands {
    fn row(&self) -> [String; 3] {
        let drains = self.drains.then(|| "drain".to_owned());
        let facts: Vec<String> = self.labels.iter().cloned().chain(drains).collect();
        let dies = if self.killed { "dies" } else { "" };
        [self.name.clone(), facts.join(", "), dies.to_owned()]
    }
}

impl Placed {
    fn row(&self) -> [String; 3] {
        [
            self.instance.clone(),
            or_down(self.nodes.join(", ")),
            self.why.clone(),
        ]
    }
}

impl Rejected {
    fn row(&self) -> [String; 3] {
        [String::new(), self.node.clone(), self.reason.clone()]
    }
}

impl Lost {
    fn row(&self) -> [String; 3] {
        let (to, why) = match &self.to {
            Some(to) => (
                to.node.as_str(),
                format!("after {:.1} s: {}", to.after_seconds, self.why),
            ),
            None => ("down", self.why.clone()),
        };
        [self.instance.clone(), format!("{} -> {to}", self.from), why]
    }
}

impl Back {
    fn row(&self) -> [String; 3] {
        [
            self.instance.clone(),
            self.node.clone(),
            format!("runs again after {:.1} s", self.after_seconds),
        ]
    }
}

fn rows(f: &mut fmt::Formatter<'_>, rows: impl Iterator<Item = [String; 3]>) -> fmt::Result {
    for row in aligned(rows) {
        writeln!(f, "{row}")?;
    }
    Ok(())
}

/// Rows, each with the nodes that do not fit below it.
fn explained_rows<'s>(
    f: &mut fmt::Formatter<'_>,
    all: impl Iterator<Item = ([String; 3], &'s Vec<Rejected>)>,
) -> fmt::Result {
    let (cells, rejected): (Vec<_>, Vec<_>) = all.unzip();
    for (row, rejected) in aligned(cells.into_iter()).zip(rejected) {
        writeln!(f, "{row}")?;
        let nodes = rejected.iter().map(Rejected::row);
        rows(f, nodes)?;
    }
    Ok(())
}

/// Three columns, two spaces apart, without trailing space.
fn aligned(rows: impl Iterator<Item = [String; 3]>) -> impl Iterator<Item = String> {
    let rows: Vec<[String; 3]> = rows.collect();
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    rows.into_iter().map(move |[a, b, c]| {
        let line = format!("  {a:first$}  {b:second$}  {c}");
        line.trim_end().to_owned()
    })
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        _ => names.join(", "),
    }
}

fn or_down(nodes: String) -> String {
    if nodes.is_empty() {
        "down".to_owned()
    } else {
        nodes
    }
}
