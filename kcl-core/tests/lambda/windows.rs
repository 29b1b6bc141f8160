//! 6.7, tumbling windows, through the engine. Records of the scripted source arrive one millisecond after the other.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::lambda::window::{self, FinalInvocation};
use kcl_core::*;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stage::{ARN, SECOND, Seen, does_nothing, finish, mapping};
use crate::suite::{Case, case};
use crate::window_stage::{Call, adds, call, durable, of, put, shard};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(
            [
                "6.1 TumblingWindowInSeconds",
                "6.7 last invocation",
                "6.7 records of the last invocation",
                "6.7 no later record"
            ],
            a_window_adds_up_and_ends_by_time
        ),
        case!(
            ["6.7 bounds", "6.7 last invocation"],
            a_record_of_a_later_window_ends_the_open_one
        ),
        case!(
            ["6.7 records of the last invocation"],
            the_last_records_can_go_into_the_last_invocation
        ),
        case!(["6.7 event"], the_event_has_its_window_and_no_other_field),
        case!(
            [
                "6.7 last invocation",
                "6.7 last invocation fails",
                "6.2 no empty batch"
            ],
            the_last_invocation_blocks_until_it_succeeds
        ),
        case!(
            ["6.7 response", "6.7 limits"],
            a_response_without_state_has_failed
        ),
        case!(["6.7 limits"], records_of_a_window_get_too_old_as_any),
        case!(
            ["6.7 1 MB", "6.7 too large a state"],
            a_state_that_is_too_large_ends_the_window_early
        ),
        case!(["6.7 response"], a_partial_failure_goes_on_from_there),
        case!(
            ["6.7 at least once"],
            who_takes_over_begins_the_window_again
        ),
        case!(["6.7 reshard"], children_begin_afresh),
        case!(
            ["6.7 late records"],
            a_record_that_is_late_goes_into_the_open_window
        ),
        case!(
            ["6.1 TumblingWindowInSeconds", "6.7 lanes"],
            windows_have_the_range_of_the_service_and_one_lane
        ),
    ]
}

/// The state goes from one invocation to the next, the last has it and no records. It ends by time, once the shard is read
/// to its tip. Until then nothing of it is committed.
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

/// Half-open, aligned windows; the last invocation of one comes before the first of the next.
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
    finish(worker).await;
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
    // The shard's end closes its window.
    let last = second.last().unwrap();
    assert_eq!((last.is_final, last.sum), (true, 1_000 + 1_001 + 1_002));
    assert_eq!(durable(&leases), "SHARD_END");
}

/// If a later record is behind them. If not, or if they are given up, one without records ends the window.
async fn the_last_records_can_go_into_the_last_invocation() {
    let (windows, source, leases) = shard();
    let numbers: Vec<_> = (1..=2_001).map(|number| number.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    put(&source, &numbers);
    source.close("s", &[]);
    let settings = MappingSettings {
        batch_size: 10_000,
        maximum_retry_attempts: Some(1),
        final_invocation: FinalInvocation::LastRecords,
        ..of(1)
    };
    let worker = windows.worker(&source, &leases, settings, |call, number| {
        // Those of the second window, which come in two batches: without the state, and then with an error.
        let is_second = call.window == "00:01" && !call.texts.is_empty();
        match (is_second, number) {
            (false, _) => Ok(None),
            (true, 3) => Ok(Some(json!({}))),
            (true, _) => Err("bad"),
        }
    });
    finish(worker).await;
    let calls = windows.calls();
    let marks = calls
        .iter()
        .map(|call| (call.texts.len(), call.sum, call.is_final));
    let expected = [
        (100, 0, false),
        (899, 5_050, true),
        (601, 0, false),
        (601, 0, false),
        (399, 0, true),
        (399, 0, true),
        (0, 0, true),
        (2, 0, false),
        (0, 2_000 + 2_001, true),
    ];
    assert_eq!(marks.collect::<Vec<_>>(), expected);
    assert_eq!(durable(&leases), "SHARD_END");
}

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
    let report = finish(worker).await;
    let calls = windows.calls();
    assert_eq!((calls.len(), report.finished), (6, 1));
    assert!(calls[1..].iter().all(|call| call.is_final && call.sum == 1));
}

/// By the ordinary limits.
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
    let report = finish(worker).await;
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

/// And it goes on with a fresh one.
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
    finish(worker).await;
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

/// What is done of a batch is in the state.
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
    finish(worker).await;
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

/// Who has no state: with its first record.
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

/// Typed as the service does: the times of the window to the second, the time of arrival as a number.
async fn the_event_has_its_window_and_no_other_field() {
    let (_, source, leases) = shard();
    put(&source, &["1"]);
    source.close("s", &[]);
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = told.clone();
    let function = service_fn(move |event: LambdaEvent<Value>| {
        noted.lock().unwrap().push(event.payload);
        std::future::ready(Ok::<_, lambda_runtime::Error>(json!({"state": {"1": 282}})))
    });
    let worker = Seen::default().worker(&source, &leases, mapping(of(120)), does_nothing);
    finish(worker.with_lambda(mapping(of(120)), function)).await;
    let told = told.lock().unwrap();
    let event = |records: &Value, state: Value, is_final: bool| {
        json!({
            "Records": records,
            "window": {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:02:00Z"},
            "state": state,
            "shardId": "s",
            "eventSourceARN": ARN,
            "isFinalInvokeForWindow": is_final,
            "isWindowTerminatedEarly": false,
        })
    };
    let records = &told[0]["Records"];
    assert_eq!(records[0]["kinesis"]["approximateArrivalTimestamp"], 0.001);
    let expected = [
        event(records, json!({}), false),
        // Verbatim, though the type of `aws_lambda_events` has no numbers in it.
        event(&json!([]), json!({"1": 282}), true),
    ];
    assert_eq!(*told, expected);
}

async fn records_of_a_window_get_too_old_as_any() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2"]);
    source.close("s", &[]);
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..of(900)
    };
    let worker = windows.worker(&source, &leases, settings, |call, _| {
        if call.is_final {
            Ok(None)
        } else {
            Err("not these")
        }
    });
    let report = finish(worker).await;
    let calls = windows.calls();
    let (last, before) = calls.split_last().unwrap();
    assert!(before.iter().all(|call| call.texts == ["1", "2"]));
    assert!(before.last().unwrap().at > 60 && last.is_final, "{calls:?}");
    assert_eq!(
        (last.sum, report.finished),
        (0, 1),
        "nothing of them is in it"
    );
}

/// The parent's window ends with it, though its time is not over; the child's is the same window, and empty.
async fn children_begin_afresh() {
    let (windows, source, leases) = shard();
    put(&source, &["1", "2"]);
    source.close("s", &["child"]);
    source.put_keyed("child", [("4", ""), ("8", "")]);
    source.close("child", &[]);
    let worker = windows.worker(&source, &leases, of(900), |_, _| Ok(None));
    assert_eq!(finish(worker).await.finished, 2);
    let calls = windows.calls();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.shard.as_str(),
                call.texts.len(),
                call.sum,
                call.is_final,
            )
        })
        .collect();
    let expected = [
        ("s", 2, 0, false),
        ("s", 0, 3, true),
        ("child", 2, 0, false),
        ("child", 0, 12, true),
    ];
    assert_eq!(seen, expected);
    assert!(calls.iter().all(|call| call.window == "00:00"));
}

/// Arrival times of a shard may go back a little.
async fn a_record_that_is_late_goes_into_the_open_window() {
    let record = |number: u64, second: u64| Record {
        sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
        subsequence_number: 0,
        partition_key: String::new(),
        data: bytes::Bytes::new(),
        approximate_arrival: Some(SystemTime::UNIX_EPOCH + SECOND * u32::try_from(second).unwrap()),
    };
    let mut windows = window::Windows::new(120 * SECOND);
    let records = [
        record(1, 121),
        record(2, 119),
        record(3, 122),
        record(4, 240),
    ];
    let due = windows.due(&records, Instant::now());
    assert_eq!(due, window::Due::Aggregate(3));
    let end = windows.bounds().unwrap().end;
    assert_eq!(end, SystemTime::UNIX_EPOCH + 240 * SECOND);
}

/// With several it would not be known whose the state is.
async fn windows_have_the_range_of_the_service_and_one_lane() {
    let problems = |settings: MappingSettings| settings.problems().len();
    assert_eq!(problems(of(1)) + problems(of(900)), 0);
    assert_eq!((problems(of(0)), problems(of(901))), (1, 1));
    let several = MappingSettings {
        parallelization_factor: 2,
        ..of(60)
    };
    assert_eq!(problems(several), 1);
    let without = MappingSettings {
        final_invocation: FinalInvocation::LastRecords,
        ..MappingSettings::default()
    };
    assert_eq!(problems(without), 1, "there is no window");
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
