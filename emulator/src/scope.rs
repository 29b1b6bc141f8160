//! Whose request this is: the account and the region, as the credential scope names them.
//!
//! Every stream and every table lives inside one scope; nothing is shared between two. Made by
//! [`crate::Service`] for each request, handed down to the engine and to the tables.

use std::sync::Arc;

/// The account and the region a request speaks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Twelve digits.
    pub account: Arc<str>,
    /// Such as `us-east-1`.
    pub region: Arc<str>,
}

impl Scope {
    /// The account of a request that does not say.
    pub const DEFAULT_ACCOUNT: &'static str = "000000000000";
    /// The region of a request that does not say.
    pub const DEFAULT_REGION: &'static str = "us-east-1";

    /// The scope of `account` in `region`.
    pub fn new(account: impl Into<Arc<str>>, region: impl Into<Arc<str>>) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }

    /// The partition of the region, as ARNs name it.
    pub(crate) fn partition(&self) -> &'static str {
        match self.region.as_ref() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::new(Self::DEFAULT_ACCOUNT, Self::DEFAULT_REGION)
    }
}
