//! One request against the keys: its parts, its scope, its time, its key, its signature, in this
//! order, which is the service's. Pure.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, DATE, HOST, HeaderMap};
use sha2::{Digest, Sha256};

use crate::caller::{Caller, is_region};
use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};

use super::canonical::Pair;
use super::keys::{Key, Keys};
use super::{canonical, date};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// How far apart the two clocks may be.
const SKEW: Duration = Duration::from_secs(15 * 60);
/// The longest that a presigned request says it is good for.
const EXPIRES_MAX: u64 = 7 * 86_400;
const DATE_HEADER: &str = "x-amz-date";
const TOKEN_HEADER: &str = "x-amz-security-token";

/// A request as its signature sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// The host where no header names one.
    pub(crate) authority: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// The service it is for, as the credential scope has to name it.
    pub(crate) service: &'a str,
}

/// What a request says of its signature.
#[derive(Debug)]
struct Claim<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    /// As it stands there.
    date: Cow<'a, str>,
    at: Moment,
    token: Option<Cow<'a, str>>,
    /// Seconds that it is good for; presigned requests only.
    expires: Option<u64>,
}

/// Whose request it is.
///
/// # Errors
/// What the service answers instead, in its words.
pub(crate) fn verify<'a>(
    keys: &'a Keys,
    request: &Signed<'_>,
    now: Moment,
) -> Result<Caller<'a>, Refusal> {
    let pairs = canonical::pairs(request.query);
    let claim = claim(request, &pairs)?;
    let scope = scope(&claim, request.service)?;
    check_time(&claim, now)?;
    let has_host = |name: &str| name == HOST.as_str() || name == ":authority";
    if !claim.signed_headers.split(';').any(has_host) {
        let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(Refusal::new(Kind::InvalidSignature, text));
    }
    let invalid = || {
        let text = "The security token included in the request is invalid.";
        Refusal::new(Kind::UnrecognizedClient, text)
    };
    let key = keys.find(scope.key).ok_or_else(invalid)?;
    let is_same_token = match (&key.session_token, &claim.token) {
        (None, None) => true,
        (Some(known), Some(given)) => is_same(known.as_bytes(), given.as_bytes()),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !is_same_token {
        return Err(invalid());
    }
    if key.expires_at.is_some_and(|end| end <= now.seconds()) {
        let text = "The security token included in the request is expired";
        return Err(Refusal::new(Kind::ExpiredToken, text));
    }
    let canonical = canonical_request(request, &claim, &pairs);
    let to_sign = string_to_sign(&claim, &scope, &canonical);
    if !is_right(key, &scope, &to_sign, &claim.signature) {
        return Err(Refusal::new(
            Kind::InvalidSignature,
            format!(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.\n\nThe Canonical String for this request should have \
                 been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
            ),
        ));
    }
    Ok(Caller {
        account: &key.account,
        access_key: Some(&key.access_key),
        region: Cow::Owned(scope.region.to_owned()),
    })
}

/// The parts, from the header or from the query.
fn claim<'a>(request: &Signed<'a>, pairs: &'a [Pair<'a>]) -> Result<Claim<'a>, Refusal> {
    let header = request.headers.get(AUTHORIZATION);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let in_query = |name: &str| {
        let named = |pair: &&Pair<'a>| pair.0.as_ref() == name.as_bytes();
        let (_, value) = pairs.iter().find(named)?;
        Some(String::from_utf8_lossy(value))
    };
    match (header, in_query("X-Amz-Algorithm")) {
        (Some(_), Some(_)) => {
            let text = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' \
                        as HTTP header.";
            Err(Refusal::new(Kind::InvalidSignature, text))
        }
        (Some(header), None) if header.trim_start().starts_with("AWS4-") => {
            in_header(request, &header)
        }
        (Some(_) | None, None) => {
            let text = "Missing Authentication Token";
            Err(Refusal::new(Kind::MissingAuthenticationToken, text))
        }
        (None, Some(algorithm)) => presigned(&algorithm, in_query),
    }
}

fn in_header<'a>(request: &Signed<'a>, header: &str) -> Result<Claim<'a>, Refusal> {
    let header = header.trim();
    let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
    let part = |name: &str| {
        let mut parts = rest
            .split([',', ' '])
            .filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(found, _)| *found == name)?;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    let text = |name: &str| {
        let value = request.headers.get(name)?;
        value.to_str().ok().map(str::trim)
    };
    let basic = text(DATE_HEADER);
    let http = text(DATE.as_str());
    let (credential, signature) = (part("Credential"), part("Signature"));
    let signed_headers = part("SignedHeaders");
    let (Some(credential), Some(signature), Some(signed_headers), Some(date)) =
        (&credential, &signature, &signed_headers, basic.or(http))
    else {
        let mut missing = String::new();
        for (name, part) in [
            ("Credential", &credential),
            ("Signature", &signature),
            ("SignedHeaders", &signed_headers),
        ] {
            if part.is_none() {
                missing += &format!("Authorization header requires '{name}' parameter. ");
            }
        }
        if basic.or(http).is_none() {
            missing += "Authorization header requires existence of either a 'X-Amz-Date' or a \
                        'Date' header. ";
        }
        return Err(incomplete(format!("{missing}Authorization={header}")));
    };
    check_algorithm(algorithm)?;
    let at = if basic.is_some() {
        date::parse(date)
    } else {
        date::parse_http(date)
    };
    Ok(Claim {
        at: at.ok_or_else(|| unreadable_date(date))?,
        date: match basic {
            Some(basic) => Cow::Borrowed(basic),
            // What is signed is the basic form, however the header writes it.
            None => Cow::Owned(date::basic(at.unwrap_or_default())),
        },
        credential: Cow::Owned(credential.clone()),
        signed_headers: Cow::Owned(signed_headers.clone()),
        signature: Cow::Owned(signature.clone()),
        token: text(TOKEN_HEADER).map(Cow::Borrowed),
        expires: None,
    })
}

fn presigned<'a>(
    algorithm: &str,
    in_query: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<Claim<'a>, Refusal> {
    let part = |name: &str| in_query(name).filter(|value| !value.is_empty());
    let (credential, signature) = (part("X-Amz-Credential"), part("X-Amz-Signature"));
    let (signed_headers, date) = (part("X-Amz-SignedHeaders"), part("X-Amz-Date"));
    let (Some(credential), Some(signature), Some(signed_headers), Some(date)) =
        (&credential, &signature, &signed_headers, &date)
    else {
        let mut missing = String::new();
        for (name, part) in [
            ("X-Amz-Credential", &credential),
            ("X-Amz-Signature", &signature),
            ("X-Amz-SignedHeaders", &signed_headers),
            ("X-Amz-Date", &date),
        ] {
            if part.is_none() {
                missing += &format!("AWS query-string parameters must include '{name}'. ");
            }
        }
        return Err(incomplete(format!(
            "{missing}Re-examine the query-string parameters."
        )));
    };
    check_algorithm(algorithm)?;
    let expires = part("X-Amz-Expires").map(|text| {
        let seconds = text.parse::<u64>().ok();
        seconds.filter(|seconds| *seconds <= EXPIRES_MAX).ok_or_else(|| {
            incomplete(format!(
                "X-Amz-Expires must be a number of seconds from 0 to {EXPIRES_MAX}, got '{text}'"
            ))
        })
    });
    Ok(Claim {
        at: date::parse(date).ok_or_else(|| unreadable_date(date))?,
        date: date.clone(),
        credential: credential.clone(),
        signed_headers: signed_headers.clone(),
        signature: signature.clone(),
        token: in_query("X-Amz-Security-Token"),
        expires: expires.transpose()?,
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), Refusal> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(incomplete(format!(
        "Unsupported AWS 'algorithm': '{algorithm}'."
    )))
}

fn incomplete(text: String) -> Refusal {
    Refusal::new(Kind::IncompleteSignature, text)
}

fn unreadable_date(date: &str) -> Refusal {
    incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{date}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    ))
}

/// The parts of a credential.
#[derive(Clone, Copy, Debug)]
struct Scope<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

fn scope<'a>(claim: &'a Claim<'_>, service: &str) -> Result<Scope<'a>, Refusal> {
    let credential = claim.credential.as_ref();
    let parts: Vec<&str> = credential.split('/').collect();
    let &[key, date, region, named, terminator] = parts.as_slice() else {
        return Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{credential}'"
        )));
    };
    let mut wrong = String::new();
    if !is_region(region) {
        wrong += &format!("Credential should be scoped to a valid region, not '{region}'. ");
    }
    if named != service {
        wrong += &format!("Credential should be scoped to correct service: '{service}'. ");
    }
    if terminator != TERMINATOR {
        wrong += &format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
             '{terminator}'. "
        );
    }
    let basic = date::basic(claim.at);
    let day = basic.get(..8).unwrap_or_default();
    if date != day {
        wrong += &format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{date}' != '{day}', from '{basic}'. "
        );
    }
    if wrong.is_empty() {
        let service = named;
        return Ok(Scope {
            key,
            date,
            region,
            service,
        });
    }
    Err(Refusal::new(Kind::InvalidSignature, wrong))
}

fn check_time(claim: &Claim<'_>, now: Moment) -> Result<(), Refusal> {
    let good_for = claim.expires.map_or(SKEW, Duration::from_secs);
    let minutes = SKEW.as_secs() / 60;
    // The basic form has whole seconds, and so has what is compared with it.
    let now = Moment(now.seconds() * 1000);
    let (shown, signed) = (date::basic(now), date::basic(claim.at));
    if claim.at < now.before(good_for) {
        let end = date::basic(now.before(good_for));
        let span = match claim.expires {
            Some(seconds) => format!("{seconds} sec."),
            None => format!("{minutes} min."),
        };
        return Err(Refusal::new(
            Kind::InvalidSignature,
            format!("Signature expired: {signed} is now earlier than {end} ({shown} - {span})"),
        ));
    }
    if claim.at > now.after(SKEW) {
        let begin = date::basic(now.after(SKEW));
        return Err(Refusal::new(
            Kind::InvalidSignature,
            format!(
                "Signature not yet current: {signed} is still later than {begin} ({shown} + \
                 {minutes} min.)"
            ),
        ));
    }
    Ok(())
}

fn canonical_request(request: &Signed<'_>, claim: &Claim<'_>, pairs: &[Pair<'_>]) -> String {
    let names = claim.signed_headers.as_ref();
    format!(
        "{}\n{}\n{}\n{}\n{names}\n{}",
        request.method,
        canonical::path(request.path),
        canonical::query(pairs),
        canonical::headers(names, request.headers, request.authority),
        // Always of what came: a body that is not what its sender signed is never let in, whatever
        // a header says of it.
        hex(&Sha256::digest(request.body)),
    )
}

fn string_to_sign(claim: &Claim<'_>, scope: &Scope<'_>, canonical: &str) -> String {
    let Scope {
        date,
        region,
        service,
        ..
    } = scope;
    let hash = hex(&Sha256::digest(canonical));
    format!(
        "{ALGORITHM}\n{}\n{date}/{region}/{service}/{TERMINATOR}\n{hash}",
        claim.date
    )
}

/// Whether the signature is the key's, in a time that does not tell how much of it is right.
fn is_right(key: &Key, scope: &Scope<'_>, to_sign: &str, signature: &str) -> bool {
    let Some(signature) = from_hex(signature) else {
        return false;
    };
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in [scope.date, scope.region, scope.service, TERMINATOR] {
        signing = mac(&signing, part.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec();
    }
    mac(&signing, to_sign.as_bytes())
        .verify_slice(&signature)
        .is_ok()
}

/// Equality in a time that depends on the lengths alone.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mac = |text| mac(b"same", text);
    let right = mac(right).finalize().into_bytes();
    mac(left).verify_slice(&right).is_ok()
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a string does not fail");
    }
    out
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
