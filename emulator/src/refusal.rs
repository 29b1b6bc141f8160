//! Why a call was refused: the service's error types and the texts that several calls share.
//!
//! Made by the operations and the engine, turned into bytes by [`crate::wire`]. A text that belongs to
//! one operation stands in that operation's file.

use http::StatusCode;

use crate::Scope;
use crate::clock::Moment;
use crate::engine::token::LIFE_MILLIS;

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) message: Option<String>,
}

/// The service's error types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AccessDenied,
    ExpiredIterator,
    ExpiredNextToken,
    InternalFailure,
    ExpiredToken,
    IncompleteSignature,
    InvalidArgument,
    InvalidSignature,
    KmsNotFound,
    LimitExceeded,
    ProvisionedThroughputExceeded,
    MissingAuthenticationToken,
    RequestTimeout,
    ResourceInUse,
    ResourceNotFound,
    Serialization,
    ServiceUnavailable,
    Throttling,
    UnknownOperation,
    UnrecognizedClient,
    Validation,
}

impl Kind {
    /// The bare name, as the error's body has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::InternalFailure => "InternalFailure",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::KmsNotFound => "KMSNotFoundException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Throttling => "ThrottlingException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Validation => "ValidationException",
        }
    }
}

impl Kind {
    /// The status of an answer that says so.
    pub(crate) fn status(self) -> StatusCode {
        if self == Self::InternalFailure {
            StatusCode::INTERNAL_SERVER_ERROR
        } else if self == Self::RequestTimeout {
            StatusCode::REQUEST_TIMEOUT
        } else if self == Self::ServiceUnavailable {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_REQUEST
        }
    }
}

impl Refusal {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: Some(message.into()),
        }
    }

    /// A refusal that says no more than its name.
    pub(crate) fn bare(kind: Kind) -> Self {
        Self {
            kind,
            message: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }

    pub(crate) fn iterator_expired(issued: Moment, now: Moment) -> Self {
        let text = format!(
            "Iterator expired. The iterator was created at time {issued} while right now it is \
             {now} which is further in the future than the tolerated delay of {LIFE_MILLIS} \
             milliseconds."
        );
        Self::new(Kind::ExpiredIterator, text)
    }

    pub(crate) fn stream_not_found(stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::ResourceNotFound,
            format!("Stream {stream} under account {account} not found."),
        )
    }

    /// For an id that cannot be one, or that resharding does not know.
    pub(crate) fn shard_not_found(shard: &str, stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::ResourceNotFound,
            format!("Could not find shard {shard} in stream {stream} under account {account}."),
        )
    }

    /// The wording of the reading calls.
    pub(crate) fn shard_does_not_exist(shard: &str, stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::ResourceNotFound,
            format!("Shard {shard} in stream {stream} under account {account} does not exist"),
        )
    }

    pub(crate) fn consumer_not_found(consumer: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::ResourceNotFound,
            format!("Consumer {consumer}, account {account} not found."),
        )
    }

    pub(crate) fn creating_too_many(limit: usize, scope: &Scope) -> Self {
        let Scope { account, region } = scope;
        Self::new(
            Kind::LimitExceeded,
            format!(
                "This request would exceed the limit of {limit} streams in the CREATING state for \
                 the account {account} in {region}."
            ),
        )
    }

    pub(crate) fn on_demand_too_many(limit: u32, scope: &Scope) -> Self {
        let Scope { account, region } = scope;
        Self::new(
            Kind::LimitExceeded,
            format!(
                "This request would exceed the on-demand stream limit for the account {account} in \
                 {region}. Limit: {limit}."
            ),
        )
    }

    /// For what may be done to a stream so many times a day.
    pub(crate) fn often(operation: &str, limit: usize, stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::LimitExceeded,
            format!(
                "{operation} cannot be called more than {limit} times in a rolling 24-hour period for \
                 stream {stream} under account {account}."
            ),
        )
    }

    pub(crate) fn provisioned(stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::Validation,
            format!(
                "Request is invalid. Stream {stream} under account {account} is in Provisioned mode."
            ),
        )
    }

    pub(crate) fn on_demand(stream: &str, scope: &Scope) -> Self {
        let account = &scope.account;
        Self::new(
            Kind::Validation,
            format!(
                "Request is invalid. Stream {stream} under account {account} is in On-Demand mode."
            ),
        )
    }
}
