//! Puts the lines into the stream, as fast as the story allows. Several files are read in turns so
//! that every shard gets something; the lines of one file stay in order, because only one request
//! is under way at a time and whatever it could not place is placed before the next.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::input::{Error, Text};
use crate::lines::Lines;

/// How far the producer may go, and how fast.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate {
    /// The number of records to have sent in all.
    pub(crate) upto: u64,
    /// Records per second; nothing: as fast as it goes.
    pub(crate) pace: Option<f64>,
}

/// How far the producer is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    sent: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether everything up to here is sent, or there is nothing more to send.
    pub(crate) fn has_reached(&self, upto: u64) -> bool {
        self.sent() >= upto || self.ended.load(Ordering::Relaxed)
    }
}

/// The limits of one `PutRecords` request, with room for the keys.
const REQUEST_RECORDS_MAX: usize = 500;
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// How many files are read in turns, and how many lines each turn has.
const FILES_AT_ONCE: usize = 24;
const TURN: usize = 20;

/// How often one record may be refused before the producer gives up.
const TRIES_MAX: u32 = 50;

pub(crate) struct Producer {
    pub(crate) client: Client,
    pub(crate) stream: &'static str,
    pub(crate) gate: watch::Receiver<Gate>,
    pub(crate) progress: Arc<Progress>,
}

impl Producer {
    /// Sends everything, then ends.
    pub(crate) async fn run(mut self, texts: Vec<Text>) -> Result<(), Error> {
        let mut lines = Turns::new(texts);
        let mut next_at = Instant::now();
        let mut held_back = None;
        loop {
            let sent = self.progress.sent();
            // The end of the story is the end of the producer.
            let Ok(gate) = self
                .gate
                .wait_for(|gate| gate.upto > sent)
                .await
                .map(|gate| *gate)
            else {
                return Ok(());
            };
            let mut room = usize::try_from(gate.upto - sent)?.min(REQUEST_RECORDS_MAX);
            if let Some(pace) = gate.pace {
                // Twenty steps a second look smooth and still fill requests at high rates.
                room = room.min(((pace / 20.0).ceil() as usize).max(1));
                sleep_until(next_at).await;
            }
            let entries = lines.request(room, &mut held_back)?;
            if entries.is_empty() {
                self.progress.ended.store(true, Ordering::Relaxed);
                return Ok(());
            }
            let count = entries.len() as u64;
            self.put(entries).await?;
            self.progress.sent.fetch_add(count, Ordering::Relaxed);
            if let Some(pace) = gate.pace {
                let step = Duration::from_secs_f64(count as f64 / pace);
                next_at = next_at.max(Instant::now() - step) + step;
            }
        }
    }

    /// Places every entry, in order.
    async fn put(&self, mut entries: Vec<PutRecordsRequestEntry>) -> Result<(), Error> {
        for attempt in 0..TRIES_MAX {
            let call = self.client.put_records().stream_name(self.stream);
            let answer = call.set_records(Some(entries.clone())).send().await?;
            if answer.failed_record_count().unwrap_or(0) == 0 {
                return Ok(());
            }
            let placed = |at: usize| {
                answer
                    .records()
                    .get(at)
                    .is_some_and(|record| record.error_code().is_none())
            };
            refuse_gaps(&entries, placed)?;
            let mut at = 0;
            entries.retain(|_| {
                at += 1;
                !placed(at - 1)
            });
            sleep(Duration::from_millis(u64::from(attempt + 1) * 20)).await;
        }
        Err(format!("the stream took no more records, after {TRIES_MAX} tries").into())
    }
}

/// A key of which a later record was placed and an earlier one was not has lost its order in the
/// stream itself, and no consumer could repair that.
fn refuse_gaps(
    entries: &[PutRecordsRequestEntry],
    placed: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    let mut waiting = BTreeSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let key = entry.partition_key().unwrap_or_default();
        if !placed(at) {
            waiting.insert(key);
        } else if waiting.contains(key) {
            return Err(
                format!("the stream took a later record of {key} before an earlier").into(),
            );
        }
    }
    Ok(())
}

/// The lines of several files in turns.
struct Turns {
    waiting: VecDeque<Text>,
    open: VecDeque<(Text, Lines)>,
    left: usize,
}

type Line = (String, Vec<u8>);

impl Turns {
    fn new(texts: Vec<Text>) -> Self {
        Self {
            waiting: texts.into(),
            open: VecDeque::new(),
            left: TURN,
        }
    }

    /// The next entries, as many as a request takes. The line that did not fit waits outside.
    fn request(
        &mut self,
        room: usize,
        held_back: &mut Option<Line>,
    ) -> Result<Vec<PutRecordsRequestEntry>, Error> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < room {
            let line = match held_back.take() {
                Some(line) => line,
                None => match self.next()? {
                    Some(line) => line,
                    None => break,
                },
            };
            bytes += line.0.len() + line.1.len();
            if bytes > REQUEST_BYTES_MAX && !entries.is_empty() {
                *held_back = Some(line);
                break;
            }
            let (key, data) = line;
            entries.push(
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(Blob::new(data))
                    .build()?,
            );
        }
        Ok(entries)
    }

    fn next(&mut self) -> Result<Option<Line>, Error> {
        loop {
            while self.open.len() < FILES_AT_ONCE
                && let Some(text) = self.waiting.pop_front()
            {
                let lines = Lines::open(&text.path)?;
                self.open.push_back((text, lines));
            }
            if self.left == 0 {
                self.left = TURN;
                self.open.rotate_left(1.min(self.open.len()));
            }
            let Some((text, lines)) = self.open.front_mut() else {
                return Ok(None);
            };
            match lines.next() {
                Some(line) => {
                    self.left -= 1;
                    return Ok(Some((text.key.clone(), line?)));
                }
                None => {
                    self.left = TURN;
                    self.open.pop_front();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> PutRecordsRequestEntry {
        let data = Blob::new(Vec::new());
        PutRecordsRequestEntry::builder()
            .partition_key(key)
            .data(data)
            .build()
            .unwrap()
    }

    #[test]
    fn a_later_record_before_an_earlier_of_its_key_is_an_error() {
        let entries = [entry("a"), entry("b"), entry("a")];
        assert!(refuse_gaps(&entries, |at| at == 1).is_ok());
        assert!(refuse_gaps(&entries, |at| at == 0).is_ok());
        let error = refuse_gaps(&entries, |at| at > 0).unwrap_err();
        assert!(error.to_string().contains("record of a"), "{error}");
    }
}
