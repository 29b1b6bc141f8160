//! RemoveTagsFromStream.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{List, Text, text};

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
    tag_keys: Option<List<Text<'a>>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    tags::check_required_keys(&mut checks, &request.tag_keys);
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let mut state = stream.settled_to_annotate(call.now)?;
    let keys = tags::keys(&request.tag_keys);
    state.tags.remove(&keys, &stream.told())?;
    Ok(Reply::Void)
}
