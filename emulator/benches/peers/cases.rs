//! What is asked of each server, and whether what it answers is true. A server that answers fast and
//! wrong is not measured at all.

use std::sync::Arc;
use std::time::Duration;

use base64_simd::STANDARD;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Connection, Error, request};

const STREAM: &str = "bench";
const CONNECTIONS: usize = 16;
/// Records of a stream that are read back and looked at.
const LOOKED_AT: usize = 20_000;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    PutRecord,
    PutRecords,
    GetRecords,
}

impl Case {
    pub(crate) const ALL: [Self; 3] = [Self::PutRecord, Self::PutRecords, Self::GetRecords];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PutRecord => "PutRecord, 128 B",
            Self::PutRecords => "PutRecords, 500 x 1 KiB",
            Self::GetRecords => "GetRecords, 1,000 x 1 KiB",
        }
    }

    /// Share of the bare server's rate, and multiple of ferrokinesis', that are to be reached.
    pub(crate) fn goals(self) -> (f64, Option<f64>) {
        match self {
            Self::PutRecord => (0.6, None),
            Self::PutRecords => (0.25, Some(8.0)),
            Self::GetRecords => (0.4, Some(4.0)),
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::PutRecord => "PutRecord",
            Self::PutRecords => "PutRecords",
            Self::GetRecords => "GetRecords",
        }
    }

    /// Records of one request, and the bytes of each.
    fn size(self) -> (usize, usize) {
        match self {
            Self::PutRecord => (1, 128),
            Self::PutRecords => (500, 1024),
            Self::GetRecords => (1000, 1024),
        }
    }

    fn body(self, iterator: &str) -> String {
        let (count, bytes) = self.size();
        match self {
            Self::PutRecord => {
                let data = encoded(bytes);
                format!(r#"{{"StreamName":"{STREAM}","PartitionKey":"key-0","Data":"{data}"}}"#)
            }
            Self::PutRecords => batch(count, bytes),
            Self::GetRecords => format!(r#"{{"ShardIterator":"{iterator}","Limit":{count}}}"#),
        }
    }

    /// Whether an answer has as many records as it must, without reading it all.
    fn is_right(self, answer: &[u8]) -> bool {
        let (count, _) = self.size();
        let failed = match self {
            Self::PutRecords => occurrences(answer, b"ErrorCode\":\""),
            Self::PutRecord | Self::GetRecords => 0,
        };
        failed == 0 && occurrences(answer, b"SequenceNumber\"") == count
    }

    /// Makes the stream, measures for a while, looks at what is stored, deletes the stream. Requests
    /// per second, and one whole answer.
    pub(crate) async fn round(
        self,
        address: &str,
        time: Duration,
    ) -> Result<(f64, Vec<u8>), Error> {
        let mut control = Connection::open(address).await?;
        make_stream(&mut control).await?;
        if self == Self::GetRecords {
            for _ in 0..2 {
                control.call("PutRecords", &batch(500, 1024)).await?;
            }
        }
        let body = self.body(&iterator(&mut control).await?);
        let answer = control.call(self.target(), &body).await?;
        self.check_whole(&answer)?;
        let (requests, took) = self.measure(address, &body, time).await?;
        if self != Self::GetRecords {
            let (count, _) = self.size();
            self.check_stored(&mut control, (requests + 1) * count)
                .await?;
        }
        control.call("DeleteStream", &stream()).await?;
        Ok((requests as f64 / took.as_secs_f64(), answer))
    }

    /// Sends the same request over all connections for a while; how many, and how long it took.
    pub(crate) async fn measure(
        self,
        address: &str,
        body: &str,
        time: Duration,
    ) -> Result<(usize, Duration), Error> {
        let request: Arc<[u8]> = request(self.target(), body).into();
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(address).await?);
        }
        let started = Instant::now();
        let mut tasks: JoinSet<Result<usize, Error>> = JoinSet::new();
        for mut connection in connections {
            let request = Arc::clone(&request);
            tasks.spawn(async move {
                let mut count = 0;
                while started.elapsed() < time {
                    let answer = connection.exchange(&request).await?;
                    if !self.is_right(answer) {
                        let start = &answer[..answer.len().min(300)];
                        return Err(format!("wrong: {}", String::from_utf8_lossy(start)).into());
                    }
                    count += 1;
                }
                Ok(count)
            });
        }
        let mut requests = 0;
        while let Some(ended) = tasks.join_next().await {
            requests += ended??;
        }
        Ok((requests, started.elapsed()))
    }

    pub(crate) fn bare_body(self) -> String {
        // As long as an iterator of this stream's name.
        self.body(&"A".repeat(204))
    }

    /// Looks at one answer as a whole.
    fn check_whole(self, answer: &[u8]) -> Result<(), Error> {
        let answer: Value = serde_json::from_slice(answer)?;
        match self {
            Self::PutRecord => sequence(&answer).map(drop),
            Self::PutRecords => {
                let records = records(&answer)?;
                let is_right = records.len() == 500 && answer["FailedRecordCount"] == 0;
                check(is_right, "not all records were put")?;
                records
                    .iter()
                    .try_for_each(|record| sequence(record).map(drop))
            }
            Self::GetRecords => {
                let records = records(&answer)?;
                check(records.len() == 1000, "not all records were read")?;
                self.check_records(records)
            }
        }
    }

    fn check_records(self, records: &[Value]) -> Result<(), Error> {
        let data = encoded(self.size().1);
        let mut last = "";
        for record in records {
            let sequence = sequence(record)?;
            check(sequence > last, "the records are not in order")?;
            last = sequence;
            check(
                record["Data"] == data.as_str(),
                "a record is not as it was put",
            )?;
        }
        Ok(())
    }

    /// Reads the stream back: everything that was acknowledged is there, up to a limit.
    async fn check_stored(self, control: &mut Connection, count: usize) -> Result<(), Error> {
        let (mut iterator, mut found) = (iterator(control).await?, 0);
        let wanted = count.min(LOOKED_AT);
        let mut idle = 0;
        while found < wanted {
            let body = format!(r#"{{"ShardIterator":"{iterator}","Limit":5000}}"#);
            let page = control.call("GetRecords", &body).await?;
            let page: Value = serde_json::from_slice(&page)?;
            let records = records(&page)?;
            self.check_records(records)?;
            idle = if records.is_empty() { idle + 1 } else { 0 };
            found += records.len();
            check(idle < 50, &format!("{found} of {count} records are stored"))?;
            let next = page["NextShardIterator"].as_str();
            next.ok_or("the stream ended")?.clone_into(&mut iterator);
        }
        Ok(())
    }
}

fn check(is_right: bool, otherwise: &str) -> Result<(), Error> {
    if is_right {
        Ok(())
    } else {
        Err(otherwise.to_owned().into())
    }
}

fn records(answer: &Value) -> Result<&[Value], Error> {
    let records = answer["Records"].as_array().ok_or("no records")?;
    Ok(records)
}

fn sequence(value: &Value) -> Result<&str, Error> {
    let number = value["SequenceNumber"].as_str();
    Ok(number.ok_or("no sequence number")?)
}

fn encoded(bytes: usize) -> String {
    let data: Vec<u8> = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
    STANDARD.encode_to_string(data)
}

fn batch(count: usize, bytes: usize) -> String {
    let data = encoded(bytes);
    let record = |i: usize| format!(r#"{{"PartitionKey":"key-{i}","Data":"{data}"}}"#);
    let records: Vec<String> = (0..count).map(record).collect();
    let records = records.join(",");
    format!(r#"{{"StreamName":"{STREAM}","Records":[{records}]}}"#)
}

fn stream() -> String {
    format!(r#"{{"StreamName":"{STREAM}"}}"#)
}

/// Makes the stream as soon as the one before is gone, and waits until it is active.
async fn make_stream(control: &mut Connection) -> Result<(), Error> {
    let create = format!(r#"{{"StreamName":"{STREAM}","ShardCount":1}}"#);
    for attempt in 0.. {
        match control.call("CreateStream", &create).await {
            Ok(_) => break,
            Err(error) if attempt > 200 => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    for _ in 0..500 {
        let summary = control.call("DescribeStreamSummary", &stream()).await?;
        if occurrences(&summary, b"\"ACTIVE\"") > 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Err("the stream does not become active".into())
}

async fn iterator(control: &mut Connection) -> Result<String, Error> {
    let body = format!(
        r#"{{"StreamName":"{STREAM}","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}}"#
    );
    let reply = control.call("GetShardIterator", &body).await?;
    let reply: Value = serde_json::from_slice(&reply)?;
    let iterator = reply["ShardIterator"].as_str();
    Ok(iterator.ok_or("no iterator")?.to_owned())
}

/// How often `what` occurs. It begins with a letter that is rare in base64, so that this is cheap.
fn occurrences(text: &[u8], what: &[u8]) -> usize {
    memchr::memmem::find_iter(text, what).count()
}
