//! Shards: their names, hash ranges and parents.

use std::fmt;
use std::sync::Arc;

use super::name::StreamName;

/// Which shard: its name, such as `shardId-000000000003`, and in a worker of several streams the stream it
/// is of. Cheap to clone.
///
/// Names of shards are unique in a stream and in no more than that: every stream has a
/// `shardId-000000000000`. So this is the key by which a worker tells shards apart, and
/// [`name`](Self::name) is what the service calls it. It is shown as `orders/shardId-000000000003`, or by its
/// name alone in a worker of one stream.
///
/// ```
/// use kcl_core::{ShardId, StreamName};
///
/// let alone = ShardId::new("shardId-000000000003");
/// assert_eq!((alone.to_string().as_str(), alone.stream()), ("shardId-000000000003", None));
///
/// let orders = StreamName::new("orders").unwrap();
/// let shard = ShardId::of(orders.clone(), "shardId-000000000003");
/// assert_eq!(shard.to_string(), "orders/shardId-000000000003");
/// assert_eq!((shard.name(), shard.stream()), ("shardId-000000000003", Some(&orders)));
/// assert_ne!(shard, alone);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<Parts>);

// ORDER: the stream first, so that the shards of one stream stand together wherever they are sorted.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    stream: Option<StreamName>,
    name: Box<str>,
}

impl ShardId {
    /// The shard of this name, in a worker of one stream.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self::from_parts(None, name.as_ref())
    }

    /// The shard of this name of one stream of several.
    #[must_use]
    pub fn of(stream: StreamName, name: impl AsRef<str>) -> Self {
        Self::from_parts(Some(stream), name.as_ref())
    }

    /// The shard of this name that is of the same stream as this one.
    #[must_use]
    pub fn sibling(&self, name: impl AsRef<str>) -> Self {
        Self::from_parts(self.0.stream.clone(), name.as_ref())
    }

    fn from_parts(stream: Option<StreamName>, name: &str) -> Self {
        let name = name.into();
        Self(Arc::new(Parts { stream, name }))
    }

    /// What the service calls it. Of use only beside the stream it is of.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The stream it is of; nothing in a worker of one stream.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamName> {
        self.0.stream.as_ref()
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = self.stream() {
            write!(f, "{stream}/")?;
        }
        f.write_str(self.name())
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for ShardId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A text that is not a hash key: a decimal number below 2^128.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hash key: it must be a decimal number below 2^128")]
pub struct InvalidHashKey(String);

/// The hash keys a shard takes in, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKeyRange {
    /// The smallest hash key.
    pub start: u128,
    /// The largest hash key.
    pub end: u128,
}

impl HashKeyRange {
    /// Reads a range from the decimal texts of the service.
    ///
    /// # Errors
    /// If either is not a decimal number below 2^128.
    pub fn parse(start: &str, end: &str) -> Result<Self, InvalidHashKey> {
        let number = |text: &str| text.parse().map_err(|_| InvalidHashKey(text.to_owned()));
        Ok(Self {
            start: number(start)?,
            end: number(end)?,
        })
    }
}

/// A shard as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The shards it came from: none, one (split) or two (merge). A parent may have expired.
    pub parents: Vec<ShardId>,
    /// What it takes in.
    pub range: HashKeyRange,
    /// Whether it still takes records. A closed shard may still hold unread ones.
    pub open: bool,
}

impl Shard {
    /// The same shard and parents, of one stream of several.
    #[must_use]
    pub fn of(self, stream: &StreamName) -> Self {
        let of = |id: &ShardId| ShardId::of(stream.clone(), id.name());
        Self {
            id: of(&self.id),
            parents: self.parents.iter().map(of).collect(),
            ..self
        }
    }
}

/// A shard that follows on a closed one, as the last read of the closed shard names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    /// Its name.
    pub id: ShardId,
    /// All its parents: one after a split, two after a merge.
    pub parents: Vec<ShardId>,
    /// What it takes in.
    pub range: HashKeyRange,
}

impl ChildShard {
    /// The same shard and parents, of the stream that a shard is of. Answers of the service name shards
    /// without their stream.
    pub(crate) fn beside(self, shard: &ShardId) -> Self {
        let beside = |id: &ShardId| shard.sibling(id.name());
        Self {
            id: beside(&self.id),
            parents: self.parents.iter().map(beside).collect(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    #[test]
    fn shards_of_one_name_in_two_streams_are_two_shards() {
        let ids = ["a", "b"].map(|name| ShardId::of(stream(name), "s"));
        let alone = ShardId::new("s");
        assert!(alone < ids[0] && ids[0] < ids[1]);
        assert_eq!(ids[0].sibling("t"), ShardId::of(stream("a"), "t"));
        assert_eq!(alone.sibling("t"), ShardId::new("t"));
    }

    #[test]
    fn shards_of_one_stream_stand_together() {
        let mut ids: Vec<ShardId> = [("b", "1"), ("a", "2"), ("b", "0"), ("a", "1")]
            .map(|(of, name)| ShardId::of(stream(of), name))
            .into();
        ids.sort();
        let shown: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a/1", "a/2", "b/0", "b/1"]);
    }

    #[test]
    fn what_an_answer_names_is_of_the_stream_that_was_asked() {
        let range = HashKeyRange { start: 0, end: 9 };
        let listed = Shard {
            id: "s2".into(),
            parents: vec!["s0".into(), "s1".into()],
            range,
            open: true,
        };
        let shard = listed.clone().of(&stream("a"));
        let shown = |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shard.id.to_string(), "a/s2");
        assert_eq!(shown(&shard.parents), ["a/s0", "a/s1"]);
        let child = |beside: &ShardId| {
            let (id, parents) = (listed.id.clone(), listed.parents.clone());
            ChildShard { id, parents, range }.beside(beside)
        };
        let of_one = child(&shard.parents[0]);
        assert_eq!((&of_one.id, &of_one.parents), (&shard.id, &shard.parents));
        assert_eq!(
            child(&listed.parents[0]).id,
            listed.id,
            "and of one stream as it is"
        );
    }
}
