//! GetResourcePolicy.

use crate::refusal::Refusal;

use super::{Call, Reply, not_yet};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    not_yet(call)
}
