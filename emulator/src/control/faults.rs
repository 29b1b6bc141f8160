//! Faults over HTTP: add one, list them with what they have struck, take them back.
//!
//! The words are those of AWS Fault Injection Service: an action with its parameters, which may stand
//! beside it or in `parameters`, as numbers or as texts.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Service;
use crate::faults::{Action, Api, EventException, Fault, FaultReport};
use crate::wire::body::Body;

use super::reply::{Problem, json as answer_json, with_status};
use super::{Request, duration};

/// A fault as it is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    #[serde(alias = "actionId")]
    action: String,
    service: Option<String>,
    operations: Option<Names>,
    stream: Option<String>,
    table: Option<String>,
    shard: Option<String>,
    consumer: Option<String>,
    nth: Option<Number>,
    every: Option<Number>,
    times: Option<Number>,
    percentage: Option<Number>,
    probability: Option<Number>,
    duration: Option<String>,
    /// Of a latency.
    latency: Option<String>,
    /// Of a stale listing: how old, or `last-reshard`.
    age: Option<String>,
    before: Option<String>,
    /// Of an exception in a subscription.
    exception: Option<String>,
}

/// A list, or a text with commas as FIS has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Many(Vec<String>),
    One(String),
}

/// A number, or a text that is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    Text(String),
}

impl Number {
    fn value(&self, name: &str) -> Result<f64, Problem> {
        let value = match self {
            Self::Number(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
        };
        value
            .filter(|value| value.is_finite())
            .ok_or_else(|| Problem::bad(format!("{name} must be a number.")))
    }

    fn count(&self, name: &str) -> Result<u64, Problem> {
        let value = self.value(name)?;
        if value < 1.0 || value.fract() != 0.0 || value > 9e15 {
            return Err(Problem::bad(format!(
                "{name} must be a whole number from 1 on."
            )));
        }
        // Exact: a whole number below 2^53.
        Ok(value as u64)
    }
}

pub(super) fn answer(
    service: &Service,
    request: &Request<'_>,
    id: &str,
) -> Result<Response<Body>, Problem> {
    let faults = service.faults();
    if id.is_empty() {
        request.allow(&[Method::GET, Method::POST, Method::DELETE])?;
        if *request.method == Method::POST {
            let fault = wanted(request)?.fault()?;
            let id = faults
                .add(fault)
                .map_err(|unfit| Problem::bad(format!("This fault makes no sense: {unfit}.")))?;
            let report = faults.get(id);
            let report = report.ok_or_else(|| no_fault(&id.to_string()))?;
            return Ok(with_status(StatusCode::CREATED, &shown(&report)));
        }
        if *request.method == Method::DELETE {
            faults.clear();
        }
        let all: Vec<_> = faults.list().iter().map(shown).collect();
        return Ok(answer_json(&json!({ "faults": all })));
    }
    request.allow(&[Method::GET, Method::DELETE])?;
    let number = id.parse().map_err(|_| no_fault(id))?;
    let report = faults.get(number).ok_or_else(|| no_fault(id))?;
    if *request.method == Method::DELETE {
        faults.remove(number);
    }
    Ok(answer_json(&shown(&report)))
}

fn no_fault(id: &str) -> Problem {
    Problem::not_found(format!("There is no fault {id}."))
}

/// The body, with what stands in `parameters` beside the rest.
fn wanted(request: &Request<'_>) -> Result<Wanted, Problem> {
    let mut members: Map<String, Value> = request.read()?;
    if let Some(parameters) = members.remove("parameters") {
        let Value::Object(parameters) = parameters else {
            return Err(Problem::bad("parameters must be an object."));
        };
        for (name, value) in parameters {
            if members.insert(name.clone(), value).is_some() {
                return Err(Problem::bad(format!("{name} is given twice.")));
            }
        }
    }
    serde_json::from_value(Value::Object(members))
        .map_err(|error| Problem::bad(format!("The body is not what it should be: {error}.")))
}

/// What is asked for, and what sets it.
type Setter<A, T> = (A, fn(Fault, T) -> Fault);

impl Wanted {
    fn fault(self) -> Result<Fault, Problem> {
        let mut fault = Fault::new(self.action()?);
        match self.service.as_deref() {
            Some("kinesis") => fault = fault.api(Api::Kinesis),
            Some("dynamodb") => fault = fault.api(Api::DynamoDb),
            Some("cloudwatch") => fault = fault.api(Api::CloudWatch),
            Some(other) => {
                let text = format!("service is kinesis, dynamodb or cloudwatch, not {other}.");
                return Err(Problem::bad(text));
            }
            None => {}
        }
        let operations = match self.operations {
            Some(Names::Many(names)) => names,
            Some(Names::One(names)) => names.split(',').map(str::to_owned).collect(),
            None => Vec::new(),
        };
        for operation in operations {
            fault = fault.on(operation.trim());
        }
        let texts: [Setter<Option<String>, String>; 4] = [
            (self.stream, Fault::stream),
            (self.table, Fault::table),
            (self.shard, Fault::shard),
            (self.consumer, Fault::consumer),
        ];
        for (text, set) in texts {
            if let Some(text) = text {
                fault = set(fault, text);
            }
        }
        let counts: [Setter<(&str, Option<Number>), u64>; 3] = [
            (("nth", self.nth), Fault::nth),
            (("every", self.every), Fault::every),
            (("times", self.times), Fault::times),
        ];
        for ((name, count), set) in counts {
            if let Some(count) = count {
                fault = set(fault, count.count(name)?);
            }
        }
        let percentage = match &self.percentage {
            Some(percentage) => Some(percentage.value("percentage")? / 100.0),
            None => None,
        };
        let probability = match &self.probability {
            Some(probability) => Some(probability.value("probability")?),
            None => None,
        };
        if percentage.is_some() && probability.is_some() {
            let text = "percentage and probability say the same; give one.";
            return Err(Problem::bad(text));
        }
        if let Some(probability) = percentage.or(probability) {
            fault = fault.probability(probability);
        }
        if let Some(lasting) = &self.duration {
            fault = fault.lasting(span("duration", lasting)?);
        }
        Ok(fault)
    }

    fn action(&self) -> Result<Action, Problem> {
        let action = match self.action.as_str() {
            // FIS has the first name, the streams' own guide the second.
            "aws:kinesis:stream-provisioned-throughput-exception"
            | "aws:kinesis:inject-api-provisioned-throughput-exception" => {
                Action::ThroughputExceeded
            }
            "aws:kinesis:stream-expired-iterator-exception"
            | "aws:kinesis:inject-api-expired-iterator-exception" => Action::ExpiredIterator,
            "aws:fis:inject-api-throttle-error" => Action::Throttle,
            "aws:fis:inject-api-internal-error" => Action::InternalError,
            "aws:fis:inject-api-unavailable-error" => Action::Unavailable,
            "emulator:latency" => {
                let latency = self.latency.as_ref();
                let latency = latency.ok_or_else(|| Problem::bad("A latency needs a latency."))?;
                Action::Latency(span("latency", latency)?)
            }
            "emulator:connection-reset-before-apply" => Action::ResetBefore,
            "emulator:connection-reset-after-apply" => Action::ResetAfter,
            "emulator:record-failure" => Action::RecordFailure,
            "emulator:stale-listing" => self.stale()?,
            "emulator:stale-read" => {
                let age = self.age.as_ref();
                let age = age.ok_or_else(|| Problem::bad("A stale read needs an age."))?;
                Action::StaleRead(span("age", age)?)
            }
            "emulator:event-drop" => Action::DropEvent,
            "emulator:event-truncate" => Action::TruncateEvent,
            "emulator:event-exception" => self.exception()?,
            other => {
                return Err(Problem::bad(format!(
                    "There is no action {other}. There are: {}.",
                    ACTIONS.join(", ")
                )));
            }
        };
        for (name, is_given, of) in [
            ("latency", self.latency.is_some(), "emulator:latency"),
            ("age", self.age.is_some(), "emulator:stale-listing"),
            ("before", self.before.is_some(), "emulator:stale-listing"),
            (
                "exception",
                self.exception.is_some(),
                "emulator:event-exception",
            ),
        ] {
            let is_aged = name == "age" && matches!(action, Action::StaleRead(_));
            if is_given && action.name() != of && !is_aged {
                return Err(Problem::bad(format!("{name} belongs to {of}.")));
            }
        }
        Ok(action)
    }

    fn stale(&self) -> Result<Action, Problem> {
        match (&self.age, self.before.as_deref()) {
            (Some(age), None) => Ok(Action::StaleBy(span("age", age)?)),
            (None, Some("last-reshard") | None) => Ok(Action::StaleReshard),
            (None, Some(other)) => Err(Problem::bad(format!(
                "before is last-reshard, and not {other}."
            ))),
            (Some(_), Some(_)) => Err(Problem::bad("A listing has an age or is before a reshard.")),
        }
    }

    fn exception(&self) -> Result<Action, Problem> {
        let Some(wanted) = self.exception.as_deref() else {
            return Ok(Action::EventException(EventException::default()));
        };
        let found = EventException::ALL
            .into_iter()
            .find(|exception| exception.name() == wanted);
        let found = found.ok_or_else(|| {
            let names = EventException::ALL.map(EventException::name).join(", ");
            Problem::bad(format!("exception is one of {names}, not {wanted}."))
        })?;
        Ok(Action::EventException(found))
    }
}

/// All that can be asked for, by their first names.
const ACTIONS: [&str; 14] = [
    "aws:kinesis:stream-provisioned-throughput-exception",
    "aws:kinesis:stream-expired-iterator-exception",
    "aws:fis:inject-api-throttle-error",
    "aws:fis:inject-api-internal-error",
    "aws:fis:inject-api-unavailable-error",
    "emulator:latency",
    "emulator:connection-reset-before-apply",
    "emulator:connection-reset-after-apply",
    "emulator:record-failure",
    "emulator:stale-listing",
    "emulator:stale-read",
    "emulator:event-drop",
    "emulator:event-truncate",
    "emulator:event-exception",
];

fn span(name: &str, text: &str) -> Result<Duration, Problem> {
    duration::parse(text).ok_or_else(|| {
        Problem::bad(format!(
            "{name} must be a length of time such as 200ms, 5m or PT5M, not {text:?}."
        ))
    })
}

/// A fault as it is shown, in the words it is asked for in.
fn shown(report: &FaultReport) -> Value {
    let (action, conditions) = (report.fault.action(), report.fault.conditions());
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    set("id", report.id.into());
    set("action", action.name().into());
    let millis = |span: Duration| format!("{}ms", span.as_millis());
    match action {
        Action::Latency(latency) => set("latency", millis(*latency).into()),
        Action::StaleBy(age) | Action::StaleRead(age) => set("age", millis(*age).into()),
        Action::StaleReshard => set("before", "last-reshard".into()),
        Action::EventException(exception) => set("exception", exception.name().into()),
        Action::ThroughputExceeded
        | Action::Throttle
        | Action::InternalError
        | Action::Unavailable
        | Action::ExpiredIterator
        | Action::ResetBefore
        | Action::ResetAfter
        | Action::RecordFailure
        | Action::DropEvent
        | Action::TruncateEvent => {}
    }
    match conditions.api() {
        Some(Api::Kinesis) => set("service", "kinesis".into()),
        Some(Api::DynamoDb) => set("service", "dynamodb".into()),
        Some(Api::CloudWatch) => set("service", "cloudwatch".into()),
        None => {}
    }
    if !conditions.operations().is_empty() {
        set("operations", conditions.operations().into());
    }
    for (name, text) in conditions.texts() {
        if let Some(text) = text {
            set(name, text.into());
        }
    }
    for (name, count) in conditions.counts() {
        if let Some(count) = count {
            set(name, count.into());
        }
    }
    if conditions.probability() < 1.0 {
        set("probability", conditions.probability().into());
    }
    if let Some(lasting) = conditions.lasting() {
        set("duration", millis(lasting).into());
    }
    set("matched", report.matched.into());
    set("struck", report.struck.into());
    set("active", report.is_active.into());
    Value::Object(shown)
}
