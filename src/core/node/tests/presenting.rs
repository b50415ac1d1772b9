//! Members that lost each other, and strangers that say they are members.

use super::*;
use crate::message::{Presentation, Presented};

#[test]
fn a_member_that_lost_the_admission_of_another_is_told_of_it_by_that_one() {
    let (first, mut second) = pair();
    let mut first = forgetful(&first);
    assert_eq!(first.node.replica.documents().roster.len(), 1);
    let call = first_call(&mut second, first.node.me);
    assert!(call.envelopes.is_empty(), "what it lacks is not known yet");
    assert_eq!(carry(&mut second, &mut first, call), 2);
    let roster = &first.node.view.documents.roster;
    assert!(roster.contains_key(&second.node.me));
    assert!(!first.unsaved.is_empty(), "it is saved");
}

#[test]
fn what_a_stranger_brings_is_not_kept_unless_a_member_wrote_it_and_all_before_it_is_there() {
    let (mut first, mut second) = pair();
    first.give(create("web"), true);
    second.give(Command::CreateJoinToken { seed: [3; 32] }, true);
    let grid_of_second = second.node.replica.envelopes_of(&DocumentId::Grid);
    let mut documents = first.node.replica.digests().keys();
    let stack = documents.find(|document| **document != DocumentId::Grid);
    let stack = first.node.replica.envelopes_of(stack.unwrap());
    let mut stranger = Hand::new(9);
    stranger.give(init(), true);
    let foreign = stranger.node.replica.envelopes_of(&DocumentId::Grid);

    let mut first = forgetful(&first);
    let before = first.node.replica.digests().clone();
    let after_a_gap = vec![grid_of_second.last().unwrap().clone()];
    for envelopes in [foreign, stack, after_a_gap] {
        present(&mut first, envelopes);
        assert_eq!(*first.node.replica.digests(), before);
        assert!(first.node.replica.wanted().is_empty(), "nothing is parked");
        assert_eq!(first.node.replica.rejected().count(), 0);
    }
    let presented = present(&mut first, grid_of_second);
    assert_ne!(*first.node.replica.digests(), before);
    assert_eq!(presented.have.unwrap().heads.len(), 1);
}

#[test]
fn who_is_of_another_grid_is_told_nothing() {
    let (mut first, _) = pair();
    let id = 1;
    let presentation = Presentation {
        grid: GridId([4; 32]),
        envelopes: Vec::new(),
    };
    let outputs = first.handle(Input::StrangerPresents { id, presentation });
    assert_eq!(answer(&outputs), Presented { have: None });
}

#[test]
fn one_that_answers_the_same_again_or_not_at_all_is_called_again_later() {
    let (first, mut second) = pair();
    let to = first.node.me;
    first_call(&mut second, to);
    let empty = || Presented {
        have: Some(Default::default()),
    };
    let answered = |answer| Input::Presented { by: to, answer };
    assert_eq!(calls(&second.handle(answered(Ok(empty())))).len(), 1);
    assert!(calls(&second.handle(answered(Ok(empty())))).is_empty());
    first_call(&mut second, to);
    let refused = Err("it cannot be reached".to_owned());
    assert!(calls(&second.handle(answered(refused))).is_empty());
    first_call(&mut second, to);
}

/// The node in its next boot: of the grid's document only the beginning can be read.
fn forgetful(node: &Hand) -> Hand {
    let grid = node.node.view.documents.grid.id.unwrap();
    let envelopes = node.node.replica.envelopes_of(&DocumentId::Grid);
    let saved = SavedState {
        envelopes: envelopes.into_iter().take(1).collect(),
        local: BTreeMap::from([("grid".to_owned(), grid.0.to_vec())]),
        ..SavedState::default()
    };
    let config = NodeConfig {
        boot: node.node.config.boot + 1,
        ..node.node.config.clone()
    };
    Hand {
        node: Node::new(config, saved, node.now),
        unsaved: Vec::new(),
        ..*node
    }
}

/// Time passes until the node calls `to`.
#[track_caller]
fn first_call(node: &mut Hand, to: NodeId) -> Presentation {
    for _ in 0..30 {
        node.now.monotonic = node.now.monotonic + Duration::from_secs(1);
        let outputs = node.handle(Input::Wake);
        if let Some((called, presentation)) = calls(&outputs).pop() {
            assert_eq!(called, to);
            return presentation;
        }
    }
    panic!("it calls nobody");
}

/// Carries calls and answers until there are no more; answers how many calls there were.
fn carry(from: &mut Hand, to: &mut Hand, mut presentation: Presentation) -> usize {
    for count in 1..10 {
        let outputs = to.handle(Input::StrangerPresents {
            id: 1,
            presentation,
        });
        let answered = Input::Presented {
            by: to.node.me,
            answer: Ok(answer(&outputs)),
        };
        match calls(&from.handle(answered)).pop() {
            Some((_, next)) => presentation = next,
            None => return count,
        }
    }
    panic!("it does not end");
}

fn present(node: &mut Hand, envelopes: Vec<SignedEnvelope>) -> Presented {
    let grid = node.node.view.documents.grid.id.unwrap();
    let presentation = Presentation { grid, envelopes };
    let id = 1;
    answer(&node.handle(Input::StrangerPresents { id, presentation }))
}

fn calls(outputs: &[Output]) -> Vec<(NodeId, Presentation)> {
    let call = |output: &Output| {
        let Output::Present { to, presentation } = output else {
            return None;
        };
        Some((*to, presentation.clone()))
    };
    outputs.iter().filter_map(call).collect()
}

#[track_caller]
fn answer(outputs: &[Output]) -> Presented {
    let answer = |output: &Output| {
        let Output::AnswerPresentation { presented, .. } = output else {
            return None;
        };
        Some(presented.clone())
    };
    outputs.iter().find_map(answer).unwrap()
}
