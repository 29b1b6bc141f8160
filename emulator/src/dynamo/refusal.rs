//! Refusals: the service's error types and texts, as they go on the wire.

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
    /// The whole JSON body, ready to send.
    pub body: Vec<u8>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "__type")]
    kind: &'a str,
    message: &'a str,
    #[serde(rename = "Item", skip_serializing_if = "Option::is_none")]
    item: Option<&'a Item>,
}

impl Refusal {
    /// The error's message, as the body carries it.
    pub fn message(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        serde_json::from_slice(&self.body)
            .map(|body: Message| body.message)
            .unwrap_or_default()
    }

    fn new(prefix: &str, name: &str, message: &str, item: Option<&Item>) -> Self {
        let kind = format!("{prefix}{name}");
        let body = serde_json::to_vec(&Body {
            kind: &kind,
            message,
            item,
        })
        .expect("texts and values always have a JSON form");
        Self {
            status: 400,
            kind,
            body,
        }
    }

    /// More than the table's throughput.
    pub(crate) fn throughput() -> Self {
        let message = "The level of configured provisioned throughput for the table was exceeded. \
                       Consider increasing your provisioning level with the UpdateTable API.";
        let name = "ProvisionedThroughputExceededException";
        Self::new(DYNAMO, name, message, None)
    }

    /// Calls come too fast.
    pub(crate) fn throttled() -> Self {
        let message = "Rate of requests exceeds the allowed throughput.";
        Self::new(AVAILABILITY, "ThrottlingException", message, None)
    }

    pub(crate) fn internal() -> Self {
        Self {
            status: 500,
            ..Self::new(DYNAMO, "InternalServerError", "Internal server error", None)
        }
    }

    pub(crate) fn unavailable() -> Self {
        let message = "The service is unavailable. Please try again later.";
        Self {
            status: 503,
            ..Self::new(AVAILABILITY, "ServiceUnavailableException", message, None)
        }
    }

    pub(crate) fn serialization(message: &str) -> Self {
        Self::new(SERVICE, "SerializationException", message, None)
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        let message = format!("{operation} is not an operation of this emulator");
        Self::new(SERVICE, "UnknownOperationException", &message, None)
    }

    /// The caller is not who he says; `kind` is the error's bare name.
    pub(crate) fn not_authenticated(kind: &str, message: &str) -> Self {
        Self::new(SERVICE, kind, message, None)
    }

    pub(crate) fn validation(message: impl AsRef<str>) -> Self {
        Self::new(VALIDATE, "ValidationException", message.as_ref(), None)
    }

    /// "One or more parameter values were invalid: …".
    pub(crate) fn invalid_value(what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        Self::validation(format!("One or more parameter values were invalid: {what}"))
    }

    /// An operation on items names no usable table.
    pub(crate) fn no_resource() -> Self {
        let message = "Requested resource not found";
        Self::new(DYNAMO, "ResourceNotFoundException", message, None)
    }

    /// An operation on tables names no table.
    pub(crate) fn no_table(table: &str) -> Self {
        let message = format!("Requested resource not found: Table: {table} not found");
        Self::new(DYNAMO, "ResourceNotFoundException", &message, None)
    }

    pub(crate) fn table_exists(table: &str) -> Self {
        let message = format!("Table already exists: {table}");
        Self::new(DYNAMO, "ResourceInUseException", &message, None)
    }

    /// `doing` is `created`, `updated` or `deleted`.
    pub(crate) fn table_in_use(table: &str, doing: &str) -> Self {
        let message = format!(
            "Attempt to change a resource which is still in use: Table is being {doing}: {table}"
        );
        Self::new(DYNAMO, "ResourceInUseException", &message, None)
    }

    /// The condition is false; `item` is the row that made it so, where the caller asked for it.
    pub(crate) fn condition_failed(item: Option<&Item>) -> Self {
        let message = "The conditional request failed";
        Self::new(DYNAMO, "ConditionalCheckFailedException", message, item)
    }
}
