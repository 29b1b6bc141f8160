//! 6.3, what goes together into one invocation, and when; 6.8, what does not go into any.

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::lambda::event::PAYLOAD_BYTES_MAX;
use kcl_core::lambda::filter::FilterCriteria;
use kcl_core::lambda::mapping::MappingSettings;
use tokio::time::sleep;

use crate::stage::{Answer, SECOND, Seen, does_nothing, finish, mapping, run};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case!(
            ["6.1 BatchSize", "6.3 one in flight"],
            a_batch_has_at_most_its_size
        ),
        case!(["6.1 BatchSize"], a_batch_has_a_hundred_if_nothing_is_said),
        case!(
            ["6.1 MaximumBatchingWindowInSeconds"],
            a_batch_that_is_not_full_waits_for_its_window
        ),
        case!(
            ["6.1 MaximumBatchingWindowInSeconds", "6.2 no empty batch"],
            without_a_window_a_batch_is_what_is_there
        ),
        case!(
            [
                "6.1 BatchSize",
                "6.1 MaximumBatchingWindowInSeconds",
                "6.3 6 MB"
            ],
            a_batch_ends_where_the_next_record_would_exceed_an_invocation
        ),
        case!(["6.2 one shard"], shards_are_not_mixed),
    ];
    cases.extend(filtered());
    cases
}

/// 100, whatever a page brings.
async fn a_batch_has_a_hundred_if_nothing_is_said() {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let source = ScriptedSource::new().with_batch_max(1_000);
    source.put("s", vec!["x"; 250]);
    source.close("s", &[]);
    let mapping = mapping(MappingSettings::default());
    finish(seen.worker(&source, &leases, mapping, does_nothing)).await;
    let sizes: Vec<_> = seen.now().calls.iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 100, 50]);
}

/// Full batches do not wait, and one is in flight.
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

/// From the first record on.
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

/// The default.
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

/// 6 MB with base64 and envelope: about 4.4 MB of payload, to the byte.
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
    finish(worker).await;
    let mut calls = seen.now().calls;
    calls.sort();
    assert_eq!(calls, [["a", "a"], ["b", "b"]]);
}

/// What is filtered out settles where it is, before batches are made.
fn filtered() -> Vec<Case> {
    let rows: [Filtered; 3] = [
        (
            "what the filter keeps fills batches",
            &[r#"{"n": 1}"#, r#"{"n": 2}"#, r#"{"n": 1.5}"#],
            &[&[r#"{"n": 2}"#, r#"{"n": 1.5}"#]],
        ),
        (
            "a payload that is no JSON is dropped and settles",
            &["text", r#"{"n": 3}"#],
            &[&[r#"{"n": 3}"#]],
        ),
        (
            "a shard of which all is dropped is finished without an invocation",
            &["text", r#"{"n": 0}"#, "{}"],
            &[],
        ),
    ];
    let case = |(name, records, calls): Filtered| {
        let rows = &["6.3 filter first", "6.8 dropped"];
        Case::new(rows, name, async move || {
            let settings = MappingSettings {
                batch_size: 2,
                ..MappingSettings::default()
            };
            let filter = FilterCriteria::new([r#"{"data": {"n": [{"numeric": [">", 1]}]}}"#]);
            let mapping = mapping(settings).with_filter(filter.unwrap());
            let run = run(records, mapping, does_nothing).await;
            assert_eq!(run.calls, calls);
            assert_eq!((run.finished, run.checkpoint.as_str()), (1, "SHARD_END"));
        })
    };
    rows.into_iter().map(case).collect()
}

/// A name, payloads, and the payloads of each invocation.
type Filtered = (
    &'static str,
    &'static [&'static str],
    &'static [&'static [&'static str]],
);
