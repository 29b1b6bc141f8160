//! One shard by subscriptions: does what `session` says, and tells it what came of it. It chooses nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    ShardIteratorType, StartingPosition, SubscribeToShardEvent,
    SubscribeToShardEventStream as Pushes,
};
use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event as Told, ReadFailure, Retrieval};
use kcl_core::model::{Batch, Position};
use tokio::time::Instant;

use super::failure::Failed;
use super::{Flow, Reader, at, earlier};
use crate::aws;
use crate::event::{self, Pushed};
use crate::frames::{Guard, Progress};
use crate::route::News;
use crate::session::{Action, Event, Refusal, Session};

/// An open subscription. Dropping it closes it.
struct Open {
    output: SubscribeToShardOutput,
    progress: Progress,
    /// Whether an event was taken.
    has_brought: bool,
}

/// What came of doing what the session said.
pub(super) enum Step {
    /// Tell the session, and whoever listens of a failure.
    Event(Event, Option<Failed>),
    /// An event, its records still in hand.
    Pushed(Pushed),
    /// There is no such consumer, or no such shard.
    NotFound(Failed),
    /// For the route.
    News(News),
    /// Nobody listens any more.
    Gone,
}

impl Reader {
    pub(super) async fn by_subscription(&mut self) -> Flow {
        let arn = match self.consumer().await {
            Ok(arn) => arn,
            Err(flow) => return flow,
        };
        let turn = self.shared.turns.next(&self.turn());
        let settings = self.shared.settings.subscription.clone();
        let from = self.place.for_subscription().clone();
        let mut session = Session::new(from, turn, settings);
        let flow = self.carry_out(&mut session, &arn).await;
        self.place.subscribed_to(session.cursor());
        flow
    }

    async fn carry_out(&mut self, session: &mut Session, arn: &Arc<str>) -> Flow {
        let mut open: Option<Open> = None;
        let mut in_hand = Batch::default();
        let mut action = session.on(Instant::now(), &Event::Start, &mut self.rng);
        loop {
            let began = Instant::now();
            let step = match &action {
                Action::Subscribe(from) => {
                    open = None;
                    self.subscribe(session, arn, from, &mut open).await
                }
                Action::Listen | Action::LetGo => self.listen(session, &mut open).await,
                Action::Deliver | Action::DeliverLast => {
                    let batch = std::mem::take(&mut in_hand);
                    self.deliver(session, batch, &mut open).await
                }
                Action::Wait => {
                    open = None;
                    self.pause(session).await
                }
                // The session waits for its time, whatever it is at.
                Action::Ignore => self.pause(session).await,
                // Told with the refusal that led here.
                Action::Fail => return Flow::On,
            };
            let (event, failed) = match step {
                Step::Event(event, failed) => (event, failed),
                Step::Pushed(Pushed { arrival, batch }) => {
                    in_hand = batch;
                    (Event::Received(arrival), None)
                }
                Step::NotFound(failed) => return self.not_found(failed, arn).await,
                Step::News(news) => {
                    let error = (news == News::Due).then(|| self.not_ready());
                    match self.news(news, error).await {
                        Some(flow) => return flow,
                        None => continue,
                    }
                }
                Step::Gone => return Flow::Over,
            };
            let next = session.on(Instant::now(), &event, &mut self.rng);
            let is_end = action == Action::DeliverLast;
            let failed = failed.or_else(|| {
                let has_brought = open.as_ref().is_some_and(|open| open.has_brought);
                self.failure((&action, has_brought), &event, &next, began.elapsed())
            });
            if let Some(open) = &mut open
                && action == Action::Listen
            {
                open.has_brought |= matches!(event, Event::Received(_));
            }
            if let Some(flow) = self.take_in(&event, &next, failed).await {
                return flow;
            }
            if is_end {
                return Flow::Over;
            }
            action = next;
        }
    }

    /// Tells what happened, and lets the route know.
    async fn take_in(
        &mut self,
        event: &Event,
        next: &Action,
        failed: Option<Failed>,
    ) -> Option<Flow> {
        let is_taken = match next {
            Action::Deliver | Action::DeliverLast | Action::Listen | Action::Subscribe(_) => true,
            Action::LetGo | Action::Wait | Action::Fail | Action::Ignore => false,
        };
        if matches!(event, Event::Received(_)) && is_taken {
            self.heard();
        }
        if matches!(event, Event::Alive(_)) {
            // The service speaks; that there is no room is no silence of it.
            self.meter.answered();
        }
        let failed = failed?;
        let is_final = *next == Action::Fail;
        // The worker tells of what ends the feed.
        if !is_final || self.switch.has_fallback() {
            self.tell_failure(&failed);
        }
        let news = if is_final {
            News::Refused
        } else {
            News::Failed
        };
        self.news(news, Some(failed.error)).await
    }

    async fn subscribe(
        &mut self,
        session: &Session,
        arn: &Arc<str>,
        from: &Position,
        open: &mut Option<Open>,
    ) -> Step {
        let (sent, asked) = (Instant::now(), self.env.wall());
        self.meter.asks(sent);
        let pause = self.shared.settings.subscription.retry_pause_min;
        self.close_until(sent + pause);
        let progress = Progress::default();
        let guard = Guard {
            purse: self.purse.clone(),
            bytes_max: self.shared.settings.memory.event_bytes_max,
            progress: progress.clone(),
        };
        let position = match starting_position(from) {
            Ok(position) => position,
            Err(error) => return self.failed((Refusal::Final, ReadFailure::Refused), error, sent),
        };
        let client = self.line.client();
        let request = client
            .subscribe_to_shard()
            .consumer_arn(&**arn)
            .shard_id(self.shard.name())
            .starting_position(position)
            .customize()
            .interceptor(guard);
        let deadline = earlier(session.next_deadline(), self.route.next_deadline());
        let answer = tokio::select! {
            biased; // ORDER: what the user wants, then the answer, then time
            () = self.switch.differs_from(Retrieval::FanOut) => {
                return Step::News(News::Wanted(Retrieval::Polling));
            }
            answer = Box::pin(request.send()) => answer,
            () = at(deadline) => return self.due(session, None),
        };
        match answer {
            Ok(output) => {
                let now = Instant::now();
                self.close_until(now + self.shared.settings.subscription.reopen_after);
                self.events.emit(&Told::Subscribed {
                    shard: self.shard.clone(),
                    took: now.duration_since(sent),
                });
                *open = Some(Open {
                    output,
                    progress,
                    has_brought: false,
                });
                Step::Event(Event::Accepted { asked }, None)
            }
            Err(error) => {
                let resource = self.resource(arn);
                self.refused(aws::not_subscribed(&resource, error), sent)
            }
        }
    }

    async fn listen(&mut self, session: &Session, open: &mut Option<Open>) -> Step {
        let began = Instant::now();
        // Something comes every few seconds, if only that there is nothing.
        self.meter.asks(began);
        let Some(open) = open else {
            return self.pause(session).await;
        };
        let deadline = earlier(session.next_deadline(), self.route.next_deadline());
        let pushed = tokio::select! {
            biased; // ORDER: what the user wants, then data, then time: an event that is there is no silence
            () = self.switch.differs_from(Retrieval::FanOut) => {
                return Step::News(News::Wanted(Retrieval::Polling));
            }
            pushed = open.output.event_stream.recv() => pushed,
            () = at(deadline) => return self.due(session, Some(&open.progress)),
        };
        open.progress.event_came();
        let malformed = |what: String| {
            let message = format!("a subscription to {} makes no sense: {what}", self.shard);
            Error::new(ErrorKind::Data, message)
        };
        match pushed {
            Ok(Some(Pushes::SubscribeToShardEvent(event))) => {
                self.tell_read(&event);
                match event::read(event, self.place.record()) {
                    Ok(pushed) => Step::Pushed(pushed),
                    Err(what) => self.broken(ReadFailure::Malformed, malformed(what), began),
                }
            }
            // It may have carried records, which the next event would then skip.
            Ok(Some(_)) => {
                let error = malformed("an event of an unknown type".to_owned());
                self.broken(ReadFailure::Malformed, error, began)
            }
            Ok(None) => Step::Event(Event::Closed, None),
            Err(error) => {
                let resource = format!("shard {}", self.shard);
                match aws::broken_off(&resource, error) {
                    aws::Broken::Malformed(error) => {
                        self.broken(ReadFailure::Malformed, error, began)
                    }
                    aws::Broken::Connection(error) => {
                        self.broken(ReadFailure::Unavailable, error, began)
                    }
                    aws::Broken::Refused(refused) => self.refused(refused, began),
                }
            }
        }
    }

    /// Hands a batch on and waits for room for more. The subscription is let go if that takes too long.
    async fn deliver(
        &mut self,
        session: &mut Session,
        batch: Batch,
        open: &mut Option<Open>,
    ) -> Step {
        let ends = batch.children.is_some();
        let last = batch.records.last();
        let last = last.map(|record| record.sequence_number.clone());
        let share = open.as_ref().and_then(|open| open.progress.take_share());
        let sender = self.sender.clone();
        let mut handed_on = Box::pin(async move {
            let held = share.map(|share| Box::new(share) as kcl_core::port::Held);
            sender.send_with(batch, held).await && (ends || sender.ready().await)
        });
        loop {
            let is_listening = tokio::select! {
                biased; // ORDER: what is done before time
                is_listening = &mut handed_on => is_listening,
                () = at(session.next_deadline()) => {
                    let action = session.on(Instant::now(), &Event::Due, &mut self.rng);
                    if action == Action::LetGo {
                        *open = None;
                    }
                    continue;
                }
            };
            if !is_listening {
                return Step::Gone;
            }
            if let Some(last) = &last {
                self.place.pushed(last);
            }
            return Step::Event(Event::Delivered, None);
        }
    }

    async fn pause(&mut self, session: &Session) -> Step {
        let deadline = earlier(session.next_deadline(), self.route.next_deadline());
        tokio::select! {
            biased; // ORDER: what the user wants before time
            () = self.switch.differs_from(Retrieval::FanOut) => {
                Step::News(News::Wanted(Retrieval::Polling))
            }
            () = at(deadline) => self.due(session, None),
        }
    }

    /// Whose time has come. Bytes that came of late, if only of a part of an event, are no silence.
    fn due(&self, session: &Session, progress: Option<&Progress>) -> Step {
        let now = Instant::now();
        if session.next_deadline().is_none_or(|at| at > now) {
            return Step::News(News::Due);
        }
        let silence_max = self.shared.settings.subscription.silence_max;
        let sign = progress.and_then(|progress| progress.last_sign(now));
        match sign.filter(|at| *at + silence_max > now) {
            Some(at) => Step::Event(Event::Alive(at), None),
            None => Step::Event(Event::Due, None),
        }
    }

    fn tell_read(&self, event: &SubscribeToShardEvent) {
        self.events.emit_with(|| Told::EventRead {
            shard: self.shard.clone(),
            records: event.records.len(),
            bytes: event.records.iter().map(|r| r.data.as_ref().len()).sum(),
            lag: u64::try_from(event.millis_behind_latest)
                .ok()
                .map(Duration::from_millis),
        });
    }

    fn close_until(&self, until: Instant) {
        self.shared
            .turns
            .close_until(Instant::now(), self.turn(), until);
    }

    fn turn(&self) -> (kcl_core::StreamName, kcl_core::ShardId) {
        (self.stream.clone(), self.shard.clone())
    }

    fn resource(&self, arn: &str) -> String {
        format!("consumer {arn} (shard {})", self.shard)
    }
}

fn starting_position(from: &Position) -> Result<StartingPosition, Error> {
    let position = StartingPosition::builder();
    let position = match from {
        Position::TrimHorizon => position.r#type(ShardIteratorType::TrimHorizon),
        Position::Latest => position.r#type(ShardIteratorType::Latest),
        Position::AtTimestamp(time) => position
            .r#type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from(*time)),
        Position::AtSequence(number) => position
            .r#type(ShardIteratorType::AtSequenceNumber)
            .sequence_number(number.as_str()),
        Position::AfterSequence(number) => position
            .r#type(ShardIteratorType::AfterSequenceNumber)
            .sequence_number(number.as_str()),
    };
    position.build().map_err(|error| {
        Error::new(ErrorKind::Internal, "a position cannot be asked for").with_source(error)
    })
}
