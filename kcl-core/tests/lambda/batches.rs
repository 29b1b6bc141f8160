//! 6.2 and 6.3, what an event has in it and what goes together into one; 6.8, what does not go into any.

use aws_lambda_events::event::kinesis::KinesisEvent;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::kpl::{Aggregator, UserRecord};
use kcl_core::lambda::event::PAYLOAD_BYTES_MAX;
use kcl_core::lambda::filter::FilterCriteria;
use kcl_core::lambda::mapping::MappingSettings;
use tokio::time::sleep;

use crate::stage::{ARN, Answer, Call, SECOND, Seen, does_nothing, mapping, run, source_of};

/// 6.1 BatchSize, 6.3: full batches do not wait, and one is in flight.
#[tokio::test(start_paused = true)]
async fn a_batch_has_at_most_its_size() {
    let settings = MappingSettings {
        batch_size: 2,
        batching_window: 300 * SECOND,
        ..MappingSettings::default()
    };
    let run = run(&["1", "2", "3", "4", "5"], mapping(settings), |_| {
        Answer::Takes(SECOND)
    })
    .await;
    let expected: [&[&str]; 3] = [&["1", "2"], &["3", "4"], &["5"]];
    assert_eq!(run.calls, expected);
    assert_eq!(run.running_max, 1);
    assert!(
        run.times[2] < 3 * SECOND,
        "the shard's end does not wait: {:?}",
        run.times
    );
}

/// 6.1 MaximumBatchingWindowInSeconds: from the first record on.
#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_full_waits_for_its_window() {
    let settings = MappingSettings {
        batching_window: 10 * SECOND,
        ..MappingSettings::default()
    };
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    source.put("s", ["one"]);
    let worker = seen.worker(&source, &leases, mapping(settings), does_nothing);
    let story = async {
        sleep(9 * SECOND).await;
        source.put("s", ["two"]);
        sleep(9 * SECOND).await;
        source.put("s", ["three"]);
        sleep(20 * SECOND).await;
    };
    worker.build().unwrap().run(story).await.unwrap();
    let run = seen.now();
    let expected: [&[&str]; 2] = [&["one", "two"], &["three"]];
    assert_eq!(run.calls, expected);
    let seconds: Vec<_> = run.times.iter().map(|time| time.as_secs()).collect();
    assert_eq!(seconds, [10, 28], "each window begins with a record");
}

/// 6.1 MaximumBatchingWindowInSeconds 0, the default; 6.2: empty batches are not sent.
#[tokio::test(start_paused = true)]
async fn without_a_window_a_batch_is_what_is_there() {
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    let worker = seen.worker(
        &source,
        &leases,
        mapping(MappingSettings::default()),
        does_nothing,
    );
    let story = async {
        sleep(60 * SECOND).await;
        source.put("s", ["one"]);
        sleep(60 * SECOND).await;
        source.put("s", ["two", "three"]);
        sleep(60 * SECOND).await;
    };
    worker.build().unwrap().run(story).await.unwrap();
    let expected: [&[&str]; 2] = [&["one"], &["two", "three"]];
    assert_eq!(seen.now().calls, expected);
}

/// 6.1 and 6.3, 6 MB with base64 and envelope: about 4.4 MB of payload, to the byte.
#[tokio::test(start_paused = true)]
async fn a_batch_ends_where_the_next_record_would_exceed_an_invocation() {
    let settings = MappingSettings {
        batch_size: 10_000,
        batching_window: 300 * SECOND,
        ..MappingSettings::default()
    };
    let texts: Vec<_> = (0..50)
        .map(|at| format!("\"{at}\":{}", "x".repeat(100_000)))
        .collect();
    let records: Vec<_> = texts.iter().map(String::as_str).collect();
    let run = run(&records, mapping(settings), does_nothing).await;
    let sizes: Vec<_> = run.calls.iter().map(Vec::len).collect();
    assert_eq!(sizes, [47, 3]);
    let bytes = serde_json::to_vec(&run.events[0]).unwrap().len();
    assert!(
        bytes < PAYLOAD_BYTES_MAX && bytes + 134_000 > PAYLOAD_BYTES_MAX,
        "{bytes}"
    );
}

/// 6.1 ParallelizationFactor, 6.3: up to so many at once; a key in one at a time, in order.
#[tokio::test(start_paused = true)]
async fn lanes_run_side_by_side_and_keep_the_order_of_each_key() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 3,
        ..MappingSettings::default()
    };
    let records = ["a:1", "a:2", "b:1", "c:1", "d:1", "a:3", "b:2"];
    let run = run(&records, mapping(settings), |_| Answer::Takes(SECOND)).await;
    assert_eq!(run.running_max, 3);
    let all: Vec<_> = run.calls.concat();
    for key in ["a", "b"] {
        let of_key: Vec<_> = all.iter().filter(|text| text.starts_with(key)).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    let at = |text: &str| run.times[all.iter().position(|found| found == text).unwrap()];
    assert!(at("a:2") >= at("a:1") + SECOND && at("a:3") >= at("a:2") + SECOND);
    assert!(at("c:1") < SECOND, "other keys do not wait");
}

/// 6.3: the checkpoint is that of the lowest unfinished record, whatever other lanes have done.
#[tokio::test(start_paused = true)]
async fn a_lane_that_is_blocked_holds_up_the_checkpoint_and_no_other_lane() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        ..MappingSettings::default()
    };
    let run = run(
        &["a", "bad", "b", "c"],
        mapping(settings),
        |call: &Call<'_>| {
            if call.has("bad") {
                Answer::Fails
            } else {
                Answer::Nothing
            }
        },
    )
    .await;
    assert!(
        ["a", "b", "c"]
            .iter()
            .all(|text| run.calls.contains(&vec![(*text).to_owned()]))
    );
    assert_eq!(run.checkpoint, "1");
}

/// 6.2, the whole record, typed.
#[tokio::test(start_paused = true)]
async fn the_event_is_lambdas() {
    let run = run(&["one"], mapping(MappingSettings::default()), does_nothing).await;
    let record = &run.events[0].records[0];
    assert_eq!(record.event_id.as_deref(), Some("s:1"));
    assert_eq!(record.event_name.as_deref(), Some("aws:kinesis:record"));
    assert_eq!(record.event_source.as_deref(), Some("aws:kinesis"));
    assert_eq!(record.event_version.as_deref(), Some("1.0"));
    assert_eq!(record.event_source_arn.as_deref(), Some(ARN));
    assert_eq!(record.aws_region.as_deref(), Some("us-east-1"));
    assert_eq!(record.kinesis.partition_key, "one");
    assert_eq!(record.kinesis.sequence_number, "1");
    assert_eq!(record.kinesis.data.as_slice(), b"one");
    assert_eq!(
        record.kinesis.kinesis_schema_version.as_deref(),
        Some("1.0")
    );
}

/// 6.2 and 6.9: a function of its own type, of text, and the context it gets.
#[tokio::test(start_paused = true)]
async fn a_function_of_any_type_gets_the_same_event() {
    use lambda_runtime::{LambdaEvent, service_fn};
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let source = source_of(&["one", "\"two\""]);
    let typed = run(
        &["one", "\"two\""],
        mapping(MappingSettings::default()),
        does_nothing,
    )
    .await;
    let noted = seen.clone();
    let function = service_fn(move |event: LambdaEvent<serde_json::Value>| {
        let context = &event.context;
        assert_eq!(context.request_id.len(), 36);
        assert_eq!(
            context.deadline, 3_000,
            "the wall clock stands, and the timeout is 3 s"
        );
        assert_eq!(
            context.invoked_function_arn,
            "arn:aws:lambda:us-east-1:000000000000:function:orders"
        );
        assert_eq!(
            (
                context.env_config.memory,
                context.env_config.version.as_str()
            ),
            (128, "$LATEST")
        );
        let event: KinesisEvent = serde_json::from_value(event.payload).unwrap();
        noted.note(event);
        std::future::ready(Ok::<_, lambda_runtime::Error>(()))
    });
    let worker = seen
        .worker(
            &source,
            &leases,
            mapping(MappingSettings::default()),
            does_nothing,
        )
        .with_lambda(mapping(MappingSettings::default()), function);
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    assert_eq!(seen.now().events, typed.events);
}

/// 6.2: a batch has records of one shard.
#[tokio::test(start_paused = true)]
async fn shards_are_not_mixed() {
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["a", "b"]),
        ScriptedSource::new(),
    );
    for shard in ["a", "b"] {
        source.put(shard, [shard, shard]);
        source.close(shard, &[]);
    }
    let worker = seen.worker(
        &source,
        &leases,
        mapping(MappingSettings::default()),
        does_nothing,
    );
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let mut calls = seen.now().calls;
    calls.sort();
    assert_eq!(calls, [["a", "a"], ["b", "b"]]);
}

/// 6.2: aggregated records are not taken apart.
#[tokio::test(start_paused = true)]
async fn aggregates_come_as_they_are() {
    let mut aggregator = Aggregator::new();
    for key in ["a", "b"] {
        aggregator.add(UserRecord::new(key, key)).unwrap();
    }
    let packed = aggregator.finish().unwrap().data.to_vec();
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    source.put("s", [&packed]);
    source.close("s", &[]);
    let worker = seen.worker(
        &source,
        &leases,
        mapping(MappingSettings::default()),
        does_nothing,
    );
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let events = seen.now().events;
    assert_eq!((events.len(), events[0].records.len()), (1, 1));
    assert_eq!(events[0].records[0].kinesis.data.as_slice(), packed);
}

/// What it is about, payloads, and the payloads of each invocation.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static [&'static str]],
);

/// 6.3 and 6.8: filtered out before batches are made, processed where they are.
#[tokio::test(start_paused = true)]
async fn what_is_filtered_out_does_not_fill_a_batch_and_moves_the_checkpoint() {
    let settings = MappingSettings {
        batch_size: 2,
        ..MappingSettings::default()
    };
    let filter = FilterCriteria::new([r#"{"data": {"n": [{"numeric": [">", 1]}]}}"#]).unwrap();
    let rows: [Row; 3] = [
        (
            "6.8: kept",
            &[r#"{"n": 1}"#, r#"{"n": 2}"#, r#"{"n": 1.5}"#],
            &[&[r#"{"n": 2}"#, r#"{"n": 1.5}"#]],
        ),
        (
            "6.8: a payload that is not JSON is dropped",
            &["text", r#"{"n": 3}"#],
            &[&[r#"{"n": 3}"#]],
        ),
        ("6.8: all are dropped", &["text", r#"{"n": 0}"#, "{}"], &[]),
    ];
    for (row, records, calls) in rows {
        let mapping = mapping(settings.clone()).with_filter(filter.clone());
        let run = run(records, mapping, does_nothing).await;
        assert_eq!(run.calls, calls, "{row}");
        assert_eq!(
            (run.finished, run.checkpoint.as_str()),
            (1, "SHARD_END"),
            "{row}"
        );
    }
}
