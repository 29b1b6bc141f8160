//! The judge: reads the files a second time, with code of its own, and holds what was delivered
//! against it, line by line and by content. It shares nothing with the producer but the rule of
//! what a record is.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::hash::{DefaultHasher, Hasher};

use crate::input::{Error, Text};
use crate::lines::RECORD_BYTES_MAX;

/// What came of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) records: u64,
    /// Lines that were too long for one record and became several.
    pub(crate) cut: u64,
    pub(crate) lost: u64,
    /// Records that came more than once without being the same record, or that nobody sent.
    pub(crate) foreign: u64,
    pub(crate) out_of_order: u64,
    /// Files that changed while they were read.
    pub(crate) changed: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.foreign == 0 && self.out_of_order == 0 && self.changed.is_empty()
    }

    /// Compares the first deliveries of each key with the lines of its file.
    pub(crate) fn of(
        texts: &[Text],
        delivered: &BTreeMap<String, Vec<u64>>,
    ) -> Result<Self, Error> {
        let mut verdict = Self::default();
        let nothing = Vec::new();
        for text in texts {
            if !text.is_unchanged()? {
                verdict.changed.push(text.key.clone());
                continue;
            }
            let content = fs::read(&text.path)?;
            let expected = fingerprints(&content, RECORD_BYTES_MAX);
            verdict.records += expected.len() as u64;
            let is_long = |line: &&[u8]| line.len() > RECORD_BYTES_MAX;
            verdict.cut += content.split(|byte| *byte == b'\n').filter(is_long).count() as u64;
            verdict.compare(&expected, delivered.get(&text.key).unwrap_or(&nothing));
        }
        for (key, records) in delivered {
            if !texts.iter().any(|text| text.key == *key) {
                verdict.foreign += records.len() as u64;
            }
        }
        Ok(verdict)
    }

    fn compare(&mut self, expected: &[u64], delivered: &[u64]) {
        if expected == delivered {
            return;
        }
        // The n-th delivery of a content stands for its n-th line.
        let mut places: BTreeMap<u64, VecDeque<usize>> = BTreeMap::new();
        for (place, content) in expected.iter().enumerate() {
            places.entry(*content).or_default().push_back(place);
        }
        let mut furthest = None;
        for content in delivered {
            match places.get_mut(content).and_then(VecDeque::pop_front) {
                None => self.foreign += 1,
                Some(place) if furthest.is_some_and(|furthest| place < furthest) => {
                    self.out_of_order += 1;
                }
                Some(place) => furthest = Some(place),
            }
        }
        self.lost += places.values().map(|left| left.len() as u64).sum::<u64>();
    }
}

/// The content of a record in short. No one here has a reason to forge it.
pub(crate) fn fingerprint(data: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write(data);
    hash.finish()
}

fn fingerprints(content: &[u8], bytes_max: usize) -> Vec<u64> {
    let mut lines: Vec<_> = content.split(|byte| *byte == b'\n').collect();
    // What follows the last line's end is no line.
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let mut found = Vec::with_capacity(lines.len());
    for line in lines {
        if line.is_empty() {
            found.push(fingerprint(line));
        }
        found.extend(line.chunks(bytes_max).map(fingerprint));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expected: &[u64], delivered: &[u64]) -> (u64, u64, u64) {
        let mut verdict = Verdict::default();
        verdict.compare(expected, delivered);
        (verdict.lost, verdict.foreign, verdict.out_of_order)
    }

    #[test]
    fn losses_strangers_and_swaps_are_told_apart() {
        assert_eq!(judged(&[1, 2, 3], &[1, 2, 3]), (0, 0, 0));
        assert_eq!(judged(&[1, 2, 3], &[1, 3]), (1, 0, 0));
        assert_eq!(judged(&[1, 2, 3], &[1, 3, 2]), (0, 0, 1));
        assert_eq!(judged(&[1, 2, 3], &[1, 2, 2, 3]), (0, 1, 0));
        assert_eq!(judged(&[1, 2, 3], &[1, 9, 3]), (1, 1, 0));
        assert_eq!(judged(&[], &[7]), (0, 1, 0));
    }

    #[test]
    fn equal_lines_are_counted_one_by_one() {
        assert_eq!(judged(&[5, 5, 5], &[5, 5]), (1, 0, 0));
        assert_eq!(judged(&[5, 6, 5], &[5, 5, 6]), (0, 0, 1));
    }

    #[test]
    fn records_are_cut_as_the_producer_cuts_them() {
        let of = |text: &str| fingerprints(text.as_bytes(), 4);
        let plain = |parts: &[&str]| -> Vec<u64> {
            parts
                .iter()
                .map(|part| fingerprint(part.as_bytes()))
                .collect()
        };
        assert_eq!(of("a\n\nb\n"), plain(&["a", "", "b"]));
        assert_eq!(of("a\nb"), plain(&["a", "b"]));
        assert_eq!(of(""), plain(&[]));
        assert_eq!(
            of("abcd\n\nabcdefgh\n"),
            plain(&["abcd", "", "abcd", "efgh"])
        );
    }
}
