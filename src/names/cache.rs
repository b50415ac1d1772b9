//! What resolvers answered lately, bounded in number and size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::query::Query;
use crate::reply::Reply;

/// Answers in one of the two generations: together some 8 MB at most, and far more names than the containers
/// of a host ask for in an hour.
const GENERATION: usize = 4_096;

/// A longer answer is not kept: it was asked for by TCP and is rare.
const LONGEST: usize = 2_048;

/// Two generations: what is asked for moves to the younger one, and when that is full the older is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    young: HashMap<Key, Kept>,
    old: HashMap<Key, Kept>,
}

/// Name, type, class, and whether signatures or unchecked answers are wanted.
type Key = Box<[u8]>;

#[derive(Clone, Debug)]
struct Kept {
    reply: Arc<Reply>,
    at: Instant,
    until: Instant,
}

impl Cache {
    /// An answer that may still be given, and how many seconds old it is.
    pub(crate) fn get(&mut self, query: &Query, now: Instant) -> Option<(Arc<Reply>, u32)> {
        let key = key(query);
        if let Some(kept) = self.old.remove(&key) {
            self.put(key.clone(), kept);
        }
        let kept = self.young.get(&key).filter(|kept| now < kept.until)?;
        let age = now.saturating_duration_since(kept.at).as_secs();
        Some((
            Arc::clone(&kept.reply),
            u32::try_from(age).unwrap_or(u32::MAX),
        ))
    }

    pub(crate) fn insert(&mut self, query: &Query, reply: &Arc<Reply>, now: Instant) {
        let Some(seconds) = reply.keep.filter(|_| reply.len() <= LONGEST) else {
            return;
        };
        let until = now + Duration::from_secs(seconds.into());
        self.put(
            key(query),
            Kept {
                reply: Arc::clone(reply),
                at: now,
                until,
            },
        );
    }

    fn put(&mut self, key: Key, kept: Kept) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, kept);
    }

    /// Other resolvers may answer otherwise.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn key(query: &Query) -> Key {
    let unchecked = u8::from(query.flags & 0x0010 != 0);
    let wants = u8::from(query.wants_dnssec()) << 1 | unchecked;
    let mut key = query.name.as_wire().to_vec();
    key.extend(query.kind.to_be_bytes());
    key.extend(query.class.to_be_bytes());
    key.push(wants);
    key.into()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;

    use super::*;
    use crate::query::{A, tests::question as ask};
    use crate::reply::{question, tests::message};

    fn query(name: &str, payload: Option<u16>) -> Query {
        Query::read(&ask(name, A, payload)).unwrap()
    }

    fn reply(query: &Query, ttl: u32) -> Arc<Reply> {
        let bytes = message(&question(query, 9), 1, ttl, ResponseCode::NoError)
            .to_vec()
            .unwrap();
        Arc::new(Reply::read(&bytes, query, 9).unwrap())
    }

    #[test]
    fn an_answer_is_kept_for_its_time_whatever_the_case_of_the_name() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let asked = query("example.com", None);
        cache.insert(&asked, &reply(&asked, 10), now);
        let after = |cache: &mut Cache, name, seconds| {
            let found = cache.get(&query(name, None), now + Duration::from_secs(seconds));
            found.map(|(_, age)| age)
        };
        assert_eq!(after(&mut cache, "EXAMPLE.com", 9), Some(9));
        assert_eq!(after(&mut cache, "example.com", 10), None);
        assert_eq!(after(&mut cache, "example.net", 0), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not_and_all_is_bounded() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let asked = query("wanted.com", None);
        let other = reply(&asked, 1_000);
        cache.insert(&asked, &other, now);
        for number in 0..20_000 {
            cache.insert(&query(&format!("n{number}.com"), None), &other, now);
            assert!(
                number % 1_000 != 0 || cache.get(&asked, now).is_some(),
                "{number}"
            );
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION);
        cache.clear();
        assert!(cache.get(&asked, now).is_none());
    }
}
