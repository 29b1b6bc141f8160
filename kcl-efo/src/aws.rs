//! What the answers of Kinesis mean. One function per question, by error code and never by message
//! text. Called by `consumer` and by `feed::subscription`.

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardError;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError as StreamError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::event_stream::RawMessage;
use kcl_core::aws::{Call, classify, is_throttling};
use kcl_core::error::{Error, ErrorKind};

use crate::frames::BadFrame;
use crate::session::Refusal;

/// What a failed call means for whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The stream or consumer is not there.
    NotFound,
    /// It is being made, changed or deleted by somebody.
    InUse,
    /// Too many calls, or too many of the thing itself.
    Limit,
    /// Credentials are missing, wrong or lack a permission.
    Denied,
    /// The request makes no sense to the service.
    Invalid,
    /// No answer, or an internal error of the service.
    Unavailable,
    /// An answer that is not one of Kinesis.
    Unreadable,
}

/// Classifies a failed call.
pub(crate) fn meaning<E, R>(error: &SdkError<E, R>) -> Meaning
where
    E: ProvideErrorMetadata,
{
    match error {
        // The request was never sent: in practice there are no credentials or no region.
        SdkError::ConstructionFailure(_) => Meaning::Denied,
        // Credentials are looked up while it is being sent.
        SdkError::DispatchFailure(failure) if failure.is_user() => Meaning::Denied,
        SdkError::ResponseError(_) => Meaning::Unreadable,
        SdkError::ServiceError(refusal) => refusal
            .err()
            .code()
            .map_or(Meaning::Unavailable, meaning_of_code),
        // The type is open to new kinds; what is not known is worth another try.
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | _ => Meaning::Unavailable,
    }
}

fn meaning_of_code(code: &str) -> Meaning {
    match code {
        "ResourceNotFoundException" => Meaning::NotFound,
        "ResourceInUseException" => Meaning::InUse,
        "LimitExceededException" | "ThrottlingException" | "Throttling" => Meaning::Limit,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId" => Meaning::Denied,
        "InvalidArgumentException" | "ValidationException" | "SerializationException" => {
            Meaning::Invalid
        }
        _ => Meaning::Unavailable,
    }
}

/// The error of a failed call, for the reader: what was wrong, what to do, and the cause in short.
pub(crate) fn failed<E, R>(action: &'static str, what: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug,
{
    let (kind, hint) = match meaning(error) {
        Meaning::NotFound => (
            ErrorKind::NotFound,
            "check the name, the region and the account".to_owned(),
        ),
        Meaning::Denied => (
            ErrorKind::Denied,
            format!("give usable credentials that are allowed kinesis:{action}"),
        ),
        Meaning::Invalid => (ErrorKind::Invalid, "check the names and the ARN".to_owned()),
        Meaning::Unreadable => (
            ErrorKind::Data,
            "check the endpoint: something else may have answered".to_owned(),
        ),
        Meaning::InUse | Meaning::Limit | Meaning::Unavailable => (
            ErrorKind::Unavailable,
            "check the endpoint and the network, or try again later".to_owned(),
        ),
    };
    Error::new(kind, format!("{action} failed for {what}"))
        .with_hint(hint)
        .with_source(cause(error))
}

/// The service's own words where there are any: the SDK's chain says "service error" first.
fn cause<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let service = error.as_service_error();
    match service.and_then(|inner| inner.code().zip(inner.message())) {
        Some((code, message)) => format!("{code}: {message}"),
        None => DisplayErrorContext(error).to_string(),
    }
}

/// Why the service pushes nothing, or no more.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The consumer or the shard is not there; the answer does not say which.
    NotFound(Error),
    Because(Refusal, Error),
}

/// How an open subscription came to a bad end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What came is no event.
    Malformed(Error),
    /// The connection is gone.
    Connection(Error),
    /// The service said why.
    Refused(Refused),
}

/// A subscription that was not accepted.
pub(crate) fn not_subscribed(
    resource: &str,
    error: SdkError<SubscribeToShardError, HttpResponse>,
) -> Refused {
    // The first frame is a part of the answer: it may break off as well.
    if is_within::<ConnectorError>(&error) && matches!(error, SdkError::ResponseError(_)) {
        let (kind, what) = if is_within::<BadFrame>(&error) {
            (ErrorKind::Data, "brought what is no frame")
        } else {
            (ErrorKind::Unavailable, "broke off as it began")
        };
        let told = Error::new(kind, format!("the subscription to {resource} {what}"));
        return Refused::Because(Refusal::Unavailable, told.with_source(error));
    }
    let refusal = match meaning(&error) {
        Meaning::InUse => Refusal::InUse,
        _ if is_throttling(&error) => Refusal::Throttled,
        Meaning::Denied => Refusal::Final,
        Meaning::Invalid => Refusal::Argument,
        Meaning::NotFound | Meaning::Limit | Meaning::Unavailable | Meaning::Unreadable => {
            Refusal::Unavailable
        }
    };
    let is_missing = meaning(&error) == Meaning::NotFound;
    let call = Call {
        service: "kinesis",
        operation: "SubscribeToShard",
        resource,
    };
    let error = classify(call, error);
    if is_missing {
        return Refused::NotFound(error);
    }
    // Credentials that cannot be had are no code of the service, which `meaning` would know.
    let is_denied = error.kind() == ErrorKind::Denied;
    Refused::Because(if is_denied { Refusal::Final } else { refusal }, error)
}

/// A subscription that was accepted, and ended otherwise than it should.
#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK's errors may grow")]
pub(crate) fn broken_off(resource: &str, error: SdkError<StreamError, RawMessage>) -> Broken {
    let told =
        |kind, what: &str| Error::new(kind, format!("the subscription to {resource} {what}"));
    match error {
        SdkError::ServiceError(refused) => {
            let refused = refused.into_err();
            let said = refused.to_string();
            let (refusal, kind) = match &refused {
                StreamError::ResourceNotFoundException(_) => (None, ErrorKind::NotFound),
                StreamError::ResourceInUseException(_) => {
                    (Some(Refusal::InUse), ErrorKind::Unavailable)
                }
                StreamError::KmsAccessDeniedException(_) => {
                    (Some(Refusal::Final), ErrorKind::Denied)
                }
                StreamError::KmsThrottlingException(_) => {
                    (Some(Refusal::Throttled), ErrorKind::Unavailable)
                }
                _ => (Some(Refusal::Unavailable), ErrorKind::Unavailable),
            };
            let error = told(kind, &format!("was ended by the service: {said}"));
            Broken::Refused(match refusal {
                None => Refused::NotFound(error),
                Some(refusal) => Refused::Because(refusal, error),
            })
        }
        SdkError::ResponseError(_) => {
            Broken::Malformed(told(ErrorKind::Data, "brought what is no event").with_source(error))
        }
        _ if is_within::<BadFrame>(&error) => {
            Broken::Malformed(told(ErrorKind::Data, "brought what is no frame").with_source(error))
        }
        _ => Broken::Connection(told(ErrorKind::Unavailable, "broke off").with_source(error)),
    }
}

/// Whether an error is of this type or comes from one. The check of frames sits below the SDK, which takes its
/// errors for those of a connection.
fn is_within<E: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<E>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_worth_another_try_and_the_known_ones_are_told_apart() {
        assert_eq!(meaning_of_code("InternalFailure"), Meaning::Unavailable);
        assert_eq!(meaning_of_code("ResourceInUseException"), Meaning::InUse);
        assert_eq!(meaning_of_code("ExpiredTokenException"), Meaning::Denied);
        assert_eq!(meaning_of_code("LimitExceededException"), Meaning::Limit);
    }
}
