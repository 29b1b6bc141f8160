//! The ARN of the consumer of each stream, found once for all shards of a worker. It owns what was found and
//! the look-up that runs; `feed` asks, and says when an ARN has proven wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::Client;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use kcl_core::StreamName;
use kcl_core::error::{Error, ErrorKind, Problem};

use crate::consumer::Consumer;
use crate::settings::ConsumerSettings;

/// An ARN, or why there is none. All who wait for one look-up get the same.
pub(crate) type Answer = Result<Arc<str>, Arc<Error>>;

/// Which consumer a source reads a stream with. Every consumer is of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one of this name, of whichever stream is read.
    Named(String),
    /// Of these ARNs the one of the stream that is read.
    Registered(Vec<String>),
}

impl Choice {
    /// The consumer of this stream. There is none if ARNs were given and none of them is of it.
    pub(crate) fn of(&self, stream: &str) -> Result<Consumer, Error> {
        let arns = match self {
            Self::Named(name) => return Ok(Consumer::named(stream, name)),
            Self::Registered(arns) => arns,
        };
        let is_of_it = |arn: &&String| stream_of(arn) == Some(stream);
        let found = arns.iter().find(is_of_it).map(Consumer::registered);
        found.ok_or_else(|| {
            let known: Vec<_> = arns.iter().filter_map(|arn| stream_of(arn)).collect();
            let message = format!(
                "there is no consumer to read stream {stream} with: what was given is of {}",
                known.join(", ")
            );
            Error::new(ErrorKind::Invalid, message)
                .with_hint("give the ARN of a consumer of each stream, or a name instead")
        })
    }

    /// What is wrong with it, as far as the text tells.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Named(name) => of_name(name).into_iter().collect(),
            Self::Registered(arns) => of_arns(arns),
        }
    }
}

fn of_name(name: &str) -> Option<Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_right = (1..=128).contains(&name.len()) && name.bytes().all(is_allowed);
    (!is_right).then(|| {
        let rule = format!("{name:?} must be 1 to 128 letters, digits, _, . or -");
        Problem::new("fan_out.consumer.name", rule)
    })
}

fn of_arns(arns: &[String]) -> Vec<Problem> {
    let problem = |rule: String| Problem::new("fan_out.consumer.arn", rule);
    if arns.is_empty() {
        return vec![problem("at least one must be given".to_owned())];
    }
    let mut seen = BTreeSet::new();
    let wrong = |arn: &String| match stream_of(arn) {
        None => Some(format!(
            "{arn:?} must be the ARN of a registered consumer, arn:...:stream/.../consumer/..."
        )),
        Some(stream) if !seen.insert(stream.to_owned()) => Some(format!(
            "{arn:?} is a second consumer of stream {stream}; give one for each stream"
        )),
        Some(_) => None,
    };
    arns.iter().filter_map(wrong).map(problem).collect()
}

/// The stream in the ARN of a consumer: `arn:...:stream/orders/consumer/app:1700000000`.
fn stream_of(arn: &str) -> Option<&str> {
    let (head, tail) = arn.split_once(":stream/")?;
    let (stream, consumer) = tail.split_once("/consumer/")?;
    (head.starts_with("arn:") && !stream.is_empty() && !consumer.is_empty()).then_some(stream)
}

#[derive(Debug)]
pub(crate) struct Consumers {
    client: Client,
    choice: Choice,
    settings: ConsumerSettings,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    streams: BTreeMap<StreamName, LookUp>,
    looked_up: u64,
}

#[derive(Clone, Debug)]
struct LookUp {
    number: u64,
    answer: Shared<BoxFuture<'static, Answer>>,
}

impl Consumers {
    pub(crate) fn new(client: Client, choice: Choice, settings: ConsumerSettings) -> Self {
        Self {
            client,
            choice,
            settings,
            known: Mutex::default(),
        }
    }

    /// The consumer of this stream, registered if it has to be. Cancel-safe: a look-up that nobody
    /// waits for stands still until somebody does.
    pub(crate) async fn arn(&self, stream: &StreamName) -> Answer {
        let look_up = self.look_up(stream);
        let answer = look_up.answer.await;
        if answer.is_err() {
            // Whoever asks next looks again.
            self.forget(stream, look_up.number);
        }
        answer
    }

    /// This ARN was refused: the consumer may have been deregistered, and made again by somebody.
    pub(crate) fn refused(&self, stream: &StreamName, arn: &Arc<str>) {
        let known = self.known().streams.get(stream).cloned();
        if let Some(look_up) = known
            && let Some(Ok(found)) = look_up.answer.peek()
            && found == arn
        {
            self.forget(stream, look_up.number);
        }
    }

    fn look_up(&self, stream: &StreamName) -> LookUp {
        let mut known = self.known();
        if let Some(look_up) = known.streams.get(stream) {
            return look_up.clone();
        }
        let (client, settings) = (self.client.clone(), self.settings.clone());
        let consumer = self.choice.of(stream.as_str());
        let answer = async move {
            let ready = consumer?.ready(&client, &settings).await?;
            Ok(ready.arn().into())
        };
        let answer = answer.map(|answer: Result<_, Error>| answer.map_err(Arc::new));
        known.looked_up += 1;
        let look_up = LookUp {
            number: known.looked_up,
            answer: answer.boxed().shared(),
        };
        known.streams.insert(stream.clone(), look_up.clone());
        look_up
    }

    fn forget(&self, stream: &StreamName, number: u64) {
        let mut known = self.known();
        if known
            .streams
            .get(stream)
            .is_some_and(|look_up| look_up.number == number)
        {
            known.streams.remove(stream);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(stream: &str) -> String {
        format!("arn:aws:kinesis:eu-west-1:000000000000:stream/{stream}/consumer/app:17")
    }

    #[test]
    fn every_stream_has_a_consumer_of_its_own() {
        let named = Choice::Named("app".to_owned());
        let registered = Choice::Registered(["orders", "clicks"].map(arn).to_vec());
        for stream in ["orders", "clicks"] {
            let name = Consumer::named(stream, "app");
            assert_eq!(named.of(stream).ok(), Some(name));
            let of_arn = Consumer::registered(arn(stream));
            assert_eq!(registered.of(stream).ok(), Some(of_arn));
        }
    }

    #[test]
    fn a_stream_is_not_read_with_the_consumer_of_another() {
        let registered = Choice::Registered(["orders", "clicks"].map(arn).to_vec());
        let told = registered.of("order").map_err(|error| error.chain());
        let told = told.err().unwrap_or_default();
        for part in [
            "stream order ",
            "of orders, clicks",
            "the ARN of a consumer of each stream",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn what_is_wrong_with_arns_is_told_of_each() {
        let told = |arns: &[&str]| -> Vec<String> {
            let arns = arns.iter().map(ToString::to_string).collect();
            let problems = Choice::Registered(arns).problems();
            problems.iter().map(ToString::to_string).collect()
        };
        let (orders, clicks) = (arn("orders"), arn("clicks"));
        assert_eq!(told(&[&orders, &clicks]), [""; 0]);
        let cases: [(&[&str], &str); 5] = [
            (&[], "at least one"),
            (&["orders"], "must be the ARN"),
            (
                &["arn:aws:kinesis:eu-west-1:0:stream/orders"],
                "must be the ARN",
            ),
            (
                &["arn:aws:kinesis:eu-west-1:0:stream//consumer/app"],
                "must be the ARN",
            ),
            (
                &[&orders, &clicks, &orders],
                "a second consumer of stream orders",
            ),
        ];
        for (arns, part) in cases {
            let told = told(arns);
            assert!(
                told.len() == 1 && told[0].contains(part),
                "{part} in {told:?}"
            );
        }
    }
}
