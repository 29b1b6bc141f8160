//! How a request names a consumer: by its ARN, by its stream's ARN and its name, or by all three if
//! they agree.

use std::sync::Arc;

use crate::Scope;
use crate::engine::consumer::Consumer;
use crate::engine::policy::Kind;
use crate::engine::stream::Stream;
use crate::refusal::Refusal;
use crate::wire::arn::Arn;
use crate::wire::check::{Checks, ConsumerArn};
use crate::wire::field::{Text, text};

use super::access::Owned;
use super::{Call, address};

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
        let created = by_arn.map(|by_arn| by_arn.created);
        lookup(call, &address::parse(stream_arn)?, name, created)
    }
}

/// The consumer of a name below the ARN of its stream. Of another account's consumers the caller only
/// learns what their policies say; one that was registered again under its name has another ARN, and
/// so needs another policy.
pub(super) fn lookup(
    call: &Call<'_>,
    stream_arn: &Arn<'_>,
    name: &str,
    created: Option<u64>,
) -> Result<Found, Refusal> {
    let realm = call.realm_of(stream_arn)?;
    let stream = realm.and_then(|realm| realm.find(call.now, stream_arn.stream));
    let consumer = stream
        .as_ref()
        .and_then(|stream| stream.consumers.get(call.now, name));
    let is_meant =
        |consumer: &Arc<Consumer>| created.is_none_or(|at| at == consumer.created.seconds());
    let consumer = consumer.filter(is_meant);
    let scope = Scope::new(stream_arn.account, Arc::clone(&call.realm.scope.region));
    if stream_arn.account != &*call.realm.scope.account {
        authorize(
            call,
            &scope,
            stream_arn.stream,
            (name, created),
            consumer.as_deref(),
        )?;
    }
    let Some(stream) = stream else {
        return Err(Refusal::stream_not_found(stream_arn.stream, &scope));
    };
    match consumer {
        Some(consumer) => Ok((stream, consumer)),
        None => Err(Refusal::consumer_not_found(name, &scope)),
    }
}

fn authorize(
    call: &Call<'_>,
    scope: &Scope,
    stream: &str,
    (name, created): (&str, Option<u64>),
    consumer: Option<&Consumer>,
) -> Result<(), Refusal> {
    let stream = Stream::arn_of(scope, stream);
    let arn = match (consumer, created) {
        (Some(consumer), _) => consumer.arn(&stream),
        (None, Some(created)) => format!("{stream}/consumer/{name}:{created}"),
        (None, None) => format!("{stream}/consumer/{name}"),
    };
    let notes = consumer.map(|consumer| consumer.notes.read());
    let notes = notes.as_deref();
    call.authorize(&Owned {
        kind: Kind::Consumer,
        account: &scope.account,
        arn: &arn,
        policy: notes.and_then(|notes| notes.policy.as_deref()),
        tags: notes.map(|notes| &notes.tags),
    })
}
