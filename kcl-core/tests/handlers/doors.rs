//! The doors: closures, handlers of batches, streams; lanes, windows and filters; what the builder refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use kcl_core::*;
use tokio::time::{Instant, sleep};

use crate::stage::*;

#[tokio::test(start_paused = true)]
async fn lanes_run_side_by_side_and_keep_the_order_of_each_key() {
    for by_record in [true, false] {
        let texts: Vec<_> = (0..120)
            .map(|at| format!("{}:{at:03}:slow", at % 12))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let (stage, source, leases) = shard(&texts);
        source.close("s", &[]);
        let handler = HandlerSettings {
            batch_records_max: 1,
            ..lanes(6)
        };
        let made = builder(
            &stage,
            &source,
            &leases,
            handler,
            FailureSettings::default(),
        );
        let made = if by_record {
            stage.by_record(made)
        } else {
            stage.by_batch(made)
        };
        let begin = Instant::now();
        let report = run_to_the_end(made).await;
        assert_eq!(begin.elapsed(), 20 * SECOND, "six at a time");
        assert_eq!(report.records, 120, "each is counted once");
        assert_eq!(stage.running_max(), 6);
        for key in 0..12 {
            let prefix = format!("{key}:");
            let begun = stage.begun();
            let of_key: Vec<_> = begun
                .iter()
                .filter(|text| text.starts_with(&prefix))
                .collect();
            assert_eq!(of_key.len(), 10);
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
    }
}

/// On real threads, where calls end, give back and begin at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_each_record_is_processed_once_and_in_the_order_of_its_key() {
    let source = contract::ScriptedSource::new();
    let texts = (0..4_000).map(|at| (format!("{}", at % 37), format!("{at}")));
    source.put_keyed("s", texts);
    source.close("s", &[]);
    let leases = contract::FixedOwnership::new(["s"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let made = builder(
        &Stage::default(),
        &source,
        &leases,
        lanes(8),
        FailureSettings::default(),
    )
    .with_record_handler(move |record: Record, _: HandlerContext| {
        let number: u64 = text(&record).parse().unwrap();
        noted.lock().unwrap().push((record.partition_key, number));
        async move {
            // Some take longer than a call goes on with further records.
            if number.is_multiple_of(97) {
                sleep(Duration::from_millis(25)).await;
            }
            Ok(())
        }
    });
    let report = run_to_the_end(made).await;
    assert_eq!((report.finished, report.records), (1, 4_000));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 4_000);
    for key in 0..37 {
        let of_key = seen.iter().filter(|(of, _)| *of == key.to_string());
        let numbers: Vec<_> = of_key.map(|(_, number)| *number).collect();
        assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_waits_while_too_much_is_unsettled() {
    let texts: Vec<_> = (0..1000).map(|at| format!("{at}:slow")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let (stage, source, leases) = shard(&texts);
    let source = source.with_batch_max(10);
    source.put_keyed("s", [("hang", "hang")]);
    let handler = HandlerSettings {
        unsettled_records_max: 50,
        ..lanes(16)
    };
    let made = builder(
        &stage,
        &source,
        &leases,
        handler,
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made.with_source(source.clone())));
    sleep(SECOND / 2).await;
    assert!(stage.begun().len() <= 16);
    sleep(100 * SECOND).await;
    assert_eq!(stage.done().len(), 1000);
    let more: Vec<_> = (0..500).map(|at| (format!("k{at}"), "x")).collect();
    source.put_keyed("s", more);
    sleep(100 * SECOND).await;
    let ahead = stage.done().len() - 1000;
    assert!(
        (40..60).contains(&ahead),
        "{ahead} records are ahead of the one that hangs"
    );
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_window_gathers_and_a_filter_drops() {
    let (_, source, leases) = shard(&["a", "b:no", "c"]);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    let handler = HandlerSettings {
        batch_records_max: 4,
        batch_window: 5 * SECOND,
        ..lanes(1)
    };
    let stage = Stage::default();
    let made = builder(
        &stage,
        &source,
        &leases,
        handler,
        FailureSettings::default(),
    )
    .with_filter(|record: &Record| {
        assert_ne!(record.data, "boom");
        !record.data.ends_with(b"no")
    })
    .with_batch_handler(move |batch: HandlerBatch| {
        seen.lock().unwrap().push(batch.len());
        async { Ok(()) }
    });
    let running = start(made);
    sleep(SECOND).await;
    assert!(sizes.lock().unwrap().is_empty());
    sleep(5 * SECOND).await;
    assert_eq!(*sizes.lock().unwrap(), [2], "the window is over");
    source.put("s", ["d", "e", "f", "g:no", "g", "h"]);
    sleep(SECOND).await;
    assert_eq!(
        *sizes.lock().unwrap(),
        [2, 4],
        "one is full, the other waits"
    );
    source.put("s", ["boom"]);
    sleep(5 * SECOND).await;
    assert_eq!(
        *sizes.lock().unwrap(),
        [2, 4, 2],
        "what the filter panics at is kept"
    );
    assert!(stage.events().contains(&"FilterPanicked".to_owned()));
    source.put("s", ["x:no", "y:no"]);
    sleep(6 * SECOND).await;
    assert_eq!(durable(&leases), "12", "settled without any call");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_which_records_failed() {
    let (stage, source, leases) = shard(&["a", "b", "c", "d"]);
    source.close("s", &[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = seen.clone();
    let made = builder(&stage, &source, &leases, lanes(1), divert_after(3));
    let made = stage
        .diverting(made)
        .with_batch_handler(move |batch: HandlerBatch| {
            let texts: Vec<_> = batch.iter().map(text).collect();
            let attempt = batch.context().attempt();
            calls
                .lock()
                .unwrap()
                .push(format!("{}, {attempt}", texts.join(" ")));
            async move {
                Ok(match texts.join(" ").as_str() {
                    "a b c d" => BatchOutcome::FailedFrom {
                        first: 1,
                        error: None,
                    },
                    "b c d" => BatchOutcome::Failed {
                        records: vec![2, 0],
                        error: Some("no room".into()),
                    },
                    // There is no such record: all of it failed.
                    _ => BatchOutcome::FailedFrom {
                        first: 7,
                        error: None,
                    },
                })
            }
        });
    run_to_the_end(made).await;
    let calls = seen.lock().unwrap().clone();
    assert_eq!(calls, ["a b c d, 1", "b c d, 2", "b d, 3"]);
    assert_eq!(stage.diverted_texts(), ["b", "d"]);
    let document = &stage.diverted()[0].document;
    assert_eq!(document.cause, Some(event::FailureCause::Reported));
    let error = document.error.clone().unwrap();
    assert!(error.contains("record 7 of a batch of 2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_stream_that_is_not_acknowledged_comes_again() {
    let (stage, source, leases) = shard(&["a", "b"]);
    source.close("s", &[]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    let (made, mut batches) = made.with_batch_stream();
    let running = tokio::spawn(made.build().unwrap().run(std::future::pending()));
    let first = batches.next().await.unwrap();
    assert_eq!((first.records().len(), first.context().attempt()), (2, 1));
    drop(first);
    let second = batches.next().await.unwrap();
    assert_eq!(second.context().attempt(), 2);
    second.nack("not now").unwrap();
    let third = batches.next().await.unwrap();
    third
        .settle(BatchOutcome::FailedFrom {
            first: 1,
            error: None,
        })
        .unwrap();
    let fourth = batches.next().await.unwrap();
    assert_eq!(text(&fourth.records()[0]), "b");
    fourth.ack().unwrap();
    assert!(
        batches.next().await.is_none(),
        "the stream ends with the worker"
    );
    assert_eq!(running.await.unwrap().unwrap().finished, 1);
    assert_eq!(leases.checkpoint("s"), Some(Checkpoint::ShardEnd));
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_stream_never_sees_a_batch_of_a_shard_that_is_lost() {
    let (stage, source, leases) = shard(&["a", "b"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(2),
        FailureSettings::default(),
    );
    let (made, mut batches) = made.with_batch_stream();
    let running = start(made);
    let held = batches.next().await.unwrap();
    source.put("s", ["c"]);
    sleep(SECOND).await;
    leases.lose("s");
    sleep(5 * SECOND).await;
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Fenced);
    let next = tokio::time::timeout(SECOND, batches.next()).await;
    assert!(next.is_err(), "what waited in the stream was taken back");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_back_what_no_reader_of_the_stream_has_seen() {
    let (stage, source, leases) = shard(&["a", "b", "c"]);
    let handler = HandlerSettings {
        batch_records_max: 1,
        ..lanes(3)
    };
    let made = builder(
        &stage,
        &source,
        &leases,
        handler,
        FailureSettings::default(),
    );
    let (made, mut batches) = made.with_batch_stream();
    let running = start(made);
    let first = batches.next().await.unwrap();
    sleep(SECOND).await;
    let begin = Instant::now();
    let stopping = tokio::spawn(running.stop());
    sleep(SECOND).await;
    first.ack().unwrap();
    assert_eq!(stopping.await.unwrap().unwrap().released, 1);
    assert_eq!(begin.elapsed(), SECOND);
    assert_eq!(durable(&leases), "1");
    assert!(batches.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_any_more_is_a_failure_that_is_told() {
    let (stage, source, leases) = shard(&["a"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    let (made, batches) = made.with_batch_stream();
    drop(batches);
    let running = start(made);
    sleep(SECOND).await;
    assert!(stage.events().contains(&"BatchFailed".to_owned()));
    running.stop().await.unwrap();
}

#[test]
fn what_does_not_go_together_is_refused_with_what_to_do() {
    let (stage, source, leases) = shard(&[]);
    let refused = |made: WorkerBuilder| made.build().unwrap_err().to_string();
    let of = |failure| builder(&stage, &source, &leases, lanes(1), failure);
    let text = refused(stage.by_record(of(divert_after(3))));
    assert!(text.contains("failure_destination: is missing"), "{text}");
    let text = refused(stage.diverting(stage.by_record(of(FailureSettings::default()))));
    assert!(
        text.contains("failure_destination: is never used"),
        "{text}"
    );
    let no_limit = FailureSettings {
        policy: FailurePolicy::Divert,
        ..FailureSettings::default()
    };
    let text = refused(stage.diverting(stage.by_record(of(no_limit))));
    assert!(text.contains("divert needs a limit"), "{text}");
    let unused = FailureSettings {
        attempts_max: Some(3),
        ..FailureSettings::default()
    };
    let text = refused(stage.by_record(of(unused)));
    assert!(text.contains("restart has no limits"), "{text}");
    let settings = Settings {
        commit: CommitSettings {
            policy: CheckpointPolicy::Manual,
        },
        handler: HandlerSettings {
            lanes: 0,
            batch_window: Duration::from_secs(3600),
            ..HandlerSettings::default()
        },
        ..Settings::default()
    };
    let made = of(FailureSettings::default()).with_settings(settings);
    let text = refused(stage.by_record(made));
    for setting in ["commit.policy", "handler.lanes", "handler.batch_window"] {
        assert!(text.contains(setting), "{setting} in {text}");
    }
    let text = refused(of(FailureSettings::default()));
    assert!(text.contains("with_record_handler"), "{text}");
}
