//! Base64 of JSON, decoded straight from the request's text. Called only by [`super::field`].

use base64_simd::STANDARD;

use crate::refusal::{Kind, Refusal};

/// How many bytes the text stands for. Right for every text that [`decode`] takes.
pub(crate) fn decoded_len(text: &str) -> usize {
    let padding = text
        .bytes()
        .rev()
        .take(2)
        .take_while(|byte| *byte == b'=')
        .count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Appends the bytes to `out`.
pub(crate) fn decode(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    STANDARD.decode_append(text, out).map_err(|_| refuse(text))
}

/// Says what is wrong, in the service's words.
fn refuse(text: &str) -> Refusal {
    let length = text.chars().count();
    let is_sound = |char: char| char.is_ascii_alphanumeric() || "+/=".contains(char);
    let why = if !length.is_multiple_of(4) {
        format!("Base64 encoded length is expected a multiple of 4 bytes but found: {length}")
    } else if let Some(char) = text.chars().find(|char| !is_sound(*char)) {
        format!("Invalid Base64 character: '{char}'")
    } else if text.trim_end_matches('=').contains('=') || text.ends_with("===") {
        "Invalid Base64 character: '='".to_owned()
    } else {
        "Invalid last non-pad Base64 character dectected".to_owned()
    };
    Refusal::new(
        Kind::Serialization,
        format!("'{text}' can not be converted to a Blob: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_base64_is_refused_in_the_services_words() {
        for (text, why) in [
            (
                "a",
                "Base64 encoded length is expected a multiple of 4 bytes but found: 1",
            ),
            (
                "YQ=",
                "Base64 encoded length is expected a multiple of 4 bytes but found: 3",
            ),
            ("=$!?", "Invalid Base64 character: '$'"),
            ("Y=Q=", "Invalid Base64 character: '='"),
            ("YR==", "Invalid last non-pad Base64 character dectected"),
        ] {
            let refusal = decode(text, &mut Vec::new()).unwrap_err();
            let expected = format!("'{text}' can not be converted to a Blob: {why}");
            assert_eq!(refusal.message, Some(expected));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_foretold_length(data in any::<Vec<u8>>()) {
            let text = STANDARD.encode_to_string(&data);
            prop_assert_eq!(decoded_len(&text), data.len());
            let mut out = vec![1];
            decode(&text, &mut out).unwrap();
            prop_assert_eq!(&out[1..], &data[..]);
        }

        #[test]
        fn no_text_makes_it_fail(text in ".{0,40}") {
            let (expected, mut out) = (decoded_len(&text), Vec::new());
            if decode(&text, &mut out).is_ok() {
                prop_assert_eq!(out.len(), expected);
            }
        }
    }
}
