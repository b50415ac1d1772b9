//! One store: what clients of etcd's version 2 expect.

use super::*;

#[test]
fn a_value_is_there_until_it_is_removed_and_nothing_is_left_of_it() {
    let mut one = One::new(1);
    let event = one.set("/a/b", "1").unwrap();
    assert_eq!((event.action, event.index), (KeyAction::Set, 1));
    assert_eq!(one.value("/a/b"), Some("1"));
    let event = one.set("/a/b", "2").unwrap();
    assert_eq!(event.previous.as_ref().unwrap().modified, 1);
    let event = one.remove("/a/b").unwrap();
    assert_eq!((event.action, event.index), (KeyAction::Delete, 3));
    assert!(one.keys.is_empty() && one.keys.bytes() == 0);
    assert_eq!(one.keys.find(&Key::new("/a").unwrap()), None);
    assert!(matches!(
        one.remove("/a/b"),
        Err(KeyRefusal::NotFound { .. })
    ));
}

#[test]
fn a_directory_lists_what_is_in_it_itself_by_name_and_hides_what_begins_with_a_line() {
    let mut one = One::new(1);
    for key in ["/d/b", "/d/a/x", "/d/a-b", "/d/_hidden", "/e"] {
        one.set(key, "1").unwrap();
    }
    let names = |key: &str| -> Vec<String> {
        let children = one.keys.children(&key.parse().unwrap());
        children.iter().map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!(names("/d"), ["/d/a", "/d/a-b", "/d/b"]);
    assert_eq!(names("/"), ["/d", "/e"]);
    assert_eq!(one.value("/d/_hidden"), Some("1"));
    assert_eq!(
        one.keys.find(&Key::new("/d/a").unwrap()),
        Some(Found::Directory(None))
    );
}

#[test]
fn values_and_directories_do_not_take_each_others_place() {
    let mut one = One::new(1);
    one.set("/v", "1").unwrap();
    one.write("/d", directory(), Condition::default()).unwrap();
    assert!(matches!(
        one.set("/v/x", "1"),
        Err(KeyRefusal::IsValue { .. })
    ));
    assert!(matches!(
        one.set("/d", "1"),
        Err(KeyRefusal::IsDirectory { .. })
    ));
    let again = one.write("/d", directory(), Condition::default());
    assert!(matches!(again, Err(KeyRefusal::IsDirectory { .. })));
    assert!(matches!(
        one.remove("/d"),
        Err(KeyRefusal::IsDirectory { .. })
    ));
    assert_eq!(one.set("/", "1"), Err(KeyRefusal::Root));
}

#[test]
fn a_directory_goes_when_it_is_empty_or_with_all_that_is_in_it() {
    let mut one = One::new(1);
    let remove = |directory, recursive| Change::Remove {
        directory,
        recursive,
    };
    one.write("/d", directory(), Condition::default()).unwrap();
    one.set("/d/x/y", "1").unwrap();
    let refused = one.write("/d", remove(true, false), Condition::default());
    assert!(matches!(refused, Err(KeyRefusal::NotEmpty { .. })));
    let event = one.write("/d", remove(false, true), Condition::default());
    assert!(event.unwrap().is_directory);
    assert!(one.keys.is_empty());
    one.write("/d", directory(), Condition::default()).unwrap();
    one.write("/d", remove(true, false), Condition::default())
        .unwrap();
    assert!(one.keys.is_empty());
}

#[test]
fn conditions_are_held_against_what_is_there() {
    let mut one = One::new(1);
    let exists = |exists| Condition {
        exists: Some(exists),
        ..Condition::default()
    };
    let value = |text: &str| Condition {
        value: Some(text.into()),
        ..Condition::default()
    };
    let index = |index| Condition {
        index: Some(index),
        ..Condition::default()
    };
    let refused = one.write("/k", set("1"), exists(true));
    assert!(matches!(refused, Err(KeyRefusal::NotFound { .. })));
    let created = one.write("/k", set("1"), exists(false)).unwrap();
    assert_eq!(created.action, KeyAction::Create);
    let refused = one.write("/k", set("2"), exists(false));
    assert!(matches!(refused, Err(KeyRefusal::Exists { .. })));
    let refused = one.write("/k", set("2"), value("3")).unwrap_err();
    assert!(
        matches!(refused, KeyRefusal::Differs { ref cause, .. } if cause == "[3 != 1]"),
        "{refused}"
    );
    let swapped = one.write("/k", set("2"), value("1")).unwrap();
    assert_eq!(swapped.action, KeyAction::CompareAndSwap);
    assert_eq!(swapped.entry.as_ref().unwrap().created, created.index);
    let refused = one.write("/k", set("3"), index(created.index));
    assert!(matches!(refused, Err(KeyRefusal::Differs { .. })));
    let remove = Change::Remove {
        directory: false,
        recursive: false,
    };
    let event = one.write("/k", remove, index(swapped.index)).unwrap();
    assert_eq!(event.action, KeyAction::CompareAndDelete);
}

#[test]
fn appended_keys_are_in_the_order_in_which_they_were_appended_and_differ_between_nodes() {
    let (mut one, mut two) = (One::new(1), One::new(2));
    let append = |text: &str| Change::Append {
        content: Content::Value(text.into()),
        ttl: None,
    };
    for text in ["a", "b", "c"] {
        one.write("/queue", append(text), Condition::default())
            .unwrap();
        two.write("/queue", append(text), Condition::default())
            .unwrap();
    }
    let values: Vec<String> = one.values().into_iter().map(|(_, text)| text).collect();
    assert_eq!(values, ["a", "b", "c"]);
    two.tell(&mut one, usize::MAX);
    assert_eq!(one.keys.len(), 6);
    let names = one.keys.children(&Key::new("/queue").unwrap());
    assert!(names.iter().all(|(key, _)| key.as_str().len() == 27));
}

#[test]
fn what_is_to_last_ends_at_its_time_and_what_is_refreshed_lasts_on() {
    let mut one = One::new(1);
    let none = Condition::default();
    one.write_at("/a", lasting("1", 10), none.clone(), at(0))
        .unwrap();
    one.write_at("/b", lasting("1", 10), none.clone(), at(0))
        .unwrap();
    assert_eq!(one.keys.next_deadline(), Some(at(10)));
    let refresh = Change::Refresh {
        ttl: Some(Duration::from_secs(10)),
    };
    one.write_at("/b", refresh, none.clone(), at(5)).unwrap();
    assert!(one.keys.expire(at(9)).is_empty());
    assert!(!one.keys.expire(at(10)).touched.is_empty());
    assert_eq!(one.values(), [("/b".to_owned(), "1".to_owned())]);
    assert_eq!(one.keys.next_deadline(), Some(at(15)));
    let zero = one.write_at("/c", lasting("1", 0), none, at(5));
    assert_eq!(zero, Err(KeyRefusal::Ttl));
}

#[test]
fn a_directory_that_ends_takes_what_is_in_it_along() {
    let mut one = One::new(1);
    let lasting = Change::Set {
        content: Content::Directory,
        ttl: Some(Duration::from_secs(1)),
    };
    one.write("/d", lasting, Condition::default()).unwrap();
    one.set("/d/x", "1").unwrap();
    one.keys.expire(at(1));
    assert!(one.keys.is_empty());
}

#[test]
fn a_full_store_takes_no_more_but_lets_go() {
    let mut one = One::new(1);
    let value = "x".repeat(MAX_VALUE);
    let longer = format!("{value}x");
    assert_eq!(
        one.set("/k", &longer),
        Err(KeyRefusal::TooLong(MAX_VALUE + 1))
    );
    let mut count = 0;
    while one.set(&format!("/{count}"), &value).is_ok() {
        count += 1;
    }
    assert!(matches!(
        one.set("/new", &value),
        Err(KeyRefusal::Full { .. })
    ));
    assert!(one.keys.bytes() <= MAX_BYTES && one.keys.bytes() + MAX_VALUE + 8 > MAX_BYTES);
    one.set("/0", &value).unwrap();
    one.remove("/0").unwrap();
    one.set("/new", &value[1..]).unwrap();
    let mut many = One::new(1);
    for number in 0..MAX_KEYS {
        many.set(&format!("/{number}"), "").unwrap();
    }
    assert!(matches!(many.set("/new", ""), Err(KeyRefusal::Full { .. })));
}

#[test]
fn events_are_found_from_an_index_on_until_they_are_forgotten() {
    let mut one = One::new(1);
    let (d, x) = (Key::new("/d").unwrap(), Key::new("/d/x").unwrap());
    one.set("/d/x", "1").unwrap();
    one.set("/other", "1").unwrap();
    one.set("/d/x", "2").unwrap();
    let index = |key: &Key, recursive, from| {
        let event = one.keys.first_event(key, recursive, from).unwrap();
        event.map(|event| event.index)
    };
    assert_eq!(index(&x, false, 1), Some(1));
    assert_eq!(index(&x, false, 2), Some(3));
    assert_eq!(index(&d, true, 2), Some(3));
    assert_eq!(index(&d, false, 1), None);
    assert_eq!(index(&x, false, 4), None);
    for number in 0..MAX_EVENTS {
        one.set("/other", &number.to_string()).unwrap();
    }
    let cleared = one.keys.first_event(&x, false, 3).unwrap_err();
    assert_eq!((cleared.oldest, cleared.asked), (4, 3));
    assert!(one.keys.first_event(&x, false, 4).is_ok());
}

#[test]
fn whoever_waits_for_a_key_hears_that_its_directory_went() {
    let mut one = One::new(1);
    one.set("/d/x", "1").unwrap();
    let remove = Change::Remove {
        directory: false,
        recursive: true,
    };
    one.write("/d", remove, Condition::default()).unwrap();
    let x = Key::new("/d/x").unwrap();
    let event = one.keys.first_event(&x, false, 2).unwrap().unwrap();
    assert_eq!(
        (event.action, event.key.as_str()),
        (KeyAction::Delete, "/d")
    );
}

#[test]
fn a_restored_store_is_as_it_was_but_for_its_events() {
    let mut one = One::new(1);
    one.write_at("/a", lasting("1", 10), Condition::default(), at(0))
        .unwrap();
    one.set("/b", "2").unwrap();
    one.set("/b", "3").unwrap();
    let saved: Vec<SavedKey> = ["/a", "/b"]
        .iter()
        .filter_map(|key| one.keys.saved(&key.parse().unwrap(), at(4)))
        .collect();
    let restored = Keys::restore(one.keys.head(), saved, at(100));
    assert_eq!(restored.held(), one.keys.held());
    assert_eq!(restored.index(), 3);
    assert_eq!(restored.next_deadline(), Some(at(106)));
    let b = Key::new("/b").unwrap();
    let entry = restored.find(&b).and_then(|found| found.entry().cloned());
    assert_eq!(entry.unwrap().modified, 3);
    assert!(restored.first_event(&b, false, 3).is_err());
    assert_eq!(restored.first_event(&b, false, 4), Ok(None));
}

#[test]
fn a_life_that_was_overtaken_writes_no_more() {
    let mut one = One::new(1);
    one.set("/a", "1").unwrap();
    let mut copy = one.clone();
    copy.life.nonce += 1;
    copy.set("/a", "2").unwrap();
    copy.tell(&mut one, usize::MAX);
    assert_eq!(one.set("/a", "3"), Err(KeyRefusal::Overtaken));
    one.life.boot += 1;
    one.set("/a", "3").unwrap();
}
