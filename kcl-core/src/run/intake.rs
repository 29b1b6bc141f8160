//! What a shard's task reads: its feed, and the decoder behind it. Owned by `run::shard`.

use crate::decode::{Decoder, Found};
use crate::event::{Event, Events};
use crate::model::{Batch, ShardId};
use crate::port::{Feed, FeedError};

/// A running read of one shard, decoded.
pub(crate) struct Intake {
    shard: ShardId,
    feed: Feed,
    decoder: Decoder,
    events: Events,
}

impl Intake {
    pub(crate) const fn new(shard: ShardId, feed: Feed, decoder: Decoder, events: Events) -> Self {
        Self {
            shard,
            feed,
            decoder,
            events,
        }
    }

    /// The next batch, as [`Feed::next`]. Cancel-safe: it waits for nothing but the feed.
    pub(crate) async fn next(&mut self) -> Result<Batch, FeedError> {
        loop {
            while let Some((batch, found)) = self.decoder.next() {
                found.into_iter().for_each(|found| self.tell(found));
                // Everything in it may belong to other shards. Only the end of a shard comes without a record.
                if !batch.records.is_empty() || batch.children.is_some() {
                    return Ok(batch);
                }
            }
            let batch = self.feed.next().await?;
            self.decoder.push(batch);
        }
    }

    fn tell(&self, found: Found) {
        let shard = self.shard.clone();
        self.events.emit(&match found {
            Found::Malformed {
                first,
                why,
                records,
            } => Event::AggregatesMalformed {
                shard,
                first,
                why,
                records,
            },
            Found::Misrouted { first, records } => Event::RecordsMisrouted {
                shard,
                first,
                records,
            },
        });
    }
}
