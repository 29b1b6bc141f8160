//! The network of a run: it carries requests of the unmodified SDK to the emulator, in virtual time
//! and with faults.
//!
//! Every exchange is a task of the world, not of the worker that sent it, so that a worker can die
//! while its write is on the way. It owns no promise; `watch` tells the history what was applied.

mod condition;
mod fate;
mod last_page;
mod line;
mod old;
mod operator;
mod push;
mod rates;
mod readers;
mod rival;
mod sabotage;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;
use kcl_core::model::ShardId;
use kinesis_emulator::Service;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use fate::Passage;
use old::Old;
use push::Push;
use readers::Readers;
use watch::{Applied, Reading, Watch};

use super::clock::Rate;
use super::control::Control;
use super::history::{Event, History, Process};
use super::scenario::{Cut, Sabotage, Side, Weather};
use super::subject::Subject;

pub use fate::Fate;
pub use line::Line;
pub use push::{PUSH_MOMENTS, PushFault};

/// After this long without a byte the other end of a connection is taken for dead, whatever the SDK
/// is set to: what a kernel does about unacknowledged data.
const DEAD_PEER: Duration = Duration::from_secs(15 * 60);

/// How much longer sluggish answers take: as long as a client waits, nearly.
const SLUGGISH: Duration = Duration::from_millis(1_050);

/// The service a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The stream.
    Kinesis,
    /// The lease table.
    Dynamo,
}

/// What the client gets: an answer, or a broken connection.
type Answer = Result<HttpResponse, ConnectorError>;

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    service: Arc<Service>,
    history: History,
    control: Control,
    watch: Watch,
    old: Old,
    state: Mutex<State>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    sabotage: Option<Sabotage>,
    cuts: BTreeMap<(u8, Peer), (Cut, Instant)>,
    readers: Readers,
    exchanges: u64,
    panics: u64,
}

impl Net {
    /// A network to this service.
    #[must_use]
    pub fn new(service: Arc<Service>, history: History, table: &str, streams: &[&str]) -> Self {
        let watch = Watch::new(service.clone(), history.clone(), table, streams);
        let old = Old::new(service.clone(), history.clone());
        Self(Arc::new(Inner {
            control: Control::new(service.clone()),
            service,
            history,
            watch,
            old,
            state: Mutex::default(),
            tasks: Mutex::default(),
        }))
    }

    /// The line of one process, with a clock of this rate, to the services.
    #[must_use]
    pub fn line(&self, process: Process, rate: Rate, rng: Rng) -> Line {
        Line::new(self.clone(), process, rate, rng)
    }

    /// Changes the weather for all requests to come.
    pub fn set_weather(&self, weather: Weather) {
        self.0.old.set(&weather);
        self.state().weather = weather;
    }

    /// Makes the services dishonest.
    pub fn set_sabotage(&self, sabotage: Option<Sabotage>) {
        self.state().sabotage = sabotage;
    }

    /// Disturbs the way between a worker and a service for a while.
    pub fn cut(&self, worker: u8, side: Side, cut: Cut, length: Duration) {
        let until = Instant::now() + length;
        let mut state = self.state();
        if side != Side::Dynamo {
            state.cuts.insert((worker, Peer::Kinesis), (cut, until));
        }
        if side != Side::Kinesis {
            state.cuts.insert((worker, Peer::Dynamo), (cut, until));
        }
    }

    /// Ends all cuts and all weather but the latency. What is under way stays under way.
    pub fn heal(&self) {
        self.0.old.heal();
        let mut state = self.state();
        state.cuts.clear();
        state.weather = Weather {
            latency: state.weather.latency,
            ..Weather::default()
        };
    }

    /// How many requests there were, and how many exchanges panicked.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.exchanges, state.panics)
    }

    /// What is known of the stream, asked for anew.
    pub async fn refresh(&self) {
        self.0.watch.refresh_shards().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut_of(&self, process: Process, peer: Peer) -> Option<(Cut, Instant)> {
        let cut = self.state().cuts.get(&(process.worker, peer)).copied();
        cut.filter(|(_, until)| *until > Instant::now())
    }

    /// Runs an exchange as a task of the world.
    fn spawn(&self, exchange: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(exchange);
        while let Some(ended) = tasks.try_join_next() {
            self.state().panics += u64::from(ended.is_err());
        }
    }

    /// Carries one request there and its answer back. Dropping `reply` is silence.
    async fn carry(self, mut parcel: Parcel, reply: oneshot::Sender<Answer>) {
        let (process, peer, passage) = (parcel.process, parcel.peer, parcel.passage);
        match self.cut_of(process, peer) {
            Some((Cut::Refused, _)) => {
                sleep(passage.there).await;
                return self.hand_over(&parcel, reply, Err(broken("connection refused")));
            }
            Some((Cut::Deaf, _)) => return,
            Some((Cut::Held, until)) => sleep_until(until).await,
            Some((Cut::Mute | Cut::Sluggish, _)) | None => {}
        }
        sleep(passage.there).await;
        match passage.fate {
            Fate::ResetBefore => {
                return self.hand_over(&parcel, reply, Err(broken("connection reset")));
            }
            Fate::LostRequest => return,
            Fate::Throttled | Fate::Failed => {
                let refusal = fate::refusal(passage.fate, peer, parcel.subject);
                sleep(passage.back).await;
                return self.hand_over(&parcel, reply, Ok(refusal));
            }
            Fate::Late(by) => {
                drop(reply);
                sleep(by).await;
                let unheard = self.apply(&mut parcel, false).await;
                return self.leave_open(&parcel, unheard);
            }
            Fate::Fine | Fate::Twice(_) | Fate::ResetAfter | Fate::LostReply => {}
        }
        let again = match passage.fate {
            Fate::Twice(by) => parcel.try_clone().map(|copy| (by, copy)),
            Fate::Fine | Fate::ResetAfter | Fate::LostReply => None,
            Fate::ResetBefore | Fate::LostRequest | Fate::Throttled => None,
            Fate::Failed | Fate::Late(_) => None,
        };
        let mute = matches!(self.cut_of(process, peer), Some((Cut::Mute, _)));
        let heard = !mute && !matches!(passage.fate, Fate::ResetAfter | Fate::LostReply);
        let response = self.apply(&mut parcel, heard).await;
        match self.cut_of(process, peer) {
            Some((Cut::Held, until)) => sleep_until(until).await,
            Some((Cut::Sluggish, _)) => sleep(SLUGGISH).await,
            Some((Cut::Refused | Cut::Deaf | Cut::Mute, _)) | None => {}
        }
        sleep(passage.back).await;
        if heard {
            let response = response.map(|response| Push::launch(&self, &parcel, response));
            self.hand_over(&parcel, reply, response);
        } else if passage.fate == Fate::ResetAfter && !mute {
            self.hand_over(&parcel, reply, Err(broken("connection reset by peer")));
            self.leave_open(&parcel, response);
        } else {
            drop(reply);
            self.leave_open(&parcel, response);
        }
        if let Some((by, mut copy)) = again {
            sleep(by).await;
            let unheard = self.apply(&mut copy, false).await;
            self.leave_open(&copy, unheard);
        }
    }

    /// A subscription of which the client does not hear is one all the same.
    fn leave_open(&self, parcel: &Parcel, answer: Answer) {
        if let Ok(response) = answer
            && parcel.subject == Subject::Subscribe
        {
            self.spawn(push::unheard(response));
        }
    }

    /// Has the service carry a request out. A parcel is applied once.
    async fn apply(&self, parcel: &mut Parcel, heard: bool) -> Answer {
        let request = std::mem::replace(&mut parcel.request, HttpRequest::new(SdkBody::empty()));
        let dishonest = self.state().sabotage;
        if let Some(forged) = sabotage::forge(dishonest, &parcel.operation, &request) {
            return Ok(forged);
        }
        let request = sabotage::corrupt(dishonest, request);
        let (answer, at_fault) = self.exchange(parcel, request).await;
        let response = answer?;
        let response = sabotage::distort(dishonest, &parcel.operation, response);
        // Every other time, so that both kinds of ends are met.
        let response = if parcel.subject == Subject::Records && parcel.sent.is_multiple_of(2) {
            last_page::with_end(&self.0.control, &self.0.history, response).await
        } else {
            response
        };
        self.look(parcel, &response, at_fault);
        let request = Applied {
            process: parcel.process,
            operation: &parcel.operation,
            body: &parcel.body,
            sent: parcel.sent,
            heard,
        };
        self.0.watch.applied(request, &response).await;
        let mut response = response;
        if rates::to_worker(parcel.rate, response.body_mut()) {
            let length = response.body().bytes().unwrap_or_default().len();
            response
                .headers_mut()
                .insert("content-length", length.to_string());
            // It is the sum of a body that is not sent.
            response.headers_mut().remove("x-amz-crc32");
        }
        Ok(response)
    }

    /// Looks into the answer of a read.
    fn look(&self, parcel: &Parcel, response: &HttpResponse, at_fault: bool) {
        let body = response.body().bytes().unwrap_or_default();
        if let Some(shard) = parcel
            .shard
            .as_ref()
            .filter(|_| response.status().is_success())
        {
            self.state().readers.answered(shard, body);
        }
        // Some of them, because it takes its time.
        let is_chosen = (parcel.subject == Subject::Row && parcel.sent.is_multiple_of(4))
            || (parcel.subject == Subject::Scan && parcel.sent.is_multiple_of(8));
        if at_fault || is_chosen {
            let how = Reading {
                consistent: parcel.consistent,
                at_fault,
            };
            self.0.watch.read(parcel.process, response, how);
        }
    }

    /// Has the emulator answer, in its own way or with an old answer.
    /// With whether the weather made the answer an old one.
    async fn exchange(&self, parcel: &Parcel, request: HttpRequest) -> (Answer, bool) {
        let (process, service, old) = (parcel.process, &self.0.service, &self.0.old);
        let weather = self.state().weather;
        let mut rng = Rng::with_seed(parcel.sent);
        let mut strikes = |rate| rng.u64(..1_000) < rate;
        let subject = parcel.subject;
        if subject == Subject::Shards && strikes(weather.stale_lists) {
            return (old.list(process, request).await, false);
        }
        if subject == Subject::Records {
            if strikes(weather.expired_iterators) {
                old.expire(process, &request);
            }
            if let Some(refusal) = old.expired(&request) {
                return (Ok(refusal), false);
            }
        }
        if subject != Subject::Scan {
            return (service.exchange(request).await, false);
        }
        let again = request.try_clone();
        let response = match service.exchange(request).await {
            Ok(response) => response,
            Err(error) => return (Err(error), false),
        };
        let is_old = old.has_struck(process);
        let answer = match again.filter(|_| is_old) {
            // Every other time, so that reads that are old as a whole are met as well.
            Some(again) if strikes(500) => old.mixed(response, again, &mut rng).await,
            Some(_) | None => response,
        };
        (Ok(answer), is_old)
    }

    /// A client that gave up or died does not hear its answer.
    fn hand_over(&self, parcel: &Parcel, reply: oneshot::Sender<Answer>, answer: Answer) {
        if reply.send(answer).is_ok() && parcel.subject.is_followed() {
            let (process, sent) = (parcel.process, parcel.sent);
            self.0.history.add(Event::Answered { process, sent });
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A request under way.
struct Parcel {
    process: Process,
    peer: Peer,
    operation: String,
    subject: Subject,
    /// What is asked for, if it is a write.
    body: Value,
    /// The shard, if it reads one or asks for a place in it.
    shard: Option<ShardId>,
    /// Whether a read has to show what stands.
    consistent: bool,
    /// The clock of the process.
    rate: Rate,
    /// The number of the event that it was sent.
    sent: u64,
    passage: Passage,
    /// How many requests of the process have not ended.
    open: Arc<AtomicUsize>,
    request: HttpRequest,
}

impl Parcel {
    fn try_clone(&self) -> Option<Self> {
        Some(Self {
            process: self.process,
            peer: self.peer,
            operation: self.operation.clone(),
            subject: self.subject,
            body: self.body.clone(),
            shard: self.shard.clone(),
            consistent: self.consistent,
            rate: self.rate,
            sent: self.sent,
            passage: self.passage,
            open: Arc::clone(&self.open),
            request: self.request.try_clone()?,
        })
    }
}

fn broken(what: &'static str) -> ConnectorError {
    ConnectorError::io(what.into())
}
