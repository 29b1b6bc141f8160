//! One shard by the fallback: hands its batches on, until fan-out is to be tried or wanted again.
//!
//! What the fallback has read ahead and was not handed on is dropped with its feed: the place moves only with
//! what was handed on, so nothing is lost by that.

use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::Retrieval;
use kcl_core::model::Batch;
use kcl_core::port::{FeedError, OpenFeed};

use super::{Flow, Reader, at};
use crate::route::News;

enum Woken {
    Wanted(Retrieval),
    Batch(Result<Batch, FeedError>),
    Due,
    Gone,
}

impl Reader {
    pub(super) async fn by_fallback(&mut self) -> Flow {
        let Some(fallback) = self.fallback.clone() else {
            let message = "a shard is polled without a fallback";
            self.sender
                .fail(Error::new(ErrorKind::Internal, message))
                .await;
            return Flow::Over;
        };
        let from = self.place.for_poll();
        let mut feed = fallback.open(OpenFeed {
            stream: self.stream.clone(),
            shard: self.shard.clone(),
            from,
            env: self.env.clone(),
            events: self.events.clone(),
            meter: self.meter.clone(),
        });
        let mut wanted = self.switch.wanted();
        if let Some(flow) = self.news(News::Wanted(wanted), None).await {
            return flow;
        }
        loop {
            let next = async {
                if self.sender.ready().await {
                    Woken::Batch(feed.next().await)
                } else {
                    Woken::Gone
                }
            };
            let woken = tokio::select! {
                biased; // ORDER: what the user wants, then time: a full feed must not put off the return
                () = self.switch.differs_from(wanted) => Woken::Wanted(self.switch.wanted()),
                () = at(self.route.next_deadline()) => Woken::Due,
                woken = next => woken,
            };
            let news = match woken {
                Woken::Gone => return Flow::Over,
                Woken::Wanted(now) => {
                    wanted = now;
                    News::Wanted(now)
                }
                Woken::Due => News::Due,
                Woken::Batch(Ok(batch)) => {
                    if self.relay(batch).await == Flow::Over {
                        return Flow::Over;
                    }
                    continue;
                }
                Woken::Batch(Err(error)) => {
                    self.sender.fail(of_the_fallback(error)).await;
                    return Flow::Over;
                }
            };
            if let Some(flow) = self.news(news, None).await {
                return flow;
            }
        }
    }

    async fn relay(&mut self, batch: Batch) -> Flow {
        let ends = batch.children.is_some();
        let last = batch.records.last();
        let last = last.map(|record| record.sequence_number.clone());
        if !self.sender.send(batch).await || ends {
            return Flow::Over;
        }
        if let Some(last) = last {
            self.place.polled(&last);
        }
        Flow::On
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the errors of a feed may grow"
)]
fn of_the_fallback(error: FeedError) -> Error {
    match error {
        FeedError::Fatal(error) => error,
        gone => Error::new(
            ErrorKind::Internal,
            "the fallback of fan-out ended unexpectedly",
        )
        .with_source(gone),
    }
}
