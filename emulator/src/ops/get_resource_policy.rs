//! GetResourcePolicy: the text as it was put.
//!
//! QUIRK(kinesis): a resource without a policy has the policy `{}`.

use serde::{Deserialize, Serialize};

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
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attached<'a> {
    policy: &'a str,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    resource::check(&mut checks, &request.resource_arn);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let resource = resource::find(call, &request.resource_arn)?;
    let policy = resource.annotate(call.now, |of| Ok(of.policy.clone()))?;
    let policy = policy.as_ref().map_or("{}", |policy| &policy.text);
    Ok(call.reply(&Attached { policy }))
}
