//! How a request names what has tags or a policy: by the ARN of a stream or of a consumer.

use std::sync::Arc;

use crate::clock::Moment;
use crate::engine::consumer::{Consumer, Notes, Status};
use crate::engine::policy::{Kind, Policy};
use crate::engine::stream::{State, Stream};
use crate::engine::tags::Tags;
use crate::refusal::{self, Refusal};
use crate::wire::arn::Arn;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::{Call, consumer_address};

/// A stream or one of its consumers.
#[derive(Debug)]
pub(super) enum Resource {
    Stream(Arc<Stream>),
    Consumer(Arc<Stream>, Arc<Consumer>),
}

/// What hangs on a resource, to be changed, and how the service's texts name the resource.
pub(super) struct Annotated<'a> {
    pub(super) tags: &'a mut Tags,
    pub(super) policy: &'a mut Option<Arc<Policy>>,
    pub(super) told: String,
}

impl Resource {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Stream(_) => Kind::Stream,
            Self::Consumer(..) => Kind::Consumer,
        }
    }

    pub(super) fn arn(&self) -> String {
        match self {
            Self::Stream(stream) => stream.arn(),
            Self::Consumer(stream, consumer) => consumer.arn(&stream.arn()),
        }
    }

    /// The tags as they are now.
    pub(super) fn tags(&self, now: Moment) -> Tags {
        match self {
            Self::Stream(stream) => stream.state(now).tags.clone(),
            Self::Consumer(_, consumer) => consumer.notes.read().tags.clone(),
        }
    }

    /// Changes tags or policy; refuses if the resource is not there yet or not for long any more.
    pub(super) fn annotate<T>(
        &self,
        now: Moment,
        change: impl FnOnce(Annotated<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match self {
            Self::Stream(stream) => {
                let mut state = stream.settled_to_annotate(now)?;
                let State { tags, policy, .. } = &mut *state;
                change(Annotated {
                    tags,
                    policy,
                    told: stream.told(),
                })
            }
            Self::Consumer(stream, consumer) => {
                if consumer.status(now) != Status::Active {
                    return Err(not_active(stream, consumer));
                }
                let mut notes = consumer.notes.write();
                let Notes { tags, policy } = &mut *notes;
                let (name, stream) = (&consumer.name, &stream.told());
                change(Annotated {
                    tags,
                    policy,
                    told: format!("consumer {name} under {stream}"),
                })
            }
        }
    }
}

fn not_active(stream: &Stream, consumer: &Consumer) -> Refusal {
    let (name, created) = (&consumer.name, consumer.created.seconds());
    let (stream, account) = (&stream.name, &stream.scope.account);
    Refusal::new(
        refusal::Kind::ResourceInUse,
        format!(
            "Consumer {name} with creation timestamp {created} under stream {stream} and account \
             {account} is not in ACTIVE status."
        ),
    )
}

/// Notes what is wrong with the member `ResourceARN`.
pub(super) fn check(checks: &mut Checks, arn: &Option<Text<'_>>) {
    if let Some(arn) = checks.required(&"resourceARN", text(arn)) {
        checks.resource_arn(&"resourceARN", arn);
    }
}

/// The resource of a request that has passed [`check`].
pub(super) fn find(call: &Call<'_>, arn: &Option<Text<'_>>) -> Result<Resource, Refusal> {
    let text = text(arn).unwrap_or_default();
    let invalid = || Refusal::invalid(format!("{text} is not the ARN of a stream or a consumer."));
    let arn = Arn::parse(text).ok_or_else(invalid)?;
    if let Some(part) = arn.consumer {
        let (stream, consumer) =
            consumer_address::lookup(call, &arn, part.name, Some(part.created))?;
        return Ok(Resource::Consumer(stream, consumer));
    }
    let stream = call.stream_of_arn(&arn)?;
    let missing = || Refusal::stream_not_found(arn.stream, &call.realm.scope);
    Ok(Resource::Stream(stream.ok_or_else(missing)?))
}
