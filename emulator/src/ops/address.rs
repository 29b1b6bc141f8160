//! How a request names its stream: by name, by ARN, or by both if they agree.

use std::sync::Arc;

use crate::engine::stream::Stream;
use crate::refusal::Refusal;
use crate::wire::check::{Checks, stream_of_arn};
use crate::wire::field::{Text, text};

use super::Call;

/// The members that name a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'a> {
    name: Option<&'a str>,
    arn: Option<&'a str>,
}

impl<'a> Address<'a> {
    pub(super) fn new(name: &'a Option<Text<'_>>, arn: &'a Option<Text<'_>>) -> Self {
        Self {
            name: text(name),
            arn: text(arn),
        }
    }

    /// A stream that is named by its ARN alone.
    pub(super) fn of_arn(arn: &'a str) -> Self {
        Self {
            name: None,
            arn: Some(arn),
        }
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(name) = self.name {
            checks.name(&"streamName", name);
        }
        if let Some(arn) = self.arn {
            checks.stream_arn(&"streamARN", arn);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.arn.is_none()
    }

    /// The stream's name. Of an ARN only the name counts: account and region are the caller's.
    pub(super) fn name(&self) -> Result<&'a str, Refusal> {
        match (self.name, self.arn.and_then(stream_of_arn)) {
            (Some(name), Some(other)) if name != other => Err(Refusal::invalid(
                "StreamARN and StreamName do not name the same stream.",
            )),
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Err(Refusal::invalid(
                "Either StreamARN or StreamName should be provided.",
            )),
        }
    }

    /// The stream, if there is one.
    pub(super) fn stream(&self, call: &Call<'_>) -> Result<Arc<Stream>, Refusal> {
        call.realm.stream(call.now, self.name()?)
    }
}
