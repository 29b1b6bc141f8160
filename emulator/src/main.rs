//! The binary: settings, a listener, and an end on SIGTERM or SIGINT. Everything else is the library's.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use kinesis_emulator::Listener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use self::cli::{Flags, Options};

fn main() -> ExitCode {
    let options = match Flags::parse().settle() {
        Ok(options) => options,
        Err(text) => return fail(&text),
    };
    if let Err(text) = log(options.log.as_deref()) {
        return fail(&text);
    }
    open_many_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let ended = runtime.block_on(run(&options));
    // Open connections do not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

/// As many as may be: every connection is one, and many shells allow a thousand.
fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        // As good as it was: who comes when there are none left costs another his connection.
        tracing::debug!(%error, "cannot allow as many open files as there may be");
    }
}

fn log(filter: Option<&str>) -> Result<(), String> {
    let filter = match filter {
        Some(given) => EnvFilter::try_new(given)
            .map_err(|error| format!("the log's filter '{given}' is not right: {error}"))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

async fn run(options: &Options) -> Result<(), String> {
    // Before the line is printed: whoever reads it may stop us at once.
    let handler = |kind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
    let (mut terminate, mut interrupt) = (
        handler(SignalKind::terminate())?,
        handler(SignalKind::interrupt())?,
    );
    let listener = listen(options).await?;
    let service = options.service()?;
    let scheme = listener.scheme();
    let address = listener.address();
    let mut stdout = std::io::stdout().lock();
    let announced =
        writeln!(stdout, "listening on {scheme}://{address}").and_then(|()| stdout.flush());
    drop(stdout);
    announced.map_err(|error| format!("cannot write to standard output: {error}"))?;
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(listener.serve(service, stopped));
    let name = tokio::select! {
        biased; // ORDER: whichever comes first; they mean the same
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("stopping on {name}");
    stop.send_replace(());
    serving
        .await
        .map_err(|error| format!("the listener failed: {error}"))
}

/// Binds the port as the settings have it.
async fn listen(options: &Options) -> Result<Listener, String> {
    let (host, port) = (options.host(), options.port());
    let listener = Listener::bind((host, port)).await.map_err(|error| {
        format!("cannot listen on {host}:{port}: {error}; choose another with --host and --port")
    })?;
    options.check_address(listener.address())?;
    let listener = listener
        .bounds(options.bounds())
        .allow_hosts(options.allow_host.clone());
    Ok(match options.tls()? {
        #[cfg(feature = "tls")]
        Some(tls) => listener.tls(tls),
        #[cfg(not(feature = "tls"))]
        Some(never) => match never {},
        None => listener,
    })
}

/// One line, whatever the log's filter is.
fn fail(text: &str) -> ExitCode {
    if writeln!(std::io::stderr(), "kinesis-emulator: {text}").is_err() {
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}
