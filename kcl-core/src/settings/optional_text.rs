//! As `text`, where a time may be absent.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

#[expect(clippy::ref_option, reason = "serde calls it")]
pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => super::text::serialize(time, to),
        None => to.serialize_none(),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let time = text.map(|text| humantime::parse_duration(&text));
    time.transpose().map_err(D::Error::custom)
}
