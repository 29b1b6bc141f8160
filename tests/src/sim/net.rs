//! The network of a run: it carries requests of the unmodified SDK to the emulator, in virtual time
//! and with faults.
//!
//! Every exchange is a task of the world, not of the worker that sent it, so that a worker can die
//! while its write is on the way. It owns no promise; `watch` tells the history what was applied.

mod fate;
mod last_page;
mod old;
mod rival;
mod sabotage;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;
use kinesis_emulator::Service;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use fate::Passage;
use old::Old;
use watch::Watch;

use super::control::Control;
use super::history::{Event, History, Process};
use super::scenario::{Cut, Sabotage, Side, Weather};
use super::subject::Subject;

pub use fate::Fate;

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

    /// The line of one process to the services.
    #[must_use]
    pub fn line(&self, process: Process, rng: Rng) -> Line {
        Line {
            net: self.clone(),
            process,
            rng: Arc::new(Mutex::new(rng)),
        }
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
                let refusal = fate::refusal(passage.fate, peer);
                sleep(passage.back).await;
                return self.hand_over(&parcel, reply, Ok(refusal));
            }
            Fate::Late(by) => {
                drop(reply);
                sleep(by).await;
                drop(self.apply(&mut parcel, false).await);
                return;
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
            self.hand_over(&parcel, reply, response);
        } else if passage.fate == Fate::ResetAfter && !mute {
            self.hand_over(&parcel, reply, Err(broken("connection reset by peer")));
        } else {
            drop(reply);
        }
        if let Some((by, mut copy)) = again {
            sleep(by).await;
            drop(self.apply(&mut copy, false).await);
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
        let response = self.exchange(parcel, request).await?;
        let response = sabotage::distort(dishonest, &parcel.operation, response);
        // Every other time, so that both kinds of ends are met.
        let response = if parcel.subject == Subject::Records && parcel.sent.is_multiple_of(2) {
            last_page::with_end(&self.0.control, &self.0.history, response).await
        } else {
            response
        };
        let watch = &self.0.watch;
        let (process, sent) = (parcel.process, parcel.sent);
        watch
            .applied(process, &parcel.operation, sent, heard, &response)
            .await;
        Ok(response)
    }

    /// Has the emulator answer, in its own way or with an old answer.
    async fn exchange(&self, parcel: &Parcel, request: HttpRequest) -> Answer {
        let (process, service, old) = (parcel.process, &self.0.service, &self.0.old);
        let weather = self.state().weather;
        let mut rng = Rng::with_seed(parcel.sent);
        let mut strikes = |rate| rng.u64(..1_000) < rate;
        match parcel.subject {
            Subject::Shards if strikes(weather.stale_lists) => old.list(process, request).await,
            Subject::Records => {
                if strikes(weather.expired_iterators) {
                    old.expire(process, &request);
                }
                match old.expired(&request) {
                    Some(refusal) => Ok(refusal),
                    None => service.exchange(request).await,
                }
            }
            Subject::Scan => {
                let again = request.try_clone();
                let response = service.exchange(request).await?;
                match again.filter(|_| old.has_struck(process)) {
                    // Every other time, so that reads that are old as a whole are met as well.
                    Some(again) if strikes(500) => Ok(old.mixed(response, again, &mut rng).await),
                    Some(_) | None => Ok(response),
                }
            }
            Subject::Join
            | Subject::Renew
            | Subject::Leave
            | Subject::Evict
            | Subject::Make
            | Subject::Take
            | Subject::Commit
            | Subject::Finish
            | Subject::Release
            | Subject::Remove
            | Subject::Watch
            | Subject::Start
            | Subject::Row
            | Subject::Shards
            | Subject::Iterator
            | Subject::Table
            | Subject::Other => service.exchange(request).await,
        }
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
    /// The number of the event that it was sent.
    sent: u64,
    passage: Passage,
    request: HttpRequest,
}

impl Parcel {
    fn try_clone(&self) -> Option<Self> {
        Some(Self {
            process: self.process,
            peer: self.peer,
            operation: self.operation.clone(),
            subject: self.subject,
            sent: self.sent,
            passage: self.passage,
            request: self.request.try_clone()?,
        })
    }
}

fn broken(what: &'static str) -> ConnectorError {
    ConnectorError::io(what.into())
}

/// The line of one process: the SDK's HTTP client.
#[derive(Clone, Debug)]
pub struct Line {
    net: Net,
    process: Process,
    rng: Arc<Mutex<Rng>>,
}

impl Line {
    fn send(&self, request: HttpRequest) -> oneshot::Receiver<Answer> {
        let target = request.headers().get("x-amz-target").unwrap_or("?.?");
        let (service, operation) = target.split_once('.').unwrap_or(("?", target));
        let peer = if service.starts_with("DynamoDB") {
            Peer::Dynamo
        } else {
            Peer::Kinesis
        };
        let operation = operation.to_owned();
        let passage = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = self.net.state();
            state.exchanges += 1;
            fate::draw(&mut rng, &state.weather)
        };
        let subject = Subject::of(&operation, request.body().bytes().unwrap_or_default());
        let sent = self.net.0.history.add(Event::Sent {
            process: self.process,
            subject,
            fate: passage.fate.name(),
        });
        let parcel = Parcel {
            process: self.process,
            peer,
            operation,
            subject,
            sent,
            passage,
            request,
        };
        let (reply, answer) = oneshot::channel();
        self.net.spawn(self.net.clone().carry(parcel, reply));
        answer
    }
}

impl HttpClient for Line {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            line: self.clone(),
            patience: settings.read_timeout().unwrap_or(DEAD_PEER),
        })
    }
}

/// A line with the time-out the SDK asks for. There is no connecting, so only the one for reading.
#[derive(Debug)]
struct Connector {
    line: Line,
    patience: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.line.send(request);
        let patience = self.patience;
        HttpConnectorFuture::new(async move {
            let heard = async {
                match answer.await {
                    Ok(answer) => answer,
                    Err(_silence) => pending().await,
                }
            };
            match timeout(patience, heard).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err(ConnectorError::timeout("nothing was heard in time".into())),
            }
        })
    }
}
