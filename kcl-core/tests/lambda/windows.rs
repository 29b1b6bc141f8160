//! 6.7, tumbling windows, through the engine. Records of the scripted source arrive one millisecond after the other.

use std::sync::{Arc, Mutex};

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::*;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stage::{ARN, SECOND, Seen, does_nothing, mapping};

/// What a function was invoked with: start of the window in seconds, payloads, state, and its two marks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    window: String,
    texts: Vec<String>,
    sum: u64,
    is_final: bool,
    is_early: bool,
    at: u64,
}

fn call(window: &str, texts: &[&str], sum: u64, at: u64) -> Call {
    Call {
        window: window.to_owned(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        sum,
        is_final: texts.is_empty(),
        is_early: false,
        at,
    }
}

type Does = fn(&Call, usize) -> Result<Option<Value>, &'static str>;

/// Adds up numbers: what the function returns if a case does not say otherwise.
fn adds(call: &Call) -> Value {
    let sum: u64 = call
        .texts
        .iter()
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    json!({"state": {"sum": call.sum + sum}})
}

#[derive(Clone, Default)]
struct Windows(Arc<Mutex<Vec<Call>>>);

impl Windows {
    fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    fn worker(
        &self,
        source: &ScriptedSource,
        leases: &FixedOwnership,
        settings: MappingSettings,
        does: Does,
    ) -> WorkerBuilder {
        let (calls, start) = (self.0.clone(), Instant::now());
        let function = service_fn(move |event: LambdaEvent<Value>| {
            let event = event.payload;
            assert_eq!(event["eventSourceARN"], ARN);
            assert_eq!(event["shardId"], "s");
            let texts = event["Records"].as_array().unwrap().iter().map(|record| {
                let number = record["kinesis"]["partitionKey"].as_str().unwrap();
                number.to_owned()
            });
            let call = Call {
                window: event["window"]["start"].as_str().unwrap()[14..19].to_owned(),
                texts: texts.collect(),
                sum: event["state"]["sum"].as_u64().unwrap_or(0),
                is_final: event["isFinalInvokeForWindow"].as_bool().unwrap(),
                is_early: event["isWindowTerminatedEarly"].as_bool().unwrap(),
                at: start.elapsed().as_secs(),
            };
            let number = {
                let mut calls = calls.lock().unwrap();
                calls.push(call.clone());
                calls.len()
            };
            std::future::ready(match does(&call, number) {
                Ok(Some(said)) => Ok(said),
                Ok(None) => Ok(adds(&call)),
                Err(error) => Err(lambda_runtime::Error::from(error)),
            })
        });
        let seen = Seen::default();
        let worker = seen.worker(source, leases, mapping(settings.clone()), does_nothing);
        worker.with_lambda(mapping(settings), function)
    }
}

fn of(seconds: u32) -> MappingSettings {
    MappingSettings {
        tumbling_window: Some(SECOND * seconds),
        ..MappingSettings::default()
    }
}

/// Records with numbers for keys, as payloads are not looked at.
fn put(source: &ScriptedSource, numbers: &[&str]) {
    source.put_keyed("s", numbers.iter().map(|number| (*number, "")));
}

fn shard() -> (Windows, ScriptedSource, FixedOwnership) {
    (
        Windows::default(),
        ScriptedSource::new(),
        FixedOwnership::new(["s"]),
    )
}

fn durable(leases: &FixedOwnership) -> String {
    leases.checkpoint("s").unwrap().to_string()
}

/// 6.7: the state goes from one invocation to the next, the last has it and no records; 6.7 below: it ends by time, once
/// the shard is read to its tip. Until then nothing of it is committed.
#[tokio::test(start_paused = true)]
async fn a_window_adds_up_and_ends_by_time() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2"]);
    let worker = windows.worker(&source, &leases, of(10), |_, _| Ok(None));
    let story = async {
        sleep(3 * SECOND).await;
        put(&source, &["4"]);
        sleep(7 * SECOND).await;
        assert_eq!(durable(&leases), "TRIM_HORIZON", "the window is open");
        sleep(10 * SECOND).await;
        assert_eq!(durable(&leases), "3", "and now it is not");
    };
    worker.build().unwrap().run(story).await.unwrap();
    let expected = [
        call("00:00", &["1", "2"], 0, 0),
        call("00:00", &["4"], 3, 3),
        // 10 s after the last record came, and a second.
        call("00:00", &[], 7, 13),
    ];
    assert_eq!(windows.calls(), expected);
}

/// 6.7: half-open, aligned windows; the last invocation of one comes before the first of the next.
#[tokio::test(start_paused = true)]
async fn a_record_of_a_later_window_ends_the_open_one() {
    let (windows, source, leases) = shard();
    let numbers: Vec<_> = (1..=1_002).map(|number| number.to_string()).collect();
    put(
        &source,
        &numbers.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    source.close("s", &[]);
    let settings = MappingSettings {
        batch_size: 10_000,
        ..of(1)
    };
    let worker = windows.worker(&source, &leases, settings, |_, _| Ok(None));
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let calls = windows.calls();
    let of_window = |window: &str| -> Vec<Call> {
        calls
            .iter()
            .filter(|call| call.window == window)
            .cloned()
            .collect()
    };
    let (first, second) = (of_window("00:00"), of_window("00:01"));
    assert_eq!([first.clone(), second.clone()].concat(), calls);
    let texts = first.iter().flat_map(|call| call.texts.iter()).count();
    assert_eq!(texts, 999, "the record at one second is of the next");
    let last = first.last().unwrap();
    assert_eq!((last.is_final, last.sum), (true, 999 * 1_000 / 2));
    // 6.7: the shard's end closes its window.
    let last = second.last().unwrap();
    assert_eq!((last.is_final, last.sum), (true, 1_000 + 1_001 + 1_002));
    assert_eq!(durable(&leases), "SHARD_END");
}

/// 6.7: the last invocation blocks the shard until it succeeds.
#[tokio::test(start_paused = true)]
async fn the_last_invocation_blocks_until_it_succeeds() {
    let (windows, source, leases) = shard();
    put(&source, &["1"]);
    source.close("s", &[]);
    let settings = MappingSettings {
        maximum_retry_attempts: Some(0),
        ..of(10)
    };
    let worker = windows.worker(&source, &leases, settings, |call, number| {
        if call.is_final && number < 6 {
            Err("not yet")
        } else {
            Ok(None)
        }
    });
    let report = worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let calls = windows.calls();
    assert_eq!((calls.len(), report.finished), (6, 1));
    assert!(calls[1..].iter().all(|call| call.is_final && call.sum == 1));
}

/// 6.7: a response without state counts as failed, by the ordinary limits.
#[tokio::test(start_paused = true)]
async fn a_response_without_state_has_failed() {
    let (windows, source, leases) = shard();
    put(&source, &["1"]);
    source.close("s", &[]);
    let settings = MappingSettings {
        maximum_retry_attempts: Some(1),
        ..of(10)
    };
    let worker = windows.worker(&source, &leases, settings, |call, _| {
        let body = if call.is_final {
            adds(call)
        } else {
            json!({"sum": 1})
        };
        Ok(Some(body))
    });
    let report = worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let marks: Vec<_> = windows
        .calls()
        .iter()
        .map(|call| (call.is_final, call.sum))
        .collect();
    assert_eq!(
        marks,
        [(false, 0), (false, 0), (true, 0)],
        "the window goes on without it"
    );
    assert_eq!(report.finished, 1);
}

/// 6.7: state of more than 1 MB ends the window early; it goes on with a fresh one.
#[tokio::test(start_paused = true)]
async fn a_state_that_is_too_large_ends_the_window_early() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2"]);
    source.close("s", &[]);
    let settings = MappingSettings {
        batch_size: 1,
        ..of(10)
    };
    let worker = windows.worker(&source, &leases, settings, |call, number| {
        let large = json!({"state": {"sum": 1, "more": "x".repeat(1_100_000)}});
        Ok(Some(if number == 1 { large } else { adds(call) }))
    });
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let calls = windows.calls();
    let marks: Vec<_> = calls
        .iter()
        .map(|call| (call.texts.len(), call.is_final, call.is_early, call.sum))
        .collect();
    let expected = [
        (1, false, false, 0),
        (0, true, true, 1),
        (1, false, false, 0),
        (0, true, false, 2),
    ];
    assert_eq!(marks, expected);
    assert!(calls.iter().all(|call| call.window == "00:00"));
}

/// 6.7 with 6.5: reports of failures within a window; what is done of a batch is in the state.
#[tokio::test(start_paused = true)]
async fn a_partial_failure_goes_on_from_there() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2", "3"]);
    source.close("s", &[]);
    let settings = MappingSettings {
        report_batch_item_failures: true,
        ..of(10)
    };
    let worker = windows.worker(&source, &leases, settings, |call, number| {
        Ok((number == 1).then(|| {
            let mut done = call.clone();
            done.texts.truncate(1);
            let mut said = adds(&done);
            said["batchItemFailures"] = json!([{"itemIdentifier": "2"}]);
            said
        }))
    });
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let seen: Vec<_> = windows
        .calls()
        .iter()
        .map(|call| (call.texts.clone(), call.sum))
        .collect();
    let expected: [(&[&str], u64); 3] = [(&["1", "2", "3"], 0), (&["2", "3"], 1), (&[], 6)];
    assert_eq!(seen.len(), expected.len());
    for ((texts, sum), (expected, expected_sum)) in seen.iter().zip(expected) {
        assert_eq!(
            (texts.as_slice(), *sum),
            (
                &expected
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()[..],
                expected_sum
            )
        );
    }
}

/// 6.7: who takes over has no state, and begins the window again: with its first record.
#[tokio::test(start_paused = true)]
async fn who_takes_over_begins_the_window_again() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2"]);
    let worker = windows.worker(&source, &leases, of(60), |_, _| Ok(None));
    let killed = tokio::time::timeout(
        10 * SECOND,
        worker.build().unwrap().run(std::future::pending()),
    );
    assert!(killed.await.is_err());
    leases.lose("s");
    put(&source, &["3"]);
    // It drains before the window ends, and leaves it open as well.
    let worker = windows.worker(&source, &leases, of(60), |_, _| Ok(None));
    worker
        .build()
        .unwrap()
        .run(sleep(10 * SECOND))
        .await
        .unwrap();
    assert_eq!(durable(&leases), "TRIM_HORIZON");
    let worker = windows.worker(&source, &leases, of(60), |_, _| Ok(None));
    worker
        .build()
        .unwrap()
        .run(sleep(120 * SECOND))
        .await
        .unwrap();
    let texts: Vec<_> = windows
        .calls()
        .iter()
        .map(|call| (call.texts.len(), call.sum))
        .collect();
    assert_eq!(texts, [(2, 0), (3, 0), (3, 0), (0, 6)]);
    assert_eq!(durable(&leases), "3");
}

/// 6.1 TumblingWindowInSeconds, 6.7: not with several lanes, whose state would be whose.
#[test]
fn windows_have_the_range_of_the_service_and_one_lane() {
    let problems = |settings: MappingSettings| settings.problems().len();
    assert_eq!(problems(of(1)) + problems(of(900)), 0);
    assert_eq!((problems(of(0)), problems(of(901))), (1, 1));
    let several = MappingSettings {
        parallelization_factor: 2,
        ..of(60)
    };
    assert_eq!(problems(several), 1);
}

/// A call with several invocations in it asks before each whether the shard is still held.
#[tokio::test(start_paused = true)]
async fn nothing_is_invoked_after_the_shard_was_lost() {
    let (_, source, leases) = shard();
    let numbers: Vec<_> = (1..=1_002).map(|number| number.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    put(&source, &numbers);
    let settings = MappingSettings {
        batch_size: 10_000,
        ..of(1)
    };
    let (calls, of_call, lost) = (Arc::new(Mutex::new(0)), leases.clone(), leases.clone());
    let counted = calls.clone();
    let function = service_fn(move |_: LambdaEvent<Value>| {
        // The first invocation is of the first window. The last one of it would follow at once.
        *counted.lock().unwrap() += 1;
        of_call.lose("s");
        std::future::ready(Ok::<_, lambda_runtime::Error>(json!({"state": {}})))
    });
    let seen = Seen::default();
    let worker = seen.worker(&source, &leases, mapping(settings.clone()), does_nothing);
    let worker = worker.with_lambda(mapping(settings), function);
    let report = worker.build().unwrap().run(sleep(10 * SECOND)).await;
    assert_eq!((*calls.lock().unwrap(), report.unwrap().lost), (1, 1));
    assert_eq!(durable(&lost), "TRIM_HORIZON");
}

/// An invocation that fails is about its own window: a record of the next one, in the same batch, is not given up with it.
#[tokio::test(start_paused = true)]
async fn a_window_that_is_given_up_takes_no_record_of_the_next_with_it() {
    let (windows, source, leases) = shard();
    let numbers: Vec<_> = (1..=1_001).map(|number| number.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    put(&source, &numbers);
    source.close("s", &[]);
    let settings = MappingSettings {
        batch_size: 10_000,
        maximum_retry_attempts: Some(1),
        ..of(1)
    };
    let worker = windows.worker(&source, &leases, settings, |call, _| {
        // The first of the second batch, in which both windows are.
        let is_bad = call.texts.first().is_some_and(|text| text == "101");
        if is_bad { Err("bad") } else { Ok(None) }
    });
    let run = worker.build().unwrap().run(std::future::pending());
    assert_eq!(run.await.unwrap().finished, 1);
    let calls = windows.calls();
    let marks = calls.iter().map(|call| (call.texts.len(), call.sum));
    let expected = [
        (100, 0),
        (899, 5_050),
        (899, 5_050),
        (0, 5_050),
        (2, 0),
        (0, 1_000 + 1_001),
    ];
    assert_eq!(marks.collect::<Vec<_>>(), expected);
}
