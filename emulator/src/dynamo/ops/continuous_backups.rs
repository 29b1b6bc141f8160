//! DescribeContinuousBackups and UpdateContinuousBackups: the setting, which the KCL can be told to
//! make. Nothing can be restored here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::tables::named_table;
use super::{Caller, TableName, reply};
use crate::dynamo::life::Status;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::table::describe::Seconds;
use crate::dynamo::table::{Recovery, Table};
use crate::dynamo::wire::{Constraints, Text, read};

/// For how many days one could go back, unless told otherwise; also the most.
const DAYS: i64 = 35;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far behind the present the latest restorable time is.
const BEHIND: Duration = Duration::from_secs(5 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    point_in_time_recovery_specification: Option<Specification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    point_in_time_recovery_enabled: Option<bool>,
    recovery_period_in_days: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    continuous_backups_description: Description,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    continuous_backups_status: &'static str,
    point_in_time_recovery_description: RecoveryDescription,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecoveryDescription {
    point_in_time_recovery_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_period_in_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_restorable_date_time: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_restorable_date_time: Option<Seconds>,
}

impl Reply {
    fn new(table: &Table, now: SystemTime) -> Self {
        let recovery = table.config.read().recovery;
        let description = match recovery {
            None => RecoveryDescription {
                point_in_time_recovery_status: "DISABLED",
                recovery_period_in_days: None,
                earliest_restorable_date_time: None,
                latest_restorable_date_time: None,
            },
            Some(Recovery { since, days }) => {
                let kept = DAY * u32::try_from(days).unwrap_or_default();
                let earliest = now
                    .checked_sub(kept)
                    .map_or(since, |start| start.max(since));
                let latest = now.checked_sub(BEHIND).map_or(since, |end| end.max(since));
                RecoveryDescription {
                    point_in_time_recovery_status: "ENABLED",
                    recovery_period_in_days: Some(days),
                    earliest_restorable_date_time: Some(Seconds(earliest)),
                    latest_restorable_date_time: Some(Seconds(latest)),
                }
            }
        };
        Self {
            continuous_backups_description: Description {
                continuous_backups_status: "ENABLED",
                point_in_time_recovery_description: description,
            },
        }
    }
}

fn table(caller: &Caller<'_>, table_name: &TableName<'_>) -> Result<Arc<Table>, Refusal> {
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    match caller.catalog.find(caller.scope, name, caller.when.now) {
        Some((table, Status::Active | Status::Updating | Status::Creating)) => Ok(table),
        Some((_, Status::Deleting)) | None => Err(Refusal::no_table_to_back_up(name)),
    }
}

pub(crate) fn describe(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let table = table(&caller, &named_table(body)?)?;
    Ok(reply(&Reply::new(&table, caller.when.now)))
}

pub(crate) fn update(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name)?;
    let mut limits = Constraints::default();
    table_name.check(&mut limits);
    let path = "pointInTimeRecoverySpecification";
    let mut wanted = None;
    match &request.point_in_time_recovery_specification {
        None => limits.refuse(None, path, "Member must not be null"),
        Some(specification) => {
            let days = specification.recovery_period_in_days;
            limits.range(days, &format!("{path}.recoveryPeriodInDays"), 1, DAYS);
            match specification.point_in_time_recovery_enabled {
                None => {
                    let path = format!("{path}.pointInTimeRecoveryEnabled");
                    limits.refuse(None, &path, "Member must not be null");
                }
                Some(enabled) => wanted = Some((enabled, days)),
            }
        }
    }
    limits.check()?;
    let (enabled, days) = wanted.ok_or_else(Refusal::internal)?;
    let table = table(&caller, &table_name)?;
    let now = caller.when.now;
    let mut config = table.config.write();
    let since = config.recovery.map_or(now, |recovery| recovery.since);
    config.recovery = enabled.then_some(Recovery {
        since,
        days: days.unwrap_or(DAYS),
    });
    drop(config);
    Ok(reply(&Reply::new(&table, now)))
}
