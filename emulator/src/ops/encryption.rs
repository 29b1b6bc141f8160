//! What the start and the stop of encryption share. Nothing is encrypted here: records only remember
//! that they would have been.

use std::sync::Arc;

use serde::Deserialize;

use crate::engine::change::Change;
use crate::engine::rolling::Rolling;
use crate::engine::stream::Stream;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::address::Address;
use super::{Call, Reply};

/// Starts, and likewise stops, of one stream in any 24 hours.
const A_DAY: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    encryption_type: Option<Text<'a>>,
    #[serde(borrow)]
    key_id: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(kind) = checks.required(&"encryptionType", text(&self.encryption_type)) {
            checks.one_of(&"encryptionType", kind, &["NONE", "KMS"]);
        }
        if let Some(key) = checks.required(&"keyId", text(&self.key_id)) {
            checks.length(&"keyId", key, (1, 2048));
        }
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    /// The key, if the request names one that could be.
    fn key(&self) -> Result<&str, Refusal> {
        if text(&self.encryption_type) != Some("KMS") {
            return Err(Refusal::invalid("EncryptionType must be KMS."));
        }
        let key = text(&self.key_id).unwrap_or_default();
        if is_key(key) {
            return Ok(key);
        }
        let text = format!("Invalid keyId {key}");
        Err(Refusal::new(Kind::KmsNotFound, text))
    }
}

/// Encrypts from now on with the key that the request names; a stream may go from key to key.
pub(super) fn start(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let stream = Address::new(&request.stream_name, &request.stream_arn).stream(call)?;
    stream.change((call.now, call.engine.delays.update), |state| {
        let key = Arc::from(request.key()?);
        let starts = &mut state.quotas.encryption_starts;
        spend(starts, call, &stream, "StartStreamEncryption")?;
        Ok(Some(Change::Encryption(Some(key))))
    })?;
    Ok(Reply::Void)
}

/// Encrypts no longer. To stop what was never started does nothing.
pub(super) fn stop(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let stream = Address::new(&request.stream_name, &request.stream_arn).stream(call)?;
    stream.change((call.now, call.engine.delays.update), |state| {
        request.key()?;
        if state.key.is_none() {
            return Ok(None);
        }
        let stops = &mut state.quotas.encryption_stops;
        spend(stops, call, &stream, "StopStreamEncryption")?;
        Ok(Some(Change::Encryption(None)))
    })?;
    Ok(Reply::Void)
}

fn spend(
    rolling: &mut Rolling,
    call: &Call<'_>,
    stream: &Stream,
    operation: &str,
) -> Result<(), Refusal> {
    if rolling.spend(call.now, A_DAY) {
        return Ok(());
    }
    Err(Refusal::often(
        operation,
        A_DAY,
        &stream.name,
        &stream.scope,
    ))
}

/// Whether it names a key or an alias: by id, by alias name, or by the ARN of either.
fn is_key(key: &str) -> bool {
    if let Some(rest) = key.strip_prefix("arn:aws") {
        let Some((partition_and_service, rest)) = rest.split_once(":kms:") else {
            return false;
        };
        let mut parts = rest.splitn(3, ':');
        let is_region = parts.next().is_some_and(|region| !region.is_empty());
        let is_account = parts
            .next()
            .is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()));
        let resource = parts.next().unwrap_or_default();
        let names_key = resource.strip_prefix("key/").is_some_and(is_id) || is_alias(resource);
        return !partition_and_service.contains(':') && is_region && is_account && names_key;
    }
    is_id(key) || is_alias(key)
}

/// A GUID, or the id of a key that many regions share.
fn is_id(id: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(rest) = id.strip_prefix("mrk-") {
        return rest.len() == 32 && is_hex(rest);
    }
    let mut parts = id.split('-');
    [8, 4, 4, 4, 12].into_iter().all(|length| {
        parts
            .next()
            .is_some_and(|part| part.len() == length && is_hex(part))
    }) && parts.next().is_none()
}

fn is_alias(alias: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    alias
        .strip_prefix("alias/")
        .is_some_and(|name| !name.is_empty() && name.bytes().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_id_alias_or_arn() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        for key in [
            id,
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "alias/aws/kinesis",
            "alias/my-key_1",
            &format!("arn:aws:kms:us-east-1:123456789012:key/{id}"),
            "arn:aws-cn:kms:cn-north-1:123456789012:alias/mine",
        ] {
            assert!(is_key(key), "{key}");
        }
        for key in [
            "",
            "my-key",
            "alias/",
            "alias/a b",
            "1234abcd-12ab-34cd-56ef-1234567890a",
            "1234abcd-12ab-34cd-56ef-1234567890ab-",
            "arn:aws:kms:us-east-1:123456789012:key/mine",
            "arn:aws:kms:us-east-1:1:alias/mine",
            "arn:aws:s3:us-east-1:123456789012:alias/mine",
            "arn:aws:x:kms:us-east-1:123456789012:alias/mine",
            "mrk-1",
        ] {
            assert!(!is_key(key), "{key}");
        }
    }
}
