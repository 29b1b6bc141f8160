//! DeleteStream.

use serde::Deserialize;

use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Flag, Text, text};

use super::address::Address;
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    enforce_consumer_deletion: Option<Flag>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let is_enforced = request.enforce_consumer_deletion == Some(Flag(true));
    if !is_enforced && stream.consumers.has_registered() {
        let (name, account) = (&stream.name, &stream.scope.account);
        return Err(Refusal::new(
            Kind::ResourceInUse,
            format!(
                "DeleteStream can't delete {account}:{name} because there are consumers associated \
                 with this data stream. To delete {name} anyway, set the EnforceConsumerDeletion \
                 parameter to true to force the deletion of all the consumers that are associated \
                 with it."
            ),
        ));
    }
    call.realm
        .delete(call.now, &stream, call.engine.delays.delete);
    Ok(Reply::Void)
}
