//! Cuts a file into records: one for each line, empty lines too, without the line's end. A line
//! that is too long for one record becomes several. The producer reads through it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A record has at most 1 MiB, its key included, and a key at most 1 KiB.
pub(crate) const RECORD_BYTES_MAX: usize = (1 << 20) - (1 << 10);

/// The records of one file, in order.
#[derive(Debug)]
pub(crate) struct Lines<R = BufReader<File>> {
    reader: R,
    bytes_max: usize,
    /// The last record was cut at its full length: the line may go on or may be over.
    cut: bool,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(
            BufReader::with_capacity(1 << 16, File::open(path)?),
            RECORD_BYTES_MAX,
        ))
    }
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader,
            bytes_max,
            cut: false,
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut record = Vec::new();
            let limit = self.bytes_max as u64;
            match self
                .reader
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut record)
            {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            let after_cut = std::mem::take(&mut self.cut);
            if record.last() == Some(&b'\n') {
                record.pop();
                if after_cut && record.is_empty() {
                    continue;
                }
            } else {
                self.cut = record.len() == self.bytes_max;
            }
            return Some(Ok(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        Lines::new(text.as_bytes(), 4)
            .map(|record| String::from_utf8(record.unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn each_line_is_a_record_and_empty_lines_are_too() {
        assert_eq!(cut("a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(cut("a\nb"), ["a", "b"]);
        assert_eq!(cut("\n"), [""]);
        assert_eq!(cut(""), Vec::<String>::new());
        assert_eq!(cut("a\r\n"), ["a\r"]);
    }

    #[test]
    fn a_long_line_becomes_several_records_and_no_empty_one() {
        assert_eq!(cut("abcdef\ng"), ["abcd", "ef", "g"]);
        assert_eq!(cut("abcd\n\ng"), ["abcd", "", "g"]);
        assert_eq!(cut("abcd"), ["abcd"]);
        assert_eq!(cut("abcdefgh\n"), ["abcd", "efgh"]);
    }
}
