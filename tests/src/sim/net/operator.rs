//! An operator who deletes what the workers rest on: a row, or the whole table. They must notice and say so.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kcl_core::model::ShardId;
use serde_json::{Value, json};

use super::Net;
use super::rival::request;
use crate::sim::history::{Event, Process};
use crate::sim::ledger::{Ledger, OPERATOR};
use crate::sim::table;

impl Net {
    /// Deletes the row of a shard that is not finished: one that this process holds, if it holds any.
    ///
    /// # Errors
    /// If the experiment fails.
    pub async fn delete_row(&self, whose: Option<Process>) -> Result<bool, String> {
        let shard = self
            .0
            .history
            .read(|oracle| a_lease(oracle.ledger(), whose));
        let Some(shard) = shard else {
            return Ok(false);
        };
        self.delete_lease(&shard).await?;
        Ok(true)
    }

    /// Deletes the row of a shard.
    ///
    /// # Errors
    /// If the experiment fails.
    pub async fn delete_lease(&self, shard: &ShardId) -> Result<(), String> {
        let text = format!("the operator deletes the row of {shard}");
        let sent = self.0.history.add(Event::Incident(text));
        let input = json!({
            "TableName": self.0.watch.table(),
            "Key": { "leaseKey": { "S": table::lease_key(shard) } },
        });
        self.operate("DeleteItem", &input).await?;
        self.0.watch.compare_rows(OPERATOR, sent, true);
        Ok(())
    }

    /// Deletes the table.
    ///
    /// # Errors
    /// If the experiment fails.
    pub async fn delete_table(&self) -> Result<bool, String> {
        let input = json!({ "TableName": self.0.watch.table() });
        let Ok(_) = self.operate("DeleteTable", &input).await else {
            // There is none yet.
            return Ok(false);
        };
        let sent = self.0.history.add(Event::TableDeleted);
        self.0.watch.lose_rows(OPERATOR, sent);
        Ok(true)
    }

    async fn operate(&self, operation: &str, input: &Value) -> Result<HttpResponse, String> {
        let response = self.0.service.exchange(request(operation, input)?).await;
        let response = response.map_err(|error| format!("{error:?}"))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.body().bytes().unwrap_or_default();
        let said = String::from_utf8_lossy(body);
        Err(format!("the operator is refused: {said}"))
    }
}

fn a_lease(ledger: &Ledger, whose: Option<Process>) -> Option<ShardId> {
    let is_unfinished = |shard: &&ShardId| {
        let row = ledger.shards[*shard].row.as_ref();
        row.is_some_and(|row| !row.checkpoint.is_end())
    };
    let held = whose.map(|whose| ledger.held_by(whose).map(|(shard, _)| shard));
    let mut held = held.into_iter().flatten().filter(is_unfinished);
    held.next()
        .or_else(|| ledger.shards.keys().find(is_unfinished))
        .cloned()
}
