//! How a request names what has tags or a policy: by the ARN of a stream or of a consumer.

use std::sync::Arc;

use crate::clock::Moment;
use crate::engine::policy::{Kind, Policy};
use crate::engine::stream::{State, Stream};
use crate::engine::tags::Tags;
use crate::refusal::Refusal;
use crate::wire::arn::Arn;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::Call;
use super::access::Owned;

/// A stream or one of its consumers.
#[derive(Debug)]
pub(super) enum Resource {
    Stream(Arc<Stream>),
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
        }
    }

    pub(super) fn arn(&self) -> String {
        match self {
            Self::Stream(stream) => stream.arn(),
        }
    }

    /// The tags as they are now.
    pub(super) fn tags(&self, now: Moment) -> Tags {
        match self {
            Self::Stream(stream) => stream.state(now).tags.clone(),
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
        }
    }
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
    if arn.consumer.is_some() {
        return consumer(call, text, &arn);
    }
    let stream = call.stream_of_arn(&arn)?;
    let missing = || Refusal::stream_not_found(arn.stream, &call.realm.scope);
    Ok(Resource::Stream(stream.ok_or_else(missing)?))
}

/// No consumer is there yet, whatever its name.
fn consumer(call: &Call<'_>, text: &str, arn: &Arn<'_>) -> Result<Resource, Refusal> {
    call.authorize(&Owned {
        kind: Kind::Consumer,
        account: arn.account,
        arn: text,
        policy: None,
        tags: None,
    })?;
    let name = arn.consumer.map_or("", |part| part.name);
    Err(Refusal::new(
        crate::refusal::Kind::ResourceNotFound,
        format!("Consumer {name}, account {} not found.", arn.account),
    ))
}
