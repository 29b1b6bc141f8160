//! 6.4, how long it goes on: shards that are blocked, pauses, ages, and functions that are not reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use kcl_core::contract::FixedOwnership;
use kcl_core::lambda::mapping::MappingSettings;
use lambda_runtime::{LambdaEvent, Service, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::failures::{document, retries};
use crate::stage::{
    Answer, Call, Run, SECOND, Seen, fails_on_bad, finish, mapping, run, source_of,
};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(
            ["6.4.2", "6.1 MaximumRetryAttempts"],
            without_limits_a_hopeless_batch_blocks_its_shard
        ),
        case!(["6.4.6"], pauses_grow_to_a_minute),
        case!(["6.4.6"], pauses_can_be_set),
        case!(
            [
                "6.4.2",
                "6.1 MaximumRecordAgeInSeconds",
                "6.6 condition for age"
            ],
            records_that_get_too_old_are_given_up
        ),
        case!(
            ["6.6 records that age in a pause"],
            what_gets_too_old_in_a_pause_is_tried_once_more
        ),
        case!(["6.4.1"], a_function_that_is_not_ready_uses_up_no_attempt),
        case!(
            ["6.4.1", "6.6 never invoked"],
            what_is_never_invoked_is_given_up_by_its_age
        ),
    ]
}

/// The shard is blocked for as long as it takes.
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

/// From 100 ms, doubled, up to 60 s, anywhere below that bound.
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

/// Whatever is left of attempts.
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

async fn pauses_can_be_set() {
    let settings = MappingSettings {
        retry_delay_min: 10 * SECOND,
        retry_delay_max: 20 * SECOND,
        ..retries(100)
    };
    let run = run(&["bad"], mapping(settings), fails_on_bad).await;
    let pauses: Vec<_> = run.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 100);
    assert!(pauses[0] <= 10 * SECOND + SECOND / 100, "{pauses:?}");
    let longest = *pauses.iter().max().unwrap();
    assert!(
        longest > 15 * SECOND && longest <= 20 * SECOND + SECOND / 100,
        "{longest:?}"
    );
}

/// Its age is looked at when an attempt fails, and when a batch is made.
async fn what_gets_too_old_in_a_pause_is_tried_once_more() {
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..MappingSettings::default()
    };
    let (seen, leases, start) = (Seen::default(), FixedOwnership::new(["s"]), Instant::now());
    let does = move |_: &Call<'_>| {
        if start.elapsed() < 60 * SECOND {
            Answer::Fails
        } else {
            Answer::Nothing
        }
    };
    finish(seen.worker(&source_of(&["one"]), &leases, mapping(settings), does)).await;
    let run = seen.now();
    assert!(*run.times.last().unwrap() > 60 * SECOND, "{:?}", run.times);
    assert_eq!(run.documents, Vec::<Value>::new(), "it was processed");
}

/// Refuses to be called so many times, and then does what it is told.
#[derive(Clone)]
struct Unready<F>(F, u32);

impl<T, F: Service<T, Error = lambda_runtime::Error>> Service<T> for Unready<F> {
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

/// What came of a function that is not ready for so long, and how often it was called.
async fn unready(settings: MappingSettings, times: u32) -> (Run, usize) {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let function = service_fn(move |_: LambdaEvent<Value>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, lambda_runtime::Error>(()))
    });
    let worker = seen.worker(
        &source_of(&["one"]),
        &leases,
        seen.documenting(mapping(settings.clone())),
        |_| Answer::Nothing,
    );
    let mapping = seen.documenting(mapping(settings));
    let report = finish(worker.with_lambda(mapping, Unready(function, times))).await;
    assert_eq!(report.finished, 1);
    (seen.now(), calls.load(Ordering::Relaxed))
}

async fn a_function_that_is_not_ready_uses_up_no_attempt() {
    let (run, calls) = unready(retries(0), 10).await;
    assert_eq!((calls, run.documents.len()), (1, 0));
}

async fn what_is_never_invoked_is_given_up_by_its_age() {
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..retries(0)
    };
    let (run, calls) = unready(settings, u32::MAX).await;
    assert_eq!(calls, 0);
    let expected = ("RecordAgeExceeded", 0, 1, None);
    assert_eq!(document(&run.documents[0]), expected);
    assert_eq!(run.documents[0].get("responseContext"), None);
}
