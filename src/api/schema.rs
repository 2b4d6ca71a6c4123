//! The JSON Schema of a target definition (draft 2020-12): which sections there are, and the shape of each as
//! [`super::definition`] reads it. What the keys mean is told in `src/manual/definitions.md`.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::compile::OPERATIONS;
use super::definition::{
    AccountDef, AuthDef, DiscoveryDef, ErrorsDef, FORMAT, FailureDef, FieldDef, ListDef, OperationDef, OptionDef,
    ProofDef, RequestDef, SessionDef, StateDef, SuccessDef,
};
use super::load::RESOURCE_SECTIONS;

/// A target definition: how a user API works. `rosterd targets show juno` prints one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "rosterd target definition", transform = or_users_at_the_top)]
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
    /// How requests are written.
    #[schemars(default)]
    request: RequestDef,
    /// What a success is beyond HTTP 2xx.
    #[schemars(default)]
    success: SuccessDef,
    /// Where a refusal says what it complains of.
    #[schemars(default)]
    errors: ErrorsDef,
    /// What an answer means; the first that fits.
    #[schemars(default)]
    failures: Vec<FailureDef>,
    /// What the API has.
    resources: Resources,
}

/// What an API has.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Resources {
    /// The accounts of people.
    users: Users,
}

/// The accounts of people.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Users {
    /// Where the id of an account is, and what else holds for all of it.
    account: AccountDef,
    /// What says whether an account is usable.
    state: StateDef,
    /// The requests there are; what is missing can't be done.
    #[schemars(transform = known_operations)]
    operations: BTreeMap<String, OperationDef>,
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

/// Definitions of before there were resources have the sections of the users at the top.
fn or_users_at_the_top(schema: &mut Schema) {
    let Some(Value::Object(sections)) = schema.get_mut("properties") else { return };
    for section in RESOURCE_SECTIONS {
        let same = format!("#/$defs/Users/properties/{section}");
        sections.insert(section.into(), json!({ "$ref": same, "deprecated": true }));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != "resources");
    }
    schema.insert(
        "oneOf".into(),
        json!([{ "required": ["resources"] }, { "required": ["account", "state", "operations"] }]),
    );
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
    use crate::domain::resource::Resource;

    fn names(schema: &Value) -> Vec<&str> {
        let mut names: Vec<&str> = schema.as_object().expect("properties").keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn it_has_the_sections_that_are_read_and_no_others() {
        let schema = definition_schema();
        let top = SECTIONS.into_iter().chain(RESOURCE_SECTIONS).chain(["resources"]);
        assert_eq!(names(&schema["properties"]), sorted(top));
        let resources = Resource::ALL.into_iter().map(Resource::as_str);
        assert_eq!(names(&schema["$defs"]["Resources"]["properties"]), sorted(resources));
        assert_eq!(names(&schema["$defs"]["Users"]["properties"]), sorted(RESOURCE_SECTIONS));
    }

    #[test]
    fn every_definition_that_is_built_in_is_valid_and_a_misspelt_key_is_not() {
        let judge = Judge::new(&definition_schema());
        let example = include_str!("../../config/people-api.toml");
        for text in Engine::builtin_kinds().iter().filter_map(|kind| Engine::builtin_text(kind)).chain([example]) {
            let mut definition: Value = toml::from_str(text).expect("TOML");
            assert_eq!(judge.complaint(&definition), None);
            definition["resources"]["users"]["account"]["id_is_adress"] = true.into();
            assert!(judge.complaint(&definition).is_some());
        }
    }

    #[test]
    fn users_at_the_top_are_valid_where_there_are_no_resources() {
        let judge = Judge::new(&definition_schema());
        let mut old: Value = toml::from_str(include_str!("../../tests/targets/servers/club.toml")).expect("TOML");
        assert_eq!(judge.complaint(&old), None);
        let mut both = old.clone();
        both["resources"]["users"] = json!({ "account": old["account"], "state": old["state"], "operations": {} });
        assert!(judge.complaint(&both).is_some());
        old["account"]["id_is_adress"] = true.into();
        assert!(judge.complaint(&old).is_some());
    }
}
