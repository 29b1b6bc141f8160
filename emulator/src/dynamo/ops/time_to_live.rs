//! UpdateTimeToLive and DescribeTimeToLive: the attribute by which rows expire.

use serde::{Deserialize, Serialize};

use super::tables::named_table;
use super::{Caller, TableName, reply};
use crate::dynamo::life::Status;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    time_to_live_specification: Option<Specification<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Specification<'a> {
    enabled: Option<bool>,
    attribute_name: Option<Text<'a>>,
}

impl Specification<'_> {
    /// Whether rows are to expire, and by which attribute.
    fn check(specification: Option<&Self>, limits: &mut Constraints) -> Option<(bool, String)> {
        let path = "timeToLiveSpecification";
        let mut due = |path: &str| limits.refuse(None, path, "Member must not be null");
        let Some(specification) = specification else {
            due(path);
            return None;
        };
        if specification.enabled.is_none() {
            due(&format!("{path}.enabled"));
        }
        let Some(name) = &specification.attribute_name else {
            due(&format!("{path}.attributeName"));
            return None;
        };
        let path = format!("{path}.attributeName");
        limits.length(&&**name, name.len(), &path, (1, 255));
        Some((specification.enabled?, (**name).to_owned()))
    }
}

pub(crate) fn update(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        enabled: bool,
        attribute_name: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        time_to_live_specification: Shown,
    }
    let request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name)?;
    let mut limits = Constraints::default();
    table_name.check(&mut limits);
    let wanted = Specification::check(request.time_to_live_specification.as_ref(), &mut limits);
    limits.check()?;
    let (enabled, attribute_name) = wanted.ok_or_else(Refusal::internal)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let found = caller.catalog.find(caller.scope, name, caller.when.now);
    let table = match found {
        Some((table, Status::Active | Status::Updating)) => table,
        Some((_, Status::Creating)) => return Err(Refusal::table_in_use(name, "created")),
        Some((_, Status::Deleting)) | None => return Err(Refusal::no_table(name)),
    };
    // ORDER: rows before settings, as writers do.
    let mut rows = table.rows.write();
    let mut config = table.config.write();
    match (&config.time_to_live, enabled) {
        (Some(_), true) => return Err(Refusal::validation("TimeToLive is already enabled")),
        (None, false) => return Err(Refusal::validation("TimeToLive is already disabled")),
        (Some(current), false) if *current != attribute_name => {
            return Err(Refusal::validation(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is \
                 {current}"
            )));
        }
        (Some(_), false) | (None, true) => {}
    }
    config.time_to_live = enabled.then(|| attribute_name.clone());
    rows.expire_by(config.time_to_live.as_deref());
    Ok(reply(&Reply {
        time_to_live_specification: Shown {
            enabled,
            attribute_name,
        },
    }))
}

pub(crate) fn describe(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        time_to_live_status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        attribute_name: Option<String>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        time_to_live_description: Shown,
    }
    let table_name = named_table(body)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let (table, _) = caller
        .catalog
        .find(caller.scope, name, caller.when.now)
        .ok_or_else(|| Refusal::no_table(name))?;
    let attribute_name = table.config.read().time_to_live.clone();
    Ok(reply(&Reply {
        time_to_live_description: Shown {
            time_to_live_status: if attribute_name.is_some() {
                "ENABLED"
            } else {
                "DISABLED"
            },
            attribute_name,
        },
    }))
}
