//! DeregisterStreamConsumer. Its subscriptions end at once, the consumer itself after its delay.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::consumer_address::ConsumerAddress;
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    consumer_name: Option<Text<'a>>,
    #[serde(borrow, rename = "ConsumerARN")]
    consumer_arn: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = ConsumerAddress::new(
        &request.stream_arn,
        &request.consumer_name,
        &request.consumer_arn,
    );
    let mut checks = Checks::default();
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let (stream, consumer) = address.find(call)?;
    stream.deregister(call.now, &consumer, call.engine.delays.deregister);
    Ok(Reply::Void)
}
