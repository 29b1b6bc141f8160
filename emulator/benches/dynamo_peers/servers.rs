//! The servers that are measured: how they are started and stopped.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connection, Error};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// How long a first answer may take. moto may take a connection while it starts and never answer on it.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// The programs, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Emulator,
    Dynalite,
    Moto,
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
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emulator => "this emulator",
            Self::Dynalite => "dynalite",
            Self::Moto => "moto",
        }
    }
}

impl Program {
    /// The command, with no delays and no logs.
    fn command(&self, port: u16) -> Command {
        let port = port.to_string();
        let mut command = Command::new(match self.kind {
            Kind::Emulator | Kind::Moto => self.path.as_os_str(),
            Kind::Dynalite => "node".as_ref(),
        });
        match self.kind {
            Kind::Emulator => command.args(["--port", &port]),
            Kind::Dynalite => {
                command.arg(self.path.join("cli.js")).args([
                    "--host",
                    "127.0.0.1",
                    "--port",
                    &port,
                ]);
                let delays = ["--createTableMs", "--deleteTableMs", "--updateTableMs"];
                command.args(delays.iter().flat_map(|delay| [*delay, "0"]))
            }
            Kind::Moto => command.args(["-H", "127.0.0.1", "-p", &port]),
        };
        command
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
        };
        while !running.answers().await {
            if began.elapsed() > START || running.child.try_wait()?.is_some() {
                return Err(format!("{} does not start", self.kind.name()).into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(running)
    }
}

impl Running {
    async fn answers(&self) -> bool {
        let first = async {
            let mut connection = Connection::open(&self.address).await?;
            connection.call("ListTables", "{}").await
        };
        matches!(timeout(FIRST_ANSWER, first).await, Ok(Ok(_)))
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
