//! DescribeAccountSettings.

use serde::Deserialize;

use crate::refusal::Refusal;

use super::account_settings::Settings;
use super::{Call, Reply};

#[derive(Deserialize)]
struct Request {}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let Request {} = call.read()?;
    let commitment = call.realm.commitment(call.now);
    Ok(call.reply(&Settings::from(commitment)))
}
