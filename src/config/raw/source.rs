//! `[sources.NAME]` as it is typed: what every source takes, what each kind takes, and what each format takes. A table is
//! read as these once its kind is known ([`super::super::resolve::source`]); the schema knows them as one definition.

use std::borrow::Cow;
use std::path::PathBuf;

use figment::value::{Dict, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::{RawAuth, RawPagination, RawRetry, RawTotal};
use crate::config::schema::{of_source, source_kinds};
use crate::domain::units::{Rate, Size, Span, TypedLimit};

/// A source, until its kind is known.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct RawSource(pub Dict);

impl RawSource {
    /// What stands as its kind, where that is text.
    pub fn kind(&self) -> Option<&str> {
        self.0.get("kind").and_then(Value::as_str)
    }
}

/// What a source is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKind {
    /// csv: a file of delimited text; file: a file in any format; http: an API; union: several sources as one.
    #[schemars(extend("enum" = source_kinds()))]
    pub kind: Option<String>,
}

/// What every source takes: when a read of it is trusted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTrust {
    /// Columns that must be there besides those that a mapping names.
    #[schemars(extend("default" = []))]
    pub required: Option<Vec<String>>,
    /// How many rows of one person are expected. "many": that there are several is not warned of.
    #[schemars(extend("default" = "one"))]
    pub rows: Option<RawRows>,
    /// Fewer records than this: the source is not trusted, and nothing is done.
    #[schemars(extend("default" = 1))]
    pub min_records: Option<u64>,
    /// Fewer than the largest trusted read of the 7 days up to the last trusted one by more than this: not trusted.
    #[schemars(extend("default" = {"count": 10, "percent": 20}))]
    pub max_shrink: Option<TypedLimit>,
    /// More rejected rows than this: not trusted.
    #[schemars(extend("default" = {"count": 10, "percent": 5}))]
    pub max_rejected: Option<TypedLimit>,
    /// A file (or Last-Modified) older than this is not trusted.
    pub max_age: Option<Span>,
    /// What an incomplete read means.
    #[schemars(extend("default" = "stop"))]
    pub on_incomplete: Option<RawOnIncomplete>,
}

/// A file of delimited text.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCsvFile {
    /// The column that names a person for good, e.g. an employee number. Not of a union: its members have their own.
    #[schemars(length(min = 1))]
    pub key: Option<String>,
    /// Of kinds csv and file: the file, relative to this one; .gz and .zst are unpacked, "-" is standard input.
    #[schemars(length(min = 1))]
    pub path: Option<PathBuf>,
}

/// A file in any format.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    /// The column that names a person for good, e.g. an employee number. Not of a union: its members have their own.
    #[schemars(length(min = 1))]
    pub key: Option<String>,
    /// Of kinds csv and file: the file, relative to this one; .gz and .zst are unpacked, "-" is standard input.
    #[schemars(length(min = 1))]
    pub path: Option<PathBuf>,
    /// How the file or the answer is written; of kind http json unless said.
    pub format: Option<RawFormat>,
    /// JSON pointer to the declared number of records, or a header: the read is complete only when that many arrived.
    pub total: Option<RawTotal>,
}

/// An export behind an address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    /// The column that names a person for good, e.g. an employee number. Not of a union: its members have their own.
    #[schemars(length(min = 1))]
    pub key: Option<String>,
    /// Of kind http: the address.
    #[schemars(regex(pattern = crate::config::schema::ADDRESS))]
    pub url: Option<String>,
    /// How the file or the answer is written; of kind http json unless said.
    pub format: Option<RawFormat>,
    /// How to log in; nothing unless said.
    #[schemars(transform = crate::config::schema::auth_of_a_source)]
    pub auth: Option<RawAuth>,
    /// How an answer in pages goes on.
    #[schemars(extend("default" = {"kind": "none"}))]
    pub pagination: Option<RawPagination>,
    /// JSON pointer to the declared number of records, or a header: the read is complete only when that many arrived.
    pub total: Option<RawTotal>,
    /// How often a read is begun in all when the list moved while its pages were read.
    #[schemars(range(min = 1), extend("default" = 2))]
    pub reads: Option<u32>,
    /// More pages than this are a paging without end.
    #[schemars(range(min = 1), extend("default" = 100_000))]
    pub max_pages: Option<u64>,
    /// The largest page that is accepted, decompressed.
    #[schemars(extend("default" = "64MB"))]
    pub max_page: Option<Size>,
    /// A ceiling on requests.
    #[schemars(extend("default" = "20/s"))]
    pub rate: Option<Rate>,
    /// Of one whole call.
    #[schemars(extend("default" = "30s"))]
    pub timeout: Option<Span>,
    /// How often and how patiently a call is repeated.
    pub retry: Option<RawRetry>,
    /// A PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate and key that we show.
    pub client_cert: Option<PathBuf>,
    /// A proxy for every request, e.g. "http://proxy.example.com:3128".
    #[schemars(regex(pattern = crate::config::schema::ADDRESS))]
    pub proxy: Option<String>,
}

/// Several sources as one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUnion {
    /// Of kind union: the names of its sources.
    #[schemars(length(min = 1))]
    pub members: Option<Vec<String>>,
}

/// How delimited text is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDelimited {
    /// What separates the columns: one character.
    #[schemars(length(min = 1, max = 1), extend("default" = ","))]
    pub delimiter: Option<String>,
    /// What quotes a value: one character.
    #[schemars(length(min = 1, max = 1), extend("default" = "\""))]
    pub quote: Option<String>,
    /// The text's encoding, e.g. "utf-8", "utf-16" or "windows-1252"; a byte-order mark wins.
    #[schemars(extend("default" = "utf-8"))]
    pub encoding: Option<String>,
    /// A regular expression with one group: the last line of the text is no row, and its group is the number of rows
    /// before it, e.g. "^TOTAL;([0-9]+)".
    #[schemars(length(min = 1))]
    pub trailer: Option<String>,
}

/// Where things are in a JSON document.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDocument {
    /// JSON pointer to the array of records; "" is the whole document.
    #[schemars(regex(pattern = r"^(/.*)?$"), extend("default" = ""))]
    pub records: Option<String>,
    /// JSON pointer to what must be true for an answer to be believed.
    #[schemars(regex(pattern = r"^(/.*)?$"))]
    pub success: Option<String>,
}

/// How many rows of one person are expected.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawRows {
    /// One: who has several is warned of.
    One,
    /// Several.
    Many,
}

/// What an incomplete read means.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawOnIncomplete {
    /// Nothing is done.
    Stop,
    /// Creates and updates of what did arrive; nobody is banned.
    NoBans,
}

/// How a file or an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawFormat {
    /// One document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// Delimited text with a header.
    Csv,
}

impl JsonSchema for RawSource {
    fn schema_name() -> Cow<'static, str> {
        "RawSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        of_source(generator)
    }
}

/// The names of the keys of a struct.
pub fn fields<T: serde::de::DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It ends with an error as soon as it has the names.
    drop(T::deserialize(Names(&mut names)));
    names
}

/// Learns the names of a struct's keys, and gives no value.
struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = names;
        Err(de::Error::custom("its names are known"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
