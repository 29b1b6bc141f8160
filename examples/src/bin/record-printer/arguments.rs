//! The command line: a contract that scripts rely on.

use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use kcl_core::InitialPosition;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prints every record of a stream as one line of JSON:
/// {"shardId","sequenceNumber","partitionKey","data"}, the data in base64.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The stream to read.
    #[arg(long)]
    pub(crate) stream: String,
    /// The application: processes with the same one share the shards.
    #[arg(long)]
    pub(crate) application: String,
    /// The name of this worker, unique in the application. Default: a random one.
    #[arg(long)]
    pub(crate) worker_id: Option<String>,
    /// How records are read.
    #[arg(long, value_enum, default_value_t = Retrieval::Polling)]
    pub(crate) retrieval: Retrieval,
    /// The registered consumer to read with, which is registered if it is not there. Default: named after
    /// the application. Only with --retrieval fanout.
    #[arg(long, conflicts_with = "consumer_arn")]
    pub(crate) consumer_name: Option<String>,
    /// The ARN of a consumer that is registered already. Only with --retrieval fanout.
    #[arg(long)]
    pub(crate) consumer_arn: Option<String>,
    /// Poll a shard where fan-out is refused or keeps failing, until it works again. Only with --retrieval
    /// fanout.
    #[arg(long)]
    pub(crate) fallback: bool,
    /// Deregister the consumer after leaving: it costs money by the hour, used or not. Others that still
    /// read with it register it again. Only with --retrieval fanout.
    #[arg(long)]
    pub(crate) deregister: bool,
    /// Where shards start that the application has never read: trim-horizon, latest, or a time in
    /// RFC 3339 such as 2026-01-31T12:00:00Z.
    #[arg(long, value_parser = position, default_value = "trim-horizon")]
    pub(crate) initial_position: InitialPosition,
    /// The DynamoDB table of the leases. Default: named after the application.
    #[arg(long)]
    pub(crate) lease_table: Option<String>,
    /// How long a worker may be silent before others take its shards, such as 10s.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) lease_duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Retrieval {
    /// GetRecords, two megabytes per second and shard for all applications together.
    Polling,
    /// Enhanced fan-out: pushed, two megabytes per second and shard for this application alone. Costs
    /// extra.
    Fanout,
}

impl Arguments {
    /// An option that says nothing with this way of reading.
    pub(crate) fn misplaced(&self) -> Option<&'static str> {
        let options = [
            ("--consumer-name", self.consumer_name.is_some()),
            ("--consumer-arn", self.consumer_arn.is_some()),
            ("--fallback", self.fallback),
            ("--deregister", self.deregister),
        ];
        match self.retrieval {
            Retrieval::Fanout => None,
            Retrieval::Polling => options
                .into_iter()
                .find_map(|(option, is_given)| is_given.then_some(option)),
        }
    }
}

fn position(text: &str) -> Result<InitialPosition, String> {
    match text {
        "trim-horizon" => Ok(InitialPosition::TrimHorizon),
        "latest" => Ok(InitialPosition::Latest),
        time => match OffsetDateTime::parse(time, &Rfc3339) {
            Ok(time) => Ok(InitialPosition::AtTimestamp(SystemTime::from(time))),
            Err(_) => {
                Err("use trim-horizon, latest, or a time such as 2026-01-31T12:00:00Z".to_owned())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_word_or_a_time() {
        assert_eq!(position("trim-horizon"), Ok(InitialPosition::TrimHorizon));
        assert_eq!(position("latest"), Ok(InitialPosition::Latest));
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        let expected = Ok(InitialPosition::AtTimestamp(time));
        assert_eq!(position("1970-01-01T00:00:01.5Z"), expected);
        assert_eq!(position("1970-01-01T01:00:01.5+01:00"), expected);
        let refusal = position("yesterday").unwrap_err();
        assert!(refusal.contains("trim-horizon, latest"), "{refusal}");
    }

    #[test]
    fn options_of_fan_out_are_not_taken_in_silence_without_it() {
        let parse = |more: &[&str]| {
            let given = ["record-printer", "--stream", "s", "--application", "a"];
            Arguments::parse_from(given.iter().chain(more)).misplaced()
        };
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&["--fallback"]), Some("--fallback"));
        assert_eq!(parse(&["--consumer-arn", "arn"]), Some("--consumer-arn"));
        assert_eq!(parse(&["--retrieval", "fanout", "--fallback"]), None);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
