//! Whose an id, an address or another value is, for one who asks by hand: every body is looked through, since an index of
//! values would cost each write of a run.

use std::collections::BTreeSet;

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
        let mut statement = db.prepare(
            "SELECT key, attributes, observed FROM body
             WHERE sync = ?1 AND (attributes LIKE ?2 ESCAPE '!' OR observed LIKE ?2 ESCAPE '!')",
        )?;
        statement.each(args![self.sync, pattern(&wanted)], |row| {
            for text in [row.text(1)?, row.text(2)?].into_iter().flatten() {
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

/// How much of a value is searched for at most.
const SEARCHED: usize = 200;

/// A pattern of SQL's LIKE, which sets the case of ASCII letters aside, that matches the JSON of every value which is this
/// one when folded (`domain::value::folded`): the longest piece of it that is written there as it stands. To search a text
/// takes a fraction of parsing it.
fn pattern(wanted: &str) -> String {
    // JSON escapes some; others are what folding makes of letters beyond ASCII (U+037E, U+1FEF).
    let stands = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | ';' | '`');
    let pieces = wanted.split(|c| !stands(c));
    // The last of a piece can come of a letter beyond ASCII, as the i before the dot above of a folded İ does.
    let pieces = pieces.map(|piece| if wanted.is_ascii() { piece } else { &piece[..piece.len().saturating_sub(1)] });
    let longest = pieces.max_by_key(|piece| piece.len()).unwrap_or_default();
    let mut pattern = String::from("%");
    for letter in longest.chars().take(SEARCHED) {
        match letter {
            // Folding makes it of U+212A too: any character.
            'k' => pattern.push('_'),
            '%' | '_' | '!' => pattern.extend(['!', letter]),
            _ => pattern.push(letter),
        }
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::value::folded_text;
    use crate::state::sqlite::Connection;

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn whoever_has_the_value_is_matched(
            text in r#"[a-zA-Z0-9@. ;`"\\\n/%_!\u{130}\u{212A}\u{37E}\u{1FEF}\u{301}\u{307}éÉßσΣ]{1,12}"#
        ) {
            let written = serde_json::to_string(&text).expect("JSON");
            let db = Connection::open_in_memory().expect("a database");
            let (sql, pattern) = ("SELECT ?1 LIKE ?2 ESCAPE '!'", pattern(&folded_text(&text)));
            let matches: bool = db.query_row(sql, [&written, &pattern], |row| row.get(0)).expect("an answer");
            prop_assert!(matches, "{} of {}", pattern, written);
        }
    }

    #[test]
    fn an_address_is_sought_whole() {
        assert_eq!(pattern("ann.bo@acme.example"), "%ann.bo@acme.example%");
        assert_eq!(pattern("ann_bo@acme.example"), "%ann!_bo@acme.example%");
        assert_eq!(pattern("frank@acme.example"), "%fran_@acme.example%");
        assert_eq!(pattern("müller@acme.example"), "%ller@acme.exampl%");
        assert_eq!(pattern("ü"), "%%");
        assert_eq!(pattern(&"a".repeat(9000)).len(), SEARCHED + 2);
    }
}
