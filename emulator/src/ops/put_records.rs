//! PutRecords. Nothing fails for one record alone: what is wrong with one is wrong with the call.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Blob, List, Shape, Text};
use crate::wire::records::write_places;

use super::address::Address;
use super::put::{self, Record};
use super::{Call, Reply};

/// Records of one request.
const RECORDS_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    records: Option<List<Shape<Entry<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

impl<'a> Request<'a> {
    fn entries(&self) -> &[Option<Shape<Entry<'a>>>] {
        self.records.as_ref().map_or(&[], |List(entries)| entries)
    }

    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        if checks.required(&"records", self.records.as_ref()).is_some() {
            let count = self.entries().len();
            if !(1..=RECORDS_MAX).contains(&count) {
                let (bound, limit) = if count == 0 {
                    ("greater", 1)
                } else {
                    ("less", RECORDS_MAX)
                };
                checks.fail(
                    Some(&Members(count)),
                    &"records",
                    &format_args!("have length {bound} than or equal to {limit}"),
                );
            }
        }
        for (place, entry) in (1..).zip(self.entries()) {
            match entry {
                Some(Shape(entry)) => {
                    entry
                        .record()
                        .check(&mut checks, &format_args!("records.{place}.member."));
                }
                None => checks.fail(
                    None,
                    &format_args!("records.{place}.member"),
                    &"not be null",
                ),
            }
        }
        checks.finish()
    }
}

impl Entry<'_> {
    fn record(&self) -> Record<'_> {
        Record::new(&self.data, &self.partition_key, &self.explicit_hash_key)
    }
}

/// A list of records as the service prints one: members by their class and identity.
struct Members(usize);

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for place in 0..self.0 {
            let separator = if place == 0 { "" } else { ", " };
            let class = "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry";
            write!(f, "{separator}{class}@{:x}", place + 1)?;
        }
        f.write_str("]")
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let records = || {
        request
            .entries()
            .iter()
            .flatten()
            .map(|Shape(entry)| entry.record())
    };
    let decoded = put::decode(records())?;
    request.check()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let stream = address.stream(call)?;
    put::check_has_shards(&stream, call.now)?;
    put::check_total(decoded.len())?;
    let limit = {
        let state = stream.state(call.now);
        state.record_size_max
    };
    for (place, record) in (1..).zip(records()) {
        record.check_size(&format_args!("records.{place}.member."), limit)?;
    }
    let records: Vec<_> = records().collect();
    let puts = put::places(records.into_iter(), decoded)?;
    let placed = stream.put(call.now, puts, None)?;
    Ok(Reply::Full(write_places(
        call.wire,
        placed.into_iter().map(Ok),
    )))
}
