//! Warm throughput, which three operations set: who may, and how much.

use crate::engine::Realm;
use crate::engine::stream::{Mode, State};
use crate::refusal::{Kind, Refusal};
use crate::wire::field::Int;
use crate::wire::shape::WarmThroughput;

use super::Call;

/// MiB/s of one stream.
const MAX: u32 = 10 << 10;

/// MiB/s that a member asks for.
pub(super) fn of(member: Option<Int>) -> Option<u32> {
    member.and_then(|Int(warm)| u32::try_from(warm).ok())
}

/// Refuses what a stream of another mode, or one of an account without the commitment, cannot have.
pub(super) fn check(call: &Call<'_>, realm: &Realm, mode: Mode, warm: u32) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::new(Kind::Validation, text));
    if mode != Mode::OnDemand {
        return invalid("WarmThroughputMiBps is only supported when StreamMode=ON_DEMAND");
    }
    if !realm.commitment(call.now).is_on(call.now) {
        return invalid(
            "WarmThroughputMiBps is only supported for accounts with an enabled minimum throughput \
             billing commitment",
        );
    }
    if warm > MAX {
        let text = format!(
            "WarmThroughputMiBps {warm} exceeds the limit of {MAX} MiB/s for an on-demand stream."
        );
        return Err(Refusal::new(Kind::LimitExceeded, text));
    }
    Ok(())
}

/// What descriptions show of it: nothing, unless the stream could have it.
pub(super) fn shown(call: &Call<'_>, realm: &Realm, state: &State) -> Option<WarmThroughput> {
    let could = state.mode == Mode::OnDemand && realm.commitment(call.now).is_on(call.now);
    could.then(|| state.warm.into())
}
