//! What is known of an account, read without a copy of its texts.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A value that is known.
pub(super) enum Held<'j> {
    Text(Cow<'j, str>),
    Other(Value),
}

/// The fields of such a JSON object, in the order of their names; nothing where it is no object, or in another order.
pub(super) fn held(json: &str) -> Option<Vec<(Cow<'_, str>, Held<'_>)>> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    fields.is_sorted_by(|(a, _), (b, _)| a < b).then_some(fields)
}

struct Fields<'j>(Vec<(Cow<'j, str>, Held<'j>)>);

/// A name, which [`Held`] reads too.
struct Name<'j>(Cow<'j, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Held::deserialize(deserializer)? {
            Held::Text(name) => Ok(Name(name)),
            Held::Other(_) => Err(D::Error::custom("a name is no text")),
        }
    }
}

impl<'de> Deserialize<'de> for Held<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfValue;

        impl<'de> Visitor<'de> for OfValue {
            type Value = Held<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Held<'de>, E> {
                Ok(Held::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Held<'de>, E> {
                Ok(Held::Text(Cow::Owned(text.into())))
            }

            fn visit_unit<E>(self) -> Result<Held<'de>, E> {
                Ok(Held::Other(Value::Null))
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Held<'de>, E> {
                Ok(Held::Other(yes.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Held<'de>, E> {
                Ok(Held::Other(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Held<'de>, E> {
                Ok(Held::Other(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Held<'de>, E> {
                Ok(Held::Other(number.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Held<'de>, A::Error> {
                Value::deserialize(SeqAccessDeserializer::new(items)).map(Held::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Held<'de>, A::Error> {
                Value::deserialize(MapAccessDeserializer::new(members)).map(Held::Other)
            }
        }

        deserializer.deserialize_any(OfValue)
    }
}
