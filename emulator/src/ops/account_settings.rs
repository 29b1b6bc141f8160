//! What the two operations on an account's settings share: the shape they answer with.

use serde::Serialize;

use crate::engine::commitment::Commitment;
use crate::wire::shape::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    minimum_throughput_billing_commitment: Shown,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_allowed_end_at: Option<Timestamp>,
}

impl From<Commitment> for Settings {
    fn from(commitment: Commitment) -> Self {
        let (status, started, ended) = match commitment {
            Commitment::None => ("DISABLED", None, None),
            Commitment::Enabled { since } => ("ENABLED", Some(since), None),
            Commitment::Ending { since } => {
                ("ENABLED_UNTIL_EARLIEST_ALLOWED_END", Some(since), None)
            }
            Commitment::Ended { since, at } => ("DISABLED", Some(since), Some(at)),
        };
        let minimum_throughput_billing_commitment = Shown {
            status,
            started_at: started.map(Timestamp),
            ended_at: ended.map(Timestamp),
            earliest_allowed_end_at: commitment.earliest_end().map(Timestamp),
        };
        Self {
            minimum_throughput_billing_commitment,
        }
    }
}
