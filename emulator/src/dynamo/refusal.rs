//! Refusals: the service's error types and texts, as they go on the wire.

use std::sync::Arc;

use serde::Serialize;

use super::value::Item;

const SERVICE: &str = "com.amazon.coral.service#";
const VALIDATE: &str = "com.amazon.coral.validate#";
const AVAILABILITY: &str = "com.amazon.coral.availability#";
const DYNAMO: &str = "com.amazonaws.dynamodb.v20120810#";

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error's type with its prefix: `prefix#Name`.
    pub kind: String,
    message: String,
    details: Details,
}

/// What an error carries beyond its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Details {
    None,
    /// The row that failed a condition.
    Item(Arc<Item>),
    /// Why each action of a transaction failed, or did not.
    Reasons(Vec<Reason>),
    /// What throttled, by the service's name for it, and whose.
    Throttled(Throttled),
}

/// Why one action of a transaction stands in its way; `code` is `None` where it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<Arc<Item>>,
}

impl Reason {
    /// Of an action that stands in nobody's way.
    pub(crate) fn none() -> Self {
        Self {
            code: "None",
            message: None,
            item: None,
        }
    }
}

/// Which throughput was used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Throttled {
    pub(crate) reason: String,
    pub(crate) resource: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "__type")]
    kind: &'a str,
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
    capital_message: Option<&'a str>,
    #[serde(rename = "Item", skip_serializing_if = "Option::is_none")]
    item: Option<&'a Item>,
    #[serde(
        rename = "CancellationReasons",
        skip_serializing_if = "Option::is_none"
    )]
    reasons: Option<&'a [Reason]>,
    #[serde(rename = "ThrottlingReasons", skip_serializing_if = "Option::is_none")]
    throttled: Option<[&'a Throttled; 1]>,
}

impl Refusal {
    /// The error's message, as the body carries it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error's type without its prefix.
    pub fn name(&self) -> &str {
        self.kind.rsplit('#').next().unwrap_or_default()
    }

    /// Whether it is for lack of throughput.
    pub(crate) fn is_throttled(&self) -> bool {
        self.name() == "ProvisionedThroughputExceededException"
    }

    /// The whole JSON body, ready to send.
    pub fn body(&self) -> Vec<u8> {
        // QUIRK(dynamodb): a cancelled transaction's text is under a capital letter.
        let is_cancelled = matches!(self.details, Details::Reasons(_));
        let body = Body {
            kind: &self.kind,
            message: (!is_cancelled).then_some(&self.message),
            capital_message: is_cancelled.then_some(&self.message),
            item: match &self.details {
                Details::Item(item) => Some(item),
                Details::None | Details::Reasons(_) | Details::Throttled(_) => None,
            },
            reasons: match &self.details {
                Details::Reasons(reasons) => Some(reasons),
                Details::None | Details::Item(_) | Details::Throttled(_) => None,
            },
            throttled: match &self.details {
                Details::Throttled(throttled) => Some([throttled]),
                Details::None | Details::Item(_) | Details::Reasons(_) => None,
            },
        };
        serde_json::to_vec(&body).expect("texts and values always have a JSON form")
    }

    /// What it means for the action of a transaction that it stopped; nothing if it stops the whole
    /// call.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let code = match self.name() {
            "ConditionalCheckFailedException" => "ConditionalCheckFailed",
            "ProvisionedThroughputExceededException" => "ProvisionedThroughputExceeded",
            "ThrottlingException" => "ThrottlingError",
            "ValidationException" => "ValidationError",
            _ => return None,
        };
        let item = match &self.details {
            Details::Item(item) => Some(Arc::clone(item)),
            Details::None | Details::Reasons(_) | Details::Throttled(_) => None,
        };
        Some(Reason {
            code,
            message: Some(self.message.clone()),
            item,
        })
    }

    fn new(prefix: &str, name: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: format!("{prefix}{name}"),
            message: message.into(),
            details: Details::None,
        }
    }

    /// More than the throughput of a table or an index.
    pub(crate) fn throughput(of: Option<Throttled>) -> Self {
        let is_index = of.as_ref().is_some_and(|of| of.reason.starts_with("Index"));
        let whose = if is_index {
            "one or more global secondary indexes of the table was"
        } else {
            "the table was"
        };
        let message = format!(
            "The level of configured provisioned throughput for {whose} exceeded. \
             Consider increasing your provisioning level with the UpdateTable API."
        );
        let name = "ProvisionedThroughputExceededException";
        Self {
            details: of.map_or(Details::None, Details::Throttled),
            ..Self::new(DYNAMO, name, message)
        }
    }

    /// Calls come too fast.
    pub(crate) fn throttled() -> Self {
        let message = "Rate of requests exceeds the allowed throughput.";
        Self::new(AVAILABILITY, "ThrottlingException", message)
    }

    pub(crate) fn internal() -> Self {
        Self {
            status: 500,
            ..Self::new(DYNAMO, "InternalServerError", "Internal server error")
        }
    }

    pub(crate) fn unavailable() -> Self {
        let message = "The service is unavailable. Please try again later.";
        Self {
            status: 503,
            ..Self::new(AVAILABILITY, "ServiceUnavailableException", message)
        }
    }

    pub(crate) fn serialization(message: &str) -> Self {
        Self::new(SERVICE, "SerializationException", message)
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        let message = format!("{operation} is not an operation of this emulator");
        Self::new(SERVICE, "UnknownOperationException", message)
    }

    /// The caller is not who he says; `kind` is the error's bare name.
    pub(crate) fn not_authenticated(kind: &str, message: &str) -> Self {
        Self::new(SERVICE, kind, message)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(VALIDATE, "ValidationException", message)
    }

    /// "One or more parameter values were invalid: …".
    pub(crate) fn invalid_value(what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        Self::validation(format!("One or more parameter values were invalid: {what}"))
    }

    /// An operation on items names no usable table.
    pub(crate) fn no_resource() -> Self {
        let message = "Requested resource not found";
        Self::new(DYNAMO, "ResourceNotFoundException", message)
    }

    /// An operation on tables names no table.
    pub(crate) fn no_table(table: &str) -> Self {
        let message = format!("Requested resource not found: Table: {table} not found");
        Self::new(DYNAMO, "ResourceNotFoundException", message)
    }

    /// An operation on tags names nothing that could have any.
    pub(crate) fn no_such_arn(arn: &str) -> Self {
        let message = format!("Requested resource not found: ResourceArn: {arn} not found");
        Self::new(DYNAMO, "ResourceNotFoundException", message)
    }

    /// An operation on backups names no table.
    pub(crate) fn no_table_to_back_up(table: &str) -> Self {
        let message = format!("Table not found: {table}");
        Self::new(DYNAMO, "TableNotFoundException", message)
    }

    pub(crate) fn no_index(table: &str, index: &str) -> Self {
        let message =
            format!("Requested resource not found: Index: {index} of table: {table} not found");
        Self::new(DYNAMO, "ResourceNotFoundException", message)
    }

    pub(crate) fn table_exists(table: &str) -> Self {
        let message = format!("Table already exists: {table}");
        Self::new(DYNAMO, "ResourceInUseException", message)
    }

    /// `doing` is `created`, `updated` or `deleted`.
    pub(crate) fn table_in_use(table: &str, doing: &str) -> Self {
        let message = format!(
            "Attempt to change a resource which is still in use: Table is being {doing}: {table}"
        );
        Self::new(DYNAMO, "ResourceInUseException", message)
    }

    /// An index of the table is on its way in or out.
    pub(crate) fn index_in_use(table: &str, index: &str, doing: &str) -> Self {
        let message = format!(
            "Attempt to change a resource which is still in use: Index is being {doing}: \
             {index} of table: {table}"
        );
        Self::new(DYNAMO, "ResourceInUseException", message)
    }

    pub(crate) fn limit_exceeded(message: &str) -> Self {
        Self::new(DYNAMO, "LimitExceededException", message)
    }

    /// The condition is false; `item` is the row that made it so, where the caller asked for it.
    pub(crate) fn condition_failed(item: Option<Arc<Item>>) -> Self {
        let message = "The conditional request failed";
        Self {
            details: item.map_or(Details::None, Details::Item),
            ..Self::new(DYNAMO, "ConditionalCheckFailedException", message)
        }
    }

    /// An action of a transaction could not be carried out, so none was.
    pub(crate) fn cancelled(reasons: Vec<Reason>) -> Self {
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        Self {
            details: Details::Reasons(reasons),
            ..Self::new(DYNAMO, "TransactionCanceledException", message)
        }
    }

    /// A token came back with another request than its own.
    pub(crate) fn token_mismatch() -> Self {
        let message = "Request parameters do not match those of the earlier request with the \
                       same client request token";
        Self::new(DYNAMO, "IdempotentParameterMismatchException", message)
    }
}
