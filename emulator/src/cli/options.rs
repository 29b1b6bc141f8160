//! Every setting of the binary, once: as a flag, as a variable of the environment, and as a key of the
//! file. A setting that nobody gives is nothing here; the defaults are the library's.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use kinesis_emulator::{Auth, Bounds, Clock, Delays, Init, Keys, Scope, Service, Settings};
use serde::{Deserialize, Serialize};

use super::value::{Instant, LimitMode, Size, Span};

/// A switch: `--name` and `--name=true` are the same.
macro_rules! on {
    () => {
        "true"
    };
}

/// What is set. See the module.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// The address to listen on [default: 127.0.0.1].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_HOST",
        hide_env = true,
        value_name = "ADDRESS"
    )]
    #[arg(help_heading = "Listening")]
    pub(crate) host: Option<String>,

    /// The port to listen on; 0 takes any that is free [default: 4567].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_PORT",
        hide_env = true,
        value_name = "PORT"
    )]
    #[arg(help_heading = "Listening")]
    pub(crate) port: Option<u16>,

    /// Listens on an address other than the loopback without checking signatures: whoever
    /// reaches it can read and write everything.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_INSECURE_ANY_ADDRESS",
        hide_env = true,
        value_name = "BOOL"
    )]
    #[arg(help_heading = "Listening", num_args = 0..=1, default_missing_value = on!())]
    #[arg(require_equals = true, value_parser = BoolishValueParser::new())]
    pub(crate) insecure_any_address: Option<bool>,

    /// Hosts besides localhost that clients may name and pages may come from; * is any. Several
    /// are separated by commas.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_ALLOW_HOST",
        hide_env = true,
        value_name = "HOST"
    )]
    #[arg(help_heading = "Listening", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_host: Vec<String>,

    /// Speaks TLS: on refuses plain HTTP, both takes either on the same port [default: off].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS",
        hide_env = true,
        value_name = "MODE"
    )]
    #[arg(help_heading = "TLS", num_args = 0..=1, default_missing_value = "on", require_equals = true)]
    pub(crate) tls: Option<TlsMode>,

    /// Where to write the certificate of the authority that clients have to trust.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS_CA_FILE",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "TLS")]
    pub(crate) tls_ca_file: Option<PathBuf>,

    /// Keeps the authority's key here, so that it is the same after a restart [default: in memory].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS_CA_KEY_FILE",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "TLS")]
    pub(crate) tls_ca_key_file: Option<PathBuf>,

    /// More names and addresses for the certificate, separated by commas.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS_NAME",
        hide_env = true,
        value_name = "NAME"
    )]
    #[arg(help_heading = "TLS", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tls_name: Vec<String>,

    /// A certificate of your own with its chain, in PEM, in place of one made here.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS_CERT",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "TLS")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of your own certificate, in PEM.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_TLS_KEY",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "TLS")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Whether requests have to be signed: off believes everyone, sigv4 checks [default: off].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_AUTH",
        hide_env = true,
        value_name = "MODE"
    )]
    #[arg(help_heading = "Who may call")]
    pub(crate) auth: Option<AuthMode>,

    /// The keys that may call, in TOML or JSON: an access key, a secret and an account for each.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_AUTH_KEYS",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "Who may call")]
    pub(crate) auth_keys: Option<PathBuf>,

    /// Streams, consumers and tables to make at the start, in TOML or JSON.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_INIT",
        hide_env = true,
        value_name = "FILE"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) init: Option<PathBuf>,

    /// The account of requests that do not name one [default: 000000000000].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_ACCOUNT",
        hide_env = true,
        value_name = "DIGITS"
    )]
    #[arg(help_heading = "Service", value_parser = account)]
    pub(crate) account: Option<String>,

    /// The region of requests that do not name one [default: us-east-1].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_REGION",
        hide_env = true,
        value_name = "REGION"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) region: Option<String>,

    /// Open shards of one account and region [default: 20000].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_SHARD_LIMIT",
        hide_env = true,
        value_name = "COUNT"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) shard_limit: Option<u32>,

    /// What becomes of calls and bytes beyond the service's rates: off, observe or enforce [default:
    /// off].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_LIMITS",
        hide_env = true,
        value_name = "MODE"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) limits: Option<LimitMode>,
    /// On-demand streams of one account and region [default: 50].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_ON_DEMAND_STREAM_LIMIT",
        hide_env = true,
        value_name = "COUNT"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) on_demand_stream_limit: Option<u32>,

    /// How long on-demand streams observe their load before they split or merge shards [default: 1m].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_ON_DEMAND_WINDOW",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Service")]
    pub(crate) on_demand_window: Option<Span>,

    /// Whether UpdateShardCount at most doubles or halves the open shards [default: true].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_RESIZING_BOUNDED",
        hide_env = true,
        value_name = "BOOL"
    )]
    #[arg(help_heading = "Service", num_args = 0..=1, default_missing_value = on!())]
    #[arg(require_equals = true, value_parser = BoolishValueParser::new())]
    pub(crate) resizing_bounded: Option<bool>,

    /// Makes request ids, tokens and chance the same at every start [default: none].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_SEED",
        hide_env = true,
        value_name = "NUMBER"
    )]
    #[arg(help_heading = "Service", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,

    /// How long a stream, a table or an index is CREATING, such as 250ms, 5s or 2m [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_CREATE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_create: Option<Span>,

    /// How long a stream, a table or an index is DELETING [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_DELETE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_delete: Option<Span>,

    /// How long a stream is UPDATING before a split or merge has happened [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_RESHARD",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_reshard: Option<Span>,

    /// How long a stream or a table is UPDATING before another change holds [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_UPDATE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_update: Option<Span>,

    /// How long a consumer is CREATING [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_REGISTER",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_register: Option<Span>,

    /// How long a consumer is DELETING [default: 0].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_DELAY_DEREGISTER",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) delay_deregister: Option<Span>,

    /// How long a subscription keeps another one of its consumer from its shard [default: 5s].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_SUBSCRIPTION_HOLD",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Delays, in the clock's time")]
    pub(crate) subscription_hold: Option<Span>,

    /// What the clock shows at the start, such as 2026-01-31T12:00:00Z [default: the machine's time].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_CLOCK_START",
        hide_env = true,
        value_name = "TIME"
    )]
    #[arg(help_heading = "Clock")]
    pub(crate) clock_start: Option<Instant>,

    /// How fast the clock goes, as a multiple of real time; 0 stands still [default: 1].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_CLOCK_RATE",
        hide_env = true,
        value_name = "RATE"
    )]
    #[arg(help_heading = "Clock")]
    pub(crate) clock_rate: Option<f64>,

    /// The clock stands still until it is advanced.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_CLOCK_FROZEN",
        hide_env = true,
        value_name = "BOOL"
    )]
    #[arg(help_heading = "Clock", num_args = 0..=1, default_missing_value = on!())]
    #[arg(require_equals = true, value_parser = BoolishValueParser::new())]
    pub(crate) clock_frozen: Option<bool>,

    /// Connections open at once; more cost the one that is worth least [default: 4096].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_CONNECTIONS",
        hide_env = true,
        value_name = "COUNT"
    )]
    #[arg(help_heading = "Bounds on clients, in real time")]
    pub(crate) connections: Option<NonZeroUsize>,

    /// Bytes of requests and of answers in transit, such as 256MiB; more cost the oldest
    /// [default: 256MiB].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_MEMORY",
        hide_env = true,
        value_name = "SIZE"
    )]
    #[arg(help_heading = "Bounds on clients, in real time")]
    pub(crate) memory: Option<Size>,

    /// From the first byte of a request to the end of its head [default: 10s].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_HEAD_DEADLINE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Bounds on clients, in real time")]
    pub(crate) head_deadline: Option<Span>,

    /// How long the body of a request may stand still [default: 20s].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_BODY_DEADLINE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Bounds on clients, in real time")]
    pub(crate) body_deadline: Option<Span>,

    /// How long a connection may stay open between requests [default: 2m].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_IDLE_DEADLINE",
        hide_env = true,
        value_name = "SPAN"
    )]
    #[arg(help_heading = "Bounds on clients, in real time")]
    pub(crate) idle_deadline: Option<Span>,

    /// What to log to standard error: error, warn, info, debug, trace, or a filter as RUST_LOG has
    /// it [default: RUST_LOG, else info].
    #[arg(
        long,
        env = "KINESIS_EMULATOR_LOG",
        hide_env = true,
        value_name = "FILTER"
    )]
    #[arg(help_heading = "Log")]
    pub(crate) log: Option<String>,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// Plain HTTP alone.
    Off,
    /// TLS alone.
    On,
    /// Whichever a client begins with.
    Both,
}

/// Whether signatures are checked.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthMode {
    /// Everyone is believed.
    Off,
    /// Signature Version 4.
    Sigv4,
}

impl Options {
    /// These with `over` laid over them.
    pub(super) fn with(&self, over: &Self) -> Result<Self, String> {
        // By way of a table no setting can be forgotten.
        let table = |options: &Self| {
            toml::Table::try_from(options)
                .map_err(|error| format!("a setting cannot be written down: {error}"))
        };
        let mut all = table(self)?;
        all.extend(table(over)?);
        all.try_into()
            .map_err(|error| format!("the settings do not fit together: {error}"))
    }

    /// The address to listen on.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("127.0.0.1")
    }

    /// The port to listen on.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(4567)
    }

    /// The service, with all that it has from its start.
    pub(crate) fn service(&self) -> Result<Service, String> {
        let settings = self.settings()?;
        let Some(path) = &self.init else {
            return Ok(Service::new(settings));
        };
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let init = Init::parse(&text).map_err(|error| wrong(&error))?;
        Service::with_init(settings, &init).map_err(|error| wrong(&error))
    }

    /// The settings of the service.
    pub(super) fn settings(&self) -> Result<Settings, String> {
        let none = Settings::default();
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, |Span(span)| span);
        let account = match &self.account {
            Some(given) => account(given)?,
            None => Scope::DEFAULT_ACCOUNT.to_owned(),
        };
        let region = self.region.as_deref().unwrap_or(Scope::DEFAULT_REGION);
        Ok(Settings {
            auth: self.auth()?,
            clock: self.clock()?,
            delays: Delays {
                create: span(self.delay_create),
                delete: span(self.delay_delete),
                reshard: span(self.delay_reshard),
                register: span(self.delay_register),
                deregister: span(self.delay_deregister),
                update: span(self.delay_update),
            },
            limits: self.limits.map_or(none.limits, |LimitMode(mode)| mode),
            subscription_hold: self
                .subscription_hold
                .map_or(none.subscription_hold, |Span(span)| span),
            scope: Scope::new(account, region),
            shard_limit: self.shard_limit.unwrap_or(none.shard_limit),
            on_demand_stream_limit: self
                .on_demand_stream_limit
                .unwrap_or(none.on_demand_stream_limit),
            is_resizing_bounded: self.resizing_bounded.unwrap_or(none.is_resizing_bounded),
            on_demand_window: self
                .on_demand_window
                .map_or(none.on_demand_window, |Span(window)| window),
            seed: self.seed,
        })
    }

    /// What one client may cost the others.
    pub(crate) fn bounds(&self) -> Bounds {
        let none = Bounds::default();
        let span = |span: Option<Span>, none| span.map_or(none, |Span(span)| span);
        let head = span(self.head_deadline, none.head);
        Bounds {
            connections: self.connections.map_or(none.connections, NonZeroUsize::get),
            memory: self.memory.map_or(none.memory, |Size(bytes)| bytes),
            head,
            first_byte: none.first_byte.max(head),
            body_pause: span(self.body_deadline, none.body_pause),
            idle: span(self.idle_deadline, none.idle),
            ..none
        }
    }

    /// Whether everyone who reaches `address` may be let in.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), String> {
        let is_signed = self.auth == Some(AuthMode::Sigv4);
        let is_wanted = self.insecure_any_address.unwrap_or(false);
        if address.ip().is_loopback() || is_signed || is_wanted {
            return Ok(());
        }
        Err(format!(
            "{address} can be reached from other machines, and nobody is authenticated; add \
             --auth sigv4 with --auth-keys, or --insecure-any-address"
        ))
    }

    fn auth(&self) -> Result<Auth, String> {
        match (self.auth.unwrap_or(AuthMode::Off), &self.auth_keys) {
            (AuthMode::Off, None) => Ok(Auth::Off),
            (AuthMode::Off, Some(_)) => {
                Err("auth-keys are given, but auth is off; add --auth sigv4".to_owned())
            }
            (AuthMode::Sigv4, None) => {
                Err("auth sigv4 needs the keys that may call; add --auth-keys FILE".to_owned())
            }
            (AuthMode::Sigv4, Some(path)) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    format!("the keys in {} are not usable: {error}", path.display())
                };
                let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
                let keys = Keys::parse(&text).map_err(|error| wrong(&error))?;
                Ok(Auth::SigV4(keys))
            }
        }
    }

    fn clock(&self) -> Result<Clock, String> {
        let clock = match self.clock_start {
            Some(Instant(start)) => Clock::starting_at(start),
            None => Clock::system(),
        };
        let frozen = self.clock_frozen.unwrap_or(false);
        match self.clock_rate {
            Some(rate) if !(0.0..=Clock::RATE_MAX).contains(&rate) => {
                let most = Clock::RATE_MAX;
                return Err(format!("clock-rate is {rate}; it goes from 0 to {most}"));
            }
            Some(rate) if rate != 0.0 && frozen => {
                return Err("clock-rate and clock-frozen contradict each other".to_owned());
            }
            Some(rate) => clock.set_rate(rate),
            None if frozen => clock.freeze(),
            None => {}
        }
        Ok(clock)
    }
}

fn account(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_account {
        Ok(text.to_owned())
    } else {
        Err(format!("'{text}' is no account; it has twelve digits"))
    }
}
