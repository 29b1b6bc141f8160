//! One life of a function's process, with the server it talks to. Owned by [`Function`](super::Function).

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::desk::Waiting;
use super::server::{Counter, listen};
use super::{FunctionSettings, Invocation, Outcome};
use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// Dropping it kills the process and stops the server.
#[derive(Debug)]
pub(super) struct Life {
    child: Child,
    counter: Arc<Counter>,
    _server: JoinSet<()>,
}

/// Whether the process can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    No,
    Yes,
}

impl Life {
    pub(super) async fn start(settings: &FunctionSettings, env: &Env) -> Result<Self, Error> {
        let mut server = JoinSet::new();
        let counter = listen(settings, env, &mut server).await?;
        let (program, arguments) = settings.command.split_first().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "the function has no command to start it",
            )
        })?;
        let child = Command::new(program)
            .args(arguments)
            .env_remove("AWS_LAMBDA_MAX_CONCURRENCY")
            .envs(&settings.environment)
            .env("AWS_LAMBDA_RUNTIME_API", counter.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &settings.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", &settings.version)
            .env(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                settings.memory_mb.to_string(),
            )
            .env(
                "AWS_LAMBDA_LOG_GROUP_NAME",
                format!("/aws/lambda/{}", settings.name),
            )
            .env("AWS_LAMBDA_LOG_STREAM_NAME", settings.version.clone())
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|cause| {
            let message = format!("cannot start {program:?} for function {}", settings.name);
            Error::new(ErrorKind::Invalid, message)
                .with_hint("check that the command is there and may be run")
                .with_source(cause)
        })?;
        Ok(Self {
            child,
            counter,
            _server: server,
        })
    }

    /// Whether the process still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands the invocation to the process, and waits for what comes of it.
    pub(super) async fn invoke(
        &mut self,
        invocation: Invocation,
        settings: &FunctionSettings,
    ) -> (Outcome, Spent) {
        let (fetched, mut is_fetched) = oneshot::channel();
        let (outcome, mut ended) = oneshot::channel();
        self.counter
            .desk()
            .offer(invocation, Waiting { fetched, outcome });
        self.counter.ring();

        let init_over = Instant::now() + settings.init_max;
        // ORDER: an outcome counts even of a process that is gone by then; time is last.
        tokio::select! {
            biased;
            Ok(outcome) = &mut ended => return spent(outcome),
            Ok(()) = &mut is_fetched => {}
            status = self.child.wait() => return exited(status, &mut ended),
            () = sleep_until(init_over) => return (Outcome::InitTimedOut, Spent::Yes),
        }
        let over = Instant::now() + settings.timeout;
        // ORDER: as above.
        tokio::select! {
            biased;
            Ok(outcome) = &mut ended => spent(outcome),
            status = self.child.wait() => exited(status, &mut ended),
            () = sleep_until(over) => (Outcome::TimedOut, Spent::Yes),
        }
    }

    /// Kills the process and waits until it is gone.
    pub(super) async fn end(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the process of a function could not be killed");
        }
    }
}

fn spent(outcome: Outcome) -> (Outcome, Spent) {
    let spent = match &outcome {
        Outcome::Response(_) | Outcome::Error { .. } | Outcome::ResponseTooLarge => Spent::No,
        Outcome::InitError { .. }
        | Outcome::TimedOut
        | Outcome::InitTimedOut
        | Outcome::Exited { .. } => Spent::Yes,
    };
    (outcome, spent)
}

/// The process ended; perhaps it had answered.
fn exited(
    status: std::io::Result<ExitStatus>,
    ended: &mut oneshot::Receiver<Outcome>,
) -> (Outcome, Spent) {
    let code = status.ok().and_then(|status| status.code());
    let outcome = ended.try_recv().unwrap_or(Outcome::Exited { code });
    (outcome, Spent::Yes)
}
