//! Who may call: access keys with their secrets and accounts, from a file or from code.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::caller::is_account;

/// The access keys a service knows.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    by_id: Arc<BTreeMap<String, Key>>,
}

/// One access key.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Key {
    /// Its id, such as `AKIAIOSFODNN7EXAMPLE`.
    pub access_key: String,
    /// Its secret. Never printed.
    pub secret: String,
    /// The account that it calls for, twelve digits.
    pub account: String,
    /// The token that must come with it; for the keys of a session.
    #[serde(default)]
    pub session_token: Option<String>,
    /// When the session ends, in seconds since 1970 on the service's clock. Default: never.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableKeys {
    /// It is neither the TOML nor the JSON that it should be. Secrets are not repeated.
    #[error("the keys cannot be read: {0}")]
    Unreadable(String),
    /// There is none, so that nobody could call.
    #[error("there is no [[key]]")]
    None,
    /// A key's account is none.
    #[error("the account of the key {0} has to have twelve digits")]
    Account(String),
    /// A key has no id or no secret, or characters that no request can carry.
    #[error("the key {0:?} needs an id without spaces or slashes, and a secret")]
    Empty(String),
    /// Two have one id.
    #[error("the key {0} is there twice")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Key>,
}

impl Keys {
    /// These keys.
    ///
    /// # Errors
    /// If one of them cannot be a key, or there is none.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, UnusableKeys> {
        let mut by_id = BTreeMap::new();
        for key in keys {
            let id = key.access_key.clone();
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/,=".contains(&byte);
            if id.is_empty() || !id.bytes().all(is_plain) || key.secret.is_empty() {
                return Err(UnusableKeys::Empty(id));
            }
            if !is_account(&key.account) {
                return Err(UnusableKeys::Account(id));
            }
            if by_id.insert(id.clone(), key).is_some() {
                return Err(UnusableKeys::Twice(id));
            }
        }
        if by_id.is_empty() {
            return Err(UnusableKeys::None);
        }
        Ok(Self {
            by_id: Arc::new(by_id),
        })
    }

    /// The keys of a file: `[[key]]` tables in TOML, or the same in JSON.
    ///
    /// # Errors
    /// If it is not right, with the place but without what stands there.
    pub fn parse(text: &str) -> Result<Self, UnusableKeys> {
        let is_json = text.trim_start().starts_with('{');
        let file: File = if is_json {
            serde_json::from_str(text).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                UnusableKeys::Unreadable(format!("line {line}, column {column} is not right"))
            })?
        } else {
            // Only the message: its display shows the line, and the line may hold a secret.
            toml::from_str(text).map_err(|error: toml::de::Error| {
                let upto = error.span().map_or(0, |span| span.start);
                let line = text
                    .get(..upto)
                    .map_or(1, |text| text.lines().count().max(1));
                UnusableKeys::Unreadable(format!("line {line}: {}", error.message()))
            })?
        };
        Self::new(file.key)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.by_id.get(id)
    }

    /// The first by its id; there always is one unless these are no keys at all.
    #[cfg(feature = "sdk")]
    pub(crate) fn first(&self) -> Option<&Key> {
        self.by_id.values().next()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, account) = (&self.access_key, &self.account);
        write!(f, "Key({id} of {account})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_both_formats() {
        let text = "[[key]]\naccess-key = \"A\"\nsecret = \"s\"\naccount = \"111111111111\"\n\
                    [[key]]\naccess-key = \"B\"\nsecret = \"s\"\naccount = \"222222222222\"\n\
                    session-token = \"t\"\nexpires-at = 17\n";
        let keys = Keys::parse(text).unwrap();
        assert_eq!(keys.find("A").unwrap().account, "111111111111");
        assert_eq!(keys.find("B").unwrap().expires_at, Some(17));
        assert!(keys.find("C").is_none());
        let text = r#" {"key": [{"access-key": "A", "secret": "s", "account": "111111111111"}]}"#;
        assert_eq!(Keys::parse(text).unwrap().find("A").unwrap().secret, "s");
    }

    #[test]
    fn a_file_that_is_not_right_is_refused_without_its_secrets() {
        let key = |more: &str| {
            format!(
                "[[key]]\naccess-key = \"A\"\nsecret = \"s3cret\"\naccount = \"111111111111\"\n{more}"
            )
        };
        let cases = [
            (String::new(), "there is no [[key]]"),
            (key(&key("")), "the key A is there twice"),
            (key("colour = 1\n"), "unknown field `colour`"),
            (key("").replace("1\"", "\""), "twelve digits"),
            (key("").replace("\"A\"", "\"\""), "needs an id"),
            (key("").replace("t\"", "t"), "line 3"),
            (r#"{"key": [{"secret": "s3cret"}]}"#.to_owned(), "line 1"),
        ];
        for (text, expected) in cases {
            let refused = Keys::parse(&text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let text =
            r#"{"key": [{"access-key": "A", "secret": "s3cret", "account": "111111111111"}]}"#;
        assert!(!format!("{:?}", Keys::parse(text).unwrap()).contains("s3cret"));
    }
}
