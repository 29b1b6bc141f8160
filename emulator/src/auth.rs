//! Whether a request is from whom it says: nothing is checked, or its signature is.
//!
//! [`Keys`] are who may call; [`verify`] is the pure check of one request against them, in the
//! service's order and words. Called by [`crate::Service`] after the request's target is known and
//! before its body is looked at. What the caller may do is not decided here.

mod canonical;
mod date;
mod keys;
mod verify;

pub(crate) use self::date::http as http_date;
pub use self::keys::{Key, Keys, UnusableKeys};
pub(crate) use self::verify::{Signed, verify};

/// How requests prove whose they are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Auth {
    /// Everyone is believed, signed or not: account and region are what the credential scope says.
    #[default]
    Off,
    /// Signature Version 4, by these keys. The account is the key's.
    SigV4(Keys),
}

impl Auth {
    /// Whether anything is checked.
    pub(crate) fn is_checked(&self) -> bool {
        match self {
            Self::Off => false,
            Self::SigV4(_) => true,
        }
    }
}
