//! What a service has from its start: streams, consumers and tables, named in a file.
//!
//! Every entry is a request of the service's own, made before anyone else calls: its members are the
//! API's, its checks and refusals are the operation's. Delays and limits do not hold for it. Used by
//! [`Service::with_init`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::caller::{Caller, is_account, is_region};
use crate::engine::stream::Stream;
use crate::ops::{self, Operation};
use crate::refusal::Refusal;
use crate::wire::codec::Wire;
use crate::{Scope, Service};

/// Entries to make at the start, in this order: streams, consumers, tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    #[serde(default)]
    stream: Vec<Map<String, Value>>,
    #[serde(default)]
    consumer: Vec<Map<String, Value>>,
    #[serde(default)]
    table: Vec<Map<String, Value>>,
}

/// Why a service cannot start with what it should have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableInit {
    /// It is neither the TOML nor the JSON that it should be.
    #[error("{0}")]
    Unreadable(String),
    /// An entry is not right, or the service refuses it.
    #[error("{entry}: {reason}")]
    Entry {
        /// Which, such as `stream 2 (orders)`.
        entry: String,
        /// What is wrong with it, or what the service says.
        reason: String,
    },
}

/// One kind of entry.
struct Sort {
    name: &'static str,
    /// The member that names what is made.
    title: &'static str,
    members: &'static [&'static str],
}

const STREAM: Sort = Sort {
    name: "stream",
    title: "StreamName",
    members: &[
        "StreamName",
        "ShardCount",
        "StreamModeDetails",
        "Tags",
        "WarmThroughputMiBps",
        "MaxRecordSizeInKiB",
    ],
};
const CONSUMER: Sort = Sort {
    name: "consumer",
    title: "ConsumerName",
    // The name in place of the ARN is ours: who writes the file need not know the ARN.
    members: &["StreamARN", "StreamName", "ConsumerName", "Tags"],
};
const TABLE: Sort = Sort {
    name: "table",
    title: "TableName",
    members: &[
        "TableName",
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "ProvisionedThroughput",
        "OnDemandThroughput",
        "WarmThroughput",
        "LocalSecondaryIndexes",
        "GlobalSecondaryIndexes",
        "StreamSpecification",
        "SSESpecification",
        "TableClass",
        "DeletionProtectionEnabled",
        "ResourcePolicy",
        "Tags",
    ],
};

impl Init {
    /// The entries of a file: `[[stream]]`, `[[consumer]]` and `[[table]]` in TOML, or the same in
    /// JSON.
    ///
    /// # Errors
    /// If it is not that.
    pub fn parse(text: &str) -> Result<Self, UnusableInit> {
        let unreadable = |text: String| UnusableInit::Unreadable(text.trim_end().to_owned());
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))
        } else {
            toml::from_str(text).map_err(|error| unreadable(error.to_string()))
        }
    }

    /// Makes all of it.
    pub(crate) fn apply(&self, service: &Service) -> Result<(), UnusableInit> {
        for (sort, entries) in [
            (STREAM, &self.stream),
            (CONSUMER, &self.consumer),
            (TABLE, &self.table),
        ] {
            for (place, entry) in entries.iter().enumerate() {
                sort.make(service, entry).map_err(|reason| {
                    let title = entry.get(sort.title).and_then(Value::as_str);
                    let title = title.map_or(String::new(), |title| format!(" ({title})"));
                    UnusableInit::Entry {
                        entry: format!("{} {}{title}", sort.name, place + 1),
                        reason,
                    }
                })?;
            }
        }
        Ok(())
    }
}

impl Service {
    /// Carries out a call of [`Init`]'s: what it makes, or why not.
    fn make(&self, scope: &Scope, operation: Operation, body: String) -> Result<(), String> {
        let caller = Caller {
            account: &scope.account,
            access_key: None,
            region: Cow::Borrowed(&scope.region),
        };
        let call = self.call(operation, (caller, None), Wire::Json, body.into());
        match ops::run(&call) {
            Ok(_) => Ok(()),
            Err(Refusal { kind, message }) => {
                Err(format!("{}: {}", kind.name(), message.unwrap_or_default()))
            }
        }
    }

    /// The same for a table.
    fn make_table(&self, scope: &Scope, body: &str) -> Result<(), String> {
        let (dynamo, now) = (self.dynamo(), self.clock().now());
        let made = dynamo.call(scope, now, "CreateTable", body.as_bytes());
        made.map(drop).map_err(|refusal| {
            let kind = refusal.kind.rsplit('#').next().unwrap_or_default();
            format!("{kind}: {}", refusal.message())
        })
    }
}

impl Sort {
    fn make(&self, service: &Service, entry: &Map<String, Value>) -> Result<(), String> {
        let mut request = entry.clone();
        let scope = scope(service, &mut request)?;
        if let Some(member) = request
            .keys()
            .find(|member| !self.members.contains(&member.as_str()))
        {
            let known = self.members.join(", ");
            return Err(format!(
                "'{member}' is no member of it; there are {known}, and account and region"
            ));
        }
        let operation = match self.name {
            "stream" => Operation::CreateStream,
            "consumer" => {
                address(&scope, &mut request)?;
                Operation::RegisterStreamConsumer
            }
            _ => return service.make_table(&scope, &Value::Object(request).to_string()),
        };
        service.make(&scope, operation, Value::Object(request).to_string())
    }
}

/// Takes `account` and `region` out of an entry.
fn scope(service: &Service, entry: &mut Map<String, Value>) -> Result<Scope, String> {
    let mut take = |name: &str, own: &str, is_right: fn(&str) -> bool| match entry.remove(name) {
        None => Ok(own.to_owned()),
        Some(Value::String(text)) if is_right(&text) => Ok(text),
        Some(other) => Err(format!("{other} is no {name}")),
    };
    let own = service.scope();
    Ok(Scope::new(
        take("account", &own.account, is_account)?,
        take("region", &own.region, is_region)?,
    ))
}

/// Puts the ARN in place of the stream's name.
fn address(scope: &Scope, entry: &mut Map<String, Value>) -> Result<(), String> {
    match (entry.remove("StreamName"), entry.contains_key("StreamARN")) {
        (None, _) => Ok(()),
        (Some(Value::String(name)), false) => {
            entry.insert(
                "StreamARN".to_owned(),
                Value::String(Stream::arn_of(scope, &name)),
            );
            Ok(())
        }
        (Some(_), true) => Err("StreamName and StreamARN are both given".to_owned()),
        (Some(other), false) => Err(format!("{other} is no StreamName")),
    }
}
