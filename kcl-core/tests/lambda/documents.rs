//! 6.6, the on-failure document as the engine makes it, and who gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kcl_core::contract::FixedOwnership;
use kcl_core::event::{Event, GiveUpReason};
use kcl_core::lambda::destination::Payload;
use kcl_core::lambda::event::PAYLOAD_BYTES_MAX;
use kcl_core::lambda::mapping::{MappingSettings, TooLargeRecord};
use kcl_core::lambda::on_failure::OnFailureMessage;
use serde_json::json;

use crate::stage::{
    ARN, SECOND, Seen, does_nothing, fails_on_bad, finish, mapping, run, source_of,
};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(
            [
                "6.6 fields",
                "6.6 condition",
                "6.6 metadata",
                "6.6 requestId",
                "6.1 DestinationConfig"
            ],
            the_document_says_what_happened
        ),
        case!(
            ["6.6 payload", "6.6 object key", "6.6 condition for age"],
            an_object_has_the_event_and_a_name
        ),
        case!(["6.6 payload"], the_event_can_be_a_text),
        case!(
            ["6.6 metadata"],
            a_document_of_ten_thousand_records_fits_into_a_message
        ),
        case!(
            ["6.3 too large a record", "6.6 never invoked"],
            what_fits_nowhere_never_reaches_the_function
        ),
        case!(["6.3 too large a record"], the_word_for_it_can_be_chosen),
        case!(
            ["6.3 too large a record"],
            a_function_can_be_invoked_with_what_is_too_large
        ),
        case!(
            ["6.6 never invoked", "6.1 MaximumRecordAgeInSeconds"],
            what_is_too_old_never_reaches_the_function
        ),
        case!(
            ["6.4.5", "6.1 DestinationConfig"],
            a_destination_that_fails_gets_it_again
        ),
        case!(
            ["6.4.5", "6.1 DestinationConfig"],
            without_a_destination_records_are_skipped_loudly
        ),
    ]
}

fn once() -> MappingSettings {
    MappingSettings {
        maximum_retry_attempts: Some(0),
        ..MappingSettings::default()
    }
}

/// All fields, and no other.
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

/// For a bucket: with the event in it, under the name Lambda gives it. The word for age is an option.
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

async fn the_event_can_be_a_text() {
    let mapping = mapping(once()).with_payload(Payload::Text);
    let run = run(&["bad"], mapping, fails_on_bad).await;
    let payload = run.documents[0]["payload"].as_str().unwrap();
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(payload["Records"][0]["kinesis"]["data"], "YmFk");
}

/// Of a topic, 256 KB: it has the place of the records and nothing of them.
async fn a_document_of_ten_thousand_records_fits_into_a_message() {
    let settings = MappingSettings {
        batch_size: 10_000,
        batching_window: 300 * SECOND,
        ..once()
    };
    let run = run(&["bad"; 10_000], mapping(settings), fails_on_bad).await;
    let document = &run.documents[0];
    let place = &document["KinesisBatchInfo"];
    assert_eq!(place["batchSize"], 10_000);
    assert_eq!(
        (&place["startSequenceNumber"], &place["endSequenceNumber"]),
        (&json!("1"), &json!("10000")),
        "both are in it"
    );
    assert_eq!(document.get("payload"), None);
    assert!(document.to_string().len() < 4_096, "{document}");
}

async fn the_word_for_it_can_be_chosen() {
    let mapping = mapping(once()).with_too_large_condition("PayloadTooLarge");
    let run = run(&[&"x".repeat(4_800_000)], mapping, does_nothing).await;
    let condition = &run.documents[0]["requestContext"]["condition"];
    assert_eq!((run.calls.len(), condition), (0, &json!("PayloadTooLarge")));
}

/// There is no response then.
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

/// Alone, whatever is beside it.
async fn a_function_can_be_invoked_with_what_is_too_large() {
    let large = "x".repeat(4_800_000);
    let settings = MappingSettings {
        too_large_record: TooLargeRecord::Invoke,
        batching_window: 10 * SECOND,
        ..once()
    };
    let records = ["one", &large, "three"];
    let run = run(&records, mapping(settings), does_nothing).await;
    assert!(run.calls == [["one"], [&large], ["three"]], "not alone");
    assert_eq!((run.documents.len(), run.finished), (0, 1));
    let bytes = serde_json::to_vec(&run.events[1]).unwrap().len();
    assert!(bytes > PAYLOAD_BYTES_MAX, "{bytes}");
}

/// Records that were too old when they came.
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
    finish(worker).await;
    let run = seen.now();
    assert_eq!(run.calls.len(), 0);
    let document = &run.documents[0];
    assert_eq!(document["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(document.get("responseContext"), None);
}

/// Nothing is processed before it has the document.
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
    let report = finish(worker).await;
    assert_eq!((report.finished, sends.load(Ordering::Relaxed)), (1, 5));
}

/// Skipped, and told.
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
    let report = finish(worker).await;
    assert_eq!((report.finished, told.load(Ordering::Relaxed)), (1, 2));
}
