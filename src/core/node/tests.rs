//! Two members driven by hand: what is saved when, and what hostile or unlucky peers can do.

mod keys;
mod networking;
mod presenting;

use std::collections::BTreeMap;

use super::*;
use crate::command::{Refusal, StackInput};
use crate::document::DocumentId;
use crate::id::EnvelopeHash;
use crate::id::GridId;
use crate::membership::token::Token;
use crate::message::{Envelopes, JoinRefusal, MAX_MESSAGE_BYTES, encode};
use crate::network::plan::{AddressPlan, HostRoute, Range};
use crate::report::ReportOrder;
use crate::stack::Service;
use crate::time::WallTime;

#[test]
fn a_change_counts_only_once_what_it_may_build_on_is_on_disk() {
    let (mut first, mut second) = pair();
    let news = envelopes(&first.give(create("web"), true));
    assert!(!news.is_empty(), "the others are told");
    let received = second.handle(Input::Received {
        from: first.node.me,
        message: Message::Envelopes(Envelopes {
            envelopes: news,
            acknowledge: true,
            hops: 0,
        }),
    });
    let own = second.give(create("db"), false);
    let (theirs, ours) = (only_save(&received), only_save(&own));

    second.handle(saved(theirs.0, Err("no space left on device".to_owned())));
    let later = second.handle(saved(ours.0, Ok(())));
    assert!(
        envelopes(&later).is_empty() && stored(&later) == 0,
        "{later:?}"
    );
    let again = only_save(&later);
    assert_eq!(again.1, theirs.1, "what failed goes first");

    let done = second.handle(saved(again.0, Ok(())));
    assert_eq!(envelopes(&done).len(), 1, "now it is told");
    assert_eq!(stored(&done), 1, "and the other change acknowledged");
}

#[test]
fn a_change_that_is_on_disk_after_a_gap_is_not_refused_however_often_the_gap_cannot_be_filled() {
    let (mut first, mut second) = pair();
    let news = envelopes(&first.give(create("web"), true));
    let received = second.handle(Input::Received {
        from: first.node.me,
        message: Message::Envelopes(Envelopes {
            envelopes: news,
            acknowledge: true,
            hops: 0,
        }),
    });
    let own = second.give(create("db"), false);
    let (theirs, ours) = (only_save(&received), only_save(&own));
    let full = || Err("no space left on device".to_owned());

    second.handle(saved(theirs.0, full()));
    let again = only_save(&second.handle(saved(ours.0, Ok(()))));
    let refused = second.handle(saved(again.0, full()));
    assert_eq!(replies(&refused), [], "it is on the disk");

    let other = second.give(create("cache"), false);
    assert!(
        matches!(
            replies(&other)[..],
            [(_, Err(Refusal::Disk { ref problem }))] if problem.contains("no space")
        ),
        "nothing else is begun: {other:?}"
    );

    let mut told = Vec::new();
    for _ in 0..3 {
        second.now.monotonic = second.now.monotonic + Duration::from_secs(1);
        let outputs = second.handle(Input::Wake);
        for (id, records) in saves(&outputs) {
            assert!(records.contains(&theirs.1[0]), "what failed goes first");
            told.extend(envelopes(&second.handle(saved(id, Ok(())))));
        }
    }
    assert_eq!(told.len(), 1, "it counts with the save that fills the gap");
}

#[test]
fn a_disk_that_works_again_is_noticed_though_nothing_happens() {
    let (mut first, _) = pair();
    let is_report = |record: &Record| matches!(record, Record::Report { .. });
    let mut failed = 0;
    for _ in 0..60 {
        first.now.monotonic = first.now.monotonic + Duration::from_secs(1);
        let outputs = first.handle(Input::Wake);
        for (id, records) in saves(&outputs) {
            failed += usize::from(records.iter().any(is_report));
            first.handle(saved(id, Err("no space left on device".to_owned())));
        }
    }
    assert!(failed > 3, "{failed} tries in a minute");
}

#[test]
fn what_a_peer_lacks_of_many_documents_fits_into_a_message() {
    let (mut first, second) = pair();
    for number in 0..48 {
        let source = format!("{number}{}", "x".repeat(200_000));
        let install = Command::InstallStack {
            name: format!("stack-{number}").parse().unwrap(),
            stack: StackInput {
                stack: "demo".to_owned(),
                version: "1".to_owned(),
                source: Some(source),
                services: BTreeMap::from([("web".parse().unwrap(), (Service::new("web:1"), None))]),
                ..StackInput::default()
            },
        };
        first.give(install, true);
    }
    let everything = first.node.replica.digests().clone();
    assert_eq!(everything.len(), 49);
    let wanted = everything
        .into_keys()
        .map(|id| (id, Default::default()))
        .collect();
    let answer = first.handle(Input::Received {
        from: second.node.me,
        message: Message::Want(wanted),
    });
    for output in &answer {
        if let Output::Send { message, .. } = output {
            assert!(encode(message).len() <= MAX_MESSAGE_BYTES);
        }
    }
    assert!(!envelopes(&answer).is_empty());
}

#[test]
fn changes_that_came_too_early_are_asked_for_once() {
    let (mut first, mut second) = pair();
    first.give(create("web"), true);
    let mut late = Vec::new();
    for instances in 2..12 {
        let scale = Command::ScaleService {
            key: "web".parse().unwrap(),
            instances,
        };
        late.extend(envelopes(&first.give(scale, true)));
    }
    let answer = second.handle(Input::Received {
        from: first.node.me,
        message: Message::Envelopes(Envelopes {
            envelopes: late,
            acknowledge: false,
            hops: 0,
        }),
    });
    let wants = answer.iter().filter(|output| {
        matches!(
            output,
            Output::Send {
                message: Message::Want(_),
                ..
            }
        )
    });
    assert_eq!(wants.count(), 1);
}

#[test]
fn a_long_message_is_taken_in_by_slices() {
    let (mut first, mut second) = pair();
    let mut news = envelopes(&first.give(create("web"), true));
    for instances in 2..200 {
        let scale = Command::ScaleService {
            key: "web".parse().unwrap(),
            instances,
        };
        news.extend(envelopes(&first.give(scale, true)));
    }
    let all: Vec<_> = news.iter().map(SignedEnvelope::hash).collect();
    let mut outputs = second.handle(Input::Received {
        from: first.node.me,
        message: Message::Envelopes(Envelopes {
            envelopes: news,
            acknowledge: true,
            hops: 0,
        }),
    });
    let mut slices = 1;
    let mut taken = saved_envelopes(&outputs);
    assert!((1..100).contains(&taken.len()), "{}", taken.len());
    while let Some((at, "merging")) = second.node.poll_timeout() {
        assert!(at <= second.now.monotonic, "it is woken at once");
        let more = second.handle(Input::Wake);
        taken.extend(saved_envelopes(&more));
        outputs.extend(more);
        slices += 1;
    }
    assert_eq!(taken, all, "all of them, in their order");
    outputs.extend(second.save_all());
    assert_eq!(
        stored(&outputs),
        slices,
        "each is acknowledged once it is on disk"
    );
    assert_eq!(second.node.view.documents, first.node.view.documents);
}

fn saved_envelopes(outputs: &[Output]) -> Vec<EnvelopeHash> {
    let records = saves(outputs).into_iter().flat_map(|(_, records)| records);
    let hash = |record| match record {
        Record::Envelope(envelope) => Some(envelope.hash()),
        Record::Report { .. } | Record::Local { .. } | Record::Key { .. } | Record::Forget => None,
    };
    records.filter_map(hash).collect()
}

#[test]
fn one_exchange_brings_two_nodes_to_the_same_and_the_next_says_so() {
    let (mut first, mut second) = pair();
    first.give(create("web"), true);
    second.give(create("db"), true);
    let kinds = exchange(&mut first, &mut second);
    assert!(
        kinds.contains(&"inventory") && kinds.contains(&"envelopes"),
        "{kinds:?}"
    );
    first.save_all();
    second.save_all();
    assert_eq!(first.node.replica.digests(), second.node.replica.digests());
    assert_eq!(first.node.reports.orders(), second.node.reports.orders());
    assert_eq!(exchange(&mut first, &mut second), ["exchange", "exchange"]);
}

/// Lets one node begin an exchange and carries everything that follows to and fro. Answers which
/// kinds of messages that were.
fn exchange(first: &mut Hand, second: &mut Hand) -> Vec<&'static str> {
    let message = Message::Exchange(first.node.exchange(true, None, first.now));
    let mut kinds = vec!["exchange"];
    let mut under_way = VecDeque::from([(false, message)]);
    while let Some((to_first, message)) = under_way.pop_front() {
        let (receiver, sender) = match to_first {
            true => (&mut *first, second.node.me),
            false => (&mut *second, first.node.me),
        };
        let outputs = receiver.handle(Input::Received {
            from: sender,
            message,
        });
        for output in outputs {
            if let Output::Send { message, .. } | Output::Answer { message, .. } = output {
                kinds.push(kind(&message));
                under_way.push_back((!to_first, message));
            }
        }
        assert!(kinds.len() < 50, "{kinds:?}");
    }
    kinds
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Exchange(_) => "exchange",
        Message::Beats(_) => "beats",
        Message::Inventory(_) => "inventory",
        Message::Reports(_) => "reports",
        Message::Envelopes(_) => "envelopes",
        Message::Want(_) => "want",
        Message::Stored(_) => "stored",
        Message::Applied { .. } => "applied",
        Message::Cloned { .. } => "cloned",
        Message::KeysHeld(_) => "held keys",
        Message::Lease(_) => "lease",
        Message::Keys(_) => "keys",
    }
}

#[test]
fn each_start_is_above_the_one_before_though_the_boots_run_ahead_of_those_counted() {
    let boot = |counted, ahead: u64| {
        let ahead = ahead.to_le_bytes().to_vec();
        let saved = SavedState {
            local: BTreeMap::from([(SavedState::BOOTS_AHEAD.to_owned(), ahead)]),
            ..SavedState::default()
        };
        saved.boot_after(counted)
    };
    assert_eq!((boot(5, 60), boot(6, 60)), (65, 66));
    assert_eq!(boot(1, u64::MAX), u64::MAX);
}

#[test]
fn a_welcome_comes_page_by_page() {
    let (mut first, mut second) = (Hand::new(1), Hand::new(2));
    let asked = found_and_ask(&mut first, &mut second, 700);
    let pages = join_by(&mut first, &mut second, asked);
    assert!((3..10).contains(&pages), "{pages} pages");
}

#[test]
fn a_welcome_that_ends_in_the_middle_leaves_nothing_behind() {
    let (mut first, mut second) = (Hand::new(1), Hand::new(2));
    let asked = found_and_ask(&mut first, &mut second, 700);
    let call = asked.iter().find_map(join_call).expect("a stranger asks");
    let answer = answer_join(&mut first, second.node.me, call);
    let again = second.handle(Input::JoinAnswered {
        id: CommandId(1),
        answer: Ok(answer),
    });
    assert!(again.iter().any(|output| join_call(output).is_some()));
    let lost = Err("connection reset".to_owned());
    let refused = second.handle(Input::JoinAnswered {
        id: CommandId(1),
        answer: lost,
    });
    assert!(matches!(
        replies(&refused)[..],
        [(_, Err(Refusal::Unreachable { .. }))]
    ));
    assert_eq!(second.node.phase, Phase::Alone);
    assert!(second.node.replica.digests().is_empty());
}

#[test]
fn a_sponsor_that_promises_more_and_gives_nothing_is_not_asked_for_ever() {
    let (mut first, mut second) = (Hand::new(1), Hand::new(2));
    let asked = found_and_ask(&mut first, &mut second, 0);
    let call = asked.iter().find_map(join_call).expect("a stranger asks");
    let answer = JoinAnswer::Welcome {
        grid: call.request.grid,
        envelopes: Vec::new(),
        more: true,
    };
    let outputs = second.handle(Input::JoinAnswered {
        id: CommandId(1),
        answer: Ok(answer),
    });
    assert!(matches!(
        replies(&outputs)[..],
        [(_, Err(Refusal::Unreachable { .. }))]
    ));
}

#[test]
fn reports_of_strangers_are_not_kept() {
    let (mut first, second) = pair();
    let reports = (10..200)
        .map(|seed| {
            let key = SecretKey::from_seed([seed; 32]);
            let mut report = first.node.reports.get(&first.node.me).map_or_else(
                || panic!("a lone node has reported"),
                |report| (**report).clone(),
            );
            report.node = key.node_id();
            SignedReport::new(&report, &key)
        })
        .collect();
    let before = first.node.reports.orders().len();
    first.handle(Input::Received {
        from: second.node.me,
        message: Message::Reports(reports),
    });
    assert_eq!(first.node.reports.orders().len(), before);
}

#[test]
fn a_removed_node_that_asks_is_answered_on_the_way_that_it_asked() {
    let (mut first, mut second) = pair();
    let remove = Command::RemoveNode {
        node: second.node.me,
        force: true,
    };
    first.give(remove, true);
    let outputs = first.handle(Input::Received {
        from: second.node.me,
        message: Message::Exchange(second.node.exchange(true, None, second.now)),
    });
    let answers = outputs.iter().filter(|output| {
        matches!(
            output,
            Output::Answer {
                message: Message::Inventory(_),
                ..
            }
        )
    });
    assert_eq!(answers.count(), 1, "{outputs:?}");
}

#[test]
fn a_leave_and_a_change_just_after_a_start_are_answered_in_the_time_that_is_named() {
    let leave = Command::Leave { force: true };
    for (command, within) in [
        (leave, LEAVE_ANSWERED_WITHIN),
        (create("web"), CHANGE_ANSWERED_WITHIN),
    ] {
        let (first, mut second) = pair();
        let mut first = first.started_again();
        first.handle(Input::Observed(Observed::Containers(Default::default())));
        let begun = first.now.monotonic;
        let mut answers = replies(&first.give(command, true));
        while answers.is_empty() {
            // The other node is heard when it is almost too late, and never says that it has the change.
            if first.now.monotonic.since(begun) + SLACK / 2 >= beginning::HEARD_WITHIN {
                first.hear(&mut second);
            }
            let (wake, _) = first.node.poll_timeout().expect("a member has timers");
            first.now.monotonic = wake.max(first.now.monotonic + Duration::from_millis(1));
            second.now = first.now;
            second.handle(Input::Wake);
            let woken = first.handle(Input::Wake);
            answers = replies(&[woken, first.save_all()].concat());
        }
        let took = first.now.monotonic.since(begun);
        assert!(took <= within && took + SLACK > within, "{took:?}");
        assert!(answers[0].1.is_ok(), "{answers:?}");
    }
}

/// By how much a named time may be longer than what is taken.
const SLACK: Duration = Duration::from_secs(1);

#[test]
fn a_stranger_that_waits_for_its_turn_is_not_admitted_by_a_node_that_is_cloned_meanwhile() {
    let (mut first, second) = pair();
    let earlier = only_save(&first.give(create("web"), false)).0;
    let mut third = Hand::new(3);
    let asked = third.give(join_as("three"), true);
    let waiting = first.handle(Input::JoinAsked {
        id: 7,
        from: third.node.me,
        seen: None,
        call: asked.iter().find_map(join_call).expect("a stranger asks"),
    });
    assert!(join_answers(&waiting).is_empty(), "another change is saved");
    first.handle(told_cloned(&first, &second));

    let after = first.handle(saved(earlier, Ok(())));
    let answers = join_answers(&after);
    assert!(
        matches!(&answers[..], [JoinAnswer::Refused(JoinRefusal::NotNow { problem })]
            if problem.contains("cloned")),
        "{answers:?}"
    );
    assert!(saved_envelopes(&after).is_empty(), "nothing is written");
}

#[test]
fn a_second_leave_does_not_take_the_place_of_the_first() {
    let (mut first, _) = pair();
    first.handle(Input::Command {
        id: CommandId(50),
        command: Command::Leave { force: true },
    });
    first.save_all();
    let second = first.handle(Input::Command {
        id: CommandId(51),
        command: Command::Leave { force: true },
    });
    assert_eq!(replies(&second), [(CommandId(51), Err(Refusal::Busy))]);
}

#[test]
fn a_command_that_waits_for_a_second_disk_is_answered_before_the_daemon_ends() {
    for second_disk_in_time in [true, false] {
        let (mut first, mut second) = pair();
        let told = first.hear(&mut second);
        assert!(first.node.others_fresh(), "{told:?}");
        let mut given = first.give(create("web"), true);
        assert!(replies(&given).is_empty(), "it waits for the other's disk");
        let stopping = first.handle(Input::Stopping);
        assert!(replies(&stopping).is_empty() && !has_stopped(&stopping));

        let after = match second_disk_in_time {
            true => {
                let hashes = envelopes(&std::mem::take(&mut given));
                first.handle(Input::Received {
                    from: second.node.me,
                    message: Message::Stored(hashes.iter().map(SignedEnvelope::hash).collect()),
                })
            }
            false => {
                first.now.monotonic = first.now.monotonic + Duration::from_secs(2);
                first.handle(Input::Wake)
            }
        };
        let answers = replies(&after);
        let [(_, Ok(accepted))] = answers.as_slice() else {
            panic!("one answer, not {answers:?}");
        };
        let disks = if second_disk_in_time { 2 } else { 1 };
        assert_eq!(accepted.saved_on.len(), disks);
        assert!(accepted.has_others && has_stopped(&after));
    }
}

#[test]
fn a_disk_that_never_answers_does_not_keep_the_daemon_from_ending_and_the_answer_says_so() {
    let (mut first, _) = pair();
    let given = first.give(create("web"), false);
    assert!(replies(&given).is_empty());
    assert!(!has_stopped(&first.handle(Input::Stopping)));
    first.now.monotonic = first.now.monotonic + Duration::from_secs(3);
    let ended = first.handle(Input::Wake);
    assert!(matches!(
        replies(&ended)[..],
        [(_, Err(Refusal::Unconfirmed))]
    ));
    assert!(matches!(ended.last(), Some(Output::Stopped)), "{ended:?}");

    let late = first.unsaved.pop().unwrap();
    assert!(first.handle(saved(late, Ok(()))).is_empty(), "it has ended");
    assert_eq!(first.node.poll_timeout(), None);
}

#[test]
fn an_init_and_a_join_that_are_being_saved_are_carried_through_before_the_daemon_ends() {
    let mut alone = Hand::new(1);
    alone.give(init(), false);
    let (mut sponsor, mut stranger) = (Hand::new(1), Hand::new(2));
    let asked = found_and_ask(&mut sponsor, &mut stranger, 0);
    let call = asked.iter().find_map(join_call).expect("a stranger asks");
    let answer = Ok(answer_join(&mut sponsor, stranger.node.me, call));
    let id = CommandId(1);
    for (mut entering, welcome) in [(alone, None), (stranger, Some(answer))] {
        assert!(!has_stopped(&entering.handle(Input::Stopping)));
        if let Some(answer) = welcome {
            entering.handle(Input::JoinAnswered { id, answer });
        }
        let ended = entering.save_all();
        assert!(matches!(replies(&ended)[..], [(_, Ok(_))]), "{ended:?}");
        assert!(has_stopped(&ended));
    }
}

#[test]
fn a_question_to_a_sponsor_and_a_leave_that_do_not_end_are_answered_when_the_daemon_does() {
    let (mut first, mut third) = (pair().0, Hand::new(3));
    third.give(join_as("three"), true);
    first.handle(Input::Observed(Observed::EngineTrouble {
        problem: "the engine hangs".to_owned(),
    }));
    first.give(Command::Leave { force: true }, true);
    for mut hand in [first, third] {
        assert!(!has_stopped(&hand.handle(Input::Stopping)));
        hand.now.monotonic = hand.now.monotonic + Duration::from_secs(3);
        let ended = hand.handle(Input::Wake);
        assert!(matches!(
            replies(&ended)[..],
            [(_, Err(Refusal::Unconfirmed))]
        ));
        assert!(has_stopped(&ended));
    }
}

#[test]
fn a_node_that_stops_refuses_what_it_has_not_begun_and_begins_nothing() {
    let (mut first, second) = pair();
    first.give(create("web"), false);
    first.give(create("db"), false);
    let stopping = first.handle(Input::Stopping);
    let refused = Err(Refusal::Stopping);
    assert_eq!(replies(&stopping), [(CommandId(3), refused.clone())]);
    assert_eq!(
        replies(&first.give(create("cache"), false)),
        [(CommandId(4), refused)]
    );
    let mut third = Hand::new(3);
    let asked = third.give(join_as("three"), true);
    let call = asked.iter().find_map(join_call).expect("a stranger asks");
    let answer = answer_join(&mut first, second.node.me, call);
    assert!(
        matches!(&answer, JoinAnswer::Refused(JoinRefusal::NotNow { problem })
            if problem.contains("stopping")),
        "{answer:?}"
    );
}

#[test]
fn a_node_that_stops_asks_the_engine_for_nothing() {
    for stops in [false, true] {
        let mut first = Hand::new(1);
        first.give(init(), true);
        first.handle(Input::Observed(Observed::Containers(Default::default())));
        first.give(create("web"), true);
        let id = CommandId(9);
        let command = deploy("web");
        first.handle(Input::Command { id, command });
        if stops {
            first.handle(Input::Stopping);
        }
        let outputs = first.save_all();
        let asks = outputs
            .iter()
            .any(|output| matches!(output, Output::Run { .. }));
        assert_eq!(asks, !stops, "{outputs:?}");
    }
}

#[test]
fn a_node_that_owes_nobody_an_answer_stops_at_once_and_says_so_to_the_others() {
    let (mut first, mut second) = pair();
    first.hear(&mut second);
    let stopped = first.handle(Input::Stopping);
    assert!(has_stopped(&stopped));
    let announced = stopped.iter().any(|output| {
        let Output::Send {
            message: Message::Reports(reports),
            ..
        } = output
        else {
            return false;
        };
        reports
            .iter()
            .any(|report| report.open().unwrap().restarting)
    });
    assert!(announced, "{stopped:?}");
}

#[test]
fn the_answer_to_a_join_that_was_given_up_is_none_to_the_next() {
    let (mut first, _) = pair();
    let made = first.give(Command::CreateJoinToken { seed: [6; 32] }, true);
    first.now.monotonic = first.now.monotonic + Duration::from_secs(2);
    let made = [made, first.handle(Input::Wake)].concat();
    let token = replies(&made)[0].1.clone().unwrap().join_token.unwrap();
    let mut third = Hand::new(3);
    let join = || Command::Join {
        address: "10.0.0.1:1".to_owned(),
        token: token.clone(),
        name: "three".parse().unwrap(),
        labels: Vec::new(),
        routes: Vec::new(),
    };
    let refused = || Ok(JoinAnswer::Refused(JoinRefusal::Token));
    third.give(join(), true);
    third.now.monotonic = third.now.monotonic + Duration::from_secs(20);
    assert_eq!(replies(&third.handle(Input::Wake)).len(), 1, "given up");

    third.give(join(), true);
    let (late, own) = (CommandId(1), CommandId(2));
    let settled = third.handle(Input::JoinAnswered {
        id: late,
        answer: refused(),
    });
    assert!(replies(&settled).is_empty());
    assert_eq!(third.node.phase, Phase::Joining);
    let settled = third.handle(Input::JoinAnswered {
        id: own,
        answer: refused(),
    });
    assert_eq!(replies(&settled), [(own, Err(Refusal::Token))]);
}

#[test]
fn a_host_whose_routes_overlap_the_grids_network_makes_no_grid_and_hears_what_is_free() {
    let mut only = Hand::new(1);
    let in_the_way = HostRoute {
        to: "10.0.0.0/9".parse().unwrap(),
        device: "eth0".to_owned(),
    };
    let mut asked = init();
    if let Command::Init { routes, .. } = &mut asked {
        routes.push(in_the_way.clone());
    }
    let (_, reply) = replies(&only.give(asked.clone(), true)).remove(0);
    let free: Range = "10.160.0.0/12".parse().unwrap();
    let expected = Refusal::Overlap {
        supernet: AddressPlan::default().supernet(),
        route: in_the_way,
        free: Some(free),
    };
    assert_eq!(reply, Err(expected));

    // With what is proposed.
    let chosen = AddressPlan::new(free, None).unwrap();
    if let Command::Init { plan, .. } = &mut asked {
        *plan = chosen;
    }
    let (_, reply) = replies(&only.give(asked, true)).remove(0);
    assert!(reply.is_ok(), "{reply:?}");
    let documents = &only.node.view.documents;
    assert_eq!(documents.grid.plan, chosen);
    let subnet = documents.roster[&only.node.me].subnet.unwrap();
    assert!(subnet.is_of(chosen), "{subnet}");
}

#[test]
fn a_cloned_node_sleeps_until_something_happens() {
    let (mut first, second) = pair();
    first.give(create("web"), true);
    first.give(deploy("web"), true);
    first.handle(Input::Observed(Observed::Containers(Default::default())));
    first.handle(told_cloned(&first, &second));
    assert_eq!(first.node.phase, Phase::Cloned);
    for _ in 0..600 {
        let (wake, asked) = first.node.poll_timeout().expect("a member has timers");
        assert!(
            wake > first.now.monotonic,
            "{asked} asks for a time that has passed"
        );
        first.now.monotonic = wake;
        first.handle(Input::Wake);
    }
}

/// One node, and all that it wants to be done.
struct Hand {
    node: Node,
    now: Now,
    commands: u64,
    unsaved: Vec<SaveId>,
}

impl Hand {
    fn new(seed: u8) -> Self {
        let now = Now {
            monotonic: Instant::from_millis(1_000),
            wall: WallTime(1_767_225_600_000),
        };
        let config = NodeConfig {
            key: SecretKey::from_seed([seed; 32]),
            boot: 1,
            nonce: u64::from(seed),
            seed: u64::from(seed),
            version: "2.0.0".to_owned(),
        };
        Self {
            node: Node::new(config, SavedState::default(), now),
            now,
            commands: 0,
            unsaved: Vec::new(),
        }
    }

    /// The same node in its next boot, with what its disk remembers of the grid.
    fn started_again(&self) -> Self {
        self.started_with([])
    }

    /// The same with what a disk is given that a backup is restored to. No keys are in that one.
    fn restored(&self) -> Self {
        self.started_with([(SavedState::KEYS_WRITER.to_owned(), vec![77; 32])])
    }

    fn started_with(&self, local: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let grid = self.node.view.documents.grid.id.expect("it is a member");
        let grid = ("grid".to_owned(), grid.0.to_vec());
        let saved = SavedState {
            envelopes: self
                .node
                .replica
                .envelopes_of(&DocumentId::Grid)
                .into_iter()
                .collect(),
            local: local.into_iter().chain([grid]).collect(),
            ..SavedState::default()
        };
        let config = NodeConfig {
            boot: self.node.config.boot + 1,
            nonce: self.node.config.nonce + 1000,
            ..self.node.config.clone()
        };
        Self {
            node: Node::new(config, saved, self.now),
            unsaved: Vec::new(),
            ..*self
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.node.handle(input, self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.node.poll_output()).collect();
        self.unsaved
            .extend(saves(&outputs).iter().map(|(id, _)| *id));
        outputs
    }

    /// Everything that is under way reaches the disk.
    fn save_all(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        while !self.unsaved.is_empty() {
            for id in std::mem::take(&mut self.unsaved) {
                outputs.extend(self.handle(saved(id, Ok(()))));
            }
        }
        outputs
    }

    /// Takes an exchange from another node: from now on that one is fresh.
    fn hear(&mut self, other: &mut Self) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..2 {
            outputs.extend(self.handle(Input::Received {
                from: other.node.me,
                message: Message::Exchange(other.node.exchange(false, None, other.now)),
            }));
        }
        outputs
    }

    /// Gives a command; all that follows from it.
    fn give(&mut self, command: Command, is_saved: bool) -> Vec<Output> {
        self.commands += 1;
        let id = CommandId(self.commands);
        let mut outputs = self.handle(Input::Command { id, command });
        if is_saved {
            outputs.extend(self.save_all());
        }
        outputs
    }
}

/// Two members of one grid.
fn pair() -> (Hand, Hand) {
    let (mut first, mut second) = (Hand::new(1), Hand::new(2));
    let asked = found_and_ask(&mut first, &mut second, 0);
    join_by(&mut first, &mut second, asked);
    (first, second)
}

/// A grid of one whose document has so many changes more, and a stranger that asks to be admitted.
fn found_and_ask(first: &mut Hand, second: &mut Hand, changes: u32) -> Vec<Output> {
    let founded = replies(&first.give(init(), true));
    let token = founded[0].1.as_ref().unwrap().join_token.clone().unwrap();
    assert_eq!(token, first_token());
    for number in 0..changes {
        let mut seed = [6; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        first.give(Command::CreateJoinToken { seed }, true);
    }
    second.give(join_as("two"), true)
}

fn init() -> Command {
    Command::Init {
        grid: "demo".parse().unwrap(),
        name: "one".parse().unwrap(),
        labels: Vec::new(),
        plan: AddressPlan::default(),
        routes: Vec::new(),
        grid_seed: [3; 32],
        token_seed: [4; 32],
        admin_token: [5; 32],
    }
}

/// The token that the founder of the grid made.
fn first_token() -> String {
    let grid = GridId(SecretKey::from_seed([3; 32]).public());
    Token::new(grid, [4; 32]).reveal()
}

fn join_as(name: &str) -> Command {
    Command::Join {
        address: "10.0.0.1:1".to_owned(),
        token: first_token(),
        name: name.parse().unwrap(),
        labels: Vec::new(),
        routes: Vec::new(),
    }
}

/// A peer has heard two lives of this node alternate.
fn told_cloned(node: &Hand, peer: &Hand) -> Input {
    let first = node.node.own.order();
    let nonce = first.nonce + 1;
    let second = ReportOrder { nonce, ..first };
    Input::Received {
        from: peer.node.me,
        message: Message::Cloned { first, second },
    }
}

/// Carries the questions of a stranger to its sponsor, and the answers back, until it is a member.
/// Answers how many there were.
#[track_caller]
fn join_by(sponsor: &mut Hand, stranger: &mut Hand, mut outputs: Vec<Output>) -> usize {
    let mut pages = 0;
    while let Some(call) = outputs.iter().find_map(join_call) {
        let answer = answer_join(sponsor, stranger.node.me, call);
        outputs = stranger.handle(Input::JoinAnswered {
            id: CommandId(1),
            answer: Ok(answer),
        });
        pages += 1;
    }
    stranger.save_all();
    assert_eq!(stranger.node.phase, Phase::Member);
    assert_eq!(
        stranger.node.replica.digests(),
        sponsor.node.replica.digests()
    );
    pages
}

fn join_call(output: &Output) -> Option<JoinCall> {
    let Output::AskJoin { call, .. } = output else {
        return None;
    };
    Some(JoinCall::clone(call))
}

fn answer_join(sponsor: &mut Hand, from: NodeId, call: JoinCall) -> JoinAnswer {
    let (id, seen) = (1, None);
    let mut answered = sponsor.handle(Input::JoinAsked {
        id,
        from,
        seen,
        call,
    });
    answered.extend(sponsor.save_all());
    let answer = join_answers(&answered).into_iter().next();
    answer.expect("a sponsor answers")
}

fn join_answers(outputs: &[Output]) -> Vec<JoinAnswer> {
    let answer = |output: &Output| {
        let Output::AnswerJoin { answer, .. } = output else {
            return None;
        };
        Some(answer.clone())
    };
    outputs.iter().filter_map(answer).collect()
}

fn create(name: &str) -> Command {
    Command::CreateService {
        key: name.parse().unwrap(),
        service: Box::new(Service::new("web:1")),
        instances: 1,
    }
}

fn deploy(name: &str) -> Command {
    Command::DeployService {
        key: name.parse().unwrap(),
        force: false,
    }
}

fn saved(id: SaveId, result: Result<(), String>) -> Input {
    Input::Saved { id, result }
}

fn saves(outputs: &[Output]) -> Vec<(SaveId, Vec<Record>)> {
    let save = |output: &Output| {
        let Output::Save { id, records } = output else {
            return None;
        };
        Some((*id, records.clone()))
    };
    outputs.iter().filter_map(save).collect()
}

#[track_caller]
fn only_save(outputs: &[Output]) -> (SaveId, Vec<Record>) {
    let saves = saves(outputs);
    assert_eq!(saves.len(), 1, "{outputs:?}");
    saves.into_iter().next().unwrap()
}

/// What is sent to the first who is told.
fn envelopes(outputs: &[Output]) -> Vec<SignedEnvelope> {
    let sent = outputs.iter().find_map(|output| {
        let Output::Send {
            message: Message::Envelopes(envelopes),
            ..
        } = output
        else {
            return None;
        };
        Some(envelopes.envelopes.clone())
    });
    sent.unwrap_or_default()
}

fn stored(outputs: &[Output]) -> usize {
    let is_stored = |output: &&Output| {
        matches!(
            output,
            Output::Send {
                message: Message::Stored(_),
                ..
            }
        )
    };
    outputs.iter().filter(is_stored).count()
}

fn has_stopped(outputs: &[Output]) -> bool {
    outputs
        .iter()
        .any(|output| matches!(output, Output::Stopped))
}

fn replies(outputs: &[Output]) -> Vec<(CommandId, Reply)> {
    let reply = |output: &Output| {
        let Output::Reply { id, reply } = output else {
            return None;
        };
        Some((*id, reply.clone()))
    };
    outputs.iter().filter_map(reply).collect()
}
