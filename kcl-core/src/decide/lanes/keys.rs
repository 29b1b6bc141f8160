//! Records that wait for a call, by key. A key is ready while none of its records is out.
//!
//! Called by [`super`] only. Keys are named by their hash; two with the same hash wait for each other.

use std::collections::{BTreeMap, VecDeque};

use super::job::Taken;
use crate::decide::settlement::Number;

/// A key by its hash.
pub(super) type KeyHash = u64;

/// A record that waits.
#[derive(Debug)]
struct Waiting {
    number: Number,
    /// How much of a batch it takes, which is told once for each record.
    weight: usize,
}

#[derive(Debug, Default)]
struct Key {
    /// In the order of the shard.
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Records of it that are in a call, or failed and wait to be tried again.
    out: usize,
}

/// Records that can go into one call together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heap {
    pub(super) oldest: Number,
    /// All are of this key; nothing if keys may be mixed.
    key: Option<KeyHash>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

#[derive(Default)]
pub(super) struct Keys {
    keys: BTreeMap<KeyHash, Key>,
    /// Those that are ready, by the number of their oldest record.
    ready: BTreeMap<Number, KeyHash>,
    ready_records: usize,
    ready_bytes: usize,
    waiting: usize,
}

impl Keys {
    /// The newest record of the shard waits.
    pub(super) fn push(&mut self, hash: KeyHash, number: Number, weight: usize) {
        let key = self.keys.entry(hash).or_default();
        key.waiting.push_back(Waiting { number, weight });
        key.bytes += weight;
        self.waiting += 1;
        if key.out == 0 {
            self.ready_records += 1;
            self.ready_bytes += weight;
            if key.waiting.len() == 1 {
                self.ready.insert(number, hash);
            }
        }
    }

    /// Records of this heap are out from now on, the oldest first, up to these bounds; one at least. Those at `below` and
    /// beyond stay.
    pub(super) fn take(
        &mut self,
        heap: &Heap,
        records_max: usize,
        bytes_max: usize,
        below: Number,
        taken: &mut Taken,
    ) {
        let mut bytes = 0;
        while taken.len() < records_max
            && bytes < bytes_max
            && let Some((oldest, hash)) = self.next_of(heap)
            && oldest < below
        {
            let before = taken.len();
            self.change(hash, |key| {
                while taken.len() < records_max
                    && let Some(next) = key.waiting.front()
                    && next.number < below
                    && (taken.is_empty() || bytes + next.weight <= bytes_max)
                    && let Some(next) = key.waiting.pop_front()
                {
                    key.bytes -= next.weight;
                    bytes += next.weight;
                    key.out += 1;
                    taken.push(next.number, hash);
                }
            });
            self.waiting -= taken.len() - before;
            if taken.len() == before {
                break;
            }
        }
    }

    /// The oldest record of a heap that can be taken, and its key.
    fn next_of(&self, heap: &Heap) -> Option<(Number, KeyHash)> {
        let Some(hash) = heap.key else {
            return self
                .ready
                .first_key_value()
                .map(|(number, hash)| (*number, *hash));
        };
        let key = self.keys.get(&hash).filter(|key| key.out == 0)?;
        key.waiting.front().map(|oldest| (oldest.number, hash))
    }

    /// These records are not out any more.
    pub(super) fn release(&mut self, hashes: &[KeyHash]) {
        // Most are neighbours of their own.
        for of_key in hashes.chunk_by(|one, next| one == next) {
            self.change(of_key[0], |key| key.out -= of_key.len());
        }
    }

    /// A record waits again, before all others of its key.
    pub(super) fn put_back(&mut self, hash: KeyHash, number: Number, weight: usize) {
        self.waiting += 1;
        self.change(hash, |key| {
            key.out -= 1;
            key.bytes += weight;
            let next = key.waiting.front();
            debug_assert!(next.is_none_or(|next| number < next.number));
            key.waiting.push_front(Waiting { number, weight });
        });
    }

    /// Forgets all that wait at this number and beyond.
    pub(super) fn forget_from(&mut self, number: Number) {
        let hashes: Vec<_> = self.keys.keys().copied().collect();
        for hash in hashes {
            let mut forgotten = 0;
            self.change(hash, |key| {
                while let Some(last) = key.waiting.pop_back_if(|last| last.number >= number) {
                    key.bytes -= last.weight;
                    forgotten += 1;
                }
            });
            self.waiting -= forgotten;
        }
    }

    /// Changes a key, and what depends on it. A key with nothing in it is forgotten.
    fn change(&mut self, hash: KeyHash, change: impl FnOnce(&mut Key)) {
        let key = self.keys.entry(hash).or_default();
        if key.out == 0
            && let Some(oldest) = key.waiting.front()
        {
            self.ready.remove(&oldest.number);
            self.ready_records -= key.waiting.len();
            self.ready_bytes -= key.bytes;
        }
        change(key);
        match key.waiting.front() {
            Some(oldest) if key.out == 0 => {
                self.ready.insert(oldest.number, hash);
                self.ready_records += key.waiting.len();
                self.ready_bytes += key.bytes;
            }
            None if key.out == 0 => drop(self.keys.remove(&hash)),
            Some(_) | None => {}
        }
    }

    /// The oldest record that can be taken.
    pub(super) fn oldest_ready(&self) -> Option<Number> {
        self.ready.first_key_value().map(|(number, _)| *number)
    }

    /// All that can be taken: together, or key by key, the oldest first.
    pub(super) fn heaps(&self, by_key: bool) -> impl Iterator<Item = Heap> {
        let all = self.oldest_ready().filter(|_| !by_key).map(|oldest| Heap {
            oldest,
            key: None,
            records: self.ready_records,
            bytes: self.ready_bytes,
        });
        let single = self.ready.iter().filter(move |_| by_key);
        let single = single.filter_map(|(oldest, hash)| {
            let key = self.keys.get(hash)?;
            Some(Heap {
                oldest: *oldest,
                key: Some(*hash),
                records: key.waiting.len(),
                bytes: key.bytes,
            })
        });
        all.into_iter().chain(single)
    }

    /// Whether no record waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}
