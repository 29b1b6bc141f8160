//! The constraints of request members: all are checked, up to ten are told, in the service's words.

use std::fmt::{self, Display, Write};

use crate::refusal::{Kind, Refusal};

use super::field::{List, Map, Text, text};

/// Lengths of a tag's key and value.
const TAG_KEY: (usize, usize) = (1, 128);
const TAG_VALUE: (usize, usize) = (0, 256);

/// More are found, but no more are told.
const TOLD: usize = 10;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    count: usize,
    text: String,
}

impl Checks {
    /// Refuses if anything was wrong.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        let text = match self.count {
            0 => return Ok(()),
            1 => format!("1 validation error detected: {}", self.text),
            count => format!("{count} validation errors detected: {}", self.text),
        };
        Err(Refusal::new(Kind::Validation, text))
    }

    /// Notes that `value` at `path` breaks a constraint, told as what the member must.
    pub(crate) fn fail(
        &mut self,
        value: Option<&dyn Display>,
        path: &dyn Display,
        constraint: &dyn Display,
    ) {
        self.note(value, path, &format_args!("Member must {constraint}"));
    }

    /// Notes that `value` at `path` breaks a constraint, told as a whole sentence.
    fn note(&mut self, value: Option<&dyn Display>, path: &dyn Display, constraint: &dyn Display) {
        if self.count == TOLD {
            return;
        }
        self.count += 1;
        let separator = if self.text.is_empty() { "" } else { "; " };
        let text = &mut self.text;
        let written = match value {
            Some(value) => write!(text, "{separator}Value '{value}' at '{path}'"),
            None => write!(text, "{separator}Value null at '{path}'"),
        };
        let written =
            written.and_then(|()| write!(text, " failed to satisfy constraint: {constraint}"));
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }

    /// The member must be there.
    pub(crate) fn required<T>(&mut self, path: &dyn Display, member: Option<T>) -> Option<T> {
        if member.is_none() {
            self.fail(None, path, &"not be null");
        }
        member
    }

    /// Length of a text, in characters.
    pub(crate) fn length(&mut self, path: &dyn Display, text: &str, (min, max): (usize, usize)) {
        // Bytes are at least as many as characters, so that most texts need not be counted.
        let length = if text.len() < min || text.len() > max {
            text.chars().count()
        } else {
            min
        };
        if length < min {
            let constraint = format_args!("have length greater than or equal to {min}");
            self.fail(Some(&text), path, &constraint);
        } else if length > max {
            let constraint = format_args!("have length less than or equal to {max}");
            self.fail(Some(&text), path, &constraint);
        }
    }

    /// How many members a list or a map has; `shown` is how the service prints it.
    pub(crate) fn count(
        &mut self,
        path: &dyn Display,
        shown: &dyn Display,
        count: usize,
        (min, max): (usize, usize),
    ) {
        if count < min {
            let constraint = format_args!("have length greater than or equal to {min}");
            self.fail(Some(shown), path, &constraint);
        } else if count > max {
            let constraint = format_args!("have length less than or equal to {max}");
            self.fail(Some(shown), path, &constraint);
        }
    }

    /// Tags to set.
    pub(crate) fn tags(&mut self, path: &dyn Display, tags: &Map<'_>) {
        self.count(path, tags, tags.0.len(), (1, 200));
        for (part, is_sound, (min, max)) in [
            (
                "keys",
                tags.0.iter().all(|(key, _)| is_between(key, TAG_KEY)),
                TAG_KEY,
            ),
            (
                "value",
                tags.0
                    .iter()
                    .all(|(_, value)| is_between(text(value).unwrap_or_default(), TAG_VALUE)),
                TAG_VALUE,
            ),
        ] {
            if !is_sound {
                let constraint = format_args!(
                    "Map {part} must satisfy constraint: [{}]",
                    Lengths(min, max)
                );
                self.note(Some(tags), path, &constraint);
            }
        }
    }

    /// Keys of tags.
    pub(crate) fn tag_keys(&mut self, path: &dyn Display, keys: &List<Text<'_>>) {
        self.count(path, keys, keys.0.len(), (1, 50));
        let is_sound = |key: &Option<Text<'_>>| is_between(text(key).unwrap_or_default(), TAG_KEY);
        if !keys.0.iter().all(is_sound) {
            let (min, max) = TAG_KEY;
            let constraint = format_args!("satisfy constraint: [{}]", Lengths(min, max));
            self.fail(Some(keys), path, &constraint);
        }
    }

    /// A list of some words.
    pub(crate) fn all_of(
        &mut self,
        path: &dyn Display,
        list: &List<Text<'_>>,
        bounds: (usize, usize),
        words: &[&str],
    ) {
        self.count(path, list, list.0.len(), bounds);
        let is_word = |word: &Option<Text<'_>>| words.contains(&text(word).unwrap_or_default());
        if !list.0.iter().all(is_word) {
            let words = words.join(", ");
            let constraint =
                format_args!("satisfy constraint: [Member must satisfy enum value set: [{words}]]");
            self.fail(Some(list), path, &constraint);
        }
    }

    /// A number between two others.
    pub(crate) fn range(&mut self, path: &dyn Display, value: i32, (min, max): (i32, i32)) {
        if value < min {
            let constraint = format_args!("have value greater than or equal to {min}");
            self.fail(Some(&value), path, &constraint);
        } else if value > max {
            let constraint = format_args!("have value less than or equal to {max}");
            self.fail(Some(&value), path, &constraint);
        }
    }

    /// One of some words.
    pub(crate) fn one_of(&mut self, path: &dyn Display, value: &str, words: &[&str]) {
        if !words.contains(&value) {
            let words = words.join(", ");
            self.fail(
                Some(&value),
                path,
                &format_args!("satisfy enum value set: [{words}]"),
            );
        }
    }

    fn pattern(&mut self, path: &dyn Display, value: &str, pattern: &str, is_matched: bool) {
        if !is_matched {
            let constraint = format_args!("satisfy regular expression pattern: {pattern}");
            self.fail(Some(&value), path, &constraint);
        }
    }

    /// The name of a stream or a consumer, or the id of a shard.
    pub(crate) fn name(&mut self, path: &dyn Display, name: &str) {
        let is_name = !name.is_empty() && name.bytes().all(is_name_byte);
        self.pattern(path, name, "[a-zA-Z0-9_.-]+", is_name);
        self.length(path, name, (1, 128));
    }

    /// The ARN of a stream.
    pub(crate) fn stream_arn(&mut self, path: &dyn Display, arn: &str) {
        let is_arn = stream_of_arn(arn).is_some();
        self.pattern(path, arn, r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+", is_arn);
        self.length(path, arn, (1, 2048));
    }

    /// The ARN of a consumer.
    pub(crate) fn consumer_arn(&mut self, path: &dyn Display, arn: &str) {
        let pattern = r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+";
        self.pattern(path, arn, pattern, ConsumerArn::parse(arn).is_some());
        self.length(path, arn, (1, 2048));
    }

    /// The ARN of a stream or a consumer.
    pub(crate) fn resource_arn(&mut self, path: &dyn Display, arn: &str) {
        let is_arn = arn.split_once("stream/").is_some_and(|(before, name)| {
            // Something may stand between the account and the resource; anything but this service's
            // own is refused later.
            let end = before.rfind(':').map_or("", |end| &before[..=end]);
            stream_of_arn(&format!("{end}stream/{name}")).is_some()
        });
        let pattern = r"arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+";
        self.pattern(path, arn, pattern, is_arn);
        self.length(path, arn, (1, 2048));
    }

    /// A place in the hash space.
    pub(crate) fn hash_key(&mut self, path: &dyn Display, key: &str) {
        self.pattern(path, key, r"0|([1-9]\d{0,38})", is_number(key, 39));
    }

    /// The id of a stream, which the service has and hands out to nobody.
    pub(crate) fn stream_id(&mut self, id: Option<&str>) {
        let (path, Some(id)) = (&"streamId", id) else {
            return;
        };
        let is_part = |part: &str, length: usize| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            part.len() == length && part.bytes().all(is_plain)
        };
        let is_id = id
            .split_once('-')
            .is_some_and(|(first, second)| is_part(first, 20) && is_part(second, 3));
        self.pattern(path, id, "[a-z0-9]{20}-[a-z0-9]{3}", is_id);
        self.length(path, id, (1, 24));
    }

    /// A sequence number.
    pub(crate) fn sequence(&mut self, path: &dyn Display, number: &str) {
        self.pattern(path, number, r"0|([1-9]\d{0,128})", is_number(number, 129));
    }
}

/// Whether a text has so many characters.
fn is_between(text: &str, (min, max): (usize, usize)) -> bool {
    (min..=max).contains(&text.chars().count())
}

/// The lengths that a member of a list or a map may have, as they are told.
struct Lengths(usize, usize);

impl Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(min, max) = self;
        write!(
            f,
            "Member must have length less than or equal to {max}, Member must have length greater \
             than or equal to {min}"
        )
    }
}

/// The stream's name in its ARN.
pub(crate) fn stream_of_arn(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:aws")?;
    let (before, name) = rest.split_once(":stream/")?;
    let (before, account) = before.rsplit_once(':')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let names_service = before.contains(":kinesis:");
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    (is_account && names_service && is_name).then_some(name)
}

/// A consumer's ARN, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerArn<'a> {
    /// The ARN of its stream.
    pub(crate) stream: &'a str,
    pub(crate) name: &'a str,
    /// The second of its creation.
    pub(crate) created: u64,
}

impl<'a> ConsumerArn<'a> {
    pub(crate) fn parse(arn: &'a str) -> Option<Self> {
        let (stream, rest) = arn.split_once("/consumer/")?;
        let (name, created) = rest.rsplit_once(':')?;
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(is_name_byte);
        let is_number = created.bytes().all(|byte| byte.is_ascii_digit());
        let is_sound = is_plain(stream_of_arn(stream)?) && is_plain(name) && is_number;
        is_sound.then_some(Self {
            stream,
            name,
            created: created.parse().ok()?,
        })
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// A decimal number without leading zeros and with at most `digits` digits.
fn is_number(text: &str, digits: usize) -> bool {
    let is_short = !text.is_empty() && text.len() <= digits;
    let is_plain = text == "0" || !text.starts_with('0');
    is_short && is_plain && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
