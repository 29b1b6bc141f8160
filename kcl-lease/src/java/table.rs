//! The shared table in DynamoDB: each step of the KCL's protocol as one conditional request.
//!
//! It decides nothing. Held leases are written through the client for renewals, so that what keeps them
//! alive never waits behind a scan.

use std::time::SystemTime;

use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::ReturnValue;
use kcl_core::model::{Checkpoint, ShardId, WorkerId};

use super::chain::{Write, successor};
use super::codec::{self, CHECKPOINT_OWNER};
use super::row::{JavaRow, Row};
use crate::row::LeaseRow;
use crate::store::dynamo::codec as native;
use crate::store::dynamo::codec::{
    CHECKPOINT, CHILDREN, COUNTER, KEY, OWNER, SUBSEQUENCE, SWITCHES, number, text,
};
use crate::store::dynamo::expression::Words;
use crate::store::dynamo::{DynamoTable, Update, checkpoint_is, no_pending, set_pending};
use crate::store::{Freshness, LeaseStore as _, Outcome, StoreError};

/// The table of one application that Java workers share.
#[derive(Clone, Debug)]
pub(crate) struct JavaTable {
    pub(crate) inner: DynamoTable,
    /// The time that `AT_TIMESTAMP` stands for.
    pub(crate) at: Option<SystemTime>,
}

/// A row, as it was or as it became.
pub(crate) type Written = Result<Outcome<JavaRow, JavaRow>, StoreError>;

impl JavaTable {
    /// Makes the table if it is missing, as the KCL makes it.
    pub(crate) async fn ensure(&self) -> Result<(), StoreError> {
        self.inner.ensure_table().await
    }

    /// Every row of a kind that matters.
    pub(crate) async fn scan(&self, freshness: Freshness) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .inner
                .client
                .scan()
                .table_name(&self.inner.table)
                .consistent_read(freshness == Freshness::Consistent)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|failure| self.inner.failed("Scan", failure))?;
            for item in page.items() {
                rows.extend(codec::row(item, self.at).map_err(StoreError::Fatal)?);
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The row of a shard as it is now.
    pub(crate) async fn read(&self, shard: &ShardId) -> Result<Option<JavaRow>, StoreError> {
        let key = text(shard.name());
        self.inner
            .read_row(key, |item| codec::lease(item, self.at))
            .await
    }

    /// Adds the row of a shard, if there is none. Tells whether there was none.
    pub(crate) async fn create(&self, row: &LeaseRow) -> Result<bool, StoreError> {
        let item = native::lease_item(row);
        let decode = |item: &_| codec::lease(item, self.at);
        let outcome = self.inner.put_new(&self.inner.client, item, decode).await?;
        Ok(outcome == Outcome::Applied(()))
    }

    /// Takes a lease as it was seen: counter and named owner. Whose it already was by name moves the counter
    /// by two, so that nobody of that name takes it for a write of his own.
    pub(crate) async fn take(&self, seen: &JavaRow, me: &WorkerId) -> Written {
        let mut words = Words::default();
        let named = seen.named();
        let condition = [
            words.equals(COUNTER, number(seen.lease.counter)),
            words.equals_or_missing(OWNER, named.map(text)),
            words.equals_or_missing(CHECKPOINT_OWNER, seen.checkpoint_owner.as_ref().map(text)),
        ]
        .join(" AND ");
        let step = if named == Some(me) { 2 } else { 1 };
        let mut change = format!(
            "SET {}, {}",
            words.equals(OWNER, text(me)),
            words.equals(COUNTER, number(seen.lease.counter + step)),
        );
        if seen.is_handed_over() {
            change += &format!(" REMOVE {}", words.name(CHECKPOINT_OWNER));
        }
        if named.is_some_and(|named| named != me) {
            change += &format!(" ADD {}", words.pair(SWITCHES, number(1_u64)));
        }
        self.update(&seen.lease.shard, (condition, change, words))
            .await
    }

    /// The next write in the chain of a held lease. If it is at `row` and `me` holds it.
    pub(crate) async fn write(&self, me: &WorkerId, row: &JavaRow, write: &Write) -> Written {
        let mut words = Words::default();
        let mut condition = words.equals(COUNTER, number(row.lease.counter));
        condition += &match write {
            // Whether a hand-over has begun is told by the answer.
            Write::Renew | Write::Commit(_) | Write::Prepare(_) | Write::Finish(_) => format!(
                " AND ({} OR {})",
                words.equals(OWNER, text(me)),
                words.equals(CHECKPOINT_OWNER, text(me)),
            ),
            Write::GiveBack => format!(
                " AND {} AND {}",
                words.equals_or_missing(OWNER, row.named().map(text)),
                words.equals_or_missing(CHECKPOINT_OWNER, row.checkpoint_owner.as_ref().map(text)),
            ),
        };
        let mut set = vec![words.equals(COUNTER, number(row.lease.counter + 1))];
        let mut remove = Vec::new();
        let mut add = Vec::new();
        match write {
            Write::Renew => {}
            Write::Commit(to) => {
                condition += &format!(" AND {}", checkpoint_is(&mut words, &row.lease.checkpoint));
                checkpoint(&mut words, to, &mut set);
                // As in every table of ours, what was announced beyond it stays.
                let pending = row.lease.pending.as_ref();
                if !pending.is_some_and(|pending| pending.checkpoint > *to) {
                    remove.push(no_pending(&mut words));
                }
            }
            Write::Prepare(pending) => {
                condition += &format!(" AND {}", checkpoint_is(&mut words, &row.lease.checkpoint));
                set_pending(&mut words, pending, (&mut set, &mut remove));
            }
            Write::Finish(children) => {
                condition += &format!(" AND {}", checkpoint_is(&mut words, &row.lease.checkpoint));
                checkpoint(&mut words, &Checkpoint::ShardEnd, &mut set);
                remove.push(no_pending(&mut words));
                if let Some(children) = native::shard_ids(children) {
                    set.push(words.equals(CHILDREN, children));
                }
            }
            Write::GiveBack => match successor(me, row) {
                Some(_) => {
                    remove.push(words.name(CHECKPOINT_OWNER));
                    add.push(words.pair(SWITCHES, number(1_u64)));
                }
                None => {
                    remove.push(words.name(OWNER));
                    if row.is_handed_over() {
                        remove.push(words.name(CHECKPOINT_OWNER));
                    }
                }
            },
        }
        let mut change = format!("SET {}", set.join(", "));
        for (verb, what) in [("REMOVE", remove), ("ADD", add)] {
            if !what.is_empty() {
                change += &format!(" {verb} {}", what.join(", "));
            }
        }
        self.update(&row.lease.shard, (condition, change, words))
            .await
    }

    /// Deletes the row of a finished shard. If it is finished, or there is none.
    pub(crate) async fn remove_ended(&self, shard: &ShardId) -> Result<bool, StoreError> {
        let mut words = Words::default();
        let ended = words.equals(CHECKPOINT, text(Checkpoint::ShardEnd.to_string()));
        let condition = format!("attribute_not_exists({}) OR {ended}", words.name(KEY));
        let decode = |item: &_| codec::lease(item, self.at);
        let outcome = self
            .inner
            .delete_if(text(shard.name()), Some(condition), words, decode)
            .await?;
        Ok(outcome == Outcome::Applied(()))
    }

    /// One conditional update of a lease row, answered with the row.
    pub(crate) async fn update(
        &self,
        shard: &ShardId,
        (condition, change, words): (String, String, Words),
    ) -> Written {
        let update = Update {
            key: text(shard.name()),
            condition,
            change,
            words,
            answer: ReturnValue::AllNew,
        };
        let decode = |item: &_| codec::lease(item, self.at);
        match self
            .inner
            .update_if(&self.inner.renewals, update, decode)
            .await?
        {
            Outcome::Applied(output) => self.row(output).map(Outcome::Applied),
            Outcome::Refused(row) => Ok(Outcome::Refused(row)),
        }
    }

    fn row(&self, output: UpdateItemOutput) -> Result<JavaRow, StoreError> {
        let item = output.attributes.unwrap_or_default();
        codec::lease(&item, self.at).map_err(StoreError::Fatal)
    }
}

/// A checkpoint as the KCL commits it.
fn checkpoint(words: &mut Words, to: &Checkpoint, set: &mut Vec<String>) {
    let (value, subsequence) = native::checkpoint_parts(to);
    set.push(words.equals(CHECKPOINT, value));
    set.push(words.equals(SUBSEQUENCE, number(subsequence)));
    set.push(words.equals(SWITCHES, number(0_u64)));
}
