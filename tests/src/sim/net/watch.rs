//! Tells the history what an applied request changed: rows of the lease table, and shards.
//!
//! It compares the whole table before and after each write, so it knows nothing of how the writes
//! are made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kcl_core::model::ShardId;
use kinesis_emulator::{Scope, Service};
use serde_json::{Value, json};

use crate::sim::control::Control;
use crate::sim::history::{Event, History, Process};
use crate::sim::stream::shard_of;
use crate::sim::table::{self, Row};

/// The watch over one table and its streams.
pub(super) struct Watch {
    service: Arc<Service>,
    control: Control,
    history: History,
    table: String,
    streams: Vec<String>,
    rows: Mutex<BTreeMap<String, Row>>,
    /// The shards, and whether they are closed.
    shards: Mutex<BTreeMap<ShardId, bool>>,
}

impl Watch {
    pub(super) fn new(
        service: Arc<Service>,
        history: History,
        table: &str,
        streams: &[&str],
    ) -> Self {
        Self {
            control: Control::new(service.clone()),
            service,
            history,
            table: table.to_owned(),
            streams: streams.iter().map(|name| (*name).to_owned()).collect(),
            rows: Mutex::default(),
            shards: Mutex::default(),
        }
    }

    /// The name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The keys of the rows of those incarnations.
    pub(super) fn worker_rows(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = rows.iter().filter(|(_, row)| match row {
            Row::Worker { incarnation, .. } => is_meant(incarnation),
            Row::Lease(_) | Row::Watch { .. } | Row::Other => false,
        });
        meant.map(|(key, _)| key.clone()).collect()
    }

    /// A request was applied. Called before its answer goes back, so that what the worker learns
    /// the history knows already.
    pub(super) async fn applied(
        &self,
        process: Process,
        operation: &str,
        sent: u64,
        heard: bool,
        response: &HttpResponse,
    ) {
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            let operation = operation.to_owned();
            let error = error_name(body);
            self.history.add(Event::Refused {
                process,
                operation,
                error,
                heard,
            });
            return;
        }
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "BatchWriteItem" => {
                self.compare_rows(process, sent, heard);
            }
            "ListShards" | "DescribeStream" => self.refresh_shards().await,
            // Only the last read of a shard names its children.
            "GetRecords" if contains(body, b"\"ChildShards\"") => self.refresh_shards().await,
            _ => {}
        }
    }

    fn compare_rows(&self, by: Process, sent: u64, heard: bool) {
        let items = self.service.dynamo().items(&Scope::default(), &self.table);
        let now = table::read(items.as_deref().unwrap_or_default());
        let mut before = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (was, is) = (before.get(key), now.get(key));
            if was == is {
                continue;
            }
            match (was, is) {
                (
                    _,
                    Some(Row::Worker {
                        incarnation,
                        counter,
                    }),
                ) => {
                    let (incarnation, counter) = (incarnation.clone(), Some(*counter));
                    self.history.add(Event::WorkerRow {
                        by,
                        incarnation,
                        counter,
                    });
                }
                (Some(Row::Worker { incarnation, .. }), None) => {
                    let incarnation = incarnation.clone();
                    self.history.add(Event::WorkerRow {
                        by,
                        incarnation,
                        counter: None,
                    });
                }
                (
                    _,
                    Some(Row::Watch {
                        incarnation,
                        term,
                        bell,
                    }),
                ) => {
                    self.history.add(Event::Watch {
                        by,
                        incarnation: incarnation.clone(),
                        term: *term,
                        bell: *bell,
                    });
                }
                (was, is) => {
                    let Some(shard) = table::shard(key) else {
                        continue;
                    };
                    let row = |row: Option<&Row>| match row {
                        Some(Row::Lease(row)) => Some(row.clone()),
                        Some(Row::Worker { .. } | Row::Watch { .. } | Row::Other) | None => None,
                    };
                    let (before, after) = (row(was), row(is));
                    if before != after {
                        self.history.add(Event::Lease {
                            by,
                            sent,
                            heard,
                            shard,
                            before,
                            after,
                        });
                    }
                }
            }
        }
        *before = now;
    }

    /// Asks the service for its shards, and tells the history what is new.
    pub(super) async fn refresh_shards(&self) {
        for stream in &self.streams {
            self.refresh(stream).await;
        }
    }

    async fn refresh(&self, stream: &str) {
        let input = json!({ "StreamName": stream });
        let qualifier = (self.streams.len() > 1).then_some(stream);
        let known_as = |name: &str| shard_of(qualifier, name);
        let Ok(answer) = self.control.call("ListShards", &input).await else {
            return;
        };
        let mut known = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in answer["Shards"].as_array().into_iter().flatten() {
            let Some(id) = shard["ShardId"].as_str().map(known_as) else {
                continue;
            };
            if !known.contains_key(&id) {
                let parent = |name: &str| shard[name].as_str().map(known_as);
                let parents = [parent("ParentShardId"), parent("AdjacentParentShardId")];
                let parents = parents.into_iter().flatten().collect();
                self.history.add(Event::ShardMade {
                    shard: id.clone(),
                    parents,
                });
                known.insert(id.clone(), false);
            }
            let closed = shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string();
            if closed && known.insert(id.clone(), true) == Some(false) {
                self.history.add(Event::ShardClosed { shard: id });
            }
        }
    }
}

fn error_name(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = body["__type"].as_str().unwrap_or("?");
    kind.rsplit('#').next().unwrap_or(kind).to_owned()
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}
