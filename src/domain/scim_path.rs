//! Attribute paths of SCIM (RFC 7644, section 3.10), as field names of a catalogue are written: `[URN:]attribute[filter].sub`.
//!
//! Of filters, the one that mappings need: `name eq value`, where the value is a text in quotes, a number, true or false.
//! What paths read and write in a resource is the affair of [`crate::api`].

use serde_json::{Value, json};

/// The schema of every user.
pub const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The extension that the standard itself has for users.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes with elements, whose types a server may add to (RFC 7643, section 4.1.2).
pub const WITH_ELEMENTS: [&str; 8] =
    ["emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates"];

/// Whether a path that no catalogue lists may be there all the same: in an extension of the server's own, or in elements
/// of a type of its own. What stands outside extensions, and in the standard's, is settled by the standard.
pub fn may_be_custom(name: &str) -> bool {
    ScimPath::parse(name).is_ok_and(|path| match path.urn.as_deref() {
        Some(urn) => !urn.eq_ignore_ascii_case(CORE) && !urn.eq_ignore_ascii_case(ENTERPRISE),
        None => path.filter.is_some() && path.sub.is_some() && WITH_ELEMENTS.contains(&path.attribute.as_str()),
    })
}

/// Why a text is no attribute path, and how it would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPath {
    /// What is wrong.
    pub message: String,
    /// The nearest path that can be used.
    pub help: Option<String>,
}

impl NoPath {
    fn new(message: impl Into<String>, nearest: Option<String>) -> NoPath {
        NoPath { message: message.into(), help: nearest.map(|path| format!("did you mean `{path}`?")) }
    }
}

/// `name eq value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The attribute of an element.
    pub name: String,
    /// A text, a number, or whether.
    pub value: Value,
}

/// An attribute path.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimPath {
    /// The schema before the attribute.
    pub urn: Option<String>,
    /// The attribute.
    pub attribute: String,
    /// Which element of it.
    pub filter: Option<Filter>,
    /// The part of it.
    pub sub: Option<String>,
}

impl ScimPath {
    /// Takes a path apart.
    ///
    /// # Errors
    /// It is none, or has a filter that can't be used.
    pub fn parse(text: &str) -> Result<ScimPath, NoPath> {
        let outside = text.find('[').unwrap_or(text.len());
        let (head, tail) = text.split_at(outside);
        let (urn, attribute) = match head.rfind(':') {
            Some(colon) => (Some(head[..colon].to_string()), &head[colon + 1..]),
            None => (None, head),
        };
        if urn.as_ref().is_some_and(|urn| !urn.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))) {
            return Err(NoPath::new("a schema before an attribute is a URN", None));
        }
        let (attribute, filter, rest) = match tail.strip_prefix('[') {
            Some(tail) => {
                let (inner, rest) = until_bracket(tail)
                    .ok_or_else(|| NoPath::new("the bracket of its filter is not closed", Some(format!("{text}]"))))?;
                (attribute, Some(Filter::parse(inner, |filter| format!("{head}[{filter}]{rest}"))?), rest)
            }
            None => {
                let end = attribute.find('.').unwrap_or(attribute.len());
                (&attribute[..end], None, &attribute[end..])
            }
        };
        let sub = match rest {
            "" => None,
            rest => Some(rest.strip_prefix('.').ok_or_else(|| NoPath::new("what follows a filter is `.name`", None))?),
        };
        let named = [Some(attribute), sub, filter.as_ref().map(|filter| filter.name.as_str())];
        if let Some(wrong) = named.into_iter().flatten().find(|name| !is_name(name)) {
            let deep = sub.and_then(|sub| sub.split_once('.')).map(|(first, _)| first);
            let nearest = deep.map(|first| text[..text.len() - rest.len()].to_string() + "." + first);
            return Err(NoPath::new(format!("{wrong:?} is no name of an attribute"), nearest));
        }
        Ok(ScimPath { urn, attribute: attribute.to_string(), filter, sub: sub.map(str::to_string) })
    }

    /// The names in it, as the standard spells them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let filter = self.filter.as_ref().map(|filter| filter.name.as_str());
        [self.urn.as_deref(), Some(self.attribute.as_str()), filter, self.sub.as_deref()].into_iter().flatten()
    }

    /// Whether it leads into an element of a multi-valued attribute.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether it names an element and nothing in it.
    pub fn is_element(&self) -> bool {
        self.filter.is_some() && self.sub.is_none()
    }

    /// The path as RFC 7644 writes it.
    pub fn text(&self) -> String {
        let sub = self.sub.as_ref().map(|sub| format!(".{sub}"));
        format!("{}{}", self.whole(), sub.unwrap_or_default())
    }

    /// The path of the attribute or element that this is a part of.
    pub fn whole(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!("[{}]", filter.text()));
        format!("{}{}", self.list(), filter.unwrap_or_default())
    }

    /// The path of the attribute, without filter.
    pub fn list(&self) -> String {
        let urn = self.urn.as_ref().map(|urn| format!("{urn}:")).unwrap_or_default();
        format!("{urn}{}", self.attribute)
    }
}

impl Filter {
    /// Takes apart what stands between the brackets; `whole` is the path with another filter in its place.
    pub fn parse(text: &str, whole: impl Fn(&str) -> String) -> Result<Filter, NoPath> {
        let mut words = text.trim().splitn(3, char::is_whitespace);
        let (name, operator, value) = (words.next().unwrap_or_default(), words.next(), words.next().map(str::trim));
        let (Some(operator), Some(value)) = (operator, value) else {
            let (name, value) = text.split_once('=').unwrap_or((name, "work"));
            let value = value.trim().trim_matches(['"', '=', '\'']);
            let nearest = whole(&format!("{} eq {}", name.trim(), json!(value)));
            return Err(NoPath::new("a filter is written `name eq value`", Some(nearest)));
        };
        let literal = serde_json::from_str::<Value>(value).ok();
        let plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        let lower = value.to_ascii_lowercase();
        let meant = match literal.clone().filter(plain) {
            Some(literal) => literal,
            None if matches!(lower.as_str(), "true" | "false") => Value::Bool(lower == "true"),
            None => json!(value.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\''])),
        };
        let nearest = || Some(whole(&format!("{name} eq {meant}")));
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(NoPath::new(format!("a filter with {operator:?} can't be used, only one with eq"), nearest()));
        }
        match literal.filter(plain) {
            Some(value) => Ok(Filter { name: name.to_string(), value }),
            None => {
                let message = "what a filter compares with is one text in quotes, a number, true or false";
                Err(NoPath::new(message, nearest()))
            }
        }
    }

    /// As RFC 7644 writes it.
    pub fn text(&self) -> String {
        format!("{} eq {}", self.name, self.value)
    }
}

/// What stands before the bracket that closes a filter, and what follows it: one within quotes belongs to the text.
fn until_bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in ["", "a b", "emails[type]", "emails[type eq work].value", "emails[x", "a.b.c", "a:b", "1a", "a."] {
            assert!(ScimPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn custom_paths_are_told_from_mistakes() {
        for custom in ["urn:acme:2.0:User:badge", r#"emails[type eq "private"].value"#, r#"roles[type eq "a"].value"#] {
            assert!(may_be_custom(custom), "{custom}");
        }
        for wrong in
            ["titel", "name.giveName", "emails", "emails[type=work].value", "urn:acme", r#"mails[type eq "x"].value"#]
        {
            assert!(!may_be_custom(wrong), "{wrong}");
        }
        assert!(!may_be_custom(&format!("{ENTERPRISE}:departement")));
    }
}
