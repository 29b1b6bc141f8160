//! 6.1, what can be set: ranges, defaults, and what does not go together.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::kinesis::KinesisEvent;
use kcl_core::contract::FixedOwnership;
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::*;
use lambda_runtime::{LambdaEvent, service_fn};

use crate::stage::{ARN, SECOND, Seen, does_nothing, mapping, source_of};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = RANGES.into_iter().map(range).collect();
    cases.extend([
        case!(
            [
                "6.1 BatchSize",
                "6.1 MaximumBatchingWindowInSeconds",
                "6.1 ParallelizationFactor",
                "6.1 BisectBatchOnFunctionError",
                "6.1 MaximumRetryAttempts",
                "6.1 MaximumRecordAgeInSeconds",
                "6.1 TumblingWindowInSeconds",
                "6.1 FunctionResponseTypes"
            ],
            the_defaults_are_those_of_the_service
        ),
        case!(
            ["6.1 BatchSize", "6.1 ParallelizationFactor"],
            what_is_wrong_is_said_before_anything_runs
        ),
        case!(
            ["6.1 EventSourceArn"],
            what_is_no_arn_of_a_stream_is_refused
        ),
        case!(["6.1 EventSourceArn"], a_mapping_is_not_for_several_streams),
        case!(
            ["6.1 EventSourceArn"],
            a_mapping_is_of_the_stream_that_is_read
        ),
        case!(
            ["6.1 StartingPosition"],
            a_time_that_is_yet_to_come_is_refused
        ),
        case!(
            [
                "6.1 KMSKeyArn",
                "6.1 DestinationConfig",
                "6.1 LoggingConfig, ScalingConfig, ProvisionedPollerConfig"
            ],
            what_there_is_not_is_not_taken_in_silence
        ),
    ]);
    cases
}

type Change = fn(&mut MappingSettings);

/// The largest and the smallest that are allowed, and what lies beyond.
const RANGES: [(&[&str], &[Change], &[Change]); 7] = [
    (
        &["6.1 BatchSize"],
        &[|s| s.batch_size = 1, |s| s.batch_size = 10_000],
        &[|s| s.batch_size = 0, |s| s.batch_size = 10_001],
    ),
    (
        &["6.1 MaximumBatchingWindowInSeconds"],
        &[
            |s| s.batching_window = Duration::ZERO,
            |s| s.batching_window = 300 * SECOND,
        ],
        &[|s| s.batching_window = 301 * SECOND],
    ),
    (
        &["6.1 ParallelizationFactor"],
        &[
            |s| s.parallelization_factor = 1,
            |s| s.parallelization_factor = 10,
        ],
        &[
            |s| s.parallelization_factor = 0,
            |s| s.parallelization_factor = 11,
        ],
    ),
    (
        &["6.1 MaximumRetryAttempts"],
        &[
            |s| s.maximum_retry_attempts = Some(0),
            |s| s.maximum_retry_attempts = Some(10_000),
        ],
        &[|s| s.maximum_retry_attempts = Some(10_001)],
    ),
    (
        &["6.1 MaximumRecordAgeInSeconds"],
        &[
            |s| s.maximum_record_age = Some(60 * SECOND),
            |s| s.maximum_record_age = Some(604_800 * SECOND),
        ],
        &[
            |s| s.maximum_record_age = Some(59 * SECOND),
            |s| s.maximum_record_age = Some(604_801 * SECOND),
        ],
    ),
    (
        &["6.4.6"],
        &[|s| s.retry_delay_max = s.retry_delay_min],
        &[
            |s| s.retry_delay_min = Duration::ZERO,
            |s| s.retry_delay_max = Duration::ZERO,
        ],
    ),
    (
        &["6.1 TumblingWindowInSeconds"],
        &[
            |s| s.tumbling_window = None,
            |s| s.tumbling_window = Some(900 * SECOND),
        ],
        &[|s| s.tumbling_window = Some(901 * SECOND)],
    ),
];

fn range(
    (rows, good, bad): (
        &'static [&'static str],
        &'static [Change],
        &'static [Change],
    ),
) -> Case {
    Case::new(rows, "the range of the service", async move || {
        let problems = |change: &Change| {
            let mut settings = MappingSettings::default();
            change(&mut settings);
            settings.problems().len()
        };
        assert!(good.iter().all(|change| problems(change) == 0));
        assert!(bad.iter().all(|change| problems(change) == 1));
    })
}

async fn the_defaults_are_those_of_the_service() {
    let settings = MappingSettings::default();
    assert_eq!(
        (settings.batch_size, settings.batching_window),
        (100, Duration::ZERO)
    );
    assert_eq!(settings.parallelization_factor, 1);
    assert_eq!(
        (settings.maximum_retry_attempts, settings.maximum_record_age),
        (None, None)
    );
    assert!(!settings.bisect_batch_on_function_error && !settings.report_batch_item_failures);
    assert_eq!(settings.problems(), []);
}

fn error(settings: MappingSettings, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> String {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let worker = seen.worker(&source_of(&[]), &leases, mapping(settings), does_nothing);
    change(worker).build().unwrap_err().to_string()
}

async fn what_is_wrong_is_said_before_anything_runs() {
    let wrong = MappingSettings {
        batch_size: 0,
        parallelization_factor: 11,
        ..MappingSettings::default()
    };
    let said = error(wrong, |worker| worker);
    assert!(
        said.contains("lambda.batch_size") && said.contains("lambda.parallelization_factor"),
        "{said}"
    );

    let fine = MappingSettings::default;
    let mut settings = Settings::default();
    settings.handler.lanes = 4;
    settings.failure.bisect = true;
    let said = error(fine(), |worker| worker.with_settings(settings));
    assert!(
        said.contains("handler: is the mapping's") && said.contains("failure: is the mapping's"),
        "{said}"
    );

    let said = error(fine(), |worker| {
        worker.with_failure_destination(|_: FailedBatch| std::future::ready(Ok(())))
    });
    assert!(said.contains("Mapping::with_on_failure"), "{said}");

    let said = error(fine(), |worker| worker.with_lambda_process(mapping(fine())));
    assert!(said.contains("lambda.function.command"), "{said}");
}

/// A mapping has one event source, which its events and documents name.
async fn a_mapping_is_not_for_several_streams() {
    let mapping = mapping(MappingSettings::default());
    let error = Worker::builder_for_streams("app", Streams::new())
        .with_source(source_of(&[]))
        .with_ownership(FixedOwnership::new(["s"]))
        .with_lambda_process(mapping)
        .build()
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("streams: are not for a mapping")
            && said.contains("give each stream a worker"),
        "{said}"
    );
}

/// Or its events would say that they are of another stream than they are.
async fn a_mapping_is_of_the_stream_that_is_read() {
    let nothing = |_: LambdaEvent<KinesisEvent>| async { Ok::<(), lambda_runtime::Error>(()) };
    let built = |stream: &str| {
        Worker::builder("app", stream)
            .with_source(source_of(&[]))
            .with_ownership(FixedOwnership::new(["s"]))
            .with_lambda(mapping(MappingSettings::default()), service_fn(nothing))
            .build()
    };
    assert!(built("orders").is_ok());
    let said = built("clicks").unwrap_err().to_string();
    assert!(
        said.contains("lambda.source: is of stream orders, and this worker reads stream clicks"),
        "{said}"
    );
}

async fn what_is_no_arn_of_a_stream_is_refused() {
    let long = format!("{ARN}{}", "x".repeat(10_000));
    for arn in ["", "orders", "arn:aws:sqs:us-east-1:1:orders", &long] {
        let error = EventSource::new(arn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("stream/orders"), "{error}: {hint}");
    }
    let longest = format!("{ARN}{}", "x".repeat(10_000 - ARN.len()));
    assert!(EventSource::new(longest).is_ok());
}

/// The wall clock of these workers stands at the beginning of 1970.
async fn a_time_that_is_yet_to_come_is_refused() {
    let start = |second: u32| {
        let time = SystemTime::UNIX_EPOCH + second * SECOND;
        let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
        let mapping = mapping(MappingSettings::default());
        seen.worker(&source_of(&[]), &leases, mapping, does_nothing)
            .with_initial_position(InitialPosition::AtTimestamp(time))
            .build()
    };
    assert!(start(0).is_ok());
    let said = start(1).unwrap_err().to_string();
    assert!(said.contains("initial_position: is yet to come"), "{said}");
}

/// No such setting is there, and what is written down for one is an error that names it. `docs/lambda.md` says what stands
/// in its place.
async fn what_there_is_not_is_not_taken_in_silence() {
    let rows = [
        ("KMSKeyArn", "kms_key_arn"),
        ("OnSuccess", "on_success"),
        ("LoggingConfig", "logging_config"),
        ("ScalingConfig", "scaling_config"),
        ("ProvisionedPollerConfig", "provisioned_poller_config"),
    ];
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lambda.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (name, setting) in rows {
        let settings = serde_json::json!({ setting: "x" });
        let error = serde_json::from_value::<MappingSettings>(settings).unwrap_err();
        assert!(error.to_string().contains(setting), "{error}");
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/lambda.md has no {name}"
        );
    }
}

/// Every setting has a line in the page's table, with its default.
pub(crate) fn every_setting_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lambda.md");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = serde_json::to_value(MappingSettings::default()).unwrap();
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for (name, default) in settings.as_object().unwrap() {
        let named = format!("`{name}`");
        let row = rows.iter().find(|row| {
            let first = row.split('|').nth(1);
            first.is_some_and(|cell| cell.contains(&named))
        });
        let row = row.unwrap_or_else(|| panic!("docs/lambda.md has no {name}"));
        let default = match (default.is_null(), default.as_str()) {
            (true, _) => "| none |".to_owned(),
            (false, Some(text)) => format!("`{text}`"),
            (false, None) => format!("`{default}`"),
        };
        assert!(row.contains(&default), "{name} is {default}: {row}");
    }
}
