//! Where documents about records go that were given up: the mapping's on-failure destination.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::destination::{Condition, GivenUp, LastResponse, document, object_key};
use super::event::uuid;
use super::mapping::Mapping;
use crate::event::{FailureCause, GiveUpReason};
use crate::model::Record;
use crate::port::{BoxError, FailedBatch, FailureDestination, FailureDocument};

/// Takes documents about records that were given up: a queue, a topic, a store of objects. Given by
/// [`Mapping::with_on_failure`]. A function of an [`OnFailureMessage`] is one.
#[async_trait]
pub trait OnFailure: Send + Sync + 'static {
    /// Keeps the document. The records count as processed when this returns `Ok`, and not before.
    ///
    /// # Errors
    /// Any error means that nothing is kept. It is tried again after a pause, for as long as it takes, so a destination
    /// may get one twice.
    async fn send(&self, message: &OnFailureMessage) -> Result<(), BoxError>;
}

#[async_trait]
impl<F, Fut> OnFailure for F
where
    F: Fn(OnFailureMessage) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    async fn send(&self, message: &OnFailureMessage) -> Result<(), BoxError> {
        self(message.clone()).await
    }
}

/// A document about records that were given up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OnFailureMessage {
    /// The document, as JSON: the body of a message, or what is in an object.
    pub document: Bytes,
    /// What Lambda would name the object in a bucket.
    pub object_key: String,
    /// The records it is about.
    pub records: Arc<Vec<Record>>,
}

/// What the engine gives records to that are given up: makes the document, and hands it on if there is somebody.
pub(crate) struct Documents {
    mapping: Arc<Mapping>,
    rng: Mutex<fastrand::Rng>,
}

impl Documents {
    pub(crate) const fn new(mapping: Arc<Mapping>, rng: fastrand::Rng) -> Self {
        Self {
            mapping,
            rng: Mutex::new(rng),
        }
    }

    fn id(&self) -> String {
        uuid(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn message(&self, failed: &FailedBatch) -> Option<OnFailureMessage> {
        let mapping = &self.mapping;
        let about = &failed.document;
        let named = |word: &Option<String>, otherwise| match word {
            Some(word) => Condition::Named(word.clone()),
            None => otherwise,
        };
        let condition = match about.reason {
            GiveUpReason::AttemptsExhausted => Condition::RetryAttemptsExhausted,
            GiveUpReason::RecordAgeExceeded => {
                named(&mapping.age_condition, Condition::RecordAgeExceeded)
            }
            GiveUpReason::RecordTooLarge => named(
                &mapping.too_large_condition,
                Condition::RequestEntityTooLarge,
            ),
        };
        let given_up = GivenUp {
            request_id: self.id(),
            function_arn: mapping.function.arn.clone(),
            condition,
            invoke_count: about.attempts,
            last_response: last_response(about),
        };
        let (shard, records, at) = (&about.shard, &failed.records, about.given_up_at);
        let source = &mapping.source;
        Some(OnFailureMessage {
            document: document(&given_up, source, shard, records, mapping.payload, at)?,
            object_key: object_key(&mapping.id, shard, &self.id(), at),
            records: records.clone(),
        })
    }
}

#[async_trait]
impl FailureDestination for Documents {
    async fn send(&self, failed: &FailedBatch) -> Result<(), BoxError> {
        match (&self.mapping.on_failure, self.message(failed)) {
            (Some(destination), Some(message)) => destination.send(&message).await,
            // Skipped, as Lambda does. The worker has told that they are given up.
            (None, _) | (Some(_), None) => Ok(()),
        }
    }
}

/// How the last invocation ended, by how the last attempt did.
fn last_response(about: &FailureDocument) -> LastResponse {
    match about.cause {
        None => LastResponse::Never,
        Some(FailureCause::NotTried) if about.attempts == 0 => LastResponse::Never,
        Some(FailureCause::Reported) => LastResponse::ItemFailures,
        Some(
            FailureCause::Error
            | FailureCause::Panic
            | FailureCause::TimedOut
            | FailureCause::NotTried,
        ) => LastResponse::FunctionError,
    }
}
