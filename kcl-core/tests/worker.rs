//! Whole workers over scripted sources and leases, in paused time.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::contract::{FixedOwnership, ScriptedSource, Written};
use kcl_core::port::{CommitError, OwnershipRun, OwnershipStart};
use kcl_core::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What happens in a call.
#[derive(Clone, Debug, PartialEq)]
enum Does {
    Nothing,
    Fails,
    Panics,
    Takes(Duration),
    Checkpoints,
}

/// What the processors of a test do and have seen.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    /// What to do in a callback, each time it is called; keyed by its name or by a payload.
    does: BTreeMap<String, Vec<Does>>,
    calls: Vec<String>,
    checkpoints: Vec<Result<(), ErrorKind>>,
    lags: Vec<Option<Duration>>,
}

impl Stage {
    fn when(self, what: &str, does: impl IntoIterator<Item = Does>) -> Self {
        self.0
            .lock()
            .unwrap()
            .does
            .insert(what.to_owned(), does.into_iter().collect());
        self
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    fn checkpoints(&self) -> Vec<Result<(), ErrorKind>> {
        self.0.lock().unwrap().checkpoints.clone()
    }

    fn next(&self, what: &str) -> Does {
        let mut script = self.0.lock().unwrap();
        let does = script.does.get_mut(what).filter(|does| !does.is_empty());
        does.map_or(Does::Nothing, |does| does.remove(0))
    }

    async fn act(
        &self,
        keys: &[&str],
        call: String,
        checkpointer: Option<&Checkpointer>,
    ) -> ProcessorResult {
        self.0.lock().unwrap().calls.push(call);
        for key in keys {
            match self.next(key) {
                Does::Nothing => {}
                Does::Fails => return Err("scripted".into()),
                Does::Panics => panic!("scripted"),
                Does::Takes(time) => sleep(time).await,
                Does::Checkpoints => {
                    let result = checkpointer.expect("a checkpointer").checkpoint().await;
                    let result = result.map_err(|error| error.kind());
                    self.0.lock().unwrap().checkpoints.push(result);
                }
            }
        }
        Ok(())
    }
}

struct Actor(Stage);

#[async_trait]
impl RecordProcessor for Actor {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        let call = format!("initialize {} at {}", shard.shard(), shard.checkpoint());
        self.0.act(&["initialize"], call, None).await
    }

    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let texts: Vec<_> = batch
            .records
            .iter()
            .map(|r| String::from_utf8_lossy(&r.data).into_owned())
            .collect();
        self.0.0.lock().unwrap().lags.push(shard.lag());
        let keys: Vec<_> = texts.iter().map(String::as_str).collect();
        self.0.act(&keys, texts.join(" "), Some(checkpointer)).await
    }

    async fn lease_lost(&mut self, shard: &ShardContext) {
        let call = format!("lease_lost {}", shard.shard());
        self.0.act(&["lease_lost"], call, None).await.unwrap();
    }

    async fn shard_ended(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let call = format!("shard_ended {}", shard.shard());
        self.0.act(&["shard_ended"], call, Some(checkpointer)).await
    }

    async fn shutdown_requested(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let call = format!("shutdown_requested {}", shard.shard());
        self.0
            .act(&["shutdown_requested"], call, Some(checkpointer))
            .await
    }
}

fn worker(
    stage: &Stage,
    source: &ScriptedSource,
    leases: &FixedOwnership,
    settings: Settings,
) -> Worker {
    let stage = stage.clone();
    Worker::builder("app", "stream")
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| Actor(stage.clone()))
        .with_worker_id("w1")
        .with_settings(settings)
        .with_env(Env::simulated(|| std::time::SystemTime::UNIX_EPOCH, 7))
        .build()
        .unwrap()
}

/// A worker that runs, and the way to stop it.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Report, Error>>,
}

fn start(worker: Worker) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    Running {
        stop,
        task: tokio::spawn(worker.run(shutdown)),
    }
}

impl Running {
    async fn stop(self) -> Result<Report, Error> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

fn manual() -> Settings {
    let commit = CommitSettings {
        policy: CheckpointPolicy::Manual,
    };
    Settings {
        commit,
        ..Settings::default()
    }
}

fn stop_worker() -> Settings {
    let failure = FailureSettings {
        policy: FailurePolicy::StopWorker,
        ..FailureSettings::default()
    };
    Settings {
        failure,
        ..Settings::default()
    }
}

fn unavailable() -> CommitError {
    CommitError::Unavailable(Arc::new(Error::new(ErrorKind::Unavailable, "scripted")))
}

fn durable(leases: &FixedOwnership, shard: &str) -> String {
    leases.checkpoint(shard).expect("a lease").to_string()
}

/// A shard of six records, two in a batch.
fn six() -> (Stage, ScriptedSource, FixedOwnership) {
    let source = ScriptedSource::new().with_batch_max(2);
    source.put("s", ["a", "b", "c", "d", "e", "f"]);
    (Stage::default(), source, FixedOwnership::new(["s"]))
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_commits_and_releases() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let report = running.stop().await.unwrap();
    let calls = [
        "initialize s at TRIM_HORIZON",
        "a b",
        "c d",
        "e f",
        "shutdown_requested s",
    ];
    assert_eq!(stage.calls(), calls);
    let at = Checkpoint::at(SequenceNumber::new("6").unwrap());
    let written = [
        Written::Commit("s".into(), at),
        Written::Release("s".into()),
    ];
    assert_eq!(leases.written(), written);
    assert_eq!((report.records, report.batches, report.released), (6, 3, 1));
    assert_eq!(leases.left(), 1);
    assert_eq!(
        report.to_string(),
        "worker w1 stopped on request: 6 records in 3 batches; shards: 0 finished, 1 released, \
         0 lost, 0 abandoned"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_record_comes_without_any_delay() {
    let (stage, source, leases) = six();
    let begin = Instant::now();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    while stage.calls().len() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_panic_never_advance_a_checkpoint() {
    for fault in [Does::Fails, Does::Panics] {
        let (stage, source, leases) = six();
        let stage = stage.when("d", [fault.clone(), fault]);
        let policy = CheckpointPolicy::Automatic {
            every: Duration::ZERO,
        };
        let settings = Settings {
            commit: CommitSettings { policy },
            ..Settings::default()
        };
        let running = start(worker(&stage, &source, &leases, settings));
        loop {
            tokio::time::advance(Duration::from_millis(1)).await;
            let place: u64 = durable(&leases, "s").parse().unwrap_or(0);
            if stage.calls().contains(&"d".to_owned()) {
                break;
            }
            assert!(place <= 3, "committed up to {place}, and 4 has failed");
        }
        sleep(SECOND).await;
        let report = running.stop().await.unwrap();
        // A read resumes at the record of the checkpoint, so the batches are cut differently.
        let calls = [
            "initialize s at TRIM_HORIZON",
            "a b",
            "c d",
            "initialize s at 2",
            "c",
            "d e",
            "initialize s at 3",
            "d",
            "e f",
            "shutdown_requested s",
        ];
        assert_eq!(stage.calls(), calls);
        assert_eq!(durable(&leases, "s"), "6");
        assert_eq!(report.released, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_factory_or_in_initialize_is_a_failure_like_any_other() {
    let (stage, source, leases) = six();
    let stage = stage.when("initialize", [Does::Panics, Does::Fails]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(2 * SECOND).await;
    running.stop().await.unwrap();
    assert_eq!(stage.calls()[2..4], ["initialize s at TRIM_HORIZON", "a b"]);
}

#[tokio::test(start_paused = true)]
async fn the_policy_to_stop_drains_every_shard_and_returns_the_error() {
    let (stage, source, leases) = six();
    source.put("t", ["x"]);
    leases.set_checkpoint("t", Checkpoint::TrimHorizon);
    let stage = stage.when("d", [Does::Panics]);
    let worker = worker(&stage, &source, &leases, stop_worker());
    let error = worker.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Processor);
    assert_eq!(
        error.to_string(),
        "process_records of shard s panicked: scripted"
    );
    assert_eq!(
        (durable(&leases, "s"), durable(&leases, "t")),
        ("2".to_owned(), "7".to_owned())
    );
    assert!(!leases.is_held("s") && !leases.is_held("t"));
    assert!(stage.calls().contains(&"shutdown_requested t".to_owned()));
    assert!(!stage.calls().contains(&"shutdown_requested s".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_call_in_hand_finish() {
    let (stage, source, leases) = six();
    let stage = stage.when("c", [Does::Takes(10 * SECOND)]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let begin = Instant::now();
    let report = running.stop().await.unwrap();
    assert_eq!(begin.elapsed(), 9 * SECOND);
    assert_eq!(stage.calls()[2..], ["c d", "shutdown_requested s"]);
    assert_eq!((durable(&leases, "s").as_str(), report.released), ("4", 1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_call_that_hangs() {
    let (stage, source, leases) = six();
    let stage = stage.when("c", [Does::Takes(1000 * SECOND)]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let begin = Instant::now();
    let report = running.stop().await.unwrap();
    assert_eq!(begin.elapsed(), 20 * SECOND);
    assert_eq!((durable(&leases, "s").as_str(), report.released), ("2", 1));
}

#[tokio::test(start_paused = true)]
async fn draining_ends_in_time_when_the_store_stays_away() {
    let (stage, source, leases) = six();
    for _ in 0..1000 {
        leases.refuse("s", unavailable());
    }
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let begin = Instant::now();
    let report = running.stop().await.unwrap();
    assert_eq!(begin.elapsed(), 30 * SECOND);
    assert_eq!((report.abandoned, report.released), (1, 0));
    assert!(leases.is_held("s"), "the lease has to expire");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_the_shutdown() {
    let (stage, source, leases) = six();
    leases.delay_writes(1000 * SECOND);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let begin = Instant::now();
    let report = running.stop().await.unwrap();
    assert!(begin.elapsed() <= 31 * SECOND);
    assert_eq!(report.abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_while_draining_gets_everything() {
    let (stage, source, leases) = six();
    for _ in 0..8 {
        leases.refuse("s", unavailable());
    }
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    let report = running.stop().await.unwrap();
    assert_eq!((durable(&leases, "s").as_str(), report.released), ("6", 1));
}

#[tokio::test(start_paused = true)]
async fn progress_is_committed_on_the_way() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    assert_eq!(durable(&leases, "s"), "TRIM_HORIZON");
    sleep(5 * SECOND).await;
    assert_eq!(durable(&leases, "s"), "6");
    source.put("s", ["g"]);
    sleep(SECOND).await;
    assert_eq!(
        durable(&leases, "s"),
        "6",
        "five seconds have to lie between two commits"
    );
    sleep(4 * SECOND).await;
    assert_eq!(durable(&leases, "s"), "7");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_loss_during_a_call_ends_the_shard_without_a_commit() {
    let (stage, source, leases) = six();
    let stage = stage.when("c", [Does::Takes(SECOND), Does::Checkpoints]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(Duration::from_millis(500)).await;
    leases.lose("s");
    sleep(SECOND).await;
    assert_eq!(stage.calls()[2..], ["c d", "lease_lost s"]);
    assert_eq!(leases.written(), []);
    let report = running.stop().await.unwrap();
    assert_eq!(report.lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_after_a_loss_is_refused_to_user_code() {
    let (stage, source, leases) = six();
    let stage = stage
        .when("c", [Does::Takes(SECOND)])
        .when("d", [Does::Checkpoints]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(Duration::from_millis(500)).await;
    leases.lose("s");
    sleep(SECOND).await;
    assert_eq!(stage.checkpoints(), [Err(ErrorKind::Fenced)]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fenced_commit_ends_the_shard() {
    let (stage, source, leases) = six();
    let stage = stage.when("d", [Does::Checkpoints]);
    leases.refuse("s", CommitError::Fenced { shard: "s".into() });
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    assert_eq!(stage.checkpoints(), [Err(ErrorKind::Fenced)]);
    assert_eq!(stage.calls().last().unwrap(), "lease_lost s");
    assert_eq!(running.stop().await.unwrap().lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_shard_that_is_granted_again_never_has_two_processors_at_once() {
    let (stage, source, leases) = six();
    let stage = stage.when("c", [Does::Takes(1000 * SECOND)]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    leases.lose("s");
    leases.grant("s");
    sleep(SECOND).await;
    assert_eq!(stage.calls()[2..], ["c d"], "the call in hand comes first");
    sleep(2 * SECOND).await;
    let calls = [
        "c d",
        "lease_lost s",
        "initialize s at TRIM_HORIZON",
        "a b",
        "c d",
        "e f",
    ];
    assert_eq!(stage.calls()[2..], calls);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_gives_back_this_shard_only() {
    let (stage, source, leases) = six();
    source.put("t", ["x"]);
    leases.set_checkpoint("t", Checkpoint::TrimHorizon);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    leases.hand_over("s");
    sleep(SECOND).await;
    assert_eq!(durable(&leases, "s"), "6");
    assert!(!leases.is_held("s") && leases.is_held("t"));
    assert_eq!(stage.calls().last().unwrap(), "shutdown_requested s");
    let report = running.stop().await.unwrap();
    assert_eq!((report.released, report.lost), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_while_the_grant_is_not_proven() {
    let (stage, source, leases) = six();
    let stage = stage.when("b", [Does::Takes(SECOND)]);
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    leases_proven(&leases, 0).await;
    sleep(5 * SECOND).await;
    assert_eq!(stage.calls()[1..], ["a b"]);
    leases_proven(&leases, 60).await;
    sleep(SECOND).await;
    assert_eq!(stage.calls()[1..], ["a b", "c d", "e f"]);
    running.stop().await.unwrap();
}

async fn leases_proven(leases: &FixedOwnership, seconds: u32) {
    sleep(Duration::from_millis(500)).await;
    leases.prove_until("s", Instant::now() + seconds * SECOND);
}

#[tokio::test(start_paused = true)]
async fn children_start_when_their_parent_is_finished() {
    let (stage, source, leases) = six();
    source.close("s", &["s1", "s2"]);
    source.put("s1", ["x"]);
    source.close("s1", &[]);
    source.put("s2", ["y"]);
    source.close("s2", &[]);
    let worker = worker(&stage, &source, &leases, Settings::default());
    let report = worker.run(std::future::pending()).await.unwrap();
    assert_eq!(
        (report.reason, report.finished),
        (EndReason::NothingLeft, 3)
    );
    let at = |what: &str| stage.calls().iter().position(|call| call == what).unwrap();
    assert!(at("e f") < at("shard_ended s"));
    assert!(at("shard_ended s") < at("initialize s1 at TRIM_HORIZON"));
    assert!(at("shard_ended s") < at("initialize s2 at TRIM_HORIZON"));
}

#[tokio::test(start_paused = true)]
async fn the_manual_policy_writes_only_what_user_code_asks_for() {
    let (stage, source, leases) = six();
    let stage = stage.when("d", [Does::Checkpoints]);
    let running = start(worker(&stage, &source, &leases, manual()));
    sleep(60 * SECOND).await;
    assert_eq!(stage.checkpoints(), [Ok(())]);
    running.stop().await.unwrap();
    assert_eq!(durable(&leases, "s"), "4");
}

#[tokio::test(start_paused = true)]
async fn a_shard_ends_by_the_checkpoint_in_shard_ended_with_the_manual_policy() {
    let (stage, source, leases) = six();
    source.close("s", &[]);
    // The first time it forgets to; that is a failure, and it starts again.
    let stage = stage.when("shard_ended", [Does::Nothing, Does::Checkpoints]);
    let worker = worker(&stage, &source, &leases, manual());
    let report = worker.run(std::future::pending()).await.unwrap();
    assert_eq!(report.finished, 1);
    assert_eq!(
        stage.calls().iter().filter(|call| *call == "a b").count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_worker_goes_on_where_the_first_one_stopped() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    running.stop().await.unwrap();
    source.put("s", ["g"]);
    let second = Stage::default();
    let running = start(worker(&second, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    running.stop().await.unwrap();
    assert_eq!(
        second.calls(),
        ["initialize s at 6", "g", "shutdown_requested s"]
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_worker_is_a_crash() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    running.task.abort();
    assert!(running.task.await.unwrap_err().is_cancelled());
    sleep(60 * SECOND).await;
    assert_eq!(stage.calls().last().unwrap(), "e f");
    assert_eq!(leases.written(), []);
    assert_eq!(leases.left(), 0);
    source.put("s", ["g"]);
    sleep(SECOND).await;
    assert_eq!(
        stage.calls().last().unwrap(),
        "e f",
        "nobody reads any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_coordination_drains_and_is_returned() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    leases.fail(Error::new(ErrorKind::NotFound, "the table is gone"));
    let error = running.task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(durable(&leases, "s"), "6");
    assert_eq!(leases.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_refused_for_good_ends_the_worker_with_its_reason() {
    let (stage, source, leases) = six();
    let running = start(worker(&stage, &source, &leases, Settings::default()));
    sleep(SECOND).await;
    source.fail(
        "s",
        Error::new(ErrorKind::Denied, "kinesis:GetRecords is not permitted"),
    );
    let error = running.task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        durable(&leases, "s"),
        "6",
        "what was processed is committed first"
    );
}

/// Takes a second to join.
struct Slow(FixedOwnership);

#[async_trait]
impl Ownership for Slow {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        sleep(SECOND).await;
        Box::new(self.0).start(start).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_it_joins_leaves_in_order() {
    let (stage, source, leases) = six();
    let of_the_stage = stage.clone();
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(Slow(leases.clone()))
        .with_processor(move |_: &ShardContext| Actor(of_the_stage.clone()))
        .build()
        .unwrap();
    let report = worker.run(sleep(SECOND / 2)).await.unwrap();
    assert_eq!((report.reason, report.records), (EndReason::Shutdown, 0));
    assert_eq!(leases.left(), 1, "the others are told");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_the_start_ends_at_once() {
    let (stage, source, leases) = six();
    let report = worker(&stage, &source, &leases, Settings::default());
    let report = report.run(std::future::ready(())).await.unwrap();
    assert_eq!((report.reason, report.records), (EndReason::Shutdown, 0));
    assert!(stage.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_runs_with_one_seed_are_the_same() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (stage, source, leases) = six();
        for shard in ["t", "u", "v"] {
            source.put(shard, ["x", "y", "z"]);
            leases.set_checkpoint(shard, Checkpoint::TrimHorizon);
        }
        let stage = stage.when("y", [Does::Fails, Does::Panics, Does::Fails]);
        let begin = Instant::now();
        let running = start(worker(&stage, &source, &leases, Settings::default()));
        let mut trace = Vec::new();
        for _ in 0..3_000 {
            sleep(Duration::from_millis(1)).await;
            trace.push(stage.calls().len());
        }
        running.stop().await.unwrap();
        runs.push((stage.calls(), trace, leases.written(), begin.elapsed()));
    }
    assert_eq!(runs[0], runs[1]);
}

/// Fails at its first batch, and leaves a task behind that still holds the checkpointer.
struct Leaky {
    late: Arc<Mutex<Option<Result<(), ErrorKind>>>>,
    fails: bool,
}

#[async_trait]
impl RecordProcessor for Leaky {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        _: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        if self.fails {
            let (late, checkpointer) = (self.late.clone(), checkpointer.clone());
            tokio::spawn(async move {
                sleep(SECOND).await;
                let result = checkpointer
                    .checkpoint()
                    .await
                    .map_err(|error| error.kind());
                *late.lock().unwrap() = Some(result);
            });
            return Err("scripted".into());
        }
        sleep(10 * SECOND).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_processor_leaves_behind_cannot_checkpoint_for_its_successor() {
    let (_, source, leases) = six();
    let late = Arc::new(Mutex::new(None));
    let (shared, made) = (late.clone(), std::sync::atomic::AtomicU32::new(0));
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| Leaky {
            late: shared.clone(),
            fails: made.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0,
        })
        .build()
        .unwrap();
    let running = start(worker);
    sleep(5 * SECOND).await;
    assert_eq!(*late.lock().unwrap(), Some(Err(ErrorKind::Fenced)));
    assert_eq!(leases.written(), []);
    running.task.abort();
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let shutdown = ShutdownSettings {
        drain_max: SECOND,
        ..ShutdownSettings::default()
    };
    let error = Worker::builder("", "no spaces please")
        .with_worker_id("a b")
        .with_settings(Settings {
            shutdown,
            ..Settings::default()
        })
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    let settings = [
        "application",
        "stream",
        "worker_id",
        "source",
        "ownership",
        "processor",
        "drain_max",
    ];
    for setting in settings {
        assert!(text.contains(setting), "{setting} in {text}");
    }
}
