//! A stream with a record for each record that was given up.

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_types::SdkConfig;

use super::line;
use crate::port::{BoxError, FailedBatch, FailureDestination};

/// Records in one call, at most: the service's limit.
const RECORDS_MAX: usize = 500;

/// Bytes in one call, at most: below the service's limit of 5 MiB, whatever the keys are.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Puts a record into a stream for each record that cannot be processed, under its own partition key: a line of JSON
/// with the payload in Base64.
///
/// Such a record is a third larger than the one it stands for, and some 600 bytes more. One that the stream does not
/// take for its size stays unsettled, as with any failure of a destination; let the stream take larger records
/// (`UpdateMaxRecordSize`), or take another destination. Needs `kinesis:PutRecords` on the stream.
///
/// A call that the stream takes in part is repeated as a whole, so records may be there more than once.
#[derive(Clone, Debug)]
pub struct KinesisDestination {
    client: Client,
    stream: String,
}

impl KinesisDestination {
    /// Into the stream of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, stream: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            stream: stream.into(),
        }
    }

    async fn put(&self, entries: Vec<PutRecordsRequestEntry>) -> Result<(), BoxError> {
        let count = entries.len();
        let call = self.client.put_records().stream_name(&self.stream);
        let reply = call.set_records(Some(entries)).send().await;
        let reply = reply.map_err(|error| {
            let stream = &self.stream;
            format!(
                "stream {stream} took nothing: {}",
                DisplayErrorContext(&error)
            )
        })?;
        let mut refused = reply
            .records()
            .iter()
            .filter(|entry| entry.error_code().is_some());
        match refused.next() {
            None => Ok(()),
            Some(first) => {
                let refusals = 1 + refused.count();
                let code = first.error_code().unwrap_or_default();
                let message = first.error_message().unwrap_or_default();
                let stream = &self.stream;
                Err(format!(
                    "stream {stream} refused {refusals} of {count} records: {code}: {message}"
                )
                .into())
            }
        }
    }
}

#[async_trait]
impl FailureDestination for KinesisDestination {
    async fn send(&self, failed: &FailedBatch) -> Result<(), BoxError> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for record in failed.records.iter() {
            let data = serde_json::to_vec(&line(&failed.document, record))?;
            let size = data.len() + record.partition_key.len();
            if !entries.is_empty() && (entries.len() == RECORDS_MAX || bytes + size > BYTES_MAX) {
                self.put(std::mem::take(&mut entries)).await?;
                bytes = 0;
            }
            bytes += size;
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(&record.partition_key)
                .data(Blob::new(data));
            entries.push(entry.build()?);
        }
        self.put(entries).await
    }
}
