//! `src/manual/definitions.md` documents every key of these types, every word that they take, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use figment::error::Kind;
use figment::value::Value;

use super::*;

const PAGE: &str = include_str!("../../manual/definitions.md");

/// A name that no key and no word has.
const STRANGE: &str = "a strange name";

/// The keys that a type knows, as serde tells them.
fn keys<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    let strange: Value = Value::from(BTreeMap::from([(STRANGE.to_string(), 1)]));
    match strange.deserialize::<T>().err().map(|error| error.kind) {
        Some(Kind::UnknownField(name, known)) if name == STRANGE => known.iter().map(ToString::to_string).collect(),
        other => panic!("a strange key is told as {other:?}"),
    }
}

/// The words that a type knows.
fn words<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    match Value::from(STRANGE).deserialize::<T>().err().map(|error| error.kind) {
        Some(Kind::UnknownVariant(name, known)) if name == STRANGE => known.iter().map(ToString::to_string).collect(),
        other => panic!("a strange word is told as {other:?}"),
    }
}

/// What the page documents: by heading, the rows of its table, key and text.
fn documented() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            heading = title.replace('`', "");
            assert!(sections.insert(heading.clone(), BTreeMap::new()).is_none(), "{heading} is there twice");
        } else if let Some((key, text)) = line.strip_prefix("| `").and_then(|row| row.split_once("` |")) {
            let rows = sections.get_mut(&heading).unwrap_or_else(|| panic!("a table without a heading: {line}"));
            assert!(rows.insert(key.to_string(), text.to_string()).is_none(), "{heading}: {key} is there twice");
        }
    }
    sections
}

#[test]
fn every_key_is_documented_and_none_that_does_not_exist() {
    let top = BTreeSet::from(["format", "kind", "title"].map(str::to_string));
    let types: Vec<(&str, BTreeSet<String>)> = vec![
        ("The top of the file", top),
        ("[auth]", keys::<AuthDef>()),
        ("[session]", keys::<SessionDef>()),
        ("login", keys::<LoginDef>()),
        ("logout", keys::<PlainDef>()),
        ("[options.NAME]", keys::<OptionDef>()),
        ("[resources.users.account]", keys::<AccountDef>()),
        ("[resources.users.state]", keys::<StateDef>()),
        ("[request]", keys::<RequestDef>()),
        ("[resources.users.operations.NAME]", keys::<OperationDef>()),
        ("paging", keys::<PagingDef>()),
        ("[discovery]", keys::<DiscoveryDef>()),
        ("[success]", keys::<SuccessDef>()),
        ("body of [success]", keys::<BodyRule>()),
        ("[errors]", keys::<ErrorsDef>()),
        ("[[failures]]", keys::<FailureDef>()),
        ("[[resources.users.proofs]]", keys::<ProofDef>()),
        ("[resources.users.fields.NAME]", keys::<FieldDef>()),
        ("only_if and throwaway", keys::<OptionIs>()),
        ("[resources.users.lists.NAME]", keys::<ListDef>()),
    ];
    let mut page = documented();
    for (heading, known) in types {
        let rows = page.remove(heading).unwrap_or_else(|| panic!("no section {heading}"));
        assert_eq!(rows.into_keys().collect::<BTreeSet<_>>(), known, "{heading}");
    }
    assert!(page.is_empty(), "sections of nothing: {:?}", page.keys());
}

#[test]
fn every_section_of_a_definition_has_a_heading() {
    let of_users = crate::api::load::RESOURCE_SECTIONS.map(|section| format!("resources.users.{section}"));
    for section in crate::api::load::SECTIONS.into_iter().chain(of_users.iter().map(String::as_str)) {
        let headed = [format!("### `[{section}]`"), format!("### `[{section}.NAME]`"), format!("### `[[{section}]]`")];
        let top = ["format", "kind", "title"].contains(&section);
        assert!(top || headed.iter().any(|heading| PAGE.contains(heading.as_str())), "{section}");
    }
}

#[test]
fn every_word_is_documented_where_its_key_is() {
    let own = |words: &[&str]| words.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let words = [
        ("[auth]", "kinds", own(&crate::api::compile::AUTH_KINDS)),
        ("[options.NAME]", "type", words::<OptionType>()),
        ("[resources.users.account]", "paths", words::<PathStyle>()),
        ("[resources.users.state]", "unstated", words::<Unstated>()),
        ("[request]", "format", words::<Format>()),
        ("[resources.users.operations.NAME]", "method", own(&crate::api::compile::METHODS)),
        ("[resources.users.operations.NAME]", "body", words::<BodyStyle>()),
        ("[resources.users.operations.NAME]", "answer", words::<AnswerStyle>()),
        ("[resources.users.operations.NAME]", "escape", words::<Escape>()),
        ("paging", "style", words::<PagingStyle>()),
        ("[[failures]]", "means", words::<Meaning>()),
        ("[resources.users.fields.NAME]", "type", words::<FieldType>()),
        ("[resources.users.fields.NAME]", "write", words::<SetStyle>()),
        ("[resources.users.lists.NAME]", "id_type", words::<IdType>()),
    ];
    let page = documented();
    for (heading, key, known) in words {
        let text = &page[heading][key];
        for word in known {
            assert!(text.contains(&format!("`{word}`")), "{heading} {key} does not tell {word}");
        }
    }
    for operation in crate::api::compile::OPERATIONS {
        assert!(PAGE.contains(&format!("`{operation}`")), "{operation}");
    }
}
