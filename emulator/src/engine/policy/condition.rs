//! Conditions of statements: an operator, a key of the call's context, and the values it is held to.
//!
//! As in IAM, a key that the call does not have fails a condition, unless that asks for the absence
//! (`Null`), asks for a difference (`StringNotEquals`), or has the suffix `IfExists`. A call has one
//! value of a key at most, so `ForAnyValue:` changes only what absence means, and so does
//! `ForAllValues:`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Access;
use super::document::Json;
use super::pattern::{fits, fits_arn};

/// One line of a condition: all of a statement's must hold.
#[derive(Debug)]
pub(super) struct Condition {
    test: Test,
    /// Whether the test must fail instead.
    is_negated: bool,
    /// Whether it holds for a call without the key.
    if_absent: bool,
    /// In lower case.
    key: String,
}

/// What is asked of a value: to pass for one of those listed.
#[derive(Debug)]
enum Test {
    Equals(Vec<String>),
    EqualsIgnoreCase(Vec<String>),
    Like(Vec<String>),
    Arn(Vec<String>),
    Bool(Vec<bool>),
    /// Of numbers, and of dates as seconds since 1970.
    Order(Order, Vec<f64>, fn(&str) -> Option<f64>),
    Ip(Vec<Block>),
    /// That there is none, or that there is one.
    IsAbsent(bool),
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug)]
struct Block {
    address: IpAddr,
    bits: u32,
}

impl Condition {
    /// The conditions of a statement.
    pub(super) fn all(json: &Json) -> Result<Vec<Self>, String> {
        let Json::Map(operators) = json else {
            return Err("Condition must be an object".to_owned());
        };
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let Json::Map(keys) = keys else {
                return Err(format!("{operator} must be an object of condition keys"));
            };
            for (key, values) in keys {
                let values = values.scalars().filter(|values| !values.is_empty());
                let values = values.ok_or_else(|| {
                    format!("{operator} must hold {key} to a value or a list of values")
                })?;
                conditions.push(Self::read(operator, key, values)?);
            }
        }
        Ok(conditions)
    }

    fn read(operator: &str, key: &str, values: Vec<String>) -> Result<Self, String> {
        let (set, plain) = match operator.split_once(':') {
            Some((set @ ("ForAllValues" | "ForAnyValue"), plain)) => (set, plain),
            _ => ("", operator),
        };
        let (plain, is_optional) = match plain.strip_suffix("IfExists") {
            Some(plain) if plain != "Null" => (plain, true),
            _ => (plain, false),
        };
        let (test, is_negated) = test(plain, values, operator)?;
        let if_absent = match set {
            "ForAllValues" => true,
            "ForAnyValue" => is_optional,
            _ => is_optional || is_negated,
        };
        Ok(Self {
            test,
            is_negated,
            if_absent,
            key: key.to_ascii_lowercase(),
        })
    }

    pub(super) fn holds(&self, access: &Access<'_>) -> bool {
        let value: Option<Cow<'_, str>> = (access.context)(&self.key);
        if let Test::IsAbsent(wanted) = self.test {
            return value.is_none() == wanted;
        }
        match value {
            Some(value) => self.test.passes(&value) != self.is_negated,
            None => self.if_absent,
        }
    }
}

/// The test of an operator, and whether it is negated.
fn test(plain: &str, values: Vec<String>, operator: &str) -> Result<(Test, bool), String> {
    let unknown = || format!("the condition operator {operator} is unknown");
    let all = |values: Vec<String>, what: &str, read: fn(&str) -> Option<f64>| {
        let wrong = |value: &String| format!("{operator} takes a {what}, not {value}");
        let numbers = values
            .iter()
            .map(|value| read(value).ok_or_else(|| wrong(value)));
        numbers.collect::<Result<Vec<_>, _>>()
    };
    for (family, what, read) in [
        ("Numeric", "number", number as fn(&str) -> Option<f64>),
        ("Date", "date", date),
    ] {
        let Some(order) = plain.strip_prefix(family) else {
            continue;
        };
        let (order, is_negated) = match order {
            "Equals" => (Order::Equal, false),
            "NotEquals" => (Order::Equal, true),
            "LessThan" => (Order::Less, false),
            "LessThanEquals" => (Order::LessOrEqual, false),
            "GreaterThan" => (Order::Greater, false),
            "GreaterThanEquals" => (Order::GreaterOrEqual, false),
            _ => return Err(unknown()),
        };
        return Ok((
            Test::Order(order, all(values, what, read)?, read),
            is_negated,
        ));
    }
    let is_negated = plain.contains("Not");
    let test = match plain {
        "StringEquals" | "StringNotEquals" | "BinaryEquals" => Test::Equals(values),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => Test::EqualsIgnoreCase(values),
        "StringLike" | "StringNotLike" => Test::Like(values),
        "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => Test::Arn(values),
        "Bool" => Test::Bool(truths(&values, operator)?),
        "IpAddress" | "NotIpAddress" => Test::Ip(blocks(&values, operator)?),
        "Null" => match truths(&values, operator)?[..] {
            [wanted] => Test::IsAbsent(wanted),
            _ => return Err("Null takes one value".to_owned()),
        },
        _ => return Err(unknown()),
    };
    Ok((test, is_negated))
}

impl Test {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Equals(all) => all.iter().any(|wanted| wanted == value),
            Self::EqualsIgnoreCase(all) => {
                let value = value.to_lowercase();
                all.iter().any(|wanted| wanted.to_lowercase() == value)
            }
            Self::Like(all) => all.iter().any(|pattern| fits(pattern, value)),
            Self::Arn(all) => all.iter().any(|pattern| fits_arn(pattern, value)),
            Self::Bool(all) => truth(value).is_some_and(|truth| all.contains(&truth)),
            Self::Order(order, all, read) => {
                read(value).is_some_and(|value| all.iter().any(|bound| order.holds(value, *bound)))
            }
            Self::Ip(all) => value
                .parse()
                .is_ok_and(|address| all.iter().any(|block| block.contains(address))),
            Self::IsAbsent(wanted) => !wanted,
        }
    }
}

impl Order {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    fn contains(self, other: IpAddr) -> bool {
        let (own, other, width) = match (self.address, other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let rest = width - self.bits;
        (own ^ other).checked_shr(rest).unwrap_or(0) == 0
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn truths(values: &[String], operator: &str) -> Result<Vec<bool>, String> {
    let wrong = |value: &String| format!("{operator} takes true or false, not {value}");
    let truths = values
        .iter()
        .map(|value| truth(value).ok_or_else(|| wrong(value)));
    truths.collect()
}

fn blocks(values: &[String], operator: &str) -> Result<Vec<Block>, String> {
    let wrong = |value: &String| format!("{operator} takes an address or a range, not {value}");
    let blocks = values
        .iter()
        .map(|value| Block::parse(value).ok_or_else(|| wrong(value)));
    blocks.collect()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Seconds since 1970 of a date in ISO 8601 and UTC, or of just such seconds.
fn date(text: &str) -> Option<f64> {
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let mut day = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute) = (time.next()??, time.next()??);
    let second = time.next().unwrap_or(Some(0.0))?;
    let is_day = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = (0.0..24.0).contains(&hour)
        && (0.0..60.0).contains(&minute)
        && (0.0..=60.0).contains(&second);
    if !is_day || !is_time {
        return None;
    }
    // Years from March on, so that the leap day is the last of its year.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between the first of March of the year 0 and 1970.
    Some((days - 719_468) as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("1970-01-01", Some(0.0)),
            ("2000-02-29T12:30:15Z", Some(951_827_415.0)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000.0)),
            ("1700000000", Some(1_700_000_000.0)),
            ("2023-11-14T22:13Z", Some(1_699_999_980.0)),
            ("2023-13-14T22:13:20Z", None),
            ("2023-11-14T22:13:20", None),
            ("yesterday", None),
        ] {
            assert_eq!(date(text), seconds, "{text}");
        }
    }

    #[test]
    fn blocks_hold_the_addresses_that_begin_as_they_do() {
        for (block, address, is) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::/0", "10.0.0.1", false),
        ] {
            let found = Block::parse(block)
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(found, is, "{block} {address}");
        }
        for wrong in ["10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/", ""] {
            assert!(Block::parse(wrong).is_none(), "{wrong}");
        }
    }
}
