//! An exchange on the wire: a list without the names of its fields, which would be half of it.
//!
//! Reply, lives, news, counters, yours (boot, nonce, sequence), reports, documents; and the digest of the keys
//! where there are any. What a later version adds behind is passed over.

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::membership::vector::Brief;
use crate::report::ReportOrder;

use super::Exchange;

/// How many are always there.
const FIELDS: usize = 7;

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = FIELDS + usize::from(self.keys.is_some());
        let mut list = serializer.serialize_seq(Some(fields))?;
        let yours = self.yours;
        list.serialize_element(&self.reply)?;
        list.serialize_element(&self.brief.lives)?;
        list.serialize_element(&self.brief.news)?;
        list.serialize_element(&self.brief.counters)?;
        list.serialize_element(&yours.map(|order| (order.boot, order.nonce, order.sequence)))?;
        list.serialize_element(&self.reports)?;
        list.serialize_element(&self.documents)?;
        if let Some(keys) = &self.keys {
            list.serialize_element(keys)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Exchange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Exchange;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a list of {FIELDS} fields or more")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Exchange, A::Error> {
        let order = |(boot, nonce, sequence)| ReportOrder {
            boot,
            nonce,
            sequence,
        };
        let exchange = Exchange {
            reply: next(&mut list, 0)?,
            brief: Brief {
                lives: next(&mut list, 1)?,
                news: next(&mut list, 2)?,
                counters: next(&mut list, 3)?,
            },
            yours: next::<Option<_>, _>(&mut list, 4)?.map(order),
            reports: next(&mut list, 5)?,
            documents: next(&mut list, 6)?,
            keys: list.next_element()?,
        };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(exchange)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    list: &mut A,
    number: usize,
) -> Result<T, A::Error> {
    let element = list.next_element()?;
    element.ok_or_else(|| A::Error::invalid_length(number, &Fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::membership::freshness::Pulse;
    use crate::message::{Digest, Message, decode, encode};
    use crate::time::{Instant, Now};

    fn exchange(keys: Option<Digest>) -> Exchange {
        let now = Now::default();
        let pulse = Pulse::new(NodeId([1; 32]), 1, 2, 3, now);
        Exchange {
            reply: true,
            brief: pulse.brief(Instant::ZERO),
            yours: Some(ReportOrder {
                boot: 1,
                nonce: 2,
                sequence: 3,
            }),
            reports: Digest::default(),
            documents: Digest::of([b"x".as_slice()]),
            keys,
        }
    }

    #[test]
    fn an_exchange_is_read_as_it_was_written_with_keys_and_without() {
        for keys in [None, Some(Digest::of([b"k".as_slice()]))] {
            let message = Message::Exchange(exchange(keys));
            let read: Message = decode(&encode(&message)).unwrap();
            assert_eq!(read, message);
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_is_missing_is_an_error() {
        let mut bytes = Vec::new();
        let keys = Some(Digest::of([b"k".as_slice()]));
        ciborium::into_writer(&exchange(keys), &mut bytes).unwrap();
        let mut list: Vec<ciborium::Value> = ciborium::from_reader(bytes.as_slice()).unwrap();
        list.push("something new".into());
        let read: Exchange = ciborium::Value::Array(list.clone()).deserialized().unwrap();
        assert_eq!(read, exchange(keys));
        list.truncate(FIELDS - 1);
        let short = ciborium::Value::Array(list).deserialized::<Exchange>();
        assert!(short.is_err());
    }
}
