//! The rules one by one, and drawn plays in which everything goes wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::chance::Chance;
use crate::time::Instant;

const LEASE: LeaseId = LeaseId([1; 32]);

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn ask(epoch: u64) -> LeaseAsk {
    LeaseAsk {
        lease: LEASE,
        tenure: TenureId(1),
        epoch,
        round: 1,
    }
}

fn refused(highest: u64) -> Decision {
    Decision::Answer(Verdict::Refused { highest })
}

const GRANTED: Decision = Decision::Answer(Verdict::Granted);

/// A witness that began long ago.
fn open() -> Book {
    Book::open([], Instant::ZERO)
}

fn grant(book: &mut Book, to: u8, epoch: u64, now: Instant) {
    assert_eq!(book.ask(node(to), ask(epoch), now), Decision::Write);
    assert!(book.saved(Granted::of(node(to), &ask(epoch))));
}

#[test]
fn a_witness_that_begins_grants_nothing_until_what_it_may_have_granted_before_is_over() {
    let mut book = open();
    assert_eq!(book.ask(node(1), ask(1), at(20)), refused(0));
    assert_eq!(book.ask(node(1), ask(1), at(21)), Decision::Write);
}

#[test]
fn nobody_else_gets_a_lease_before_it_is_over_and_a_renewal_needs_no_disk() {
    let mut book = open();
    grant(&mut book, 1, 1, at(30));
    assert_eq!(book.ask(node(1), ask(1), at(40)), GRANTED);
    assert_eq!(book.ask(node(2), ask(2), at(60)), refused(1));
    assert_eq!(book.ask(node(2), ask(2), at(61)), Decision::Write);
    assert_eq!(book.ask(node(1), ask(1), at(61)), refused(2));
}

#[test]
fn what_is_not_on_the_disk_is_granted_to_nobody_else_and_told_to_nobody() {
    let mut book = open();
    assert_eq!(book.ask(node(1), ask(1), at(30)), Decision::Write);
    assert_eq!(book.ask(node(2), ask(2), at(31)), refused(1));
    // It is asked again before the disk has it: that one is told by the disk as well.
    assert_eq!(book.ask(node(1), ask(1), at(31)), Decision::Write);
    let overtaken = Granted::of(node(2), &ask(2));
    assert!(!book.saved(overtaken));
}

#[test]
fn an_epoch_rises_from_holder_to_holder() {
    let mut book = open();
    grant(&mut book, 1, 7, at(30));
    assert_eq!(book.ask(node(2), ask(7), at(90)), refused(7));
    assert_eq!(book.ask(node(2), ask(6), at(90)), refused(7));
    grant(&mut book, 2, 8, at(90));
    // Nobody is granted what only asks what there is.
    assert_eq!(book.ask(node(2), ask(0), at(90)), refused(8));
    assert_eq!(
        Book::open([], Instant::ZERO).ask(node(1), ask(0), at(50)),
        refused(0)
    );
}

#[test]
fn a_witness_that_began_anew_goes_on_with_whom_it_had_and_lets_nobody_else_in() {
    let mut book = open();
    grant(&mut book, 1, 3, at(30));
    let mut anew = Book::open(book.written(), at(100));
    assert_eq!(anew.ask(node(2), ask(4), at(120)), refused(3));
    assert_eq!(anew.ask(node(1), ask(3), at(101)), GRANTED);
    assert_eq!(anew.ask(node(2), ask(4), at(121)), refused(3));
    assert_eq!(anew.ask(node(2), ask(4), at(122)), Decision::Write);
}

#[test]
fn a_witness_whose_disk_was_set_back_goes_on_with_nobody() {
    let written = [Granted::of(node(1), &ask(3))];
    let mut book = Book::open(written, at(100));
    book.distrust(at(110));
    assert_eq!(book.ask(node(1), ask(3), at(111)), refused(3));
    assert_eq!(book.ask(node(1), ask(4), at(130)), refused(3));
    assert_eq!(book.ask(node(2), ask(4), at(131)), Decision::Write);
}

#[test]
fn what_is_let_go_is_free_at_once_but_not_by_somebody_else_or_for_an_earlier_tenure() {
    let mut book = open();
    grant(&mut book, 1, 3, at(30));
    book.release(node(2), LEASE, TenureId(1), at(31));
    book.release(node(1), LEASE, TenureId(0), at(31));
    assert_eq!(book.ask(node(2), ask(4), at(31)), refused(3));
    book.release(node(1), LEASE, TenureId(1), at(31));
    assert_eq!(book.ask(node(2), ask(4), at(31)), Decision::Write);
}

#[test]
fn a_witness_forgets_what_nobody_knows_any_more_long_after_it_was_over() {
    let mut book = open();
    grant(&mut book, 1, 1, at(30));
    book.forget(|_| false, at(3600));
    assert_eq!(book.len(), 1);
    book.forget(|_| true, at(10_000));
    assert_eq!(book.len(), 1);
    book.forget(|_| false, at(10_000));
    assert!(book.is_empty());
}

fn tenure() -> Tenure {
    Tenure::new(
        TenureId(1),
        LEASE,
        (1..=3).map(node).collect(),
        Instant::ZERO,
    )
}

fn answer(tenure: &mut Tenure, from: u8, asked: LeaseAsk, verdict: Verdict, now: Instant) {
    let answer = LeaseAnswer {
        lease: LEASE,
        round: asked.round,
        epoch: asked.epoch,
        verdict,
    };
    tenure.answered(node(from), answer, now);
}

#[test]
fn a_lease_is_counted_from_when_the_majority_was_asked() {
    let mut tenure = tenure();
    let probe = tenure.ask(1, at(0)).unwrap();
    for witness in 1..=3 {
        answer(
            &mut tenure,
            witness,
            probe,
            Verdict::Refused { highest: 4 },
            at(1),
        );
    }
    assert_eq!(tenure.epoch(), 5);
    let first = tenure.ask(2, at(1)).unwrap();
    answer(&mut tenure, 1, first, Verdict::Granted, at(8));
    assert_eq!(tenure.until(), None);
    answer(&mut tenure, 3, first, Verdict::Granted, at(9));
    assert_eq!(tenure.until(), Some(at(20)));
    let second = tenure.ask(3, at(9)).unwrap();
    answer(&mut tenure, 1, second, Verdict::Granted, at(10));
    // The other one of the majority was asked earlier.
    assert_eq!(tenure.until(), Some(at(20)));
    answer(&mut tenure, 2, second, Verdict::Granted, at(10));
    assert_eq!(tenure.until(), Some(at(28)));
    assert!(tenure.is_held(at(27)) && !tenure.is_held(at(28)));
}

#[test]
fn answers_of_strangers_of_other_epochs_and_to_no_question_say_nothing() {
    let mut tenure = tenure();
    let probe = tenure.ask(1, at(0)).unwrap();
    answer(&mut tenure, 9, probe, Verdict::Granted, at(0));
    let other = LeaseAsk { epoch: 7, ..probe };
    answer(&mut tenure, 1, other, Verdict::Granted, at(0));
    let never_asked = LeaseAsk { round: 5, ..probe };
    answer(&mut tenure, 2, never_asked, Verdict::Granted, at(0));
    answer(&mut tenure, 3, probe, Verdict::Granted, at(0));
    assert_eq!(tenure.turnout(at(0)).granted, 1);
}

#[test]
fn one_witness_that_claims_the_highest_number_raises_nothing() {
    let mut tenure = tenure();
    let probe = tenure.ask(1, at(0)).unwrap();
    answer(
        &mut tenure,
        1,
        probe,
        Verdict::Refused { highest: u64::MAX },
        at(0),
    );
    answer(
        &mut tenure,
        2,
        probe,
        Verdict::Refused { highest: 3 },
        at(0),
    );
    assert_eq!(tenure.epoch(), 0);
    answer(
        &mut tenure,
        3,
        probe,
        Verdict::Refused { highest: 2 },
        at(0),
    );
    assert_eq!(tenure.epoch(), 4);
}

#[test]
fn a_witness_that_is_silent_is_not_waited_for_long() {
    let mut tenure = tenure();
    for second in 0..=2 {
        let Some(probe) = tenure.ask(second + 1, at(second)) else {
            continue;
        };
        answer(
            &mut tenure,
            1,
            probe,
            Verdict::Refused { highest: 5 },
            at(second),
        );
        answer(
            &mut tenure,
            2,
            probe,
            Verdict::Refused { highest: 0 },
            at(second),
        );
    }
    assert_eq!(tenure.epoch(), 6);
}

/// What each of them does is drawn, and so is what becomes of messages, disks and clocks.
struct Play {
    chance: Chance,
    /// In true time.
    now: Duration,
    /// In thousandths: 975 is slow, 1,025 fast. Two of them are 5 % apart at most.
    rates: Vec<u32>,
    books: Vec<Book>,
    disks: Vec<Vec<Granted>>,
    tenures: Vec<Option<Tenure>>,
    rounds: u64,
    /// When it arrives, from whom, to whom.
    under_way: Vec<(Duration, usize, usize, LeaseWord)>,
    tenures_held: usize,
}

const WITNESSES: usize = 3;
const NODES: usize = 5;

impl Play {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, "leases");
        let rates: Vec<u32> = (0..NODES)
            .map(|_| 975 + u32::try_from(chance.below(51)).unwrap())
            .collect();
        Self {
            chance,
            now: Duration::ZERO,
            rates,
            books: (0..WITNESSES).map(|_| open()).collect(),
            disks: vec![Vec::new(); WITNESSES],
            tenures: vec![None; NODES],
            rounds: 0,
            under_way: Vec::new(),
            tenures_held: 0,
        }
    }

    fn clock(&self, node: usize) -> Instant {
        Instant::from_duration(self.now * self.rates[node] / 1000)
    }

    fn id(node: usize) -> NodeId {
        self::node(u8::try_from(node).unwrap())
    }

    fn send(&mut self, from: usize, to: usize, word: &LeaseWord) {
        for _ in 0..1 + self.chance.below(2) {
            if self.chance.below(10) < 8 {
                let late = match self.chance.below(8) {
                    0 => self.chance.below(25_000),
                    _ => self.chance.below(50),
                };
                let arrives = self.now + Duration::from_millis(late);
                self.under_way.push((arrives, from, to, word.clone()));
            }
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(100);
        self.befall();
        for node in 0..NODES {
            let now = self.clock(node);
            let Some(tenure) = &mut self.tenures[node] else {
                continue;
            };
            self.rounds += 1;
            if let Some(ask) = tenure.ask(self.rounds, now) {
                for witness in 0..WITNESSES {
                    self.send(node, witness, &LeaseWord::Ask(ask));
                }
            }
        }
        let due = self.now;
        let arrived: Vec<_> = self
            .under_way
            .extract_if(.., |(at, ..)| *at <= due)
            .collect();
        for (_, from, to, word) in arrived {
            self.deliver(from, to, word);
        }
        let holders = (0..NODES).filter(|node| {
            let tenure = self.tenures[*node].as_ref();
            tenure.is_some_and(|tenure| tenure.is_held(self.clock(*node)))
        });
        let holders: Vec<usize> = holders.collect();
        assert!(holders.len() <= 1, "{holders:?} hold it at {:?}", self.now);
        self.tenures_held += holders.len();
    }

    fn befall(&mut self) {
        let node = usize::try_from(self.chance.below(NODES as u64)).unwrap();
        match self.chance.below(400) {
            0..=3 => {
                let witnesses = (0..WITNESSES).map(Self::id).collect();
                let now = self.clock(node);
                self.rounds += 1;
                let id = TenureId(self.rounds);
                self.tenures[node].get_or_insert_with(|| Tenure::new(id, LEASE, witnesses, now));
            }
            4..=5 => self.let_go(node),
            // Its daemon begins anew, and its memory is gone.
            6 => self.tenures[node] = None,
            7 if node < WITNESSES => {
                self.books[node] = Book::open(self.disks[node].clone(), self.clock(node));
            }
            _ => {}
        }
    }

    fn let_go(&mut self, node: usize) {
        let Some(tenure) = self.tenures[node].take() else {
            return;
        };
        let word = LeaseWord::Release {
            lease: LEASE,
            tenure: tenure.id(),
        };
        for witness in 0..WITNESSES {
            self.send(node, witness, &word);
        }
    }

    fn deliver(&mut self, from: usize, to: usize, word: LeaseWord) {
        let now = self.clock(to);
        match word {
            LeaseWord::Ask(asked) => {
                let verdict = match self.books[to].ask(Self::id(from), asked, now) {
                    Decision::Answer(verdict) => verdict,
                    // The disk refuses some, and takes some of which it is not heard.
                    Decision::Write if self.chance.below(10) == 0 => return,
                    Decision::Write => {
                        self.disks[to] = self.books[to].written();
                        let granted = Granted::of(Self::id(from), &asked);
                        assert!(self.books[to].saved(granted));
                        Verdict::Granted
                    }
                };
                let answer = LeaseAnswer {
                    lease: LEASE,
                    round: asked.round,
                    epoch: asked.epoch,
                    verdict,
                };
                self.send(to, from, &LeaseWord::Answer(answer));
            }
            LeaseWord::Answer(answer) => {
                if let Some(tenure) = &mut self.tenures[to] {
                    tenure.answered(Self::id(from), answer, now);
                }
            }
            LeaseWord::Release { lease, tenure } => {
                self.books[to].release(Self::id(from), lease, tenure, now);
            }
        }
    }
}

#[test]
fn two_never_hold_it_at_once_whatever_becomes_of_messages_witnesses_and_clocks() {
    let mut held = 0;
    let plays = if std::env::var_os("KONTENA_TEST_LONG").is_some() {
        2_000
    } else {
        60
    };
    for seed in 0..plays {
        let mut play = Play::new(seed);
        for _ in 0..6_000 {
            play.step();
        }
        held += usize::from(play.tenures_held > 0);
    }
    assert!(
        held * 10 > plays as usize * 9,
        "held in {held} of {plays} plays"
    );
}

#[test]
fn another_set_of_witnesses_or_another_life_of_the_service_is_another_lease() {
    let service: ServiceKey = "stack/db".parse().unwrap();
    let of = |creation: u8, witnesses: &[u8]| {
        let witnesses: BTreeSet<NodeId> = witnesses.iter().copied().map(node).collect();
        LeaseId::of(&service, EnvelopeHash([creation; 32]), &witnesses)
    };
    let leases = [of(1, &[1, 2, 3]), of(2, &[1, 2, 3]), of(1, &[1, 2, 4])];
    let all: BTreeSet<LeaseId> = leases.into_iter().collect();
    assert_eq!(all.len(), 3);
    let tag = |host| FenceTag::of(&leases[0], &node(host)).to_string();
    assert_ne!(tag(1), tag(2));
    assert_eq!(tag(1).len(), 32);
}

#[test]
fn another_life_of_a_service_waits_until_the_earlier_one_is_over_or_let_go() {
    let mut later = [1; 32];
    later[NAME..].fill(2);
    let anew = LeaseAsk {
        lease: LeaseId(later),
        ..ask(4)
    };
    let elsewhere = LeaseAsk {
        lease: LeaseId([2; 32]),
        ..ask(1)
    };
    let mut book = open();
    grant(&mut book, 1, 3, at(30));
    assert_eq!(book.ask(node(2), anew, at(40)), refused(3));
    assert_eq!(book.ask(node(2), elsewhere, at(40)), Decision::Write);
    assert!(book.has(node(1), &ask(3)) && !book.has(node(2), &ask(3)));
    let mut waited = book.clone();
    // Its epochs go on where those of the earlier one ended.
    let low = LeaseAsk { epoch: 3, ..anew };
    assert_eq!(waited.ask(node(2), low, at(51)), refused(3));
    assert_eq!(waited.ask(node(2), anew, at(51)), Decision::Write);
    assert!(!waited.has(node(1), &ask(3)));
    book.release(node(1), LEASE, TenureId(1), at(41));
    assert_eq!(book.ask(node(2), anew, at(41)), Decision::Write);
}

#[test]
fn an_epoch_is_above_what_every_witness_knows_so_that_all_can_grant_it() {
    let mut tenure = tenure();
    let probe = tenure.ask(1, at(0)).unwrap();
    for (witness, highest) in [(1, 5), (2, 5), (3, 9)] {
        answer(
            &mut tenure,
            witness,
            probe,
            Verdict::Refused { highest },
            at(0),
        );
    }
    assert_eq!(tenure.epoch(), 10);
}
