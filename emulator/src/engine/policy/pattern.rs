//! Texts with wildcards: `*` for any characters, `?` for one. In an ARN a wildcard of one part does not
//! reach into the next, save in the last.

/// Whether a text fits a pattern. Takes time in proportion to both lengths and no memory, whatever the
/// pattern.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on if the last star has to swallow one more character.
    let mut retry = None;
    loop {
        match (pattern.clone().next(), text.clone().next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                pattern.next();
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern.next();
                text.next();
                continue;
            }
            (Some(_) | None, _) => {}
        }
        let Some((after_star, rest)) = &mut retry else {
            return false;
        };
        if rest.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        text = rest.clone();
    }
}

/// Whether a text fits a pattern, letters of either case being the same.
pub(super) fn fits_any_case(pattern: &str, text: &str) -> bool {
    fits(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// Whether an ARN fits a pattern, part by part.
pub(super) fn fits_arn(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (mut patterns, mut parts) = (pattern.splitn(6, ':'), arn.splitn(6, ':'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if fits(pattern, part) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_stand_for_what_they_should() {
        for (pattern, text, is) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("kinesis:Get*", "kinesis:GetRecords", true),
            ("kinesis:Get*", "kinesis:PutRecord", false),
            ("**", "a", true),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(fits(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn a_wildcard_of_an_arn_stays_in_its_part() {
        let arn = "arn:aws:kinesis:us-east-1:000000000001:stream/orders";
        for (pattern, is) in [
            ("*", true),
            ("arn:aws:kinesis:us-east-1:000000000001:stream/orders", true),
            ("arn:aws:kinesis:*:*:stream/*", true),
            ("arn:*:stream/orders", false),
            ("arn:aws:kinesis:us-*-1:000000000001:stream/order?", true),
            ("arn:aws:kinesis:us-east-1:000000000001:*", true),
            (
                "arn:aws:kinesis:us-east-1:000000000002:stream/orders",
                false,
            ),
            ("arn:aws:kinesis:us-east-1:000000000001", false),
        ] {
            assert_eq!(fits_arn(pattern, arn), is, "{pattern}");
        }
    }

    /// By the book, in exponential time.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some((wanted, rest)) => text.split_first().is_some_and(|(found, text)| {
                (*wanted == '?' || wanted == found) && reference(rest, text)
            }),
        }
    }

    proptest! {
        #[test]
        fn fits_as_the_book_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &text), reference(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        assert!(!fits(&"*a".repeat(5_000), &"a".repeat(4_999)));
        assert!(!fits(&("*a".repeat(500) + "b"), &"a".repeat(5_000)));
    }
}
