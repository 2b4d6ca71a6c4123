//! The small languages inside configuration values: durations, rates, sizes, limits.
//!
//! Each has one parser, [`FromStr`], and `Deserialize` goes through it, so that a value means the same in a file, in
//! the environment and on the command line. A refusal says what was found and how to write it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::domain::limits::Limit;

/// Why a value can't be read, and how to write it. `Display` is the two of them on lines of their own, which is how
/// they pass through serde.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What was found and what it is not.
    pub message: String,
    /// How to write it.
    pub help: String,
}

/// Between message and help in [`UnitError`]'s `Display`.
pub const HELP_MARK: &str = "\nhelp: ";

impl UnitError {
    fn new(found: &str, what: &str, help: &str) -> Self {
        UnitError { message: format!("{found:?} is not {what}"), help: help.to_owned() }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{HELP_MARK}{}", self.message, self.help)
    }
}

impl std::error::Error for UnitError {}

/// A whole number at the head of a text, and what follows it.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

/// A length of time: `500ms`, `30s`, `15m`, `26h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const SPAN_HELP: &str = r#"write a whole number and ms, s, m, h or d, e.g. "30s", "15m" or "7d""#;

/// A century: longer than anything configured can mean, and far from the overflow of any clock arithmetic.
const LONGEST_SPAN: Duration = Duration::from_secs(100 * 366 * 86_400);

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(text, "a duration", SPAN_HELP);
        let (number, unit) = number_and_unit(text.trim()).ok_or_else(error)?;
        let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
        let span = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => seconds(1),
            "m" | "min" => seconds(60),
            "h" => seconds(3_600),
            "d" => seconds(86_400),
            _ => return Err(error()),
        };
        match span.filter(|s| *s <= LONGEST_SPAN) {
            Some(span) => Ok(Span(span)),
            None => Err(UnitError::new(text, "a duration of at most a century", SPAN_HELP)),
        }
    }
}

impl fmt::Display for Span {
    /// In the largest unit that divides it, so that it reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, each) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis >= each && millis.is_multiple_of(each) {
                return write!(f, "{}{unit}", millis / each);
            }
        }
        if millis == 0 { f.write_str("0s") } else { write!(f, "{millis}ms") }
    }
}

/// How many requests in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests; at least 1.
    pub count: u32,
    /// In this time; one second, one minute or one hour.
    pub per: Duration,
}

const RATE_HELP: &str = r#"write a number, a slash and s, min or h, e.g. "10/s""#;

impl Rate {
    /// Requests per second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }

    /// The burst that goes with it unless another is configured: a tenth of a second's worth, at least 1.
    pub fn default_burst(&self) -> u32 {
        let tenth = u64::from(self.count) / (self.per.as_secs().max(1) * 10);
        u32::try_from(tenth).unwrap_or(u32::MAX).max(1)
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(text, "a rate", RATE_HELP);
        let (count, unit) = text.trim().split_once('/').ok_or_else(error)?;
        let per = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            _ => return Err(error()),
        };
        let count = count.trim();
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        match count.parse::<u32>() {
            Ok(0) => Err(UnitError::new(text, "a rate above nothing", "to stop a sync, take it out or pause it")),
            Ok(count) => Ok(Rate { count, per: Duration::from_secs(per) }),
            Err(_) => Err(error()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            3_600 => "h",
            60 => "min",
            _ => "s",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// A number of bytes: `10MB`. Units are decimal, as storage is sold: 1 kB is 1000 bytes; `KiB`, `MiB`, `GiB` are
/// binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_HELP: &str = r#"write a whole number and B, kB, MB or GB, e.g. "10MB""#;

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(text, "a size", SIZE_HELP);
        let (number, unit) = number_and_unit(text.trim()).ok_or_else(error)?;
        let each: u64 = match unit.to_ascii_lowercase().as_str() {
            "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return Err(error()),
        };
        number.checked_mul(each).map(Size).ok_or_else(error)
    }
}

const LIMIT_HELP: &str =
    r#"write a count (20), a share ("5%"), "unlimited", or { count = 10, percent = 5 } for whichever allows more"#;

impl FromStr for Limit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(text, "a limit", LIMIT_HELP);
        let word = text.trim();
        if word == "unlimited" {
            return Ok(Limit::Unlimited);
        }
        match number_and_unit(word).ok_or_else(error)? {
            (count, "") => Ok(Limit::AtMost { count: Some(count), percent: None }),
            (percent, "%") => Ok(Limit::AtMost { count: None, percent: Some(whole_percent(percent)?) }),
            _ => Err(error()),
        }
    }
}

/// A share in percent, which is at most all of it.
fn whole_percent(percent: u64) -> Result<u8, UnitError> {
    let share = u8::try_from(percent).ok().filter(|p| *p <= 100);
    share.ok_or_else(|| UnitError::new(&format!("{percent}%"), "a share of 0 to 100 per cent", LIMIT_HELP))
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Limit::Unlimited => f.write_str("unlimited"),
            Limit::AtMost { count: Some(count), percent: Some(percent) } => write!(f, "{count} or {percent}%"),
            Limit::AtMost { count: None, percent: Some(percent) } => write!(f, "{percent}%"),
            Limit::AtMost { count, percent: None } => write!(f, "{}", count.unwrap_or(0)),
        }
    }
}

/// A [`Limit`] as it is typed in the configuration. (`Limit`'s own serde form is the one that is stored.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypedLimit(pub Limit);

impl<'de> Deserialize<'de> for TypedLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor).map(TypedLimit)
    }
}

struct LimitVisitor;

/// A count, a share, or both: whichever allows more.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
struct LimitTable {
    /// So many.
    count: Option<u64>,
    /// So many of a hundred.
    #[schemars(range(max = 100))]
    percent: Option<u64>,
}

impl<'de> Visitor<'de> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a limit: a count, a share such as "5%", "unlimited", or { count, percent }"#)
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<Limit, E> {
        Ok(Limit::AtMost { count: Some(count), percent: None })
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<Limit, E> {
        let count =
            u64::try_from(count).map_err(|_| E::custom(UnitError::new(&count.to_string(), "a limit", LIMIT_HELP)))?;
        self.visit_u64(count)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limit, A::Error> {
        let LimitTable { count, percent } = LimitTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if count.is_none() && percent.is_none() {
            return Err(de::Error::custom(UnitError::new("{}", "a limit", LIMIT_HELP)));
        }
        let percent = percent.map(whole_percent).transpose().map_err(de::Error::custom)?;
        Ok(Limit::AtMost { count, percent })
    }
}

/// `Deserialize` from a text, through `FromStr`.
macro_rules! deserialize_from_text {
    ($($type:ty, $expected:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    )*};
}

deserialize_from_text! {
    Span, r#"a duration in quotes, such as "30s""#;
    Rate, r#"a rate in quotes, such as "10/s""#;
    Size, r#"a size in quotes, such as "10MB""#;
}

/// The schema of a value that is typed as text of this form.
macro_rules! schema_of_text {
    ($($type:ty, $name:literal, $description:literal, $pattern:literal;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

schema_of_text! {
    Span, "Duration", r#"A duration: a whole number and ms, s, m, h or d, e.g. "30s", "15m" or "7d"."#,
        r"^\s*[0-9]+\s*(ms|s|m|min|h|d)\s*$";
    Rate, "Rate", r#"A rate: a number, a slash and s, min or h, e.g. "10/s"."#,
        r"^\s*0*[1-9][0-9]*\s*/\s*(s|min|h)\s*$";
    Size, "Size", r#"A size: a whole number and B, kB, MB or GB, e.g. "10MB"."#,
        r"^\s*[0-9]+\s*([kKmMgG][iI]?)?[bB]\s*$";
}

impl JsonSchema for TypedLimit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": LIMIT_HELP,
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": r"^\s*(unlimited|[0-9]+|0*(100|[0-9]{1,2})\s*%)\s*$" },
                generator.subschema_for::<LimitTable>(),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_each_unit() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("15m", 900_000), ("26h", 93_600_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "s", "30", "-1s", "1.5h", "30 sec", "1e3s", "99999999999999999999s", "18446744073709551615d"] {
            let error = text.parse::<Span>().expect_err(text);
            assert!(error.message.contains(text) && error.help.contains("30s"), "{error:?}");
        }
    }

    #[test]
    fn rates_and_their_default_burst() {
        for (text, count, secs, burst) in
            [("10/s", 10, 1, 1), ("600/min", 600, 60, 1), ("1000/h", 1000, 3600, 1), ("500/s", 500, 1, 50)]
        {
            let rate: Rate = text.parse().expect(text);
            assert_eq!((rate.count, rate.per.as_secs(), rate.default_burst()), (count, secs, burst), "{text}");
        }
        for text in ["10", "10/sec", "/s", "+1/s", "-1/s", "0/s", "10/s/s", "1.5/s", "99999999999/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        let error = "10/sec".parse::<Rate>().expect_err("not a rate");
        assert_eq!(error.message, r#""10/sec" is not a rate"#);
    }

    #[test]
    fn sizes_are_decimal_unless_they_say_otherwise() {
        assert_eq!("10MB".parse(), Ok(Size(10_000_000)));
        assert_eq!("64 MiB".parse(), Ok(Size(64 << 20)));
        assert!("10".parse::<Size>().is_err());
        assert!("18446744073709551615GB".parse::<Size>().is_err());
    }

    #[test]
    fn limits_in_every_spelling() {
        let at_most = |count, percent| TypedLimit(Limit::AtMost { count, percent });
        let cases = [
            ("20", at_most(Some(20), None)),
            (r#""20""#, at_most(Some(20), None)),
            (r#""5%""#, at_most(None, Some(5))),
            (r#""unlimited""#, TypedLimit(Limit::Unlimited)),
            (r#"{"count":10,"percent":5}"#, at_most(Some(10), Some(5))),
            (r#"{"percent":5}"#, at_most(None, Some(5))),
        ];
        for (text, limit) in cases {
            assert_eq!(serde_json::from_str::<TypedLimit>(text).ok(), Some(limit), "{text}");
        }
        for text in
            ["-1", r#""-1""#, r#""101%""#, r#"{"percent":101}"#, "{}", r#""5 %%""#, "true", "1.5", r#"{"cuont":1}"#]
        {
            assert!(serde_json::from_str::<TypedLimit>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn a_printed_duration_reads_back(millis in 0u64..=3_000_000_000_000) {
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn a_printed_rate_reads_back(count in 1u32.., unit in 0usize..3) {
            let rate = Rate { count, per: Duration::from_secs([1, 60, 3_600][unit]) };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
            prop_assert!(rate.default_burst() >= 1);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,20}") {
            let _ = (text.parse::<Span>(), text.parse::<Rate>(), text.parse::<Size>(), text.parse::<Limit>());
        }

        #[test]
        fn a_limit_allows_the_greater_of_its_two_parts(count in 0u64..1000, percent in 0u64..=100, users in 0u64..1_000_000) {
            let text = format!(r#"{{"count":{count},"percent":{percent}}}"#);
            let limit = serde_json::from_str::<TypedLimit>(&text).expect("a limit").0;
            prop_assert_eq!(limit.allowed(users), Some(count.max(users * percent / 100)));
        }
    }
}
