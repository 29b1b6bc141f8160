//! Who reads, and how its process is started. Every one prints `NUMBER NANOSECONDS` for each record.

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use aws_types::region::Region;
use kcl_core::{
    Batch, Checkpointer, Env, PollSettings, Polling, ProcessorResult, RecordProcessor,
    ShardContext, Worker,
};
use kcl_efo::FanOut;
use kcl_lease::DynamoLeases;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{Error, IDLE};

/// The release that is measured.
const KCL_RS: &str = "kcl-rs==0.1.4";

pub(crate) enum Contender {
    FanOut,
    Polling,
    KclRsFanOut,
    KclRsPolling { idle: Option<Duration> },
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FanOut => f.write_str("fan-out"),
            Self::Polling => write!(f, "polling, idle {IDLE:?}"),
            Self::KclRsFanOut => write!(f, "{KCL_RS} fan-out"),
            Self::KclRsPolling { idle: None } => write!(f, "{KCL_RS} polling, as it comes (1.5s)"),
            Self::KclRsPolling { idle: Some(idle) } => write!(f, "{KCL_RS} polling, idle {idle:?}"),
        }
    }
}

/// A process that reads. It ends when this is dropped.
pub(crate) struct Running {
    lines: Lines<BufReader<ChildStdout>>,
    _input: ChildStdin,
    _process: Child,
}

impl Running {
    pub(crate) async fn start(
        contender: &Contender,
        endpoint: &str,
        stream: &str,
    ) -> Result<Self, Error> {
        let mut command = match contender {
            Contender::FanOut => ours(endpoint, stream, "fanout")?,
            Contender::Polling => ours(endpoint, stream, "polling")?,
            Contender::KclRsFanOut => kcl_rs(endpoint, stream, "FANOUT", None).await?,
            Contender::KclRsPolling { idle } => kcl_rs(endpoint, stream, "POLLING", *idle).await?,
        };
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            lines: BufReader::new(output).lines(),
            _input: process.stdin.take().ok_or("no standard input")?,
            _process: process,
        })
    }

    /// The next record's number, and how old it was.
    pub(crate) async fn next(&mut self) -> Result<(u32, Duration), Error> {
        let line = self.lines.next_line().await?;
        let line = line.ok_or("its process ended")?;
        let (number, nanos) = line.split_once(' ').ok_or("not the promised line")?;
        Ok((number.parse()?, Duration::from_nanos(nanos.parse()?)))
    }
}

fn ours(endpoint: &str, stream: &str, mode: &str) -> Result<Command, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--worker", endpoint, stream, mode]);
    Ok(command)
}

async fn kcl_rs(
    endpoint: &str,
    stream: &str,
    mode: &str,
    idle: Option<Duration>,
) -> Result<Command, Error> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python().await?);
    command.arg(here.join("benches/delay/kcl_rs_worker.py"));
    command.args([endpoint, stream, "kcl-rs", mode]);
    if let Some(idle) = idle {
        command.arg(idle.as_millis().to_string());
    }
    Ok(command)
}

/// A Python that has kcl-rs: an environment below the target folder, made once from the package index.
async fn python() -> Result<PathBuf, Error> {
    let program = std::env::current_exe()?;
    let folder = program
        .ancestors()
        .nth(2)
        .ok_or("this program has no folder")?;
    let environment = folder.join("kcl-rs-environment");
    let python = environment.join("bin/python");
    let has_it = async |python: &PathBuf| {
        let mut look = Command::new(python);
        look.args(["-c", "import kcl_rs"]).stderr(Stdio::null());
        look.status().await.is_ok_and(|status| status.success())
    };
    if has_it(&python).await {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    run(make, "python3 -m venv").await?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", KCL_RS]);
    run(install, "pip install").await?;
    if has_it(&python).await {
        Ok(python)
    } else {
        Err(format!("{KCL_RS} cannot be imported").into())
    }
}

async fn run(mut command: Command, what: &str) -> Result<(), Error> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("{what} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(format!("{what} failed: {last}").into())
}

/// The worker's process.
pub(crate) async fn work(endpoint: &str, stream: &str, mode: &str) -> Result<(), Error> {
    let config = SdkConfig::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_kinesis::config::SharedCredentialsProvider::new(
            Credentials::new("test", "test", None, None, "bench"),
        ))
        .build();
    let builder = Worker::builder("delay", stream)
        .with_ownership(DynamoLeases::new(&config))
        .with_processor(|_: &ShardContext| Delays);
    let builder = match mode {
        "fanout" => builder.with_source(FanOut::new(&config, "delay")),
        _ => builder.with_source(Polling::new(&config).with_settings(PollSettings {
            idle: IDLE,
            ..PollSettings::default()
        })),
    };
    let ended = async {
        // Whatever ends the input ends the worker.
        drop(tokio::io::stdin().read_to_end(&mut Vec::new()).await);
    };
    builder.build()?.run(ended).await?;
    Ok(())
}

struct Delays;

#[async_trait]
impl RecordProcessor for Delays {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        let now = Env::system().wall().duration_since(UNIX_EPOCH)?.as_nanos();
        let mut lines = Vec::new();
        for record in &batch.records {
            let text = std::str::from_utf8(&record.data)?;
            let (number, sent) = text
                .split_once(' ')
                .ok_or("not a record of this benchmark")?;
            let sent: u128 = sent.parse()?;
            writeln!(lines, "{number} {}", now.saturating_sub(sent))?;
        }
        let mut output = std::io::stdout().lock();
        output.write_all(&lines)?;
        output.flush()?;
        Ok(())
    }
}
