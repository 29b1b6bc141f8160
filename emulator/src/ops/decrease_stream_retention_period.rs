//! DecreaseStreamRetentionPeriod.

use crate::refusal::Refusal;

use super::retention::{self, Way};
use super::{Call, Reply};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    retention::run(call, Way::Down)
}
