//! A rival that takes leases which are held, against the protocol: a tool gone wrong, or a version of the
//! library that does not know it. It never reads a shard. Whoever held the lease must find out, and must
//! not be able to write.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;
use serde_json::{Value, json};

use super::Net;
use crate::sim::history::{Event, LeaseRow, Process};
use crate::sim::ledger::RIVAL;
use crate::sim::table;

impl Net {
    /// Takes so many leases that are held by others.
    ///
    /// # Errors
    /// If the experiment fails: the table's answer, if it is neither that it is done nor that the row
    /// changed in the meantime.
    pub async fn steal(&self, leases: u8, rng: &mut Rng) -> Result<(), String> {
        let mut held: Vec<(String, LeaseRow)> = self.0.history.read(|oracle| {
            let shards = oracle.ledger().shards.iter();
            let rows = shards.filter_map(|(shard, of)| Some((table::key(shard), of.row.clone()?)));
            rows.filter(|(_, row)| row.incarnation.is_some() && !row.checkpoint.is_end())
                .collect()
        });
        rng.shuffle(&mut held);
        held.truncate(usize::from(leases));
        for (shard, row) in held {
            self.steal_one(&shard, &row).await?;
        }
        Ok(())
    }

    async fn steal_one(&self, shard: &str, row: &LeaseRow) -> Result<(), String> {
        let input = json!({
            "TableName": self.0.watch.table(),
            "Key": { "leaseKey": { "S": shard } },
            "ConditionExpression": "leaseCounter = :seen",
            "UpdateExpression": "SET leaseOwner = :me, leaseOwnerIncarnation = :life, leaseCounter = :next",
            "ExpressionAttributeValues": {
                ":seen": { "N": row.epoch.to_string() },
                ":next": { "N": (row.epoch + 1).to_string() },
                ":me": { "S": "rival" },
                ":life": { "S": "rival" },
            },
        });
        self.rob("UpdateItem", &input, format!("the rival takes {shard}"))
            .await
    }

    /// Declares the lives of a process over, whatever their rows say.
    ///
    /// # Errors
    /// If the experiment fails.
    pub async fn bury(&self, process: Process) -> Result<(), String> {
        let keys = self.0.watch.worker_rows(|incarnation| {
            self.0.history.read(|oracle| {
                let ledger = oracle.ledger();
                ledger.incarnations.get(incarnation) == Some(&process)
            })
        });
        for key in keys {
            let input = json!({
                "TableName": self.0.watch.table(),
                "Key": { "leaseKey": { "S": key } },
            });
            self.rob("DeleteItem", &input, format!("the rival buries {process}"))
                .await?;
        }
        Ok(())
    }

    async fn rob(&self, operation: &str, input: &Value, what: String) -> Result<(), String> {
        let sent = self.0.history.add(Event::Incident(what));
        let response = self.0.service.exchange(request(operation, input)?).await;
        let response = response.map_err(|error| format!("{error:?}"))?;
        let body: Value =
            serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        let is_late = body["__type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("ConditionalCheckFailedException"));
        if !response.status().is_success() && !is_late {
            return Err(format!("the rival is refused: {body}"));
        }
        let watch = &self.0.watch;
        watch.applied(RIVAL, operation, sent, true, &response).await;
        Ok(())
    }
}

fn request(operation: &str, input: &Value) -> Result<HttpRequest, String> {
    let mut request = HttpRequest::new(SdkBody::from(input.to_string()));
    let set = request.set_method("POST");
    set.map_err(|error| error.to_string())?;
    let set = request.set_uri("http://emulator/");
    set.map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert("host", "emulator");
    headers.insert("content-type", "application/x-amz-json-1.0");
    headers.insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    headers.insert(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00",
    );
    headers.insert("x-amz-date", "20260101T000000Z");
    Ok(request)
}
