//! A user's code: notes each record and each call, and checkpoints once a second and where it must.

use std::time::Duration;

use async_trait::async_trait;
use kcl_core::{
    Batch, Checkpointer, ErrorKind, ProcessorResult, RecordProcessor, ShardContext, ShardId,
};
use tokio::time::Instant;

use crate::journal::Journal;

const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Processor {
    journal: Journal,
    shard: ShardId,
    last: String,
    checkpointed: Instant,
    /// Started, and not yet said to be lost or ended.
    is_open: bool,
}

impl Processor {
    pub(crate) fn new(shard: &ShardId, journal: Journal) -> Self {
        Self {
            journal,
            shard: shard.clone(),
            last: "none".to_owned(),
            checkpointed: Instant::now(),
            is_open: false,
        }
    }

    /// That the lease has gone meanwhile is in the nature of things. Whatever else is refused is trouble.
    async fn checkpoint(&mut self, checkpointer: &Checkpointer) {
        let outcome = checkpointer.checkpoint().await;
        let shard = ("shard", &self.shard as &dyn std::fmt::Display);
        match outcome {
            Ok(()) => self
                .journal
                .note("checkpointed", &[shard, ("seq", &self.last)]),
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.journal.note("refused", &[shard, ("seq", &self.last)]);
            }
            Err(error) => self
                .journal
                .note("trouble", &[shard, ("what", &error.chain())]),
        }
        self.checkpointed = Instant::now();
    }
}

#[async_trait]
impl RecordProcessor for Processor {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        self.is_open = true;
        let from = shard.checkpoint();
        self.journal
            .note("started", &[("shard", &self.shard), ("checkpoint", from)]);
        Ok(())
    }

    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let mut lines = String::new();
        for record in &batch.records {
            self.last = record.sequence_number.to_string();
            let data = String::from_utf8_lossy(&record.data);
            lines += &self.journal.line(
                "record",
                &[
                    ("shard", &self.shard),
                    ("seq", &self.last),
                    ("key", &record.partition_key),
                    ("data", &data),
                ],
            );
        }
        self.journal.write(&lines);
        if self.last != "none" && self.checkpointed.elapsed() > CHECKPOINT_EVERY {
            self.checkpoint(checkpointer).await;
        }
        Ok(())
    }

    async fn lease_lost(&mut self, _: &ShardContext) {
        self.is_open = false;
        self.journal.note("lost", &[("shard", &self.shard)]);
    }

    async fn shard_ended(
        &mut self,
        _: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        self.is_open = false;
        // Before the checkpoint, which lets the children start.
        self.journal
            .note("ended", &[("shard", &self.shard), ("last", &self.last)]);
        self.checkpoint(checkpointer).await;
        Ok(())
    }

    async fn shutdown_requested(
        &mut self,
        _: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        self.journal
            .note("requested", &[("shard", &self.shard), ("last", &self.last)]);
        self.checkpoint(checkpointer).await;
        Ok(())
    }
}

/// The Java processor is told that its lease is gone after it was given back as well.
impl Drop for Processor {
    fn drop(&mut self) {
        if self.is_open {
            self.journal.note("lost", &[("shard", &self.shard)]);
        }
    }
}
