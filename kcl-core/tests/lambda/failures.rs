//! 6.4, what follows on a failure, and 6.1 where a setting says it.

use kcl_core::lambda::mapping::MappingSettings;
use serde_json::Value;

use crate::stage::{Answer, Call, Does, fails_on_bad, mapping, reports_bad, run};
use crate::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    let rows = [errors(), attempts(), cuts(), reports()];
    rows.into_iter().flatten().map(Row::into_case).collect()
}

/// Condition, invocations, batch size, `functionError`.
type Document = (&'static str, u64, u64, Option<&'static str>);

struct Row {
    rows: &'static [&'static str],
    name: &'static str,
    settings: MappingSettings,
    records: &'static [&'static str],
    does: Does,
    /// The payloads of each invocation.
    calls: &'static [&'static [&'static str]],
    documents: &'static [Document],
}

const EXHAUSTED: &str = "RetryAttemptsExhausted";
const UNHANDLED: Option<&str> = Some("Unhandled");

pub(crate) fn retries(max: u32) -> MappingSettings {
    MappingSettings {
        maximum_retry_attempts: Some(max),
        ..MappingSettings::default()
    }
}

fn with(change: impl FnOnce(&mut MappingSettings)) -> MappingSettings {
    let mut settings = retries(0);
    change(&mut settings);
    settings
}

fn fails_twice(call: &Call<'_>) -> Answer {
    if call.number <= 2 {
        Answer::Fails
    } else {
        Answer::Nothing
    }
}

fn bisects(settings: &mut MappingSettings) {
    settings.bisect_batch_on_function_error = true;
}

fn reports_failures(settings: &mut MappingSettings) {
    settings.report_batch_item_failures = true;
}

/// What an error is, and what it does.
fn errors() -> Vec<Row> {
    vec![
        Row {
            rows: &["6.4.2", "6.1 BisectBatchOnFunctionError"],
            name: "the whole batch comes again until it succeeds, and is not cut",
            settings: MappingSettings::default(),
            records: &["one", "two"],
            does: fails_twice,
            calls: &[&["one", "two"], &["one", "two"], &["one", "two"]],
            documents: &[],
        },
        Row {
            rows: &["6.4.2"],
            name: "a panic is an error of the function",
            settings: retries(1),
            records: &["one"],
            does: |_| Answer::Panics,
            calls: &[&["one"], &["one"]],
            documents: &[(EXHAUSTED, 2, 1, UNHANDLED)],
        },
        Row {
            rows: &["6.4.2"],
            name: "a timeout is an error of the function",
            settings: retries(1),
            records: &["one"],
            does: |_| Answer::Hangs,
            calls: &[&["one"], &["one"]],
            documents: &[(EXHAUSTED, 2, 1, UNHANDLED)],
        },
    ]
}

/// How often.
fn attempts() -> Vec<Row> {
    vec![
        Row {
            rows: &["6.1 MaximumRetryAttempts", "6.4.5"],
            name: "0 is no retry; what failed is skipped, and the next go on",
            settings: with(|settings| settings.batch_size = 1),
            records: &["one", "bad", "two"],
            does: fails_on_bad,
            calls: &[&["one"], &["bad"], &["two"]],
            documents: &[(EXHAUSTED, 1, 1, UNHANDLED)],
        },
        Row {
            rows: &["6.4.7", "6.1 MaximumRetryAttempts"],
            name: "1 attempt more makes 2 invocations",
            settings: retries(1),
            records: &["bad", "two"],
            does: fails_on_bad,
            calls: &[&["bad", "two"], &["bad", "two"]],
            documents: &[(EXHAUSTED, 2, 2, UNHANDLED)],
        },
        Row {
            rows: &["6.4.7"],
            name: "2 make 3",
            settings: retries(2),
            records: &["bad"],
            does: fails_on_bad,
            calls: &[&["bad"], &["bad"], &["bad"]],
            documents: &[(EXHAUSTED, 3, 1, UNHANDLED)],
        },
        Row {
            rows: &["6.4.7"],
            name: "3 make 4",
            settings: retries(3),
            records: &["bad"],
            does: fails_on_bad,
            calls: &[&["bad"], &["bad"], &["bad"], &["bad"]],
            documents: &[(EXHAUSTED, 4, 1, UNHANDLED)],
        },
    ]
}

/// What is cut, and what that counts.
fn cuts() -> Vec<Row> {
    vec![
        Row {
            rows: &["6.4.7", "6.5 functionError"],
            name: "trimming does not reset the count: 3 records once, 1 record 3 times",
            settings: with(|settings| {
                reports_failures(settings);
                settings.batch_size = 3;
                settings.maximum_retry_attempts = Some(3);
            }),
            records: &["one", "two", "bad"],
            does: reports_bad,
            calls: &[&["one", "two", "bad"], &["bad"], &["bad"], &["bad"]],
            documents: &[(EXHAUSTED, 4, 1, None)],
        },
        Row {
            rows: &[
                "6.4.3",
                "6.1 BisectBatchOnFunctionError",
                "6.4.5 what was behind it",
            ],
            name: "halves come again, a cut is no attempt, later batches have their size",
            settings: with(|settings| {
                bisects(settings);
                settings.batch_size = 4;
            }),
            records: &["one", "two", "bad", "four", "five", "six", "seven", "eight"],
            does: fails_on_bad,
            calls: &[
                &["one", "two", "bad", "four"],
                &["one", "two"],
                &["bad", "four"],
                &["bad"],
                // What was behind it goes with the next.
                &["four", "five", "six", "seven"],
                &["eight"],
            ],
            documents: &[(EXHAUSTED, 1, 1, UNHANDLED)],
        },
        Row {
            rows: &["6.4.3 merged documents"],
            name: "neighbours that were cut apart have a document each",
            settings: with(|settings| {
                bisects(settings);
                settings.batch_size = 2;
            }),
            records: &["bad", "bad"],
            does: fails_on_bad,
            calls: &[&["bad", "bad"], &["bad"], &["bad"]],
            documents: &[(EXHAUSTED, 1, 1, UNHANDLED), (EXHAUSTED, 1, 1, UNHANDLED)],
        },
    ]
}

/// Reports of failures, with and without halves.
fn reports() -> Vec<Row> {
    vec![
        Row {
            rows: &["6.4.4", "6.5.3", "6.1 FunctionResponseTypes"],
            name: "from the lowest number, what succeeded behind it again",
            settings: with(|settings| {
                reports_failures(settings);
                settings.maximum_retry_attempts = None;
            }),
            records: &["one", "bad", "three"],
            does: |call| {
                if call.number < 3 {
                    reports_bad(call)
                } else {
                    Answer::Nothing
                }
            },
            calls: &[
                &["one", "bad", "three"],
                &["bad", "three"],
                &["bad", "three"],
            ],
            documents: &[],
        },
        Row {
            rows: &["6.4.4", "6.4.4 nothing to cut off"],
            name: "with bisect the split is at that number, and only the remainder comes again",
            settings: with(|settings| {
                reports_failures(settings);
                bisects(settings);
            }),
            records: &["one", "two", "three", "bad", "five", "six"],
            does: reports_bad,
            calls: &[
                &["one", "two", "three", "bad", "five", "six"],
                // The number is the first now: halves.
                &["bad", "five", "six"],
                &["bad", "five"],
                &["bad"],
                &["five", "six"],
            ],
            documents: &[(EXHAUSTED, 1, 1, None)],
        },
        Row {
            rows: &["6.4.4"],
            name: "an invocation error with bisect always halves, whatever is reported else",
            settings: with(|settings| {
                reports_failures(settings);
                bisects(settings);
            }),
            records: &["one", "two", "bad", "four"],
            does: fails_on_bad,
            calls: &[
                &["one", "two", "bad", "four"],
                &["one", "two"],
                &["bad", "four"],
                &["bad"],
                &["four"],
            ],
            documents: &[(EXHAUSTED, 1, 1, UNHANDLED)],
        },
    ]
}

impl Row {
    fn into_case(self) -> Case {
        Case::new(self.rows, self.name, async move || {
            let run = run(self.records, mapping(self.settings), self.does).await;
            assert_eq!(run.calls, self.calls);
            assert_eq!(run.finished, 1);
            let seen: Vec<_> = run.documents.iter().map(document).collect();
            assert_eq!(seen, self.documents);
            assert_eq!(run.checkpoint, "SHARD_END");
        })
    }
}

/// Condition, invocations, size and `functionError`.
pub(crate) fn document(document: &Value) -> (&str, u64, u64, Option<&str>) {
    let (request, response) = (&document["requestContext"], &document["responseContext"]);
    (
        request["condition"].as_str().unwrap(),
        request["approximateInvokeCount"].as_u64().unwrap(),
        document["KinesisBatchInfo"]["batchSize"].as_u64().unwrap(),
        response["functionError"].as_str(),
    )
}
