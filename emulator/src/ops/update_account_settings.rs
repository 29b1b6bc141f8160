//! UpdateAccountSettings.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Shape, Text, text};

use super::account_settings::Settings;
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    minimum_throughput_billing_commitment: Option<Shape<Commitment<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Commitment<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mut checks = Checks::default();
    let path = "minimumThroughputBillingCommitment";
    let wanted = request.minimum_throughput_billing_commitment.as_ref();
    let mut status = None;
    if let Some(Shape(wanted)) = checks.required(&path, wanted) {
        let path = format_args!("{path}.status");
        status = checks.required(&path, text(&wanted.status));
        if let Some(status) = status {
            checks.one_of(&path, status, &["ENABLED", "DISABLED"]);
        }
    }
    checks.finish()?;
    let commitment = call.realm.commit(|commitment| match status {
        Some("ENABLED") => commitment.enable(call.now),
        Some(_) | None => commitment.disable(call.now),
    });
    Ok(call.reply(&Settings::from(commitment)))
}
