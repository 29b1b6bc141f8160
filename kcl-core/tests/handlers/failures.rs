//! What fails, under every policy.

use kcl_core::*;
use tokio::time::sleep;

use crate::stage::*;

#[tokio::test(start_paused = true)]
async fn exactly_the_poison_reaches_the_destination_by_any_door_and_with_any_number_of_lanes() {
    let texts = ["a", "b:fail", "c", "a:panic", "d", "b", "e:hang", "f"];
    for by_record in [true, false] {
        for count in [1, 4] {
            let (stage, source, leases) = shard(&texts);
            source.close("s", &[]);
            let failure = FailureSettings {
                bisect: true,
                call_max: Some(10 * SECOND),
                ..divert_after(3)
            };
            let made = builder(&stage, &source, &leases, lanes(count), failure);
            let made = stage.diverting(made);
            let made = if by_record {
                stage.by_record(made)
            } else {
                stage.by_batch(made)
            };
            let report = run_to_the_end(made).await;
            assert_eq!(report.finished, 1);
            let mut diverted = stage.diverted_texts();
            diverted.sort_unstable();
            assert_eq!(diverted, ["a:panic", "b:fail", "e:hang"]);
            let mut done = stage.done();
            done.sort_unstable();
            done.dedup();
            assert_eq!(done, ["a", "b", "c", "d", "f"]);
            let causes: Vec<_> = stage
                .diverted()
                .into_iter()
                .map(|failed| failed.document)
                .collect();
            for document in &causes {
                assert_eq!(
                    (document.attempts, document.batch_size),
                    (3, 1),
                    "{document:?}"
                );
                assert_eq!(document.reason, event::GiveUpReason::AttemptsExhausted);
                assert_eq!(document.shard.name(), "s");
            }
            let of = |number: &str| {
                let found = causes
                    .iter()
                    .find(|at| at.start_sequence_number.as_str() == number);
                found.unwrap().cause.unwrap()
            };
            let expected = (
                event::FailureCause::Error,
                event::FailureCause::Panic,
                event::FailureCause::TimedOut,
            );
            assert_eq!((of("2"), of("4"), of("7")), expected);
            let events = stage.events();
            let count = |name| events.iter().filter(|event| *event == name).count();
            assert_eq!(count("RecordsGivenUp"), 3, "nothing is skipped unseen");
            assert_eq!(count("RecordsDiverted"), 3);
            assert!(count("BatchFailed") >= 9);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_record_holds_up_its_key_and_the_checkpoint_and_nothing_else() {
    let (stage, source, leases) = shard(&["a", "b:fail", "c", "b", "d"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(2),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(60 * SECOND).await;
    let mut done = stage.done();
    done.sort_unstable();
    assert_eq!(done, ["a", "c", "d"]);
    assert_eq!(
        durable(&leases),
        "1",
        "the checkpoint stays before the record that fails"
    );
    assert!(
        stage.begun_at("b:fail").len() > 5,
        "it is tried again and again"
    );
    running.stop().await.unwrap();
    assert_eq!(durable(&leases), "1");
}

#[tokio::test(start_paused = true)]
async fn the_policy_to_stop_drains_and_returns_the_error() {
    for (attempts_max, attempts) in [(None, 1), (Some(3), 3)] {
        let (stage, source, leases) = shard(&["a", "b:fail", "c"]);
        let failure = FailureSettings {
            policy: FailurePolicy::StopWorker,
            attempts_max,
            ..FailureSettings::default()
        };
        let made = builder(&stage, &source, &leases, lanes(1), failure);
        let worker = stage.by_record(made).build().unwrap();
        let error = worker.run(std::future::pending()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Processor);
        let said = format!(
            "the worker stops at record 2, attempts at it: {attempts}: the handler of shard s failed: scripted"
        );
        assert_eq!(error.chain(), said);
        assert_eq!(stage.begun_at("b:fail").len(), attempts);
        assert_eq!(durable(&leases), "1");
        assert!(!leases.is_held("s"));
        assert!(stage.events().contains(&"RecordsGivenUp".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_settles_nothing_until_it_comes_back() {
    let (stage, source, leases) = shard(&["a:fail", "b"]);
    source.close("s", &[]);
    stage.fail_diverts(20);
    let made = builder(&stage, &source, &leases, lanes(1), divert_after(1));
    let running = start(stage.diverting(stage.by_record(made)));
    sleep(10 * SECOND).await;
    assert_eq!(durable(&leases), "TRIM_HORIZON");
    assert!(stage.diverted().is_empty());
    let report = running.task.await.unwrap().unwrap();
    assert_eq!(report.finished, 1);
    assert_eq!(stage.diverted_texts(), ["a:fail"]);
    let failures = stage.events();
    let failures = failures
        .iter()
        .filter(|event| *event == "DestinationFailed");
    assert_eq!(failures.count(), 20);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_of_time_a_call_that_hangs_is_told_and_the_others_go_on() {
    let (stage, source, leases) = shard(&["a:hang", "b", "c"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(2),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(200 * SECOND).await;
    assert_eq!(
        stage.done(),
        ["c", "b"],
        "b waited behind it, and was given back"
    );
    let events = stage.events();
    let told = events
        .iter()
        .filter(|event| *event == "CallRunsLong")
        .count();
    assert_eq!(told, 3);
    let begin = tokio::time::Instant::now();
    let report = running.stop().await.unwrap();
    assert_eq!(
        begin.elapsed(),
        20 * SECOND,
        "it is cut off in time to give the shard back"
    );
    assert_eq!(
        (report.released, durable(&leases).as_str()),
        (1, "TRIM_HORIZON")
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_is_tried_again_as_a_whole_with_its_attempts_counted() {
    let (stage, source, leases) = shard(&["a", "b:once", "c"]);
    source.close("s", &[]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    run_to_the_end(stage.by_batch(made)).await;
    assert_eq!(stage.begun(), ["a", "b:once", "a", "b:once", "c"]);
    assert_eq!(stage.attempts(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_too_old_are_not_even_tried() {
    let (stage, source, leases) = shard(&["a", "b", "c"]);
    source.close("s", &[]);
    let failure = FailureSettings {
        policy: FailurePolicy::Divert,
        age_max: Some(60 * SECOND),
        ..FailureSettings::default()
    };
    // Two minutes after the records arrived.
    let now = || std::time::SystemTime::UNIX_EPOCH + 120 * SECOND;
    let made =
        builder(&stage, &source, &leases, lanes(1), failure).with_env(Env::simulated(now, 1));
    run_to_the_end(stage.diverting(stage.by_record(made))).await;
    assert!(stage.begun().is_empty());
    assert_eq!(stage.diverted_texts(), ["a", "b", "c"]);
    let document = &stage.diverted()[0].document;
    assert_eq!(
        (document.attempts, document.cause, document.batch_size),
        (0, None, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_processor_may_have_a_limit_of_time_as_well() {
    struct Hangs;
    #[async_trait]
    impl RecordProcessor for Hangs {
        async fn process_records(
            &mut self,
            _: &ShardContext,
            _: &Batch,
            _: &Checkpointer,
        ) -> ProcessorResult {
            std::future::pending().await
        }
    }
    let (stage, source, leases) = shard(&["a"]);
    let failure = FailureSettings {
        policy: FailurePolicy::StopWorker,
        call_max: Some(SECOND),
        ..FailureSettings::default()
    };
    let made = builder(&stage, &source, &leases, lanes(1), failure);
    let worker = made.with_processor(|_: &ShardContext| Hangs);
    let error = worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "process_records of shard s did not come back within 1s, and was cancelled"
    );
}
