//! The life of subscriptions against the emulator, in paused time, without a socket.

use std::time::Duration;

use crate::support::{Notes, Wire, emulated, open, open_metered, put, read};
use kcl_core::Polling;
use kcl_core::error::ErrorKind;
use kcl_core::event::{Event, ReadFailure};
use kcl_core::model::Position;
use kcl_core::port::{FeedError, Meter};
use kcl_efo::{FanOut, FanOutSettings, MemorySettings, Retrieval};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_subscription_is_renewed_before_it_is_over_without_a_gap_or_a_repetition() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let source = FanOut::new(&wire.sdk_config(), "app");
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let mut expected = Vec::new();
    let writes = async {
        for number in 0..1_200 {
            expected.push(put(&client, &number.to_string()).await);
            sleep(SECOND).await;
        }
    };
    let (seen, ()) = tokio::join!(read(&mut feed, 1_200), writes);
    assert_eq!(seen, expected);
    assert_eq!(notes.failures(), []);
    let calls = wire.calls("SubscribeToShard");
    assert_eq!(calls.len(), 5, "20 minutes are four renewals");
    for pair in calls.windows(2) {
        let lived = pair[1] - pair[0];
        assert!((285 * SECOND..290 * SECOND).contains(&lived), "{lived:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_went_silent_is_replaced_within_forty_seconds_and_nothing_is_lost() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let source = FanOut::new(&wire.sdk_config(), "app");
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let mut expected = vec![put(&client, "before").await];
    let mut seen = read(&mut feed, 1).await;
    sleep(7 * SECOND).await;
    wire.silence();
    let since = Instant::now();
    for number in 0..5 {
        expected.push(put(&client, &number.to_string()).await);
    }
    seen.extend(read(&mut feed, 5).await);
    assert_eq!(seen, expected);
    let took = since.elapsed();
    // The last heartbeat was up to five seconds before.
    assert!((30 * SECOND..=40 * SECOND).contains(&took), "{took:?}");
    assert_eq!(notes.failures(), [ReadFailure::Silent]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_processor_is_no_silence_and_its_subscription_is_let_go() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let memory = MemorySettings {
        shard_bytes_max: 1,
        ..MemorySettings::default()
    };
    let settings = FanOutSettings {
        memory,
        ..FanOutSettings::default()
    };
    let source = FanOut::new(&wire.sdk_config(), "app").with_settings(settings);
    let meter = Meter::default();
    let mut feed = open_metered(&source, Position::TrimHorizon, &notes, &meter);
    let mut expected = vec![put(&client, "first").await];
    sleep(5 * SECOND).await;
    assert_eq!(service.subscriptions(), 1);
    for number in 0..10 {
        expected.push(put(&client, &number.to_string()).await);
        sleep(60 * SECOND).await;
        assert_eq!(meter.reading().asking_since, None, "it asks for nothing");
    }
    assert_eq!(
        service.subscriptions(),
        0,
        "nobody reads, so nothing is held"
    );
    assert_eq!(read(&mut feed, 11).await, expected);
    sleep(20 * SECOND).await;
    assert_eq!(notes.failures(), [], "a slow processor is no failure");
    assert_eq!(wire.calls("SubscribeToShard").len(), 2);
}

/// For how long the meter says that nothing answers.
fn unanswered(meter: &Meter) -> Duration {
    let since = meter.reading().asking_since;
    since.map_or(Duration::ZERO, |since| since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_meter_tells_a_service_that_is_silent_from_one_that_is_idle_or_refuses() {
    let (service, client) = emulated(1).await;
    let (notes, wire, meter) = (Notes::default(), Wire::new(&service), Meter::default());
    let source = FanOut::new(&wire.sdk_config(), "app");
    let mut feed = open_metered(&source, Position::TrimHorizon, &notes, &meter);
    put(&client, "one").await;
    read(&mut feed, 1).await;
    for _ in 0..100 {
        sleep(6 * SECOND).await;
        let unanswered = unanswered(&meter);
        assert!(
            unanswered <= 6 * SECOND,
            "idle is not silent: {unanswered:?}"
        );
    }
    // It stands still, is replaced after a while, and is not accepted again.
    wire.silence();
    wire.refuse("SubscribeToShard", Some("InternalFailure"));
    sleep(300 * SECOND).await;
    let silent = unanswered(&meter);
    assert!(
        silent >= 295 * SECOND,
        "no failure is an answer: {silent:?}"
    );
    for answer in ["ResourceInUseException", "LimitExceededException"] {
        wire.refuse("SubscribeToShard", Some("InternalFailure"));
        sleep(300 * SECOND).await;
        let silent = unanswered(&meter);
        assert!(silent >= 200 * SECOND, "{silent:?}");
        wire.refuse("SubscribeToShard", Some(answer));
        sleep(60 * SECOND).await;
        let refused = unanswered(&meter);
        assert!(refused <= 31 * SECOND, "{answer}: {refused:?}");
    }
    wire.refuse("SubscribeToShard", None);
    put(&client, "two").await;
    read(&mut feed, 1).await;
    sleep(6 * SECOND).await;
    assert!(unanswered(&meter) <= 6 * SECOND);
    assert!(meter.reading().answers > 100);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_dropped_takes_its_subscription_with_it_and_its_successor_waits_its_turn() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let source = FanOut::new(&wire.sdk_config(), "app");
    let number = put(&client, "one").await;
    for _ in 0..5 {
        let mut feed = open(&source, Position::TrimHorizon, &notes);
        assert_eq!(read(&mut feed, 1).await[0], number);
        assert_eq!(service.subscriptions(), 1);
        drop(feed);
        tokio::task::yield_now().await;
        assert_eq!(
            service.subscriptions(),
            0,
            "the lease is lost, and with it the subscription"
        );
    }
    let calls = wire.calls("SubscribeToShard");
    for pair in calls.windows(2) {
        assert!(pair[1] - pair[0] >= 5 * SECOND, "{calls:?}");
    }
    assert_eq!(notes.failures(), [], "no call came too soon");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_another_worker_is_taken_over_at_a_steady_pace() {
    let (service, client) = emulated(1).await;
    let (first, notes) = (Notes::default(), Notes::default());
    let other = FanOut::new(&service.sdk_config(), "app");
    let mut old = open(&other, Position::TrimHorizon, &first);
    let number = put(&client, "one").await;
    read(&mut old, 1).await;
    // The worker died a moment ago; the service does not know yet.
    drop(old);
    let wire = Wire::new(&service);
    let source = FanOut::new(&wire.sdk_config(), "app");
    let since = Instant::now();
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    assert_eq!(read(&mut feed, 1).await, [number]);
    assert!(since.elapsed() <= 7 * SECOND, "{:?}", since.elapsed());
    assert!(
        notes
            .failures()
            .iter()
            .all(|why| *why == ReadFailure::InUse)
    );
    let calls = wire.calls("SubscribeToShard");
    for pair in calls.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((SECOND..=2 * SECOND).contains(&pause), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_somebody_deregistered_is_registered_again() {
    let (service, client) = emulated(1).await;
    let notes = Notes::default();
    let source = FanOut::new(&service.sdk_config(), "app");
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let mut expected = vec![put(&client, "one").await];
    let mut seen = read(&mut feed, 1).await;
    source.deregister("stream").await.unwrap();
    expected.push(put(&client, "two").await);
    seen.extend(read(&mut feed, 1).await);
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_ends_the_feed_with_its_name() {
    let (service, client) = emulated(1).await;
    let notes = Notes::default();
    let source = FanOut::new(&service.sdk_config(), "app");
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    notes
        .until(|event| matches!(event, Event::Subscribed { .. }))
        .await;
    let delete = client.delete_stream().stream_name("stream");
    delete.enforce_consumer_deletion(true).send().await.unwrap();
    let FeedError::Fatal(error) = timeout(crate::support::PATIENCE, feed.next())
        .await
        .unwrap()
        .unwrap_err()
    else {
        panic!("the feed ended without a word");
    };
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.chain().contains("stream"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_ends_the_feed_and_is_named() {
    let (service, _client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    wire.refuse("SubscribeToShard", Some("AccessDeniedException"));
    let source = FanOut::new(&wire.sdk_config(), "app");
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let FeedError::Fatal(error) = feed.next().await.unwrap_err() else {
        panic!("the feed ended without a word");
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("kinesis:SubscribeToShard"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_refused_for_good_is_polled_until_fan_out_works_again() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    wire.refuse("SubscribeToShard", Some("AccessDeniedException"));
    let source =
        FanOut::new(&wire.sdk_config(), "app").with_fallback(Polling::new(&service.sdk_config()));
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for minute in 0..9 {
        if minute == 3 {
            wire.refuse("SubscribeToShard", None);
        }
        for number in 0..5 {
            expected.push(put(&client, &number.to_string()).await);
        }
        let since = Instant::now();
        seen.extend(read(&mut feed, 5).await);
        assert!(since.elapsed() < 6 * SECOND, "records flow all the time");
        sleep(60 * SECOND).await;
    }
    assert_eq!(seen, expected);
    let changes = notes.all().into_iter().filter_map(|event| {
        if let Event::RetrievalChanged { to, error, .. } = event {
            Some((to, error.map(|error| error.kind)))
        } else {
            None
        }
    });
    let changes: Vec<_> = changes.collect();
    assert_eq!(
        changes,
        [
            (Retrieval::Polling, Some(ErrorKind::Denied)),
            (Retrieval::FanOut, None)
        ],
        "a try that fails is not told as a change"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_for_which_fan_out_keeps_failing_is_polled_after_a_while() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let source =
        FanOut::new(&wire.sdk_config(), "app").with_fallback(Polling::new(&service.sdk_config()));
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let mut expected = vec![put(&client, "one").await];
    let mut seen = read(&mut feed, 1).await;
    wire.refuse("SubscribeToShard", Some("InternalFailure"));
    service.clock().advance(Duration::from_secs(6 * 60));
    let since = Instant::now();
    expected.push(put(&client, "two").await);
    seen.extend(read(&mut feed, 1).await);
    assert_eq!(seen, expected);
    let took = since.elapsed();
    assert!((20 * SECOND..27 * SECOND).contains(&took), "{took:?}");
    let polled = |event: &Event| {
        matches!(
            event,
            Event::RetrievalChanged {
                to: Retrieval::Polling,
                ..
            }
        )
    };
    notes.until(polled).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_without_a_fallback_is_refused_with_what_to_do() {
    let (service, _client) = emulated(1).await;
    let source = FanOut::new(&service.sdk_config(), "app");
    let error = source.switch().to(Retrieval::Polling).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("with_fallback"), "{error}");
    assert_eq!(source.switch().wanted(), Retrieval::FanOut);
}

#[tokio::test(start_paused = true)]
async fn a_worker_can_start_by_polling_and_costs_no_subscription_then() {
    let (service, client) = emulated(1).await;
    let (notes, wire) = (Notes::default(), Wire::new(&service));
    let source =
        FanOut::new(&wire.sdk_config(), "app").with_fallback(Polling::new(&service.sdk_config()));
    source.switch().to(Retrieval::Polling).unwrap();
    let mut feed = open(&source, Position::TrimHorizon, &notes);
    let number = put(&client, "one").await;
    assert_eq!(read(&mut feed, 1).await, [number]);
    assert_eq!(wire.calls("RegisterStreamConsumer").len(), 0);
    source.switch().to(Retrieval::FanOut).unwrap();
    let number = put(&client, "two").await;
    assert_eq!(read(&mut feed, 1).await, [number]);
    notes
        .until(|event| matches!(event, Event::EventRead { .. }))
        .await;
}
