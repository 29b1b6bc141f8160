//! The lease table in DynamoDB: each operation of the port as one conditional request.
//!
//! Two clients, so that the renewals that keep the worker alive never wait behind anything else:
//! they have a connection, a retry budget and a circuit of their own.

pub(crate) mod codec;
pub(crate) mod expression;
mod table;

use std::collections::BTreeSet;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use kcl_core::aws::{Call, classify};
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{Checkpoint, PendingCheckpoint, ShardId, StreamName};
use kcl_core::planted;

use self::codec::{
    BELL, CHECKPOINT, CHILDREN, COUNTER, ENTITY, ENTITY_WATCH, INCARNATION, Item, KEY, LEAVING,
    LOAD, LOOKS, MARK, OWNER, PENDING, PENDING_STATE, PENDING_SUBSEQUENCE, SERVES, SUBSEQUENCE,
    SWITCHES, WATCH_KEY, number, text,
};
use self::expression::Words;
use crate::row::{
    Fence, LeaseRow, Parting, Progress, Row, StartRow, StreamSet, StreamSetKey, WatchRow,
    WorkerKey, WorkerRow, whole_millis,
};
use crate::store::{Freshness, LeaseStore, Outcome, StoreError, Take};

/// The lease table of one application in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    pub(crate) client: Client,
    pub(crate) renewals: Client,
    pub(crate) table: String,
    /// For messages.
    resource: String,
}

impl DynamoTable {
    /// A table reached with `client`, and with `renewals` for the proofs of life.
    #[must_use]
    pub fn new(client: Client, renewals: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        let resource = format!("table {table}");
        Self {
            client,
            renewals,
            table,
            resource,
        }
    }

    pub(crate) fn failed<E>(&self, operation: &'static str, failure: SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let call = Call {
            service: "dynamodb",
            operation,
            resource: &self.resource,
        };
        let error = classify(call, failure);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other kind is for good"
        )]
        match error.kind() {
            ErrorKind::Unavailable => StoreError::Unavailable(error),
            ErrorKind::NotFound => StoreError::Fatal(error.with_hint(
                "it is made at the start of a worker and never at run time, because that would \
                 read every shard anew: restore it, or start the workers again",
            )),
            _ => StoreError::Fatal(error),
        }
    }

    async fn read(&self, key: AttributeValue) -> Result<Option<Item>, StoreError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, key)
            .consistent_read(true)
            .send()
            .await
            .map_err(|failure| self.failed("GetItem", failure))?;
        Ok(reply.item)
    }

    pub(crate) async fn read_row<R>(
        &self,
        key: AttributeValue,
        decode: impl FnOnce(&Item) -> Result<R, Error> + Send,
    ) -> Result<Option<R>, StoreError> {
        let item = self.read(key).await?;
        item.as_ref()
            .map(decode)
            .transpose()
            .map_err(StoreError::Fatal)
    }

    /// The row that made a condition fail. Stores that do not send it along are asked for it.
    async fn refused<R>(
        &self,
        image: Option<Item>,
        key: AttributeValue,
        decode: impl FnOnce(&Item) -> Result<R, Error> + Send,
    ) -> Result<Option<R>, StoreError> {
        match image {
            Some(item) => decode(&item).map(Some).map_err(StoreError::Fatal),
            None => self.read_row(key, decode).await,
        }
    }

    pub(crate) async fn put_new<R>(
        &self,
        client: &Client,
        item: Item,
        decode: impl FnOnce(&Item) -> Result<R, Error> + Send,
    ) -> Result<Outcome<R>, StoreError> {
        let key = item.get(KEY).cloned().unwrap_or_else(|| text(""));
        let mut words = Words::default();
        let condition = format!("attribute_not_exists({})", words.name(KEY));
        let (names, _) = words.into_parts();
        let reply = client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match reply {
            Ok(_) => Ok(Outcome::Applied(())),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                let PutItemError::ConditionalCheckFailedException(failed) = refusal.into_err()
                else {
                    return self.refused(None, key, decode).await.map(Outcome::Refused);
                };
                let image = failed.item;
                self.refused(image, key, decode).await.map(Outcome::Refused)
            }
            Err(failure) => Err(self.failed("PutItem", failure)),
        }
    }

    pub(crate) async fn delete_if<R>(
        &self,
        key: AttributeValue,
        condition: Option<String>,
        words: Words,
        decode: impl FnOnce(&Item) -> Result<R, Error> + Send,
    ) -> Result<Outcome<R>, StoreError> {
        let (names, values) = words.into_parts();
        let reply = self
            .renewals
            .delete_item()
            .table_name(&self.table)
            .key(KEY, key.clone())
            .set_return_values_on_condition_check_failure(
                condition
                    .as_ref()
                    .map(|_| ReturnValuesOnConditionCheckFailure::AllOld),
            )
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        match reply {
            Ok(_) => Ok(Outcome::Applied(())),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                let DeleteItemError::ConditionalCheckFailedException(failed) = refusal.into_err()
                else {
                    return self.refused(None, key, decode).await.map(Outcome::Refused);
                };
                let image = failed.item;
                self.refused(image, key, decode).await.map(Outcome::Refused)
            }
            Err(failure) => Err(self.failed("DeleteItem", failure)),
        }
    }

    pub(crate) async fn update_if<R>(
        &self,
        client: &Client,
        update: Update,
        decode: impl FnOnce(&Item) -> Result<R, Error> + Send,
    ) -> Result<Outcome<R, UpdateItemOutput>, StoreError> {
        let (names, values) = update.words.into_parts();
        let reply = client
            .update_item()
            .table_name(&self.table)
            .key(KEY, update.key.clone())
            .condition_expression(update.condition)
            .update_expression(update.change)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(update.answer)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match reply {
            Ok(output) => Ok(Outcome::Applied(output)),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                let UpdateItemError::ConditionalCheckFailedException(failed) = refusal.into_err()
                else {
                    return self
                        .refused(None, update.key, decode)
                        .await
                        .map(Outcome::Refused);
                };
                let image = failed.item;
                self.refused(image, update.key, decode)
                    .await
                    .map(Outcome::Refused)
            }
            Err(failure) => Err(self.failed("UpdateItem", failure)),
        }
    }

    /// Adds one to a number of the row of the watch, `beside` what else is to change.
    async fn count_up(
        &self,
        attribute: &'static str,
        condition: String,
        beside: String,
        mut words: Words,
    ) -> Result<Outcome<WatchRow>, StoreError> {
        let change = format!("{beside}ADD {}", words.pair(attribute, number(1_u64)));
        let update = Update {
            key: text(WATCH_KEY),
            condition,
            change,
            words,
            answer: ReturnValue::None,
        };
        Ok(
            match self.update_if(&self.client, update, codec::watch).await? {
                Outcome::Applied(_) => Outcome::Applied(()),
                Outcome::Refused(row) => Outcome::Refused(row),
            },
        )
    }

    /// An update on behalf of a grant.
    async fn fenced(
        &self,
        shard: &ShardId,
        condition: String,
        change: String,
        words: Words,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let answer = ReturnValue::None;
        let update = Update {
            key: text(codec::lease_key(shard)),
            condition,
            change,
            words,
            answer,
        };
        Ok(
            match self.update_if(&self.client, update, codec::lease).await? {
                Outcome::Applied(_) => Outcome::Applied(()),
                Outcome::Refused(row) => Outcome::Refused(row),
            },
        )
    }
}

/// One conditional update, in words.
pub(crate) struct Update {
    pub(crate) key: AttributeValue,
    pub(crate) condition: String,
    pub(crate) change: String,
    pub(crate) words: Words,
    pub(crate) answer: ReturnValue,
}

/// No condition at all.
fn anything(words: &mut Words) -> String {
    let key = words.name(KEY);
    format!("(attribute_exists({key}) OR attribute_not_exists({key}))")
}

/// `leaseOwner, leaseOwnerIncarnation, leaseCounter = mine`.
fn fence_holds(words: &mut Words, fence: &Fence) -> String {
    [
        words.equals(OWNER, text(&fence.holder.worker)),
        words.equals(INCARNATION, text(fence.holder.incarnation.as_str())),
        words.equals(COUNTER, number(fence.epoch.get())),
    ]
    .join(" AND ")
}

/// `checkpoint = from`. Rows of other libraries may lack the subsequence number where it is 0.
pub(crate) fn checkpoint_is(words: &mut Words, from: &Checkpoint) -> String {
    let (value, subsequence) = codec::checkpoint_parts(from);
    let same = words.equals(CHECKPOINT, value);
    let same_subsequence = words.equals(SUBSEQUENCE, number(subsequence));
    if subsequence == 0 {
        let none = format!("attribute_not_exists({})", words.name(SUBSEQUENCE));
        format!("{same} AND ({none} OR {same_subsequence})")
    } else {
        format!("{same} AND {same_subsequence}")
    }
}

/// `pendingCheckpoint, pendingCheckpointState = from`, or that there is none. As with the checkpoint,
/// a subsequence number of 0 may be missing.
fn pending_is(words: &mut Words, from: Option<&PendingCheckpoint>) -> String {
    let Some(pending) = from else {
        return words.equals_or_missing(PENDING, None);
    };
    let (value, subsequence) = codec::checkpoint_parts(&pending.checkpoint);
    let same = words.equals(PENDING, value);
    let same_subsequence = words.equals(PENDING_SUBSEQUENCE, number(subsequence));
    let same_state =
        words.equals_or_missing(PENDING_STATE, pending.state.as_ref().map(codec::bytes));
    if subsequence == 0 {
        let none = format!("attribute_not_exists({})", words.name(PENDING_SUBSEQUENCE));
        format!("{same} AND ({none} OR {same_subsequence}) AND {same_state}")
    } else {
        format!("{same} AND {same_subsequence} AND {same_state}")
    }
}

/// Sets the load beside other attributes, if it is known.
fn and_load(words: &mut Words, load: Option<u64>) -> String {
    load.map_or_else(String::new, |load| {
        format!(", {}", words.equals(LOAD, codec::load(load)))
    })
}

/// All attributes of a pending checkpoint, to be removed.
pub(crate) fn no_pending(words: &mut Words) -> String {
    [PENDING, PENDING_SUBSEQUENCE, PENDING_STATE]
        .map(|attribute| words.name(attribute))
        .join(", ")
}

/// Sets a pending checkpoint, in place of any other.
pub(crate) fn set_pending(
    words: &mut Words,
    pending: &PendingCheckpoint,
    (set, remove): (&mut Vec<String>, &mut Vec<String>),
) {
    let (value, subsequence) = codec::checkpoint_parts(&pending.checkpoint);
    set.push(words.equals(PENDING, value));
    set.push(words.equals(PENDING_SUBSEQUENCE, number(subsequence)));
    match &pending.state {
        Some(state) => set.push(words.equals(PENDING_STATE, codec::bytes(state))),
        None => remove.push(words.name(PENDING_STATE)),
    }
}

#[async_trait]
impl LeaseStore for DynamoTable {
    async fn ensure_table(&self) -> Result<(), StoreError> {
        table::ensure(self).await
    }

    async fn scan(&self, freshness: Freshness) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(freshness == Freshness::Consistent)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|failure| self.failed("Scan", failure))?;
            for item in page.items() {
                rows.extend(codec::row(item).map_err(StoreError::Fatal)?);
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    async fn read_lease(&self, shard: &ShardId) -> Result<Option<LeaseRow>, StoreError> {
        self.read_row(text(codec::lease_key(shard)), codec::lease)
            .await
    }

    async fn create_lease(&self, row: &LeaseRow) -> Result<Outcome<LeaseRow>, StoreError> {
        self.put_new(&self.client, codec::lease_item(row), codec::lease)
            .await
    }

    async fn take(&self, take: &Take) -> Result<Outcome<LeaseRow, LeaseRow>, StoreError> {
        let mut words = Words::default();
        let incarnation = take
            .owner
            .as_ref()
            .and_then(|owner| owner.incarnation.as_ref());
        let mut condition = [
            words.equals(COUNTER, number(take.counter)),
            words.equals_or_missing(OWNER, take.owner.as_ref().map(|owner| text(&owner.worker))),
            words.equals_or_missing(INCARNATION, incarnation.map(|name| text(name.as_str()))),
            words.differs(CHECKPOINT, text(Checkpoint::ShardEnd.to_string())),
        ]
        .join(" AND ");
        if planted!(TakesWithoutFence) {
            words = Words::default();
            condition = anything(&mut words);
        }
        let mut change = format!(
            "SET {}, {}, {} ADD {}",
            words.equals(OWNER, text(&take.to.worker)),
            words.equals(INCARNATION, text(take.to.incarnation.as_str())),
            words.equals(COUNTER, number(take.counter + 1)),
            words.pair(SWITCHES, number(1_u64)),
        );
        if planted!(TakeErasesCheckpoint) && take.owner.is_some() {
            let horizon = words.equals(CHECKPOINT, text(Checkpoint::TrimHorizon.to_string()));
            change = change.replacen("SET ", &format!("SET {horizon}, "), 1);
        }
        let key = text(codec::lease_key(&take.shard));
        let update = Update {
            key,
            condition,
            change,
            words,
            answer: ReturnValue::AllNew,
        };
        match self.update_if(&self.client, update, codec::lease).await? {
            Outcome::Applied(output) => {
                let item = output.attributes.unwrap_or_default();
                codec::lease(&item)
                    .map(Outcome::Applied)
                    .map_err(StoreError::Fatal)
            }
            Outcome::Refused(row) => Ok(Outcome::Refused(row)),
        }
    }

    async fn commit(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        to: &Checkpoint,
        load: Option<u64>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut words = Words::default();
        let holds = if planted!(CommitsWithoutFence) {
            anything(&mut words)
        } else {
            fence_holds(&mut words, fence)
        };
        let follows = if planted!(CommitsWithoutLast) {
            anything(&mut words)
        } else {
            checkpoint_is(&mut words, from)
        };
        let condition = format!("{holds} AND {follows}");
        let (value, subsequence) = codec::checkpoint_parts(to);
        let change = format!(
            "SET {}, {}, {}{} REMOVE {}",
            words.equals(CHECKPOINT, value),
            words.equals(SUBSEQUENCE, number(subsequence)),
            words.equals(SWITCHES, number(0_u64)),
            and_load(&mut words, load),
            no_pending(&mut words),
        );
        self.fenced(&fence.shard, condition, change, words).await
    }

    async fn prepare(
        &self,
        fence: &Fence,
        from: &Progress,
        to: &Progress,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut words = Words::default();
        let condition = [
            fence_holds(&mut words, fence),
            checkpoint_is(&mut words, &from.checkpoint),
            pending_is(&mut words, from.pending.as_ref()),
        ]
        .join(" AND ");
        let mut set = Vec::new();
        let mut remove = Vec::new();
        if to.checkpoint != from.checkpoint {
            let (value, subsequence) = codec::checkpoint_parts(&to.checkpoint);
            set.push(words.equals(CHECKPOINT, value));
            set.push(words.equals(SUBSEQUENCE, number(subsequence)));
            set.push(words.equals(SWITCHES, number(0_u64)));
        }
        match &to.pending {
            Some(pending) => set_pending(&mut words, pending, (&mut set, &mut remove)),
            None => remove.push(no_pending(&mut words)),
        }
        let clause = |verb: &str, parts: Vec<String>| match parts.as_slice() {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        let change = clause("SET", set) + &clause("REMOVE", remove);
        self.fenced(&fence.shard, condition, change, words).await
    }

    async fn finish(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        children: &BTreeSet<ShardId>,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut words = Words::default();
        let holds = if planted!(FinishesWithoutFence) {
            anything(&mut words)
        } else {
            fence_holds(&mut words, fence)
        };
        let condition = format!("{holds} AND {}", checkpoint_is(&mut words, from));
        let mut change = format!(
            "SET {}, {}, {}, {}",
            words.equals(CHECKPOINT, text(Checkpoint::ShardEnd.to_string())),
            words.equals(SUBSEQUENCE, number(0_u64)),
            words.equals(SWITCHES, number(0_u64)),
            words.equals(COUNTER, number(fence.epoch.next().get())),
        );
        if let Some(children) = codec::shard_ids(children) {
            change += &format!(", {}", words.equals(CHILDREN, children));
        }
        change += &format!(
            " REMOVE {}, {}, {}",
            words.name(OWNER),
            words.name(INCARNATION),
            no_pending(&mut words),
        );
        self.fenced(&fence.shard, condition, change, words).await
    }

    async fn release(
        &self,
        fence: &Fence,
        parting: &Parting,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut words = Words::default();
        let condition = if planted!(ReleasesWithoutFence) {
            anything(&mut words)
        } else {
            fence_holds(&mut words, fence)
        };
        let erased = if planted!(ReleaseErasesCheckpoint) {
            let horizon = text(Checkpoint::TrimHorizon.to_string());
            format!("{}, ", words.equals(CHECKPOINT, horizon))
        } else {
            String::new()
        };
        let mut set = vec![words.equals(COUNTER, number(fence.epoch.next().get()))];
        let mut remove = vec![words.name(OWNER), words.name(INCARNATION)];
        for (attribute, value) in codec::moved_parts(parting.moved.as_ref()) {
            match value {
                Some(value) => set.push(words.equals(attribute, value)),
                None => remove.push(words.name(attribute)),
            }
        }
        let change = format!(
            "SET {erased}{}{} REMOVE {}",
            set.join(", "),
            and_load(&mut words, parting.load),
            remove.join(", "),
        );
        self.fenced(&fence.shard, condition, change, words).await
    }

    async fn remove_ended(
        &self,
        shard: &ShardId,
        counter: u64,
    ) -> Result<Outcome<LeaseRow>, StoreError> {
        let mut words = Words::default();
        let condition = format!(
            "attribute_not_exists({}) OR ({} AND {})",
            words.name(KEY),
            words.equals(CHECKPOINT, text(Checkpoint::ShardEnd.to_string())),
            words.equals(COUNTER, number(counter)),
        );
        self.delete_if(
            text(codec::lease_key(shard)),
            Some(condition),
            words,
            codec::lease,
        )
        .await
    }

    async fn join(&self, row: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.put_new(&self.renewals, codec::worker_item(row), codec::worker)
            .await
    }

    async fn renew(
        &self,
        key: &WorkerKey,
        counter: u64,
        leaving: bool,
        load: Option<u64>,
        serves: Option<&StreamSetKey>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        let mut words = Words::default();
        let condition = words.equals(COUNTER, number(counter));
        let mut change = format!(
            "SET {}, {}",
            words.equals(COUNTER, number(counter + 1)),
            words.equals(LEAVING, AttributeValue::Bool(leaving)),
        );
        if let Some(serves) = serves {
            change += &format!(", {}", words.equals(SERVES, text(serves.as_str())));
        }
        change += &match load {
            Some(_) => and_load(&mut words, load),
            None => format!(" REMOVE {}", words.name(LOAD)),
        };
        let key = text(key.row_key());
        let update = Update {
            key,
            condition,
            change,
            words,
            answer: ReturnValue::None,
        };
        Ok(
            match self
                .update_if(&self.renewals, update, codec::worker)
                .await?
            {
                Outcome::Applied(_) => Outcome::Applied(()),
                Outcome::Refused(row) => Outcome::Refused(row),
            },
        )
    }

    async fn leave(&self, key: &WorkerKey) -> Result<(), StoreError> {
        let words = Words::default();
        self.delete_if(text(key.row_key()), None, words, codec::worker)
            .await
            .map(|_| ())
    }

    async fn evict(
        &self,
        key: &WorkerKey,
        counter: Option<u64>,
    ) -> Result<Outcome<WorkerRow>, StoreError> {
        let mut words = Words::default();
        let mut condition = format!("attribute_not_exists({})", words.name(KEY));
        if let Some(counter) = counter {
            condition += &format!(" OR {}", words.equals(COUNTER, number(counter)));
        }
        if planted!(EvictsTheLiving) {
            words = Words::default();
            condition = anything(&mut words);
        }
        self.delete_if(text(key.row_key()), Some(condition), words, codec::worker)
            .await
    }

    async fn read_worker(&self, key: &WorkerKey) -> Result<Option<WorkerRow>, StoreError> {
        self.read_row(text(key.row_key()), codec::worker).await
    }

    async fn read_watch(&self) -> Result<Option<WatchRow>, StoreError> {
        self.read_row(text(WATCH_KEY), codec::watch).await
    }

    async fn claim_watch(
        &self,
        seen: Option<&WatchRow>,
        to: &WorkerKey,
    ) -> Result<Outcome<WatchRow, WatchRow>, StoreError> {
        let mut words = Words::default();
        let condition = words.equals_or_missing(COUNTER, seen.map(|row| number(row.term)));
        let change = format!(
            "SET {}, {}, {}, {} ADD {}",
            words.equals(ENTITY, text(ENTITY_WATCH)),
            words.equals(OWNER, text(&to.worker)),
            words.equals(INCARNATION, text(to.incarnation.as_str())),
            words.equals(COUNTER, number(seen.map_or(0, |row| row.term) + 1)),
            words.pair(BELL, number(1_u64)),
        );
        let update = Update {
            key: text(WATCH_KEY),
            condition,
            change,
            words,
            answer: ReturnValue::AllNew,
        };
        match self.update_if(&self.client, update, codec::watch).await? {
            Outcome::Applied(output) => {
                let item = output.attributes.unwrap_or_default();
                codec::watch(&item)
                    .map(Outcome::Applied)
                    .map_err(StoreError::Fatal)
            }
            Outcome::Refused(row) => Ok(Outcome::Refused(row)),
        }
    }

    async fn keep_watch(
        &self,
        term: u64,
        mark: Option<u64>,
    ) -> Result<Outcome<WatchRow>, StoreError> {
        let mut words = Words::default();
        let condition = words.equals(COUNTER, number(term));
        let mark = match mark {
            Some(mark) => format!("SET {} ", words.equals(MARK, number(mark))),
            None => format!("REMOVE {} ", words.name(MARK)),
        };
        self.count_up(LOOKS, condition, mark, words).await
    }

    async fn ring(&self) -> Result<(), StoreError> {
        let mut words = Words::default();
        let condition = format!("attribute_exists({})", words.name(KEY));
        match self.count_up(BELL, condition, String::new(), words).await? {
            // Refused: there is no watch, and nobody who would hear it.
            Outcome::Applied(()) | Outcome::Refused(_) => Ok(()),
        }
    }

    async fn fix_start(
        &self,
        stream: Option<&StreamName>,
        time: SystemTime,
    ) -> Result<SystemTime, StoreError> {
        let row = StartRow {
            stream: stream.cloned(),
            time: whole_millis(time),
        };
        match self
            .put_new(&self.client, codec::start_item(&row), codec::start)
            .await?
        {
            Outcome::Applied(()) => Ok(row.time),
            Outcome::Refused(Some(_)) if planted!(ForgetsStart) => Ok(row.time),
            Outcome::Refused(Some(fixed)) => Ok(fixed.time),
            Outcome::Refused(None) => {
                let key = codec::start_key(stream);
                let message = format!("row {key:?} of {} comes and goes", self.resource);
                Err(StoreError::Unavailable(Error::new(
                    ErrorKind::Unavailable,
                    message,
                )))
            }
        }
    }

    async fn add_streams(&self, set: &StreamSet) -> Result<Outcome<StreamSet>, StoreError> {
        self.put_new(&self.client, codec::streams_item(set), codec::streams)
            .await
    }

    async fn remove_streams(&self, key: &StreamSetKey) -> Result<(), StoreError> {
        let words = Words::default();
        self.delete_if(text(key.row_key()), None, words, codec::streams)
            .await
            .map(|_| ())
    }
}
