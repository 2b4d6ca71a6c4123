//! What a JSON answer says about itself beside its records, by the names that are usual for it: that there is a further
//! page, that something went wrong. Collected while the answer is looked through; judged by those who know how it was asked for.
//!
//! Of what stands there no value is kept, only of which kind it is: the answer may be of any size, and nothing of it
//! may end up in a message. Names that are kept are those of the tables below.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Objects in which answers keep what is about the page, below the top of the document or beside the records.
const CONTAINERS: [&str; 16] = [
    "links",
    "_links",
    "link",
    "paging",
    "pagination",
    "paginator",
    "meta",
    "_meta",
    "metadata",
    "page",
    "pageInfo",
    "page_info",
    "pages",
    "d",
    "response_metadata",
    "cursors",
];

/// Those of them that may be lists of links.
const LINKS: [&str; 3] = ["links", "_links", "link"];

/// How many containers may be nested: `meta.pagination.links.next` is in use.
const NESTED: usize = 3;

/// What holds an address, a number or a mark of the next page.
const MARKS: [&str; 24] = [
    "next",
    "nextLink",
    "@odata.nextLink",
    "odata.nextLink",
    "@nextLink",
    "__next",
    "next_link",
    "next_url",
    "nextUrl",
    "next_page",
    "nextPage",
    "next_page_url",
    "nextPageUrl",
    "next_cursor",
    "nextCursor",
    "next_page_cursor",
    "nextPageCursor",
    "nextPageToken",
    "next_page_token",
    "next_token",
    "nextToken",
    "nextUri",
    "next_uri",
    "nextRecordsUrl",
];

/// What holds the mark of a position, which is that of the next page, or of the last record, or what was asked for. It
/// speaks for a further page only where nothing else in the answer tells: see [`Hints::leads_on`].
const POSITIONS: [&str; 10] = [
    "cursor",
    "after",
    "continuation",
    "continuationToken",
    "continuation_token",
    "pageToken",
    "page_token",
    "scroll_id",
    "scrollId",
    "_scroll_id",
];

/// The position of the last record of a page: GraphQL connections have it on the last page too, beside `hasNextPage`.
const ENDS: [&str; 2] = ["endCursor", "end_cursor"];

/// What says by true or false whether there is a next page.
const FLAGS: [&str; 8] =
    ["has_more", "hasMore", "has_next", "hasNext", "hasNextPage", "has_next_page", "more", "moreItemsInCollection"];

/// What says by true or false whether this page is the last.
const LAST: [&str; 4] = ["isLast", "is_last", "isLastPage", "is_last_page"];

/// How many results there are in all (RFC 7644, section 3.4.2).
const TOTAL_RESULTS: &str = "totalResults";

/// What says at the top of a document that something went wrong.
const WRONG: [&str; 4] = ["errors", "error", "success", "ok"];

/// What within an object or a link leads to the next page.
const WAYS: [&str; 7] = ["href", "url", "uri", "link", "next", "after", "cursor"];

/// What names the relation of a link.
const RELATIONS: [&str; 2] = ["rel", "relation"];

/// How many hints of one answer are kept.
const KEPT: usize = 16;

/// Tells one text from another without being the text.
pub(in crate::source) type Print = u64;

/// The print of a text.
pub(in crate::source) fn print(text: &str) -> Print {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Of which kind a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Said {
    /// Null, an empty text, an empty list, or an object in which nothing is said.
    Nothing,
    /// The number zero.
    Zero,
    /// False, or the text of it.
    False,
    /// True, or the text of it.
    True,
    /// A whole number that is not zero.
    Number(u64),
    /// A text that is no address, or a number of another kind; a print of it.
    Text(Print),
    /// The text `next`.
    Next,
    /// A text that is an address.
    Address,
    /// A list with something in it.
    List,
    /// An object in which something is said; the field that leads on, and whether that is an address.
    Object(Option<&'static str>, bool),
    /// A link with the relation `next`: the field that leads on.
    Link(&'static str),
}

impl Said {
    /// Whether nothing is said, or that there is nothing.
    fn is_nothing(self) -> bool {
        matches!(self, Said::Nothing | Said::Zero | Said::False)
    }
}

/// A place that says that there is a further page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Mark {
    /// JSON pointer to it.
    pub place: String,
    /// What is there.
    pub said: Said,
}

impl Mark {
    /// Whether it is an address and not only a mark, which may be that of the last position.
    pub fn is_address(&self) -> bool {
        matches!(self.said, Said::Address | Said::Object(_, true) | Said::Link(_)) && !self.is_position()
    }

    /// Whether it is the mark of a position, of which its name doesn't tell whether there is anything behind it.
    pub fn is_position(&self) -> bool {
        POSITIONS.contains(&self.field()) || self.is_end()
    }

    /// Whether it is the position of the last record of the page.
    fn is_end(&self) -> bool {
        ENDS.contains(&self.field())
    }

    /// Whether it says what was said in asking for the page.
    pub fn echoes(&self, asked: impl IntoIterator<Item = Print>) -> bool {
        let own = match self.said {
            Said::Text(own) => own,
            Said::Number(number) => print(&number.to_string()),
            _ => return false,
        };
        asked.into_iter().any(|asked| asked == own)
    }

    /// The name of what leads on: the field itself, or the one in it.
    pub fn name(&self) -> &str {
        self.place.rsplit('/').next().unwrap_or_default()
    }

    /// The name of the field.
    fn field(&self) -> &str {
        let mut names = self.place.rsplit('/');
        if matches!(self.said, Said::Object(Some(_), _) | Said::Link(_)) {
            names.next();
        }
        names.next().unwrap_or_default()
    }
}

/// What an answer says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Hints {
    /// Addresses, numbers and marks of a next page.
    pub marks: Vec<Mark>,
    /// Where it is said to be true that there is more.
    pub more: Option<String>,
    /// It is said to be false that there is more.
    pub no_more: bool,
    /// There is a field for the next page, and nothing in it.
    pub no_next: bool,
    /// How many results there are in all.
    pub total_results: Option<u64>,
    /// Where it is said that something went wrong: names of fields at the top.
    pub wrong: Vec<String>,
}

impl Hints {
    /// Whether this mark says that there is a further page. That of a position doesn't where anything else tells that
    /// this was the last one: a field for the next page that is empty, or all people that were declared (`is_all`).
    pub fn leads_on(&self, mark: &Mark, is_all: bool) -> bool {
        match mark.is_position() {
            true => !self.no_more && !self.no_next && !is_all && (!mark.is_end() || self.more.is_some()),
            false => mark.is_address() || !self.no_more,
        }
    }

    /// Takes in what stands at a path.
    pub fn note(&mut self, path: &[String], said: Said) {
        let Some(name) = path.last().map(String::as_str) else { return };
        let place = || path.iter().fold(String::new(), |all, segment| format!("{all}/{}", escaped(segment)));
        if path.len() == 1 && WRONG.contains(&name) {
            let fails = match name {
                "errors" | "error" => !said.is_nothing(),
                _ => matches!(said, Said::False | Said::Zero),
            };
            if fails && self.wrong.len() < KEPT {
                self.wrong.push(name.to_owned());
            }
        } else if FLAGS.contains(&name) {
            match said {
                Said::True | Said::Number(1) => self.more = Some(place()),
                Said::False | Said::Zero => self.no_more = true,
                _ => {}
            }
        } else if LAST.contains(&name) {
            match said {
                Said::False => self.more = Some(place()),
                Said::True => self.no_more = true,
                _ => {}
            }
        } else if name == TOTAL_RESULTS {
            if let Said::Number(number) = said {
                self.total_results = Some(number);
            }
        } else if said.is_nothing() {
            self.no_next |= MARKS.contains(&name);
        } else if self.marks.len() < KEPT {
            let place = match said {
                Said::Object(Some(way), _) | Said::Link(way) => format!("{}/{way}", place()),
                _ => place(),
            };
            self.marks.push(Mark { place, said });
        }
    }
}

/// What the flag at this place says where there is more.
pub(in crate::source) fn flagged(place: &str) -> String {
    let is_last = LAST.iter().any(|name| place.rsplit('/').next() == Some(name));
    format!("{place:?} is {}", !is_last)
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// Whether something that is looked for may lie within this place; `records` is the path of the records.
pub(in crate::source) fn leads(path: &[String], records: &[String]) -> bool {
    let beside = beside(path, records);
    (1..=NESTED).contains(&beside.len()) && beside.iter().all(|name| CONTAINERS.contains(&name.as_str()))
}

/// Whether this place, where a list stands, may hold links.
pub(in crate::source) fn lists_links(path: &[String], records: &[String]) -> bool {
    path != records && path.last().is_some_and(|name| LINKS.contains(&name.as_str())) && leads(path, records)
}

/// Whether what stands at this place is looked for.
pub(in crate::source) fn wanted(path: &[String], records: &[String]) -> bool {
    let Some((name, above)) = path.split_last() else { return false };
    if above.is_empty() && WRONG.contains(&name.as_str()) {
        return true;
    }
    let tables: [&[&str]; 6] = [&MARKS, &POSITIONS, &ENDS, &FLAGS, &LAST, &[TOTAL_RESULTS]];
    let about_pages = tables.iter().any(|table| table.contains(&name.as_str()));
    about_pages && (beside(above, records).is_empty() || leads(above, records))
}

/// What of a path doesn't lead to the records.
fn beside<'p>(path: &'p [String], records: &[String]) -> &'p [String] {
    let common = path.iter().zip(records).take_while(|(a, b)| a == b).count();
    &path[common..]
}

/// Looks at one value and says of which kind it is.
pub(in crate::source) enum Glance {
    /// Into objects too.
    Deep,
    /// Not into objects.
    Shallow,
}

impl<'de> DeserializeSeed<'de> for Glance {
    type Value = Said;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Glance {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Said, E> {
        Ok(if value { Said::True } else { Said::False })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Said, E> {
        Ok(if value == 0 { Said::Zero } else { Said::Number(value) })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Said, E> {
        Ok(Said::Text(print(&value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Said, E> {
        Ok(if value == 0.0 { Said::Zero } else { Said::Text(print(&value.to_string())) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(match text.trim() {
            // A cursor of 0 is the beginning, and stands where there is no next one.
            "" | "0" | "null" => Said::Nothing,
            text if text.eq_ignore_ascii_case("false") => Said::False,
            text if text.eq_ignore_ascii_case("true") => Said::True,
            text if text.eq_ignore_ascii_case("next") => Said::Next,
            text if text.contains("://") || text.starts_with(['/', '?']) => Said::Address,
            text => Said::Text(print(text)),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let mut said = Said::Nothing;
        while list.next_element::<IgnoredAny>()?.is_some() {
            said = Said::List;
        }
        Ok(said)
    }

    /// An object whose fields all say nothing says nothing. Where it has a field that leads on, that one decides.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        if matches!(self, Glance::Shallow) {
            let mut said = Said::Nothing;
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                said = Said::Object(None, false);
            }
            return Ok(said);
        }
        let (mut way, mut has_way, mut other, mut relation) = (None, false, false, None);
        while let Some(name) = map.next_key::<String>()? {
            let said = map.next_value_seed(Glance::Shallow)?;
            if RELATIONS.contains(&name.as_str()) {
                relation = Some(said == Said::Next);
            } else if let Some(known) = WAYS.iter().find(|way| **way == name) {
                has_way = true;
                way = way.or((!said.is_nothing()).then_some((*known, said == Said::Address)));
            } else {
                other |= !said.is_nothing();
            }
        }
        Ok(match (way, relation) {
            (Some((way, _)), Some(true)) => Said::Link(way),
            (Some((way, address)), _) => Said::Object(Some(way), address),
            (None, _) if other && !has_way => Said::Object(None, false),
            (None, _) => Said::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(text: &str) -> Said {
        let mut parser = serde_json::Deserializer::from_str(text);
        Glance::Deep.deserialize(&mut parser).expect("JSON")
    }

    #[test]
    fn what_says_nothing_is_told_from_what_says_something() {
        for nothing in ["null", "false", "0", "0.0", "\"\"", "\" \"", "[]", "{}", r#"{"href":null}"#, r#"{"a":0}"#] {
            assert!(glance(nothing).is_nothing(), "{nothing}");
        }
        // Where there is a way on, and nothing in it, what else is there means nothing.
        assert_eq!(glance(r#"{"href":"","title":"Next"}"#), Said::Nothing);
        for (text, said) in [
            ("true", Said::True),
            ("\"True\"", Said::True),
            ("7", Said::Number(7)),
            ("-7", Said::Text(print("-7"))),
            ("\" abc\"", Said::Text(print("abc"))),
            ("\"?page=2\"", Said::Address),
            ("\"https://h/p\"", Said::Address),
            ("[null]", Said::List),
            (r#"{"code":7}"#, Said::Object(None, false)),
            (r#"{"href":"/p"}"#, Said::Object(Some("href"), true)),
            (r#"{"after":"xyz"}"#, Said::Object(Some("after"), false)),
            (r#"{"rel":"next","href":"p"}"#, Said::Link("href")),
            (r#"{"rel":"prev","href":"/p"}"#, Said::Object(Some("href"), true)),
        ] {
            assert_eq!(glance(text), said, "{text}");
        }
    }

    /// What these say, each a field with its value, of a page of which all people are declared, or not.
    fn tells(fields: &[(&str, &str)], is_all: bool) -> bool {
        let mut hints = Hints::default();
        fields.iter().for_each(|(name, value)| hints.note(&[(*name).to_string()], glance(value)));
        hints.marks.iter().any(|mark| hints.leads_on(mark, is_all)) || hints.more.is_some()
    }

    #[test]
    fn the_mark_of_a_position_speaks_where_nothing_else_does() {
        for position in POSITIONS {
            for value in ["\"2\"", "2", "\"/abc==\""] {
                assert!(tells(&[(position, value)], false), "{position} {value}");
                assert!(!tells(&[(position, value)], true), "{position} {value}: everybody came");
                for other in [("next", "null"), ("next_cursor", "\"\""), ("has_more", "false"), ("isLast", "true")] {
                    assert!(!tells(&[(position, value), other], false), "{position} {value} {other:?}");
                    assert!(!tells(&[other, (position, value)], false), "{position} {value} {other:?}");
                }
            }
            for nothing in ["null", "\"\"", "0", "\"0\"", "{}"] {
                assert!(!tells(&[(position, nothing)], false), "{position} {nothing}");
            }
        }
        for name in MARKS {
            assert!(tells(&[(name, "\"abc\"")], true) && !tells(&[(name, "\"abc\""), ("has_more", "false")], false));
        }
        for end in ENDS {
            assert!(!tells(&[(end, "\"abc\"")], false));
            assert!(!tells(&[(end, "\"abc\""), ("hasNextPage", "false")], false));
            assert!(tells(&[(end, "\"abc\""), ("hasNextPage", "true")], false));
        }
        assert!(tells(&[("isLast", "false")], false) && !tells(&[("isLast", "null")], false));
    }

    #[test]
    fn a_mark_that_was_handed_over_comes_back() {
        let mark = |text: &str| Mark { place: "/meta/after".into(), said: glance(text) };
        for (text, asked, is_echo) in
            [("\"x y\"", "x y", true), ("7", "7", true), ("-7", "-7", true), ("7", "8", false)]
        {
            assert_eq!(mark(text).echoes([print("?"), print(asked)]), is_echo, "{text} {asked}");
        }
    }

    #[test]
    fn places_are_those_at_the_top_beside_the_records_and_in_the_usual_containers() {
        let path = |text: &str| -> Vec<String> { text.split('/').skip(1).map(String::from).collect() };
        let records = path("/result/list");
        for place in ["/next", "/errors", "/ok", "/links/next", "/meta/pagination/links/next", "/result/next_cursor"] {
            assert!(wanted(&path(place), &records), "{place}");
        }
        assert!(wanted(&path("/result/paging/has_more"), &records) && leads(&path("/result/paging"), &records));
        for place in ["/other/next", "/meta/errors", "/result/errors", "/result/list/0/next", "/meta/a/next", "/x"] {
            assert!(!wanted(&path(place), &records), "{place}");
        }
    }
}
