//! Subscriptions on their way: what the service pushes, frame by frame, in virtual time and with faults.
//!
//! Each accepted subscription is carried by a task of the world. The service makes a frame when it is asked for
//! one, so what is held up here waits there. A subscription whose client hears nothing is kept open at the
//! service, as a connection is of which only one end knows that it is dead.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use fastrand::Rng;
use http_body_util::BodyExt as _;
use kcl_core::model::ShardId;
use memchr::memmem;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::line::Open;
use super::{Net, Parcel, Peer, SLUGGISH};
use crate::sim::checkers::Oracle;
use crate::sim::history::{Event, Process};
use crate::sim::moment::Moment;
use crate::sim::scenario::Cut;
use crate::sim::subject::Subject;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What befalls a subscription after it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PushFault {
    /// Nothing comes any more, and the connection stays: half of it is open.
    Silent,
    /// The connection breaks.
    Reset,
    /// It ends within a frame.
    Cut,
    /// A bit of a frame is another.
    Corrupt,
    /// It ends behind a frame, as if all were told.
    Closed,
    /// Everything is held up for a while, which may be longer than a lease lasts.
    Late,
    /// The event that names the children comes late.
    LateEnd,
}

impl PushFault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Silent,
        Self::Reset,
        Self::Cut,
        Self::Corrupt,
        Self::Closed,
        Self::Late,
        Self::LateEnd,
    ];

    /// Its name in histories and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "falls silent",
            Self::Reset => "is reset",
            Self::Cut => "is cut",
            Self::Corrupt => "is corrupt",
            Self::Closed => "is closed",
            Self::Late => "is late",
            Self::LateEnd => "ends late",
        }
    }
}

impl fmt::Display for PushFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a fault does most harm to a subscription.
pub const PUSH_MOMENTS: [Moment; 5] = [
    Moment::Commits,
    Moment::Processes,
    Moment::Drains,
    Moment::Lags,
    Moment::Frozen,
];

/// The service ends a subscription after five minutes.
const SUBSCRIBED_FOR: Duration = Duration::from_secs(300);

/// The longest time that pushes are held up: some of a lease, and more than one.
const LATE_MAX: u64 = 30_000;

/// One subscription under way.
pub(super) struct Push {
    net: Net,
    process: Process,
    shard: ShardId,
    rng: Rng,
    /// What will befall it.
    fault: Option<Planned>,
    /// Whether the client knows that it is accepted.
    is_known: bool,
}

/// A fault that waits for its time.
struct Planned {
    fault: PushFault,
    /// When it strikes at the latest.
    at: Instant,
    /// And before that, when its process is there.
    when: Option<Moment>,
    /// Tells that it is, of a fault that needs no frame.
    told: Option<oneshot::Receiver<Process>>,
}

/// What the pump woke up for.
enum Woken {
    Left,
    Frame(Option<Bytes>),
    Fault,
}

/// How a frame, or a time without one, left the connection.
#[derive(PartialEq, Eq)]
enum Way {
    Open,
    Over,
}

impl Push {
    /// Puts a pump between the service and the client into an answer, if that is an accepted subscription.
    pub(super) fn launch(net: &Net, parcel: &Parcel, mut response: HttpResponse) -> HttpResponse {
        let shard = parcel.shard.clone();
        let (Some(shard), true) = (shard, is_accepted(parcel, &response)) else {
            return response;
        };
        let process = parcel.process;
        // Not the generator of the request itself, so that its fate and this one have nothing in common.
        let mut rng = Rng::with_seed(parcel.sent ^ 0x9e37_79b9_7f4a_7c15);
        let fault = draw(&mut rng, net.state().weather.push_faults);
        let fault = fault.map(|(fault, at, when)| {
            let when_needed = when.filter(|_| fault.needs_no_frame());
            let wait = |moment| net.0.history.lie_in_wait(moment, Some(process));
            let told = when_needed.map(wait);
            Planned {
                fault,
                at,
                when,
                told,
            }
        });
        let push = Self {
            net: net.clone(),
            process,
            shard: shard.clone(),
            rng,
            fault,
            is_known: false,
        };
        // One frame in flight: what more there is waits at the service.
        let (sender, receiver) = mpsc::channel(1);
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = SdkBody::from_body_1_x(Pushed {
            frames: receiver,
            _open: Open::new(&parcel.open),
            _over: Over {
                net: net.clone(),
                process,
                shard: shard.clone(),
            },
        });
        net.0.history.add(Event::Subscribed { process, shard });
        net.spawn(push.carry(body, sender));
        response
    }

    async fn carry(mut self, mut body: SdkBody, client: mpsc::Sender<Result<Bytes, Failure>>) {
        loop {
            let woken = tokio::select! {
                biased; // ORDER: who is gone hears nothing; a fault hits what comes at the same time
                () = client.closed() => Woken::Left,
                () = strikes(&mut self.fault) => Woken::Fault,
                frame = next(&mut body) => Woken::Frame(frame),
            };
            let frame = match woken {
                Woken::Left => return,
                Woken::Fault => None,
                Woken::Frame(None) => return,
                Woken::Frame(Some(frame)) => Some(frame),
            };
            if let Some(frame) = &frame
                && names_children(frame)
            {
                // The experiment knows the children before the worker does.
                self.net.refresh().await;
            }
            let way = match self.fault_for(frame.as_ref()) {
                Some(fault) => {
                    self.net.0.history.add(Event::PushStruck {
                        process: self.process,
                        shard: self.shard.clone(),
                        fault,
                    });
                    self.strike(fault, frame, &mut body, &client).await
                }
                None => match frame {
                    Some(frame) => self.pass(frame, &mut body, &client).await,
                    None => Way::Open,
                },
            };
            if way == Way::Over {
                return;
            }
        }
    }

    /// What befalls this frame, or this moment without one, if anything does. Each fault strikes once.
    fn fault_for(&mut self, frame: Option<&Bytes>) -> Option<PushFault> {
        if self.net.state().weather.push_faults == 0 {
            self.fault = None;
        }
        let planned = self.fault.as_ref()?;
        let is_there = |moment: Moment| {
            let is_now = |oracle: &Oracle| moment.is_now(oracle.ledger(), self.process);
            self.net.0.history.read(is_now)
        };
        if planned.at > Instant::now() && !planned.when.is_some_and(is_there) {
            return None;
        }
        let fault = planned.fault;
        let is_met = match fault {
            PushFault::Silent | PushFault::Reset | PushFault::Closed => true,
            PushFault::Cut | PushFault::Corrupt | PushFault::Late => frame.is_some(),
            PushFault::LateEnd => frame.is_some_and(names_children),
        };
        is_met.then(|| {
            self.fault = None;
            fault
        })
    }

    async fn strike(
        &mut self,
        fault: PushFault,
        frame: Option<Bytes>,
        body: &mut SdkBody,
        client: &mpsc::Sender<Result<Bytes, Failure>>,
    ) -> Way {
        let frame = frame.unwrap_or_default();
        match fault {
            PushFault::Silent => silence(body, client).await,
            PushFault::Reset => {
                drop(client.send(Err("connection reset by peer".into())).await);
                Way::Over
            }
            PushFault::Closed => Way::Over,
            PushFault::Cut => {
                let most = self.rng.usize(1..frame.len().max(2));
                drop(client.send(Ok(frame.slice(..most))).await);
                Way::Over
            }
            PushFault::Corrupt => {
                let mut bytes = frame.to_vec();
                let place = self.rng.usize(..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << self.rng.u8(..8);
                }
                self.is_known = true;
                self.pass(bytes.into(), body, client).await
            }
            PushFault::Late | PushFault::LateEnd => {
                let by = Duration::from_millis(self.rng.u64(500..LATE_MAX));
                tokio::select! {
                    biased; // ORDER: who is gone waits for nothing
                    () = client.closed() => Way::Over,
                    () = sleep(by) => self.pass(frame, body, client).await,
                }
            }
        }
    }

    /// Brings a frame to the client, the way as it is now.
    async fn pass(
        &mut self,
        frame: Bytes,
        body: &mut SdkBody,
        client: &mpsc::Sender<Result<Bytes, Failure>>,
    ) -> Way {
        let latency = self.net.state().weather.latency.max(1);
        sleep(Duration::from_micros(self.rng.u64(200..=latency * 1_000))).await;
        match self.net.cut_of(self.process, Peer::Kinesis) {
            Some((Cut::Refused, _)) => {
                drop(client.send(Err("connection reset".into())).await);
                return Way::Over;
            }
            Some((Cut::Deaf | Cut::Mute, _)) => return silence(body, client).await,
            Some((Cut::Held, until)) => sleep_until(until).await,
            Some((Cut::Sluggish, _)) => sleep(SLUGGISH).await,
            None => {}
        }
        if client.send(Ok(frame)).await.is_err() {
            return Way::Over;
        }
        if !std::mem::replace(&mut self.is_known, true) {
            let (process, shard) = (self.process, self.shard.clone());
            self.net.0.history.add(Event::Accepted { process, shard });
        }
        Way::Open
    }
}

impl PushFault {
    /// Whether it can strike while nothing is on the way.
    const fn needs_no_frame(self) -> bool {
        matches!(self, Self::Silent | Self::Reset | Self::Closed)
    }
}

/// Whether this answer is a subscription.
fn is_accepted(parcel: &Parcel, response: &HttpResponse) -> bool {
    parcel.subject == Subject::Subscribe && response.status().is_success()
}

/// Some subscriptions meet a fault: at once, soon, or at any time of their life; or when it does most harm.
fn draw(rng: &mut Rng, rate: u64) -> Option<(PushFault, Instant, Option<Moment>)> {
    let is_struck = rng.u64(..1_000) < rate;
    let fault = *rng.choice(&PushFault::ALL).expect("seven");
    let most = *rng.choice(&[1, 5_000, 60_000, 280_000]).expect("four");
    let after = match fault {
        // There is one such moment, and it is met whenever it comes.
        PushFault::LateEnd => Duration::ZERO,
        PushFault::Silent
        | PushFault::Reset
        | PushFault::Cut
        | PushFault::Corrupt
        | PushFault::Closed
        | PushFault::Late => Duration::from_millis(rng.u64(..most)),
    };
    let moment = *rng.choice(&PUSH_MOMENTS).expect("five");
    let lies_in_wait = fault != PushFault::LateEnd && rng.bool();
    let (after, when) = match lies_in_wait {
        true => (SUBSCRIBED_FOR, Some(moment)),
        false => (after, None),
    };
    is_struck.then(|| (fault, Instant::now() + after, when))
}

/// The service talks on, and nobody hears it. It ends when the client has had enough.
async fn silence(body: &mut SdkBody, client: &mpsc::Sender<Result<Bytes, Failure>>) -> Way {
    while next(body).await.is_some() {}
    client.closed().await;
    Way::Over
}

/// Of a subscription of which the client never hears, until the service ends it.
pub(super) async fn unheard(mut response: HttpResponse) {
    let mut body = std::mem::replace(response.body_mut(), SdkBody::taken());
    while next(&mut body).await.is_some() {}
}

/// The next frame that the service makes.
async fn next(body: &mut SdkBody) -> Option<Bytes> {
    loop {
        let frame = Pin::new(&mut *body).frame().await?.ok()?;
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
}

/// Whether this is the last event of a shard.
fn names_children(frame: &Bytes) -> bool {
    memmem::find(frame, b"\"ChildShards\":[").is_some()
}

/// Returns when a fault that needs no frame strikes.
async fn strikes(planned: &mut Option<Planned>) {
    let planned = planned.as_mut().filter(|it| it.fault.needs_no_frame());
    let Some(planned) = planned else {
        return std::future::pending().await;
    };
    let told = async {
        match &mut planned.told {
            Some(told) => drop(told.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased; // ORDER: its moment is gone as soon as anything else happens
        () = told => {
            planned.told = None;
            planned.at = Instant::now();
        }
        () = sleep_until(planned.at) => {}
    }
}

/// The body that the client reads.
struct Pushed {
    frames: mpsc::Receiver<Result<Bytes, Failure>>,
    /// It is a request that has not ended.
    _open: Open,
    _over: Over,
}

/// Tells that the client has closed a subscription.
struct Over {
    net: Net,
    process: Process,
    shard: ShardId,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.net.0.history.add(Event::Unsubscribed {
            process: self.process,
            shard: self.shard.clone(),
        });
    }
}

impl http_body::Body for Pushed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Failure>>> {
        let frame = self.frames.poll_recv(context);
        frame.map(|frame| frame.map(|frame| frame.map(http_body::Frame::data)))
    }
}
