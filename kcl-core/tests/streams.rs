//! A worker of several streams over scripted ports: which stream is which, and one that is refused.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::error::{Error, ErrorKind, Problem};
use kcl_core::port::{OwnershipRun, OwnershipStart};
use kcl_core::*;
use tokio::sync::oneshot;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

type Notes = Arc<Mutex<Vec<String>>>;

struct Note(Notes);

#[async_trait]
impl RecordProcessor for Note {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8(record.data.to_vec())?;
            let note = format!("{} {}: {text}", shard.stream(), shard.shard());
            self.0.lock().unwrap().push(note);
        }
        Ok(())
    }
}

fn of(stream: &str, shard: &str) -> ShardId {
    ShardId::of(StreamName::new(stream).unwrap(), shard)
}

fn builder(source: &ScriptedSource, leases: &FixedOwnership, notes: &Notes) -> WorkerBuilder {
    let notes = notes.clone();
    Worker::builder_for_streams("app", Streams::new())
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| Note(notes.clone()))
}

#[tokio::test(start_paused = true)]
async fn every_callback_is_told_the_stream_and_children_are_of_their_parents_stream() {
    let (source, notes) = (ScriptedSource::new(), Notes::default());
    for stream in ["orders", "clicks"] {
        source.put(of(stream, "s"), [format!("one of {stream}").as_str()]);
    }
    // The service names children by their names alone.
    source.close(of("orders", "s"), &["t"]);
    let leases = FixedOwnership::new([of("orders", "s"), of("clicks", "s")]);
    let children: Arc<Mutex<Vec<ShardId>>> = Arc::default();
    let seen = children.clone();
    let worker = builder(&source, &leases, &notes)
        .with_observer(move |event: &Event| {
            if let Event::ShardStarted { shard, .. } = event {
                seen.lock().unwrap().push(shard.clone());
            }
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    sleep(SECOND * 5).await;
    source.put(of("orders", "t"), ["two of orders"]);
    sleep(SECOND * 5).await;
    drop(stop);
    running.await.unwrap().unwrap();
    let mut notes = notes.lock().unwrap().clone();
    notes.sort();
    let expected = [
        "clicks clicks/s: one of clicks",
        "orders orders/s: one of orders",
        "orders orders/t: two of orders",
    ];
    assert_eq!(notes, expected);
    assert!(children.lock().unwrap().contains(&of("orders", "t")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_stops_no_other_and_is_tried_again() {
    let (source, notes) = (ScriptedSource::new(), Notes::default());
    for stream in ["orders", "clicks"] {
        source.put(of(stream, "s"), ["1"]);
    }
    let leases = FixedOwnership::new([of("orders", "s"), of("clicks", "s")]);
    let told: Arc<Mutex<Vec<(ErrorKind, Duration)>>> = Arc::default();
    let seen = told.clone();
    let worker = builder(&source, &leases, &notes)
        .with_observer(move |event: &Event| {
            if let Event::ShardUnreadable {
                shard,
                error,
                retry_in,
                ..
            } = event
            {
                assert_eq!(*shard, of("clicks", "s"));
                seen.lock().unwrap().push((error.kind, *retry_in));
            }
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    sleep(SECOND).await;
    source.fail(
        of("clicks", "s"),
        Error::new(ErrorKind::NotFound, "it is gone"),
    );
    sleep(SECOND).await;
    source.put(of("orders", "s"), ["2"]);
    sleep(SECOND).await;
    assert_eq!(*told.lock().unwrap(), [(ErrorKind::NotFound, SECOND * 10)]);
    assert!(leases.is_held(of("clicks", "s")), "it keeps the shard");
    assert!(
        notes
            .lock()
            .unwrap()
            .contains(&"orders orders/s: 2".to_owned())
    );
    source.put(of("clicks", "s"), ["2"]);
    sleep(SECOND * 15).await;
    let of_clicks = |notes: &Notes| {
        let notes = notes.lock().unwrap();
        notes
            .iter()
            .filter(|note| note.starts_with("clicks"))
            .count()
    };
    assert_eq!(of_clicks(&notes), 2, "it goes on behind what was read");
    drop(stop);
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.released, 2);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_refused_can_be_handed_back_meanwhile() {
    let (source, notes) = (ScriptedSource::new(), Notes::default());
    source.put(of("clicks", "s"), ["1"]);
    let leases = FixedOwnership::new([of("clicks", "s")]);
    let worker = builder(&source, &leases, &notes).build().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    sleep(SECOND).await;
    source.fail(
        of("clicks", "s"),
        Error::new(ErrorKind::Denied, "not permitted"),
    );
    sleep(SECOND).await;
    leases.hand_over(of("clicks", "s"));
    sleep(SECOND).await;
    assert!(!leases.is_held(of("clicks", "s")));
    drop(stop);
    assert_eq!(running.await.unwrap().unwrap().released, 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_handler_what_is_in_hand_goes_on_while_its_stream_is_refused_and_nothing_comes_twice()
 {
    let source = ScriptedSource::new();
    source.put(of("orders", "s"), ["1"]);
    source.put_keyed(of("clicks", "s"), [("a", "slow"), ("b", "1"), ("c", "2")]);
    let leases = FixedOwnership::new([of("orders", "s"), of("clicks", "s")]);
    let (begun, done) = (Notes::default(), Notes::default());
    let (begins, ends) = (begun.clone(), done.clone());
    let mut settings = Settings::default();
    settings.handler.lanes = 2;
    let worker = Worker::builder_for_streams("app", Streams::new())
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_settings(settings)
        .with_record_handler(move |record: Record, context: HandlerContext| {
            let (begins, ends) = (begins.clone(), ends.clone());
            async move {
                let text = String::from_utf8(record.data.to_vec())?;
                let note = format!("{}: {text}", context.shard().shard());
                begins.lock().unwrap().push(note.clone());
                if text == "slow" {
                    sleep(SECOND * 8).await;
                }
                ends.lock().unwrap().push(note);
                Ok(())
            }
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    sleep(SECOND).await;
    source.fail(
        of("clicks", "s"),
        Error::new(ErrorKind::NotFound, "it is gone"),
    );
    sleep(SECOND).await;
    assert!(leases.is_held(of("clicks", "s")), "it keeps the shard");
    source.put(of("orders", "s"), ["2"]);
    source.put(of("clicks", "s"), ["3"]);
    // The slow one ends before the shard is tried again, which is after 10 s.
    sleep(SECOND * 7).await;
    assert!(done.lock().unwrap().contains(&"clicks/s: slow".to_owned()));
    assert!(!begun.lock().unwrap().contains(&"clicks/s: 3".to_owned()));
    sleep(SECOND * 10).await;
    drop(stop);
    running.await.unwrap().unwrap();
    let mut begun = begun.lock().unwrap().clone();
    begun.sort();
    let expected = [
        "clicks/s: 1",
        "clicks/s: 2",
        "clicks/s: 3",
        "clicks/s: slow",
        "orders/s: 1",
        "orders/s: 2",
    ];
    assert_eq!(begun, expected);
}

/// An ownership that knows of one stream alone.
struct Old(FixedOwnership);

#[async_trait]
impl Ownership for Old {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        Box::new(self.0).start(start).await
    }
}

#[test]
fn what_several_streams_cannot_be_built_with_is_told_all_at_once() {
    let (source, notes) = (ScriptedSource::new(), Notes::default());
    let leases = FixedOwnership::new([of("clicks", "s")]);
    let error = builder(&source, &leases, &notes)
        .with_ownership(Old(leases.clone()))
        .with_initial_position(InitialPosition::Latest)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let message = error.to_string();
    for part in [
        "initial_position",
        "Streams::add",
        "ownership",
        "one stream only",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_does_not_say_of_which_stream_it_is_ends_the_worker() {
    let (source, notes) = (ScriptedSource::new(), Notes::default());
    let leases = FixedOwnership::new(["s"]);
    let worker = builder(&source, &leases, &notes).build().unwrap();
    let error = worker.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(notes.lock().unwrap().is_empty());
}
