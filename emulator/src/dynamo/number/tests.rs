//! Numbers against a table and against machine integers.

use proptest::prelude::*;

use super::Number;

fn text(number: &str) -> Result<String, String> {
    Number::parse(number).map(|number| number.to_string())
}

#[test]
fn what_is_stored_is_normalised() {
    for (given, stored) in [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e999999999999999999999", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("007", "7"),
        ("1E3", "1000"),
        ("1.10", "1.1"),
        ("1.0E-5", "0.00001"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-12.340", "-12.34"),
        ("100", "100"),
        ("120.0e-1", "12"),
        ("0.00123e2", "0.123"),
        (
            "12345678901234567890123456789012345678",
            "12345678901234567890123456789012345678",
        ),
        (
            "123456789012345678901234567890123456780000",
            "123456789012345678901234567890123456780000",
        ),
        (
            "0.00012345678901234567890123456789012345678",
            "0.00012345678901234567890123456789012345678",
        ),
    ] {
        assert_eq!(text(given).as_deref(), Ok(stored), "{given}");
    }
    assert_eq!(text("1e125").map(|text| text.len()), Ok(126));
    assert_eq!(text("1e-130").map(|text| text.len()), Ok(132));
}

#[test]
fn what_cannot_be_held_is_refused_in_the_services_words() {
    let over =
        "Number overflow. Attempting to store a number with magnitude larger than supported range";
    let under = "Number underflow. Attempting to store a number with magnitude smaller than supported range";
    let digits = "Attempting to store more than 38 significant digits in a Number";
    for (given, refusal) in [
        ("1e126", over),
        ("-10e125", over),
        ("1e99999999999999999999999", over),
        ("0.9e-130", under),
        ("1e-131", under),
        ("1e-99999999999999999999999", under),
        ("123456789012345678901234567890123456789", digits),
        ("1.00000000000000000000000000000000000001", digits),
        ("", "The parameter cannot be converted to a numeric value"),
        (
            "abc",
            "The parameter cannot be converted to a numeric value: abc",
        ),
        (
            "1e",
            "The parameter cannot be converted to a numeric value: 1e",
        ),
        (
            "1.2.3",
            "The parameter cannot be converted to a numeric value: 1.2.3",
        ),
        (
            ".",
            "The parameter cannot be converted to a numeric value: .",
        ),
        (
            "-",
            "The parameter cannot be converted to a numeric value: -",
        ),
        (
            "1 ",
            "The parameter cannot be converted to a numeric value: 1 ",
        ),
        (
            "٣",
            "The parameter cannot be converted to a numeric value: ٣",
        ),
    ] {
        assert_eq!(text(given), Err(refusal.to_owned()), "{given}");
    }
}

#[test]
fn arithmetic_is_exact_or_refused() {
    let nines = "9".repeat(38);
    let number = |text: &str| Number::parse(text).unwrap();
    let sum = |a: &str, b: &str| number(a).plus(number(b)).map(|sum| sum.to_string());
    let digits = "Attempting to store more than 38 significant digits in a Number".to_owned();
    assert_eq!(sum("0.1", "0.2").as_deref(), Ok("0.3"));
    assert_eq!(sum(&nines, "1"), Ok(format!("1{}", "0".repeat(38))));
    assert_eq!(
        sum("100000000000000000000000000000000000000", "-1"),
        Ok(nines.clone())
    );
    assert_eq!(sum(&nines, "2"), Err(digits.clone()));
    assert_eq!(sum("1e38", "1"), Err(digits.clone()));
    assert_eq!(sum("1e100", "1"), Err(digits.clone()));
    assert_eq!(sum("1e100", "-1"), Err(digits));
    assert_eq!(sum("1e100", "-1e100").as_deref(), Ok("0"));
    assert_eq!(
        number("9e125").plus(number("1e125")).unwrap_err(),
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    );
    assert_eq!(number("0").minus(number("5")).unwrap().to_string(), "-5");
    assert_eq!(number("5").minus(number("0")).unwrap().to_string(), "5");
}

#[test]
fn sizes_count_two_digits_to_a_byte() {
    for (given, size) in [
        ("0", 1),
        ("1", 2),
        ("-1", 3),
        ("12", 2),
        ("123", 3),
        ("1.2", 3),
        ("0.12", 2),
        ("1234", 3),
    ] {
        assert_eq!(Number::parse(given).unwrap().size(), size, "{given}");
    }
}

/// A decimal inside what both sides can hold: below 10^30, with up to six places.
fn scaled() -> impl Strategy<Value = i128> {
    prop_oneof![
        -1_000_i128..1_000,
        -(10_i128.pow(30))..10_i128.pow(30),
        (0_u32..30, -9_i128..10).prop_map(|(power, digit)| digit * 10_i128.pow(power)),
    ]
}

fn millionths(value: i128) -> String {
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    format!("{sign}{}.{:06}", value / 1_000_000, value % 1_000_000)
}

proptest! {
    #[test]
    fn sums_differences_and_order_agree_with_integers(a in scaled(), b in scaled()) {
        let number = |value: i128| Number::parse(&millionths(value)).unwrap();
        prop_assert_eq!(number(a).plus(number(b)).unwrap(), number(a + b));
        prop_assert_eq!(number(a).minus(number(b)).unwrap(), number(a - b));
        prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        prop_assert_eq!(number(a) == number(b), a == b);
    }

    #[test]
    fn what_is_written_reads_back(digits in "[1-9][0-9]{0,37}", exponent in -160_i32..140, minus: bool) {
        let given = format!("{}{digits}e{exponent}", if minus { "-" } else { "" });
        if let Ok(number) = Number::parse(&given) {
            let written = number.to_string();
            prop_assert_eq!(Number::parse(&written), Ok(number));
            prop_assert!(!written.contains(['e', 'E', '+']));
            prop_assert!(!written.contains('.') || !written.ends_with('0'));
        }
    }

    #[test]
    fn no_text_panics(text in "[-+.eE0-9]{0,60}") {
        drop(Number::parse(&text));
    }
}
