//! A mapping's life: where it starts, how it reads, how it is switched off and on, and what it tells of itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::event::{Callback, Event};
use kcl_core::lambda::filter::FilterCriteria;
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::*;
use kinesis_emulator::{Clock, Service};
use tokio::time::{Instant, sleep};

use crate::book::Book;
use crate::stage::{Answer, SECOND, Seen, does_nothing, fails_on_bad, finish, mapping, source_of};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(
            ["6.1 Enabled"],
            a_mapping_that_is_switched_off_goes_on_where_it_was
        ),
        case!(
            ["6.1 State"],
            events_tell_what_state_it_is_in_and_how_the_last_batch_went
        ),
        case!(
            ["6.1 Conflict"],
            two_workers_of_one_mapping_share_its_shards
        ),
        case!(
            ["6.1 MetricsConfig"],
            events_are_counted_if_that_is_asked_for
        ),
        case!(["6.1 MetricsConfig"], and_not_if_it_is_not),
        case!(
            ["6.3 IteratorAge"],
            the_age_is_that_of_the_last_record_when_it_is_done
        ),
        case!(
            ["6.3 IteratorAge of a failure"],
            a_batch_that_fails_grows_older
        ),
        case!(
            ["6.3 polling"],
            a_shard_is_polled_at_its_rate_and_without_a_pause_while_it_is_behind
        ),
    ]
}

/// `Enabled: false` is a worker that stops, and `true` one that starts.
async fn a_mapping_that_is_switched_off_goes_on_where_it_was() {
    let (seen, source) = (Seen::default(), ScriptedSource::new());
    let leases = FixedOwnership::new(["s"]);
    let worker = || {
        let mapping = mapping(MappingSettings::default());
        let worker = seen.worker(&source, &leases, mapping, does_nothing);
        worker.build().unwrap()
    };
    source.put("s", ["one", "two"]);
    worker().run(sleep(10 * SECOND)).await.unwrap();
    assert_eq!(leases.checkpoint("s").unwrap().to_string(), "2");
    source.put("s", ["three"]);
    sleep(3_600 * SECOND).await;
    assert_eq!(seen.now().calls.len(), 1, "it is off");
    worker().run(sleep(10 * SECOND)).await.unwrap();
    let expected: [&[&str]; 2] = [&["one", "two"], &["three"]];
    assert_eq!(seen.now().calls, expected);
}

/// In the words of a mapping.
#[expect(clippy::wildcard_enum_match_arm, reason = "it is about these alone")]
fn state(event: &Event) -> Option<String> {
    Some(match event {
        Event::WorkerStarted => "creating".to_owned(),
        Event::ShardStarted { .. } => "enabled".to_owned(),
        Event::RecordsProcessed { records, .. } => format!("ok: {records}"),
        Event::BatchFailed { error, .. } => format!("problem: {}", error.message),
        Event::WorkerDraining { .. } => "disabling".to_owned(),
        Event::WorkerEnded(_) => "disabled".to_owned(),
        _ => return None,
    })
}

/// `State`, and `LastProcessingResult`: nothing yet, well, a problem.
async fn events_tell_what_state_it_is_in_and_how_the_last_batch_went() {
    let (seen, source) = (Seen::default(), ScriptedSource::new());
    let leases = FixedOwnership::new(["s"]);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = told.clone();
    let settings = MappingSettings {
        maximum_retry_attempts: Some(0),
        ..MappingSettings::default()
    };
    let worker = seen.worker(&source, &leases, mapping(settings), fails_on_bad);
    let worker = worker.with_observer(move |event: &Event| {
        noted.lock().unwrap().extend(state(event));
    });
    let story = async {
        sleep(SECOND).await;
        source.put("s", ["one"]);
        sleep(SECOND).await;
        source.put("s", ["bad"]);
        sleep(SECOND).await;
    };
    worker.build().unwrap().run(story).await.unwrap();
    let told = told.lock().unwrap();
    let (problem, others): (Vec<_>, Vec<_>) =
        told.iter().partition(|word| word.starts_with("problem"));
    assert_eq!(
        others,
        ["creating", "enabled", "ok: 1", "disabling", "disabled"]
    );
    assert!(
        problem.len() == 1 && problem[0].contains("as told"),
        "{problem:?}"
    );
}

/// With Lambda the second mapping of a function and a stream is refused. Here it is a second worker of the application.
async fn two_workers_of_one_mapping_share_its_shards() {
    let (seen, source) = (Seen::default(), ScriptedSource::new());
    let leases = FixedOwnership::new(["s"]);
    source.put("s", ["one", "two"]);
    let run = async || {
        let mapping = mapping(MappingSettings::default());
        let worker = seen.worker(&source, &leases, mapping, does_nothing);
        worker
            .build()
            .unwrap()
            .run(sleep(60 * SECOND))
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(run(), run());
    assert_eq!(seen.now().calls, [["one", "two"]]);
    assert_eq!(one.records + other.records, 2);
}

/// A stream of one shard with these payloads, in an emulator.
async fn emulated(payloads: &[&str]) -> (Service, FixedOwnership) {
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let service = Service::new(kinesis_emulator::Settings {
        clock: Clock::starting_at(noon),
        ..Default::default()
    });
    let client = Client::new(&service.sdk_config());
    let made = client.create_stream().stream_name("orders").shard_count(1);
    made.send().await.unwrap();
    for payload in payloads {
        let put = client.put_record().stream_name("orders").partition_key("k");
        put.data(Blob::new(*payload)).send().await.unwrap();
    }
    (service, FixedOwnership::new(["shardId-000000000000"]))
}

const BAD: &str = r#"{"n": 3}"#;

/// Counts of four records: one is dropped by the filter, two fail twice with their batch and are given up.
async fn counted(observer: MetricsObserver) -> Book {
    let book = Book::default();
    let recording = metrics::set_default_local_recorder(&book);
    let (service, leases) = emulated(&[r#"{"n": 1}"#, r#"{"n": 2}"#, BAD, r#"{"n": 4}"#]).await;
    let settings = MappingSettings {
        batch_size: 2,
        maximum_retry_attempts: Some(1),
        ..MappingSettings::default()
    };
    let filter = r#"{"data": {"n": [{"anything-but": 2}]}}"#;
    let mapping = mapping(settings).with_filter(FilterCriteria::new([filter]).unwrap());
    let seen = Seen::default();
    let worker = seen
        .worker(&ScriptedSource::new(), &leases, mapping, |call| {
            if call.has(BAD) {
                Answer::Fails
            } else {
                Answer::Nothing
            }
        })
        .with_source(Polling::new(&service.sdk_config()))
        .with_observer(observer);
    worker
        .build()
        .unwrap()
        .run(sleep(60 * SECOND))
        .await
        .unwrap();
    drop(recording);
    book
}

const COUNTS: [(&str, f64); 5] = [
    ("PolledEventCount", 4.0),
    ("FilteredOutEventCount", 1.0),
    // The first and the bad one twice, and then the last.
    ("InvokedEventCount", 5.0),
    ("FailedInvokeEventCount", 4.0),
    ("DroppedEventCount", 2.0),
];

async fn events_are_counted_if_that_is_asked_for() {
    let book = counted(MetricsObserver::default().with_event_count()).await;
    for (name, count) in COUNTS {
        let sum = book.sum(&format!("{name} ProcessTask shardId-000000000000"));
        assert!((sum - count).abs() < 0.1, "{name}: {sum}");
        assert_eq!(book.units()[name], metrics::Unit::Count);
    }
}

async fn and_not_if_it_is_not() {
    let book = counted(MetricsObserver::default()).await;
    let keys = book.keys();
    assert!(keys.iter().any(|key| key.starts_with("RecordsGivenUp ")));
    assert!(
        !keys.iter().any(|key| key.contains("EventCount")),
        "{keys:?}"
    );
}

/// Ages as an event tells them and as the metric, of a function that takes 5 s. The records arrived 100 s before the start.
async fn ages(settings: MappingSettings, records: &[&str], fails: bool) -> (Vec<Duration>, Book) {
    let book = Book::default();
    let recording = metrics::set_default_local_recorder(&book);
    let (seen, leases, start) = (Seen::default(), FixedOwnership::new(["s"]), Instant::now());
    let wall = move || SystemTime::UNIX_EPOCH + 100 * SECOND + start.elapsed();
    let ages: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let noted = ages.clone();
    let worker = seen
        .worker(&source_of(records), &leases, mapping(settings), move |_| {
            if fails {
                Answer::Hangs
            } else {
                Answer::Takes(2 * SECOND)
            }
        })
        .with_env(Env::simulated(wall, 1))
        .with_observer(MetricsObserver::default())
        .with_observer(move |event: &Event| {
            if let Event::CallReturned {
                call: Callback::Handle,
                age,
                ..
            } = event
            {
                noted.lock().unwrap().push(age.unwrap());
            }
        });
    finish(worker).await;
    drop(recording);
    let ages = ages.lock().unwrap().clone();
    (ages, book)
}

/// The second record of the first batch, and the third, each two seconds later.
async fn the_age_is_that_of_the_last_record_when_it_is_done() {
    let settings = MappingSettings {
        batch_size: 2,
        ..MappingSettings::default()
    };
    let (ages, book) = ages(settings, &["one", "two", "three"], false).await;
    let millis: Vec<_> = ages.iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [102_000 - 2, 104_000 - 3]);
    let recorded = book.values("IteratorAge ProcessTask s");
    assert_eq!(recorded, [101_998.0, 103_997.0]);
}

/// So that a shard that is blocked can be seen.
async fn a_batch_that_fails_grows_older() {
    let settings = MappingSettings {
        maximum_retry_attempts: Some(3),
        ..MappingSettings::default()
    };
    let (ages, book) = ages(settings, &["one"], true).await;
    assert_eq!(
        (ages.len(), book.values("IteratorAge ProcessTask s").len()),
        (4, 4)
    );
    assert!(
        ages.windows(2).all(|pair| pair[1] >= pair[0] + 3 * SECOND),
        "{ages:?}"
    );
}

/// Once a second, as the service does, if `idle` says so.
async fn a_shard_is_polled_at_its_rate_and_without_a_pause_while_it_is_behind() {
    let payloads: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    let payloads: Vec<_> = payloads.iter().map(String::as_str).collect();
    let (service, leases) = emulated(&payloads).await;
    let polls = PollSettings {
        idle: SECOND,
        records_max: 10,
        calls_per_second: 1_000,
        calls_burst: 1_000,
        ..PollSettings::default()
    };
    let (seen, start) = (Seen::default(), Instant::now());
    let pages: Arc<Mutex<Vec<(Duration, usize)>>> = Arc::default();
    let noted = pages.clone();
    let mapping = mapping(MappingSettings::default());
    let worker = seen
        .worker(&ScriptedSource::new(), &leases, mapping, does_nothing)
        .with_source(Polling::new(&service.sdk_config()).with_settings(polls))
        .with_observer(move |event: &Event| {
            if let Event::PageRead { records, .. } = event {
                noted.lock().unwrap().push((start.elapsed(), *records));
            }
        });
    worker
        .build()
        .unwrap()
        .run(sleep(61 * SECOND))
        .await
        .unwrap();
    let pages = pages.lock().unwrap();
    let (behind, idle): (Vec<_>, Vec<_>) = pages.iter().partition(|(_, records)| *records > 0);
    assert_eq!(behind.len(), 20);
    assert!(behind.iter().all(|(at, _)| *at < SECOND), "{behind:?}");
    assert!(
        (55..=66).contains(&idle.len()),
        "{} in a minute",
        idle.len()
    );
    assert_eq!(seen.now().calls.concat(), payloads);
}
