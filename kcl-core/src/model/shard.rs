//! Shards: their names, hash ranges and parents.

use std::fmt;
use std::sync::Arc;

/// The name of a shard, such as `shardId-000000000003`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// The shard of this name.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
