//! What is known of the calls of handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::{SequenceNumber, ShardId};

use super::{Ledger, RecordLedger};
use crate::sim::history::{CallNumber, Ending, Errand, HandlerCall, Process, RecordId};
use crate::sim::scenario::Door;

/// All calls of handlers.
#[derive(Debug, Default)]
pub struct HandlingLedger {
    /// Those that run.
    pub calls: BTreeMap<CallNumber, HandlerCall>,
    /// What was handed over by each grant.
    pub grants: BTreeMap<(Process, ShardId, u64), HandedLedger>,
    /// The records that the failure destination took.
    pub given_up: BTreeSet<RecordId>,
    /// When each process first said that it gives records up, and of each time the first of them.
    pub gave_up: BTreeMap<Process, (Duration, Vec<SequenceNumber>)>,
}

/// What was handed over by one grant.
#[derive(Clone, Debug, Default)]
pub struct HandedLedger {
    /// The number of the event that granted it.
    pub number: u64,
    /// The records by their place in the shard.
    pub records: BTreeMap<usize, Handed>,
    /// Those of them that are not settled.
    pub open: BTreeSet<usize>,
    /// Behind which place each chain goes on.
    pub reached: BTreeMap<Chain, usize>,
    /// In which lane each chain was handed over last, where the handler was told.
    pub lanes: BTreeMap<Chain, usize>,
    /// The window that is open.
    pub window: Option<Window>,
}

/// A record that was handed over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handed {
    /// How often.
    pub times: u32,
    /// How often a call with it failed, and did not say that it is done.
    pub failures: u32,
    /// Whether a call said that it is done, or the failure destination took it.
    pub is_settled: bool,
}

/// Records of which one is handed over after the other: those of one key, or with one lane all of the shard.
pub type Chain = Option<u32>;

/// A window of a function, open from its first record to its last call that goes well.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The place of its first record.
    pub from: usize,
    /// Which it is, counted in its length.
    pub turn: u128,
    /// How many records the function has counted in it.
    pub records: u64,
}

impl Ledger {
    /// The chain of a record.
    #[must_use]
    pub fn chain(&self, record: &RecordLedger) -> Chain {
        let lanes = self.expect.handling.map_or(1, |handling| handling.lanes);
        (lanes > 1).then_some(record.key)
    }

    /// In which window a record arrived.
    #[must_use]
    pub fn turn(&self, record: &RecordLedger) -> u128 {
        let window = self.expect.handling.and_then(|handling| handling.window);
        let zero = self.expect.wall_zero.duration_since(std::time::UNIX_EPOCH);
        let at = zero.unwrap_or_default() + Duration::from_millis(record.arrival);
        at.as_millis() / window.unwrap_or(Duration::MAX).as_millis().max(1)
    }

    /// What was handed over by the grant that a call is for.
    #[must_use]
    pub fn handed_by(&self, call: &HandlerCall) -> Option<&HandedLedger> {
        self.handed(call.process, &call.shard, call.epoch)
    }

    /// What was handed over by a grant. After a row was deleted another one can have its epoch.
    #[must_use]
    pub fn handed(&self, process: Process, shard: &ShardId, epoch: u64) -> Option<&HandedLedger> {
        let granted = self.granted(process, shard, epoch);
        let handed = self.handling.grants.get(&(process, shard.clone(), epoch));
        handed.filter(|it| granted.is_none_or(|granted| it.number == granted))
    }

    /// The number of the event that gave a process this grant. Nothing if the last grant of this epoch is another's: then
    /// the process goes on with one whose row was deleted, until it notices.
    fn granted(&self, process: Process, shard: &ShardId, epoch: u64) -> Option<u64> {
        let grant = self.shards.get(shard)?.grants.get(&epoch)?;
        let by = self.incarnations.get(&grant.incarnation);
        (by == Some(&process)).then_some(grant.number)
    }

    /// The calls of handlers that run in a process.
    pub fn calls_of(&self, process: Process) -> impl Iterator<Item = &HandlerCall> {
        let calls = self.handling.calls.values();
        calls.filter(move |call| call.process == process)
    }

    /// A call starts.
    pub(super) fn handler_called(&mut self, call: &HandlerCall) {
        if call.errand == Errand::Handle {
            self.hand_over(call);
            self.delivered(&call.shard, &call.ids);
        }
        self.handling.calls.insert(call.number, call.clone());
    }

    fn hand_over(&mut self, call: &HandlerCall) {
        let Some(records) = self.records_of(&call.ids) else {
            return;
        };
        let has_windows = self.is_windowed();
        let places = records.into_iter();
        let places = places.map(|it| (it.place, self.chain(it), self.turn(it)));
        let places: Vec<_> = places.collect();
        let granted = self.granted(call.process, &call.shard, call.epoch);
        let key = (call.process, call.shard.clone(), call.epoch);
        let handed = self.handling.grants.entry(key).or_default();
        if let Some(number) = granted
            && handed.number != number
        {
            *handed = HandedLedger {
                number,
                ..HandedLedger::default()
            };
        }
        for (place, chain, turn) in places {
            let record = handed.records.entry(place).or_default();
            record.times += 1;
            if !record.is_settled {
                handed.open.insert(place);
            }
            let reached = handed.reached.entry(chain).or_default();
            *reached = (place + 1).max(*reached);
            if let Some(lane) = call.lane {
                handed.lanes.insert(chain, lane);
            }
            if has_windows {
                handed.window.get_or_insert(Window {
                    from: place,
                    turn,
                    records: 0,
                });
            }
        }
    }

    fn is_windowed(&self) -> bool {
        let door = self.expect.handling.map(|handling| handling.door);
        door == Some(Door::Windows)
    }

    /// A call ended.
    pub(super) fn handler_returned(&mut self, call: CallNumber, ending: Ending, done: &[RecordId]) {
        let Some(call) = self.handling.calls.remove(&call) else {
            return;
        };
        for id in done {
            if let Some(record) = self.records.get_mut(*id as usize) {
                record.done = true;
            }
            if call.errand == Errand::GiveUp {
                self.handling.given_up.insert(*id);
            }
        }
        let place = |id: &RecordId| self.records.get(*id as usize).map(|record| record.place);
        let places = call.ids.iter();
        let places = places.filter_map(|id| Some((place(id)?, done.contains(id))));
        let places: Vec<_> = places.collect();
        let key = (call.process, call.shard.clone(), call.epoch);
        let Some(handed) = self.handling.grants.get_mut(&key) else {
            return;
        };
        for (place, is_done) in places {
            let record = handed.records.entry(place).or_default();
            record.is_settled |= is_done;
            if is_done {
                handed.open.remove(&place);
            } else if ending == Ending::Failed && call.errand == Errand::Handle {
                record.failures += 1;
            }
        }
        match (call.errand, ending) {
            (Errand::Close, Ending::Well) => handed.window = None,
            (Errand::Handle, _) => {
                if let Some(window) = &mut handed.window {
                    window.records += done.len() as u64;
                }
            }
            (Errand::Close, Ending::Failed | Ending::Cancelled) | (Errand::GiveUp, _) => {}
        }
    }

    /// A worker says that it gives records up.
    pub(super) fn gave_up(&mut self, process: Process, first: &SequenceNumber) {
        let gave_up = self.handling.gave_up.entry(process);
        let (_, all) = gave_up.or_insert_with(|| (self.now, Vec::new()));
        all.push(first.clone());
    }
}
