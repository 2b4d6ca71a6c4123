//! Whose an id, an address or another value is, for one who asks by hand: every body is looked through, since an index of
//! values would cost each write of a run.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::db::args;
use super::{Command, Db, StateError};
use crate::domain::ids::SyncId;
use crate::domain::record::Key;
use crate::domain::value::{Attributes, folded_each};

/// Who has an account of this id, or this value in one of these fields, case-folded. Reads every body: for one who
/// asks by hand, not for a run.
#[derive(Debug)]
pub struct WhoHas {
    /// Whose.
    pub sync: SyncId,
    /// The id or value.
    pub who: String,
    /// The fields.
    pub fields: Vec<String>,
}

impl Command for WhoHas {
    type Reply = BTreeSet<Key>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut found = Self::Reply::new();
        let by_id: Option<String> =
            db.one("SELECT key FROM person WHERE sync = ?1 AND remote_id = ?2", args![self.sync, self.who], |row| {
                row.get(0)
            })?;
        if let Some(key) = by_id {
            found.extend(Key::parse(&key));
            return Ok(found);
        }
        let wanted = self.who.to_lowercase();
        let sieve = sieve(&wanted);
        let mut statement = db.prepare("SELECT key, attributes, observed FROM body WHERE sync = ?1")?;
        statement.each(args![self.sync], |row| {
            let texts = [row.text(1)?, row.text(2)?];
            for text in
                texts.into_iter().flatten().filter(|text| sieve.as_ref().is_none_or(|sieve| sieve.is_match(text)))
            {
                let values: Attributes = serde_json::from_str(text)?;
                let has = |field: &String| values.get(field).is_some_and(|value| folded_each(value).contains(&wanted));
                if self.fields.iter().any(has) {
                    found.extend(Key::parse(&row.get::<String>(0)?));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// What the JSON of every value holds that is this one when folded (`domain::value::folded`): the longest piece of it that
/// is written there as it stands, but for the case of letters. To search a text takes a fraction of parsing it.
fn sieve(wanted: &str) -> Option<Regex> {
    // JSON escapes some; others are what folding makes of letters beyond ASCII (U+037E, U+1FEF).
    let stands = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | ';' | '`');
    let pieces = wanted.split(|c| !stands(c));
    // The last of a piece can come of a letter beyond ASCII, as the i before the dot above of a folded İ does.
    let pieces = pieces.map(|piece| if wanted.is_ascii() { piece } else { &piece[..piece.len().saturating_sub(1)] });
    let longest = pieces.max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty())?;
    RegexBuilder::new(&regex::escape(longest)).case_insensitive(true).build().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::value::folded_text;

    proptest! {
        #[test]
        fn whoever_has_the_value_gets_through_the_sieve(
            text in r#"[a-zA-Z0-9@. ;`"\\\n/\u{130}\u{212A}\u{37E}\u{1FEF}\u{301}\u{307}éÉßσΣ]{1,12}"#
        ) {
            let written = serde_json::to_string(&text).expect("JSON");
            if let Some(sieve) = sieve(&folded_text(&text)) {
                prop_assert!(sieve.is_match(&written), "{sieve} of {written}");
            }
        }
    }

    #[test]
    fn an_address_is_sought_whole() {
        let of = |wanted: &str| sieve(wanted).map(|sieve| sieve.to_string());
        assert_eq!(of("ann.bo@acme.example").as_deref(), Some(r"ann\.bo@acme\.example"));
        assert_eq!(of("müller@acme.example").as_deref(), Some(r"ller@acme\.exampl"));
        assert_eq!(of("ü"), None);
    }
}
