//! From records to lines. Every shard has a [`Printer`] that makes the lines of a batch; one task
//! owns standard output and writes whole batches, so lines of different shards never mix, and a
//! printer that is dropped in the middle leaves no half line behind.

use std::fmt::Display;
use std::io;

use async_trait::async_trait;
use kcl_core::{Batch, Checkpointer, ProcessorResult, RecordProcessor, ShardContext, ShardId};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// The processor of one shard.
#[derive(Debug)]
pub(crate) struct Printer {
    /// `{"shardId":"…","sequenceNumber":"`: the same for every line.
    beginning: Vec<u8>,
    output: Output,
}

impl Printer {
    pub(crate) fn new(shard: &ShardId, output: Output) -> Self {
        let mut beginning = b"{\"shardId\":".to_vec();
        json_text(&mut beginning, shard);
        beginning.extend_from_slice(b",\"sequenceNumber\":\"");
        Self { beginning, output }
    }

    fn lines(&self, batch: &Batch) -> Vec<u8> {
        // Base64 takes four bytes for three; numbers, names and quotes about 150.
        let mut lines = Vec::with_capacity(batch.bytes() / 3 * 4 + batch.records.len() * 192);
        for record in &batch.records {
            lines.extend_from_slice(&self.beginning);
            lines.extend_from_slice(record.sequence_number.as_str().as_bytes());
            lines.extend_from_slice(b"\",\"partitionKey\":");
            json_text(&mut lines, &record.partition_key);
            lines.extend_from_slice(b",\"data\":\"");
            base64_simd::STANDARD.encode_append(&record.data, &mut lines);
            lines.extend_from_slice(b"\"}\n");
        }
        lines
    }
}

#[async_trait]
impl RecordProcessor for Printer {
    /// Returns when the lines are written, so no checkpoint ever covers a line that is not.
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        if !batch.records.is_empty() {
            self.output.write(self.lines(batch)).await?;
        }
        Ok(())
    }
}

fn json_text(lines: &mut Vec<u8>, text: &impl Display) {
    let quoted = serde_json::Value::String(text.to_string()).to_string();
    lines.extend_from_slice(quoted.as_bytes());
}

/// The way to the task that owns standard output. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Output(mpsc::Sender<Job>);

#[derive(Debug)]
struct Job {
    lines: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

/// How many batches may wait to be written. Each shard waits for its own, so this is only what a
/// slow reader of our output makes us hold.
const JOBS_WAITING_MAX: usize = 16;

impl Output {
    /// Starts the task. It ends when the last printer is gone.
    pub(crate) fn start(mut sink: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, mut jobs) = mpsc::channel(JOBS_WAITING_MAX);
        tokio::spawn(async move {
            let mut ready = Vec::new();
            while jobs.recv_many(&mut ready, JOBS_WAITING_MAX).await > 0 {
                let written = write(&mut sink, &ready).await;
                for job in ready.drain(..) {
                    let answer = match &written {
                        Ok(()) => Ok(()),
                        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                    };
                    // A printer that is gone has lost its shard and wants no answer.
                    drop(job.written.send(answer));
                }
            }
        });
        Self(sender)
    }

    async fn write(&self, lines: Vec<u8>) -> Result<(), String> {
        let (written, answer) = oneshot::channel();
        let gone = "standard output cannot be written: its task is gone";
        self.0
            .send(Job { lines, written })
            .await
            .map_err(|_| gone)?;
        let answer = answer.await.map_err(|_| gone)?;
        answer.map_err(|error| format!("standard output cannot be written: {error}"))
    }
}

/// Writes all and flushes once.
async fn write(sink: &mut (impl AsyncWrite + Unpin), jobs: &[Job]) -> io::Result<()> {
    for job in jobs {
        sink.write_all(&job.lines).await?;
    }
    sink.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use kcl_core::{Record, SequenceNumber};
    use tokio::io::AsyncReadExt;

    fn batch(keys: &[&str]) -> Batch {
        let record = |key: &&str| Record {
            sequence_number: SequenceNumber::new("495").unwrap(),
            subsequence_number: 0,
            partition_key: (*key).to_owned(),
            data: vec![0, 1, 255].into(),
            approximate_arrival: None,
        };
        Batch {
            records: keys.iter().map(record).collect(),
            ..Batch::default()
        }
    }

    #[tokio::test]
    async fn a_line_is_what_the_contract_says_whatever_the_key() {
        let printer = Printer::new(
            &ShardId::new("shardId-000000000000"),
            Output::start(tokio::io::sink()),
        );
        let text = String::from_utf8(printer.lines(&batch(&["k", "a\"\\\n\u{1}ü"]))).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"shardId":"shardId-000000000000","sequenceNumber":"495","partitionKey":"k","data":"AAH/"}"#
        );
        let second: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(second["partitionKey"], "a\"\\\n\u{1}ü");
        assert_eq!(lines.len(), 2);
    }

    #[tokio::test]
    async fn writing_returns_when_the_lines_are_out() {
        let (sink, mut reader) = tokio::io::duplex(1 << 10);
        let output = Output::start(sink);
        output.write(b"one\n".to_vec()).await.unwrap();
        let mut seen = [0; 4];
        reader.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"one\n");
    }

    #[tokio::test]
    async fn a_closed_output_is_an_error_of_the_batch() {
        let (sink, reader) = tokio::io::duplex(8);
        drop(reader);
        let error = Output::start(sink)
            .write(b"one\n".to_vec())
            .await
            .unwrap_err();
        assert!(
            error.contains("standard output cannot be written"),
            "{error}"
        );
    }
}
