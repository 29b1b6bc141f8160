//! Functions in processes of their own: one process for each lane of each shard, behind the Runtime API.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Event, Function, Invocation, Said};
use crate::env::Env;
use crate::event::FailureCause;
use crate::lambda::event::json;
use crate::lambda::mapping::Mapping;
use crate::lambda::runtime_api::{self, Outcome};
use crate::port::BoxError;

/// The processes of one shard. They end when this is dropped.
pub(crate) struct Processes {
    mapping: Arc<Mapping>,
    /// By lane. Nothing if the settings are wrong, which the builder has refused.
    lanes: Vec<Option<Mutex<runtime_api::Function>>>,
}

impl Processes {
    pub(crate) fn new(mapping: Arc<Mapping>, env: &Env) -> Self {
        let lanes = 0..mapping.settings.parallelization_factor;
        let function = |_| {
            let function = runtime_api::Function::new(mapping.function.clone(), env.clone());
            function.ok().map(Mutex::new)
        };
        Self {
            lanes: lanes.map(function).collect(),
            mapping,
        }
    }
}

impl Function for Processes {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Said, BoxError>> {
        async move {
            let lane = self.lanes.get(invocation.lane).and_then(Option::as_ref);
            let Some(lane) = lane else {
                return Ok(Said::NotInvoked("there is no process for this lane".into()));
            };
            let event = match &invocation.event {
                Event::Records(records) => json(&self.mapping.source, &invocation.shard, records),
                Event::Json(event) => event.clone(),
            };
            let invocation = runtime_api::Invocation::new(invocation.request_id, event);
            // No other call is in this lane.
            let mut function = lane.lock().await;
            Ok(match function.invoke(invocation).await {
                Ok(outcome) => said(outcome),
                Err(error) => Said::NotInvoked(error.into()),
            })
        }
        .boxed()
    }

    fn timeout(&self) -> Option<Duration> {
        // The process has to be killed, not only left.
        None
    }
}

fn said(outcome: Outcome) -> Said {
    let told = |what: &str, error_type: Option<String>, body: &[u8]| {
        let error_type = error_type.unwrap_or_else(|| "Unhandled".to_owned());
        let body = String::from_utf8_lossy(&body[..body.len().min(ERROR_BYTES_MAX)]).into_owned();
        format!("{what} {error_type}: {body}").into()
    };
    match outcome {
        Outcome::Response(body) => Said::Response(body),
        Outcome::Error { error_type, body } => Said::Failed(
            FailureCause::Error,
            told("it answered with", error_type, &body),
        ),
        Outcome::InitError { error_type, body } => Said::Failed(
            FailureCause::Error,
            told("it could not be made ready,", error_type, &body),
        ),
        Outcome::TimedOut => Said::Failed(
            FailureCause::TimedOut,
            "it did not answer in time, and was killed".into(),
        ),
        Outcome::InitTimedOut => Said::Failed(
            FailureCause::TimedOut,
            "it did not ask for its first invocation in time, and was killed".into(),
        ),
        Outcome::Exited { code } => {
            let how = code.map_or("by a signal".to_owned(), |code| format!("with code {code}"));
            let what = format!("its process ended {how}");
            Said::Failed(FailureCause::Error, what.into())
        }
        Outcome::ResponseTooLarge => Said::Failed(
            FailureCause::Error,
            "its response has more than 6 MiB".into(),
        ),
    }
}

/// Of what a function says about its failure, so much is kept. It can name records, and so goes into no log but as an
/// error of the user's code.
const ERROR_BYTES_MAX: usize = 4 * 1024;
