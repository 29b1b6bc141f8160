//! TagResource.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Map, Text, text};

use super::{Call, Reply, resource, tags};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "ResourceARN")]
    resource_arn: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<Map<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    tags::check_required(&mut checks, &request.tags);
    resource::check(&mut checks, &request.resource_arn);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let resource = resource::find(call, &request.resource_arn)?;
    let more = tags::owned(&request.tags);
    resource.annotate(call.now, |of| of.tags.add(more, &of.told))?;
    Ok(Reply::Void)
}
