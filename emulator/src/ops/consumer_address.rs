//! How a request names a consumer: by its ARN, by its stream's ARN and its name, or by all three if
//! they agree.

use std::sync::Arc;

use crate::engine::consumer::Consumer;
use crate::engine::stream::Stream;
use crate::refusal::Refusal;
use crate::wire::check::{Checks, ConsumerArn};
use crate::wire::field::{Text, text};

use super::Call;
use super::address::Address;

/// The members that name a consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConsumerAddress<'a> {
    stream_arn: Option<&'a str>,
    name: Option<&'a str>,
    arn: Option<&'a str>,
}

/// A consumer and its stream.
pub(super) type Found = (Arc<Stream>, Arc<Consumer>);

impl<'a> ConsumerAddress<'a> {
    pub(super) fn new(
        stream_arn: &'a Option<Text<'_>>,
        name: &'a Option<Text<'_>>,
        arn: &'a Option<Text<'_>>,
    ) -> Self {
        Self {
            stream_arn: text(stream_arn),
            name: text(name),
            arn: text(arn),
        }
    }

    pub(super) fn of_arn(arn: &'a Option<Text<'_>>) -> Self {
        Self::new(&None, &None, arn)
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(arn) = self.stream_arn {
            checks.stream_arn(&"streamARN", arn);
        }
        if let Some(name) = self.name {
            checks.name(&"consumerName", name);
        }
        if let Some(arn) = self.arn {
            checks.consumer_arn(&"consumerARN", arn);
        }
    }

    /// The consumer, if there is one.
    pub(super) fn find(&self, call: &Call<'_>) -> Result<Found, Refusal> {
        let by_arn = self.arn.and_then(ConsumerArn::parse);
        let (stream_arn, name) = match (by_arn, self.stream_arn, self.name) {
            (Some(by_arn), stream, name) => {
                if stream.is_some_and(|stream| stream != by_arn.stream)
                    || name.is_some_and(|name| name != by_arn.name)
                {
                    return Err(Refusal::invalid(
                        "ConsumerARN does not agree with StreamARN and ConsumerName.",
                    ));
                }
                (by_arn.stream, by_arn.name)
            }
            (None, Some(stream), Some(name)) => (stream, name),
            (None, Some(_) | None, _) => {
                return Err(Refusal::invalid(
                    "Either ConsumerARN, or both StreamARN and ConsumerName should be provided.",
                ));
            }
        };
        let stream = Address::of_arn(stream_arn).stream(call)?;
        let consumer = stream.consumers.get(call.now, name);
        // A consumer that was registered again under its name has another ARN.
        let is_meant = |consumer: &Arc<Consumer>| {
            by_arn.is_none_or(|by_arn| by_arn.created == consumer.created.seconds())
        };
        match consumer.filter(is_meant) {
            Some(consumer) => Ok((stream, consumer)),
            None => Err(Refusal::consumer_not_found(name, &stream.scope)),
        }
    }
}
