//! Paths and queries with placeholders, and percent-encoding that leaves nothing to a server's interpretation.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters: `+`, `'`, `@` and `/` in a value mean themselves and nothing else.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with `{name}` placeholders, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Takes a text apart. `Err` names what is wrong with it.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            let close = after.find('}').filter(|close| after.starts_with('{') && *close > 1);
            let Some(close) = close else {
                return Err("a brace that belongs to no {placeholder}".into());
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Placeholder(after[1..close].into()));
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Template(parts))
    }

    /// The names of its placeholders.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Replaces the placeholders `prefix` + name by these values for good.
    pub fn fill_in(&mut self, prefix: &str, values: &BTreeMap<String, String>) {
        for part in &mut self.0 {
            if let Part::Placeholder(name) = part
                && let Some(value) = name.strip_prefix(prefix).and_then(|name| values.get(name))
            {
                *part = Part::Text(value.clone());
            }
        }
    }

    /// The text with each placeholder replaced by what `value` gives for it, unencoded.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Placeholder(name) => value(name).unwrap_or_default(),
            })
            .collect()
    }

    /// As [`Template::fill`], with the values percent-encoded as a single segment of a path.
    pub fn fill_path<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Placeholder(name) => encoded(value(name).unwrap_or_default()),
        };
        self.0.iter().map(part).collect()
    }
}

/// Percent-encodes a value for a path segment or a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// `path` with these parameters added.
pub(super) fn with_query(path: String, pairs: impl IntoIterator<Item = (String, String)>) -> String {
    pairs.into_iter().fold(path, |path, (name, value)| {
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}{}={}", encoded(&name), encoded(&value))
    })
}

/// The number in this query parameter of a path.
pub(super) fn number_in_query(path: &str, param: &str) -> Option<u64> {
    let (_, query) = path.split_once('?')?;
    let wanted = encoded(param);
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        if name == wanted { value.parse().ok() } else { None }
    })
}

/// `path` with this query parameter set to a value: in its place, or at the end where it isn't there yet.
pub(super) fn set_in_query(path: &str, param: &str, value: &str) -> String {
    let wanted = encoded(param);
    let is_it = |pair: &str| pair.split('=').next() == Some(wanted.as_str());
    match path.split_once('?') {
        Some((before, query)) if query.split('&').any(is_it) => {
            let set = format!("{wanted}={}", encoded(value));
            let pairs = query.split('&').map(|pair| if is_it(pair) { set.as_str() } else { pair });
            format!("{before}?{}", pairs.collect::<Vec<_>>().join("&"))
        }
        _ => with_query(path.to_string(), [(param.to_string(), value.to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn placeholders_are_found_and_stray_braces_refused() {
        let template = Template::parse("/clients/{options.client}/users/{id}/").expect("well formed");
        assert_eq!(template.places().collect::<Vec<_>>(), ["options.client", "id"]);
        assert_eq!(template.fill_path(|name| (name == "id").then_some("a/b")), "/clients//users/a%2Fb/");
        for wrong in ["/a{", "/a}", "/{}", "}{"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_in_a_query_is_replaced_where_it_stands() {
        let path = "/users?per_page=50&page=1";
        assert_eq!(number_in_query(path, "page"), Some(1));
        assert_eq!(set_in_query(path, "page", "2"), "/users?per_page=50&page=2");
        assert_eq!(set_in_query(path, "after", "a&b="), "/users?per_page=50&page=1&after=a%26b%3D");
        assert_eq!(set_in_query("/users", "after", "é"), "/users?after=%C3%A9");
        assert_eq!(number_in_query("/users", "page"), None);
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn an_encoded_value_comes_back_and_splits_nothing(value in ".{0,30}") {
            let text = encoded(&value);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            let back = percent_encoding::percent_decode_str(&text).decode_utf8().expect("utf-8");
            prop_assert_eq!(back, value);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "[a{}/.é]{0,20}") {
            let _ = Template::parse(&text);
        }
    }
}
