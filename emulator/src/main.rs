//! The binary: flags, a listener, and an end on SIGTERM or SIGINT. Everything else is the library's.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use kinesis_emulator::{Listener, Service};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Amazon Kinesis Data Streams, and the DynamoDB calls of its consumers, on one local port.
#[derive(Debug, Parser)]
#[command(name = "kinesis-emulator", version)]
struct Flags {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 4567)]
    port: u16,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let ended = runtime.block_on(run(&flags));
    // Open connections do not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

async fn run(flags: &Flags) -> Result<(), String> {
    // Before the line is printed: whoever reads it may stop us at once.
    let handler = |kind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
    let (mut terminate, mut interrupt) = (
        handler(SignalKind::terminate())?,
        handler(SignalKind::interrupt())?,
    );
    let wanted = format!("{}:{}", flags.host, flags.port);
    let listener = Listener::bind((flags.host.as_str(), flags.port))
        .await
        .map_err(|error| {
            format!("cannot listen on {wanted}: {error}; choose another with --host and --port")
        })?;
    let address = listener.address();
    if !address.ip().is_loopback() {
        tracing::warn!("whoever reaches {address} can read and write: nobody is authenticated");
    }
    let mut stdout = std::io::stdout().lock();
    let announced = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    drop(stdout);
    announced.map_err(|error| format!("cannot write to standard output: {error}"))?;
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(listener.serve(Service::default(), stopped));
    let name = tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("stopping on {name}");
    stop.send_replace(());
    serving
        .await
        .map_err(|error| format!("the listener failed: {error}"))
}

/// One line, whatever the log's filter is.
fn fail(text: &str) -> ExitCode {
    if writeln!(std::io::stderr(), "kinesis-emulator: {text}").is_err() {
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}
