//! Names whose letter case does not count (RFC 7643, section 2.1): answers are spelled as the definition does, once, so
//! that nothing behind it has to care.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{BESIDE_VALUE, CORE, ENTERPRISE, ScimPath};

/// The names that a definition speaks of, whose letter case answers need not keep (RFC 7643, section 2.1).
#[derive(Clone, Default)]
pub(in crate::api) struct Names {
    exact: HashSet<String>,
    by_lower: HashMap<String, String>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Of the definition, which is shown beside it; the order of a hash table would differ from run to run.
        write!(f, "Names({})", self.exact.len())
    }
}

impl Names {
    /// Those of these attribute paths, and of what these JSON pointers lead through.
    pub fn new<'n>(paths: impl Iterator<Item = &'n str>, pointers: impl Iterator<Item = &'n str>) -> Names {
        let mut names = Names::default();
        let mut add = |name: &str| {
            if names.exact.insert(name.to_string()) {
                names.by_lower.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_string());
            }
        };
        [CORE, ENTERPRISE, "schemas", "value"].into_iter().chain(BESIDE_VALUE).for_each(&mut add);
        for path in paths.filter_map(|name| ScimPath::parse(name).ok()) {
            path.names().for_each(&mut add);
        }
        pointers.flat_map(|pointer| pointer.split('/').skip(1)).for_each(&mut add);
        names
    }

    /// A name as the definition spells it, where it speaks of it.
    pub fn spelled(&self, name: &str) -> Option<&str> {
        match self.exact.get(name) {
            Some(exact) => Some(exact),
            None => self.by_lower.get(&name.to_ascii_lowercase()).map(String::as_str),
        }
    }

    /// Spells the names of members as the definition does.
    pub fn spell(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.spell(item)),
            Value::Object(members) => {
                let other = |name: &&String| !self.exact.contains(name.as_str());
                let known =
                    |name: &String| Some((name.clone(), self.by_lower.get(&name.to_ascii_lowercase())?.clone()));
                let misspelt: Vec<(String, String)> = members.keys().filter(other).filter_map(known).collect();
                for (wrong, right) in misspelt {
                    if !members.contains_key(&right)
                        && let Some(value) = members.remove(&wrong)
                    {
                        members.insert(right, value);
                    }
                }
                members.values_mut().for_each(|value| self.spell(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
