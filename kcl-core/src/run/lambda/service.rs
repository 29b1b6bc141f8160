//! A function in this process: a `tower::Service` as `lambda_runtime::run` takes it.

use std::any::Any;
use std::fmt::Debug;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::kinesis::KinesisEvent;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use lambda_runtime::{
    Config, Context, Diagnostic, FunctionResponse, IntoFunctionResponse, LambdaEvent, Service,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rooms::Rooms;
use super::turns::Turns;
use super::{Event, Function, Invocation, Said};
use crate::event::FailureCause;
use crate::lambda::event::{PAYLOAD_BYTES_MAX, json};
use crate::lambda::mapping::Mapping;
use crate::port::BoxError;

/// A service and the types it was given with. One for all shards and lanes: one has it at a time, until it is ready and has
/// made the future of a call, not while that runs.
pub(crate) struct InProcess<A, F, B, S> {
    mapping: Arc<Mapping>,
    service: Turns<F>,
    rooms: Rooms,
    config: Arc<Config>,
    types: PhantomData<fn(A) -> (B, S)>,
}

impl<A, F, B, S> InProcess<A, F, B, S> {
    pub(crate) fn new(mapping: Arc<Mapping>, service: F) -> Self {
        let function = &mapping.function;
        let config = Config {
            function_name: function.name.clone(),
            memory: i32::try_from(function.memory_mb).unwrap_or(i32::MAX),
            version: function.version.clone(),
            log_stream: function.version.clone(),
            log_group: format!("/aws/lambda/{}", function.name),
        };
        Self {
            config: Arc::new(config),
            service: Turns::new(service),
            rooms: Rooms::default(),
            mapping,
            types: PhantomData,
        }
    }

    fn context(&self, invocation: &Invocation) -> Context {
        let since = invocation.deadline.duration_since(SystemTime::UNIX_EPOCH);
        let deadline = since.unwrap_or_default().as_millis();
        let mut context = Context::default();
        context.request_id.clone_from(&invocation.request_id);
        context.deadline = u64::try_from(deadline).unwrap_or(u64::MAX);
        context
            .invoked_function_arn
            .clone_from(&self.mapping.function.arn);
        context.env_config = self.config.clone();
        context
    }
}

impl<A, F, R, B, S, D, E> Function for InProcess<A, F, B, S>
where
    F: Service<LambdaEvent<A>, Response = R> + Send + 'static,
    F::Future: Future<Output = Result<R, F::Error>> + Send,
    F::Error: Into<Diagnostic> + Debug,
    A: DeserializeOwned + Send + 'static,
    R: IntoFunctionResponse<B, S> + Send,
    B: Serialize + Send + 'static,
    S: Stream<Item = Result<D, E>> + Unpin + Send + 'static,
    D: Into<Bytes> + Send,
    E: Into<lambda_runtime::Error> + Send + Debug,
{
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Said, BoxError>> {
        let context = self.context(&invocation);
        let payload = self.payload::<A>(&invocation);
        async move {
            let payload = match payload {
                Ok(payload) => payload,
                Err(error) => return Ok(Said::Failed(FailureCause::Error, error.into())),
            };
            let call = {
                let mut service = self.service.take().await;
                if let Err(error) = poll_fn(|context| service.poll_ready(context)).await {
                    return Ok(Said::NotInvoked(told(error)));
                }
                service.call(LambdaEvent::new(payload, context))
            };
            let response = match call.await.map_err(told) {
                Ok(response) => response.into_response(),
                Err(error) => return Ok(Said::Failed(FailureCause::Error, error)),
            };
            Ok(match body(response, self.mapping.reads_response()).await {
                Ok(body) => Said::Response(body),
                Err(error) => Said::Failed(FailureCause::Error, error),
            })
        }
        .boxed()
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.mapping.function.timeout)
    }
}

impl<A, F, B, S> InProcess<A, F, B, S> {
    /// The event as the function wants it: the type for Kinesis as it is, any other by way of JSON.
    fn payload<T: DeserializeOwned + 'static>(
        &self,
        invocation: &Invocation,
    ) -> Result<T, serde_json::Error> {
        let (source, shard) = (&self.mapping.source, &invocation.shard);
        let mut event: Option<T> = None;
        if let Event::Records(records) = &invocation.event
            && let Some(event) = (&mut event as &mut dyn Any).downcast_mut::<Option<KinesisEvent>>()
        {
            *event = Some(self.rooms.event(source, shard, records));
        }
        match (event, &invocation.event) {
            (Some(event), _) => Ok(event),
            (None, Event::Records(records)) => {
                serde_json::from_slice(&json(source, shard, records))
            }
            (None, Event::Json(json)) => serde_json::from_slice(json),
        }
    }
}

/// What the function says of its failure.
fn told(error: impl Into<Diagnostic>) -> BoxError {
    let Diagnostic {
        error_type,
        error_message,
    } = error.into();
    format!("{error_type}: {error_message}").into()
}

/// The response as JSON, if anybody wants it.
async fn body<B, S, D, E>(
    response: FunctionResponse<B, S>,
    is_wanted: bool,
) -> Result<Bytes, BoxError>
where
    B: Serialize,
    S: Stream<Item = Result<D, E>> + Unpin,
    D: Into<Bytes>,
    E: Into<lambda_runtime::Error>,
{
    let body = match response {
        FunctionResponse::BufferedResponse(_) if !is_wanted => return Ok(Bytes::new()),
        FunctionResponse::BufferedResponse(body) => serde_json::to_vec(&body)?,
        FunctionResponse::StreamingResponse(mut response) => {
            let mut body = Vec::new();
            while let Some(piece) = response.stream.next().await {
                body.extend_from_slice(&piece.map_err(Into::into)?.into());
                if body.len() > PAYLOAD_BYTES_MAX {
                    break;
                }
            }
            body
        }
    };
    if body.len() > PAYLOAD_BYTES_MAX {
        return Err("the response has more than 6 MiB".into());
    }
    Ok(body.into())
}
