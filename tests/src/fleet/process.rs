//! Starting and stopping the binaries under test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::output::Output;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long the emulator may take until it says that it listens.
const EMULATOR_START_MAX: Duration = Duration::from_secs(10);

/// What is started as processes of their own.
const BINARIES: [&str; 2] = ["kinesis-emulator", "record-printer"];

/// The folder of the binaries under test. Under cargo they are built first, in the profile of this
/// program; a program started by hand takes what is there.
///
/// # Errors
/// If they cannot be built or are not there.
pub async fn binaries() -> Result<PathBuf, Error> {
    let program = std::env::current_exe()?;
    let mut folder = program.parent().ok_or("this program has no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().ok_or("the target folder has no parent")?;
    }
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        // Of the whole workspace, because the features are then nearly those of `cargo test --workspace`. Only these
        // two: with the features of development left out, another build of `sim` would take the place of the one
        // that its tests compare themselves with, and order other things differently.
        build.args(["build", "--quiet", "--workspace"]);
        build.args(BINARIES.iter().flat_map(|name| ["--bin", name]));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        if !build.status().await?.success() {
            return Err("the binaries under test could not be built".into());
        }
    }
    for name in BINARIES {
        if !folder.join(name).exists() {
            return Err(format!("{name} is not in {}; build it first", folder.display()).into());
        }
    }
    Ok(folder.to_owned())
}

/// A running `kinesis-emulator`.
#[derive(Debug)]
pub struct EmulatorProcess {
    endpoint: String,
    process: Child,
}

impl EmulatorProcess {
    /// Starts it on a free port and waits until it listens.
    ///
    /// # Errors
    /// If it does not say so in time.
    pub async fn start(binaries: &Path) -> Result<Self, Error> {
        let mut command = Command::new(binaries.join("kinesis-emulator"));
        command.args(["--port", "0"]);
        Self::spawn(command).await
    }

    /// Starts a program that is one, and says where it listens as `kinesis-emulator` does.
    ///
    /// # Errors
    /// If it does not say so in time.
    pub async fn spawn(mut command: Command) -> Result<Self, Error> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(EMULATOR_START_MAX, lines.next_line()).await??;
        let line = line.ok_or("the emulator ended without a word")?;
        let endpoint = line
            .strip_prefix("listening on ")
            .ok_or("not the promised line")?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            process,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// An SDK configuration for it.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(aws_sdk_kinesis::config::SharedCredentialsProvider::new(
                Credentials::new("test", "test", None, None, "fleet"),
            ))
            .build()
    }
}

/// How to start a `record-printer`.
#[derive(Clone, Debug)]
pub struct PrinterSettings {
    /// Where the binaries are.
    pub binaries: PathBuf,
    /// The emulator.
    pub endpoint: String,
    /// The stream to read.
    pub stream: String,
    /// The application.
    pub application: String,
}

/// A running `record-printer`.
#[derive(Debug)]
pub struct Printer {
    worker: String,
    process: Child,
    started: Instant,
    _reader: JoinSet<()>,
}

impl Printer {
    /// Starts one; its lines go to `output`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(settings: &PrinterSettings, worker: &str, output: &Output) -> Result<Self, Error> {
        let started = Instant::now();
        let mut process = Self::command(settings, worker).spawn()?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        let stderr = process.stderr.take().ok_or("no standard error")?;
        let mut reader = JoinSet::new();
        let sink = output.clone();
        let name = worker.to_owned();
        reader.spawn(async move {
            let mut lines = BufReader::with_capacity(1 << 20, stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sink.line(&name, &line);
            }
        });
        let sink = output.clone();
        let name = worker.to_owned();
        reader.spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sink.log(&name, line);
            }
        });
        Ok(Self {
            worker: worker.to_owned(),
            process,
            started,
            _reader: reader,
        })
    }

    fn command(settings: &PrinterSettings, worker: &str) -> Command {
        let mut command = Command::new(settings.binaries.join("record-printer"));
        command
            .args([
                "--stream",
                &settings.stream,
                "--application",
                &settings.application,
            ])
            .args(["--worker-id", worker])
            .env("AWS_ENDPOINT_URL", &settings.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Its worker id.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// When it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// `kill -9`, without warning.
    ///
    /// # Errors
    /// If it is not running.
    pub async fn kill(mut self) -> Result<(), Error> {
        Ok(self.process.kill().await?)
    }

    /// SIGTERM, then waits for the end. Answers the exit code.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(mut self, at_most: Duration) -> Result<Option<i32>, Error> {
        let pid = self.process.id().ok_or("it is not running")?;
        let sent = Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await?;
        if !sent.success() {
            return Err("the signal could not be sent".into());
        }
        let status = timeout(at_most, self.process.wait()).await??;
        // The readers end with the pipes; what is still in them counts.
        while timeout(Duration::from_secs(5), self._reader.join_next())
            .await?
            .is_some()
        {}
        Ok(status.code())
    }
}

/// Runs a `record-printer` to its end with exactly these arguments and environment, for bad input.
///
/// # Errors
/// If it does not end in time.
pub async fn run_to_end(
    binaries: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    at_most: Duration,
) -> Result<(Option<i32>, String), Error> {
    let mut process = Command::new(binaries.join("record-printer"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stderr = process.stderr.take().ok_or("no standard error")?;
    let mut text = String::new();
    let ended = async {
        stderr.read_to_string(&mut text).await?;
        process.wait().await
    };
    let status = timeout(at_most, ended).await??;
    Ok((status.code(), text))
}
