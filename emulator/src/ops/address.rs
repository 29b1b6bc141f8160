//! How a request names its stream: by name, by ARN, or by both if they agree; and whether the caller
//! may do there what the call asks for.
//!
//! A name is one of the caller's own streams. An ARN says whose stream it is: another account's only
//! answers to those its policy admits. Streams of another region are not to be found here, as a region
//! knows its own only.

use std::sync::Arc;

use crate::Scope;
use crate::engine::Realm;
use crate::engine::policy::Kind;
use crate::engine::stream::Stream;
use crate::refusal::Refusal;
use crate::wire::arn::Arn;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::Call;
use super::access::Owned;

/// The members that name a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'a> {
    name: Option<&'a str>,
    arn: Option<&'a str>,
}

/// What an address leads to.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    /// None if the caller has no stream of that name.
    pub(super) stream: Option<Arc<Stream>>,
}

impl<'a> Address<'a> {
    pub(super) fn new(name: &'a Option<Text<'_>>, arn: &'a Option<Text<'_>>) -> Self {
        Self {
            name: text(name),
            arn: text(arn),
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

    /// Where the address leads. Refuses what contradicts itself, what lies in another region, and what
    /// another account does not let the caller do.
    pub(super) fn target(&self, call: &Call<'_>) -> Result<Target<'a>, Refusal> {
        let arn = self.arn.map(parse).transpose()?;
        let name = match (self.name, arn) {
            (Some(name), Some(arn)) if name != arn.stream => {
                return Err(Refusal::invalid(
                    "StreamARN and StreamName do not name the same stream.",
                ));
            }
            (Some(name), _) => name,
            (None, Some(arn)) => arn.stream,
            (None, None) => {
                return Err(Refusal::invalid(
                    "Either StreamARN or StreamName should be provided.",
                ));
            }
        };
        let stream = match arn {
            Some(arn) => call.stream_of_arn(&arn)?,
            None => call.realm.find(call.now, name),
        };
        Ok(Target { name, stream })
    }

    /// The stream, if there is one.
    pub(super) fn stream(&self, call: &Call<'_>) -> Result<Arc<Stream>, Refusal> {
        self.target(call)?.found(call)
    }
}

impl Target<'_> {
    /// The account whose stream this is or would be.
    pub(super) fn scope<'a>(&'a self, call: &'a Call<'_>) -> &'a Scope {
        let stream = self.stream.as_ref();
        stream.map_or(&call.realm.scope, |stream| &stream.scope)
    }

    /// The stream, or the usual refusal.
    pub(super) fn found(self, call: &Call<'_>) -> Result<Arc<Stream>, Refusal> {
        self.stream
            .ok_or_else(|| Refusal::stream_not_found(self.name, &call.realm.scope))
    }
}

/// The parts of a text that has passed as a stream's ARN by the model's pattern, which is generous.
pub(super) fn parse(arn: &str) -> Result<Arn<'_>, Refusal> {
    Arn::parse(arn)
        .filter(|arn| arn.consumer.is_none())
        .ok_or_else(|| Refusal::invalid(format!("{arn} is not the ARN of a stream.")))
}

impl Call<'_> {
    /// Where an ARN leads: the realm of its account, if that has one. A region knows its own only.
    pub(super) fn realm_of(&self, arn: &Arn<'_>) -> Result<Option<Arc<Realm>>, Refusal> {
        let own = &self.realm.scope;
        if *arn.region != *own.region {
            let scope = Scope::new(arn.account, arn.region);
            return Err(Refusal::stream_not_found(arn.stream, &scope));
        }
        if *arn.account == *own.account {
            return Ok(Some(Arc::clone(&self.realm)));
        }
        Ok(self.engine.known_realm(arn.account, &own.region))
    }

    /// The stream of an ARN; none if the caller's account has none of that name. Of other accounts one
    /// only learns what their policies say.
    pub(super) fn stream_of_arn(&self, arn: &Arn<'_>) -> Result<Option<Arc<Stream>>, Refusal> {
        self.realm_of(arn)?;
        self.stream_of(arn.account, arn.stream)
    }

    /// The stream of a name in an account of the caller's region.
    pub(super) fn stream_of(
        &self,
        account: &str,
        name: &str,
    ) -> Result<Option<Arc<Stream>>, Refusal> {
        if *account == *self.realm.scope.account {
            return Ok(self.realm.find(self.now, name));
        }
        let realm = self.engine.known_realm(account, &self.realm.scope.region);
        let stream = realm.and_then(|realm| realm.find(self.now, name));
        let scope = Scope::new(account, Arc::clone(&self.realm.scope.region));
        let state = stream.as_ref().map(|stream| stream.state(self.now));
        self.authorize(&Owned {
            kind: Kind::Stream,
            account,
            arn: &Stream::arn_of(&scope, name),
            policy: state.as_ref().and_then(|state| state.policy.as_deref()),
            tags: state.as_ref().map(|state| &state.tags),
        })?;
        drop(state);
        Ok(stream)
    }
}
