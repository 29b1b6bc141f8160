//! Functions in processes of their own, in any language, behind Lambda's Runtime API on the loopback interface.
//!
//! A [`Function`] is one process at a time: one lane. It is started by a command that runs a runtime client, such as a
//! program made with `lambda_runtime`, or `python -m awslambdaric app.handler`; started again when it is gone, and
//! killed when an invocation takes too long.
//!
//! ```no_run
//! use std::time::Duration;
//! use kcl_core::lambda::runtime_api::{Function, FunctionSettings, Invocation, Outcome};
//! use kcl_core::Env;
//!
//! # async fn example() -> Result<(), kcl_core::Error> {
//! let mut settings = FunctionSettings::new("orders", ["python3", "-m", "awslambdaric", "app.handler"]);
//! settings.timeout = Duration::from_secs(30);
//! let mut function = Function::new(settings, Env::system())?;
//! match function.invoke(Invocation::new("8476a536", r#"{"Records": []}"#)).await? {
//!     Outcome::Response(body) => println!("{} bytes", body.len()),
//!     failed => println!("{failed:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The process gets `AWS_LAMBDA_RUNTIME_API` and the other variables that runtime clients ask for, beside those of this
//! process. What it prints goes where this process prints. Every life of it has a port of its own, so what an earlier life
//! still has to say reaches nobody. The port is open to all who may run programs on this machine, as the protocol knows
//! no secrets; requests that are not addressed to it by its number, as those of web pages, are refused.
//!
//! Killed is the process that the command starts. A script around the program should end in `exec`.
//!
//! * `desk`: what each request means, and when. Pure.
//! * `server`: requests as HTTP.
//! * `process`: one life of the process and its server.

mod desk;
mod process;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use self::process::{Life, Spent};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Problem};

/// How a function is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    /// The program and its arguments. No shell reads it.
    pub command: Vec<String>,
    /// Variables for the process, beside those it inherits and those of the protocol.
    pub environment: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// Its ARN. Default: one with its name, in no real account.
    pub arn: String,
    /// Its version. Default: `$LATEST`.
    pub version: String,
    /// Megabytes of memory that the process is told it has. Default 128. Nobody holds it to them.
    pub memory_mb: u32,
    /// How long an invocation may take before the process is killed: up to 900 s. Default 3 s, as Lambda's.
    pub timeout: Duration,
    /// How long the process may take from its start until it asks for its first invocation. Default 10 s, as Lambda's.
    pub init_max: Duration,
}

impl FunctionSettings {
    /// A function of this name, run by this command.
    #[must_use]
    pub fn new<C: Into<String>>(
        name: impl Into<String>,
        command: impl IntoIterator<Item = C>,
    ) -> Self {
        let name = name.into();
        Self {
            command: command.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
            name,
            version: "$LATEST".to_owned(),
            memory_mb: 128,
            timeout: Duration::from_secs(3),
            init_max: Duration::from_secs(10),
        }
    }

    /// A function of this name in this process: there is no command, and what is for processes alone does not matter.
    #[must_use]
    pub fn in_process(name: impl Into<String>) -> Self {
        Self::new(name, [""; 0])
    }

    /// What is wrong, all at once, for a function in a process.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let hour = Duration::from_secs(60 * 60);
        let moment = Duration::from_millis(1);
        let is_command = self.command.first();
        let is_command = is_command.is_some_and(|program| !program.is_empty());
        let mut problems = self.problems_in_process();
        let rules = [
            (is_command, "command", "must name a program"),
            (
                (moment..=hour).contains(&self.init_max),
                "init_max",
                "must be 1 ms to one hour",
            ),
        ];
        problems.extend(broken(&rules));
        problems
    }

    /// What is wrong, all at once, for a function in this process.
    #[must_use]
    pub fn problems_in_process(&self) -> Vec<Problem> {
        let moment = Duration::from_millis(1);
        broken(&[
            (
                is_visible(&self.name) && is_visible(&self.arn) && is_visible(&self.version),
                "name",
                "must, as ARN and version, have printable ASCII characters and nothing else",
            ),
            (
                (moment..=Duration::from_secs(900)).contains(&self.timeout),
                "timeout",
                "must be 1 ms to 900 s",
            ),
        ])
    }
}

/// The rules that do not hold.
fn broken(rules: &[(bool, &str, &str)]) -> Vec<Problem> {
    let broken = rules.iter().filter(|(ok, ..)| !ok);
    broken
        .map(|(_, setting, rule)| Problem::new(format!("lambda.function.{setting}"), *rule))
        .collect()
}

/// Whether a text can be told in a header.
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a function is invoked with.
#[derive(Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Names the invocation: printable ASCII, without `/`.
    pub request_id: String,
    /// The event, as JSON.
    pub payload: Bytes,
    /// What the function is to pass on, for tracing.
    pub trace_id: Option<String>,
}

impl Invocation {
    /// An invocation with this id and event.
    #[must_use]
    pub fn new(request_id: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            request_id: request_id.into(),
            payload: payload.into(),
            trace_id: None,
        }
    }
}

/// The payload is left out: record data does not belong in logs.
impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation")
            .field("request_id", &self.request_id)
            .field("payload_bytes", &self.payload.len())
            .field("trace_id", &self.trace_id)
            .finish_non_exhaustive()
    }
}

/// How an invocation ended. All but [`Outcome::Response`] are errors of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function returned this.
    Response(Bytes),
    /// The function failed, and says so.
    Error {
        /// The kind of error, in the words of the runtime client or of the function.
        error_type: Option<String>,
        /// What it says of it: usually JSON, with `errorMessage`, `errorType` and `stackTrace`.
        body: Bytes,
    },
    /// It could not be made ready for the invocation, and says so.
    InitError {
        /// As of [`Outcome::Error`].
        error_type: Option<String>,
        /// As of [`Outcome::Error`].
        body: Bytes,
    },
    /// It took longer than [`FunctionSettings::timeout`], and was killed.
    TimedOut,
    /// It did not ask for the invocation within [`FunctionSettings::init_max`], and was killed.
    InitTimedOut,
    /// The process ended without an answer.
    Exited {
        /// Its exit code; nothing if a signal ended it.
        code: Option<i32>,
    },
    /// The response was larger than 6 MiB, and was not taken.
    ResponseTooLarge,
}

/// A function in a process of its own, for one invocation at a time.
#[derive(Debug)]
pub struct Function {
    settings: FunctionSettings,
    env: Env,
    /// The process, while there is one that can be used.
    life: Option<Life>,
}

impl Function {
    /// A function that starts its process with its first invocation.
    ///
    /// # Errors
    /// Of kind [`Invalid`](ErrorKind::Invalid) with everything that is wrong with the settings.
    pub fn new(settings: FunctionSettings, env: Env) -> Result<Self, Error> {
        let problems: Vec<_> = settings
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        if !problems.is_empty() {
            let message = format!("the function cannot be run: {}", problems.join("; "));
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Self {
            settings,
            env,
            life: None,
        })
    }

    /// Invokes the function, and waits until it is done. Starts its process if there is none.
    ///
    /// If this future is dropped, the process is killed: nobody knows how far it came.
    ///
    /// # Errors
    /// If the process cannot be started, or nobody can listen on the loopback interface; or if the id of the invocation
    /// cannot be told.
    pub async fn invoke(&mut self, invocation: Invocation) -> Result<Outcome, Error> {
        let id = &invocation.request_id;
        let trace = invocation.trace_id.as_deref();
        if !is_visible(id) || id.contains('/') || !trace.is_none_or(is_visible) {
            let message = format!("{invocation:?} cannot be told to a function");
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                "its id and its trace id must be printable ASCII, the id without a slash",
            ));
        }
        // What idled and died meanwhile is of no use.
        self.life.take_if(|life| !life.is_alive());
        let mut life = match self.life.take() {
            Some(life) => life,
            None => Life::start(&self.settings, &self.env).await?,
        };
        let (outcome, spent) = life.invoke(invocation, &self.settings).await;
        match spent {
            Spent::No => self.life = Some(life),
            Spent::Yes => life.end().await,
        }
        Ok(outcome)
    }

    /// Kills the process, if there is one, and waits until it is gone. Dropping the function kills it as well.
    pub async fn stop(&mut self) {
        if let Some(life) = self.life.take() {
            life.end().await;
        }
    }
}
