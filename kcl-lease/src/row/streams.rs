//! Which streams workers read, as a row that says so for all who read the same.
//!
//! Its key is made of what is in it. So workers that read the same streams share one row, what it says never
//! changes, and a worker row refers to it by a few bytes: the proof of life stays small, however many
//! streams there are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kcl_core::model::StreamName;
use sha2::{Digest as _, Sha256};

/// The key of a [`StreamSet`]: 128 bits that stand for its streams, as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamSetKey(Arc<str>);

/// A set of streams that workers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSet {
    key: StreamSetKey,
    streams: Arc<BTreeSet<StreamName>>,
}

impl StreamSetKey {
    /// How the keys of these rows start.
    pub const PREFIX: &'static str = "streams/";

    /// Reads a stored key; nothing if it is none: 32 of `0-9 a-f`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// The key of the row as it is stored.
    #[must_use]
    pub fn row_key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }

    /// The digits, by which worker rows refer to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamSetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamSetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StreamSet {
    /// The set of these streams.
    #[must_use]
    pub fn new(streams: impl IntoIterator<Item = StreamName>) -> Self {
        let streams: BTreeSet<_> = streams.into_iter().collect();
        let mut hasher = Sha256::new();
        for stream in &streams {
            // No name has a line end, so no two sets are the same text.
            hasher.update(stream.as_str());
            hasher.update("\n");
        }
        let half = hasher.finalize().into_iter().take(16);
        let digits: String = half.map(|byte| format!("{byte:02x}")).collect();
        Self {
            key: StreamSetKey(digits.into()),
            streams: Arc::new(streams),
        }
    }

    /// What stands for it.
    #[must_use]
    pub const fn key(&self) -> &StreamSetKey {
        &self.key
    }

    /// The streams.
    #[must_use]
    pub fn streams(&self) -> &BTreeSet<StreamName> {
        &self.streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> StreamSet {
        StreamSet::new(names.iter().map(|name| StreamName::new(name).unwrap()))
    }

    #[test]
    fn the_key_stands_for_the_streams_and_not_for_their_order() {
        assert_eq!(set(&["a", "b"]), set(&["b", "a", "b"]));
        let keys = [&["a", "b"][..], &["ab"], &["a"], &[]].map(|names| set(names).key().clone());
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(StreamSetKey::parse(key.as_str()).as_ref(), Some(key));
            assert!(!keys[..n].contains(key));
        }
        // Stored by other versions of this library: it must not change.
        let stored = "streams/87428fc522803d31065e7bce3cf03fe4";
        assert_eq!(keys[2].row_key(), stored);
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let long = "0".repeat(33);
        for bad in ["", "x", &long, "G0000000000000000000000000000000"] {
            assert_eq!(StreamSetKey::parse(bad), None, "{bad}");
        }
    }
}
