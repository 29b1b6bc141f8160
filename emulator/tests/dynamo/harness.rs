//! A client of the tables in one line per call.

use std::time::{Duration, SystemTime};

use kinesis_emulator::Scope;
use kinesis_emulator::dynamo::{Dynamo, Refusal};
use serde_json::{Value, json};

/// Tables, called as the service above calls them.
pub(crate) struct Tables {
    pub(crate) dynamo: Dynamo,
    pub(crate) scope: Scope,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let scope = Scope::new("000000000000", "us-east-1");
        Self {
            dynamo: Dynamo::new(),
            scope,
        }
    }

    /// Table `Tab` with partition key `k` of type S.
    pub(crate) fn with_table() -> Self {
        let tables = Self::new();
        tables.create("Tab", &[("k", "S")]);
        tables
    }

    pub(crate) fn create(&self, name: &str, keys: &[(&str, &str)]) {
        let definitions: Vec<_> = keys
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
            .collect();
        let schema: Vec<_> = keys
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((name, _), kind)| json!({"AttributeName": name, "KeyType": kind}))
            .collect();
        self.ok(
            "CreateTable",
            json!({
                "TableName": name,
                "AttributeDefinitions": definitions,
                "KeySchema": schema,
                "BillingMode": "PAY_PER_REQUEST",
            }),
        );
    }

    pub(crate) fn call(&self, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let body = serde_json::to_vec(body).unwrap();
        let reply = self.dynamo.call(&self.scope, now, operation, &body)?;
        Ok(serde_json::from_slice(&reply).unwrap())
    }

    #[track_caller]
    pub(crate) fn ok(&self, operation: &str, body: Value) -> Value {
        match self.call(operation, &body) {
            Ok(reply) => reply,
            Err(refusal) => panic!("{operation} {body}: {}", refused(&refusal)),
        }
    }

    /// The refusal as `Name: message`.
    #[track_caller]
    pub(crate) fn refused(&self, operation: &str, body: Value) -> String {
        match self.call(operation, &body) {
            Ok(reply) => panic!("{operation} {body} was not refused: {reply}"),
            Err(refusal) => refused(&refusal),
        }
    }

    pub(crate) fn put(&self, item: Value) {
        self.ok("PutItem", json!({"TableName": "Tab", "Item": item}));
    }

    /// The item of table `Tab` with this key; null if there is none.
    pub(crate) fn get(&self, key: &str) -> Value {
        let reply = self.ok(
            "GetItem",
            json!({"TableName": "Tab", "Key": {"k": {"S": key}}}),
        );
        reply.get("Item").cloned().unwrap_or(Value::Null)
    }
}

fn refused(refusal: &Refusal) -> String {
    let name = refusal.kind.rsplit('#').next().unwrap();
    format!("{name}: {}", refusal.message())
}
