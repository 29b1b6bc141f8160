//! Counts how often faults struck and critical states were reached. A campaign that never saw one
//! of them proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::ShardId;

use super::history::{Call, Ending, Event, LeaseRow, Process, Step};
use super::ledger::Ledger;

/// What a campaign of many seeds must have seen.
pub const MUST_SEE: &[&str] = &[
    "call: lease_lost",
    "incident: Cut",
    "incident: Kill",
    "incident: Merge",
    "incident: Split",
    "incident: Stop",
    "net: failed",
    "net: late",
    "net: lost reply",
    "net: lost request",
    "net: reset after",
    "net: reset before",
    "net: throttled",
    "net: twice",
    "processor: cancelled",
    "processor: checkpoint",
    "processor: checkpoint refused",
    "processor: failed",
    "records: delivered again",
    "refused: UpdateItem ConditionalCheckFailedException",
    "state: delivery while one parent of a merge is late",
    "state: empty shard ended",
    "state: free lease taken",
    "state: lease released",
    "state: shard finished",
    "state: takeover from the dead",
    "state: unknown outcome resolved",
    "state: watch claimed after its keeper was gone",
    "state: watch claimed from one that lives or is not known to be dead",
    "state: watch rung",
    "state: worker evicted",
    "state: write applied, outcome unknown",
];

/// The counts of one run.
#[derive(Debug, Default)]
pub struct Coverage {
    seen: BTreeMap<String, u64>,
    /// Writes that were applied and whose writer does not know: who, which shard, which epoch.
    doubts: BTreeSet<(Process, ShardId, Option<u64>)>,
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
            Event::Sent { fate, .. } => self.saw(format!("net: {fate}")),
            Event::Refused {
                error, operation, ..
            } => {
                self.saw(format!("refused: {operation} {error}"));
            }
            Event::Incident(text) => {
                let kind = text.split([' ', '(']).next().unwrap_or_default();
                self.saw(format!("incident: {kind}"));
            }
            Event::Lease { before, after, .. } => {
                self.count_lease(before.as_ref(), after.as_ref());
                self.count_doubt(ledger, event);
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
                Step::Exited(Ok(())) => "life: stopped",
                Step::Exited(Err(_)) => "life: failed",
            }),
            Event::Called { shard, call, .. } => self.count_call(ledger, shard, call),
            Event::Returned { ending, .. } => match ending {
                Ending::Well => {}
                Ending::Failed => self.saw("processor: failed"),
                Ending::Cancelled => self.saw("processor: cancelled"),
            },
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
            Event::ShardMade { .. }
            | Event::ShardClosed { .. }
            | Event::Produced { .. }
            | Event::Acknowledges { .. }
            | Event::Healed
            | Event::Finished => {}
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
                (None, Some(_)) => "state: free lease taken",
                (_, None) => "state: lease released",
            });
        } else {
            self.saw("state: checkpoint written");
        }
    }

    /// A write whose answer is lost leaves its writer in doubt, until it writes again in the same
    /// grant and hears of it.
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
        let held = before
            .as_ref()
            .is_some_and(|row| ledger.holder(row) == Some(*by));
        let doubt = (*by, shard.clone(), epoch);
        if !heard {
            self.saw("state: write applied, outcome unknown");
            if held {
                self.doubts.insert(doubt);
            }
        } else if self.doubts.remove(&doubt) {
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
            Call::Process(ids) => {
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
    }
}
