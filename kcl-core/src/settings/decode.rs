//! What happens to records before user code gets them.

use serde::{Deserialize, Serialize};

/// What happens to records before user code gets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeSettings {
    /// Whether records that the Kinesis Producer Library aggregated are taken apart into what the
    /// producer put. Default: with the feature `kpl` yes, as the Java KCL does; without it no, and
    /// then it cannot be set. Plain records are not touched by it.
    pub deaggregate: bool,
}

#[cfg_attr(
    not(feature = "kpl"),
    expect(
        clippy::derivable_impls,
        reason = "with the feature it is another default"
    )
)]
impl Default for DecodeSettings {
    fn default() -> Self {
        Self {
            deaggregate: cfg!(feature = "kpl"),
        }
    }
}

impl DecodeSettings {
    /// Checks each rule: whether it holds, for which setting, and in words.
    pub(super) fn check(&self, check: &mut dyn FnMut(bool, &str, &str)) {
        check(
            cfg!(feature = "kpl") || !self.deaggregate,
            "decode.deaggregate",
            "needs the feature `kpl` of kcl-core",
        );
    }
}
