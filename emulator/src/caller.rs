//! Who calls: the account a request speaks for, and the access key it was made with.
//!
//! Read from the request by [`crate::Service`] before any operation; with signatures checked the
//! account is the key's, otherwise it is what the credential scope says. Handed to the operations in
//! their call, which compare it with the account that owns a resource.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HeaderMap};

use crate::Scope;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller<'a> {
    /// Twelve digits.
    pub(crate) account: &'a str,
    /// The access key's id; nothing where a request names none.
    pub(crate) access_key: Option<&'a str>,
    /// The region the request was made for.
    pub(crate) region: Cow<'a, str>,
}

/// Where a request comes from. The listener puts it among the request's extensions; a request that
/// never saw a socket has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) is_tls: bool,
}

impl<'a> Caller<'a> {
    /// The caller as the request names himself, for services that check no signatures. An access key
    /// of twelve digits names the account.
    pub(crate) fn claimed(headers: &'a HeaderMap, query: Option<&'a str>, own: &'a Scope) -> Self {
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let credential = authorization
            .and_then(|value| value.split_once("Credential="))
            .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default())
            .map(|credential| (credential, "/"))
            .or_else(|| Some((in_query(query?)?, "%2F")));
        let (access_key, region) =
            credential.map_or((None, None), |(text, slash)| parts(text, slash));
        Self {
            account: access_key
                .filter(|key| is_account(key))
                .unwrap_or(&own.account),
            access_key,
            region: Cow::Borrowed(region.unwrap_or(&own.region)),
        }
    }
}

/// The credential of a presigned request, still encoded.
fn in_query(query: &str) -> Option<&str> {
    let pair = |pair: &'static str| move |part| str::strip_prefix(part, pair);
    query.split('&').find_map(pair("X-Amz-Credential="))
}

/// Access key and region of a credential.
fn parts<'a>(credential: &'a str, slash: &str) -> (Option<&'a str>, Option<&'a str>) {
    // Some clients leave the slashes of a query as they are.
    let slash = if credential.contains('/') { "/" } else { slash };
    let mut parts = credential.split(slash);
    let is_key = |key: &&str| {
        (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let access_key = parts.next().filter(is_key);
    (access_key, parts.nth(1).filter(|region| is_region(region)))
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn is_region(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(authorization: &str, query: Option<&str>) -> (String, Option<String>, String) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        let own = Scope::default();
        let caller = Caller::claimed(&headers, query, &own);
        (
            caller.account.to_owned(),
            caller.access_key.map(str::to_owned),
            caller.region.into_owned(),
        )
    }

    fn is(account: &str, key: Option<&str>, region: &str) -> (String, Option<String>, String) {
        (
            account.to_owned(),
            key.map(str::to_owned),
            region.to_owned(),
        )
    }

    #[test]
    fn account_and_region_come_from_the_credential_scope() {
        let header = |key: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={key}/20250101/eu-west-1/kinesis/aws4_request, \
                 SignedHeaders=host, Signature=00"
            )
        };
        let none = Scope::DEFAULT_ACCOUNT;
        assert_eq!(
            claimed(&header("test"), None),
            is(none, Some("test"), "eu-west-1")
        );
        let key = "123456789012";
        assert_eq!(claimed(&header(key), None), is(key, Some(key), "eu-west-1"));
        for garbage in ["", "Bearer x", "Credential=", "Credential=/b"] {
            assert_eq!(claimed(garbage, None), is(none, None, "us-east-1"));
        }
        assert_eq!(
            claimed("Credential=a/b/?/c", None),
            is(none, Some("a"), "us-east-1")
        );
    }

    #[test]
    fn a_presigned_request_names_its_caller_in_the_query() {
        for slash in ["%2F", "/"] {
            let scope = ["000000000007", "20250101", "eu-west-1", "kinesis"].join(slash);
            let query = format!("X-Amz-Algorithm=x&X-Amz-Credential={scope}&X-Amz-Date=y");
            let expected = is("000000000007", Some("000000000007"), "eu-west-1");
            assert_eq!(claimed("", Some(&query)), expected);
        }
    }
}
