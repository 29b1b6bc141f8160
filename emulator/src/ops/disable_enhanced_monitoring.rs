//! DisableEnhancedMonitoring.

use crate::engine::monitoring::Monitored;
use crate::refusal::Refusal;

use super::{Call, Reply, enhanced_monitoring};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    enhanced_monitoring::run(call, Monitored::without)
}
