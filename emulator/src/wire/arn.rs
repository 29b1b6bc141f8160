//! The ARNs of streams and consumers, taken apart. Which texts pass for one at all is a constraint of
//! the model and stands in [`super::check`].

/// An ARN of something in this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    /// The stream's name.
    pub(crate) stream: &'a str,
    /// The consumer, if it is one's.
    pub(crate) consumer: Option<ConsumerPart<'a>>,
}

/// What a consumer's ARN has beyond its stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerPart<'a> {
    pub(crate) name: &'a str,
    /// When it was registered, in seconds.
    pub(crate) created: u64,
}

impl<'a> Arn<'a> {
    pub(crate) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let is_arn = parts.next() == Some("arn");
        let is_partition = parts.next()?.starts_with("aws");
        let is_service = parts.next() == Some("kinesis");
        let (region, account) = (parts.next()?, parts.next()?);
        let is_account = crate::caller::is_account(account);
        let resource = parts.next()?.strip_prefix("stream/")?;
        let (stream, consumer) = match resource.split_once('/') {
            Some((stream, rest)) => (stream, Some(consumer(rest)?)),
            None => (resource, None),
        };
        let is_all = is_arn && is_partition && is_service && is_account && !stream.is_empty();
        is_all.then_some(Self {
            region,
            account,
            stream,
            consumer,
        })
    }
}

fn consumer(rest: &str) -> Option<ConsumerPart<'_>> {
    let (name, created) = rest.strip_prefix("consumer/")?.rsplit_once(':')?;
    let created = created.parse().ok()?;
    (!name.is_empty() && !name.contains('/')).then_some(ConsumerPart { name, created })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_consumers_are_told_apart() {
        let stream = "arn:aws:kinesis:us-east-1:000000000001:stream/orders";
        let arn = Arn::parse(stream).unwrap();
        assert_eq!((arn.region, arn.account), ("us-east-1", "000000000001"));
        assert_eq!((arn.stream, arn.consumer), ("orders", None));
        let consumer = format!("{stream}/consumer/c.1:1700000000");
        let arn = Arn::parse(&consumer).unwrap();
        let part = ConsumerPart {
            name: "c.1",
            created: 1_700_000_000,
        };
        assert_eq!((arn.stream, arn.consumer), ("orders", Some(part)));
        let cn = Arn::parse("arn:aws-cn:kinesis:cn-north-1:000000000001:stream/a");
        assert_eq!(cn.map(|arn| arn.region), Some("cn-north-1"));
    }

    #[test]
    fn what_is_neither_is_none() {
        for wrong in [
            "",
            "orders",
            "arn:aws:kinesis:us-east-1:1:stream/orders",
            "arn:aws:s3:us-east-1:000000000001:stream/orders",
            "arn:aws:kinesis:us-east-1:000000000001:stream/",
            "arn:aws:kinesis:us-east-1:000000000001:stream/a/b",
            "arn:aws:kinesis:us-east-1:000000000001:stream/a/consumer/c",
            "arn:aws:kinesis:us-east-1:000000000001:stream/a/consumer/:5",
            "arn:aws:kinesis:us-east-1:000000000001:stream/a/consumer/c:x",
            "arn:ibm:kinesis:us-east-1:000000000001:stream/a",
        ] {
            assert_eq!(Arn::parse(wrong), None, "{wrong}");
        }
    }
}
