//! Answers that are old: reads of the table, lists of shards, iterators. The emulator's own faults make the
//! first two; this sets them, and tells the history whom they struck.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;
use kinesis_emulator::{Action, Fault, Service};
use serde_json::{Value, json};

use crate::sim::history::{Event, History, Process};
use crate::sim::scenario::Weather;
use crate::sim::strike::Strike;

/// How old a read of the table can be: more than the service's usual second.
const SCAN_AGE: Duration = Duration::from_secs(3);

/// How old a list of shards can be.
const LIST_AGE: Duration = Duration::from_secs(20);

/// What makes answers old.
pub(super) struct Old {
    service: Arc<Service>,
    history: History,
    scans: Mutex<Option<Scans>>,
    /// Iterators that have expired, and stay so.
    expired: Mutex<BTreeSet<String>>,
}

/// The fault that the emulator has to have all the time, to remember rows as they were.
#[derive(Debug)]
struct Scans {
    id: u64,
    struck: u64,
}

impl Old {
    pub(super) fn new(service: Arc<Service>, history: History) -> Self {
        Self {
            service,
            history,
            scans: Mutex::default(),
            expired: Mutex::default(),
        }
    }

    /// Sets what the weather asks for.
    pub(super) fn set(&self, weather: &Weather) {
        if weather.stale_scans > 0 {
            let thousandths = u32::try_from(weather.stale_scans).unwrap_or(1_000);
            let fault = Fault::new(Action::StaleRead(SCAN_AGE))
                .on("Scan")
                .probability(f64::from(thousandths) / 1_000.0);
            let added = self.service.faults().add(fault);
            let id = added.expect("the fault fits its operation");
            *self.scans() = Some(Scans { id, struck: 0 });
        }
    }

    /// Takes all of it back but what has expired.
    pub(super) fn heal(&self) {
        self.service.faults().clear();
        *self.scans() = None;
    }

    fn scans(&self) -> MutexGuard<'_, Option<Scans>> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the emulator answer a call for the list of shards with an old one.
    pub(super) async fn list(
        &self,
        process: Process,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        self.tell(process, Strike::StaleList);
        // For this call alone: the experimenter's own must see the stream as it is.
        let fault = Fault::new(Action::StaleBy(LIST_AGE))
            .on("ListShards")
            .times(1);
        let added = self.service.faults().add(fault);
        let id = added.expect("the fault fits its operation");
        let response = self.service.exchange(request).await;
        self.service.faults().remove(id);
        response
    }

    fn tell(&self, process: Process, strike: Strike) {
        let process = Some(process);
        self.history.add(Event::Struck { strike, process });
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

    /// The iterator of this read expires now.
    pub(super) fn expire(&self, process: Process, request: &HttpRequest) {
        self.tell(process, Strike::ExpiredIterator);
        let mut expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        expired.extend(iterator(request));
    }

    /// A look of this process was carried out. Answers whether it was an old one.
    pub(super) fn has_struck(&self, process: Process) -> bool {
        let mut scans = self.scans();
        let Some(known) = scans.as_mut() else {
            return false;
        };
        let report = self.service.faults().get(known.id);
        let struck = report.map_or(known.struck, |report| report.struck);
        let is_struck = std::mem::replace(&mut known.struck, struck) < struck;
        drop(scans);
        if is_struck {
            self.tell(process, Strike::StaleScan);
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
