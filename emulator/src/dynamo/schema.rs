//! A table's keys: what they must be, how rows are ordered by them.

use compact_str::CompactString;

use super::expression::Path;
use super::refusal::Refusal;
use super::value::{AttributeValue, Item};
use super::wire::Choice;

/// Longest partition key, in bytes.
const PARTITION_SIZE_MAX: usize = 2048;
/// Longest sort key, in bytes.
const SORT_SIZE_MAX: usize = 1024;

/// The types a key can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    B,
    N,
    S,
}

impl Choice for KeyKind {
    const ALL: &'static [(&'static str, Self)] = &[("B", Self::B), ("N", Self::N), ("S", Self::S)];
}

impl KeyKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::B => "B",
            Self::N => "N",
            Self::S => "S",
        }
    }

    /// As messages about empty values have it; numbers are never empty.
    fn long_name(self) -> &'static str {
        match self {
            Self::B => "binary",
            Self::N => "number",
            Self::S => "string",
        }
    }
}

/// One key attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyAttribute {
    pub(crate) name: String,
    pub(crate) kind: KeyKind,
}

/// The key attributes of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) partition: KeyAttribute,
    pub(crate) sort: Option<KeyAttribute>,
}

/// Where a row stands: partitions by the hash of their key, rows of one by the sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    hash: u64,
    partition: Part,
    sort: Sort,
}

/// Where in its partition a row stands. The ends are bounds of ranges, and `Start` is also the
/// place of the only row of a partition in a table without a sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Start,
    At(Part),
    End,
}

/// The value of a key attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    B(Vec<u8>),
    N(super::number::Number),
    S(CompactString),
}

impl Part {
    fn take(value: AttributeValue) -> Option<Self> {
        match value {
            AttributeValue::B(bytes) => Some(Self::B(bytes)),
            AttributeValue::N(number) => Some(Self::N(number)),
            AttributeValue::S(text) => Some(Self::S(text)),
            AttributeValue::Bool(_)
            | AttributeValue::Null
            | AttributeValue::Ss(_)
            | AttributeValue::Ns(_)
            | AttributeValue::Bs(_)
            | AttributeValue::L(_)
            | AttributeValue::M(_) => None,
        }
    }

    fn value(&self) -> AttributeValue {
        match self {
            Self::B(bytes) => AttributeValue::B(bytes.clone()),
            Self::N(number) => AttributeValue::N(*number),
            Self::S(text) => AttributeValue::S(text.clone()),
        }
    }

    /// The same on every machine and in every run: scans and their segments follow it.
    fn hash(&self) -> u64 {
        match self {
            Self::B(bytes) => hash(bytes),
            Self::N(number) => hash(number.to_string().as_bytes()),
            Self::S(text) => hash(text.as_bytes()),
        }
    }
}

/// FNV-1a, then mixed so that the upper bits, which choose the segment, depend on every byte.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (folded ^ (folded >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

impl Key {
    fn new(partition: Part, sort: Option<Part>) -> Self {
        Self {
            hash: partition.hash(),
            partition,
            sort: sort.map_or(Sort::Start, Sort::At),
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// A bound before every key with this hash or a higher one.
    pub(crate) fn before_hash(hash: u64) -> Self {
        Self {
            hash,
            partition: Part::B(Vec::new()),
            sort: Sort::Start,
        }
    }

    /// The bounds of a partition; nothing if no partition can have such a key.
    pub(crate) fn partition(partition: AttributeValue) -> Option<(Self, Self)> {
        let start = Self::new(Part::take(partition)?, None);
        let end = Self {
            sort: Sort::End,
            ..start.clone()
        };
        Some((start, end))
    }

    /// The place in the same partition that has this sort key.
    pub(crate) fn at_sort(&self, sort: &AttributeValue) -> Self {
        let sort = Part::take(sort.clone()).map_or(Sort::End, Sort::At);
        Self {
            hash: self.hash,
            partition: self.partition.clone(),
            sort,
        }
    }

    pub(crate) fn same_partition(&self, other: &Self) -> bool {
        self.partition == other.partition
    }

    pub(crate) fn sort_value(&self) -> Option<AttributeValue> {
        if let Sort::At(part) = &self.sort {
            Some(part.value())
        } else {
            None
        }
    }
}

impl Schema {
    /// The key attributes, partition first.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.attributes().any(|key| key.name == attribute)
    }

    /// The key of a request, which has exactly the key attributes.
    pub(crate) fn key(&self, mut key: Item) -> Result<Key, Refusal> {
        if key.len() != self.attributes().count() {
            return Err(mismatch());
        }
        let (_, partition) = key
            .remove_entry(self.partition.name.as_str())
            .ok_or_else(mismatch)?;
        let partition = self.key_part(&self.partition, partition)?;
        let sort = match &self.sort {
            None => None,
            Some(sort) => {
                let value = key.remove(sort.name.as_str()).ok_or_else(mismatch)?;
                Some(self.key_part(sort, value)?)
            }
        };
        Ok(Key::new(partition, sort))
    }

    fn key_part(&self, attribute: &KeyAttribute, value: AttributeValue) -> Result<Part, Refusal> {
        if value.type_name() != attribute.kind.name() {
            return Err(mismatch());
        }
        self.check_part(attribute, &value)?;
        Part::take(value).ok_or_else(mismatch)
    }

    /// The key of an item to be put.
    pub(crate) fn key_of(&self, item: &Item) -> Result<Key, Refusal> {
        let part = |attribute: &KeyAttribute| {
            let name = attribute.name.as_str();
            let value = item.get(name).ok_or_else(|| {
                Refusal::invalid_value(format!("Missing the key {name} in the item"))
            })?;
            let (expected, actual) = (attribute.kind.name(), value.type_name());
            if expected != actual {
                return Err(Refusal::invalid_value(format!(
                    "Type mismatch for key {name} expected: {expected} actual: {actual}"
                )));
            }
            self.check_part(attribute, value)?;
            Part::take(value.clone()).ok_or_else(mismatch)
        };
        Ok(Key::new(
            part(&self.partition)?,
            self.sort.as_ref().map(part).transpose()?,
        ))
    }

    /// The key of an item's entry in an index; nothing for an item that is not in it.
    pub(crate) fn entry_key(&self, item: &Item) -> Option<Key> {
        let part = |attribute: &KeyAttribute| {
            let value = item.get(attribute.name.as_str())?;
            let fits = value.type_name() == attribute.kind.name();
            fits.then(|| Part::take(value.clone())).flatten()
        };
        let partition = part(&self.partition)?;
        let sort = match &self.sort {
            None => None,
            Some(attribute) => Some(part(attribute)?),
        };
        Some(Key::new(partition, sort))
    }

    /// Refuses an item that an index of this name with these keys cannot take. One that lacks a key
    /// attribute is no fault: it is left out of the index.
    pub(crate) fn check_entry(&self, item: &Item, index: &str) -> Result<(), Refusal> {
        for attribute in self.attributes() {
            let KeyAttribute { name, kind } = attribute;
            let Some(value) = item.get(name.as_str()) else {
                continue;
            };
            let (expected, actual) = (kind.name(), value.type_name());
            if expected != actual {
                return Err(Refusal::invalid_value(format!(
                    "Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} \
                     IndexName: {index}"
                )));
            }
            if *kind != KeyKind::N && value.size() == 0 {
                return Err(Refusal::validation(format!(
                    "One or more parameter values are not valid. A value specified for a \
                     secondary index key is not supported. The AttributeValue for a key attribute \
                     cannot contain an empty {} value. IndexName: {index}, IndexKey: {name}",
                    kind.long_name()
                )));
            }
            self.check_part(attribute, value)?;
        }
        Ok(())
    }

    /// The key attributes with their values.
    pub(crate) fn item(&self, key: &Key) -> Item {
        let sort = self.sort.iter().zip(key.sort_value());
        std::iter::once((&self.partition, key.partition.value()))
            .chain(sort)
            .map(|(attribute, value)| (attribute.name.as_str().into(), value))
            .collect()
    }

    /// A key is not empty and not too long.
    fn check_part(&self, attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), Refusal> {
        // Numbers always fit.
        if attribute.kind == KeyKind::N {
            return Ok(());
        }
        let size = value.size();
        let is_partition = attribute.name == self.partition.name;
        if size == 0 {
            let kind = attribute.kind.long_name();
            return Err(Refusal::validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key \
                 attribute cannot contain an empty {kind} value. Key: {}",
                attribute.name
            )));
        }
        if is_partition && size > PARTITION_SIZE_MAX {
            return Err(Refusal::invalid_value(
                "Size of hashkey has exceeded the maximum size limit of2048 bytes",
            ));
        }
        if !is_partition && size > SORT_SIZE_MAX {
            return Err(Refusal::invalid_value(
                "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
            ));
        }
        Ok(())
    }

    /// Refuses paths that lead into a key attribute.
    pub(crate) fn check_scalars<'p, 'e: 'p>(
        &self,
        what: &str,
        paths: impl IntoIterator<Item = &'p Path<'e>>,
    ) -> Result<(), Refusal> {
        for path in paths {
            if !path.rest.is_empty() && self.has(path.head) {
                return Err(Refusal::validation(format!(
                    "Key attributes must be scalars; list random access '[]' and map lookup \
                     '.' are not allowed: {what}: {}",
                    path.head
                )));
            }
        }
        Ok(())
    }
}

fn mismatch() -> Refusal {
    Refusal::validation("The provided key element does not match the schema")
}
