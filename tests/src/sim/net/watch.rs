//! What the experimenter sees of the services: which rows of the table every applied write changed, whether it was
//! right to carry it out, whether reads show what stands, and which shards there are. Turns it into history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kcl_core::model::ShardId;
use kinesis_emulator::dynamo::Item;
use kinesis_emulator::{Scope, Service};
use memchr::memmem;
use serde_json::{Value, json};

use super::condition;
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
    rows: Mutex<BTreeMap<String, Known>>,
    /// The shards, and whether they are closed.
    shards: Mutex<BTreeMap<ShardId, bool>>,
}

/// A row as it stands.
#[derive(Clone)]
struct Known {
    item: Arc<Item>,
    row: Row,
}

/// A request that the service has answered.
#[derive(Clone, Copy)]
pub(super) struct Applied<'a> {
    pub(super) process: Process,
    pub(super) operation: &'a str,
    /// What was asked for, if it is a write.
    pub(super) body: &'a Value,
    /// The number of the event that it was sent.
    pub(super) sent: u64,
    /// Whether the sender will hear the answer.
    pub(super) heard: bool,
}

/// How the reads of one kind are looked at.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Whether it asked for what stands.
    pub(super) consistent: bool,
    /// Whether a fault made it old.
    pub(super) at_fault: bool,
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

    /// Whether shards are known with their streams, because there are two.
    pub(super) const fn has_two_streams(&self) -> bool {
        self.streams.len() > 1
    }

    /// The name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of the rows of those incarnations.
    pub(super) fn worker_rows(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let rows = self.rows();
        let meant = rows.iter().filter(|(_, known)| match &known.row {
            Row::Worker { incarnation, .. } => is_meant(incarnation),
            Row::Lease(_) | Row::Watch { .. } | Row::Other => false,
        });
        meant.map(|(key, _)| key.clone()).collect()
    }

    /// A request was applied. Called before its answer goes back, so that what the worker learns
    /// the history knows already.
    pub(super) async fn applied(&self, request: Applied<'_>, response: &HttpResponse) {
        let body = response.body().bytes().unwrap_or_default();
        let ok = response.status().is_success();
        let error = if ok { String::new() } else { error_name(body) };
        if ok || error == "ConditionalCheckFailedException" {
            self.judge(&request, ok);
        }
        if !ok {
            self.history.add(Event::Refused {
                process: request.process,
                operation: request.operation.to_owned(),
                error,
                heard: request.heard,
            });
            return;
        }
        match request.operation {
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "BatchWriteItem" => {
                self.compare_rows(request.process, request.sent, request.heard);
            }
            "ListShards" | "DescribeStream" => self.refresh_shards().await,
            // Only the last read of a shard names its children.
            "GetRecords" if memmem::rfind(body, b"\"ChildShards\"").is_some() => {
                self.refresh_shards().await;
            }
            _ => {}
        }
    }

    /// Whether the service was right to carry a conditional write out, or to refuse it.
    fn judge(&self, request: &Applied<'_>, applied: bool) {
        let body = request.body;
        let key = condition::key_of(&body["Key"]).or_else(|| condition::key_of(&body["Item"]));
        let Some(key) = key else { return };
        let holds = {
            let rows = self.rows();
            let row = rows.get(key).map(|known| &*known.item);
            condition::holds(body, row)
        };
        let Some(holds) = holds else { return };
        let (by, key) = (request.process, key.to_owned());
        let event = match holds {
            Ok(holds) => Event::Judged {
                by,
                key,
                holds,
                applied,
            },
            Err(unread) => Event::Judged {
                by,
                key: format!("{key}, of which the condition cannot be read: {unread}"),
                holds: !applied,
                applied,
            },
        };
        self.history.add(event);
    }

    /// Looks whether a read shows what stands.
    pub(super) fn read(&self, by: Process, response: &HttpResponse, how: Reading) {
        let answer: Value =
            serde_json::from_slice(response.body().bytes().unwrap_or_default()).unwrap_or_default();
        if !response.status().is_success() || !answer["LastEvaluatedKey"].is_null() {
            return;
        }
        let shown = condition::items(&answer);
        let is_whole = answer["Items"].is_array();
        let old = {
            let rows = self.rows();
            let is_shown = |key: &str| match (shown.get(key), rows.get(key)) {
                (Some(shown), Some(known)) => condition::is_row(&known.item, shown),
                (None, None) => true,
                (None, Some(_)) => !is_whole,
                (Some(_), None) => false,
            };
            let mut keys = rows.keys().map(String::as_str).chain(shown.keys().copied());
            keys.find(|key| !is_shown(key)).map(str::to_owned)
        };
        if let Some(key) = old {
            self.history.add(Event::ReadOld {
                by,
                key,
                consistent: how.consistent,
                at_fault: how.at_fault,
            });
        }
    }

    /// Tells the history which rows are not as they were.
    pub(super) fn compare_rows(&self, by: Process, sent: u64, heard: bool) {
        let dynamo = self.service.dynamo();
        let items = dynamo.shared_items(&Scope::default(), &self.table);
        self.replace_rows(by, (sent, heard), items.unwrap_or_default());
    }

    /// The table is gone.
    pub(super) fn lose_rows(&self, by: Process, sent: u64) {
        self.replace_rows(by, (sent, true), Vec::new());
    }

    fn replace_rows(&self, by: Process, (sent, heard): (u64, bool), items: Vec<Arc<Item>>) {
        let mut before = self.rows();
        let mut now = BTreeMap::new();
        for item in items {
            let Some(key) = table::key(&item) else {
                continue;
            };
            // What did not change is the same item.
            let known = match before.get(key) {
                Some(known) if Arc::ptr_eq(&known.item, &item) => known.clone(),
                Some(_) | None => Known {
                    row: table::row(&item),
                    item: Arc::clone(&item),
                },
            };
            now.insert(key.to_owned(), known);
        }
        let mut changes = Vec::new();
        for (key, was) in before.iter() {
            match now.get(key) {
                Some(is) if Arc::ptr_eq(&is.item, &was.item) => {}
                is => changes.push((
                    key.clone(),
                    Some(was.row.clone()),
                    is.map(|is| is.row.clone()),
                )),
            }
        }
        let made = now.iter().filter(|(key, _)| !before.contains_key(*key));
        changes.extend(made.map(|(key, is)| (key.clone(), None, Some(is.row.clone()))));
        changes.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        *before = now;
        drop(before);
        for (key, was, is) in changes {
            if was != is {
                self.changed(by, (sent, heard), &key, (was, is));
            }
        }
    }

    fn changed(
        &self,
        by: Process,
        (sent, heard): (u64, bool),
        key: &str,
        (was, is): (Option<Row>, Option<Row>),
    ) {
        let event = match (was, is) {
            (
                _,
                Some(Row::Worker {
                    incarnation,
                    counter,
                }),
            ) => Event::WorkerRow {
                by,
                incarnation,
                counter: Some(counter),
            },
            (Some(Row::Worker { incarnation, .. }), None) => Event::WorkerRow {
                by,
                incarnation,
                counter: None,
            },
            (
                _,
                Some(Row::Watch {
                    incarnation,
                    term,
                    bell,
                }),
            ) => Event::Watch {
                by,
                incarnation,
                term,
                bell,
            },
            (was, is) => {
                let Some(shard) = table::shard(key) else {
                    return;
                };
                let row = |row: Option<Row>| match row {
                    Some(Row::Lease(row)) => Some(row),
                    Some(Row::Worker { .. } | Row::Watch { .. } | Row::Other) | None => None,
                };
                let (before, after) = (row(was), row(is));
                if before == after {
                    return;
                }
                Event::Lease {
                    by,
                    sent,
                    heard,
                    shard,
                    before,
                    after,
                }
            }
        };
        self.history.add(event);
    }

    /// Asks the service for its shards, and tells the history what is new.
    pub(super) async fn refresh_shards(&self) {
        for stream in &self.streams {
            self.refresh(stream).await;
        }
    }

    async fn refresh(&self, stream: &str) {
        let input = json!({ "StreamName": stream });
        let qualifier = self.has_two_streams().then_some(stream);
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
