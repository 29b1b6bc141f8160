//! 6.6, the on-failure document as the engine makes it, and who gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kcl_core::contract::FixedOwnership;
use kcl_core::event::{Event, GiveUpReason};
use kcl_core::lambda::destination::Payload;
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::lambda::on_failure::OnFailureMessage;
use serde_json::json;

use crate::stage::{ARN, SECOND, Seen, does_nothing, fails_on_bad, mapping, run, source_of};

fn once() -> MappingSettings {
    MappingSettings {
        maximum_retry_attempts: Some(0),
        ..MappingSettings::default()
    }
}

/// 6.6, all fields.
#[tokio::test(start_paused = true)]
async fn the_document_says_what_happened() {
    let run = run(&["one", "bad"], mapping(once()), fails_on_bad).await;
    let mut document = run.documents[0].clone();
    let id = document["requestContext"]["requestId"].take();
    assert_eq!(id.as_str().unwrap().len(), 36, "{id}");
    let expected = json!({
        "requestContext": {
            "requestId": null,
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {
            "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "1970-01-01T00:00:00.000Z",
        "KinesisBatchInfo": {
            "shardId": "s",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": "1970-01-01T00:00:00.001Z",
            "approximateArrivalOfLastRecord": "1970-01-01T00:00:00.002Z",
            "batchSize": 2,
            "streamArn": ARN,
        },
    });
    assert_eq!(document, expected);
}

/// 6.6, S3: with the event in it, under the name Lambda gives it. 6.10: the word for age is an option.
#[tokio::test(start_paused = true)]
async fn an_object_has_the_event_and_a_name() {
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..MappingSettings::default()
    };
    let mapping = mapping(settings)
        .with_payload(Payload::Object)
        .with_age_condition("RecordAgeExpired")
        .with_id("137b4ba6");
    let run = run(&["bad"], mapping, fails_on_bad).await;
    let document = &run.documents[0];
    assert_eq!(document["requestContext"]["condition"], "RecordAgeExpired");
    assert_eq!(document["payload"]["Records"][0]["kinesis"]["data"], "YmFk");
    assert!(
        run.keys[0].starts_with("aws/lambda/137b4ba6/s/1970/01/01/1970-01-01T00.00.00-"),
        "{:?}",
        run.keys
    );
}

/// 6.6: no response without an invocation. 6.3 and 6.10: a record too large for any invocation is given up unseen.
#[tokio::test(start_paused = true)]
async fn what_fits_nowhere_never_reaches_the_function() {
    let large = "x".repeat(4_800_000);
    let run = run(&["one", &large, "three"], mapping(once()), does_nothing).await;
    assert_eq!(run.calls, [["one"], ["three"]]);
    let document = &run.documents[0];
    assert_eq!(
        document["requestContext"]["condition"],
        "RequestEntityTooLarge"
    );
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(document.get("responseContext"), None);
    assert_eq!(document["KinesisBatchInfo"]["startSequenceNumber"], "2");
    assert_eq!(run.finished, 1);
}

/// 6.6: records that were too old when they came.
#[tokio::test(start_paused = true)]
async fn what_is_too_old_never_reaches_the_function() {
    let settings = MappingSettings {
        maximum_record_age: Some(60 * SECOND),
        ..MappingSettings::default()
    };
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(3_600);
    let worker = seen
        .worker(
            &source_of(&["old"]),
            &leases,
            mapping(settings),
            does_nothing,
        )
        .with_env(kcl_core::Env::simulated(move || now, 1));
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    let run = seen.now();
    assert_eq!(run.calls.len(), 0);
    let document = &run.documents[0];
    assert_eq!(document["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(document.get("responseContext"), None);
}

/// 6.4.5, with a destination: nothing is processed before it has the document.
#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_gets_it_again() {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let sends = Arc::new(AtomicUsize::new(0));
    let counted = sends.clone();
    let mapping = mapping(once());
    let worker = seen.worker(&source_of(&["bad"]), &leases, mapping.clone(), fails_on_bad);
    let mapping = mapping.with_on_failure(move |_: OnFailureMessage| {
        let is_there = counted.fetch_add(1, Ordering::Relaxed) >= 4;
        std::future::ready(if is_there { Ok(()) } else { Err("away".into()) })
    });
    let worker = worker.with_lambda(
        mapping,
        lambda_runtime::service_fn(|_: lambda_runtime::LambdaEvent<serde_json::Value>| {
            std::future::ready(Err::<(), lambda_runtime::Error>("as told".into()))
        }),
    );
    let report = worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    assert_eq!((report.finished, sends.load(Ordering::Relaxed)), (1, 5));
}

/// 6.4.5, without a destination: skipped, and told.
#[tokio::test(start_paused = true)]
async fn without_a_destination_records_are_skipped_loudly() {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let told = Arc::new(AtomicUsize::new(0));
    let counted = told.clone();
    let worker = seen
        .worker(
            &source_of(&["bad", "two"]),
            &leases,
            mapping(once()),
            fails_on_bad,
        )
        .with_lambda(
            mapping(once()),
            lambda_runtime::service_fn(|_: lambda_runtime::LambdaEvent<serde_json::Value>| {
                std::future::ready(Err::<(), lambda_runtime::Error>("as told".into()))
            }),
        )
        .with_observer(move |event: &Event| {
            if let Event::RecordsGivenUp {
                records, reason, ..
            } = event
            {
                assert_eq!(*reason, Some(GiveUpReason::AttemptsExhausted));
                counted.fetch_add(*records, Ordering::Relaxed);
            }
        });
    let report = worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    assert_eq!((report.finished, told.load(Ordering::Relaxed)), (1, 2));
}
