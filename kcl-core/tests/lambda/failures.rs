//! 6.4, what follows on a failure, and 6.1 where a setting says it.

use kcl_core::lambda::mapping::MappingSettings;

use crate::stage::{
    Answer, Call, Does, SECOND, Seen, fails_on_bad, mapping, reports_bad, run, source_of,
};
use kcl_core::contract::FixedOwnership;

/// Condition, invocations, batch size, `functionError`.
type Document = (&'static str, u64, u64, Option<&'static str>);

struct Row {
    row: &'static str,
    settings: MappingSettings,
    records: &'static [&'static str],
    does: Does,
    /// The payloads of each invocation.
    calls: &'static [&'static [&'static str]],
    documents: &'static [Document],
}

const EXHAUSTED: &str = "RetryAttemptsExhausted";
const UNHANDLED: Option<&str> = Some("Unhandled");

fn retries(max: u32) -> MappingSettings {
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
            row: "6.4.2: the whole batch comes again until it succeeds",
            settings: MappingSettings::default(),
            records: &["one", "two"],
            does: fails_twice,
            calls: &[&["one", "two"], &["one", "two"], &["one", "two"]],
            documents: &[],
        },
        Row {
            row: "6.4.2: a panic is an error of the function",
            settings: retries(1),
            records: &["one"],
            does: |_| Answer::Panics,
            calls: &[&["one"], &["one"]],
            documents: &[(EXHAUSTED, 2, 1, UNHANDLED)],
        },
        Row {
            row: "6.4.2: a timeout is an error of the function",
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
            row: "6.1 MaximumRetryAttempts 0: no retry; 6.4.5: skip and go on with the next",
            settings: with(|settings| settings.batch_size = 1),
            records: &["one", "bad", "two"],
            does: fails_on_bad,
            calls: &[&["one"], &["bad"], &["two"]],
            documents: &[(EXHAUSTED, 1, 1, UNHANDLED)],
        },
        Row {
            row: "6.4.7: MaximumRetryAttempts 1 makes 2 invocations",
            settings: retries(1),
            records: &["bad", "two"],
            does: fails_on_bad,
            calls: &[&["bad", "two"], &["bad", "two"]],
            documents: &[(EXHAUSTED, 2, 2, UNHANDLED)],
        },
        Row {
            row: "6.4.7: 2 make 3",
            settings: retries(2),
            records: &["bad"],
            does: fails_on_bad,
            calls: &[&["bad"], &["bad"], &["bad"]],
            documents: &[(EXHAUSTED, 3, 1, UNHANDLED)],
        },
    ]
}

/// What is cut, and what that counts.
fn cuts() -> Vec<Row> {
    vec![
        Row {
            row: "6.4.7: 3 make 4; trimming does not reset the count: 3 records once, 1 record 3 times",
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
            row: "6.4.3: bisect: halves come again, a cut is no attempt, later batches have their size",
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
    ]
}

/// Reports of failures, with and without halves.
fn reports() -> Vec<Row> {
    vec![
        Row {
            row: "6.4.4: partial failure: from the lowest number, what succeeded behind it again",
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
            row: "6.4.4: with bisect the split is at that number, and only the remainder comes again",
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
            row: "6.4.4: an invocation error with bisect always halves, whatever is reported else",
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

#[tokio::test(start_paused = true)]
async fn every_row_of_failures() {
    for Row {
        row,
        settings,
        records,
        does,
        calls,
        documents,
    } in [errors(), attempts(), cuts(), reports()]
        .into_iter()
        .flatten()
    {
        let run = run(records, mapping(settings), does).await;
        assert_eq!(run.calls, calls, "{row}");
        assert_eq!(run.finished, 1, "{row}");
        let seen: Vec<_> = run
            .documents
            .iter()
            .map(|document| {
                let (request, response) =
                    (&document["requestContext"], &document["responseContext"]);
                (
                    request["condition"].as_str().unwrap(),
                    request["approximateInvokeCount"].as_u64().unwrap(),
                    document["KinesisBatchInfo"]["batchSize"].as_u64().unwrap(),
                    response["functionError"].as_str(),
                )
            })
            .collect();
        assert_eq!(seen, documents, "{row}");
        assert_eq!(run.checkpoint, "SHARD_END", "{row}");
    }
}

/// 6.1 MaximumRetryAttempts -1 and 6.4.2: the shard is blocked for as long as it takes.
#[tokio::test(start_paused = true)]
async fn without_limits_a_hopeless_batch_blocks_its_shard() {
    let settings = MappingSettings {
        batch_size: 1,
        ..MappingSettings::default()
    };
    let run = run(&["one", "bad", "two"], mapping(settings), fails_on_bad).await;
    assert_eq!(run.finished, 0, "not within a day");
    assert_eq!(run.calls[..2], [["one"], ["bad"]]);
    assert!(run.calls.len() > 1_000 && run.calls[1..].iter().all(|call| *call == ["bad"]));
    assert_eq!((run.checkpoint.as_str(), run.documents.len()), ("1", 0));
}

/// 6.4.6: ours: from 100 ms, doubled, up to 60 s, anywhere below that bound.
#[tokio::test(start_paused = true)]
async fn pauses_grow_to_a_minute() {
    let settings = retries(200);
    let run = run(&["bad"], mapping(settings), fails_on_bad).await;
    let pauses: Vec<_> = run.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 200);
    for (pause, doubled) in pauses.iter().zip(0..) {
        let bound = SECOND
            .mul_f64(0.1 * f64::from(1 << doubled.min(12)))
            .min(60 * SECOND);
        assert!(*pause <= bound + SECOND / 100, "{doubled}: {pause:?}");
    }
    assert!(
        pauses.iter().any(|pause| *pause > 45 * SECOND),
        "{pauses:?}"
    );
}

/// 6.1 MaximumRecordAgeInSeconds, 6.4.2: records that get too old are given up, whatever is left of attempts.
#[tokio::test(start_paused = true)]
async fn records_that_get_too_old_are_given_up() {
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..MappingSettings::default()
    };
    let run = run(&["bad", "two"], mapping(settings), fails_on_bad).await;
    assert_eq!(run.finished, 1);
    let last = *run.times.last().unwrap();
    assert!(last > 60 * SECOND && last < 180 * SECOND, "{last:?}");
    let request = &run.documents[0]["requestContext"];
    assert_eq!(request["condition"], "RecordAgeExceeded");
    assert_eq!(request["approximateInvokeCount"], run.calls.len());
    assert_eq!(run.documents[0]["KinesisBatchInfo"]["batchSize"], 2);
}

/// 6.4.1: what did not reach the function uses up no attempt.
#[tokio::test(start_paused = true)]
async fn a_function_that_is_not_ready_uses_up_no_attempt() {
    use std::task::{Context, Poll};
    #[derive(Clone)]
    struct Unready<F>(F, u32);
    impl<T, F: lambda_runtime::Service<T, Error = lambda_runtime::Error>> lambda_runtime::Service<T>
        for Unready<F>
    {
        type Response = F::Response;
        type Error = F::Error;
        type Future = F::Future;
        fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
            self.1 = self.1.saturating_sub(1);
            if self.1 > 0 {
                return Poll::Ready(Err("throttled".into()));
            }
            self.0.poll_ready(context)
        }
        fn call(&mut self, event: T) -> F::Future {
            self.0.call(event)
        }
    }
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let function =
        lambda_runtime::service_fn(move |_: lambda_runtime::LambdaEvent<serde_json::Value>| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::ready(Ok::<_, lambda_runtime::Error>(()))
        });
    let source = source_of(&["one"]);
    let worker = seen
        .worker(&source, &leases, mapping(retries(0)), |_| Answer::Nothing)
        .with_lambda(mapping(retries(0)), Unready(function, 10));
    let worker = worker.build().unwrap().run(std::future::pending());
    assert_eq!(worker.await.unwrap().finished, 1);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(seen.now().documents.len(), 0);
}
