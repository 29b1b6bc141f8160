//! PutResourcePolicy. The policy replaces what was there before; it counts from the next call on.

use std::sync::Arc;

use serde::Deserialize;

use crate::engine::policy::Policy;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::{Call, Reply, resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "ResourceARN")]
    resource_arn: Option<Text<'a>>,
    #[serde(borrow)]
    policy: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    let policy = checks.required(&"policy", text(&request.policy));
    resource::check(&mut checks, &request.resource_arn);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let resource = resource::find(call, &request.resource_arn)?;
    let policy = Policy::parse(policy.unwrap_or_default(), resource.kind(), &resource.arn());
    let policy = policy
        .map_err(|why| Refusal::invalid(format!("The resource policy is invalid: {why}.")))?;
    resource.annotate(call.now, |of| {
        *of.policy = Some(Arc::new(policy));
        Ok(())
    })?;
    Ok(Reply::Void)
}
