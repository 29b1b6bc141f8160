//! Row to item and back, for what only the KCL has; the lease itself is `store::dynamo::codec`'s.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::WorkerId;

use super::row::{JavaRow, LockRow, ReportRow, Row, Version};
use crate::store::dynamo::codec::{
    self, CHECKPOINT, ENTITY, ENTITY_WORKER, Item, KEY, TIMESTAMP, millis, number, text,
};

pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
/// Only tables of several streams have it.
const STREAM: &str = "streamName";

pub(crate) const LOCK_KEY: &str = "Leader";
pub(crate) const LOCK_OWNER: &str = "ownerName";
pub(crate) const LOCK_VERSION: &str = "recordVersionNumber";
pub(crate) const LOCK_LEASE: &str = "leaseDuration";
pub(crate) const LOCK_RELEASED: &str = "isReleased";

pub(crate) const VERSION_KEY: &str = "Migration3.0";
const VERSION: &str = "cv";
const REPORTED_AT: &str = "lut";

const ENTITY_LOCK: &str = "LEADER";
const ENTITY_VERSION: &str = "CLIENT_VERSION_MIGRATION";
const ENTITY_REPORT: &str = "WORKER_METRIC_STATS";

/// A lock that says more is not believed.
const LOCK_LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads any row. Nothing for a kind that nothing here depends on.
///
/// The KCL stores of `AT_TIMESTAMP` only the word; `at` is the time that this worker was told.
pub(crate) fn row(item: &Item, at: Option<SystemTime>) -> Result<Option<Row>, Error> {
    let kind = item.get(ENTITY).and_then(|kind| kind.as_s().ok());
    let key = item.get(KEY).and_then(|key| key.as_s().ok());
    match (kind.map(String::as_str), key.map(String::as_str)) {
        (Some(ENTITY_LOCK), _) => lock(item).map(Row::Lock).map(Some),
        (Some(ENTITY_VERSION), Some(VERSION_KEY)) => version(item).map(Row::Version).map(Some),
        // Who says nothing of when it lived is not counted by the KCL either.
        (Some(ENTITY_REPORT), _) => Ok(report(item, KEY).map(Row::Report)),
        (Some(ENTITY_WORKER), Some(key)) => Ok(Some(Row::Native(key.to_owned()))),
        (Some("LEASE") | None, _) => lease(item, at).map(|row| Some(Row::Lease(Box::new(row)))),
        (Some(_), _) => Ok(None),
    }
}

/// Reads a lease row.
pub(crate) fn lease(item: &Item, at: Option<SystemTime>) -> Result<JavaRow, Error> {
    if item.contains_key(STREAM) {
        return Err(bad(item, "it is of a table of several streams")
            .with_hint("only tables of one stream can be shared"));
    }
    let has_word = item.get(CHECKPOINT) == Some(&text("AT_TIMESTAMP"));
    let lease = if has_word && !item.contains_key(TIMESTAMP) {
        let time = at.ok_or_else(|| {
            bad(item, "it starts at a time that is not in it").with_hint(
                "start this worker at the time that the Java workers are told, with `InitialPosition::AtTimestamp`",
            )
        })?;
        let mut whole = item.clone();
        whole.insert(TIMESTAMP.to_owned(), millis(time));
        codec::lease(&whole)?
    } else {
        codec::lease(item)?
    };
    if lease.shard.stream().is_some() {
        return Err(bad(item, "it is of an application of several streams")
            .with_hint("only tables of one stream can be shared"));
    }
    let checkpoint_owner = match item.get(CHECKPOINT_OWNER) {
        None => None,
        Some(AttributeValue::S(name)) => Some(
            WorkerId::new(name)
                .map_err(|cause| bad(item, "its checkpointOwner is none").with_source(cause))?,
        ),
        Some(_) => return Err(bad(item, "its checkpointOwner is not a text")),
    };
    Ok(JavaRow {
        lease,
        checkpoint_owner,
    })
}

/// Reads the row of the lock.
pub(crate) fn lock(item: &Item) -> Result<LockRow, Error> {
    let field = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let required = |name| field(name).ok_or_else(|| bad(item, format!("it has no {name}")));
    let lease = required(LOCK_LEASE)?
        .parse()
        .map(Duration::from_millis)
        .map_err(|_| bad(item, "its leaseDuration is not a number of milliseconds"))?;
    Ok(LockRow {
        owner: required(LOCK_OWNER)?.clone(),
        version: required(LOCK_VERSION)?.clone(),
        lease: lease.min(LOCK_LEASE_MAX),
        is_released: field(LOCK_RELEASED).is_some_and(|released| released == "1"),
    })
}

/// The item of a lock that is held; `key` names the attribute that is the table's key.
pub(crate) fn lock_item(row: &LockRow, key: &str) -> Item {
    HashMap::from([
        (key.to_owned(), text(LOCK_KEY)),
        (ENTITY.to_owned(), text(ENTITY_LOCK)),
        (LOCK_OWNER.to_owned(), text(&row.owner)),
        (LOCK_VERSION.to_owned(), text(&row.version)),
        (
            LOCK_LEASE.to_owned(),
            text(row.lease.as_millis().to_string()),
        ),
    ])
}

/// Reads the row of the protocol.
pub(crate) fn version(item: &Item) -> Result<Version, Error> {
    match item
        .get(VERSION)
        .and_then(|name| name.as_s().ok())
        .map(String::as_str)
    {
        Some("CLIENT_VERSION_3X" | "CLIENT_VERSION_3X_WITH_ROLLBACK") => Ok(Version::Led),
        Some("CLIENT_VERSION_2X" | "CLIENT_VERSION_UPGRADE_FROM_2X") => Ok(Version::Taking),
        other => Err(bad(
            item,
            format!("{other:?} is no client version that is known"),
        )),
    }
}

/// The item of the protocol with a leader, as the first worker of a fleet writes it.
pub(crate) fn version_item(by: &WorkerId, at: SystemTime) -> Item {
    HashMap::from([
        (KEY.to_owned(), text(VERSION_KEY)),
        (ENTITY.to_owned(), text(ENTITY_VERSION)),
        (VERSION.to_owned(), text("CLIENT_VERSION_3X")),
        ("mb".to_owned(), text(by)),
        ("mts".to_owned(), millis(at)),
    ])
}

/// Reads the row of a worker. Nothing if it does not say who or when.
pub(crate) fn report(item: &Item, key: &str) -> Option<ReportRow> {
    let worker = item.get(key)?.as_s().ok()?;
    let at = item.get(REPORTED_AT)?.as_n().ok()?;
    Some(ReportRow {
        worker: WorkerId::new(worker).ok()?,
        at: at.parse().ok()?,
    })
}

/// The item of a worker; `key` names the attribute that is the table's key.
pub(crate) fn report_item(row: &ReportRow, key: &str) -> Item {
    HashMap::from([
        (key.to_owned(), text(&row.worker)),
        (ENTITY.to_owned(), text(ENTITY_REPORT)),
        (REPORTED_AT.to_owned(), number(row.at)),
    ])
}

fn bad(item: &Item, why: impl AsRef<str>) -> Error {
    let key = item.get(KEY).and_then(|key| key.as_s().ok());
    // A key may be two kilobytes of anything.
    let key: String = key.map_or_else(String::new, |key| key.chars().take(128).collect());
    let message = format!("row {key:?} of the table cannot be used: {}", why.as_ref());
    Error::new(ErrorKind::Data, message)
}
