//! The key-value store of members that are driven by hand.

use super::*;
use crate::keys::{Change, Condition, Content, Key, KeyNews, KeyRefusal, KeyReply, KeyWrite};

#[test]
fn a_write_is_answered_and_told_once_it_is_on_disk_and_not_before() {
    let (mut first, mut second) = pair();
    let asked = write(&mut first, "/a", "1");
    assert_eq!((answers(&asked).len(), news(&asked).len()), (0, 0));
    let done = first.save_all();
    assert!(answers(&done)[0].is_ok());
    assert_eq!(news(&done).len(), 1);
    hear_news(&mut second, &first, &done);
    assert_eq!(value(&second, "/a").as_deref(), Some("1"));
}

#[test]
fn what_the_disk_refuses_is_answered_so_and_saved_later_all_the_same() {
    let (mut first, _) = pair();
    first.save_all();
    let asked = write(&mut first, "/a", "1");
    let (save, records) = only_save(&asked);
    let refused = first.handle(saved(save, Err("no space left on device".to_owned())));
    assert!(matches!(
        answers(&refused)[..],
        [Err(KeyRefusal::Disk { .. })]
    ));
    assert_eq!(news(&refused).len(), 0);
    first.now.monotonic = first.now.monotonic + Duration::from_secs(2);
    let again = first.handle(Input::Wake);
    let tried_again = saves(&again).into_iter().any(|(_, again)| {
        let is_key = |record: &&Record| matches!(record, Record::Key { .. });
        again
            .iter()
            .filter(is_key)
            .eq(records.iter().filter(is_key))
    });
    assert!(tried_again, "{again:?}");
}

#[test]
fn writes_that_come_while_the_disk_is_busy_go_with_the_next_save_together() {
    let (mut first, mut second) = pair();
    first.save_all();
    let began = write(&mut first, "/a", "1");
    for number in 0..50 {
        let outputs = write(&mut first, "/b", &number.to_string());
        assert_eq!(saves(&outputs).len(), 0);
    }
    let next = first.handle(saved(only_save(&began).0, Ok(())));
    hear_news(&mut second, &first, &next);
    let done = first.handle(saved(only_save(&next).0, Ok(())));
    assert_eq!(answers(&done).len(), 50);
    assert_eq!(news(&done).len(), 1);
    hear_news(&mut second, &first, &done);
    assert_eq!(value(&second, "/b").as_deref(), Some("49"));
}

#[test]
fn who_missed_what_was_told_gets_it_with_the_next_exchange_and_what_was_removed_goes() {
    let (mut first, mut second) = pair();
    write(&mut second, "/gone", "1");
    let told = second.save_all();
    hear_news(&mut first, &second, &told);
    first.save_all();
    write(&mut first, "/a", "1");
    remove(&mut first, "/gone");
    first.save_all();
    assert_eq!(value(&second, "/gone").as_deref(), Some("1"));
    let kinds = exchange(&mut first, &mut second);
    assert!(kinds.contains(&"held keys"), "{kinds:?}");
    assert_eq!(value(&second, "/a").as_deref(), Some("1"));
    assert_eq!(value(&second, "/gone"), None);
    let kinds = exchange(&mut first, &mut second);
    assert!(!kinds.contains(&"held keys"), "{kinds:?}");
}

#[test]
fn more_writes_than_can_wait_are_refused_and_so_are_those_of_a_daemon_that_stops() {
    let (mut first, _) = pair();
    first.save_all();
    let mut refused = Vec::new();
    for number in 0..400 {
        let outputs = write(&mut first, "/a", &number.to_string());
        refused.extend(answers(&outputs));
    }
    assert!(refused.len() > 100);
    assert!(refused.iter().all(|reply| *reply == Err(KeyRefusal::Busy)));
    let stopping = first.handle(Input::Stopping);
    assert!(!has_stopped(&stopping), "what was begun is answered first");
    let late = write(&mut first, "/b", "1");
    assert_eq!(answers(&late), [Err(KeyRefusal::Stopping)]);
    let done = first.save_all();
    let kept = answers(&done).iter().filter(|reply| reply.is_ok()).count();
    assert_eq!(kept + refused.len(), 400);
    assert!(has_stopped(&done), "{done:?}");
}

#[test]
fn a_node_of_no_grid_takes_no_keys() {
    let mut alone = Hand::new(1);
    let asked = write(&mut alone, "/a", "1");
    assert_eq!(answers(&asked), [Err(KeyRefusal::NoGrid)]);
}

#[test]
fn large_values_go_to_the_others_in_messages_that_they_take() {
    let (mut first, mut second) = pair();
    first.save_all();
    let large = "x".repeat(crate::keys::MAX_VALUE);
    for number in 0..60 {
        write(&mut first, &format!("/{number}"), &large);
    }
    let done = first.save_all();
    let told = news(&done);
    assert!(told.len() > 1);
    for message in told.iter().cloned().map(Message::Keys) {
        assert!(encode(&message).len() < MAX_MESSAGE_BYTES / 2);
    }
    for _ in 0..10 {
        exchange(&mut first, &mut second);
    }
    assert_eq!(second.node.keys().len(), 60);
}

#[test]
fn what_a_restored_node_writes_before_it_hears_of_its_later_self_takes_nothing_away() {
    let (mut first, mut second) = pair();
    first.save_all();
    write(&mut first, "/after-the-backup", "1");
    let told = first.save_all();
    hear_news(&mut second, &first, &told);
    let mut restored = first.restored();
    let asked = write(&mut restored, "/new", "2");
    assert!(answers(&asked).is_empty(), "it looks before it acts");
    restored.now.monotonic = restored.now.monotonic + Duration::from_secs(30);
    restored.handle(Input::Wake);
    let done = restored.save_all();
    assert!(answers(&done)[0].is_ok(), "{done:?}");
    for _ in 0..3 {
        exchange(&mut restored, &mut second);
        exchange(&mut second, &mut restored);
    }
    for node in [&restored, &second] {
        assert_eq!(value(node, "/after-the-backup").as_deref(), Some("1"));
        assert_eq!(value(node, "/new").as_deref(), Some("2"));
    }
}

fn write(hand: &mut Hand, key: &str, text: &str) -> Vec<Output> {
    let content = Content::Value(text.into());
    change(hand, key, Change::Set { content, ttl: None })
}

fn remove(hand: &mut Hand, key: &str) -> Vec<Output> {
    let removal = Change::Remove {
        directory: false,
        recursive: false,
    };
    change(hand, key, removal)
}

fn change(hand: &mut Hand, key: &str, change: Change) -> Vec<Output> {
    hand.commands += 1;
    hand.handle(Input::WriteKey {
        id: CommandId(hand.commands),
        write: KeyWrite {
            key: key.parse().unwrap(),
            change,
            condition: Condition::default(),
        },
    })
}

fn answers(outputs: &[Output]) -> Vec<KeyReply> {
    let reply = |output: &Output| {
        let Output::KeysReply { reply, .. } = output else {
            return None;
        };
        Some(reply.clone())
    };
    outputs.iter().filter_map(reply).collect()
}

fn news(outputs: &[Output]) -> Vec<KeyNews> {
    let told = |output: &Output| {
        let Output::Send {
            message: Message::Keys(news),
            ..
        } = output
        else {
            return None;
        };
        Some(news.clone())
    };
    outputs.iter().filter_map(told).collect()
}

fn hear_news(hand: &mut Hand, from: &Hand, outputs: &[Output]) {
    for news in news(outputs) {
        hand.handle(Input::Received {
            from: from.node.me,
            message: Message::Keys(news),
        });
    }
}

fn value(hand: &Hand, key: &str) -> Option<String> {
    let key: Key = key.parse().unwrap();
    let found = hand.node.keys().find(&key)?;
    found.value().map(str::to_owned)
}
