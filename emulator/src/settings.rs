//! What can be set about a service. Data only; read once when it is made.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Auth, Clock, Scope};

/// The settings of a [`crate::Service`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// How requests prove whose they are. Default: not at all.
    pub auth: Auth,
    /// The clock. Default: the machine's, moving with tokio's time.
    pub clock: Clock,
    /// What becomes of calls that come faster than the service allows. Default: nothing.
    pub limits: Limits,
    /// How long changes of state take. Default: no time at all.
    pub delays: Delays,
    /// Account and region of requests that do not say. Default: `000000000000`, `us-east-1`.
    pub scope: Scope,
    /// Open shards that all streams of one account and region may have together, as the service
    /// limits them. Default: 20,000. Too low refuses streams, too high lets one call take all memory.
    pub shard_limit: u32,
    /// For how long after an accepted SubscribeToShard another one of the same consumer to the same
    /// shard is refused; from then on it takes over. Default: 5 s, as the service has it. Zero suits
    /// tests that subscribe again at once.
    pub subscription_hold: Duration,
    /// On-demand streams that one account and region may have. Default: 50, as in the service.
    pub on_demand_stream_limit: u32,
    /// Whether UpdateShardCount refuses more than double and less than half of the open shards, as the
    /// service does. Default: yes.
    pub is_resizing_bounded: bool,
    /// How long on-demand streams observe their load before they split or merge shards. Default: a
    /// minute. Shorter follows bursts, longer takes them for an average; less than a second is a second.
    pub on_demand_window: Duration,
    /// Whence request ids and token keys come. Default: none, every service has its own. With a seed
    /// two services that get the same requests at the same times give the same answers.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            clock: Clock::system(),
            delays: Delays::default(),
            limits: Limits::default(),
            scope: Scope::default(),
            shard_limit: 20_000,
            subscription_hold: Duration::from_secs(5),
            on_demand_stream_limit: 50,
            is_resizing_bounded: true,
            on_demand_window: Duration::from_secs(60),
            seed: None,
        }
    }
}

/// How long a stream, or a table, stays in a passing state. All zero by default; the service takes seconds to
/// tens of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// CREATING until ACTIVE.
    pub create: Duration,
    /// DELETING until gone.
    pub delete: Duration,
    /// UPDATING until a split, a merge or a change of the shard count has happened.
    pub reshard: Duration,
    /// A consumer's CREATING until ACTIVE.
    pub register: Duration,
    /// A consumer's DELETING until gone.
    pub deregister: Duration,
    /// UPDATING until another change holds: of mode, warm throughput, record size, retention, enhanced
    /// monitoring or encryption.
    pub update: Duration,
}

/// What becomes of calls, bytes and records beyond the service's rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// They are served, and nobody counts.
    #[default]
    Off,
    /// They are served, and counted as what the service would have refused.
    Observe,
    /// They are refused as the service refuses them.
    Enforce,
}

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "observe" => Ok(Self::Observe),
            "enforce" => Ok(Self::Enforce),
            _ => Err(format!("'{text}' is none of off, observe and enforce")),
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        })
    }
}
