//! What an error of the AWS SDK means: one classification for every service, by type and code and
//! never by the text of a message. And what sources of records share: in `records` what its records are, in `client` how
//! the client is made.
//!
//! Called by `poll::aws` here, and by `kcl-lease` and `kcl-efo` for their own calls.

mod client;
mod records;

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub use self::client::reading;
pub use self::records::{child, record};
use crate::error::{Error, ErrorKind};

/// A call to a service, for messages: what was done to what.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The prefix of the service's permissions, such as `kinesis` or `dynamodb`.
    pub service: &'a str,
    /// The operation, such as `GetRecords`.
    pub operation: &'a str,
    /// What it was called on, with its sort, such as `stream orders`.
    pub resource: &'a str,
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{} on {}",
            self.service, self.operation, self.resource
        )
    }
}

/// The error code of the service, if the service answered with one.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// Whether the service said to slow down.
pub fn is_throttling<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    code(error).is_some_and(|code| meaning(code) == Some(Meaning::Throttled))
}

/// Turns an error of the SDK into the crate's own, with the cause and what to do about it.
///
/// * no credentials, or the service refuses them: [`ErrorKind::Denied`];
/// * a permission is missing: [`ErrorKind::Denied`], and the hint names the permission;
/// * the stream or table is not there: [`ErrorKind::NotFound`];
/// * nothing answers, throttling, a fault of the service: [`ErrorKind::Unavailable`];
/// * the service refuses the arguments: [`ErrorKind::Invalid`];
/// * an answer that cannot be read: [`ErrorKind::Data`].
#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK's errors may grow")]
pub fn classify<E>(call: Call<'_>, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let (kind, what, hint) = match &error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            refused(call, context.err().code(), status)
        }
        SdkError::ResponseError(_) => (
            ErrorKind::Data,
            format!("the answer to {call} cannot be read"),
            Some("check that the endpoint is the service's own, and no proxy answers".to_owned()),
        ),
        SdkError::TimeoutError(_) => unreachable_service(call, "did not answer in time"),
        _ => match cause::<CredentialsError>(&error) {
            Some(credentials) => without_credentials(call, credentials),
            None => undelivered(call, cause::<ConnectorError>(&error)),
        },
    };
    let classified = Error::new(kind, what).with_source(error);
    match hint {
        Some(hint) => classified.with_hint(hint),
        None => classified,
    }
}

type Verdict = (ErrorKind, String, Option<String>);

/// What a code of the service stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Permission,
    Credentials,
    Clock,
    NotFound,
    Throttled,
    Fault,
    Argument,
}

fn meaning(code: &str) -> Option<Meaning> {
    Some(match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "KMSAccessDeniedException"
        | "KMSOptInRequired" => Meaning::Permission,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "NotAuthorized"
        | "OptInRequired" => Meaning::Credentials,
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" => Meaning::Clock,
        "ResourceNotFoundException" => Meaning::NotFound,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "TooManyRequestsException" => Meaning::Throttled,
        "InternalFailure"
        | "InternalFailureException"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException" => Meaning::Fault,
        "InvalidArgumentException"
        | "ValidationException"
        | "ValidationError"
        | "SerializationException"
        | "UnknownOperationException" => Meaning::Argument,
        _ => return None,
    })
}

fn refused(call: Call<'_>, code: Option<&str>, status: u16) -> Verdict {
    let Call {
        service,
        operation,
        resource,
    } = call;
    let shown = code.unwrap_or("no code");
    match code.and_then(meaning) {
        Some(Meaning::Permission) => (
            ErrorKind::Denied,
            format!("permission for {call} is missing ({shown})"),
            Some(format!(
                "allow {service}:{operation} on {resource} for these credentials"
            )),
        ),
        Some(Meaning::Credentials) => (
            ErrorKind::Denied,
            format!("the service does not accept the credentials for {call} ({shown})"),
            Some(format!(
                "check that they are current and of the right account; {GIVE_CREDENTIALS}"
            )),
        ),
        Some(Meaning::Clock) => (
            ErrorKind::Denied,
            format!("the service does not accept the signature of {call} ({shown})"),
            Some("check the secret key, the region and the clock of this machine".to_owned()),
        ),
        Some(Meaning::NotFound) => (
            ErrorKind::NotFound,
            format!("{call} failed: {resource} does not exist ({shown})"),
            Some("check its name, the region and the account, or create it".to_owned()),
        ),
        Some(Meaning::Throttled) => (
            ErrorKind::Unavailable,
            format!("{call} is throttled ({shown})"),
            None,
        ),
        Some(Meaning::Argument) => (
            ErrorKind::Invalid,
            format!("the service refuses the arguments of {call} ({shown})"),
            None,
        ),
        // What is new to us is taken for a passing fault: giving up for good needs a reason.
        Some(Meaning::Fault) | None => (
            ErrorKind::Unavailable,
            format!("{call} failed at the service ({shown}, status {status})"),
            None,
        ),
    }
}

const GIVE_CREDENTIALS: &str = "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                                AWS_PROFILE, or a role of the instance or container";

#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK's errors may grow")]
fn without_credentials(call: Call<'_>, error: &CredentialsError) -> Verdict {
    let hint = Some(GIVE_CREDENTIALS.to_owned());
    match error {
        CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => (
            ErrorKind::Unavailable,
            format!("the credentials for {call} could not be fetched"),
            Some("check that the credentials provider can be reached".to_owned()),
        ),
        CredentialsError::CredentialsNotLoaded(_) => (
            ErrorKind::Denied,
            format!("there are no credentials for {call}"),
            hint,
        ),
        _ => (
            ErrorKind::Denied,
            format!("the credentials for {call} cannot be used"),
            hint,
        ),
    }
}

fn undelivered(call: Call<'_>, error: Option<&ConnectorError>) -> Verdict {
    match error {
        Some(error) if error.is_timeout() => unreachable_service(call, "did not answer in time"),
        Some(error) if error.is_io() => unreachable_service(call, "cannot be reached"),
        // The SDK knows that trying again may help: a connection that broke before the answer was whole.
        Some(error) if error.as_other().is_some() => {
            unreachable_service(call, "broke the connection off")
        }
        Some(_) | None => (
            ErrorKind::Invalid,
            format!("{call} could not be sent"),
            Some(format!(
                "check the region (AWS_REGION), the endpoint (AWS_ENDPOINT_URL) and the \
                 credentials: {GIVE_CREDENTIALS}"
            )),
        ),
    }
}

fn unreachable_service(call: Call<'_>, what: &str) -> Verdict {
    let variable = call.service.to_ascii_uppercase();
    (
        ErrorKind::Unavailable,
        format!("the endpoint of {} {what} ({call})", call.service),
        Some(format!(
            "check AWS_ENDPOINT_URL_{variable}, AWS_ENDPOINT_URL, AWS_REGION and the network"
        )),
    )
}

/// The first cause of this type: the SDK wraps what went wrong in several layers, which differ
/// from one version to the next.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
