//! The task of one shard: waits for the next event, asks `decide::shard` what follows, does it.
//!
//! It owns the feed, the user's processor and the pen of the grant; it is spawned and joined by
//! `run::worker`. It chooses nothing. What it tells of itself is in `tell`, how it writes in `pen`, how it calls a
//! handler in `calls`, and what became of those records in `notes`.

mod calls;
mod notes;
mod pen;
mod tell;
mod unreadable;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use self::calls::{Brought, Calls, Returned};
use self::pen::{Pen, Writing};
use self::tell::{InHand, payload_bytes};
use self::unreadable::Unreadable;
use super::door::{Door, Filter, Handler};
use super::guard::{Callback, Handed, UserCode};
use super::intake::Intake;
use super::report::Counters;
use crate::decide::lanes::{Keep, LanesStart};
use crate::decide::progress::AskId;
use crate::decide::shard::{Action, Call, End, Event, ShardMachine, Start};
use crate::decode::Decoder;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::event::{self, CallOutcome, Events};
use crate::model::{Batch, Checkpoint, ChildShard, HashKeyRange, ShardId};
use crate::port::{
    CheckpointRequest, Checkpointer, CommitError, FeedError, Grant, Meter, OpenFeed, RecordSource,
    ShardContext, Standing,
};
use crate::settings::Settings;

/// Requests for checkpoints that may wait: user code waits for its answer, so more than one only
/// comes from a processor that spawns tasks of its own.
const REQUESTS_WAITING_MAX: usize = 1;

/// What all shards of a worker share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) source: Arc<dyn RecordSource>,
    pub(crate) door: Door,
    pub(crate) settings: Arc<Settings>,
    pub(crate) env: Env,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: Events,
    pub(crate) cut_short: CutShort,
}

/// What the worker had to stop for, of the shards that are dropped before they come to say it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CutShort(Arc<Mutex<Vec<Error>>>);

impl CutShort {
    pub(crate) fn take(&self) -> Vec<Error> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, error: Error) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(error);
    }
}

/// Reads one shard by one grant, until it is over for this worker.
pub(crate) async fn run(
    shared: Shared,
    grant: Grant,
    context: ShardContext,
    stop: oneshot::Receiver<()>,
) -> End {
    let Grant {
        shard,
        epoch: _,
        checkpoint,
        pending,
        standing,
        meter,
        right,
    } = grant;
    let handler = match &shared.door {
        Door::Handler(door) => Some((door.handler)(&shared.env)),
        Door::Processor(_) => None,
    };
    let start = Start {
        shard: shard.id.clone(),
        checkpoint,
        pending,
        settings: shared.settings.clone(),
        rng: shared.env.rng(),
        lanes: lanes(&shared, handler.as_deref(), &shard.id),
    };
    let (machine, actions) = ShardMachine::new(start, Instant::now());
    let (checkpointer, requests) = checkpointer(&shard.id);
    let factory = match &shared.door {
        Door::Processor(factory) => Some(factory.clone()),
        Door::Handler(_) => None,
    };
    let mut task = ShardTask {
        user: UserCode::new(factory, shared.settings.failure.call_max),
        handler,
        calls: Calls::new(shared.settings.handler.lanes),
        standing_of_calls: standing.clone(),
        shared,
        machine,
        context: Arc::new(context),
        standing: Some(standing),
        stop: Some(stop),
        in_hand: None,
        feed: None,
        meter,
        range: shard.range,
        unreadable: Unreadable::default(),
        pen: Pen {
            right: Some(right),
            writing: None,
        },
        checkpointer,
        requests,
        asks: BTreeMap::new(),
        asked: 0,
    };
    if let Some(end) = task.carry_out_all(actions) {
        return end;
    }
    let mut event = task.stands();
    loop {
        let moves_records = matches!(event, Event::Batch(_) | Event::Called { .. });
        let actions = task.machine.on(Instant::now(), event);
        if let Some(end) = task.carry_out_all(actions) {
            return end;
        }
        if moves_records {
            task.tell_load();
        }
        event = task.next_event().await;
    }
}

struct ShardTask {
    shared: Shared,
    machine: ShardMachine,
    context: Arc<ShardContext>,
    /// Nothing once the grant is known to be lost.
    standing: Option<watch::Receiver<Standing>>,
    /// Nothing once the worker has said it.
    stop: Option<oneshot::Receiver<()>>,
    feed: Option<Intake>,
    meter: Meter,
    /// What the shard takes in.
    range: HashKeyRange,
    /// In a worker of several streams: the service's refusals, and when to try again.
    unreadable: Unreadable,
    /// The call that runs.
    in_hand: Option<InHand>,
    user: UserCode,
    /// The handler, where there is no processor.
    handler: Option<Arc<dyn Handler>>,
    /// The calls of a handler that run.
    calls: Calls,
    /// How the grant stands, for them.
    standing_of_calls: watch::Receiver<Standing>,
    pen: Pen,
    checkpointer: Checkpointer,
    requests: mpsc::Receiver<CheckpointRequest>,
    asks: BTreeMap<AskId, CheckpointRequest>,
    asked: AskId,
}

impl Drop for ShardTask {
    fn drop(&mut self) {
        if let Some(error) = self.machine.cut_short() {
            self.shared.cut_short.add(error);
        }
    }
}

impl ShardTask {
    async fn next_event(&mut self) -> Event {
        loop {
            if let Some(event) = self.wake().await {
                return event;
            }
        }
    }

    async fn wake(&mut self) -> Option<Event> {
        enum Woken {
            Stop,
            Standing,
            Event(Event),
            Asked(CheckpointRequest),
            Feed(Result<Batch, FeedError>),
            Returned(Result<(), Error>),
            Called(Brought),
            Written(Writing, Result<(), CommitError>),
        }
        let reads = self.machine.wants_batch();
        let deadline = self.machine.next_deadline();
        // ORDER: what forbids comes first, then what user code waits for, then data, then time.
        let woken = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => Woken::Stop,
            () = changed(&mut self.standing) => Woken::Standing,
            outcome = self.user.outcome(), if self.user.is_running() => {
                Woken::Returned(outcome)
            }
            brought = self.calls.next(), if self.calls.is_running() => Woken::Called(brought),
            Some(request) = self.requests.recv() => Woken::Asked(request),
            (writing, result) = self.pen.written(), if self.pen.is_writing() => {
                Woken::Written(writing, result)
            }
            batch = next_batch(&mut self.feed), if reads => Woken::Feed(batch),
            () = at(self.unreadable.retry_at()), if reads => Woken::Event(Event::Reopen),
            () = at(deadline) => Woken::Event(Event::Time),
        };
        Some(match woken {
            Woken::Stop => {
                self.stop = None;
                Event::Stop
            }
            Woken::Standing => self.stands(),
            Woken::Event(event) => event,
            Woken::Returned(outcome) => {
                let how = if outcome.is_ok() {
                    CallOutcome::Ok
                } else {
                    CallOutcome::Failed
                };
                self.returned(how);
                Event::Returned(outcome)
            }
            Woken::Called(Brought::Rest(id, done)) => {
                self.tell_given_back(id, done);
                Event::GivenBack { id, done }
            }
            Woken::Called(Brought::Over(returned)) => {
                self.tell_returned(&returned);
                let Returned { id, outcome, .. } = returned;
                let hold = self.handler.as_ref().and_then(|handler| handler.hold());
                Event::Called { id, outcome, hold }
            }
            Woken::Written(writing, result) => {
                self.written(writing, &result);
                Event::Written(result)
            }
            Woken::Asked(request) => self.asked(request),
            Woken::Feed(batch) => return self.fed(batch),
        })
    }

    /// What the feed brought, as an event. Nothing if it is to be tried again later.
    fn fed(&mut self, batch: Result<Batch, FeedError>) -> Option<Event> {
        match batch {
            Ok(mut batch) => {
                self.unreadable = Unreadable::default();
                self.meter.read(batch.bytes());
                // The one place where the shards that an answer names get the stream they are of.
                let shard = &self.context.shard;
                let children = batch.children.take();
                let beside = |child: ChildShard| child.beside(shard);
                batch.children = children.map(|all| all.into_iter().map(beside).collect());
                Some(Event::Batch(batch))
            }
            // One stream that is gone must not stop the others.
            Err(FeedError::Fatal(error)) if self.context.shard.stream().is_some() => {
                self.refused(&error);
                None
            }
            Err(error) => Some(Event::FeedFailed(self.feed_error(error))),
        }
    }

    /// How the grant stands, as an event. A closed channel means it is lost.
    fn stands(&mut self) -> Event {
        let stands = match &mut self.standing {
            Some(standing) if standing.has_changed().is_ok() => *standing.borrow_and_update(),
            Some(_) | None => Standing::Lost,
        };
        if stands == Standing::Lost {
            self.standing = None;
        }
        Event::Standing(stands)
    }

    fn asked(&mut self, request: CheckpointRequest) -> Event {
        let id = self.asked;
        self.asked += 1;
        let ask = request.ask.clone();
        self.asks.insert(id, request);
        Event::Asked { id, ask }
    }

    fn feed_error(&self, error: FeedError) -> Error {
        match error {
            FeedError::Fatal(error) => error,
            FeedError::Gone => Error::new(
                ErrorKind::Internal,
                format!(
                    "the feed of shard {} ended unexpectedly",
                    self.context.shard
                ),
            )
            .with_source(error),
        }
    }

    fn carry_out_all(&mut self, actions: Vec<Action>) -> Option<End> {
        actions
            .into_iter()
            .find_map(|action| self.carry_out(action))
    }

    fn carry_out(&mut self, action: Action) -> Option<End> {
        match action {
            Action::OpenFeed(after) => self.open_feed(&after),
            Action::CloseFeed => {
                self.feed = None;
                self.meter.stops();
                self.unreadable.no_retry();
            }
            Action::Call(call) => self.call(call),
            Action::Handle(call) => self.handle(call),
            Action::StopCalls => self.calls.stop(),
            Action::CancelCalls => self.calls.cancel(),
            Action::TellLost => self.start_call(Callback::LeaseLost),
            Action::CancelCall => {
                self.user.cancel();
                self.returned(CallOutcome::Cancelled);
            }
            Action::DropProcessor => {
                self.user.drop_processor();
                (self.checkpointer, self.requests) = checkpointer(&self.context.shard);
            }
            Action::Write(write) => self.pen.start(write),
            Action::DropRight => self.pen = Pen::default(),
            Action::Answer(id, answer) => {
                if let Some(request) = self.asks.remove(&id) {
                    self.answer(request, answer.map(|()| None));
                }
            }
            Action::Prepared(id, checkpoint) => {
                if let Some(request) = self.asks.remove(&id) {
                    self.answer(request, Ok(Some(checkpoint)));
                }
            }
            Action::Tell(told) => self.tell(told),
            Action::Done(end) => return Some(end),
        }
        None
    }

    fn open_feed(&mut self, after: &Checkpoint) {
        self.unreadable.no_retry();
        self.feed = after.resume().map(|from| {
            let (shard, events) = (&self.context.shard, &self.shared.events);
            let feed = self.shared.source.open(OpenFeed {
                stream: self.context.stream.clone(),
                shard: shard.clone(),
                from,
                env: self.shared.env.clone(),
                events: events.clone(),
                meter: self.meter.clone(),
            });
            let decoder = Decoder::new(&self.shared.settings.decode, self.range);
            Intake::new(shard.clone(), feed, decoder, events.clone())
        });
    }

    fn call(&mut self, call: Call) {
        let callback = match call {
            Call::Initialize => {
                let context = Arc::make_mut(&mut self.context);
                context.checkpoint = self.machine.durable().clone();
                context.pending = self.machine.pending().cloned();
                context.lag = None;
                Callback::Initialize
            }
            Call::Process(batch) => {
                self.shared.counters.delivered(batch.records.len());
                if batch.lag != self.context.lag {
                    Arc::make_mut(&mut self.context).lag = batch.lag;
                }
                Callback::Process(batch)
            }
            Call::ShardEnded => Callback::ShardEnded,
            Call::ShutdownRequested => Callback::ShutdownRequested,
        };
        self.start_call(callback);
    }

    fn start_call(&mut self, callback: Callback) {
        let handed = Handed {
            context: self.context.clone(),
            checkpointer: self.checkpointer.clone(),
        };
        let (records, bytes) = match &callback {
            Callback::Process(batch) if self.shared.events.is_observed() => {
                (batch.records.len(), payload_bytes(batch))
            }
            Callback::Process(_)
            | Callback::Initialize
            | Callback::ShardEnded
            | Callback::ShutdownRequested
            | Callback::LeaseLost => (0, 0),
        };
        self.in_hand = Some(InHand {
            call: callback.kind(),
            since: Instant::now(),
            records,
            bytes,
        });
        if matches!(callback, Callback::Process(_)) {
            let (shard, epoch, lag) = (&self.context.shard, self.context.epoch, self.context.lag);
            let delivered = || event::Event::RecordsDelivered {
                shard: shard.clone(),
                epoch,
                records,
                bytes,
                lag,
            };
            self.shared.events.emit_with(delivered);
        }
        self.user.start(callback, handed);
    }
}

/// What the lanes of a handler start from; nothing if there is a processor.
fn lanes(shared: &Shared, handler: Option<&dyn Handler>, shard: &ShardId) -> Option<LanesStart> {
    let (Door::Handler(door), Some(handler)) = (&shared.door, handler) else {
        return None;
    };
    let keep = door
        .filter
        .as_ref()
        .map(|filter| guarded_filter(filter.clone(), shared.events.clone(), shard.clone()));
    Some(LanesStart {
        is_by_record: handler.is_by_record(),
        keep,
        weigh: handler.weigh(shard),
        wall: shared.env.wall(),
    })
}

/// A filter that keeps what the user's panics at: a record is dropped only by a clear word.
fn guarded_filter(filter: Filter, events: Events, shard: ShardId) -> Keep {
    Arc::new(move |record| {
        catch_unwind(AssertUnwindSafe(|| filter(record))).unwrap_or_else(|_| {
            events.emit(&event::Event::FilterPanicked {
                shard: shard.clone(),
                record: record.sequence_number.clone(),
            });
            true
        })
    })
}

fn checkpointer(shard: &ShardId) -> (Checkpointer, mpsc::Receiver<CheckpointRequest>) {
    let (requests, inbox) = mpsc::channel(REQUESTS_WAITING_MAX);
    (
        Checkpointer {
            shard: Arc::new(shard.clone()),
            requests,
        },
        inbox,
    )
}

/// Resolves when the worker says stop. A worker that is gone says nothing: it aborts its tasks.
async fn stopped(stop: &mut Option<oneshot::Receiver<()>>) {
    if let Some(receiver) = stop
        && receiver.await.is_ok()
    {
        return;
    }
    *stop = None;
    std::future::pending().await
}

async fn changed(standing: &mut Option<watch::Receiver<Standing>>) {
    match standing {
        // A closed channel is a change as well: it means that the grant is lost.
        Some(standing) => drop(standing.changed().await),
        None => std::future::pending().await,
    }
}

async fn next_batch(feed: &mut Option<Intake>) -> Result<Batch, FeedError> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
