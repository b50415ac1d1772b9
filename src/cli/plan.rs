//! `plan`: what would happen if.

use clap::Args;
use kontena_core::id::NodeName;
use kontena_core::placement::{Change, Outcome, Plan as Planned};

use super::failure::Failure;
use super::session::Session;
use super::table::Table;
use super::text::printable;
use super::why;
use crate::api::paths;
use crate::api::types::plan::{LabelledNode, PlanRequest, SupposedNode};

/// What would happen if nodes drained, died, were removed, labelled or added; nothing is done
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena plan --drain c
  kontena plan --kill a --kill b
  kontena plan --label b=disk=ssd --add d
  kontena plan --drain c --scores

It tells the first step. What follows once that is carried out, it does not tell.")]
pub(crate) struct Plan {
    /// If this node drained; may be repeated, as all of these
    #[arg(long, value_name = "NODE")]
    drain: Vec<NodeName>,
    /// If this node took work again
    #[arg(long, value_name = "NODE")]
    activate: Vec<NodeName>,
    /// If this node died, and stayed away for long enough
    #[arg(long, value_name = "NODE")]
    kill: Vec<NodeName>,
    /// If this node was removed from the grid
    #[arg(long, value_name = "NODE")]
    remove: Vec<NodeName>,
    /// If this node had a label, in place of one with the same key: `NODE=KEY=VALUE` or `NODE=LABEL`
    #[arg(long, value_name = "NODE=LABEL", value_parser = labelled)]
    label: Vec<LabelledNode>,
    /// If a node of this name joined; with labels as `NAME:LABEL,LABEL`
    #[arg(long, value_name = "NAME", value_parser = supposed)]
    add: Vec<SupposedNode>,
    /// Also show how each node would be judged, as `why` does, for the first 20 services that would change
    #[arg(long)]
    scores: bool,
}

pub(crate) async fn run(session: &Session, asked: Plan) -> Result<(), Failure> {
    let request = PlanRequest {
        drain: asked.drain,
        activate: asked.activate,
        kill: asked.kill,
        remove: asked.remove,
        label: asked.label,
        add: asked.add,
        scores: asked.scores,
    };
    let nothing = PlanRequest {
        scores: request.scores,
        ..PlanRequest::default()
    };
    if request == nothing {
        return Err(Failure::usage("nothing is supposed")
            .hint("give `--drain NODE`, `--kill NODE`, `--label NODE=LABEL` …"));
    }
    let grid = session.grid().await?;
    let plan: Planned = session.client.post(&paths::plan(&grid), &request).await?;
    let talk = summary(&plan);
    let look = session.output.look();
    session.print_object(&plan, || table(&plan).render(look) + &judged(&plan))?;
    session.output.talk(&talk);
    Ok(())
}

fn labelled(text: &str) -> Result<LabelledNode, String> {
    let (node, label) = text
        .split_once('=')
        .ok_or("expected NODE=KEY=VALUE or NODE=LABEL")?;
    Ok(LabelledNode {
        node: name(node)?,
        label: label.to_owned(),
    })
}

fn supposed(text: &str) -> Result<SupposedNode, String> {
    let (node, labels) = text.split_once(':').unwrap_or((text, ""));
    let labels = labels.split(',').filter(|label| !label.is_empty());
    Ok(SupposedNode {
        name: name(node)?,
        labels: labels.map(str::to_owned).collect(),
    })
}

fn name(text: &str) -> Result<NodeName, String> {
    text.parse()
        .map_err(|problem: kontena_core::id::InvalidId| problem.to_string())
}

fn table(plan: &Planned) -> Table {
    let mut table = Table::new(&["INSTANCE", "NOW", "THEN", "WHY"]);
    for change in &plan.changes {
        let now = change.from.as_ref().map_or("-", |name| name.as_str());
        table.row([
            change.instance.to_string().into(),
            now.into(),
            then(change).into(),
            printable(&change.reason).into(),
        ]);
    }
    table
}

/// How each node would be judged, below an empty line.
fn judged(plan: &Planned) -> String {
    let explanations = plan.explanations.iter();
    let texts = explanations.map(|explanation| format!("\n{}", why::text(explanation)));
    texts.collect()
}

fn then(change: &Change) -> String {
    match &change.outcome {
        Outcome::Moves { to } | Outcome::Starts { to } => to.to_string(),
        Outcome::Stays { on } => format!("{on} (stays)"),
        Outcome::Waits => "waits".to_owned(),
        Outcome::Stops => "stops".to_owned(),
    }
}

/// `2 instances would move, 1 would wait; 7 stay as they are`.
fn summary(plan: &Planned) -> String {
    let count = |is: fn(&Outcome) -> bool| {
        let changes = plan.changes.iter();
        changes.filter(|change| is(&change.outcome)).count()
    };
    let counts = [
        ("move", count(|it| matches!(it, Outcome::Moves { .. }))),
        ("start", count(|it| matches!(it, Outcome::Starts { .. }))),
        (
            "stay for want of another node",
            count(|it| matches!(it, Outcome::Stays { .. })),
        ),
        ("wait", count(|it| matches!(it, Outcome::Waits))),
        ("stop", count(|it| matches!(it, Outcome::Stops))),
    ];
    let told = counts.iter().filter(|(_, count)| *count > 0);
    let told: Vec<String> = told
        .map(|(what, count)| format!("{count} would {what}"))
        .collect();
    let unchanged = plan.unchanged;
    match told.as_slice() {
        [] => format!("nothing would change for the {unchanged} instances that there are"),
        told => format!("{}; {unchanged} remain as they are", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;

    fn change(instance: &str, from: Option<&str>, outcome: Outcome) -> Change {
        Change {
            instance: instance.parse().unwrap(),
            from: from.map(|name| name.parse().unwrap()),
            outcome,
            reason: "a reason".to_owned(),
        }
    }

    #[test]
    fn what_would_happen_is_told_for_each_instance_and_in_sum() {
        let to: NodeName = "b".parse().unwrap();
        let plan = Planned {
            changes: vec![
                change("shop/web-1", Some("a"), Outcome::Moves { to: to.clone() }),
                change("shop/new-1", None, Outcome::Starts { to: to.clone() }),
                change("shop/old-1", Some("b"), Outcome::Stays { on: to }),
                change("db-1", Some("a"), Outcome::Waits),
                change("agent-1", Some("a"), Outcome::Stops),
            ],
            unchanged: 7,
            explanations: Vec::new(),
        };
        expect![[r"
            INSTANCE    NOW  THEN       WHY
            shop/web-1  a    b          a reason
            shop/new-1  -    b          a reason
            shop/old-1  b    b (stays)  a reason
            db-1        a    waits      a reason
            agent-1     a    stops      a reason
        "]]
        .assert_eq(&table(&plan).render(Look::PLAIN));
        assert_eq!(
            summary(&plan),
            "1 would move, 1 would start, 1 would stay for want of another node, 1 would wait, 1 would stop; 7 remain as they are"
        );
        let nothing = Planned {
            changes: Vec::new(),
            unchanged: 3,
            explanations: Vec::new(),
        };
        assert_eq!(
            summary(&nothing),
            "nothing would change for the 3 instances that there are"
        );
    }

    #[test]
    fn labels_and_nodes_are_read_as_they_are_written() {
        let read = labelled("b=disk=ssd").unwrap();
        assert_eq!((read.node.as_str(), read.label.as_str()), ("b", "disk=ssd"));
        assert_eq!(labelled("b=reserved").unwrap().label, "reserved");
        assert!(labelled("b").is_err());
        let added = supposed("d:az=b,ssd").unwrap();
        assert_eq!(added.labels, ["az=b", "ssd"]);
        assert_eq!(supposed("d").unwrap().labels, [""; 0]);
        assert!(supposed("D").is_err());
    }
}
