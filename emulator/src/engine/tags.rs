//! Tags of one resource, and the rules they obey, whether they come with a new stream, a new consumer
//! or later. Called by the tag operations and by those that make resources; the lengths of keys and
//! values are the request's business (`ops::tags`).

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::fmt::Display;
use std::ops::Bound::{Excluded, Unbounded};

use crate::refusal::Refusal;

/// Tags of one resource.
const MAX: usize = 50;

/// The tags of one resource, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Adds tags, over those of the same keys. All or none: `subject` is whom the refusal names, such
    /// as `stream s under account 000000000000`.
    pub(crate) fn add(
        &mut self,
        more: impl IntoIterator<Item = (String, String)>,
        subject: &dyn Display,
    ) -> Result<(), Refusal> {
        let mut tags = self.0.clone();
        for (key, value) in more {
            check_characters(&[&key, &value], &format_args!("add tags to {subject}"))?;
            if is_reserved(&key) {
                return Err(Refusal::invalid(format!(
                    "Failed to add tags to {subject} because tag keys that begin with aws: are \
                     reserved."
                )));
            }
            tags.insert(key, value);
        }
        if tags.len() > MAX {
            return Err(Refusal::invalid(format!(
                "Failed to add tags to {subject} because a given stream cannot have more than {MAX} \
                 tags associated with it."
            )));
        }
        self.0 = tags;
        Ok(())
    }

    /// Removes the tags of these keys; keys of no tag are as good as removed.
    pub(crate) fn remove(&mut self, keys: &[&str], subject: &dyn Display) -> Result<(), Refusal> {
        check_characters(keys, &format_args!("remove tags from {subject}"))?;
        for key in keys {
            self.0.remove(*key);
        }
        Ok(())
    }

    /// The tags whose keys come after `after`.
    pub(crate) fn after(&self, after: Option<&str>) -> Range<'_, String, String> {
        let from = after.map_or(Unbounded, Excluded);
        self.0.range::<str, _>((from, Unbounded))
    }

    /// The value of a key, letters of either case being the same.
    pub(crate) fn get_any_case(&self, key: &str) -> Option<&str> {
        let wanted = key.to_lowercase();
        let mut tags = self.0.iter();
        let tag = tags.find(|(key, _)| key.to_lowercase() == wanted);
        tag.map(|(_, value)| value.as_str())
    }
}

/// QUIRK(kinesis): the percent sign is valid and illegal at once, and refused in words of its own.
fn check_characters(texts: &[&str], what: &dyn Display) -> Result<(), Refusal> {
    let has = |is_found: fn(char) -> bool| texts.iter().any(|text| text.chars().any(is_found));
    if has(|char| !is_valid(char)) {
        return Err(Refusal::invalid(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white \
             space, _ . / = + - % @.",
        ));
    }
    if has(|char| char == '%') {
        return Err(Refusal::invalid(format!(
            "Failed to {what} because some tags contained illegal characters. The allowed characters \
             are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
        )));
    }
    Ok(())
}

/// Tabs and line ends are white space to nobody here.
fn is_valid(char: char) -> bool {
    let is_space = char.is_whitespace() && !char.is_control();
    char.is_alphanumeric() || is_space || "_./=+-%@:".contains(char)
}

fn is_reserved(key: &str) -> bool {
    key.as_bytes()
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"aws:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn refused(tags: &[(&str, &str)]) -> String {
        let mut all = Tags::default();
        let refusal = all
            .add(pairs(tags), &"stream s under account 1")
            .unwrap_err();
        assert_eq!(all, Tags::default());
        refusal.message.unwrap()
    }

    #[test]
    fn letters_digits_spaces_and_some_signs_make_tags() {
        let mut tags = Tags::default();
        let good = [("ü0 _.", "/=+-@"), ("名前", "값 :"), ("empty", "")];
        tags.add(pairs(&good), &"").unwrap();
        assert_eq!(tags.get_any_case("名前"), Some("값 :"));
        let invalid = "Some tags contain invalid characters. Valid characters: Unicode letters, \
                       digits, white space, _ . / = + - % @.";
        for bad in [
            ("a;b", ""),
            ("a\tb", ""),
            ("a", "1\n2"),
            ("a", "1,2"),
            ("a%;", ""),
        ] {
            assert_eq!(refused(&[bad]), invalid, "{bad:?}");
        }
        let illegal = "Failed to add tags to stream s under account 1 because some tags contained \
                       illegal characters. The allowed characters are Unicode letters, white-spaces, \
                       '_',',','/','=','+','-','@'.";
        assert_eq!(refused(&[("a%b", "")]), illegal);
        assert_eq!(refused(&[("a", "1%")]), illegal);
    }

    #[test]
    fn the_prefix_of_the_provider_is_reserved() {
        for key in ["aws:x", "AWS:x", "aws:"] {
            assert!(refused(&[(key, "")]).contains("reserved"), "{key}");
        }
        Tags::default().add(pairs(&[("awsx", "")]), &"").unwrap();
    }

    #[test]
    fn fifty_tags_are_enough_and_old_keys_count_once() {
        let numbered = |count: usize| (0..count).map(|n| (format!("k{n}"), n.to_string()));
        let mut tags = Tags::default();
        tags.add(numbered(50), &"").unwrap();
        tags.add(numbered(50), &"").unwrap();
        let more = tags.add(pairs(&[("one", "more")]), &"stream s under account 1");
        assert_eq!(
            more.unwrap_err().message.unwrap(),
            "Failed to add tags to stream s under account 1 because a given stream cannot have more \
             than 50 tags associated with it."
        );
        tags.remove(&["k7", "never"], &"").unwrap();
        tags.add(pairs(&[("one", "more")]), &"").unwrap();
    }
}
