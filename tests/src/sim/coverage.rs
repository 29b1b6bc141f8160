//! Counts how often faults struck and critical states were reached. A campaign that never saw one
//! of them proves nothing about it.

mod handlers;

use std::collections::BTreeMap;

use kcl_core::model::ShardId;

use super::history::{Call, Ending, Event, LeaseRow, Notice, Process, RecordId, Step};
use super::ledger::{Ledger, RIVAL};
use super::moment::Moment;
use super::net::{Fate, PUSH_MOMENTS, PushFault};
use super::strike::Strike;
use super::subject::Subject;

/// What a campaign of many seeds must have seen, besides all cells of [`must_strike`].
pub const MUST_SEE: &[&str] = &[
    "call: lease_lost",
    "processor: cancelled",
    "processor: checkpoint",
    "processor: checkpoint refused",
    "processor: failed",
    "records: delivered again",
    "refused: UpdateItem ConditionalCheckFailedException",
    "judged: write carried out",
    "judged: write refused",
    "state: delivery while one parent of a merge is late",
    "state: empty shard ended",
    "state: free lease taken",
    "state: lease released",
    "state: lease taken for its load",
    "state: old row read",
    "state: shard finished",
    "state: takeover from the dead",
    "state: unknown outcome resolved",
    "state: watch claimed after its keeper was gone",
    "state: watch claimed from one that lives or is not known to be dead",
    "state: watch rung",
    "state: worker evicted",
    "state: write applied, outcome unknown",
    "told: lease vanished",
    "told: records trimmed",
    "told: table gone",
];

/// The name of a cell: a fault in a critical moment.
fn cell(strike: Strike, moment: Moment) -> String {
    format!("cell: {strike} while {moment}")
}

/// The name of a cell: what the network does to a request.
fn fate_cell(fate: &str, subject: Subject) -> String {
    format!("cell: {subject} {fate}")
}

/// Every cell that a campaign of many seeds must have struck: every fault in every critical moment,
/// and everything that the network does to every request. With those that only few runs have, or without.
#[must_use]
pub fn must_strike(with_rare: bool) -> Vec<String> {
    let strikes = Strike::ALL.into_iter();
    let strikes = strikes.filter(|strike| with_rare || !strike.is_rare());
    let moments = strikes.flat_map(|strike| Moment::ALL.map(|moment| (strike, moment)));
    let moments = moments.filter(|(strike, moment)| can_be(*strike, *moment));
    let fates = Fate::NAMES.into_iter();
    let requests = fates.flat_map(|fate| Subject::ALL.map(|subject| (fate, subject)));
    // A start is written once for each stream.
    let is_rare = |subject: Subject| subject.is_rare() || subject == Subject::Start;
    let requests = requests.filter(|(_, subject)| with_rare || !is_rare(*subject));
    let moments = moments.map(|(strike, moment)| cell(strike, moment));
    let pushes = PushFault::ALL.into_iter();
    let pushes = pushes.flat_map(|fault| PUSH_MOMENTS.map(|moment| (fault, moment)));
    let pushes = pushes.filter(|(fault, moment)| with_rare && can_befall(*fault, *moment));
    let handlers = with_rare.then(handlers::must_see);
    moments
        .chain(handlers.into_iter().flatten())
        .chain(requests.map(|(fate, subject)| fate_cell(fate, subject)))
        .chain(pushes.map(|(fault, moment)| push_cell(fault, moment)))
        .collect()
}

/// The name of a cell: what befalls a subscription, and what its process is at.
fn push_cell(fault: PushFault, moment: Moment) -> String {
    format!("cell: a subscription {fault} while {moment}")
}

/// Whether such a fault can befall a subscription in such a moment at all.
const fn can_befall(fault: PushFault, moment: Moment) -> bool {
    match fault {
        // It strikes with the last frame, whenever that comes, and does not wait for anything.
        PushFault::LateEnd => !matches!(moment, Moment::Frozen),
        PushFault::Silent
        | PushFault::Reset
        | PushFault::Cut
        | PushFault::Corrupt
        | PushFault::Closed
        | PushFault::Late => true,
    }
}

/// Whether such a fault can strike in such a moment at all.
const fn can_be(strike: Strike, moment: Moment) -> bool {
    match strike {
        // What is frozen asks for nothing, what joins neither looks nor reads, what stops reads no more.
        Strike::StaleScan => !matches!(moment, Moment::Frozen | Moment::Joins),
        Strike::ExpiredIterator => {
            !matches!(moment, Moment::Frozen | Moment::Joins | Moment::Stops)
        }
        Strike::StaleList => !matches!(moment, Moment::Frozen),
        // What stops is not asked to once more.
        Strike::Stop | Strike::Deploy => !matches!(moment, Moment::Stops),
        Strike::Freeze => !matches!(moment, Moment::Frozen),
        Strike::Kill
        | Strike::ClockJump
        | Strike::Refused
        | Strike::Deaf
        | Strike::Mute
        | Strike::Held
        | Strike::Sluggish
        | Strike::NoStream
        | Strike::Outage
        | Strike::Theft
        | Strike::Burial
        | Strike::Reshard
        | Strike::Storm
        | Strike::RowDeleted
        | Strike::TableDeleted
        | Strike::Day => true,
    }
}

/// The counts of one run.
#[derive(Debug, Default)]
pub struct Coverage {
    seen: BTreeMap<String, u64>,
    /// The watch as it was: who kept it, its term, its bell.
    watch: Option<(String, u64, u64)>,
}

impl Coverage {
    /// The counts by name.
    #[must_use]
    pub const fn seen(&self) -> &BTreeMap<String, u64> {
        &self.seen
    }

    fn saw(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    /// Counts what a campaign must have seen to mean anything.
    pub fn count(&mut self, ledger: &Ledger, event: &Event) {
        match event {
            Event::Sent { subject, fate, .. } => {
                if *fate != Fate::Fine.name() {
                    self.saw(fate_cell(fate, *subject));
                }
            }
            Event::PushStruck {
                fault,
                process,
                shard,
            } => self.count_push(ledger, *fault, (*process, shard)),
            Event::Struck { strike, process } => {
                self.count_struck(ledger, *strike, *process);
                self.count_strike(ledger, *strike, *process);
            }
            Event::Refused {
                error, operation, ..
            } => {
                self.saw(format!("refused: {operation} {error}"));
            }
            Event::Incident(text) => {
                let kind = text.split([' ', '(']).next().unwrap_or_default();
                self.saw(format!("incident: {kind}"));
            }
            Event::Lease {
                before,
                after,
                by,
                shard,
                ..
            } => {
                let epoch = after.as_ref().map(|row| row.epoch);
                if let Some(before) = before.as_ref().filter(|row| Some(row.epoch) != epoch) {
                    self.count_lost(ledger, shard, before);
                }
                if *by == RIVAL {
                    self.saw("state: lease stolen");
                } else {
                    self.count_lease(before.as_ref(), after.as_ref());
                    self.count_doubt(ledger, event);
                }
            }
            Event::WorkerRow {
                by,
                incarnation,
                counter: None,
            } => {
                let own = ledger.incarnations.get(incarnation) == Some(by);
                self.saw(if own {
                    "state: worker left"
                } else {
                    "state: worker evicted"
                });
            }
            Event::Life { step, .. } => self.saw(match step {
                Step::Started => "life: started",
                Step::Killed => "life: killed",
                Step::StopAsked => "life: stop asked",
                Step::Frozen => "life: frozen",
                Step::Thawed => "life: thawed",
                Step::Exited(Ok(())) => "life: stopped",
                Step::Exited(Err(_)) => "life: failed",
            }),
            Event::Called { shard, call, .. } => self.count_call(ledger, shard, call),
            Event::Returned { ending, .. } => match ending {
                Ending::Well => {}
                Ending::Failed => self.saw("processor: failed"),
                Ending::Cancelled => self.saw("processor: cancelled"),
            },
            Event::HandlerCalled(call) => self.count_handler_call(ledger, call),
            Event::HandlerReturned { ending, .. } => self.count_handler_end(*ending),
            Event::GaveUp { .. } => self.count_stop(ledger),
            Event::Acknowledged { ok, .. } => {
                self.saw(if *ok {
                    "processor: checkpoint"
                } else {
                    "processor: checkpoint refused"
                });
            }
            Event::WorkerRow {
                incarnation,
                counter: Some(_),
                ..
            } => {
                if ledger.buried.contains(incarnation) {
                    self.saw("state: row of a dead worker made again");
                }
            }
            Event::Watch {
                incarnation,
                term,
                bell,
                ..
            } => self.count_watch(ledger, (incarnation.clone(), *term, *bell)),
            Event::Told { notice, .. } => self.saw(match notice {
                Notice::Trimmed { .. } => "told: records trimmed",
                Notice::Forgotten { .. } => "told: shard forgotten",
                Notice::Vanished { .. } => "told: lease vanished",
                Notice::TableGone => "told: table gone",
            }),
            Event::Judged { applied, .. } => self.saw(match applied {
                true => "judged: write carried out",
                false => "judged: write refused",
            }),
            Event::ReadOld { .. } => self.saw("state: old row read"),
            Event::Left { .. } => self.saw("life: nothing left"),
            Event::Reread { records, .. } => {
                *self
                    .seen
                    .entry("records: read again at the end".into())
                    .or_default() += records.len() as u64;
            }
            Event::DayPassed { .. } => self.saw("state: a day passed"),
            Event::TableDeleted => self.saw("state: table deleted"),
            Event::ShardMade { .. }
            | Event::ShardClosed { .. }
            | Event::Produced { .. }
            | Event::Acknowledges { .. }
            | Event::Answered { .. }
            | Event::Subscribed { .. }
            | Event::Accepted { .. }
            | Event::Unsubscribed { .. }
            | Event::Healed
            | Event::Finished => {}
        }
    }

    fn count_strike(&mut self, ledger: &Ledger, strike: Strike, process: Option<Process>) {
        let running = || {
            let running = ledger.processes.iter().filter(|(_, known)| known.running);
            running.map(|(process, _)| *process)
        };
        let is_struck = |it: &Process| process.is_none_or(|process| process == *it);
        for moment in Moment::ALL {
            if running()
                .filter(is_struck)
                .any(|it| moment.is_now(ledger, it))
            {
                self.saw(cell(strike, moment));
            }
        }
    }

    fn count_push(
        &mut self,
        ledger: &Ledger,
        fault: PushFault,
        (process, shard): (Process, &ShardId),
    ) {
        self.saw(format!("push: {fault}"));
        for moment in PUSH_MOMENTS {
            if moment.is_now(ledger, process) {
                self.saw(push_cell(fault, moment));
            }
        }
        let others = |of: &super::ledger::ShardLedger| {
            let mut others = of.subscribers.iter();
            others.any(|(by, it)| *by != process && it.open > 0)
        };
        if ledger.shards.get(shard).is_some_and(others) {
            self.saw("state: two subscribe to a shard");
        }
    }

    fn count_watch(&mut self, ledger: &Ledger, now: (String, u64, u64)) {
        let Some((keeper, term, bell)) = self.watch.replace(now.clone()) else {
            return;
        };
        if now.1 > term {
            let is_dead = ledger.buried.contains(&keeper);
            self.saw(if is_dead {
                "state: watch claimed after its keeper was gone"
            } else {
                "state: watch claimed from one that lives or is not known to be dead"
            });
        } else if now.2 > bell {
            self.saw("state: watch rung");
        }
    }

    fn count_lease(&mut self, before: Option<&LeaseRow>, after: Option<&LeaseRow>) {
        let (Some(before), Some(after)) = (before, after) else {
            self.saw(if after.is_some() {
                "state: lease made"
            } else {
                "state: lease removed"
            });
            return;
        };
        if after.checkpoint.is_end() && !before.checkpoint.is_end() {
            self.saw("state: shard finished");
        } else if after.epoch != before.epoch {
            self.saw(match (&before.incarnation, &after.incarnation) {
                (Some(_), Some(_)) => "state: takeover from the dead",
                (None, Some(_)) if after.was_given() => "state: lease taken for its load",
                (None, Some(_)) => "state: free lease taken",
                (_, None) => "state: lease released",
            });
        } else {
            self.saw("state: checkpoint written");
        }
    }

    fn count_doubt(&mut self, ledger: &Ledger, event: &Event) {
        let Event::Lease {
            by,
            heard,
            shard,
            before,
            ..
        } = event
        else {
            return;
        };
        let epoch = before.as_ref().map(|row| row.epoch);
        if !heard {
            self.saw("state: write applied, outcome unknown");
        } else if ledger.doubts.contains(&(*by, shard.clone(), epoch)) {
            self.saw("state: unknown outcome resolved");
        }
    }

    fn count_call(&mut self, ledger: &Ledger, shard: &ShardId, call: &Call) {
        match call {
            Call::Initialize => self.saw("call: initialize"),
            Call::LeaseLost => self.saw("call: lease_lost"),
            Call::ShardEnded => {
                if ledger
                    .shards
                    .get(shard)
                    .is_some_and(|of| of.records.is_empty())
                {
                    self.saw("state: empty shard ended");
                }
                self.saw("call: shard_ended");
            }
            Call::ShutdownRequested => self.saw("call: shutdown_requested"),
            Call::Process(ids) => self.count_deliveries(ledger, ids),
        }
    }

    fn count_deliveries(&mut self, ledger: &Ledger, ids: &[RecordId]) {
        let again = |id: &&u32| {
            ledger
                .records
                .get(**id as usize)
                .is_some_and(|known| known.deliveries > 0)
        };
        let again = ids.iter().filter(again).count() as u64;
        *self.seen.entry("records: delivered".into()).or_default() += ids.len() as u64;
        *self
            .seen
            .entry("records: delivered again".into())
            .or_default() += again;
        let overdue = ledger.shards.values().filter(|of| of.parents.len() == 2);
        let late = overdue.filter(|of| {
            let ended = |id| ledger.shards.get(id).is_some_and(|known| known.ended);
            of.parents.iter().any(ended) && !of.parents.iter().all(ended)
        });
        if late.count() > 0 {
            self.saw("state: delivery while one parent of a merge is late");
        }
    }
}
