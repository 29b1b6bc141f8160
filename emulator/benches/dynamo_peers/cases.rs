//! What is asked of each server, and whether what it answers is true. A server that answers fast and
//! wrong is not measured at all.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::{FIRST, NEW, OLD, Request};
use crate::connection::{Connection, Error};
use crate::turns::{Requests, take_turns};

const TABLE: &str = "bench";
const CONNECTIONS: usize = 16;
/// Rows of the partition that is queried.
const QUERIED: usize = 20;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Adds to a counter on condition of its value.
    Conditional,
    /// As the KCL renews a lease: the same in the parameters from before expressions.
    Renew,
    Put,
    Get,
    Query,
}

impl Case {
    pub(crate) const ALL: [Self; 5] = [
        Self::Conditional,
        Self::Renew,
        Self::Put,
        Self::Get,
        Self::Query,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Conditional => "UpdateItem on a condition",
            Self::Renew => "UpdateItem, KCL's renewal",
            Self::Put => "PutItem, a lease",
            Self::Get => "GetItem, a lease",
            Self::Query => "Query, 20 leases",
        }
    }

    /// Multiple of dynalite's rate that is to be reached.
    pub(crate) fn goal(self) -> Option<f64> {
        match self {
            Self::Conditional | Self::Renew => Some(10.0),
            Self::Put | Self::Get | Self::Query => None,
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Conditional | Self::Renew => "UpdateItem",
            Self::Put => "PutItem",
            Self::Get => "GetItem",
            Self::Query => "Query",
        }
    }

    /// The request of one connection, which has a row of its own.
    fn request(self, connection: usize) -> Request {
        let key = key(connection);
        let body = match self {
            Self::Conditional => json!({
                "TableName": TABLE,
                "Key": key,
                "UpdateExpression": "SET leaseCounter = leaseCounter + :one",
                "ConditionExpression": "leaseCounter = :old",
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":old": {"N": OLD}},
            }),
            Self::Renew => json!({
                "TableName": TABLE,
                "Key": key,
                "Expected": {
                    "leaseCounter": {"Value": {"N": OLD}},
                    "checkpointOwner": {"Exists": false},
                },
                "AttributeUpdates": {"leaseCounter": {"Action": "PUT", "Value": {"N": NEW}}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }),
            Self::Put => json!({"TableName": TABLE, "Item": lease(&key, OLD)}),
            Self::Get => json!({"TableName": TABLE, "Key": key, "ConsistentRead": true}),
            Self::Query => json!({
                "TableName": TABLE,
                "KeyConditionExpression": "app = :app",
                "ExpressionAttributeValues": {":app": {"S": "queried"}},
            }),
        };
        Request::new(self.operation(), &body.to_string())
    }

    /// Whether an answer has what it must, without reading it all.
    fn is_right(self, answer: &[u8]) -> bool {
        match self {
            Self::Conditional | Self::Renew | Self::Put => answer.starts_with(b"{"),
            Self::Get => occurrences(answer, b"leaseOwner") == 1,
            Self::Query => occurrences(answer, b"leaseOwner") == QUERIED,
        }
    }

    /// Makes the table, measures for a while, looks at what is stored, deletes the table. Requests per
    /// second, and one whole answer.
    pub(crate) async fn round(
        self,
        address: &str,
        time: Duration,
    ) -> Result<(f64, Vec<u8>), Error> {
        let mut control = Connection::open(address).await?;
        make_table(&mut control).await?;
        let (requests, took) = self.measure(address, time)?;
        self.check_stored(&mut control, requests).await?;
        // What one more such request is answered; after it the counters no longer matter.
        let answer = match self {
            Self::Conditional | Self::Renew | Self::Put => b"{}".to_vec(),
            Self::Get | Self::Query => control.exchange(self.request(0).at(FIRST)).await?.to_vec(),
        };
        control
            .call("DeleteTable", &json!({"TableName": TABLE}).to_string())
            .await?;
        Ok((requests as f64 / took.as_secs_f64(), answer))
    }

    /// Sends over all connections for a while; how many requests, and how long it took. Blocks.
    pub(crate) fn measure(self, address: &str, time: Duration) -> Result<(usize, Duration), Error> {
        let rows = (0..CONNECTIONS).map(|number| Row {
            case: self,
            request: self.request(number),
        });
        take_turns(address, rows, time)
    }

    /// The counters of all rows say that every request was carried out, once.
    async fn check_stored(self, control: &mut Connection, requests: usize) -> Result<(), Error> {
        if matches!(self, Self::Get | Self::Query) {
            return Ok(());
        }
        let mut sum = 0;
        for number in 0..CONNECTIONS {
            let body = json!({"TableName": TABLE, "Key": key(number), "ConsistentRead": true});
            let answer = control.call("GetItem", &body.to_string()).await?;
            let answer: Value = serde_json::from_slice(&answer)?;
            let counter = answer["Item"]["leaseCounter"]["N"].as_str();
            let counter: u64 = counter.ok_or("a row is not there")?.parse()?;
            // A put writes the counter before it is counted.
            sum += counter - FIRST + u64::from(self == Self::Put);
        }
        if sum == requests as u64 {
            return Ok(());
        }
        Err(format!("{requests} requests were answered, {sum} are stored").into())
    }
}

/// The requests for one row, each of which counts it up.
struct Row {
    case: Case,
    request: Request,
}

impl Requests for Row {
    fn next(&mut self, count: u64) -> &[u8] {
        self.request.at(FIRST + count)
    }

    fn is_right(&self, answer: &[u8]) -> bool {
        self.case.is_right(answer)
    }
}

fn key(connection: usize) -> Value {
    json!({"app": {"S": "leases"}, "leaseKey": {"S": format!("shardId-{connection:012}")}})
}

/// A row as the KCL writes it.
fn lease(key: &Value, counter: &str) -> Value {
    let mut row = key.clone();
    for (name, value) in [
        ("leaseCounter", json!({"N": counter})),
        (
            "leaseOwner",
            json!({"S": "0f3a5c81-3c6b-4d2c-9b2e-5b0a2c8f0d11"}),
        ),
        ("ownerSwitchesSinceCheckpoint", json!({"N": "0"})),
        (
            "checkpoint",
            json!({"S": "49640217325613447263217216347163521674362176532176532176"}),
        ),
        ("checkpointSubSequenceNumber", json!({"N": "0"})),
        ("parentShardId", json!({"SS": ["shardId-000000000000"]})),
        ("startingHashKey", json!({"S": "0"})),
        (
            "endingHashKey",
            json!({"S": "170141183460469231731687303715884105727"}),
        ),
        ("throughputKBps", json!({"N": "1.0E-5"})),
        ("entityType", json!({"S": "LEASE"})),
    ] {
        row[name] = value;
    }
    row
}

async fn make_table(control: &mut Connection) -> Result<(), Error> {
    let create = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "app", "AttributeType": "S"},
            {"AttributeName": "leaseKey", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "app", "KeyType": "HASH"},
            {"AttributeName": "leaseKey", "KeyType": "RANGE"},
        ],
    })
    .to_string();
    for attempt in 0.. {
        match control.call("CreateTable", &create).await {
            Ok(_) => break,
            Err(error) if attempt > 200 => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    let describe = json!({"TableName": TABLE}).to_string();
    let mut polls = 0;
    while occurrences(
        &control.call("DescribeTable", &describe).await?,
        b"\"ACTIVE\"",
    ) == 0
    {
        polls += 1;
        if polls > 500 {
            return Err("the table does not become active".into());
        }
        sleep(Duration::from_millis(5)).await;
    }
    let rows = (0..CONNECTIONS).map(key);
    let queried = (0..QUERIED).map(|number| {
        json!({"app": {"S": "queried"}, "leaseKey": {"S": format!("shardId-{number:012}")}})
    });
    for key in rows.chain(queried) {
        let body = json!({"TableName": TABLE, "Item": lease(&key, &FIRST.to_string())});
        control.call("PutItem", &body.to_string()).await?;
    }
    Ok(())
}

fn occurrences(text: &[u8], what: &[u8]) -> usize {
    memchr::memmem::find_iter(text, what).count()
}
