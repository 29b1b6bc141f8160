//! Fan-out against a service on a real socket whose frames are broken in every way that we could think of.
//! Each ends in an event that says what was wrong, and a subscription that goes on where the last good
//! frame ended.

mod service;

use std::time::Duration;

use kcl_core::error::ErrorKind;
use kcl_core::event::{Event, ReadCall, ReadFailure};
use kcl_core::model::{Batch, Position};
use kcl_core::port::FeedError;
use kcl_efo::{FanOut, FanOutSettings, SubscriptionSettings};
use serde_json::json;
use tokio::time::timeout;

use self::service::{ARN, Script, Service, body, event, exception, frame, last, opening, records};
use crate::support::{Notes, open};

const PATIENCE: Duration = Duration::from_secs(30);

fn quick() -> FanOutSettings {
    FanOutSettings {
        subscription: SubscriptionSettings {
            reopen_after: Duration::from_millis(3),
            retry_pause_min: Duration::from_millis(1),
            retry_pause_max: Duration::from_millis(5),
            ..SubscriptionSettings::default()
        },
        ..FanOutSettings::default()
    }
}

/// What came of a script.
struct Read {
    numbers: Vec<String>,
    failures: Vec<(ReadFailure, ErrorKind, String)>,
    asked: Vec<String>,
}

/// Reads a shard to its end through these scripts.
async fn through(scripts: impl IntoIterator<Item = Script>, settings: FanOutSettings) -> Read {
    let (service, notes) = (Service::start(scripts).await, Notes::default());
    let source = FanOut::registered(&service.sdk_config(), ARN).with_settings(settings);
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let mut numbers = Vec::new();
    loop {
        let batch: Batch = timeout(PATIENCE, feed.next())
            .await
            .expect("it goes on")
            .unwrap();
        numbers.extend(
            batch
                .records
                .iter()
                .map(|record| record.sequence_number.to_string()),
        );
        if batch.children.is_some() {
            break;
        }
    }
    let failure = |event| {
        let Event::ReadFailed {
            call, why, error, ..
        } = event
        else {
            return None;
        };
        assert_eq!(call, ReadCall::SubscribeToShard);
        Some((why, error.kind, error.message))
    };
    Read {
        numbers,
        failures: notes.all().into_iter().filter_map(failure).collect(),
        asked: service.asked(),
    }
}

/// A first event, then `broken` behind it or in its place, and in the end the rest.
async fn broken(broken: Vec<u8>, why: ReadFailure, says: &str) {
    let after = [opening(), records(&[1, 2]), broken.clone()].concat();
    let first = [opening(), broken].concat();
    let scripts = [
        Script::Send(after),
        Script::Send(first),
        Script::Send([opening(), records(&[3])].concat()),
    ];
    let read = through(scripts, quick()).await;
    assert_eq!(read.numbers, ["1", "2", "3", "99"], "{says}");
    let asked = [
        "TRIM_HORIZON",
        "AFTER_SEQUENCE_NUMBER 2",
        "AFTER_SEQUENCE_NUMBER 2",
        "AFTER_SEQUENCE_NUMBER 3",
    ];
    assert_eq!(read.asked, asked, "{says}");
    assert_eq!(read.failures.len(), 2, "{says}: {:?}", read.failures);
    for (what, kind, message) in &read.failures {
        assert_eq!(*what, why, "{message}");
        let is_data = *what == ReadFailure::Malformed;
        assert_eq!(*kind == ErrorKind::Data, is_data, "{message}");
        assert!(message.contains(says), "{message:?} should say {says:?}");
        assert!(message.contains("shardId-000000000000"), "{message}");
    }
}

#[tokio::test]
async fn a_truncated_frame() {
    let whole = records(&[3, 4]);
    for at in [1, 7, 12, 13, whole.len() / 2, whole.len() - 1] {
        let cut = whole[..at].to_vec();
        broken(cut, ReadFailure::Malformed, "in the middle of a frame").await;
    }
}

#[tokio::test]
async fn a_corrupt_byte_anywhere() {
    let good = records(&[3, 4]);
    for at in [
        0,
        2,
        5,
        9,
        14,
        good.len() / 2,
        good.len() - 10,
        good.len() - 1,
    ] {
        let mut corrupt = good.clone();
        corrupt[at] ^= 0x10;
        broken(corrupt, ReadFailure::Malformed, "brought what is no").await;
    }
}

#[tokio::test]
async fn a_length_that_is_a_lie() {
    for (length, says) in [(3_u32, "a frame of 3 bytes"), (1 << 31, "are the most")] {
        let mut lie = records(&[3, 4]);
        lie[..4].copy_from_slice(&length.to_be_bytes());
        let sum = crc32fast::hash(&lie[..8]).to_be_bytes();
        lie[8..12].copy_from_slice(&sum);
        broken(lie, ReadFailure::Malformed, says).await;
    }
    // Headers that are longer than the frame.
    let mut lie = records(&[3, 4]);
    lie[4..8].copy_from_slice(&60_000_u32.to_be_bytes());
    let sum = crc32fast::hash(&lie[..8]).to_be_bytes();
    lie[8..12].copy_from_slice(&sum);
    broken(lie, ReadFailure::Malformed, "brought what is no event").await;
}

#[tokio::test]
async fn an_event_of_an_unknown_type_or_none() {
    let unknown = event("SomethingNew", &json!({}));
    broken(unknown, ReadFailure::Malformed, "unknown type").await;
    let nameless = frame(&[(":message-type", "event")], b"{}");
    broken(nameless, ReadFailure::Malformed, "brought what is no event").await;
    let headless = frame(&[], b"{}");
    broken(headless, ReadFailure::Malformed, "brought what is no event").await;
}

#[tokio::test]
async fn an_error_frame_and_exceptions() {
    let headers = [
        (":message-type", "error"),
        (":error-code", "Boom"),
        (":error-message", "no"),
    ];
    broken(
        frame(&headers, b""),
        ReadFailure::Malformed,
        "brought what is no event",
    )
    .await;
    let text = r#"{"message":"restarting"}"#;
    let internal = exception("InternalFailureException", text);
    broken(internal, ReadFailure::Unavailable, "restarting").await;
    let in_use = exception("ResourceInUseException", text);
    broken(in_use, ReadFailure::InUse, "restarting").await;
    let throttled = exception("KMSThrottlingException", text);
    broken(throttled, ReadFailure::Throttled, "restarting").await;
    let new = exception("NewException", text);
    broken(new, ReadFailure::Unavailable, "ended by the service").await;
}

#[tokio::test]
async fn a_body_that_is_no_event() {
    let what = event("SubscribeToShardEvent", &json!({"Records": 7}));
    broken(what, ReadFailure::Malformed, "brought what is no event").await;
    let headers = [
        (":message-type", "event"),
        (":event-type", "SubscribeToShardEvent"),
    ];
    let cut = frame(&headers, br#"{"Records": ["#);
    broken(cut, ReadFailure::Malformed, "brought what is no event").await;
}

#[tokio::test]
async fn an_event_that_would_skip_or_repeat() {
    broken(last(false), ReadFailure::Malformed, "neither a way on").await;
    let back = {
        let mut body = body(&[]);
        body["ContinuationSequenceNumber"] = "0".into();
        event("SubscribeToShardEvent", &body)
    };
    let scripts = [
        Script::Send([opening(), records(&[1, 2]), back].concat()),
        Script::Send([opening(), records(&[1, 2, 3])].concat()),
        Script::Send([opening(), records(&[3])].concat()),
    ];
    let read = through(scripts, quick()).await;
    assert_eq!(read.numbers, ["1", "2", "3", "99"]);
    let said: Vec<_> = read
        .failures
        .iter()
        .map(|(.., message)| &**message)
        .collect();
    assert!(
        said[0].contains("goes back") && said[1].contains("were pushed before"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_at_every_byte_of_an_event() {
    let good = [opening(), records(&[1, 2])].concat();
    let scripts = (0..good.len())
        .step_by(11)
        .map(|at| Script::Reset(good[..at].to_vec()));
    let scripts: Vec<_> = scripts.chain([Script::Send(good.clone())]).collect();
    let count = scripts.len();
    let read = through(scripts, quick()).await;
    assert_eq!(read.numbers, ["1", "2", "99"]);
    assert_eq!(read.asked.len(), count + 1);
    assert!(read.failures.len() >= count - 1, "{:?}", read.failures);
    assert!(
        read.failures
            .iter()
            .all(|(why, ..)| *why == ReadFailure::Unavailable)
    );
}

#[tokio::test]
async fn an_answer_that_is_no_stream_of_events() {
    let scripts = [
        Script::Garbage("<html>Welcome to the hotel's network</html>"),
        Script::Garbage(""),
        Script::Refuse("InternalFailure"),
        Script::Refuse("LimitExceededException"),
        Script::Refuse("ResourceInUseException"),
        Script::Send(Vec::new()),
    ];
    let read = through(scripts, quick()).await;
    assert_eq!(read.numbers, ["99"]);
    let why: Vec<_> = read.failures.iter().map(|(why, ..)| *why).collect();
    use ReadFailure::{InUse, Malformed, Throttled, Unavailable};
    assert_eq!(
        why,
        [
            Malformed,
            Unavailable,
            Unavailable,
            Throttled,
            InUse,
            Unavailable
        ]
    );
}

#[tokio::test]
async fn silence_in_every_phase() {
    let mut half = records(&[3, 4]);
    half.truncate(half.len() / 2);
    let scripts = [
        Script::Hang(Vec::new()),
        Script::Hang(opening()),
        Script::Hang([opening(), records(&[1, 2])].concat()),
        Script::Hang([opening(), half].concat()),
    ];
    // The shortest that is allowed, so as not to wait for minutes.
    let mut settings = quick();
    settings.subscription.silence_max = Duration::from_secs(10);
    settings.subscription.open_within = Duration::from_secs(1);
    // All at once: each on a shard of its own service.
    let reads = scripts.map(|script| through([script], settings.clone()));
    let reads = futures::future::join_all(reads).await;
    for (read, silent) in reads.iter().zip([false, true, true, true]) {
        assert_eq!(read.numbers.last().unwrap(), "99");
        let why: Vec<_> = read.failures.iter().map(|(why, ..)| *why).collect();
        let expected = if silent {
            ReadFailure::Silent
        } else {
            ReadFailure::Unavailable
        };
        assert_eq!(why, [expected], "{:?}", read.failures);
    }
    assert_eq!(reads[2].asked, ["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER 2"]);
    assert_eq!(reads[3].asked, ["TRIM_HORIZON", "TRIM_HORIZON"]);
}

#[tokio::test]
async fn a_shard_that_is_not_there_ends_the_feed() {
    let scripts = [
        Script::Refuse("ResourceNotFoundException"),
        Script::Refuse("ResourceNotFoundException"),
    ];
    let (service, notes) = (Service::start(scripts).await, Notes::default());
    let source = FanOut::registered(&service.sdk_config(), ARN).with_settings(quick());
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let error = timeout(PATIENCE, feed.next()).await.unwrap().unwrap_err();
    let FeedError::Fatal(error) = error else {
        panic!("it ended without a word: {error}");
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // The first may have been about the consumer, which was looked for again.
    assert_eq!(notes.failures(), [ReadFailure::Refused]);
}
