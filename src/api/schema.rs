//! The JSON Schema of a target definition (draft 2020-12): which sections there are, and the shape of each as
//! [`super::definition`] reads it. What the keys mean is told in `config/definitions.md`.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::compile::OPERATIONS;
use super::definition::{
    AccountDef, AuthDef, DiscoveryDef, ErrorsDef, FORMAT, FailureDef, FieldDef, ListDef, OperationDef, OptionDef,
    ProofDef, RequestDef, SessionDef, StateDef, SuccessDef,
};

/// A target definition: how a user API works. `rosterd targets show juno` prints one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "rosterd target definition")]
#[allow(dead_code)] // It is read by the derived schema alone; the sections are read one by one.
struct Definition {
    /// The version of this format.
    #[schemars(extend("const" = FORMAT))]
    format: u32,
    /// The name under which targets ask for it.
    kind: String,
    /// Its name in messages.
    title: String,
    /// How one can log in.
    auth: AuthDef,
    /// How auth of kind session works.
    session: Option<SessionDef>,
    /// What tells of the API's own abilities.
    discovery: Option<DiscoveryDef>,
    /// What `options` of a target may set, by name.
    #[schemars(default)]
    options: BTreeMap<String, OptionDef>,
    /// Where the id of an account is, and what else holds for all of it.
    account: AccountDef,
    /// What says whether an account is usable.
    state: StateDef,
    /// How requests are written.
    #[schemars(default)]
    request: RequestDef,
    /// The requests there are; what is missing can't be done.
    #[schemars(transform = known_operations)]
    operations: BTreeMap<String, OperationDef>,
    /// What a success is beyond HTTP 2xx.
    #[schemars(default)]
    success: SuccessDef,
    /// Where a refusal says what it complains of.
    #[schemars(default)]
    errors: ErrorsDef,
    /// What an answer means; the first that fits.
    #[schemars(default)]
    failures: Vec<FailureDef>,
    /// What `check --connect` asks beside a page of the listing.
    #[schemars(default)]
    proofs: Vec<ProofDef>,
    /// The catalogue of fields, by name.
    #[schemars(default)]
    fields: BTreeMap<String, FieldDef>,
    /// Lists of objects whose entries are fields of their own.
    #[schemars(default)]
    lists: BTreeMap<String, ListDef>,
}

fn known_operations(schema: &mut Schema) {
    schema.insert("propertyNames".into(), json!({ "enum": OPERATIONS }));
}

/// The schema of a target definition.
pub fn definition_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().with_transform(crate::domain::json_schema::without_null);
    generator.into_generator().into_root_schema_for::<Definition>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Engine;
    use crate::api::load::SECTIONS;
    use crate::config::schema::Judge;

    #[test]
    fn it_has_the_sections_that_are_read_and_no_others() {
        let schema = definition_schema();
        let mut named: Vec<&str> =
            schema["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
        let mut read = SECTIONS.to_vec();
        named.sort_unstable();
        read.sort_unstable();
        assert_eq!(named, read);
    }

    #[test]
    fn every_definition_that_is_built_in_is_valid_and_a_misspelt_key_is_not() {
        let judge = Judge::new(&definition_schema());
        let example = include_str!("../../config/people-api.toml");
        for text in Engine::builtin_kinds().iter().filter_map(|kind| Engine::builtin_text(kind)).chain([example]) {
            let mut definition: Value = toml::from_str(text).expect("TOML");
            assert_eq!(judge.complaint(&definition), None);
            definition["account"]["id_is_adress"] = true.into();
            assert!(judge.complaint(&definition).is_some());
        }
    }
}
