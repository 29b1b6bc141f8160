//! Table 6.7.

use serde_json::{Value, json as value};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// 2020-12-09T07:04:00Z, a multiple of two minutes.
const START: u64 = 1_607_497_440;

fn record(number: u64, after: f64) -> Record {
    let arrival = Duration::from_secs(START) + Duration::from_secs_f64(after);
    Record {
        sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
        subsequence_number: 0,
        partition_key: "k".to_owned(),
        data: Bytes::new(),
        approximate_arrival: Some(SystemTime::UNIX_EPOCH + arrival),
    }
}

fn windows() -> Windows {
    Windows::new(120 * SECOND)
}

fn source() -> EventSource {
    EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap()
}

fn event(windows: &Windows, records: &[Record]) -> Value {
    let event = windows.event(&source(), &ShardId::new("shard-0"), records);
    serde_json::from_slice(&event.unwrap()).unwrap()
}

/// 6.1, TumblingWindowInSeconds, and the last line of 6.7.
#[test]
fn a_window_has_a_length_and_the_shard_for_itself() {
    for (seconds, lanes, wrong) in [
        (1, 1, 0),
        (900, 1, 0),
        (0, 1, 1),
        (901, 1, 1),
        (60, 2, 1),
        (0, 2, 2),
    ] {
        let problems = problems(Duration::from_secs(seconds), lanes);
        assert_eq!(
            problems.len(),
            wrong,
            "{seconds} s, {lanes} lanes: {problems:?}"
        );
    }
    assert_eq!(problems(Duration::from_millis(1_500), 1).len(), 1);
}

/// 6.7: aligned to fixed boundaries, half-open.
#[tokio::test(start_paused = true)]
async fn records_are_parted_by_when_they_arrived() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [
        record(1, 0.0),
        record(2, 119.999),
        record(3, 120.0),
        record(4, 500.0),
    ];
    assert_eq!(windows.due(&records, now), Due::Aggregate(2));
    let seen = event(&windows, &records[..2]);
    assert_eq!(
        seen["window"],
        value!({"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"})
    );
}

/// 6.7: event, first to last invocation.
#[tokio::test(start_paused = true)]
async fn a_state_goes_from_one_invocation_to_the_next_and_ends_with_its_window() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [record(1, 1.0), record(2, 2.0), record(3, 130.0)];
    assert_eq!(windows.due(&records, now), Due::Aggregate(2));
    let first = event(&windows, &records[..2]);
    assert_eq!(first["Records"].as_array().unwrap().len(), 2);
    assert_eq!(first["state"], value!({}));
    assert_eq!(first["shardId"], "shard-0");
    assert_eq!(first["eventSourceARN"], source().arn());
    assert_eq!(first["isFinalInvokeForWindow"], false);
    assert_eq!(first["isWindowTerminatedEarly"], false);
    let answer = windows.answered(br#"{"state": {"1": 282}}"#, &records[..2], false);
    assert_eq!(answer, Answer::Taken(Verdict::Done));
    assert!(windows.is_open(), "the checkpoint stays");

    assert_eq!(windows.due(&records[2..], now), Due::Final);
    let last = event(&windows, &[]);
    assert_eq!(last["state"], value!({"1": 282}), "6.9: passed on verbatim");
    assert_eq!(last["Records"], value!([]));
    assert_eq!(last["isFinalInvokeForWindow"], true);
    assert_eq!(last["isWindowTerminatedEarly"], false);
    assert_eq!(
        windows.answered(br#"{"state": {"1": 283}}"#, &[], false),
        Answer::Closed
    );
    assert!(!windows.is_open());

    assert_eq!(windows.due(&records[2..], now), Due::Aggregate(1));
    let next = event(&windows, &records[2..]);
    assert_eq!(next["state"], value!({}), "it is dropped with its window");
    assert_eq!(next["window"]["start"], "2020-12-09T07:06:00Z");
}

/// 6.10: whether the last invocation has records is not known.
#[tokio::test(start_paused = true)]
async fn the_last_records_of_a_window_can_go_into_its_last_invocation() {
    let now = Instant::now();
    let mut windows = windows().with_final_invocation(FinalInvocation::LastRecords);
    let records = [record(1, 1.0), record(2, 2.0), record(3, 130.0)];
    assert_eq!(windows.due(&records[..1], now), Due::Aggregate(1));
    assert_eq!(
        event(&windows, &records[..1])["isFinalInvokeForWindow"],
        false
    );
    windows.answered(br#"{"state": {"n": 1}}"#, &records[..1], true);
    assert_eq!(windows.due(&records[1..], now), Due::Last(1));
    let last = event(&windows, &records[1..2]);
    assert_eq!(last["isFinalInvokeForWindow"], true);
    assert_eq!(last["Records"].as_array().unwrap().len(), 1);
    assert_eq!(last["state"], value!({"n": 1}));

    // What it reports comes again, as the last; what is given up leaves the window to end without records.
    let reports = br#"{"state": {"n": 2}, "batchItemFailures": [{"itemIdentifier": "2"}]}"#;
    assert_eq!(
        windows.answered(reports, &records[1..2], true),
        Answer::Taken(Verdict::RetryFrom(0))
    );
    assert_eq!(windows.due(&records[1..], now), Due::Last(1));
    assert_eq!(windows.due(&records[2..], now), Due::Final);
    let empty = event(&windows, &[]);
    assert_eq!(
        (&empty["state"], &empty["isFinalInvokeForWindow"]),
        (&value!({"n": 1}), &value!(true))
    );
    assert_eq!(
        windows.answered(br#"{"state": {}}"#, &[], true),
        Answer::Closed
    );

    // Nothing is behind the third, so the window ends without records.
    assert_eq!(windows.due(&records[2..], now), Due::Aggregate(1));
    let done = br#"{"state": {"n": 3}}"#;
    assert_eq!(
        windows.answered(done, &records[2..], true),
        Answer::Taken(Verdict::Done)
    );
    assert!(windows.is_open());
    let later = [record(4, 131.0), record(5, 250.0)];
    assert_eq!(windows.due(&later, now), Due::Last(1));
    assert_eq!(windows.answered(done, &later[..1], true), Answer::Closed);
    assert!(!windows.is_open());
}

/// 6.7: a response without `state` counts as failed, in the last invocation as well.
#[tokio::test(start_paused = true)]
async fn a_response_must_have_a_state() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [record(1, 1.0)];
    for round in 0..2 {
        assert_ne!(windows.due(&records[round..], now), Due::Nothing);
        for body in [
            "",
            "null",
            "{}",
            r#"{"state": null}"#,
            r#"{"state": []}"#,
            r#"{"state": "x"}"#,
            r#"{"batchItemFailures": []}"#,
        ] {
            assert_eq!(
                windows.answered(body.as_bytes(), &records, true),
                Answer::Failed,
                "{body}"
            );
        }
        windows.answered(br#"{"state": {"n": 1}}"#, &records, true);
        windows.shard_ended();
    }
    assert!(!windows.is_open());
}

/// 6.7: it may also contain `batchItemFailures`.
#[tokio::test(start_paused = true)]
async fn the_state_is_kept_for_what_was_done() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [record(10, 1.0), record(11, 2.0)];
    let cases = [
        (
            r#"{"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "10"}]}"#,
            Verdict::RetryFrom(0),
            value!({}),
        ),
        (
            r#"{"state": {"n": 2}, "batchItemFailures": [{"itemIdentifier": "12"}]}"#,
            Verdict::RetryAll,
            value!({}),
        ),
        (
            r#"{"state": {"n": 3}, "batchItemFailures": [{"itemIdentifier": "11"}]}"#,
            Verdict::RetryFrom(1),
            value!({"n": 3}),
        ),
        (
            r#"{"state": {"n": 4}, "batchItemFailures": []}"#,
            Verdict::Done,
            value!({"n": 4}),
        ),
    ];
    for (body, verdict, state) in cases {
        assert_eq!(windows.due(&records, now), Due::Aggregate(2));
        assert_eq!(
            windows.answered(body.as_bytes(), &records, true),
            Answer::Taken(verdict)
        );
        assert_eq!(event(&windows, &[])["state"], state, "{body}");
    }
    let unasked = br#"{"state": {"n": 5}, "batchItemFailures": [{"itemIdentifier": "10"}]}"#;
    assert_eq!(
        windows.answered(unasked, &records, false),
        Answer::Taken(Verdict::Done)
    );
}

/// 6.7: state over 1 MB.
#[tokio::test(start_paused = true)]
async fn a_state_that_is_too_large_ends_the_window_early_and_it_goes_on_afresh() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [record(1, 1.0), record(2, 2.0)];
    let body = |bytes: usize| format!(r#"{{"state": {{"s": "{}"}}}}"#, "x".repeat(bytes - 9));
    assert_eq!(windows.due(&records[..1], now), Due::Aggregate(1));
    let largest = body(STATE_BYTES_MAX);
    assert_eq!(
        windows.answered(largest.as_bytes(), &records[..1], false),
        Answer::Taken(Verdict::Done)
    );
    assert_eq!(
        windows.due(&records[1..], now),
        Due::Aggregate(1),
        "it is just small enough"
    );
    let too_large = body(STATE_BYTES_MAX + 1);
    assert_eq!(
        windows.answered(too_large.as_bytes(), &records[1..], false),
        Answer::Taken(Verdict::Done)
    );

    assert_eq!(windows.due(&[], now), Due::Final);
    let last = event(&windows, &[]);
    assert_eq!(last["isWindowTerminatedEarly"], true);
    assert_eq!(last["isFinalInvokeForWindow"], true);
    assert_eq!(
        last["state"]["s"].as_str().unwrap().len(),
        STATE_BYTES_MAX + 1 - 9
    );
    assert_eq!(
        windows.answered(br#"{"state": {}}"#, &[], false),
        Answer::Closed
    );

    assert_eq!(windows.due(&records[1..], now), Due::Aggregate(1));
    let again = event(&windows, &records[1..]);
    assert_eq!(again["window"], last["window"], "the same window");
    assert_eq!(again["state"], value!({}));
    let hopeless = body(PAYLOAD_BYTES_MAX);
    assert_eq!(
        windows.answered(hopeless.as_bytes(), &records[1..], false),
        Answer::Failed
    );
}

/// 6.7: shard end closes the window.
#[tokio::test(start_paused = true)]
async fn a_window_ends_with_its_shard() {
    let now = Instant::now();
    let mut windows = windows();
    windows.shard_ended();
    assert_eq!(windows.due(&[], now), Due::Nothing, "there is none");
    assert_eq!(windows.due(&[record(1, 1.0)], now), Due::Aggregate(1));
    windows.shard_ended();
    assert_eq!(windows.due(&[], now), Due::Final);
}

/// 6.10: by what else a window ends is ours.
#[tokio::test(start_paused = true)]
async fn a_window_ends_by_time_when_nothing_comes() {
    let now = Instant::now();
    let mut windows = windows();
    assert_eq!(windows.due(&[record(1, 20.0)], now), Due::Aggregate(1));
    let closes_at = now + 101 * SECOND;
    assert_eq!(windows.closes_at(), Some(closes_at));
    windows.pass(closes_at - SECOND);
    assert_eq!(windows.due(&[], closes_at), Due::Nothing);
    windows.pass(closes_at);
    assert_eq!(windows.due(&[], closes_at), Due::Final);
    assert_eq!(windows.closes_at(), None);
}

/// 6.7, undocumented: a record that is late.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_late_goes_into_the_open_window() {
    let now = Instant::now();
    let mut windows = windows();
    let records = [record(1, 121.0), record(2, 119.0), record(3, 122.0)];
    assert_eq!(windows.due(&records, now), Due::Aggregate(3));
    assert_eq!(
        windows
            .bounds()
            .unwrap()
            .end
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
        START + 240
    );
}
