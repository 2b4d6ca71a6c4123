//! The OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.0), made of the table that the router is made of and of the types
//! that answers are written from.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::endpoints::{self, Answer, Endpoint};

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.into_generator();
    let refusal = endpoints::refused(&mut answers);
    let mut paths = Map::new();
    for endpoint in endpoints::all() {
        paths.insert(endpoint.path.to_string(), json!({ "get": operation(&endpoint, &mut answers, &refusal) }));
    }
    let description = "What the daemon answers. Nothing here changes anything. Unless `server.show_values` is set, no \
                       answer holds a value of a person: fields are told by name.";
    json!({
        "openapi": "3.1.0",
        "info": { "title": "rosterd", "version": env!("CARGO_PKG_VERSION"), "description": description },
        "paths": paths,
        "components": { "schemas": answers.take_definitions(true) },
    })
}

fn operation(endpoint: &Endpoint, answers: &mut SchemaGenerator, refusal: &Schema) -> Value {
    let content = match &endpoint.answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(answers) } }),
        Answer::AnyJson => json!({ "application/json": { "schema": { "type": "object" } } }),
        Answer::Page => json!({ "text/html": { "schema": { "type": "string" } } }),
        Answer::Text(kind) => json!({ *kind: { "schema": { "type": "string" } } }),
    };
    let mut responses = Map::new();
    responses.insert("200".into(), json!({ "description": endpoint.about, "content": content }));
    for (status, when) in endpoint.others {
        let mut told = json!({ "description": when });
        if *status >= 400 {
            told["content"] = json!({ "application/json": { "schema": refusal } });
        }
        responses.insert(status.to_string(), told);
    }
    json!({ "summary": endpoint.about, "parameters": parameters(endpoint), "responses": responses })
}

/// The parameters of a path and of its query.
fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let Some(query) = endpoint.query else { return parameters };
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let query = query(&mut settings.into_generator()).to_value();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        // A parameter is there or is not: there is no null in a query.
        let kind = schema["type"].as_array().and_then(|kinds| kinds.first().cloned());
        if let Some(kind) = kind {
            schema["type"] = kind;
        }
        parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_and_parameter_is_described() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), endpoints::all().len());
        for endpoint in endpoints::all() {
            let told = &paths[endpoint.path]["get"];
            let names: Vec<&str> =
                told["parameters"].as_array().expect("a list").iter().filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(
                names.iter().filter(|name| endpoint.path.contains(&format!("{{{name}}}"))).count(),
                endpoint.path.matches('{').count(),
                "{}",
                endpoint.path
            );
            for parameter in told["parameters"].as_array().expect("a list") {
                let is_told = parameter["in"] == "path" || parameter["description"].is_string();
                assert!(is_told && parameter["schema"]["type"].is_string(), "{}: {parameter}", endpoint.path);
            }
        }
        let names: Vec<&str> = paths["/api/v1/outcomes"]["get"]["parameters"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(names, ["key", "limit", "run", "since", "status", "sync"]);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
