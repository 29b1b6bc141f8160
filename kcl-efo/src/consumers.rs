//! The ARN of the consumer of each stream, found once for all shards of a worker. It owns what was found and
//! the look-up that runs; `feed` asks, and says when an ARN has proven wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::Client;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use kcl_core::StreamName;
use kcl_core::error::{Error, Problem};

use crate::consumer::Consumer;
use crate::settings::ConsumerSettings;

/// An ARN, or why there is none. All who wait for one look-up get the same.
pub(crate) type Answer = Result<Arc<str>, Arc<Error>>;

/// Which consumer a source reads with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one of this name, of whichever stream is read.
    Named(String),
    /// The one of this ARN.
    Registered(String),
}

impl Choice {
    pub(crate) fn of(&self, stream: &str) -> Consumer {
        match self {
            Self::Named(name) => Consumer::named(stream, name),
            Self::Registered(arn) => Consumer::registered(arn),
        }
    }

    /// What is wrong with it, as far as the text tells.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let (is_right, setting, rule) = match self {
            Self::Named(name) => (
                (1..=128).contains(&name.len())
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)),
                "fan_out.consumer.name",
                format!("{name:?} must be 1 to 128 letters, digits, _, . or -"),
            ),
            Self::Registered(arn) => (
                arn.starts_with("arn:") && arn.contains(":stream/") && arn.contains("/consumer/"),
                "fan_out.consumer.arn",
                format!(
                    "{arn:?} must be the ARN of a registered consumer, arn:...:stream/.../consumer/..."
                ),
            ),
        };
        (!is_right).then(|| Problem::new(setting, rule))
    }
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
            let ready = consumer.ready(&client, &settings).await;
            ready.map(|ready| ready.arn().into()).map_err(Arc::new)
        };
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
