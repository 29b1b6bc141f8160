//! Three workers, each with its own SDK clients, on their own tasks, so that one of them can be
//! killed without the others noticing anything but its silence.

use std::time::Duration;

use kcl_core::{CheckpointPolicy, CommitSettings, PollSettings, Polling, Settings, Worker};
use kcl_lease::{DynamoLeases, LeaseSettings};
use kinesis_emulator::Emulator;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::input::Error;
use crate::ledger::{Ledger, Recorder, WorkerNumber};
use crate::stream::STREAM;

/// Short, so that the failover can be watched. The default is longer.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

pub(crate) const WORKERS: usize = 3;

/// How long leaving may take.
const STOP_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Fleet {
    workers: Vec<Option<JoinHandle<Result<(), String>>>>,
    stop: watch::Sender<bool>,
}

impl Fleet {
    pub(crate) fn start(emulator: &Emulator, ledger: &Ledger) -> Result<Self, Error> {
        let (stop, stopped) = watch::channel(false);
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let worker = worker(emulator, ledger, number)?;
            let mut stopped = stopped.clone();
            workers.push(Some(tokio::spawn(async move {
                let stop = async move {
                    // A sender that is gone means the same: stop.
                    drop(stopped.wait_for(|stop| *stop).await);
                };
                worker
                    .run(stop)
                    .await
                    .map(drop)
                    .map_err(|error| error.chain())
            })));
        }
        Ok(Self { workers, stop })
    }

    /// Drops a worker in the middle of whatever it does. It gets no chance to say anything.
    pub(crate) fn kill(&mut self, number: WorkerNumber) {
        if let Some(task) = self.workers.get_mut(number).and_then(Option::take) {
            task.abort();
        }
    }

    pub(crate) fn is_alive(&self, number: WorkerNumber) -> bool {
        self.workers.get(number).is_some_and(Option::is_some)
    }

    /// An error if a worker ended by itself.
    pub(crate) async fn check(&mut self) -> Result<(), Error> {
        for (number, slot) in self.workers.iter_mut().enumerate() {
            if let Some(task) = slot.take_if(|task| task.is_finished()) {
                let why = task
                    .await?
                    .err()
                    .unwrap_or_else(|| "without a reason".to_owned());
                return Err(format!("{} ended: {why}", name(number)).into());
            }
        }
        Ok(())
    }

    /// Lets everyone drain, commit and leave.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.stop.send_replace(true);
        for (number, task) in self.workers.into_iter().enumerate() {
            let Some(task) = task else { continue };
            let ended = timeout(STOP_MAX, task).await;
            ended
                .map_err(|_| format!("{} did not stop within {STOP_MAX:?}", name(number)))??
                .map_err(|why| format!("{} failed at the end: {why}", name(number)))?;
        }
        Ok(())
    }
}

pub(crate) fn name(number: WorkerNumber) -> String {
    format!("w{}", number + 1)
}

fn worker(emulator: &Emulator, ledger: &Ledger, number: WorkerNumber) -> Result<Worker, Error> {
    let aws = emulator.sdk_config();
    let polling = PollSettings {
        idle: Duration::from_millis(200),
        ..PollSettings::default()
    };
    let leases = LeaseSettings {
        duration: LEASE,
        ..LeaseSettings::default()
    };
    let commit = CommitSettings {
        policy: CheckpointPolicy::Automatic {
            every: Duration::from_secs(1),
        },
    };
    let ledger = ledger.clone();
    let worker = Worker::builder("quickstart", STREAM)
        .with_worker_id(name(number))
        .with_source(Polling::new(&aws).with_settings(polling))
        .with_ownership(DynamoLeases::new(&aws).with_settings(leases))
        .with_processor(move |_| Recorder {
            ledger: ledger.clone(),
            worker: number,
        })
        .with_settings(Settings {
            commit,
            ..Settings::default()
        })
        .build()?;
    Ok(worker)
}
