//! The constraints of request members: all are checked, up to ten are told, in the service's words.

use std::fmt::{Display, Write};

use crate::refusal::{Kind, Refusal};

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

    /// Notes that `value` at `path` breaks a constraint.
    pub(crate) fn fail(
        &mut self,
        value: Option<&dyn Display>,
        path: &dyn Display,
        constraint: &dyn Display,
    ) {
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
        let written = written.and_then(|()| {
            write!(
                text,
                " failed to satisfy constraint: Member must {constraint}"
            )
        });
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

    /// A place in the hash space.
    pub(crate) fn hash_key(&mut self, path: &dyn Display, key: &str) {
        self.pattern(path, key, r"0|([1-9]\d{0,38})", is_number(key, 39));
    }

    /// A sequence number.
    pub(crate) fn sequence(&mut self, path: &dyn Display, number: &str) {
        self.pattern(path, number, r"0|([1-9]\d{0,128})", is_number(number, 129));
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
mod tests {
    use super::*;

    fn told(check: impl FnOnce(&mut Checks)) -> String {
        let mut checks = Checks::default();
        check(&mut checks);
        match checks.finish() {
            Ok(()) => String::new(),
            Err(refusal) => refusal.message.unwrap(),
        }
    }

    #[test]
    fn one_error_is_told_in_the_singular_and_two_in_the_plural() {
        assert_eq!(
            told(|checks| checks.name(&"streamName", "a b")),
            "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        );
        assert_eq!(
            told(|checks| checks.name(&"streamName", "")),
            "2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '' at \
             'streamName' failed to satisfy constraint: Member must have length greater than or \
             equal to 1"
        );
        assert_eq!(
            told(|checks| assert!(checks.required(&"data", None::<()>).is_none())),
            "1 validation error detected: Value null at 'data' failed to satisfy constraint: Member \
             must not be null"
        );
    }

    #[test]
    fn no_more_than_ten_are_told() {
        let text = told(|checks| (0..20).for_each(|_| checks.range(&"limit", 0, (1, 5))));
        assert!(text.starts_with("10 validation errors detected: "));
        assert_eq!(text.matches("; ").count(), 9);
    }

    #[test]
    fn length_counts_characters() {
        assert_eq!(
            told(|checks| checks.length(&"key", &"é".repeat(256), (1, 256))),
            ""
        );
        assert!(told(|checks| checks.length(&"key", &"é".repeat(257), (1, 256))).contains("256"));
    }

    #[test]
    fn numbers_are_plain() {
        for (text, is) in [
            ("0", true),
            ("10", true),
            ("01", false),
            ("", false),
            ("-1", false),
        ] {
            assert_eq!(is_number(text, 39), is, "{text}");
        }
        assert!(!is_number(&"9".repeat(40), 39));
    }

    #[test]
    fn arns_of_consumers_name_them_and_their_streams() {
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let arn = format!("{stream}/consumer/app:1700000000");
        let parsed = ConsumerArn::parse(&arn).unwrap();
        assert_eq!((parsed.stream, parsed.name), (stream, "app"));
        assert_eq!(parsed.created, 1_700_000_000);
        for wrong in [
            stream.to_owned(),
            format!("{stream}/consumer/app"),
            format!("{stream}/consumer/app:"),
            format!("{stream}/consumer/app:x"),
            format!("{stream}/consumer/:1"),
            format!("{stream}/x/consumer/a:1"),
            format!("{stream}/consumer/a/consumer/b:1"),
            format!("{stream}/consumer/app:{}", u128::MAX),
        ] {
            assert_eq!(ConsumerArn::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn arns_of_streams_name_them() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        assert_eq!(stream_of_arn(arn), Some("orders"));
        assert_eq!(
            stream_of_arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a"),
            Some("a")
        );
        for wrong in [
            "orders",
            "arn:aws:kinesis:us-east-1:0:stream/orders",
            "arn:aws:s3:us-east-1:000000000000:stream/orders",
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
        ] {
            assert_eq!(stream_of_arn(wrong), None, "{wrong}");
        }
    }
}
