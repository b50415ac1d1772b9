//! Several stores that tell each other: they come to the same, whatever was told in which order.

use proptest::prelude::*;

use super::*;

#[test]
fn what_was_removed_does_not_come_back_from_who_was_away() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    one.set("/a", "1").unwrap();
    one.tell(&mut two, usize::MAX);
    one.remove("/a").unwrap();
    two.tell(&mut one, usize::MAX);
    assert_eq!(one.value("/a"), None);
    one.tell(&mut two, usize::MAX);
    assert_eq!(two.value("/a"), None);
    assert_eq!(one.keys.digest(), two.keys.digest());
}

#[test]
fn of_two_writes_that_did_not_know_each_other_the_same_one_stays_everywhere() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    one.set("/a", "older").unwrap();
    two.set("/b", "x").unwrap();
    two.set("/a", "newer").unwrap();
    let (before_one, before_two) = (one.clone(), two.clone());
    before_two.tell(&mut one, usize::MAX);
    before_one.tell(&mut two, usize::MAX);
    one.tell(&mut two, usize::MAX);
    two.tell(&mut one, usize::MAX);
    assert_eq!(one.value("/a"), Some("newer"));
    assert_eq!(one.values(), two.values());
    assert_eq!(one.keys.digest(), two.keys.digest());
}

#[test]
fn a_write_stays_that_a_removal_elsewhere_did_not_know() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    one.set("/a", "1").unwrap();
    one.tell(&mut two, usize::MAX);
    one.remove("/a").unwrap();
    two.set("/a", "2").unwrap();
    two.tell(&mut one, usize::MAX);
    one.tell(&mut two, usize::MAX);
    assert_eq!((one.value("/a"), two.value("/a")), (Some("2"), Some("2")));
}

#[test]
fn news_that_build_on_what_was_missed_wait_for_it() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    let mut told = Vec::new();
    for text in ["1", "2"] {
        let after = one.keys.newest_of(&one.life.writer);
        let write = KeyWrite {
            key: "/a".parse().unwrap(),
            change: set(text),
            condition: Condition::default(),
        };
        let (_, effect) = one.keys.write(&write, one.life, Instant::ZERO).unwrap();
        let upto = one.keys.newest_of(&one.life.writer);
        let span = Span { after, upto };
        told.push(one.keys.news(one.life.writer, span, effect, Instant::ZERO));
    }
    two.keys.merge(&told[1], Instant::ZERO).unwrap();
    assert_eq!(two.value("/a"), None);
    two.keys.merge(&told[0], Instant::ZERO).unwrap();
    two.keys.merge(&told[1], Instant::ZERO).unwrap();
    assert_eq!(two.value("/a"), Some("2"));
    assert_eq!(one.keys.digest(), two.keys.digest());
}

#[test]
fn a_key_that_is_told_late_ends_no_later_and_one_that_ended_does_not_come_back() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    one.write_at("/a", lasting("1", 10), Condition::default(), at(0))
        .unwrap();
    let news = one
        .keys
        .missing(&two.keys.held(), usize::MAX, at(7))
        .unwrap();
    two.keys.merge(&news, at(1000)).unwrap();
    assert_eq!(two.keys.next_deadline(), Some(at(1003)));
    one.keys.expire(at(10));
    let news = two.keys.missing(&one.keys.held(), usize::MAX, at(1001));
    assert_eq!(news, None);
    one.tell(&mut two, usize::MAX);
    assert_eq!(two.value("/a"), None);
}

#[test]
fn what_others_say_that_no_store_says_is_refused_whole() {
    let (mut one, two) = (One::new(1), One::new(2));
    let mut source = One::new(3);
    source.set("/a", "1").unwrap();
    let right = source
        .keys
        .missing(&two.keys.held(), usize::MAX, Instant::ZERO)
        .unwrap();
    let wrong = |change: fn(&mut SharedEntry)| {
        let mut news = right.clone();
        change(&mut news.entries[0]);
        news
    };
    let large = wrong(|entry| entry.content = Content::Value("x".repeat(MAX_VALUE + 1).into()));
    let late = wrong(|entry| entry.stamp = u64::MAX);
    let root = wrong(|entry| entry.key = Key::root());
    let endless = wrong(|entry| entry.left = Some(u64::MAX));
    for news in [large, late, root, endless] {
        let refused = one.keys.merge(&news, Instant::ZERO);
        assert!(matches!(refused, Err(Refused::NoEntry(_))), "{news:?}");
        assert!(one.keys.is_empty() && one.keys.digest().is_none());
    }
    let mut many = right.clone();
    many.entries = vec![right.entries[0].clone(); 5 * MAX_KEYS];
    let refused = one.keys.merge(&many, Instant::ZERO);
    assert!(matches!(refused, Err(Refused::TooMuch { .. })));
}

/// Something that befalls three stores.
#[derive(Clone, Debug)]
enum Step {
    Set(usize, usize),
    Remove(usize, usize),
    RemoveAll(usize),
    Tell(usize, usize, usize),
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (node, key) = (0..3usize, 0..5usize);
    prop_oneof![
        4 => (node.clone(), key.clone()).prop_map(|(node, key)| Step::Set(node, key)),
        2 => (node.clone(), key).prop_map(|(node, key)| Step::Remove(node, key)),
        1 => node.clone().prop_map(Step::RemoveAll),
        4 => (node.clone(), node.clone(), 1..500usize)
            .prop_map(|(from, to, limit)| Step::Tell(from, to, limit)),
        1 => node.prop_map(Step::Restart),
    ]
}

const KEYS: [&str; 5] = ["/a", "/b", "/d/a", "/d/b", "/d"];

proptest! {
    #[test]
    fn stores_come_to_the_same_whatever_happened_and_values_are_never_made_up(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut nodes: Vec<One> = (1..=3).map(One::new).collect();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Set(node, key) => drop(nodes[node].set(KEYS[key], &number.to_string())),
                Step::Remove(node, key) => drop(nodes[node].remove(KEYS[key])),
                Step::RemoveAll(node) => {
                    let change = Change::Remove { directory: true, recursive: true };
                    drop(nodes[node].write("/d", change, Condition::default()));
                }
                Step::Tell(from, to, limit) if from != to => {
                    let held = nodes[to].keys.held();
                    if let Some(news) = nodes[from].keys.missing(&held, limit, Instant::ZERO) {
                        nodes[to].keys.merge(&news, Instant::ZERO).unwrap();
                    }
                }
                Step::Tell(..) => {}
                Step::Restart(node) => {
                    let one = &mut nodes[node];
                    let keys: Vec<Key> = one.keys.entries.keys().cloned().collect();
                    let saved = keys.iter().filter_map(|key| one.keys.saved(key, Instant::ZERO));
                    one.keys = Keys::restore(one.keys.head(), saved.collect::<Vec<_>>(), Instant::ZERO);
                    one.life.boot += 1;
                }
            }
            for one in &nodes {
                let sum: usize = one.keys.entries.iter()
                    .map(|(key, entry)| key.as_str().len() + entry.content.bytes()).sum();
                prop_assert_eq!(sum, one.keys.bytes());
            }
        }
        for _ in 0..3 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
                let source = nodes[from].clone();
                source.tell(&mut nodes[to], 200);
            }
        }
        let digests: Vec<_> = nodes.iter().map(|one| one.keys.digest()).collect();
        prop_assert!(digests.windows(2).all(|two| two[0] == two[1]));
        prop_assert!(nodes.windows(2).all(|two| two[0].values() == two[1].values()));
    }

    #[test]
    fn the_last_write_of_all_stays_once_everybody_has_heard_it(
        steps in prop::collection::vec((0..3usize, 0..3usize), 0..20)
    ) {
        let mut nodes: Vec<One> = (1..=3).map(One::new).collect();
        for (number, (node, other)) in steps.into_iter().enumerate() {
            nodes[node].set("/a", &number.to_string()).unwrap();
            let source = nodes[node].clone();
            if node != other {
                source.tell(&mut nodes[other], usize::MAX);
            }
        }
        let [first, second, third] = &mut nodes[..] else { unreachable!() };
        second.tell(first, usize::MAX);
        third.tell(first, usize::MAX);
        first.set("/a", "last").unwrap();
        first.tell(second, usize::MAX);
        first.tell(third, usize::MAX);
        prop_assert_eq!(second.value("/a"), Some("last"));
        prop_assert_eq!(third.value("/a"), Some("last"));
    }
}
