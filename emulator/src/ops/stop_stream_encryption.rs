//! StopStreamEncryption.

use crate::refusal::Refusal;

use super::{Call, Reply, encryption};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    encryption::stop(call)
}
