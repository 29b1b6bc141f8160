//! The servers that are measured: how they are started and stopped, and what they weigh.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::client::{Connection, Error};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// The programs, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Emulator,
    Ferrokinesis,
    KinesisLocal,
    Kinesalite,
}

/// A program and where it is installed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    /// A file, or a folder of Node's.
    pub(crate) path: PathBuf,
}

/// A program that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
    /// From the start of the process to its first answer.
    pub(crate) started_in: Duration,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emulator => "this emulator",
            Self::Ferrokinesis => "ferrokinesis",
            Self::KinesisLocal => "kinesis-local",
            Self::Kinesalite => "kinesalite",
        }
    }
}

impl Program {
    /// The command, with no delays and no logs.
    fn command(&self, port: u16) -> Command {
        let port = port.to_string();
        match self.kind {
            Kind::Emulator => {
                let mut command = Command::new(&self.path);
                command.args(["--port", &port]);
                command
            }
            Kind::Ferrokinesis => {
                let mut command = Command::new(&self.path);
                command.args([
                    "--port",
                    &port,
                    "--log-level",
                    "off",
                    "--shard-limit",
                    "100",
                ]);
                let delays = [
                    "--create-stream-ms",
                    "--delete-stream-ms",
                    "--update-stream-ms",
                ];
                command.args(delays.iter().flat_map(|delay| [*delay, "0"]));
                command
            }
            Kind::KinesisLocal => {
                let mut command = Command::new("node");
                command.arg("main.js").current_dir(&self.path);
                command.env("KINESIS_MOCK_PLAIN_PORT", &port);
                command.env("KINESIS_MOCK_TLS_PORT", "0");
                command.env("LOG_LEVEL", "ERROR");
                for change in ["CREATE_STREAM", "DELETE_STREAM"] {
                    command.env(format!("{change}_DURATION"), "1ms");
                }
                command
            }
            Kind::Kinesalite => {
                let mut command = Command::new("node");
                command
                    .arg(self.path.join("cli.js"))
                    .args(["--port", &port]);
                command.args(["--shardLimit", "100"]);
                let delays = ["--createStreamMs", "--deleteStreamMs", "--updateStreamMs"];
                command.args(delays.iter().flat_map(|delay| [*delay, "0"]));
                command
            }
        }
    }

    /// Starts it and waits for its first answer.
    pub(crate) async fn start(&self) -> Result<Running, Error> {
        let port = {
            let socket = TcpListener::bind("127.0.0.1:0").await?;
            socket.local_addr()?.port()
        };
        let mut command = self.command(port);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut running = Running {
            child: command.spawn()?,
            address: format!("127.0.0.1:{port}"),
            started_in: Duration::ZERO,
        };
        while !running.answers().await {
            if began.elapsed() > START || running.child.try_wait()?.is_some() {
                return Err(format!("{} does not start", self.kind.name()).into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        running.started_in = began.elapsed();
        Ok(running)
    }

    /// Megabytes of what is installed, without the Node it may need.
    pub(crate) fn megabytes(&self) -> Result<f64, Error> {
        Ok(size(&self.path)? as f64 / 1e6)
    }
}

fn size(path: &Path) -> Result<u64, Error> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        sum += size(&entry?.path())?;
    }
    Ok(sum)
}

impl Running {
    async fn answers(&self) -> bool {
        match Connection::open(&self.address).await {
            Ok(mut connection) => connection.call("ListStreams", "{}").await.is_ok(),
            Err(_) => false,
        }
    }

    /// Resident memory in megabytes.
    pub(crate) fn resident(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let line = line.ok_or("no VmRSS")?;
        let kilobytes: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("cannot end a server: {error}");
        }
    }
}
