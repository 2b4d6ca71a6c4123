//! What a connection check asks besides a page of the listing: that what the options name is there, and that values of
//! a mapping are among what the target has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use super::definition::ProofDef;
use super::engine::Engine;
use super::exchange::{ApiRequest, ApiResponse, Verdict};
use super::load::{Mistakes, nearest};
use super::read::id_text;
use super::template::{Template, encoded};
use crate::domain::catalogue::Catalogue;
use crate::domain::outcome::{ErrorKind, OpError};

/// `[[proofs]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// What its success proves to be there: `client 1`; where it has a field, what each value of that is: `app of client 1`.
    pub proves: String,
    /// The field whose values must be among what is shown.
    pub field: Option<String>,
    path: String,
    records: Vec<String>,
    id: String,
}

impl Engine {
    /// What a connection check has to ask.
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// The request of a proof.
    pub fn prove(&self, proof: &Proof) -> ApiRequest {
        self.plain(Call::Prove, proof.path.clone())
    }

    /// What the answer to [`Engine::prove`] shows: nothing where the thing isn't there, else the ids of a proof that has
    /// a field (none for others).
    ///
    /// # Errors
    /// Every other verdict than that it is there or not.
    pub fn proven(&self, proof: &Proof, answer: &ApiResponse) -> Result<Option<Vec<String>>, Verdict> {
        let body = self.body_of(answer);
        match self.failure(answer, &body, None) {
            Some(Verdict::NotFound) => return Ok(None),
            Some(verdict) => return Err(verdict),
            None if proof.field.is_none() => return Ok(Some(Vec::new())),
            None => {}
        }
        let shown = proof.records.iter().find_map(|pointer| body.value()?.pointer(pointer)?.as_array());
        let ids = shown.and_then(|entries| {
            entries.iter().map(|entry: &Value| entry.pointer(&proof.id).and_then(id_text)).collect::<Option<Vec<_>>>()
        });
        let what = format!("answered HTTP {} without the list that it should hold", answer.status);
        ids.map(Some).ok_or_else(|| Verdict::Unclear(OpError::new(ErrorKind::Protocol, what)))
    }
}

/// Makes the proofs of their definitions.
pub(super) fn compile(
    defs: &[ProofDef],
    options: &BTreeMap<String, String>,
    catalogue: &Catalogue,
    mistakes: &mut Mistakes,
) -> Vec<Proof> {
    let escaped = options.iter().map(|(name, value)| (name.clone(), encoded(value))).collect();
    let mut proofs = Vec::new();
    for (index, def) in defs.iter().enumerate() {
        let index = index.to_string();
        let at = |key: &'static str| [String::from("proofs"), index.clone(), key.to_string()];
        let mut wrong = |key: &'static str, message: String, help: Option<String>| {
            let path = at(key);
            mistakes.at(&path.iter().map(String::as_str).collect::<Vec<_>>(), message, help);
        };
        if !def.path.starts_with('/') || def.path.contains('#') {
            wrong("path", "must begin with / and have no fragment".into(), None);
        }
        if let Some(field) = def.field.as_ref().filter(|field| catalogue.field(field).is_none()) {
            let help = nearest(field, catalogue.fields.keys().map(String::as_str));
            wrong("field", format!("there is no field {field}"), help);
        }
        if def.field.is_some() != def.id.is_some() {
            wrong("id", "field and id belong together".into(), None);
        }
        for pointer in def.records.iter().flatten().chain(&def.id).filter(|p| !p.is_empty() && !p.starts_with('/')) {
            let key = if Some(pointer) == def.id.as_ref() { "id" } else { "records" };
            wrong(key, format!("{pointer:?} is not a JSON pointer"), Some(format!("write \"/{pointer}\"")));
        }
        let mut filled = |key: &'static str, text: &str, options: &BTreeMap<String, String>| {
            let mut template = Template::parse(text).map_err(|message| wrong(key, message, None)).ok()?;
            template.fill_in("options.", options);
            if let Some(place) = template.places().next().map(str::to_string) {
                wrong(key, format!("nothing is known to put for {{{place}}}"), None);
                return None;
            }
            Some(template.fill(|_| None))
        };
        let (path, proves) = (filled("path", &def.path, &escaped), filled("proves", &def.proves, options));
        if let (Some(path), Some(proves)) = (path, proves) {
            let records = def.records.clone().unwrap_or_else(|| vec![String::new()]);
            let id = def.id.clone().unwrap_or_default();
            proofs.push(Proof { proves, field: def.field.clone(), path, records, id });
        }
    }
    proofs
}
