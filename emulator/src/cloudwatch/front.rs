//! The way of a request of CloudWatch: its signature, the faults it meets, its operation, its answer.

use http::Response;
use http::request::Parts;

use crate::faults::{self, End, Lost};
use crate::wire::body::Body;
use crate::{Scope, Service, requests};

use super::input::{Asked, Input};
use super::ops::{self, Call};
use super::refusal::Refusal;
use super::shape::Shape;

impl Service {
    /// Answers a request of CloudWatch.
    pub(crate) async fn call_cloudwatch(
        &self,
        head: &Parts,
        asked: Asked<'_>,
        body: &[u8],
    ) -> Response<Body> {
        let Asked {
            protocol,
            operation,
            input,
        } = asked;
        let done = self.ask_cloudwatch(head, (&operation, input), body).await;
        let outcome = match &done {
            Err(Lost) => Some(requests::LOST),
            Ok(Ok(_)) => None,
            Ok(Err(refusal)) => Some(refusal.outcome()),
        };
        self.requests().cloudwatch(&operation, outcome);
        let id = self.request_id();
        match done {
            Err(Lost) => faults::aborted(),
            Ok(Ok(reply)) => protocol.answer(&id, &operation, reply.as_ref()),
            Ok(Err(refusal)) => {
                tracing::debug!(operation, ?refusal, "refused");
                protocol.refuse(&id, &refusal)
            }
        }
    }

    async fn ask_cloudwatch(
        &self,
        head: &Parts,
        (operation, input): (&str, Result<Input<'_>, Refusal>),
        body: &[u8],
    ) -> Result<Result<Option<Shape>, Refusal>, Lost> {
        let caller = match self.caller(head, "monitoring", body) {
            Ok(caller) => caller,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let strikes = self.faults().strike_cloudwatch(operation);
        let clock = self.clock();
        let now = clock.pass(clock.moment(), strikes.latency).await;
        match strikes.end {
            Some(End::ResetBefore) => return Err(Lost),
            Some(End::Refuse(error)) => return Ok(Err(error.cloudwatch())),
            Some(End::ResetAfter) | None => {}
        }
        // What has been counted up to now is there to be read.
        if let Some(realm) = self.engine().known_realm(caller.account, &caller.region) {
            realm.publish_all(now);
        }
        let done = input.and_then(|input| {
            let call = Call {
                store: self.cloudwatch(),
                mint: &self.engine().mint,
                scope: &Scope::new(caller.account, &*caller.region),
                now,
                input,
            };
            ops::run(call, operation)
        });
        if strikes.end == Some(End::ResetAfter) {
            return Err(Lost);
        }
        Ok(done)
    }
}
