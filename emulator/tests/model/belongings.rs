//! The reference's consumers and tags: what hangs on a stream.

use serde_json::{Value, json};

use crate::world::{Expected, Outcome, Refused, Status, Stream, TOKEN_LIFE, Token, World, seconds};

/// Consumers of one stream, and those of them that are being made.
const CONSUMERS: usize = 20;
const CREATING: usize = 5;
const TAGS: usize = 50;

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) created: u64,
    pub(crate) active_at: u64,
    pub(crate) gone_at: Option<u64>,
}

/// How a request names a consumer.
#[derive(Clone, Debug)]
pub(crate) enum ConsumerAddress {
    Name(String),
    /// By its ARN, with its second of creation, and by its name too if that is to be checked.
    Arn {
        name: String,
        created: u64,
        beside: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct ConsumersPage {
    pub(crate) issued: u64,
    pub(crate) stream: String,
    pub(crate) birth: u64,
    pub(crate) after: String,
}

impl Consumer {
    fn status(&self, now: u64) -> &'static str {
        match self.gone_at {
            Some(_) => "DELETING",
            None if now < self.active_at => "CREATING",
            None => "ACTIVE",
        }
    }

    fn shown(&self, stream: &Stream, status: &str) -> Value {
        json!({
            "ConsumerName": self.name,
            "ConsumerARN": format!(
                "{}/consumer/{}:{}", stream.arn(), self.name, self.created / 1000
            ),
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": seconds(self.created / 1000 * 1000),
        })
    }
}

impl World {
    pub(crate) fn register(&mut self, stream: &str, name: &str) -> Outcome {
        let now = self.now;
        let delay = self.delays.register;
        let stream = self.stream(stream)?;
        if matches!(
            stream.status,
            Status::Creating { .. } | Status::Deleting { .. }
        ) {
            return Err("ResourceInUse");
        }
        if stream.consumers.iter().any(|known| known.name == name) {
            return Err("ResourceInUse");
        }
        let creating = stream
            .consumers
            .iter()
            .filter(|known| known.status(now) == "CREATING");
        if stream.consumers.len() >= CONSUMERS || creating.count() >= CREATING {
            return Err("LimitExceeded");
        }
        let consumer = Consumer {
            name: name.to_owned(),
            created: now,
            active_at: now + delay,
            gone_at: None,
        };
        // Whatever its delay is.
        let shown = consumer.shown(stream, "CREATING");
        let known = self.streams.get_mut(&stream.name.clone()).unwrap();
        known.consumers.push(consumer);
        known.consumers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Expected::plain(json!({"Consumer": shown})))
    }

    pub(crate) fn describe_consumer(&self, stream: &str, address: &ConsumerAddress) -> Outcome {
        let (stream, place) = self.consumer(stream, address)?;
        let consumer = &stream.consumers[place];
        let mut shown = consumer.shown(stream, consumer.status(self.now));
        shown["StreamARN"] = stream.arn().into();
        Ok(Expected::plain(json!({"ConsumerDescription": shown})))
    }

    pub(crate) fn deregister(&mut self, stream: &str, address: &ConsumerAddress) -> Outcome {
        let (_, place) = self.consumer(stream, address)?;
        let gone_at = self.now + self.delays.deregister;
        let stream = self.streams.get_mut(stream).unwrap();
        stream.consumers[place].gone_at.get_or_insert(gone_at);
        self.settle();
        Ok(Expected::plain(Value::Null))
    }

    fn consumer(
        &self,
        stream: &str,
        address: &ConsumerAddress,
    ) -> Result<(&Stream, usize), Refused> {
        let (name, created) = match address {
            ConsumerAddress::Name(name) => (name, None),
            ConsumerAddress::Arn { name, beside, .. }
                if beside.as_ref().is_some_and(|beside| beside != name) =>
            {
                return Err("InvalidArgument");
            }
            ConsumerAddress::Arn { name, created, .. } => (name, Some(*created)),
        };
        let stream = self.stream(stream)?;
        let is_meant = |known: &Consumer| {
            known.name == *name && created.is_none_or(|created| created == known.created / 1000)
        };
        let place = stream.consumers.iter().position(is_meant);
        Ok((stream, place.ok_or("ResourceNotFound")?))
    }

    /// ListStreamConsumers; `token` says whether one is given, and what it stands for.
    pub(crate) fn list_consumers(
        &self,
        stream: &str,
        token: Option<Option<&Token>>,
        max: Option<i64>,
    ) -> Outcome {
        if max.is_some_and(|max| !(1..=10_000).contains(&max)) {
            return Err("Validation");
        }
        let stream = self.stream(stream)?;
        let after = match token {
            None => None,
            Some(Some(Token::Consumers(page))) => {
                if self.now - page.issued > TOKEN_LIFE {
                    return Err("ExpiredNextToken");
                }
                if page.stream != stream.name {
                    return Err("InvalidArgument");
                }
                if page.birth != stream.birth {
                    return Err("ResourceNotFound");
                }
                Some(page.after.as_str())
            }
            Some(_) => return Err("InvalidArgument"),
        };
        let is_after =
            |consumer: &&Consumer| after.is_none_or(|after| consumer.name.as_str() > after);
        let all: Vec<&Consumer> = stream.consumers.iter().filter(is_after).collect();
        let max = usize::try_from(max.unwrap_or(100)).unwrap().min(100);
        let page = &all[..all.len().min(max)];
        let shown = |consumer: &&Consumer| consumer.shown(stream, consumer.status(self.now));
        let token = page.last().filter(|_| all.len() > max).map(|last| {
            let page = ConsumersPage {
                issued: self.now,
                stream: stream.name.clone(),
                birth: stream.birth,
                after: last.name.clone(),
            };
            ("NextToken", Token::Consumers(page))
        });
        let reply = json!({"Consumers": page.iter().map(shown).collect::<Vec<_>>()});
        Ok(Expected { reply, token })
    }

    pub(crate) fn add_tags(&mut self, stream: &str, tags: &[(String, String)]) -> Outcome {
        check_tags(tags)?;
        let stream = self.stream_to_annotate(stream)?;
        stream.tags = with_tags(&stream.tags, tags)?;
        Ok(Expected::plain(Value::Null))
    }

    pub(crate) fn remove_tags(&mut self, stream: &str, keys: &[String]) -> Outcome {
        if !(1..=50).contains(&keys.len()) {
            return Err("Validation");
        }
        let stream = self.stream_to_annotate(stream)?;
        stream.tags.retain(|(known, _)| !keys.contains(known));
        Ok(Expected::plain(Value::Null))
    }

    pub(crate) fn list_tags(
        &self,
        stream: &str,
        after: Option<&str>,
        limit: Option<i64>,
    ) -> Outcome {
        if limit.is_some_and(|limit| !(1..=50).contains(&limit)) {
            return Err("Validation");
        }
        let stream = self.stream(stream)?;
        let is_after = |tag: &&(String, String)| after.is_none_or(|after| tag.0.as_str() > after);
        let all: Vec<_> = stream.tags.iter().filter(is_after).collect();
        let limit = usize::try_from(limit.unwrap_or(50)).unwrap();
        let page = all.iter().take(limit).map(|tag| shown(tag));
        let reply = json!({
            "Tags": page.collect::<Vec<_>>(),
            "HasMoreTags": all.len() > limit,
        });
        Ok(Expected::plain(reply))
    }

    pub(crate) fn list_tags_for_resource(&self, stream: &str) -> Outcome {
        let tags = self.stream(stream)?.tags.iter().map(shown);
        let reply = json!({"Tags": tags.collect::<Vec<_>>()});
        Ok(Expected::plain(reply))
    }

    fn stream_to_annotate(&mut self, name: &str) -> Result<&mut Stream, Refused> {
        let stream = self.streams.get_mut(name).ok_or("ResourceNotFound")?;
        match stream.status {
            Status::Creating { .. } | Status::Deleting { .. } => Err("ResourceInUse"),
            _ => Ok(stream),
        }
    }
}

/// The tags with more of them, sorted by key; refused as a whole if one is not right.
pub(crate) fn with_tags(
    known: &[(String, String)],
    more: &[(String, String)],
) -> Result<Vec<(String, String)>, Refused> {
    let mut tags = known.to_vec();
    for (key, value) in more {
        let has_bad = |text: &str| text.contains(['%', '#', '!']);
        if has_bad(key) || has_bad(value) || key.starts_with("aws:") {
            return Err("InvalidArgument");
        }
        tags.retain(|(known, _)| known != key);
        tags.push((key.clone(), value.clone()));
    }
    tags.sort();
    if tags.len() > TAGS {
        return Err("InvalidArgument");
    }
    Ok(tags)
}

/// Constraints of the members.
pub(crate) fn check_tags(tags: &[(String, String)]) -> Result<(), Refused> {
    let is_sound = |(key, value): &(String, String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
    };
    if (1..=200).contains(&tags.len()) && tags.iter().all(is_sound) {
        Ok(())
    } else {
        Err("Validation")
    }
}

fn shown((key, value): &(String, String)) -> Value {
    json!({"Key": key, "Value": value})
}
