//! A file with a line for each record that was given up.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::line;
use crate::port::{BoxError, FailedBatch, FailureDestination};

/// Appends a line of JSON to a file for each record that cannot be processed, with its payload in Base64. The lines are
/// on the disk before the records count as settled.
///
/// It writes where it is called, which takes a thread of the runtime as long as the disk does. For records that are
/// given up by the thousand take a destination that awaits. A file belongs to one process.
///
/// ```
/// use kcl_core::contract::{FixedOwnership, ScriptedSource};
/// use kcl_core::*;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = ScriptedSource::new();
/// source.put("shard-0", ["good", "bad", "good"]);
/// source.close("shard-0", &[]);
///
/// # let path = std::env::temp_dir().join(format!("kcl-core-doc-{}.jsonl", std::process::id()));
/// let failure = FailureSettings {
///     policy: FailurePolicy::Divert,
///     attempts_max: Some(3),
///     ..FailureSettings::default()
/// };
/// let worker = Worker::builder("app", "stream")
///     .with_source(source)
///     .with_ownership(FixedOwnership::new(["shard-0"]))
///     .with_record_handler(|record: Record, _: HandlerContext| async move {
///         if record.data == "bad" { Err("cannot read it".into()) } else { Ok(()) }
///     })
///     .with_failure_destination(JsonLinesFile::new(&path))
///     .with_settings(Settings { failure, ..Settings::default() })
///     .build()?;
/// let report = worker.run(std::future::pending()).await?;
///
/// assert_eq!(report.finished, 1);
/// assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 1);
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLinesFile {
    path: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl JsonLinesFile {
    /// To the end of this file, which is made when the first record comes.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            writing: Mutex::new(()),
        }
    }

    fn append(&self, lines: &[u8]) -> std::io::Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let before = file.metadata()?.len();
        let written = write_all(&mut file, lines);
        if written.is_err() {
            // A line that is there in part would spoil the next one.
            file.set_len(before)?;
        }
        written
    }
}

fn write_all(file: &mut File, lines: &[u8]) -> std::io::Result<()> {
    file.write_all(lines)?;
    file.sync_data()
}

#[async_trait]
impl FailureDestination for JsonLinesFile {
    async fn send(&self, failed: &FailedBatch) -> Result<(), BoxError> {
        let mut lines = Vec::new();
        for record in failed.records.iter() {
            serde_json::to_writer(&mut lines, &line(&failed.document, record))?;
            lines.push(b'\n');
        }
        self.append(&lines)
            .map_err(|error| format!("cannot append to {}: {error}", self.path.display()).into())
    }
}
