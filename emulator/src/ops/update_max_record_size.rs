//! UpdateMaxRecordSize. Records that are already stored stay as they are.

use serde::Deserialize;

use crate::engine::change::Change;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};

use super::address::Address;
use super::{Call, Reply};

/// KiB that the largest record of a stream may have.
pub(super) const BOUNDS: (i32, i32) = (1024, 10 << 10);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<Int>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

/// The member in bytes.
pub(super) fn bytes(member: Option<Int>) -> Option<usize> {
    member.and_then(|Int(size)| Some(usize::try_from(size).ok()? << 10))
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&None, &request.stream_arn);
    let mut checks = Checks::default();
    let size = checks.required(&"maxRecordSizeInKiB", request.max_record_size_in_kib);
    if let Some(Int(size)) = size {
        checks.range(&"maxRecordSizeInKiB", size, BOUNDS);
    }
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    stream.change((call.now, call.engine.delays.update), |state| {
        let changed = bytes(size).filter(|size| *size != state.record_size_max);
        Ok(changed.map(Change::RecordSize))
    })?;
    Ok(Reply::Void)
}
