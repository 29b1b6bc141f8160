//! Readers that die without a word: the worker drains, gives every other shard back, and says why. A panic there is a
//! mistake in the library, not in user code, so the worker does not go on as if nothing had happened.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::port::{Feed, OpenFeed};
use kcl_core::*;

/// How the shard `bad` is read.
#[derive(Clone, Copy)]
enum Breaks {
    /// The feed panics.
    Feed,
    /// The shard's task panics.
    Task,
}

struct Source {
    inner: ScriptedSource,
    breaks: Breaks,
}

impl RecordSource for Source {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    fn open(&self, request: OpenFeed) -> Feed {
        if request.shard != ShardId::new("bad") {
            return self.inner.open(request);
        }
        match self.breaks {
            Breaks::Feed => Feed::spawn(1024, |_| async {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                panic!("scripted")
            }),
            Breaks::Task => panic!("scripted"),
        }
    }
}

struct Ignore;

#[async_trait]
impl RecordProcessor for Ignore {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        _: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        Ok(())
    }
}

/// Runs a worker until it ends by itself.
async fn run(breaks: Breaks) -> (Error, FixedOwnership) {
    let inner = ScriptedSource::new();
    inner.put("good", ["a", "b", "c"]);
    let leases = FixedOwnership::new(["bad", "good"]);
    let worker = Worker::builder("app", "stream")
        .with_source(Source { inner, breaks })
        .with_ownership(leases.clone())
        .with_processor(|_: &ShardContext| Ignore)
        .build()
        .unwrap();
    let error = worker.run(std::future::pending()).await.unwrap_err();
    (error, leases)
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_panics_gives_its_shard_back_and_ends_the_worker() {
    let (error, leases) = run(Breaks::Feed).await;
    assert_eq!(error.kind(), ErrorKind::Internal);
    let told = error.to_string();
    assert_eq!(told, "the feed of shard bad ended unexpectedly");
    assert!(!leases.is_held("bad") && !leases.is_held("good"));
    assert_eq!(leases.checkpoint("good").unwrap().to_string(), "3");
    assert_eq!(leases.left(), 1, "the others are told");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_ends_the_worker_and_the_others_are_drained() {
    let (error, leases) = run(Breaks::Task).await;
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.to_string(), "the task of shard bad panicked");
    assert!(!leases.is_held("good"));
    assert_eq!(leases.checkpoint("good").unwrap().to_string(), "3");
    assert_eq!(leases.left(), 1, "so its lease is free at once");
}
