//! What a campaign must have seen of handlers: each door with everything that can go wrong behind it.

use kcl_core::model::ShardId;
use kcl_core::{LaneChoice, LaneCommit};

use super::Coverage;
use crate::sim::history::{Ending, Errand, HandlerCall, LeaseRow, Mood, Process};
use crate::sim::ledger::Ledger;
use crate::sim::scenario::{Door, Policy};
use crate::sim::strike::Strike;

/// What happens to calls beside their own trouble.
const HAPPENS: [&str; 2] = ["meets poison", "is killed in a call"];

/// What must have been seen besides, by whatever door.
const STATES: [&str; 10] = [
    "handler: several calls of a shard at once",
    "handler: several calls at once of a shard of which whole pages are committed",
    "handler: several calls at once of a shard whose keys have their lanes",
    "handler: a failed call of a shard whose keys have their lanes",
    "handler: a window is closed",
    "handler: the last call of a window fails",
    "handler: the failure destination refuses",
    "handler: the failure destination takes poison",
    "handler: stops its worker",
    LOST,
];

/// Calls are short, so this is rare.
const LOST: &str = "handler: a lease is lost in a call";

fn cell(door: Door, what: &str) -> String {
    format!("handler: {} {what}", door.name())
}

/// All that a campaign must have seen that has what only few runs have.
pub(super) fn must_see() -> Vec<String> {
    let troubles = Mood::TROUBLE.map(Mood::name);
    let all = troubles.into_iter().chain(HAPPENS);
    let cells = all.flat_map(|what| Door::ALL.map(|door| cell(door, what)));
    cells.chain(STATES.map(str::to_owned)).collect()
}

impl Coverage {
    pub(super) fn count_handler_call(&mut self, ledger: &Ledger, call: &HandlerCall) {
        let Some(handling) = ledger.expect.handling else {
            return;
        };
        let is_well = matches!(call.mood, Mood::Well | Mood::Slow);
        match call.errand {
            Errand::Close if is_well => self.saw("handler: a window is closed"),
            Errand::Close => self.saw("handler: the last call of a window fails"),
            Errand::GiveUp if !is_well => self.saw("handler: the failure destination refuses"),
            Errand::GiveUp => self.saw("handler: the failure destination takes poison"),
            Errand::Handle => {
                self.count_deliveries(ledger, &call.ids);
                if call.mood != Mood::Well {
                    self.saw(cell(handling.door, call.mood.name()));
                }
                if !is_well && call.ids.iter().any(|id| handling.is_poison(*id)) {
                    self.saw(cell(handling.door, "meets poison"));
                }
                let is_beside = |it: &HandlerCall| it.shard == call.shard;
                let is_beside = ledger.calls_of(call.process).any(is_beside);
                let is_by_key = handling.lane_choice == LaneChoice::ByKey;
                if is_beside {
                    self.saw("handler: several calls of a shard at once");
                }
                if is_beside && handling.lane_commit == LaneCommit::Page {
                    self.saw(
                        "handler: several calls at once of a shard of which whole pages are committed",
                    );
                }
                if is_beside && is_by_key {
                    self.saw(
                        "handler: several calls at once of a shard whose keys have their lanes",
                    );
                }
                if !is_well && is_by_key {
                    self.saw("handler: a failed call of a shard whose keys have their lanes");
                }
            }
        }
    }

    pub(super) fn count_handler_end(&mut self, ending: Ending) {
        match ending {
            Ending::Well => {}
            Ending::Failed => self.saw("handler: a call failed"),
            Ending::Cancelled => self.saw("handler: a call was cancelled"),
        }
    }

    pub(super) fn count_stop(&mut self, ledger: &Ledger) {
        let handling = ledger.expect.handling;
        if handling.is_some_and(|it| matches!(it.policy, Policy::Halt { .. })) {
            self.saw("handler: stops its worker");
        }
    }

    /// A process, or any, is about to be struck.
    pub(super) fn count_struck(&mut self, ledger: &Ledger, strike: Strike, whom: Option<Process>) {
        if let (Some(handling), Strike::Kill, Some(process)) =
            (ledger.expect.handling, strike, whom)
            && ledger.calls_of(process).next().is_some()
        {
            self.saw(cell(handling.door, "is killed in a call"));
        }
    }

    /// A lease changes hands.
    pub(super) fn count_lost(&mut self, ledger: &Ledger, shard: &ShardId, before: &LeaseRow) {
        let mut calls = ledger.handling.calls.values();
        if calls.any(|it| it.shard == *shard && it.epoch == before.epoch) {
            self.saw(LOST);
        }
    }
}
