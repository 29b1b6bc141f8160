//! The user's handlers of a run: they write down every call, and are slow, fail, panic or hang as the plan says.
//!
//! * here: what a call does. `door`: how a worker is given it, one way for each door. `function`: what is different
//!   with functions written for Lambda.

mod door;
mod function;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use kcl_core::model::ShardId;
use kcl_core::{BoxError, event};
use tokio::time::sleep;

use super::clock::Rate;
use super::history::{
    CallNumber, Ending, Errand, Event, HandlerCall, History, Mood, Process, RecordId,
};
use super::processor::PANIC;
use super::scenario::{Door, Handling};

pub(super) use door::Read;

/// The handlers of a run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handlers {
    history: History,
    handling: Handling,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    calls: CallNumber,
    /// Records that had their trouble: none has it twice.
    troubled: BTreeSet<RecordId>,
    healed: bool,
}

impl Handlers {
    /// Handlers that behave so.
    #[must_use]
    pub fn new(history: History, handling: Handling) -> Self {
        let state = State {
            rng: Rng::with_seed(handling.salt),
            calls: 0,
            troubled: BTreeSet::new(),
            healed: false,
        };
        Self {
            history,
            handling,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on nothing fails but what always does.
    pub fn heal(&self) {
        self.state().healed = true;
    }

    /// How records are handled.
    #[must_use]
    pub const fn handling(&self) -> &Handling {
        &self.handling
    }

    /// The handler of a process whose clock goes at this rate.
    #[must_use]
    pub fn of(&self, process: Process, rate: Rate) -> Handler {
        Handler {
            of: self.clone(),
            process,
            rate,
            epochs: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How a call with these records goes, and which of them are to blame.
    fn draw(
        &mut self,
        handling: &Handling,
        errand: Errand,
        ids: &[RecordId],
    ) -> (Mood, Vec<RecordId>) {
        match errand {
            Errand::Handle => {}
            Errand::Close => return (self.draw_close(handling), Vec::new()),
            Errand::GiveUp => return (self.draw_destination(handling), Vec::new()),
        }
        let mut blamed = Vec::new();
        for id in ids {
            let mood = self.mood_of(handling, *id);
            if mood != Mood::Well {
                blamed.push((mood, *id));
            }
        }
        // One that reports comes to the end of its batch, so what fails at once goes before.
        let at_once = blamed
            .iter()
            .find(|(mood, _)| *mood != Mood::Slow && *mood != Mood::Fails);
        let failing = blamed.iter().find(|(mood, _)| *mood == Mood::Fails);
        let first = at_once.or(failing).or(blamed.first());
        let mood = first.map_or(Mood::Well, |(mood, _)| *mood);
        let failed = blamed.into_iter().filter(|(mood, _)| *mood != Mood::Slow);
        (mood, failed.map(|(_, id)| id).collect())
    }

    /// How a record is handled. Trouble is used up by the first call, whatever becomes of that.
    fn mood_of(&mut self, handling: &Handling, id: RecordId) -> Mood {
        if handling.is_poison(id) {
            return match self.healed && handling.is_mended() {
                true => Mood::Well,
                false => handling.poison(id),
            };
        }
        let mood = match self.healed {
            true => Mood::Well,
            false => handling.trouble(id),
        };
        if mood == Mood::Well || !self.troubled.insert(id) {
            return Mood::Well;
        }
        mood
    }

    /// The last call of a window can fail again and again, and is tried again for as long.
    fn draw_close(&mut self, handling: &Handling) -> Mood {
        if self.healed || handling.trouble_every.is_none() {
            return Mood::Well;
        }
        let trouble = self.rng.u8(..6) == 0;
        match self.rng.u8(..4) {
            place if trouble => Mood::TROUBLE[usize::from(place)],
            _ => Mood::Well,
        }
    }

    fn draw_destination(&mut self, handling: &Handling) -> Mood {
        let point = self.rng.u32(..1_000);
        if self.healed || point >= handling.refuses {
            return Mood::Well;
        }
        match point % 5 {
            0 => Mood::Slow,
            1 => Mood::Panics,
            2 if handling.call_max.is_some() && !handling.door.is_lambda() => Mood::Hangs,
            _ => Mood::Fails,
        }
    }

    fn time(&mut self, handling: &Handling, mood: Mood) -> Duration {
        let (least, most) = match mood {
            Mood::Slow => Handling::SLOW,
            Mood::Well | Mood::Fails | Mood::Panics | Mood::Hangs => {
                (Duration::ZERO, handling.pace)
            }
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.rng.u64(micros(least)..=micros(most)))
    }
}

/// The handler of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handler {
    of: Handlers,
    process: Process,
    rate: Rate,
    /// The grants of its shards, as its worker tells of them: a function is not handed them.
    epochs: Arc<Mutex<BTreeMap<ShardId, u64>>>,
}

/// What a call is about.
struct About {
    shard: ShardId,
    epoch: u64,
    lane: Option<usize>,
    errand: Errand,
    ids: Vec<RecordId>,
    state: Option<u64>,
}

/// A call that is running. However it ends, the history is told.
struct Running {
    history: History,
    number: CallNumber,
    mood: Mood,
    ids: Vec<RecordId>,
    /// Those that are to blame if it fails.
    blamed: Vec<RecordId>,
    time: Duration,
    ending: Ending,
    done: Vec<RecordId>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.ending = Ending::Failed;
        }
        self.history.add(Event::HandlerReturned {
            call: self.number,
            ending: self.ending,
            done: std::mem::take(&mut self.done),
        });
    }
}

impl Running {
    /// Comes to what it comes to: the places of the records that it reports, none if all are done.
    async fn run(&mut self, door: Door) -> Result<Vec<usize>, BoxError> {
        if self.mood == Mood::Hangs {
            std::future::pending::<()>().await;
        }
        sleep(self.time).await;
        match self.mood {
            Mood::Panics => panic!("{PANIC}"),
            Mood::Fails => self.fail(door),
            Mood::Well | Mood::Slow | Mood::Hangs => {
                self.ending = Ending::Well;
                self.done.clone_from(&self.ids);
                Ok(Vec::new())
            }
        }
    }

    fn fail(&mut self, door: Door) -> Result<Vec<usize>, BoxError> {
        self.ending = Ending::Failed;
        let is_blamed = |id: &RecordId| self.blamed.contains(id);
        let places = (0..self.ids.len()).filter(|place| is_blamed(&self.ids[*place]));
        let failed: Vec<_> = places.collect();
        let Some(first) = failed.first().filter(|_| door.names_records()) else {
            return Err("the simulated handler fails".into());
        };
        let is_done = |(place, id): (usize, &RecordId)| match door {
            // What is behind the first comes again.
            Door::Reports => place < *first,
            Door::Record
            | Door::Batch
            | Door::Places
            | Door::Stream
            | Door::Function
            | Door::Windows => !is_blamed(id),
        };
        let done = self.ids.iter().enumerate().filter(|it| is_done(*it));
        self.done = done.map(|(_, id)| *id).collect();
        Ok(failed)
    }
}

impl Handler {
    fn start(&self, about: About) -> Running {
        let handling = &self.of.handling;
        let (number, mood, blamed, time) = {
            let mut state = self.of.state();
            let number = state.calls;
            state.calls += 1;
            let (mood, blamed) = state.draw(handling, about.errand, &about.ids);
            (number, mood, blamed, state.time(handling, mood))
        };
        let ids = about.ids.clone();
        self.of.history.add(Event::HandlerCalled(HandlerCall {
            process: self.process,
            number,
            shard: about.shard,
            epoch: about.epoch,
            lane: about.lane,
            errand: about.errand,
            ids: about.ids,
            state: about.state,
            mood,
        }));
        Running {
            history: self.of.history.clone(),
            number,
            mood,
            ids,
            blamed,
            time,
            ending: Ending::Cancelled,
            done: Vec::new(),
        }
    }

    /// Its worker tells of something.
    pub fn hears(&self, event: &event::Event) {
        match event {
            event::Event::ShardStarted { shard, epoch, .. } => {
                let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
                epochs.insert(shard.clone(), epoch.get());
            }
            event::Event::RecordsGivenUp { shard, first, .. } => {
                self.of.history.add(Event::GaveUp {
                    process: self.process,
                    shard: shard.clone(),
                    first: first.clone(),
                });
            }
            _ => {}
        }
    }

    fn epoch(&self, shard: &ShardId) -> u64 {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.get(shard).copied().unwrap_or_default()
    }

    const fn door(&self) -> Door {
        self.of.handling.door
    }
}
