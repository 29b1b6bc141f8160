//! ListTagsForResource: all tags at once.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::tags::Tag;
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
struct Listing<'a> {
    tags: Vec<Tag<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    resource::check(&mut checks, &request.resource_arn);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let resource = resource::find(call, &request.resource_arn)?;
    let tags = resource.tags(call.now);
    let tags = tags.after(None).map(Tag::from).collect();
    Ok(call.reply(&Listing { tags }))
}
