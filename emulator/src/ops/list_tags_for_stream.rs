//! ListTagsForStream: by key, in pages.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};

use super::address::Address;
use super::tags::Tag;
use super::{Call, Reply};

/// Tags of one page, if the caller does not ask for fewer: all that a stream can have.
const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    exclusive_start_tag_key: Option<Text<'a>>,
    limit: Option<Int>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    tags: Vec<Tag<'a>>,
    has_more_tags: bool,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let start = text(&request.exclusive_start_tag_key);
    let mut checks = Checks::default();
    if let Some(Int(limit)) = request.limit {
        checks.range(&"limit", limit, (1, 50));
    }
    if let Some(start) = start {
        checks.length(&"exclusiveStartTagKey", start, (1, 128));
    }
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let limit = request
        .limit
        .map_or(PAGE, |Int(limit)| usize::try_from(limit).unwrap_or(PAGE));
    let state = stream.state(call.now);
    let mut rest = state.tags.after(start);
    Ok(call.reply(&Listing {
        tags: rest.by_ref().take(limit).map(Tag::from).collect(),
        has_more_tags: rest.next().is_some(),
    }))
}
