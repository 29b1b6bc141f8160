//! Prints every record of a stream as one line of JSON, as a member of a fleet: start it several
//! times with the same application and the shards are shared.
//!
//! Endpoints, region and credentials come from the standard AWS environment, so the same command
//! runs on the emulator (`AWS_ENDPOINT_URL`) and on AWS. Records go to standard output, one batch
//! before its checkpoint; logs go to standard error.

mod arguments;
mod printer;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use aws_config::{BehaviorVersion, SdkConfig};
use clap::Parser;
use kcl_core::{FailurePolicy, FailureSettings, Polling, Settings, Worker};
use kcl_efo::FanOut;
use kcl_lease::{DynamoLeases, LeaseSettings};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Retrieval};
use crate::printer::{Output, Printer};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,kcl_core=info,kcl_efo=info,kcl_lease=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("error: {}\n", kcl_core::error::chain(&*error));
            // Without standard error there is nobody left to tell.
            drop(io::stderr().write_all(message.as_bytes()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    if let Some(option) = arguments.misplaced() {
        return Err(format!("{option} needs --retrieval fanout").into());
    }
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let output = Output::start(tokio::io::stdout());
    let leases = DynamoLeases::new(&aws);
    let leases = match &arguments.lease_table {
        Some(table) => leases.with_table_name(table),
        None => leases,
    };
    let leases = match arguments.lease_duration {
        Some(duration) => leases.with_settings(LeaseSettings {
            duration,
            ..Default::default()
        }),
        None => leases,
    };
    let fan_out = match arguments.retrieval {
        Retrieval::Polling => None,
        Retrieval::Fanout => Some(fan_out(&aws, &arguments)),
    };
    let stream = arguments.stream.clone();
    let worker = Worker::builder(arguments.application, arguments.stream);
    let worker = match &fan_out {
        Some(fan_out) => worker.with_source(fan_out.clone()),
        None => worker.with_source(Polling::new(&aws)),
    };
    let worker = worker
        .with_ownership(leases)
        .with_processor(move |shard| Printer::new(shard.shard(), output.clone()))
        .with_initial_position(arguments.initial_position)
        // A line that cannot be written today cannot be written in a second either.
        .with_settings(Settings {
            failure: FailureSettings {
                policy: FailurePolicy::StopWorker,
                ..Default::default()
            },
            ..Default::default()
        });
    let worker = match arguments.worker_id {
        Some(id) => worker.with_worker_id(id),
        None => worker,
    };
    let worker = worker.build()?;
    if aws.region().is_none() {
        return Err(
            "no AWS region is set; set AWS_REGION, or AWS_PROFILE to a profile that has \
                    one"
            .into(),
        );
    }
    let mut signals = signals()?;
    let mut second = signals.clone();
    tokio::select! {
        biased;
        () = count(&mut second, 2) => {
            Err("stopped by a second signal, before the worker had left; its shards wait until \
                 its lease is over".into())
        }
        ended = Box::pin(worker.run(async move { count(&mut signals, 1).await })) => {
            // The worker has logged what it did.
            ended?;
            match fan_out {
                Some(fan_out) if arguments.deregister => Ok(fan_out.deregister(&stream).await?),
                Some(_) | None => Ok(()),
            }
        }
    }
}

fn fan_out(aws: &SdkConfig, arguments: &Arguments) -> FanOut {
    let source = match (&arguments.consumer_arn, &arguments.consumer_name) {
        (Some(arn), _) => FanOut::registered(aws, arn),
        (None, Some(name)) => FanOut::new(aws, name),
        (None, None) => FanOut::new(aws, &arguments.application),
    };
    if arguments.fallback {
        source.with_fallback(Polling::new(aws))
    } else {
        source
    }
}

/// Counts SIGTERM and SIGINT: the first one asks to leave, the second one is out of patience.
fn signals() -> io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let (counted, count) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            counted.send_modify(|count| *count += 1);
        }
    });
    Ok(count)
}

async fn count(signals: &mut watch::Receiver<u32>, times: u32) {
    if signals.wait_for(|count| *count >= times).await.is_err() {
        // Nobody listens for signals any more, so none will come.
        std::future::pending::<()>().await;
    }
}
