//! The loop of one shard: wait for room and for the pace, fetch, send. One task for each feed,
//! spawned by [`super::Polling`]; it ends with its shard, or when nobody listens any more.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use tokio::time::{Instant, sleep, sleep_until};

use super::PollSettings;
use super::aws::{self, First, Page, Refused, Target};
use super::iterator::Cursor;
use crate::decide::backoff::Backoff;
use crate::decide::horizon::Horizon;
use crate::decide::pace::{Pace, Paces};
use crate::env::Env;
use crate::error::ErrorKind;
use crate::event::{Event, Events, Failure, ReadCall, ReadFailure, Trimmed};
use crate::model::{Batch, ShardId, StreamName};
use crate::port::{BatchSender, Meter, OpenFeed};

/// A page with so many records, or so many bytes, is as full as the service makes them.
const FULL_RECORDS: usize = 10_000;
const FULL_BYTES: usize = 8 * 1024 * 1024;

pub(super) struct Reader {
    client: Client,
    settings: PollSettings,
    target: Target,
    cursor: Cursor,
    env: Env,
    rng: fastrand::Rng,
    pace: Pace,
    paces: Paces<Shard>,
    shard: Shard,
    horizon: Horizon,
    backoff: Backoff,
    /// In a row.
    failures: u32,
    events: Events,
    meter: Meter,
    sender: BatchSender,
}

/// What shares the service's limit of calls.
pub(super) type Shard = (StreamName, ShardId);

impl Drop for Reader {
    fn drop(&mut self) {
        let (shard, pace) = (self.shard.clone(), self.pace.clone());
        self.paces.leave(shard, pace, Instant::now());
    }
}

/// Whether the loop goes on.
enum Flow {
    /// Fetch with this iterator; without one, get one first.
    On(Option<String>),
    Over,
}

impl Reader {
    pub(super) fn new(
        (client, paces): (Client, Paces<Shard>),
        settings: PollSettings,
        request: OpenFeed,
        sender: BatchSender,
    ) -> Self {
        let OpenFeed {
            stream,
            shard,
            from,
            env,
            events,
            meter,
        } = request;
        let now = Instant::now();
        let full = || Pace::new(settings.calls_per_second, settings.calls_burst, now);
        let key = (stream.clone(), shard.clone());
        Self {
            pace: paces.take_over(&key, full),
            paces,
            shard: key,
            horizon: Horizon::default(),
            backoff: Backoff::new(settings.retry_delay_min, settings.retry_delay_max, now),
            client,
            settings,
            target: Target::new(stream, shard),
            cursor: Cursor::new(from),
            rng: env.rng(),
            env,
            failures: 0,
            events,
            meter,
            sender,
        }
    }

    pub(super) async fn run(mut self) {
        let mut iterator = None;
        loop {
            let flow = match iterator {
                None => self.open().await,
                Some(iterator) => self.fetch(iterator).await,
            };
            match flow {
                Flow::On(next) => iterator = next,
                Flow::Over => return,
            }
        }
    }

    async fn open(&mut self) -> Flow {
        let (sent, wall_now) = (Instant::now(), self.env.wall());
        self.meter.asks(sent);
        match aws::iterator(&self.client, &self.target, &self.cursor.position()).await {
            Ok(iterator) => {
                self.meter.answered();
                self.cursor.opened(wall_now);
                self.horizon.reopened();
                self.events.emit_with(|| Event::IteratorMade {
                    shard: self.target.shard.clone(),
                    took: sent.elapsed(),
                });
                Flow::On(Some(iterator))
            }
            Err(Refused::Never(error))
                if error.kind() == ErrorKind::Invalid && self.cursor.time_is_ahead() =>
            {
                tracing::warn!(error = %error.chain(), "the time to start at is yet to come; starting now");
                Flow::On(None)
            }
            Err(refused) => {
                self.refused(refused, None, (ReadCall::GetShardIterator, sent))
                    .await
            }
        }
    }

    async fn fetch(&mut self, iterator: String) -> Flow {
        if !self.sender.ready().await {
            return Flow::Over;
        }
        let go = self.pace.take(Instant::now());
        sleep_until(go).await;
        let limit = i32::try_from(self.settings.records_max).unwrap_or(i32::MAX);
        let after = self.cursor.last();
        let sent = Instant::now();
        // INVARIANT: behind a call that failed there is room at once, because only this task takes it; so no time
        // that a slow processor holds the feed back counts as time without an answer.
        self.meter.asks(sent);
        match aws::page(&self.client, &self.target, &iterator, limit, after).await {
            Ok(page) => self.take(page, sent).await,
            Err(refused) => {
                self.refused(refused, Some(iterator), (ReadCall::GetRecords, sent))
                    .await
            }
        }
    }

    async fn take(&mut self, page: Page, sent: Instant) -> Flow {
        self.meter.answered();
        self.backoff.reset(Instant::now());
        self.failures = 0;
        let Page { mut batch, next } = page;
        self.events.emit_with(|| Event::PageRead {
            shard: self.target.shard.clone(),
            records: batch.records.len(),
            bytes: batch.records.iter().map(|record| record.data.len()).sum(),
            lag: batch.lag,
            took: sent.elapsed(),
        });
        // A full page gives its call back. Where there is more than pages can carry, the service's
        // limit of bytes is met long before that of calls, and it says so by throttling.
        if is_full(&batch) {
            self.pace.give_back();
        }
        let brought = !batch.records.is_empty();
        let at_tip = !brought && batch.lag.is_none_or(|lag| lag.is_zero());
        // All that there was, by the service's own account: the next page would be empty.
        let took_all = brought && batch.lag.is_some_and(|lag| lag.is_zero());
        if planted!(EndsOnEmptyPage) && at_tip && self.cursor.last().is_some() {
            batch.children.get_or_insert_default();
        }
        self.watch_horizon(&batch).await;
        if let Some(last) = batch.records.last() {
            self.cursor.read(last.sequence_number.clone());
        }
        let ends = batch.children.is_some();
        if (ends || !batch.records.is_empty()) && !self.sender.send(batch).await {
            return Flow::Over;
        }
        if ends {
            return Flow::Over;
        }
        if at_tip {
            sleep(self.idle()).await;
        } else if took_all {
            sleep(self.idle() / 2).await;
        }
        Flow::On(next)
    }

    /// Tells if this page was read behind records that the stream has dropped unread.
    async fn watch_horizon(&mut self, batch: &Batch) {
        let last = batch.records.last().map(|record| &record.sequence_number);
        let ends = batch.children.is_some();
        let now = Instant::now();
        let Some(anchor) = self.horizon.read(last, ends, batch.lag, now) else {
            return;
        };
        loop {
            sleep_until(self.pace.take(Instant::now())).await;
            self.meter.asks(Instant::now());
            let first = match aws::first_at(&self.client, &self.target, &anchor).await {
                Ok(First::Record(first)) => Some(first),
                Ok(First::End) => None,
                // Were the record there, the page would begin with it: behind the end of the shard, that has to do.
                Ok(First::Unsaid) if ends => None,
                // It is looked for again later: what was read meanwhile is judged then as well.
                Ok(First::Unsaid) => {
                    self.meter.answered();
                    tracing::debug!("the service does not say whether records were trimmed");
                    return;
                }
                Err(Refused::Never(error)) => {
                    tracing::debug!(error = %error.chain(), "cannot look whether records were trimmed");
                    return;
                }
                // Whoever reads on first may lose the shard before the next look, and nobody ever tells.
                Err(
                    Refused::Iterator(error) | Refused::Throttled(error) | Refused::Later(error),
                ) => {
                    tracing::debug!(error = %error.chain(), "cannot look yet whether records were trimmed");
                    let pause = self.backoff.after_failure(Instant::now(), &mut self.rng);
                    sleep(pause).await;
                    continue;
                }
            };
            self.meter.answered();
            let shard = &self.target.shard;
            if let Some(trimmed) = Trimmed::find(shard, &anchor, first.as_ref()) {
                self.events.emit(&Event::RecordsTrimmed(trimmed));
            }
            if let Some(last) = last {
                self.horizon.settled(last.clone());
            }
            return;
        }
    }

    /// A call that was sent then failed. The iterator that is kept: `good` unless it was refused itself.
    async fn refused(
        &mut self,
        refused: Refused,
        good: Option<String>,
        (call, sent): (ReadCall, Instant),
    ) -> Flow {
        let (error, why, keep) = match refused {
            Refused::Never(error) => {
                self.sender.fail(error).await;
                return Flow::Over;
            }
            Refused::Iterator(error) if planted!(KeepsExpiredIterator) => {
                (error, ReadFailure::Iterator, good)
            }
            Refused::Iterator(error) => (error, ReadFailure::Iterator, None),
            Refused::Throttled(error) => (error, ReadFailure::Throttled, good),
            Refused::Later(error) => (error, ReadFailure::Unavailable, good),
        };
        if why.is_answer() {
            self.meter.answered();
        }
        let now = Instant::now();
        let pause = self.backoff.after_failure(now, &mut self.rng);
        self.failures = self.failures.saturating_add(1);
        self.events.emit(&Event::ReadFailed {
            shard: self.target.shard.clone(),
            call,
            why,
            error: Failure::from(&error),
            failures: self.failures,
            took: now.duration_since(sent),
        });
        sleep(pause).await;
        Flow::On(keep)
    }

    fn idle(&mut self) -> Duration {
        let idle = self.settings.idle;
        idle.mul_f64(0.9 + 0.2 * self.rng.f64())
    }
}

fn is_full(batch: &Batch) -> bool {
    batch.records.len() >= FULL_RECORDS || batch.bytes() >= FULL_BYTES
}
