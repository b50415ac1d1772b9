//! `volume move`.

use std::time::Duration;

use kontena_core::id::{GridName, NodeName};
use tokio::time::sleep;

use super::failure::Failure;
use super::patience::ask;
use super::session::Session;
use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::moving::{Move, MoveRequest};

/// Between two looks at a move that is waited for.
const PAUSE: Duration = Duration::from_millis(500);

/// Moves what has the data of that name, and waits until it runs there or the move is off.
pub(super) async fn order(
    session: &Session,
    grid: &GridName,
    volume: &str,
    node: &NodeName,
    bandwidth: Option<u32>,
    detach: bool,
) -> Result<(), Failure> {
    let path = paths::volume_move(grid, volume);
    let asked = MoveRequest {
        node: node.to_string(),
        bandwidth,
    };
    let ordered: Changed<Move> = session.client.post(&path, &asked).await?;
    let Move {
        instance, from, to, ..
    } = &ordered.object;
    let said = format!("moving `{instance}` from node `{from}` to node `{to}`, with its data");
    if detach {
        return session.print_change(&said, &ordered.saved, &ordered.object);
    }
    session.tell(&said, &ordered.saved);
    session.output.talk(&format!(
        "Ctrl-C leaves it under way; `kontena volume show` follows it, `kontena volume move --cancel {volume}` takes it back"
    ));
    let ended = follow(session, &path).await?;
    session.print_changed(&ordered.saved, &ended)?;
    match ended.state.as_str() {
        "done" => {
            let Move { instance, to, .. } = &ended;
            session
                .output
                .talk(&format!("`{instance}` runs on node `{to}`"));
            Ok(())
        }
        _ => Err(off(&ended)),
    }
}

/// Until it is done and the instance runs, or it is off.
async fn follow(session: &Session, path: &str) -> Result<Move, Failure> {
    let mut told = None;
    loop {
        let now: Move = ask(session, path).await.map_err(unseen)?;
        let Some(word) = progress(&now) else {
            return Ok(now);
        };
        if !word.is_empty() && told.as_ref() != Some(&word) {
            session.output.talk(&word);
            told = Some(word);
        }
        sleep(PAUSE).await;
    }
}

/// What is said of one that is under way; empty where there is nothing to say.
fn progress(now: &Move) -> Option<String> {
    let problem = || now.problem.clone();
    match now.state.as_str() {
        "done" if !now.running => {
            let starts = "its data is there: it starts".to_owned();
            Some(problem().map_or(starts.clone(), |problem| format!("{starts}: {problem}")))
        }
        "moving" => Some(problem().unwrap_or_default()),
        _ => None,
    }
}

fn unseen(problem: ApiError) -> Failure {
    let hint = "the move goes on without anybody who follows it: `kontena volume show` tells how far it is";
    Failure::from(problem).hint(hint)
}

fn off(ended: &Move) -> Failure {
    let Move {
        instance,
        from,
        problem,
        ..
    } = ended;
    match ended.state.as_str() {
        "given_up" => {
            let problem = problem.as_deref().unwrap_or("nobody says why");
            Failure::failed(format!("the move of `{instance}` was given up {problem}"))
                .hint(format!("it runs on node `{from}` with its data, as before"))
        }
        "cancelled" => Failure::failed(format!("the move of `{instance}` was taken back")),
        _ => Failure::failed(format!(
            "`{instance}` was bound to another node meanwhile: the move is off"
        )),
    }
}

pub(super) async fn cancel(
    session: &Session,
    grid: &GridName,
    volume: &str,
) -> Result<(), Failure> {
    let path = paths::volume_move(grid, volume);
    let taken: Changed<Move> = session.client.delete(&path).await?;
    let Move { instance, from, .. } = &taken.object;
    let said = match taken.object.state.as_str() {
        "cancelled" => format!(
            "took back the move of `{instance}`: it stays on node `{from}`, unless all of its data has gone already"
        ),
        _ => format!("the move of `{instance}` had ended already"),
    };
    session.print_change(&said, &taken.saved, &taken.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(state: &str) -> Move {
        Move {
            instance: "shop/db-1".to_owned(),
            from: "alpha".to_owned(),
            to: "beta".to_owned(),
            state: state.to_owned(),
            running: true,
            problem: Some("after 5 attempts: node beta: no space left on device".to_owned()),
        }
    }

    #[test]
    fn one_that_waits_or_does_not_start_says_why() {
        let moved = |state: &str, running, problem: Option<&str>| {
            progress(&Move {
                running,
                problem: problem.map(ToOwned::to_owned),
                ..moved(state)
            })
        };
        let starts = moved("done", false, Some("it exits with 1"));
        assert_eq!(
            starts.as_deref(),
            Some("its data is there: it starts: it exits with 1")
        );
        assert_eq!(moved("moving", true, None).as_deref(), Some(""));
        assert_eq!(moved("done", true, None), None);
        assert_eq!(moved("given_up", true, Some("no room")), None);
    }

    #[test]
    fn a_move_that_is_off_says_why_and_where_the_data_is() {
        let said = |state| format!("{:?}", off(&moved(state)));
        let given_up = said("given_up");
        assert!(
            given_up.contains("after 5 attempts: node beta: no space left"),
            "{given_up}"
        );
        assert!(said("cancelled").contains("was taken back"));
        assert!(said("void").contains("bound to another node"));
    }
}
