//! AddTagsToStream.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Map, Text, text};

use super::address::Address;
use super::{Call, Reply, tags};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<Map<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    tags::check_required(&mut checks, &request.tags);
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let mut state = stream.settled_to_annotate(call.now)?;
    state.tags.add(tags::owned(&request.tags), &stream.told())?;
    Ok(Reply::Void)
}
