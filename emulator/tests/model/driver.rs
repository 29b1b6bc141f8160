//! Drives the service and the reference side by side and compares what they answer.

use std::collections::VecDeque;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Clock, Delays, Service, Settings};
use serde_json::{Value, json};

use crate::resize;
use crate::wire;
use crate::world::{self, Expected, Outcome, Status, Stream, Token, World};

/// Where the clock starts: not on a whole second.
const START: u64 = 1_700_000_000_250;
/// Tokens of each kind that are kept for later steps.
const TOKENS_KEPT: usize = 40;

/// A token of the service with what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) text: String,
    pub(crate) token: Token,
}

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) delays: world::Delays,
    pub(crate) shard_limit: u32,
}

/// The two sides, and what steps need to refer back.
pub(crate) struct Driver {
    service: Service,
    pub(crate) world: World,
    pub(crate) iterators: VecDeque<Held>,
    pub(crate) pages: VecDeque<Held>,
    pub(crate) step: u64,
    /// The encoding of this step.
    pub(crate) speaks_cbor: bool,
    /// What was asked and answered, if someone wants to read it.
    pub(crate) trace: Option<Vec<String>>,
}

/// The first answer that was not as expected.
pub(crate) type Divergence = String;

impl Driver {
    pub(crate) fn new(setup: Setup) -> Self {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_millis(START));
        // Only the steps move it.
        clock.freeze();
        let world::Delays {
            create,
            delete,
            reshard,
            register,
            deregister,
            update,
        } = setup.delays;
        let delays = Delays {
            create: Duration::from_millis(create),
            delete: Duration::from_millis(delete),
            reshard: Duration::from_millis(reshard),
            register: Duration::from_millis(register),
            deregister: Duration::from_millis(deregister),
            update: Duration::from_millis(update),
        };
        let settings = Settings {
            clock,
            delays,
            shard_limit: setup.shard_limit,
            seed: Some(1),
            ..Settings::default()
        };
        let limit = usize::try_from(setup.shard_limit).unwrap();
        Self {
            service: Service::new(settings),
            world: World::new(START, setup.delays, limit),
            iterators: VecDeque::new(),
            pages: VecDeque::new(),
            step: 0,
            speaks_cbor: false,
            trace: None,
        }
    }

    /// Moves both clocks, with a stop where a change of the number of shards holds: what it makes on
    /// the way could be gone at the end.
    pub(crate) async fn advance(&mut self, by: u64) -> Result<(), Divergence> {
        self.note(|| format!("advance {by} ms"));
        let end = self.world.now + by;
        while self.world.now < end {
            let resized = |stream: &Stream| match stream.status {
                Status::Resizing { until, .. } => Some(until),
                _ => None,
            };
            let stops = self.world.streams.values().filter_map(resized);
            let stop = stops.min().map_or(end, |stop| stop.min(end));
            let by = stop - self.world.now;
            self.world.advance(by);
            self.service.clock().advance(Duration::from_millis(by));
            self.adopt().await?;
        }
        Ok(())
    }

    /// Calls the service and compares its answer with the reference's.
    pub(crate) async fn compare(
        &mut self,
        operation: &str,
        body: &Value,
        expected: Outcome,
    ) -> Result<(), Divergence> {
        let (status, answer) = self.call(operation, body).await;
        let shown = match &answer {
            Ok(answer) => answer.to_string(),
            Err(error) => error.clone(),
        };
        self.note(|| format!("{operation} {body}\n    -> {status} {shown}"));
        let told = |why: String| {
            format!(
                "{operation} {body}\n  {why}\n  expected {expected:?}\n  answered {status} {shown}"
            )
        };
        let answer = answer.map_err(|_| told("unreadable".to_owned()))?;
        match &expected {
            Err(refused) => {
                let kind = format!("{refused}Exception");
                if status != 400 || answer["__type"] != kind.as_str() {
                    return Err(told("not refused as expected".to_owned()));
                }
            }
            Ok(reply) => {
                let is_exact =
                    !operation.starts_with("DescribeStream") && operation != "ListStreams";
                let token = check_reply(status, answer, reply, is_exact).map_err(told)?;
                self.keep(token);
            }
        }
        Ok(())
    }

    /// Asks the service which shards a stream has that was resized, and sees that they came about by
    /// splits and merges, and are as many as were asked for. Which of them it chose is its own affair.
    pub(crate) async fn adopt(&mut self) -> Result<(), Divergence> {
        let resized = |stream: &Stream| stream.resized.map(|how| (stream.name.clone(), how));
        let all: Vec<_> = self.world.streams.values().filter_map(resized).collect();
        for (name, (at, target)) in all {
            let body = json!({"StreamName": name});
            let (_, listing) = self.call("ListShards", &body).await;
            let listing = listing?;
            let stream = self.world.streams.get_mut(&name).unwrap();
            stream.resized = None;
            resize::follow(stream, at, &listing)
                .map_err(|why| format!("after UpdateShardCount: {why}\n{listing}"))?;
            let open = stream.open().count();
            if open != target {
                return Err(format!("{open} shards instead of {target}: {listing}"));
            }
            stream.settle(self.world.now);
            let expected = self.world.list_shards(&name, None, None, None);
            self.compare("ListShards", &body, expected).await?;
        }
        Ok(())
    }

    fn keep(&mut self, held: Option<Held>) {
        let Some(held) = held else { return };
        let tokens = match held.token {
            Token::Iterator(_) => &mut self.iterators,
            Token::Shards(_) | Token::Consumers(_) | Token::Streams { .. } => &mut self.pages,
        };
        if tokens.len() == TOKENS_KEPT {
            tokens.pop_front();
        }
        tokens.push_back(held);
    }

    /// Calls in one of the two encodings; the status and the answer, if it can be read.
    async fn call(&self, operation: &str, body: &Value) -> (u16, Result<Value, String>) {
        let kind = if self.speaks_cbor { "cbor" } else { "json" };
        let body = if self.speaks_cbor {
            wire::to_cbor(body)
        } else {
            body.to_string().into_bytes()
        };
        let request = http::Request::post("/")
            .header("content-type", format!("application/x-amz-{kind}-1.1"))
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.service.serve(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes();
        let answer = match body.is_empty() {
            true => Ok(Value::Null),
            false if self.speaks_cbor => wire::from_cbor(&body),
            false => serde_json::from_slice(&body).map_err(|error| error.to_string()),
        };
        (status, answer)
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

/// Compares a reply, and takes the token out of it.
fn check_reply(
    status: u16,
    mut answer: Value,
    expected: &Expected,
    is_exact: bool,
) -> Result<Option<Held>, String> {
    if status != 200 {
        return Err("refused".to_owned());
    }
    let mut held = None;
    for member in ["ShardIterator", "NextShardIterator", "NextToken"] {
        let found = answer
            .as_object_mut()
            .and_then(|answer| answer.remove(member));
        let wanted = expected.token.as_ref().filter(|(name, _)| *name == member);
        held = match (found, wanted) {
            (Some(Value::String(text)), Some((_, token))) => Some(Held {
                text,
                token: token.clone(),
            }),
            (None, None) => held,
            (found, _) => return Err(format!("{member} is {found:?}")),
        };
    }
    match difference(&answer, &expected.reply, is_exact) {
        None => Ok(held),
        Some(path) => Err(format!("differs at reply{path}")),
    }
}

/// Where two values differ. Without `is_exact` the answer may have members that nobody expects.
fn difference(answer: &Value, expected: &Value, is_exact: bool) -> Option<String> {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            if is_exact && let Some(extra) = answer.keys().find(|key| !expected.contains_key(*key))
            {
                return Some(format!(".{extra}"));
            }
            expected.iter().find_map(|(key, expected)| {
                let answer = answer.get(key).unwrap_or(&Value::Null);
                let path = difference(answer, expected, is_exact)?;
                Some(format!(".{key}{path}"))
            })
        }
        (Value::Array(answer), Value::Array(expected)) => {
            if answer.len() != expected.len() {
                return Some(format!("[{} instead of {}]", answer.len(), expected.len()));
            }
            let mut pairs = answer.iter().zip(expected).enumerate();
            pairs.find_map(|(place, (answer, expected))| {
                let path = difference(answer, expected, is_exact)?;
                Some(format!("[{place}]{path}"))
            })
        }
        (Value::Number(answer), Value::Number(expected)) => {
            // A tenth of a millisecond, which is what a float of seconds can hold.
            let far = (answer.as_f64()? - expected.as_f64()?).abs() > 1e-4;
            far.then(String::new)
        }
        (answer, expected) => (answer != expected).then(String::new),
    }
}
