//! A worker of this library in a fleet of Java workers: `interop-worker STREAM APPLICATION ID v2|v3`.
//!
//! It does what the Java worker of `tests/interop/kcl` does and logs it in the same words, so that one judge
//! reads both. Settings come from the environment, as for any program; SIGTERM stops it. Started by the
//! suites `mixed2` and `mixed3` of `tests/interop/run`.

mod journal;
mod processor;

use std::error::Error;
use std::time::Duration;

use aws_config::BehaviorVersion;
use kcl_core::{CheckpointPolicy, CommitSettings, Polling, Settings, Worker};
use kcl_lease::{JavaFleet, JavaLeases, JavaSettings};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::journal::Journal;
use crate::processor::Processor;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, application, id, fleet] = arguments.as_slice() else {
        return Err("usage: interop-worker STREAM APPLICATION ID v2|v3".into());
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,kcl_core=info,kcl_lease=debug"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let journal = Journal::new(id);
    let notes = journal.clone();
    let worker = Worker::builder(application.as_str(), stream.as_str())
        .with_source(Polling::new(&aws))
        .with_ownership(JavaLeases::new(&aws).with_settings(tuning(fleet)?))
        .with_processor(move |shard| Processor::new(shard.shard(), notes.clone()))
        .with_worker_id(id.as_str())
        .with_settings(Settings {
            commit: CommitSettings {
                policy: CheckpointPolicy::Manual,
            },
            ..Settings::default()
        })
        .build()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopping = journal.clone();
    let ended = Box::pin(worker.run(async move {
        terminate.recv().await;
        stopping.note("stopping", &[]);
    }))
    .await;
    match ended {
        Ok(report) => {
            journal.note("stopped", &[("graceful", &(report.abandoned == 0))]);
            journal.note("returned", &[]);
            Ok(())
        }
        Err(error) => {
            journal.note("trouble", &[("what", &error.chain())]);
            Err(error.into())
        }
    }
}

/// What the Java workers are told in `tests/interop/kcl/src/v2` and `v3`, and looks that are quick enough.
fn tuning(fleet: &str) -> Result<JavaSettings, Failure> {
    let seconds = Duration::from_secs;
    let common = JavaSettings {
        look_interval: Some(seconds(2)),
        sync_interval: seconds(5),
        ..JavaSettings::default()
    };
    match fleet {
        "v2" => Ok(JavaSettings {
            fleet: JavaFleet::V2,
            failover: seconds(4),
            ..common
        }),
        "v3" => Ok(JavaSettings {
            fleet: JavaFleet::V3,
            failover: seconds(5),
            report_interval: seconds(2),
            leader_lease: seconds(9),
            leader_heartbeat: seconds(3),
            assignment_interval: Some(Duration::from_millis(2_500)),
            ..common
        }),
        other => Err(format!("{other} is neither v2 nor v3").into()),
    }
}
