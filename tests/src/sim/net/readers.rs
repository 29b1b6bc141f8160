//! Which shard a read is of: the service's iterators say it to nobody, but whoever saw them made knows.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kcl_core::model::ShardId;
use memchr::memmem::{find, rfind};

use crate::sim::stream::shard_of;

/// So many iterators are remembered.
const KEPT: usize = 4_096;

/// The shards of iterators, by a hash of them.
#[derive(Debug, Default)]
pub(super) struct Readers {
    shards: BTreeMap<u64, ShardId>,
    /// In the order in which they were made.
    order: std::collections::VecDeque<u64>,
}

impl Readers {
    /// The shard that this read is of.
    pub(super) fn shard_of(&self, request: &[u8]) -> Option<ShardId> {
        let iterator = text(request, b"\"ShardIterator\":\"", find)?;
        self.shards.get(&hash(iterator)).cloned()
    }

    /// The service answered this call for an iterator, or a read of this shard.
    pub(super) fn answered(&mut self, shard: &ShardId, answer: &[u8]) {
        let first = || text(answer, b"\"ShardIterator\":\"", find);
        // Behind all records.
        let Some(iterator) = text(answer, b"\"NextShardIterator\":\"", rfind).or_else(first) else {
            return;
        };
        let hash = hash(iterator);
        if self.shards.insert(hash, shard.clone()).is_none() {
            self.order.push_back(hash);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.shards.remove(&oldest);
        }
    }
}

/// The shard that a call for an iterator or a subscription names; where there are two streams, with the stream that
/// it names, or that is in the ARN of its consumer.
pub(super) fn named(request: &[u8], of_two: bool) -> Option<ShardId> {
    let name = text(request, b"\"ShardId\":\"", find)?;
    let by_name = || text(request, b"\"StreamName\":\"", find);
    let stream = of_two.then(|| by_name().or_else(|| of_consumer(request)));
    let stream = stream.map(|stream| stream.expect("a request of two streams says of which it is"));
    let stream = stream.map(String::from_utf8_lossy);
    Some(shard_of(stream.as_deref(), &String::from_utf8_lossy(name)))
}

fn of_consumer(request: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b":stream/";
    let arn = text(request, b"\"ConsumerARN\":\"", find)?;
    let stream = arn.get(find(arn, MARK)? + MARK.len()..)?;
    stream.split(|byte| *byte == b'/').next()
}

/// What stands behind this mark, up to the next quotation mark.
fn text<'a>(
    body: &'a [u8],
    mark: &[u8],
    find: fn(&[u8], &[u8]) -> Option<usize>,
) -> Option<&'a [u8]> {
    let from = find(body, mark)? + mark.len();
    let length = body.get(from..)?.iter().position(|byte| *byte == b'"')?;
    body.get(from..from + length)
}

fn hash(iterator: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    iterator.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iterator_belongs_to_the_shard_it_was_made_for_and_so_does_the_next() {
        let mut readers = Readers::default();
        let read = |iterator: &str| format!(r#"{{"ShardIterator":"{iterator}","Limit":5}}"#);
        let shard = named(br#"{"StreamName":"s","ShardId":"shard-7"}"#, false).unwrap();
        readers.answered(&shard, br#"{"ShardIterator":"one"}"#);
        assert_eq!(
            readers.shard_of(read("one").as_bytes()),
            Some(shard.clone())
        );
        assert_eq!(readers.shard_of(read("two").as_bytes()), None);
        readers.answered(&shard, br#"{"Records":[],"NextShardIterator":"two"}"#);
        assert_eq!(readers.shard_of(read("two").as_bytes()), Some(shard));
    }

    #[test]
    fn of_two_streams_a_shard_is_known_with_the_one_that_the_request_is_of() {
        let polled: &[u8] = br#"{"StreamName":"s","ShardId":"shard-7"}"#;
        let pushed: &[u8] =
            br#"{"ConsumerARN":"arn:aws:kinesis:r:0:stream/t/consumer/s:1","ShardId":"shard-7"}"#;
        for (request, stream) in [(polled, "s"), (pushed, "t")] {
            let of_two = shard_of(Some(stream), "shard-7");
            assert_eq!(named(request, true), Some(of_two));
            assert_eq!(named(request, false), Some(ShardId::new("shard-7")));
        }
    }
}
