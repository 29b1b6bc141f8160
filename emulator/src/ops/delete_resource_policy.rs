//! DeleteResourcePolicy.

use serde::Deserialize;

use crate::refusal::{Kind, Refusal};
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

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    resource::check(&mut checks, &request.resource_arn);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let resource = resource::find(call, &request.resource_arn)?;
    let policy = resource.annotate(call.now, |of| Ok(of.policy.take()))?;
    policy.map(|_| Reply::Void).ok_or_else(|| {
        let arn = resource.arn();
        let text = format!("No resource policy found for resource ARN {arn}.");
        Refusal::new(Kind::ResourceNotFound, text)
    })
}
