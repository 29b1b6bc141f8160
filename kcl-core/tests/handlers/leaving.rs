//! Loss, hand-over, stops and restarts with many calls in flight.

use kcl_core::contract::{FixedOwnership, Written};
use kcl_core::*;
use tokio::time::{Instant, sleep};

use crate::stage::*;

/// Records of ten keys, all slow.
fn slow() -> Vec<String> {
    (0..100)
        .map(|at| format!("{}:{at}:slow", at % 10))
        .collect()
}

fn many() -> (Stage, contract::ScriptedSource, FixedOwnership) {
    let texts = slow();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    shard(&texts)
}

/// A second worker, which takes over what is left and reads to the end.
async fn take_over(source: &contract::ScriptedSource, leases: &FixedOwnership) -> Stage {
    source.close("s", &[]);
    let stage = Stage::default();
    let made = builder(&stage, source, leases, lanes(4), FailureSettings::default());
    run_to_the_end(stage.by_record(made)).await;
    stage
}

fn assert_each_once(first: &Stage, second: &Stage) {
    let mut all = [first.begun(), second.begun()].concat();
    all.sort_unstable();
    let mut expected = slow();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_many_calls_loses_and_repeats_nothing() {
    for by_record in [true, false] {
        for after in [500, 2_500, 3_100] {
            let (stage, source, leases) = many();
            let handler = HandlerSettings {
                batch_records_max: 3,
                ..lanes(4)
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
            let running = start(made);
            sleep(std::time::Duration::from_millis(after)).await;
            let begin = Instant::now();
            let report = running.stop().await.unwrap();
            assert_eq!(report.released, 1);
            assert!(begin.elapsed() < 20 * SECOND, "{:?}", begin.elapsed());
            let next = take_over(&source, &leases).await;
            assert_each_once(&stage, &next);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_in_the_middle_of_many_calls_repeats_nothing() {
    let (stage, source, leases) = many();
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(8),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(SECOND * 5 / 2).await;
    leases.hand_over("s");
    sleep(10 * SECOND).await;
    assert!(!leases.is_held("s"));
    assert_eq!(leases.written().last(), Some(&Written::Release("s".into())));
    running.stop().await.unwrap();
    let next = take_over(&source, &leases).await;
    assert_each_once(&stage, &next);
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_after_a_loss_and_nothing_is_written() {
    let (stage, source, leases) = many();
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(4),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(SECOND * 3 / 2).await;
    leases.lose("s");
    let begun = stage.begun().len();
    sleep(10 * SECOND).await;
    assert_eq!(stage.begun().len(), begun, "not even within a batch");
    assert_eq!(leases.written(), []);
    assert_eq!(running.stop().await.unwrap().lost, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_go_on_after_a_loss_are_cut_off_before_the_shard_starts_again() {
    let (stage, source, leases) = shard(&["a:hang", "b:hang", "c"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(2),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(SECOND).await;
    leases.lose("s");
    leases.grant("s");
    sleep(SECOND).await;
    assert_eq!(
        stage.begun_at("a:hang").len(),
        1,
        "the first call is still at work"
    );
    sleep(2 * SECOND).await;
    assert_eq!(stage.begun_at("a:hang").len(), 2);
    assert!(stage.running_max() <= 2, "no call met its successor");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_record_is_begun_when_the_grant_is_not_proven_any_more() {
    let (stage, source, leases) = many();
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(4),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(SECOND / 2).await;
    let until = Instant::now() + SECOND;
    leases.prove_until("s", until);
    sleep(5 * SECOND).await;
    let late = slow().into_iter().flat_map(|text| stage.begun_at(&text));
    assert!(late.clone().all(|at| at < until));
    let begun = stage.begun().len();
    leases.prove_until("s", Instant::now() + 1000 * SECOND);
    sleep(SECOND / 2).await;
    assert!(
        stage.begun().len() > begun,
        "it goes on when it is proven again"
    );
    running.stop().await.unwrap();
}

/// The worker is held up between the decision to call and the call, for longer than its grant is proven.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_held_up_does_not_start_when_the_grant_is_not_proven_any_more() {
    let (stage, source, leases) = shard(&[]);
    let gate = env::Gate::default();
    let env = Env::simulated(|| std::time::SystemTime::UNIX_EPOCH, 1).with_gate(gate.clone());
    let closes = std::sync::Mutex::new(Some(gate.clone()));
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    )
    .with_env(env)
    .with_observer(move |event: &Event| {
        // Only the first time.
        if matches!(event, Event::RecordsDelivered { .. })
            && let Some(gate) = closes.lock().unwrap().take()
        {
            gate.close();
        }
    });
    let running = start(stage.by_batch(made));
    sleep(SECOND).await;
    let until = Instant::now() + SECOND;
    leases.prove_until("s", until);
    source.put("s", ["a"]);
    sleep(5 * SECOND).await;
    gate.open(&mut fastrand::Rng::with_seed(1));
    sleep(5 * SECOND).await;
    assert!(stage.begun().is_empty());
    leases.prove_until("s", Instant::now() + 1000 * SECOND);
    sleep(SECOND).await;
    assert_eq!(stage.done(), ["a"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_only_what_was_not_settled_contiguously_comes_again() {
    let (stage, source, leases) = shard(&["a", "b", "c:slow", "d", "e:fail", "f"]);
    let settings = Settings {
        commit: CommitSettings {
            policy: CheckpointPolicy::Automatic {
                every: std::time::Duration::ZERO,
            },
        },
        handler: lanes(3),
        ..Settings::default()
    };
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(3),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made.with_settings(settings)));
    sleep(10 * SECOND).await;
    assert_eq!(durable(&leases), "4");
    running.task.abort();
    drop(running.task.await);
    leases.lose("s");
    let next = Stage::default();
    let made = builder(
        &next,
        &source,
        &leases,
        lanes(3),
        FailureSettings::default(),
    );
    let running = start(next.by_record(made));
    sleep(SECOND / 2).await;
    let mut begun = next.begun();
    begun.sort_unstable();
    begun.dedup();
    assert_eq!(begun, ["e:fail", "f"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_records_fail_gives_the_shard_back_at_once() {
    let (stage, source, leases) = shard(&["a", "b:fail", "c"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    let running = start(stage.by_batch(made));
    sleep(20 * SECOND).await;
    let begin = Instant::now();
    assert_eq!(running.stop().await.unwrap().released, 1);
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_shard_waits_for_the_slowest_record() {
    let (stage, source, leases) = shard(&["a:slow", "b", "c"]);
    source.close("s", &["child"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(3),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(SECOND / 2).await;
    assert_eq!(stage.done(), ["b", "c"]);
    assert_eq!(
        leases.written(),
        [],
        "not finished, and the child has no lease"
    );
    sleep(SECOND).await;
    assert_eq!(leases.written(), [Written::Finish("s".into())]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_may_lie_within_an_aggregated_record() {
    let (stage, source, leases) = (
        Stage::default(),
        contract::ScriptedSource::new(),
        FixedOwnership::new(["s"]),
    );
    source.put_aggregated("s", ["a", "b", "c:fail", "d"]);
    let made = builder(
        &stage,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    let running = start(stage.by_record(made));
    sleep(20 * SECOND).await;
    assert_eq!(durable(&leases), "1/1");
    running.stop().await.unwrap();
    let next = Stage::default();
    let made = builder(
        &next,
        &source,
        &leases,
        lanes(1),
        FailureSettings::default(),
    );
    let running = start(next.by_record(made));
    sleep(SECOND / 100).await;
    assert_eq!(next.begun()[0], "c:fail", "a and b do not come again");
    running.stop().await.unwrap();
}
