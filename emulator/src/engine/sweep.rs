//! Frees what has expired where nobody comes by. A shard that is read or written trims itself; this is
//! for the others, and for streams whose end is over. Called with every call of a stream operation, so
//! that nothing is freed while nobody calls at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

use super::stream::Stream;
use super::{Engine, Realm};

/// From one sweep to the next, in the clock's time. Records live a day at least, so that they outlive
/// their time in memory by little.
const EVERY: Duration = Duration::from_secs(60);
/// Chunks of records freed in one call at most: about a millisecond's work.
const CHUNKS: usize = 128;

/// When the next sweep is due, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Due(AtomicU64);

impl Due {
    /// Whether a sweep is due; of several callers one is told so.
    fn take(&self, now: Moment) -> bool {
        let due = self.0.load(Ordering::Relaxed);
        let next = now.after(EVERY).millis();
        now.millis() >= due
            && self
                .0
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// There is more to do than one call should.
    fn set(&self, now: Moment) {
        self.0.store(now.millis(), Ordering::Relaxed);
    }
}

impl Engine {
    /// Frees what has expired and hands on what was counted, if it is time to look.
    pub(crate) fn sweep(&self, now: Moment) {
        if !self.sweep.take(now) {
            return;
        }
        let realms: Vec<Arc<Realm>> = {
            let realms = self.realms.read();
            realms
                .values()
                .flat_map(|regions| regions.values().cloned())
                .collect()
        };
        let mut room = CHUNKS;
        for realm in realms {
            let streams = realm.take_stock(now);
            for stream in streams {
                realm.publish(now, &stream);
                stream.sweep(now, &mut room);
            }
        }
        if room == 0 {
            self.sweep.set(now);
        }
    }
}

impl Realm {
    /// The streams there are, after those whose end is over have been let go.
    fn take_stock(&self, now: Moment) -> Vec<Arc<Stream>> {
        let streams: Vec<_> = self.streams.read().values().cloned().collect();
        if streams.iter().any(|stream| stream.is_gone(now)) {
            self.bury(&mut self.streams.write(), now);
        }
        streams
    }
}

impl Stream {
    /// Frees up to `room` chunks of expired records, and says how much room is left.
    fn sweep(&self, now: Moment, room: &mut usize) {
        let state = self.state(now);
        let oldest = now.before(state.retention);
        for shard in state.topology.listed(None) {
            if *room == 0 {
                return;
            }
            *room -= shard.log.lock().trim_up_to(oldest, *room);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Settings;
    use crate::engine::Payload;
    use crate::engine::stream::{Mode, Plan, Put};
    use crate::engine::tags::Tags;

    const HOUR: u64 = 3_600_000;

    fn stream(engine: &Engine, realm: &Realm, name: &str) -> Arc<Stream> {
        let plan = Plan {
            shards: 1,
            mode: Mode::Provisioned,
            tags: Tags::default(),
            warm: 0,
            record_size_max: 1 << 20,
        };
        engine.create(realm, Moment(0), name, plan).unwrap();
        realm.find(Moment(0), name).unwrap()
    }

    fn fill(stream: &Stream, count: usize) {
        let put = |_| Put {
            hash: 0,
            payload: Payload {
                bytes: Bytes::from_static(b"key"),
                key_len: 3,
                may_keep: false,
                is_encrypted: false,
            },
        };
        stream
            .put(Moment(0), (0..count).map(put).collect(), None)
            .unwrap();
    }

    fn chunks(stream: &Stream, now: Moment) -> usize {
        let shard = Arc::clone(&stream.state(now).topology.open()[0]);
        shard.log.lock().chunk_count()
    }

    #[test]
    fn what_nobody_touches_is_freed_a_bit_with_every_call() {
        let engine = Engine::new(&Settings::default(), 1);
        let realm = engine.realm("000000000000", "us-east-1");
        let streams = ["a", "b"].map(|name| stream(&engine, &realm, name));
        for stream in &streams {
            fill(stream, 100 * 512);
        }
        let left = |now| {
            streams
                .iter()
                .map(|stream| chunks(stream, now))
                .sum::<usize>()
        };
        engine.sweep(Moment(HOUR));
        assert_eq!(left(Moment(HOUR)), 200);
        let late = Moment(24 * HOUR + 1);
        engine.sweep(late);
        assert_eq!(left(late), 200 - CHUNKS);
        engine.sweep(late);
        assert_eq!(left(late), 0);
    }

    #[test]
    fn a_stream_whose_end_is_over_is_let_go() {
        let engine = Engine::new(&Settings::default(), 1);
        let realm = engine.realm("000000000000", "us-east-1");
        let stream = stream(&engine, &realm, "a");
        realm.delete(Moment(0), &stream, Duration::from_secs(30));
        let watched = Arc::downgrade(&stream);
        drop(stream);
        engine.sweep(Moment(29_999));
        assert!(watched.upgrade().is_some());
        engine.sweep(Moment(29_999 + 60_000));
        assert!(watched.upgrade().is_none());
    }
}
