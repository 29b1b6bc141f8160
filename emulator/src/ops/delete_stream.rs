//! DeleteStream.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Flag, Text};

use super::address::Address;
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    /// Read for its type only, as no stream has consumers yet.
    #[expect(
        dead_code,
        reason = "a wrong type is refused even where the value changes nothing"
    )]
    enforce_consumer_deletion: Option<Flag>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    address.check(&mut checks);
    checks.finish()?;
    let stream = address.stream(call)?;
    call.realm
        .delete(call.now, &stream, call.engine.delays.delete);
    Ok(Reply::Void)
}
