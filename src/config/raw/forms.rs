//! Values that can be typed in more than one form: a text or a list, a secret as text or as a table that says where it
//! is, a mapping rule as the name of a column or as a table.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A text, or a list of texts.
#[derive(Debug, JsonSchema)]
#[schemars(with = "TextOrTexts")]
pub struct OneOrMany(pub Vec<String>);

/// [`OneOrMany`] as the schema has it.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[allow(dead_code)] // It is read by the derived schema alone.
enum TextOrTexts {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// A secret as typed: literal text, or a table that says where it is. `Debug` shows no text.
#[derive(Debug, JsonSchema)]
#[schemars(
    untagged,
    rename = "Secret",
    description = "A secret: where it is, or literal text where only owner and \
    group can read this file. It is read again at each run."
)]
pub enum RawSecret {
    /// Literal text, where only owner and group can read this file.
    Literal(#[schemars(with = "String")] SecretString),
    /// Where it is.
    Table(SecretTable),
}

/// Where a secret is: exactly one place.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["env"]}, {"required": ["file"]}, {"required": ["credential"]}]))]
pub struct SecretTable {
    /// In this environment variable.
    pub env: Option<String>,
    /// In this file, which others must not be able to read; one line break at its end is dropped.
    pub file: Option<PathBuf>,
    /// A credential that systemd passes.
    #[schemars(regex(pattern = "^[^/]+$"))]
    pub credential: Option<String>,
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;
        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = RawSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret: { env }, { file }, { credential } or text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawSecret, E> {
                Ok(RawSecret::Literal(SecretString::from(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                SecretTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawSecret::Table)
            }
        }
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Where a number of all records is declared: a JSON pointer, or a table that names a header.
#[derive(Debug, JsonSchema)]
#[schemars(with = "PointerOrHeader")]
pub enum RawTotal {
    /// JSON pointer.
    Pointer(String),
    /// A header.
    Header(RawHeader),
}

/// [`RawTotal`] as the schema has it.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[allow(dead_code)] // It is read by the derived schema alone.
enum PointerOrHeader {
    Pointer(#[schemars(regex(pattern = r"^(/.*)?$"))] String),
    Header(RawHeader),
}

/// A header of the answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["header"]))]
pub struct RawHeader {
    /// Its name, e.g. "X-Total-Count".
    #[schemars(length(min = 1))]
    pub header: Option<String>,
}

impl<'de> Deserialize<'de> for RawTotal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TotalVisitor;
        impl<'de> Visitor<'de> for TotalVisitor {
            type Value = RawTotal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON pointer, or { header }")
            }

            fn visit_str<E: de::Error>(self, pointer: &str) -> Result<RawTotal, E> {
                Ok(RawTotal::Pointer(pointer.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTotal, A::Error> {
                RawHeader::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawTotal::Header)
            }
        }
        deserializer.deserialize_any(TotalVisitor)
    }
}

/// The right-hand side of a mapping: a column, or a table.
#[derive(Debug, JsonSchema)]
#[schemars(with = "ColumnOrTable")]
pub struct RawRule(pub RuleTable);

/// [`RawRule`] as the schema has it.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[allow(dead_code)] // It is read by the derived schema alone.
enum ColumnOrTable {
    /// The column that the value comes from.
    Column(#[schemars(length(min = 1))] String),
    Table(RuleTable),
}

/// Where a field's value comes from: exactly one of `column`, `cel` and `value`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule", extend("oneOf" = [{"required": ["column"]}, {"required": ["cel"]}, {"required": ["value"]}]))]
pub struct RuleTable {
    /// The column that the value comes from.
    #[schemars(length(min = 1))]
    pub column: Option<String>,
    /// A CEL expression over the columns, e.g. "email.trim().lowerAscii()".
    pub cel: Option<String>,
    /// A constant.
    pub value: Option<Value>,
    /// When the field is written.
    #[schemars(extend("default" = "always"))]
    pub when: Option<RawWhen>,
    /// What an emptied source field means.
    #[schemars(extend("default" = "clear"))]
    pub empty: Option<RawEmpty>,
}

/// When a field is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawWhen {
    /// Whenever it differs.
    Always,
    /// Only when the account is made.
    Create,
}

/// What an emptied source field means.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawEmpty {
    /// The field is emptied on the target too.
    Clear,
    /// The field is left alone.
    Omit,
}

impl<'de> Deserialize<'de> for RawRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = RawRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column, or { column }, { cel } or { value }")
            }

            fn visit_str<E: de::Error>(self, column: &str) -> Result<RawRule, E> {
                Ok(RawRule(RuleTable { column: Some(column.to_owned()), ..RuleTable::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRule, A::Error> {
                RuleTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawRule)
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}
