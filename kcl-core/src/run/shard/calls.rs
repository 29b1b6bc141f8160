//! The calls of a handler that run for one shard: each a task of its own, below the shard's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ShardTask;
use crate::decide::lanes::{CallId, Errand, GivenUp, LaneCall};
use crate::error::{Error, ErrorKind};
use crate::event::{self, CallOutcome, Event, FailureCause};
use crate::model::Record;
use crate::port::{
    Failed, FailedBatch, FailureDocument, HandlerBatch, HandlerContext, Outcome, Permit,
};
use crate::run::door::{Door, HandlerDoor, Rest, Terms};
use crate::run::guard::guarded;

/// The calls that run.
pub(super) struct Calls {
    tasks: JoinSet<Outcome>,
    running: BTreeMap<Id, Running>,
    /// Whether those that run are to come to their end.
    stops: watch::Sender<bool>,
    /// What is given back while one record of a call takes long.
    rest_sender: mpsc::Sender<(CallId, usize)>,
    rests: mpsc::Receiver<(CallId, usize)>,
    /// A call that is over, to be told after what it gave back.
    over: Option<Returned>,
}

struct Running {
    id: CallId,
    what: event::Callback,
    since: Instant,
    /// When the last of its records arrived in the stream.
    arrived: Option<SystemTime>,
    /// To be told as delivered when it is known how many of them were begun.
    begins: Option<Handed>,
}

/// Records that were handed out, and how far their page was behind.
struct Handed {
    records: Arc<Vec<Record>>,
    lag: Option<Duration>,
}

/// What calls bring.
pub(super) enum Brought {
    /// So many records of a call are done, one is in hand, and the others are given back.
    Rest(CallId, usize),
    /// A call is over.
    Over(Returned),
}

impl Calls {
    /// For so many lanes. Each call gives back at most once, so none finds the channel full.
    pub(super) fn new(lanes: usize) -> Self {
        let (rest_sender, rests) = mpsc::channel(lanes.max(1));
        Self {
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            stops: watch::Sender::new(false),
            rest_sender,
            rests,
            over: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        !self.tasks.is_empty() || self.over.is_some()
    }

    /// What calls bring next. Cancel-safe; pending for ever if none runs.
    pub(super) async fn next(&mut self) -> Brought {
        if self.over.is_none() {
            let Self {
                tasks,
                running,
                rests,
                ..
            } = self;
            tokio::select! {
                biased;
                // ORDER: what a call gave back came before its end.
                Some((id, done)) = rests.recv() => return Brought::Rest(id, done),
                returned = returned(tasks, running) => self.over = Some(returned),
            }
        }
        // It may have given back on its last step, after the channel was looked at.
        match (self.rests.try_recv(), self.over.take()) {
            (Ok((id, done)), over) => {
                self.over = over;
                Brought::Rest(id, done)
            }
            (Err(_), Some(over)) => Brought::Over(over),
            (Err(_), None) => std::future::pending().await,
        }
    }

    /// Those that run are asked to come to their end; those that start later are not.
    pub(super) fn stop(&mut self) {
        self.stops.send_replace(true);
        self.stops = watch::Sender::new(false);
    }

    /// Cuts off all that run. Each still comes back.
    pub(super) fn cancel(&mut self) {
        self.tasks.abort_all();
    }
}

/// A call that is over. Cancel-safe; pending for ever if none runs.
async fn returned(tasks: &mut JoinSet<Outcome>, running: &mut BTreeMap<Id, Running>) -> Returned {
    loop {
        let (task, outcome) = match tasks.join_next_with_id().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_cancelled() => (error.id(), Outcome::Cancelled),
            Some(Err(error)) => {
                // Calls are guarded, so this is a destructor of user code.
                let made = Error::new(ErrorKind::Processor, "the task of a call panicked");
                let failed = Failed {
                    cause: FailureCause::Panic,
                    error: made,
                };
                (error.id(), Outcome::FailedFrom(0, failed))
            }
            None => std::future::pending().await,
        };
        if let Some(running) = running.remove(&task) {
            return Returned {
                id: running.id,
                what: running.what,
                since: running.since,
                arrived: running.arrived,
                begins: running.begins,
                outcome,
            };
        }
    }
}

/// A call that is over.
pub(super) struct Returned {
    pub(super) id: CallId,
    what: event::Callback,
    since: Instant,
    arrived: Option<SystemTime>,
    begins: Option<Handed>,
    pub(super) outcome: Outcome,
}

impl Returned {
    /// When the last of its records arrived, if the handler was called with it, or with those of its window.
    const fn last_arrived(&self) -> Option<SystemTime> {
        match &self.outcome {
            Outcome::Done
            | Outcome::FailedFrom(..)
            | Outcome::FailedWithin(..)
            | Outcome::FailedAt(..) => self.arrived,
            Outcome::Stopped(..) | Outcome::NotTried(..) | Outcome::Cancelled => None,
        }
    }

    /// How many records of so many the handler has seen.
    fn begun(&self, records: usize) -> usize {
        match &self.outcome {
            Outcome::Stopped(done, failed) => done + usize::from(failed.is_some()),
            Outcome::Done
            | Outcome::FailedFrom(..)
            | Outcome::FailedWithin(..)
            | Outcome::FailedAt(..)
            | Outcome::NotTried(..)
            | Outcome::Cancelled => records,
        }
    }
}

impl ShardTask {
    /// Starts a call of the handler, or of the failure destination.
    pub(super) fn handle(&mut self, call: LaneCall) {
        let (Door::Handler(door), Some(handler)) = (self.shared.door.clone(), self.handler.clone())
        else {
            debug_assert!(false, "a processor has no lanes");
            return;
        };
        if call.lag != self.context.lag {
            Arc::make_mut(&mut self.context).lag = call.lag;
        }
        let LaneCall {
            id,
            lane,
            attempt,
            records,
            lag,
            errand,
        } = call;
        let call_max = self.shared.settings.failure.call_max;
        let (mut begins, mut arrived) = (None, None);
        let (what, task) = match errand {
            Errand::Handle => {
                arrived = records.last().and_then(|last| last.approximate_arrival);
                if handler.brings_back() {
                    let records = records.clone();
                    begins = Some(Handed { records, lag });
                } else {
                    self.tell_delivered(&records, lag);
                }
                let batch = HandlerBatch {
                    records,
                    context: self.handler_context(attempt, lane),
                };
                let rest = Rest {
                    id,
                    to: self.calls.rest_sender.clone(),
                };
                let terms = Terms { call_max, rest };
                (event::Callback::Handle, handler.call(batch, terms))
            }
            Errand::Divert(given_up) => {
                let failed = self.failed_batch(records, given_up);
                let send = send(door, failed, call_max);
                (event::Callback::Send, send)
            }
        };
        let permit = self.permit();
        let task = async move {
            // A machine that is held up may let this task wait; by now the grant can be in doubt.
            if permit.is_held(Instant::now()) {
                task.await
            } else {
                Outcome::Stopped(0, None)
            }
        };
        let task = self.shared.env.task(task.in_current_span());
        let task = self.calls.tasks.spawn(task).id();
        let running = Running {
            id,
            what,
            since: Instant::now(),
            arrived,
            begins,
        };
        self.calls.running.insert(task, running);
    }

    fn handler_context(&self, attempt: u32, lane: usize) -> HandlerContext {
        HandlerContext {
            shard: self.context.clone(),
            attempt,
            lane,
            permit: self.permit(),
        }
    }

    fn permit(&self) -> Permit {
        Permit {
            standing: self.standing_of_calls.clone(),
            stops: self.calls.stops.subscribe(),
        }
    }

    fn failed_batch(&self, records: Arc<Vec<Record>>, given_up: GivenUp) -> FailedBatch {
        let (first, last) = (&records[0], &records[records.len() - 1]);
        let (cause, error) = given_up.failure.unzip();
        let document = FailureDocument {
            application: self.context.application.clone(),
            stream: self.context.stream.clone(),
            shard: self.context.shard.clone(),
            worker: self.context.worker.clone(),
            epoch: self.context.epoch,
            reason: given_up.reason,
            attempts: given_up.attempts,
            cause,
            error: error.map(|error| error.message),
            batch_size: records.len(),
            start_sequence_number: first.sequence_number.clone(),
            start_subsequence_number: first.subsequence_number,
            end_sequence_number: last.sequence_number.clone(),
            end_subsequence_number: last.subsequence_number,
            arrival_of_first: first.approximate_arrival,
            arrival_of_last: last.approximate_arrival,
            given_up_at: self.shared.env.wall(),
        };
        FailedBatch { document, records }
    }

    fn tell_delivered(&self, records: &[Record], lag: Option<Duration>) {
        if records.is_empty() {
            return;
        }
        self.shared.counters.delivered(records.len());
        self.shared.events.emit_with(|| Event::RecordsDelivered {
            shard: self.context.shard.clone(),
            epoch: self.context.epoch,
            records: records.len(),
            bytes: records.iter().map(|record| record.data.len()).sum(),
            lag,
        });
    }

    /// A call gives back what is behind the record that it has in hand.
    pub(super) fn tell_given_back(&mut self, id: CallId, done: usize) {
        let mut running = self.calls.running.values_mut();
        let call = running.find(|call| call.id == id);
        if let Some(handed) = call.and_then(|call| call.begins.take()) {
            let begun = handed.records.get(..=done).unwrap_or_default();
            self.tell_delivered(begun, handed.lag);
        }
    }

    /// Tells how a call ended.
    pub(super) fn tell_returned(&self, returned: &Returned) {
        if let Some(handed) = &returned.begins {
            let begun = returned.begun(handed.records.len());
            self.tell_delivered(&handed.records[..begun], handed.lag);
        }
        let outcome = match &returned.outcome {
            Outcome::Done | Outcome::Stopped(_, None) => CallOutcome::Ok,
            Outcome::FailedFrom(..)
            | Outcome::FailedWithin(..)
            | Outcome::FailedAt(..)
            | Outcome::Stopped(_, Some(_))
            | Outcome::NotTried(..) => CallOutcome::Failed,
            Outcome::Cancelled => CallOutcome::Cancelled,
        };
        self.shared.events.emit_with(|| Event::CallReturned {
            shard: self.context.shard.clone(),
            epoch: self.context.epoch,
            call: returned.what,
            outcome,
            took: returned.since.elapsed(),
            // Two clocks: what arrives ahead of this machine's has no age yet.
            age: returned.last_arrived().map(|arrived| {
                let age = self.shared.env.wall().duration_since(arrived);
                age.unwrap_or_default()
            }),
        });
    }

    /// Tells how full the lanes are, if there are any.
    pub(super) fn tell_load(&self) {
        if !self.shared.events.is_observed() {
            return;
        }
        let Some(load) = self.machine.load(Instant::now()) else {
            return;
        };
        self.shared.events.emit_with(|| Event::LanesLoaded {
            shard: self.context.shard.clone(),
            epoch: self.context.epoch,
            busy: load.busy,
            span: load.span,
            bytes: load.bytes,
            oldest: load.oldest,
        });
    }
}

/// Gives records to the failure destination.
fn send(
    door: HandlerDoor,
    failed: FailedBatch,
    call_max: Option<Duration>,
) -> futures::future::BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let shard = failed.document.shard.clone();
        let call = async {
            match &door.destination {
                Some(destination) => destination.send(&failed).await,
                None => Err("there is no failure destination".into()),
            }
        };
        match guarded("the failure destination", &shard, call_max, call).await {
            Ok(()) => Outcome::Done,
            Err(failed) => Outcome::FailedFrom(0, failed),
        }
    })
}
