//! What is read: which files, under which key, and how many lines. It finds and spools; the lines
//! themselves are cut by `lines.rs` and, for the check, a second time by `check.rs`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::lines::Lines;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Everything that goes into the stream.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) texts: Vec<Text>,
    pub(crate) lines: u64,
    pub(crate) origin: String,
    _spool: Option<Spool>,
}

/// One file. Its lines share a partition key, so the stream keeps their order.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// What the file was when its lines were counted; a file that changes under way proves nothing.
    stamp: Stamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    Metadata(u64, Option<SystemTime>),
    Sha256(Vec<u8>),
}

impl Input {
    /// No arguments: the checkout. `-`: standard input. Otherwise files and folders.
    pub(crate) fn open(arguments: &[PathBuf]) -> Result<Self, Error> {
        if arguments == [PathBuf::from("-")] {
            let spool = Spool::fill(&mut io::stdin().lock())?;
            let stamp = Stamp::Sha256(spool.sha256.clone());
            let text = Text {
                key: "standard input".to_owned(),
                path: spool.path.clone(),
                stamp,
            };
            return Self::of(vec![text], "standard input".to_owned(), Some(spool));
        }
        if arguments.is_empty() {
            let root = checkout()?;
            let mut texts = Vec::new();
            walk(&root, &root, &mut texts)?;
            let origin = format!("{} text files of this checkout", texts.len());
            return Self::of(texts, origin, None);
        }
        let mut texts = Vec::new();
        let mut known = BTreeSet::new();
        for path in arguments {
            let readable = |error| format!("{} cannot be read: {error}", path.display());
            if !known.insert(fs::canonicalize(path).map_err(readable)?) {
                continue;
            }
            if path.is_dir() {
                walk(path, path, &mut texts)?;
            } else {
                texts.push(Text::new(path.to_string_lossy().into_owned(), path)?);
            }
        }
        let origin = match texts.as_slice() {
            [only] => only.key.clone(),
            many => format!("{} files", many.len()),
        };
        Self::of(texts, origin, None)
    }

    fn of(texts: Vec<Text>, origin: String, spool: Option<Spool>) -> Result<Self, Error> {
        let mut lines = 0;
        for text in &texts {
            lines += text.count()?;
        }
        Ok(Self {
            texts,
            lines,
            origin,
            _spool: spool,
        })
    }
}

impl Text {
    fn new(name: String, path: &Path) -> Result<Self, Error> {
        let stamp = Stamp::of(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Ok(Self {
            key: key_of(name),
            path: path.to_owned(),
            stamp,
        })
    }

    fn count(&self) -> Result<u64, Error> {
        let mut count = 0;
        for line in Lines::open(&self.path)? {
            line.map_err(|error| format!("{} cannot be read: {error}", self.path.display()))?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether the file still is what it was when its lines were counted.
    pub(crate) fn is_unchanged(&self) -> io::Result<bool> {
        let now = match &self.stamp {
            Stamp::Metadata(..) => Stamp::of(&self.path)?,
            Stamp::Sha256(_) => {
                let mut hash = Sha256::new();
                io::copy(&mut File::open(&self.path)?, &mut HashWriter(&mut hash))?;
                Stamp::Sha256(hash.finalize().to_vec())
            }
        };
        Ok(now == self.stamp)
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = File::open(path)?.metadata()?;
        Ok(Self::Metadata(metadata.len(), metadata.modified().ok()))
    }
}

/// A partition key has at most 256 characters. A longer path keeps its end, and a hash of the
/// whole tells it from others with the same end.
fn key_of(name: String) -> String {
    let length = name.chars().count();
    if length <= 256 {
        return name;
    }
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    let end: String = name.chars().skip(length - 200).collect();
    format!("{:016x}…{end}", hash.finish())
}

/// The folder of the workspace: from here upwards, or where cargo says.
fn checkout() -> Result<PathBuf, Error> {
    let here = std::env::current_dir()?;
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let is_root = |folder: &Path| {
        fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
    };
    here.ancestors()
        .chain(package.iter().flat_map(|package| package.ancestors()))
        .find(|folder| is_root(folder))
        .map(Path::to_owned)
        .ok_or_else(|| {
            "no checkout found from here upwards: name FILES, or - for standard input".into()
        })
}

/// Every text file below a folder, by name. What a build or version control leaves is skipped.
fn walk(root: &Path, folder: &Path, texts: &mut Vec<Text>) -> Result<(), Error> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if !matches!(
                entry.file_name().to_str(),
                Some(".git" | "target" | "node_modules")
            ) {
                walk(root, &path, texts)?;
            }
        } else if kind.is_file() && is_text(&path)? {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            texts.push(Text::new(name, &path)?);
        }
    }
    Ok(())
}

/// Whether the beginning of a file is UTF-8 without control characters that no text has.
fn is_text(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(8192).read_to_end(&mut beginning)?;
    let utf8 = match std::str::from_utf8(&beginning) {
        Ok(_) => true,
        // The last character may be cut off.
        Err(error) => error.error_len().is_none(),
    };
    Ok(utf8 && !beginning.contains(&0))
}

/// Standard input, kept in a file so that it can be read a second time.
#[derive(Debug)]
struct Spool {
    path: PathBuf,
    sha256: Vec<u8>,
}

impl Spool {
    fn fill(from: &mut impl Read) -> Result<Self, Error> {
        let name = format!(
            "quickstart-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let path = std::env::temp_dir().join(name);
        let mut file = File::create_new(&path)
            .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        let mut spool = Self {
            path,
            sha256: Vec::new(),
        };
        let mut hash = Sha256::new();
        let mut part = vec![0; 1 << 16];
        loop {
            let length = match from.read(&mut part) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("standard input cannot be read: {error}").into()),
            };
            hash.update(&part[..length]);
            file.write_all(&part[..length])?;
        }
        spool.sha256 = hash.finalize().to_vec();
        Ok(spool)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // A file that stays behind in the temporary folder is no reason to fail.
        drop(fs::remove_file(&self.path));
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.update(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_what_was_read_and_goes_with_its_owner() {
        let spool = Spool::fill(&mut &b"one\n\ntwo"[..]).unwrap();
        let path = spool.path.clone();
        assert_eq!(fs::read(&path).unwrap(), b"one\n\ntwo");
        let stamp = Stamp::Sha256(spool.sha256.clone());
        let text = Text {
            key: "-".to_owned(),
            path: path.clone(),
            stamp,
        };
        assert!(text.is_unchanged().unwrap());
        fs::write(&path, b"one\n\ntwO").unwrap();
        assert!(!text.is_unchanged().unwrap());
        drop(spool);
        assert!(!path.exists());
    }

    #[test]
    fn long_paths_become_keys_of_at_most_256_characters_that_differ() {
        let long = |first: &str| key_of(format!("{first}{}", "/ä".repeat(300)));
        assert!(long("a").chars().count() <= 256);
        assert_ne!(long("a"), long("b"));
        assert_eq!(key_of("src/lib.rs".to_owned()), "src/lib.rs");
    }

    #[test]
    fn the_checkout_has_this_file_and_no_build_output() {
        let input = Input::open(&[]).unwrap();
        let keys: Vec<_> = input.texts.iter().map(|text| text.key.as_str()).collect();
        assert!(
            keys.contains(&"examples/src/bin/quickstart/input.rs"),
            "{keys:?}"
        );
        assert!(
            !keys
                .iter()
                .any(|key| key.starts_with("target/") || key.starts_with(".git/"))
        );
        assert!(input.lines > 0);
    }
}
