//! Answers of the emulator that are old: reads of the table, lists of shards, iterators. The emulator's own
//! faults make them; this sets them, and tells the history whom they struck.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;
use kinesis_emulator::{Action, Fault, Service};
use serde_json::{Value, json};

use crate::sim::history::{Event, History, Process};
use crate::sim::scenario::Weather;
use crate::sim::strike::Strike;
use crate::sim::subject::Subject;

/// How old a read of the table can be: more than the service's usual second.
const SCAN_AGE: Duration = Duration::from_secs(3);

/// How old a list of shards can be.
const LIST_AGE: Duration = Duration::from_secs(20);

/// The faults of the emulator that are set.
pub(super) struct Old {
    service: Arc<Service>,
    history: History,
    set: Mutex<Vec<Set>>,
    /// Iterators that have expired, and stay so.
    expired: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Set {
    subject: Subject,
    strike: Strike,
    id: u64,
    struck: u64,
}

impl Old {
    pub(super) fn new(service: Arc<Service>, history: History) -> Self {
        let set = Mutex::default();
        Self {
            service,
            history,
            set,
            expired: Mutex::default(),
        }
    }

    /// The answer to a read with an iterator that has expired before.
    pub(super) fn expired(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        if expired.is_empty() || !expired.contains(&iterator(request)?) {
            return None;
        }
        let body = r#"{"__type":"ExpiredIteratorException","message":"it has expired"}"#;
        let status = StatusCode::try_from(400).expect("400 is a status code");
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.1");
        Some(response)
    }

    /// An iterator has expired.
    pub(super) fn expire(&self, request: &HttpRequest) {
        let mut expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        expired.extend(iterator(request));
    }

    /// Sets what the weather asks for.
    pub(super) fn set(&self, weather: &Weather) {
        let faults = [
            (
                weather.stale_scans,
                Action::StaleRead(SCAN_AGE),
                "Scan",
                (Subject::Scan, Strike::StaleScan),
            ),
            (
                weather.stale_lists,
                Action::StaleBy(LIST_AGE),
                "ListShards",
                (Subject::Shards, Strike::StaleList),
            ),
            (
                weather.expired_iterators,
                Action::ExpiredIterator,
                "GetRecords",
                (Subject::Records, Strike::ExpiredIterator),
            ),
        ];
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for (rate, action, operation, (subject, strike)) in faults {
            if rate == 0 {
                continue;
            }
            let thousandths = u32::try_from(rate).unwrap_or(1_000);
            let fault = Fault::new(action)
                .on(operation)
                .probability(f64::from(thousandths) / 1_000.0);
            let added = self.service.faults().add(fault);
            let id = added.expect("the fault fits its operation");
            set.push(Set {
                subject,
                strike,
                id,
                struck: 0,
            });
        }
    }

    /// Takes all of them back.
    pub(super) fn heal(&self) {
        self.service.faults().clear();
        self.set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// A request of this process was carried out: if a fault struck it, the history is told. Answers whether
    /// one did.
    pub(super) fn note(&self, process: Process, subject: Subject) -> bool {
        let mut is_struck = false;
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for known in set.iter_mut().filter(|known| known.subject == subject) {
            let report = self.service.faults().get(known.id);
            let struck = report.map_or(known.struck, |report| report.struck);
            if std::mem::replace(&mut known.struck, struck) < struck {
                let (strike, process) = (known.strike, Some(process));
                self.history.add(Event::Struck { strike, process });
                is_struck = true;
            }
        }
        is_struck
    }

    /// A page of all rows of which some are old and some are not, as one read of the service may be: each row
    /// has a replica that answers for it.
    pub(super) async fn mixed(
        &self,
        old: HttpResponse,
        mut request: HttpRequest,
        rng: &mut Rng,
    ) -> HttpResponse {
        let mut input = read(request.body());
        input["ConsistentRead"] = json!(true);
        *request.body_mut() = SdkBody::from(input.to_string());
        let Ok(new) = self.service.exchange(request).await else {
            return old;
        };
        let (mut page, new) = (read(old.body()), read(new.body()));
        let whole = |page: &Value| page["LastEvaluatedKey"].is_null();
        if !whole(&page) || !whole(&new) {
            return old;
        }
        let rows = |page: &Value| -> BTreeMap<String, Value> {
            let items = page["Items"].as_array().into_iter().flatten();
            let key = |item: &Value| item["leaseKey"]["S"].as_str().map(str::to_owned);
            items
                .filter_map(|item| Some((key(item)?, item.clone())))
                .collect()
        };
        let (was, is) = (rows(&page), rows(&new));
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let mixed: Vec<Value> = keys
            .into_iter()
            .filter_map(|key| {
                if rng.bool() {
                    was.get(key)
                } else {
                    is.get(key)
                }
            })
            .cloned()
            .collect();
        page["Count"] = json!(mixed.len());
        page["ScannedCount"] = json!(mixed.len());
        page["Items"] = json!(mixed);
        let body = page.to_string();
        let mut mixed = old;
        let length = body.len().to_string();
        mixed.headers_mut().insert("content-length", length);
        // It is the sum of a body that is not sent.
        mixed.headers_mut().remove("x-amz-crc32");
        *mixed.body_mut() = SdkBody::from(body);
        mixed
    }
}

fn iterator(request: &HttpRequest) -> Option<String> {
    let input = read(request.body());
    input["ShardIterator"].as_str().map(str::to_owned)
}

fn read(body: &SdkBody) -> Value {
    serde_json::from_slice(body.bytes().unwrap_or_default()).unwrap_or_default()
}
