//! Ways to a peer in virtual time.

use super::*;

const FAR: &str = "192.0.2.1:51820";
const NEAR: &str = "10.0.0.1:51820";
const OTHER_FAMILY: &str = "[2001:db8::1]:51820";

fn direct(text: &str) -> Via {
    Via::Direct(text.parse().expect("an address"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two direct paths and two relays to a peer, in virtual time.
struct Story {
    paths: Paths,
    now: Instant,
    /// Paths that answer.
    working: Vec<Via>,
    sent: Vec<Via>,
}

impl Story {
    fn new(working: &[Via]) -> Self {
        let now = Instant::now();
        let mut paths = Paths::new(true, now);
        let endpoints = [FAR, NEAR].map(|text| text.parse().expect("an address"));
        paths.configure(true, &endpoints, &[7, 8]);
        Self {
            paths,
            now,
            working: working.to_vec(),
            sent: Vec::new(),
        }
    }

    fn run(&mut self, time: Duration) -> Option<Via> {
        let end = self.now + time;
        while self.now < end {
            for order in self.paths.due(true, None, self.now) {
                self.sent.push(order.via);
                if self.working.contains(&order.via) {
                    let later = self.now + Duration::from_millis(20);
                    self.paths.answered(order.sequence, later);
                }
            }
            self.now += Duration::from_millis(250);
        }
        self.paths.active()
    }
}

#[test]
fn the_path_that_answers_is_used() {
    let mut story = Story::new(&[direct(NEAR)]);
    assert_eq!(story.run(seconds(1)), Some(direct(NEAR)));
    assert_eq!(story.paths.rtt(), Some(Duration::from_millis(20)));
}

#[test]
fn relays_are_asked_after_five_seconds_without_an_answer_and_not_before() {
    let mut story = Story::new(&[Via::Relay(8)]);
    assert_eq!(story.run(SILENCE), None);
    assert!(!story.sent.iter().any(|via| via.is_relay()));
    assert_eq!(story.run(seconds(1)), Some(Via::Relay(8)));
}

#[test]
fn a_path_that_falls_silent_is_left_for_a_relay_and_taken_back_when_it_answers_twice() {
    let mut story = Story::new(&[direct(FAR)]);
    assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
    story.working = vec![Via::Relay(7)];
    assert_eq!(story.run(seconds(4)), Some(direct(FAR)));
    assert_eq!(story.run(seconds(5)), Some(Via::Relay(7)));
    story.working.push(direct(FAR));
    assert_eq!(story.run(seconds(7)), Some(direct(FAR)));
}

#[test]
fn a_relay_that_falls_silent_is_left_for_the_other() {
    let mut story = Story::new(&[Via::Relay(7)]);
    story.run(seconds(8));
    story.working = vec![Via::Relay(8)];
    assert_eq!(story.run(seconds(9)), Some(Via::Relay(8)));
}

#[test]
fn two_lost_probes_do_not_change_the_path() {
    let mut story = Story::new(&[direct(FAR), Via::Relay(7)]);
    story.run(seconds(60));
    story.working = vec![Via::Relay(7)];
    story.run(seconds(3));
    story.working = vec![direct(FAR), Via::Relay(7)];
    assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
    // Two or three of the latest 32.
    let lost = story.paths.lost_in_1000().expect("it was probed");
    assert!((62..=94).contains(&lost), "{lost}");
}

#[test]
fn a_member_that_moved_is_followed_at_once() {
    let mut story = Story::new(&[direct(FAR)]);
    story.run(seconds(2));
    let moved = direct("192.0.2.9:1");
    assert!(story.paths.heard(moved, Heard::InUse, story.now));
    assert_eq!(story.paths.active(), Some(moved));
}

#[test]
fn a_member_that_only_tries_a_path_is_not_followed() {
    let mut story = Story::new(&[direct(FAR)]);
    story.run(seconds(2));
    story
        .paths
        .heard(direct("192.0.2.9:1"), Heard::Probe, story.now);
    assert_eq!(story.run(seconds(10)), Some(direct(FAR)));
}

#[test]
fn a_member_heard_by_the_other_family_is_followed_only_if_its_path_owes_an_answer() {
    let mut story = Story::new(&[direct(FAR), direct(OTHER_FAMILY)]);
    story.run(seconds(2));
    story
        .paths
        .heard(direct(OTHER_FAMILY), Heard::InUse, story.now);
    assert_eq!(story.run(seconds(4)), Some(direct(FAR)));
    story.working = vec![direct(OTHER_FAMILY)];
    for _ in 0..8 {
        story.run(Duration::from_millis(250));
        story
            .paths
            .heard(direct(OTHER_FAMILY), Heard::InUse, story.now);
    }
    assert_eq!(story.paths.active(), Some(direct(OTHER_FAMILY)));
}

#[test]
fn a_client_is_followed_wherever_it_was_last_heard_and_never_probed() {
    let now = Instant::now();
    let mut paths = Paths::new(false, now);
    for address in [FAR, OTHER_FAMILY, NEAR] {
        paths.heard(direct(address), Heard::InUse, now);
        assert_eq!(paths.active(), Some(direct(address)));
    }
    assert!(
        paths
            .due(true, Some(seconds(1)), now + seconds(20))
            .is_empty()
    );
}

#[test]
fn strangers_addresses_do_not_pile_up() {
    let mut story = Story::new(&[direct(FAR)]);
    for port in 1..200 {
        let address: SocketAddr = ([10, 1, 1, 1], port).into();
        story
            .paths
            .heard(Via::Direct(address), Heard::InUse, story.now);
    }
    assert!(story.paths.paths.len() <= 4 + MOST_OBSERVED);
}

#[test]
fn a_peer_at_rest_is_probed_as_often_as_it_is_kept_alive_and_else_not() {
    let mut story = Story::new(&[direct(FAR)]);
    story.run(seconds(2));
    let later = story.now + seconds(100);
    assert!(story.paths.due(false, None, later).is_empty());
    assert_eq!(story.paths.due(false, Some(seconds(25)), later).len(), 1);
}
