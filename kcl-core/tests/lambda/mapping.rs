//! 6.1, what can be set: ranges, defaults, and what does not go together.

use std::time::Duration;

use kcl_core::contract::FixedOwnership;
use kcl_core::lambda::filter::FilterCriteria;
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::*;

use crate::stage::{SECOND, Seen, does_nothing, mapping, source_of};

type Change = fn(&mut MappingSettings);

/// 6.1, row by row: the largest and the smallest that are allowed, and what lies beyond.
#[test]
fn every_setting_has_the_range_of_the_service() {
    let rows: [(&str, &[Change], &[Change]); 6] = [
        (
            "6.1 BatchSize",
            &[|s| s.batch_size = 1, |s| s.batch_size = 10_000],
            &[|s| s.batch_size = 0, |s| s.batch_size = 10_001],
        ),
        (
            "6.1 MaximumBatchingWindowInSeconds",
            &[
                |s| s.batching_window = Duration::ZERO,
                |s| s.batching_window = 300 * SECOND,
            ],
            &[|s| s.batching_window = 301 * SECOND],
        ),
        (
            "6.1 ParallelizationFactor",
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
            "6.1 MaximumRetryAttempts",
            &[
                |s| s.maximum_retry_attempts = Some(0),
                |s| s.maximum_retry_attempts = Some(10_000),
            ],
            &[|s| s.maximum_retry_attempts = Some(10_001)],
        ),
        (
            "6.1 MaximumRecordAgeInSeconds",
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
            "6.4.6 pauses",
            &[|s| s.retry_delay_max = s.retry_delay_min],
            &[
                |s| s.retry_delay_min = Duration::ZERO,
                |s| s.retry_delay_max = Duration::ZERO,
            ],
        ),
    ];
    for (row, good, bad) in rows {
        let problems = |change: &Change| {
            let mut settings = MappingSettings::default();
            change(&mut settings);
            settings.problems().len()
        };
        assert!(good.iter().all(|change| problems(change) == 0), "{row}");
        assert!(bad.iter().all(|change| problems(change) == 1), "{row}");
    }
}

/// 6.1, the column of defaults.
#[test]
fn the_defaults_are_those_of_the_service() {
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

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
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
#[test]
fn a_mapping_is_not_for_several_streams() {
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

/// 6.1 FilterCriteria, 6.8: refused when the mapping is made.
#[test]
fn patterns_that_cannot_be_used_are_refused() {
    let long = format!(r#"{{"data": {{"a": ["{}"]}}}}"#, "x".repeat(4_096));
    let rows = [
        (
            "6.8: a pattern for data that is no JSON",
            r#"{"data": ["text"]}"#,
        ),
        (
            "6.8: only data can be asked about",
            r#"{"partitionKey": ["k"]}"#,
        ),
        (
            "6.1: a pattern of more than 4,096 characters",
            long.as_str(),
        ),
        (
            "6.8: wildcards are for event buses",
            r#"{"data": {"a": [{"wildcard": "x*"}]}}"#,
        ),
    ];
    for (row, pattern) in rows {
        assert_eq!(
            FilterCriteria::new([pattern]).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{row}"
        );
    }
    let one = r#"{"data": {"a": [1]}}"#;
    assert!(FilterCriteria::new([one; 10]).is_ok());
    assert!(FilterCriteria::new([one; 11]).is_err(), "6.1: ten by quota");
    assert!(
        FilterCriteria::with_metadata([r#"{"partitionKey": ["k"]}"#]).is_ok(),
        "6.8: an extension"
    );
}

#[test]
fn every_setting_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lambda.md");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = serde_json::to_value(MappingSettings::default()).unwrap();
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for (name, default) in settings.as_object().unwrap() {
        let row = rows.iter().find(|row| row.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/lambda.md has no {name}"));
        let default = match (default.is_null(), default.as_str()) {
            (true, _) => "| none |".to_owned(),
            (false, Some(text)) => format!("`{text}`"),
            (false, None) => format!("`{default}`"),
        };
        assert!(row.contains(&default), "{name} is {default}: {row}");
    }
}
