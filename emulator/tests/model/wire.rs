//! Requests and replies in the service's second encoding: the same members, but payloads are bytes and
//! times are tagged whole milliseconds. Turned from and to JSON, so that the rest knows one form only.

use base64_simd::STANDARD;
use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

/// The tag of times.
const TIME: u64 = 1;

pub(crate) fn to_cbor(body: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&value_to_cbor("", body), &mut bytes).unwrap();
    bytes
}

fn value_to_cbor(member: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(is) => Cbor::Bool(*is),
        Value::Number(number) if member.ends_with("Timestamp") => {
            let millis = (number.as_f64().unwrap() * 1000.0).round();
            Cbor::Tag(TIME, Box::new(Cbor::from(millis as i64)))
        }
        Value::Number(number) => Cbor::from(number.as_i64().unwrap()),
        Value::String(text) if member == "Data" => {
            Cbor::Bytes(STANDARD.decode_to_vec(text).unwrap())
        }
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(values) => {
            let values = values.iter().map(|value| value_to_cbor(member, value));
            Cbor::Array(values.collect())
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (Cbor::Text(name.clone()), value_to_cbor(name, value)));
            Cbor::Map(members.collect())
        }
    }
}

/// An answer as JSON.
pub(crate) fn from_cbor(bytes: &[u8]) -> Result<Value, String> {
    let value = ciborium::from_reader(bytes).map_err(|error| error.to_string())?;
    value_from_cbor(value)
}

fn value_from_cbor(value: Cbor) -> Result<Value, String> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(is) => Value::Bool(is),
        Cbor::Integer(number) => {
            let number = i64::try_from(number).map_err(|error| error.to_string())?;
            Value::from(number)
        }
        Cbor::Float(number) => Value::Number(Number::from_f64(number).ok_or("not a number")?),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bytes(bytes) => Value::String(STANDARD.encode_to_string(bytes)),
        Cbor::Tag(TIME, millis) => match *millis {
            Cbor::Integer(millis) => {
                let millis = i64::try_from(millis).map_err(|error| error.to_string())?;
                Value::from(millis as f64 / 1000.0)
            }
            other => return Err(format!("a time of {other:?}")),
        },
        Cbor::Array(values) => {
            let values: Result<_, String> = values.into_iter().map(value_from_cbor).collect();
            Value::Array(values?)
        }
        Cbor::Map(members) => {
            let mut map = Map::new();
            for (name, value) in members {
                let name = name
                    .into_text()
                    .map_err(|name| format!("the name {name:?}"))?;
                map.insert(name, value_from_cbor(value)?);
            }
            Value::Object(map)
        }
        other => return Err(format!("{other:?} is in no reply")),
    })
}
