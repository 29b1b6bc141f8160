//! Refusals: the service's errors, as each of its protocols names them, and its texts.
//!
//! Made by the operations and the readers, turned into bytes by [`super::protocol`]. The service
//! reports what is wrong all at once, one line each, as far as it is of one kind: [`Problems`].

use http::StatusCode;

use crate::refusal::{Kind as Front, Refusal as FrontRefusal};

/// Lines of one refusal, at most: more would only fill the answer.
const LINES_MAX: usize = 100;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// The service's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidNextToken,
    MissingParameter,
    Validation,
    /// A request that cannot be read.
    Malformed,
    TooLarge,
    UnknownOperation,
    Throttling,
    Internal,
    Unavailable,
    /// What is refused before it is known what is asked.
    Front(Front),
}

/// An error as the protocols name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// In XML, and in the header for clients that used to speak it.
    pub(super) code: &'static str,
    /// In JSON and CBOR: a shape of the service's model or of its front end.
    pub(super) shape: &'static str,
    pub(super) status: StatusCode,
}

impl Kind {
    pub(super) fn name(self) -> Name {
        let bad = StatusCode::BAD_REQUEST;
        let (code, shape, status) = match self {
            Self::InvalidParameterCombination => (
                "InvalidParameterCombination",
                "com.amazonaws.cloudwatch#InvalidParameterCombinationException",
                bad,
            ),
            Self::InvalidParameterValue => (
                "InvalidParameterValue",
                "com.amazonaws.cloudwatch#InvalidParameterValueException",
                bad,
            ),
            Self::InvalidNextToken => (
                "InvalidNextToken",
                "com.amazonaws.cloudwatch#InvalidNextToken",
                bad,
            ),
            Self::MissingParameter => (
                "MissingParameter",
                "com.amazonaws.cloudwatch#MissingRequiredParameterException",
                bad,
            ),
            Self::Validation => (
                "ValidationError",
                "com.amazon.coral.validate#ValidationException",
                bad,
            ),
            Self::Malformed => (
                "MalformedInput",
                "com.amazon.coral.service#SerializationException",
                bad,
            ),
            Self::TooLarge => (
                "RequestEntityTooLarge",
                "com.amazon.coral.service#RequestEntityTooLargeException",
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Self::UnknownOperation => (
                "InvalidAction",
                "com.amazon.coral.service#UnknownOperationException",
                bad,
            ),
            Self::Throttling => (
                "Throttling",
                "com.amazon.coral.availability#ThrottlingException",
                bad,
            ),
            Self::Internal => (
                "InternalServiceError",
                "com.amazonaws.cloudwatch#InternalServiceFault",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
            Self::Unavailable => (
                "ServiceUnavailable",
                "com.amazon.coral.availability#ServiceUnavailableException",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Front(front) => (query_code(front), front.name(), front_status(front)),
        };
        Name {
            code,
            shape,
            status,
        }
    }
}

impl Refusal {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    pub(super) fn too_large(size: usize, limit: usize) -> Self {
        let text = format!("Request size {size} exceeded {limit} bytes");
        Self::new(Kind::TooLarge, text)
    }

    pub(super) fn unknown_operation(operation: &str) -> Self {
        let text = format!("Could not find operation {operation} for version 2010-08-01");
        Self::new(Kind::UnknownOperation, text)
    }

    /// Calls come too fast.
    pub(crate) fn throttled() -> Self {
        Self::new(Kind::Throttling, "Rate exceeded")
    }

    pub(crate) fn internal() -> Self {
        let text = "The request processing has failed because of an unknown error, exception or \
                    failure.";
        Self::new(Kind::Internal, text)
    }

    pub(crate) fn unavailable() -> Self {
        let text = "The request has failed due to a temporary failure of the server.";
        Self::new(Kind::Unavailable, text)
    }

    /// The name that calls with this outcome are counted under.
    pub(super) fn outcome(&self) -> &'static str {
        self.kind.name().code
    }
}

impl From<FrontRefusal> for Refusal {
    fn from(refusal: FrontRefusal) -> Self {
        let message = refusal.message.unwrap_or_default();
        Self::new(Kind::Front(refusal.kind), message)
    }
}

/// What XML calls the errors of the front end: there they have older names.
fn query_code(front: Front) -> &'static str {
    let renamed = [
        (Front::UnrecognizedClient, "InvalidClientTokenId"),
        (Front::InvalidSignature, "SignatureDoesNotMatch"),
        (
            Front::MissingAuthenticationToken,
            "MissingAuthenticationToken",
        ),
        (Front::IncompleteSignature, "IncompleteSignature"),
        (Front::ExpiredToken, "ExpiredToken"),
    ];
    let found = renamed.iter().find(|(kind, _)| *kind == front);
    found.map_or(front.name(), |(_, code)| *code)
}

fn front_status(front: Front) -> StatusCode {
    let forbidden = [
        Front::UnrecognizedClient,
        Front::InvalidSignature,
        Front::MissingAuthenticationToken,
        Front::ExpiredToken,
    ];
    if forbidden.contains(&front) {
        StatusCode::FORBIDDEN
    } else {
        front.status()
    }
}

/// What is wrong with a request, as far as it is of the kind of what was found first.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Option<(Kind, Vec<String>)>,
}

impl Problems {
    pub(super) fn add(&mut self, kind: Kind, text: impl Into<String>) {
        let (first, texts) = self.found.get_or_insert_with(|| (kind, Vec::new()));
        if *first == kind && texts.len() < LINES_MAX {
            texts.push(text.into());
        }
    }

    /// A parameter has a value that it cannot have; the text says which.
    pub(super) fn invalid(&mut self, text: impl Into<String>) {
        self.add(Kind::InvalidParameterValue, text);
    }

    /// A parameter that is needed is not there.
    pub(super) fn missing(&mut self, path: &str) {
        let text = format!("The parameter {path} is required.");
        self.add(Kind::MissingParameter, text);
    }

    /// What is there of a parameter that is needed; says so if it is not.
    pub(super) fn required<T>(&mut self, value: Option<T>, path: &str) -> Option<T> {
        if value.is_none() {
            self.missing(path);
        }
        value
    }

    /// Refuses the request if anything was found.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.found {
            None => Ok(()),
            Some((kind, texts)) => Err(Refusal::new(kind, texts.join("\n"))),
        }
    }

    /// The same, for an operation that has one name for all that is wrong with a request.
    pub(super) fn finish_as(self, kind: Kind) -> Result<(), Refusal> {
        self.finish()
            .map_err(|refusal| Refusal::new(kind, refusal.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_the_first_kind_are_told_together() {
        let mut problems = Problems::default();
        problems.missing("A");
        problems.invalid("b");
        problems.missing("C");
        let refusal = problems.finish().unwrap_err();
        assert_eq!(refusal.kind, Kind::MissingParameter);
        let expected = "The parameter A is required.\nThe parameter C is required.";
        assert_eq!(refusal.message, expected);
        assert!(Problems::default().finish().is_ok());
    }

    #[test]
    fn a_refusal_has_a_bound() {
        let mut problems = Problems::default();
        for _ in 0..1000 {
            problems.invalid("x");
        }
        let refusal = problems.finish().unwrap_err();
        assert_eq!(refusal.message.lines().count(), LINES_MAX);
    }
}
