//! What was typed for a sync, as one hash that is kept in the state: where it changes, what was found with another
//! configuration is not believed.
//!
//! The encoding is the merged configuration as JSON, keys in order, with a version before it. It is raised whenever the
//! same text comes to mean something else, by another default say.

use figment::value::Dict;
use serde_json::{Value, json};

/// The version of the encoding, and of what the same text means.
const VERSION: u32 = 1;

/// What holds a secret where `auth` is typed; which one it is does not matter, and no hash of it is kept.
const SECRETS: [&str; 4] = ["token", "value", "password", "client_secret"];

/// The configuration as it was typed.
pub(super) struct Typed(Value);

impl Typed {
    /// What these layers say together.
    pub fn of(merged: &Dict) -> Typed {
        let mut typed = serde_json::to_value(merged).unwrap_or(Value::Null);
        without_secrets(&mut typed, false);
        Typed(typed)
    }

    /// The hash of what was typed for this sync, for its target and for the sources.
    pub fn of_sync(&self, name: &str) -> [u8; 32] {
        let sync = &self.0["syncs"][name];
        let target = sync["target"].as_str().map_or(&Value::Null, |target| &self.0["targets"][target]);
        let encoded = json!([VERSION, name, sync, target, self.0["sources"]]);
        blake3::hash(encoded.to_string().as_bytes()).into()
    }
}

fn without_secrets(typed: &mut Value, within_auth: bool) {
    match typed {
        Value::Object(members) => {
            for (name, member) in members {
                if within_auth && SECRETS.contains(&name.as_str()) && member.is_string() {
                    *member = json!("…");
                }
                without_secrets(member, name == "auth" || within_auth);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without_secrets(item, within_auth)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [u8; 32] {
        let merged: Dict = toml::from_str(text).expect("TOML");
        Typed::of(&merged).of_sync("staff")
    }

    #[test]
    fn the_encoding_is_stable_whatever_the_order_and_holds_no_secret() {
        let text = "[sources.hr]\nkey = 'id'\n[targets.juno]\nrate = '5/s'\nauth = { token = 'S' }\n[syncs.staff]\ntarget = 'juno'\nmax_flaps = 3\n";
        let known = blake3::Hash::from_bytes(of(text)).to_hex().to_string();
        let encoded =
            r#"[1,"staff",{"max_flaps":3,"target":"juno"},{"auth":{"token":"…"},"rate":"5/s"},{"hr":{"key":"id"}}]"#;
        assert_eq!(known, blake3::hash(encoded.as_bytes()).to_hex().to_string());
        let turned = "[syncs.staff]\nmax_flaps = 3\ntarget = 'juno'\n[targets.juno]\nauth = { token = 'T' }\nrate = '5/s'\n[sources.hr]\nkey = 'id'\n";
        assert_eq!(of(text), of(turned));
        for (typed, other) in [("'id'", "'no'"), ("= 3", "= 4"), ("'5/s'", "'6/s'")] {
            assert_ne!(of(text), of(&text.replace(typed, other)), "{other}");
        }
        assert_eq!(of(text), of(&format!("{text}[syncs.other]\ntarget = 'juno'\n")), "another sync is another's");
    }
}
