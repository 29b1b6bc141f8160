//! The statements of a policy: their grammar, and whether one applies to a call.

use super::condition::Condition;
use super::document::Json;
use super::pattern::{fits, fits_any_case, fits_arn};
use super::{Access, Kind};

/// One statement.
#[derive(Debug)]
pub(super) struct Statement {
    effect: Effect,
    principals: Either<Principal>,
    actions: Either<String>,
    resources: Either<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// What an element and its opposite say.
#[derive(Debug)]
enum Either<T> {
    AnyOf(Vec<T>),
    NoneOf(Vec<T>),
}

/// Who calls.
#[derive(Debug, PartialEq, Eq)]
enum Principal {
    Anyone,
    /// All of an account.
    Account(String),
    /// A user, a role or a session.
    Arn(String),
    /// A service, or somebody known to another: no caller of ours.
    Foreign,
}

impl<T> Either<T> {
    fn holds(&self, is_it: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::AnyOf(list) => list.iter().any(is_it),
            Self::NoneOf(list) => !list.iter().any(is_it),
        }
    }
}

impl Statement {
    pub(super) fn denies(&self) -> bool {
        self.effect == Effect::Deny
    }

    pub(super) fn applies(&self, access: &Access<'_>) -> bool {
        let is_caller = |principal: &Principal| match principal {
            Principal::Anyone => true,
            Principal::Account(account) => account == access.account,
            Principal::Arn(arn) => arn == access.principal,
            Principal::Foreign => false,
        };
        self.principals.holds(is_caller)
            && self
                .actions
                .holds(|action| fits_any_case(action, access.action))
            && self
                .resources
                .holds(|resource| fits_arn(resource, access.resource))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(access))
    }

    fn read(json: &Json, kind: Kind, resource: &str) -> Result<Self, String> {
        let members = Members::of(json)?;
        let effect = match members.text("Effect")? {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        let principals = members.either("Principal", "NotPrincipal", principals)?;
        let actions = members.either("Action", "NotAction", texts)?;
        let resources = members.either("Resource", "NotResource", texts)?;
        check_actions(&actions, kind)?;
        check_resources(&resources, kind, resource)?;
        let conditions = match members.get("Condition") {
            Some(json) => Condition::all(json)?,
            None => Vec::new(),
        };
        Ok(Self {
            effect,
            principals,
            actions,
            resources,
            conditions,
        })
    }
}

/// The statements of a document.
pub(super) fn all(document: &Json, kind: Kind, resource: &str) -> Result<Vec<Statement>, String> {
    let Json::Map(members) = document else {
        return Err("it is no JSON object".to_owned());
    };
    let mut statements = None;
    let mut has_variables = false;
    for (name, member) in members {
        match (name.as_str(), member) {
            ("Version", Json::Text(version))
                if matches!(version.as_str(), "2012-10-17" | "2008-10-17") =>
            {
                has_variables = version == "2012-10-17";
            }
            ("Version", _) => return Err("Version must be 2012-10-17 or 2008-10-17".to_owned()),
            ("Id", Json::Text(_)) => {}
            ("Id", _) => return Err("Id must be a string".to_owned()),
            ("Statement", member) => statements = Some(member),
            (name, _) => return Err(format!("it has the unknown element {name}")),
        }
    }
    let statements = match statements {
        Some(Json::List(list)) => list.iter().collect(),
        Some(one @ Json::Map(_)) => vec![one],
        _ => return Err("Statement must be an object or a list of objects".to_owned()),
    };
    if statements.is_empty() {
        return Err("it has no statement".to_owned());
    }
    check_ids(&statements)?;
    let read = |(place, json): (u32, &Json)| {
        if has_variables && json.mentions("${") {
            return Err(format!(
                "statement {place}: it has a policy variable, which this emulator does not know"
            ));
        }
        Statement::read(json, kind, resource).map_err(|why| format!("statement {place}: {why}"))
    };
    (1..).zip(statements).map(read).collect()
}

fn check_ids(statements: &[&Json]) -> Result<(), String> {
    let mut ids: Vec<&str> = Vec::new();
    for statement in statements {
        let Some(id) = Members::of(statement)?.text("Sid")? else {
            continue;
        };
        if ids.contains(&id) {
            return Err(format!("the statement id {id} stands twice"));
        }
        ids.push(id);
    }
    Ok(())
}

/// The members of a statement.
struct Members<'a>(&'a [(String, Json)]);

impl<'a> Members<'a> {
    const KNOWN: [&'static str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];

    fn of(json: &'a Json) -> Result<Self, String> {
        let Json::Map(members) = json else {
            return Err("a statement must be an object".to_owned());
        };
        let is_unknown = |(name, _): &&(String, Json)| !Self::KNOWN.contains(&name.as_str());
        match members.iter().find(is_unknown) {
            Some((name, _)) => Err(format!("a statement has the unknown element {name}")),
            None => Ok(Self(members)),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        let member = self.0.iter().find(|(known, _)| known == name);
        member.map(|(_, member)| member)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} must be a string")),
        }
    }

    /// An element or its opposite, of which a statement must have one.
    fn either<T>(
        &self,
        name: &str,
        opposite: &str,
        read: impl Fn(&str, &Json) -> Result<Vec<T>, String>,
    ) -> Result<Either<T>, String> {
        match (self.get(name), self.get(opposite)) {
            (Some(json), None) => Ok(Either::AnyOf(read(name, json)?)),
            (None, Some(json)) => Ok(Either::NoneOf(read(opposite, json)?)),
            (None, None) => Err(format!("{name} is missing")),
            (Some(_), Some(_)) => Err(format!("{name} and {opposite} exclude each other")),
        }
    }
}

fn texts(name: &str, json: &Json) -> Result<Vec<String>, String> {
    match json.texts() {
        Some(texts) if !texts.is_empty() => Ok(texts.into_iter().map(str::to_owned).collect()),
        _ => Err(format!("{name} must be a string or a list of strings")),
    }
}

fn principals(name: &str, json: &Json) -> Result<Vec<Principal>, String> {
    let invalid = || format!("{name} must be \"*\" or an object of AWS, Service or Federated");
    if matches!(json, Json::Text(text) if text == "*") {
        return Ok(vec![Principal::Anyone]);
    }
    let Json::Map(kinds) = json else {
        return Err(invalid());
    };
    if kinds.is_empty() {
        return Err(invalid());
    }
    let mut principals = Vec::new();
    for (kind, json) in kinds {
        for text in texts(kind, json)? {
            principals.push(match kind.as_str() {
                "AWS" => principal(&text)?,
                "Service" | "Federated" | "CanonicalUser" => Principal::Foreign,
                _ => return Err(invalid()),
            });
        }
    }
    Ok(principals)
}

/// A principal of kind `AWS`.
fn principal(text: &str) -> Result<Principal, String> {
    if text == "*" {
        return Ok(Principal::Anyone);
    }
    if crate::caller::is_account(text) {
        return Ok(Principal::Account(text.to_owned()));
    }
    let invalid = || format!("{text} is an invalid principal");
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, name] = parts[..] else {
        return Err(invalid());
    };
    let is_known = partition.starts_with("aws") && crate::caller::is_account(account);
    let starts = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
    let is_named = match service {
        "iam" => name == "root" || starts(&["user/", "role/"]),
        "sts" => starts(&["assumed-role/", "federated-user/"]),
        _ => false,
    };
    // A wildcard would stand for itself only, which nobody means.
    if !is_known || !is_named || name.contains(['*', '?']) {
        return Err(invalid());
    }
    if (service, name) == ("iam", "root") {
        return Ok(Principal::Account(account.to_owned()));
    }
    Ok(Principal::Arn(text.to_owned()))
}

/// Every action must be one that can be granted, or stand for one.
fn check_actions(actions: &Either<String>, kind: Kind) -> Result<(), String> {
    let (Either::AnyOf(list) | Either::NoneOf(list)) = actions;
    for action in list {
        let vendor = action.split_once(':').map(|(vendor, _)| vendor);
        let is_ours = vendor.is_some_and(|vendor| vendor.eq_ignore_ascii_case("kinesis"));
        if action != "*" && !is_ours {
            return Err(format!("{action} is no action of kinesis"));
        }
        let is_grantable = |granted: &&str| fits_any_case(action, granted);
        if matches!(actions, Either::AnyOf(_)) && !kind.actions().iter().any(is_grantable) {
            let (resource, granted) = (kind.name(), kind.actions().join(", "));
            return Err(format!(
                "the action {action} cannot be granted on a {resource}; what can be is {granted}"
            ));
        }
    }
    Ok(())
}

/// A statement that does not speak of its own resource is a mistake.
fn check_resources(resources: &Either<String>, kind: Kind, own: &str) -> Result<(), String> {
    let (Either::AnyOf(list) | Either::NoneOf(list)) = resources;
    if let Some(wrong) = list
        .iter()
        .find(|text| *text != "*" && !fits("arn:*:*:*:*:*", text))
    {
        return Err(format!("{wrong} is not the ARN of a resource"));
    }
    if resources.holds(|resource| fits_arn(resource, own)) {
        return Ok(());
    }
    let kind = kind.name();
    Err(format!(
        "its resource is not the {kind} {own} that the policy is put on"
    ))
}
