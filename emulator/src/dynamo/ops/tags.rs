//! TagResource, UntagResource and ListTagsOfResource, for tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Caller, reply};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::table::Table;
use crate::dynamo::wire::{Constraints, Text, read};

/// Most tags of one table.
const TAGS_MAX: usize = 50;
const KEY_LENGTH_MAX: usize = 128;
const VALUE_LENGTH_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Tag<'a> {
    key: Option<Text<'a>>,
    value: Option<Text<'a>>,
}

/// Tags by key, if each is one that the service takes.
pub(super) fn checked_tags(tags: Vec<Tag<'_>>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut limits = Constraints::default();
    let mut checked = BTreeMap::new();
    for (place, tag) in (1..).zip(tags) {
        let path = |member: &str| format!("tags.{place}.member.{member}");
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            limits.refuse(None, &path("key or value"), "Member must not be null");
            continue;
        };
        let length = key.chars().count();
        limits.length(&&*key, length, &path("key"), (1, KEY_LENGTH_MAX));
        let length = value.chars().count();
        limits.length(&&*value, length, &path("value"), (0, VALUE_LENGTH_MAX));
        if key.starts_with("aws:") {
            limits.refuse(
                Some(&&*key),
                &path("key"),
                "Member must not begin with aws:",
            );
        }
        let key = key.0.into_owned();
        if checked.contains_key(&key) {
            return Err(Refusal::validation(format!(
                "One or more parameter values were invalid: Duplicate tag key: {key}"
            )));
        }
        checked.insert(key, value.0.into_owned());
    }
    limits.check()?;
    if checked.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(checked)
}

fn too_many() -> Refusal {
    Refusal::limit_exceeded("Subscriber limit exceeded: There is a limit of 50 tags per resource")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    resource_arn: Option<Text<'a>>,
    tags: Option<Vec<Tag<'a>>>,
    tag_keys: Option<Vec<Text<'a>>>,
    next_token: Option<Text<'a>>,
}

/// The table with this ARN.
fn table(caller: &Caller<'_>, arn: Option<&Text<'_>>) -> Result<Arc<Table>, Refusal> {
    let Some(arn) = arn else {
        let mut limits = Constraints::default();
        limits.refuse(None, "resourceArn", "Member must not be null");
        limits.check()?;
        return Err(Refusal::internal());
    };
    if !arn.starts_with("arn:") {
        return Err(Refusal::validation(format!(
            "Invalid TableArn: Invalid ResourceArn provided as input {}",
            &**arn
        )));
    }
    let name = arn.rsplit_once(":table/").map(|(_, name)| name);
    let found = name.and_then(|name| caller.catalog.find(caller.scope, name, caller.when.now));
    match found {
        Some((table, _)) if table.arn == **arn => Ok(table),
        Some(_) | None => Err(Refusal::no_such_arn(arn)),
    }
}

/// Refuses a request without one of its lists.
fn given<T>(list: Option<T>, path: &str) -> Result<T, Refusal> {
    list.ok_or_else(|| {
        Refusal::validation(format!(
            "1 validation error detected: Value null at '{path}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

pub(crate) fn tag_resource(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let tags = checked_tags(given(request.tags, "tags")?)?;
    let table = table(&caller, request.resource_arn.as_ref())?;
    let mut config = table.config.write();
    let mut all = config.tags.clone();
    all.extend(tags);
    if all.len() > TAGS_MAX {
        return Err(too_many());
    }
    config.tags = all;
    Ok(b"{}".to_vec())
}

pub(crate) fn untag_resource(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let keys = given(request.tag_keys, "tagKeys")?;
    let table = table(&caller, request.resource_arn.as_ref())?;
    let mut config = table.config.write();
    config
        .tags
        .retain(|key, _| !keys.iter().any(|gone| **gone == *key.as_str()));
    Ok(b"{}".to_vec())
}

pub(crate) fn list_tags_of_resource(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown<'t> {
        key: &'t str,
        value: &'t str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'t> {
        tags: Vec<Shown<'t>>,
    }
    let request: Request<'_> = read(body)?;
    let table = table(&caller, request.resource_arn.as_ref())?;
    if let Some(token) = &request.next_token {
        // All tags of a table fit into one reply, so that no token was ever given out.
        return Err(Refusal::validation(format!(
            "Invalid NextToken: {}",
            &**token
        )));
    }
    let config = table.config.read();
    let tags = config.tags.iter();
    Ok(reply(&Reply {
        tags: tags.map(|(key, value)| Shown { key, value }).collect(),
    }))
}
