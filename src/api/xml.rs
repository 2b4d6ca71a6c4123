//! XML as targets speak it: elements and text, read into the same values as JSON, and written from them.
//!
//! Nothing in an answer is interpreted: a document type is refused, no entity is known but the five built in, nesting
//! and memory are bounded. An element is a member of its parent; elements of one name become a list; an empty element is `Null`;
//! attributes (`displayValue` and the like) say nothing that a field holds, and are passed over. What the value of an
//! element is, is text: types come from the catalogue.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use super::records::Records;
use crate::domain::bounded::{Budget, OverLimit};

/// How deep elements may be nested. User APIs need five; a hundred would be an attack on the stack.
const DEEPEST: usize = 32;

/// What is wrong with a document, without any of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum XmlError {
    /// Not well-formed, or not whole.
    Malformed,
    /// It has a document type, or refers to an entity.
    Doctype,
    /// Nested deeper than is read, or more than is kept.
    OverLimit(OverLimit),
}

/// An element being read.
#[derive(Default)]
struct Open {
    name: String,
    text: String,
    members: Map<String, Value>,
}

impl Open {
    /// The element's value: its text where it has any, else its members.
    fn close(self) -> (String, Value) {
        let value = match (self.text.trim().is_empty(), self.members.is_empty()) {
            (true, true) if self.text.is_empty() => Value::Null,
            (true, false) => Value::Object(self.members),
            _ => Value::String(self.text),
        };
        (self.name, value)
    }

    /// Adds a member, within the budget.
    fn add(&mut self, name: String, value: Value, budget: &mut Budget) {
        match self.members.get_mut(&name) {
            None => {
                budget.take_member(name.len(), self.members.len());
                self.members.insert(name, value);
            }
            Some(Value::Array(items)) => {
                budget.take_item(items.len());
                items.push(value);
            }
            Some(first) => {
                budget.take_item(0);
                *first = Value::Array(vec![first.take(), value]);
            }
        }
    }
}

/// Reads a document: an object with its root element as the only member.
///
/// # Errors
/// It is not whole, is not well-formed, has a document type, or takes more than the budget.
pub(super) fn parse(bytes: &[u8], budget: &mut Budget) -> Result<Value, XmlError> {
    Document { open: vec![Open::default()], budget, records: None, matched: 0, odd: false }.read(bytes)
}

/// As [`parse`]; elements at the place of the records are handed over one by one, and the first of them alone is kept.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_records(
    bytes: &[u8],
    budget: &mut Budget,
    records: &mut Records<'_>,
    path: &[String],
) -> Result<Value, XmlError> {
    Document { open: vec![Open::default()], budget, records: Some((records, path)), matched: 0, odd: false }.read(bytes)
}

/// A document being read.
struct Document<'d, 'r> {
    /// What the document itself holds (its root), and the elements that are open.
    open: Vec<Open>,
    budget: &'d mut Budget,
    /// Who takes the records, and the names of the elements that lead to them.
    records: Option<(&'d mut Records<'r>, &'d [String])>,
    /// How many of the open elements are those that lead to the records.
    matched: usize,
    /// The first of the records is no object, and was not handed over.
    odd: bool,
}

impl Document<'_, '_> {
    fn read(mut self, bytes: &[u8]) -> Result<Value, XmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Malformed)?;
        let mut reader = Reader::from_str(text);
        loop {
            let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
            match event {
                Event::Start(start) => self.begin(start.name().0)?,
                Event::Empty(start) => {
                    self.begin(start.name().0)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.say(&text.xml10_content())?,
                Event::CData(text) => self.say(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let meant = match reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
                        Some(character) if is_admitted(character) => character,
                        Some(_) => return Err(XmlError::Malformed),
                        None => built_in(&reference.xml10_content()).ok_or(XmlError::Doctype)?,
                    };
                    self.say(meant.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => return Err(XmlError::Doctype),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
            if let Some(excess) = self.budget().excess() {
                return Err(XmlError::OverLimit(excess));
            }
        }
        match (self.open.pop(), self.open.is_empty()) {
            (Some(document), true)
                if document.members.len() == 1 && !document.members.values().any(Value::is_array) =>
            {
                Ok(Value::Object(document.members))
            }
            _ => Err(XmlError::Malformed),
        }
    }

    /// The budget of what is being read: a record has its own.
    fn budget(&mut self) -> &mut Budget {
        match &mut self.records {
            Some((records, path)) if self.matched == path.len() => &mut records.budget,
            _ => self.budget,
        }
    }

    fn begin(&mut self, name: &str) -> Result<(), XmlError> {
        if self.open.len() > DEEPEST {
            return Err(XmlError::OverLimit(OverLimit::Depth));
        }
        let leads =
            |path: &[String]| self.open.len() == self.matched + 1 && path.get(self.matched).is_some_and(|n| n == name);
        if let Some((records, path)) = &mut self.records
            && leads(path)
        {
            self.matched += 1;
            if self.matched == path.len() {
                records.begin();
            }
        }
        self.open.push(Open { name: name.to_string(), ..Open::default() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let depth = self.open.len() - 1;
        let (name, value) = self.open.pop().ok_or(XmlError::Malformed)?.close();
        if depth == self.matched && depth > 0 {
            let record = self.records.as_ref().is_some_and(|(_, path)| path.len() == depth);
            self.matched -= 1;
            if record {
                let Some(value) = self.take(value) else { return Ok(()) };
                return self.add(name, value);
            }
        }
        self.add(name, value)
    }

    /// Hands a record over; gives back what of it is left in the document. One alone that is no object may be what stands
    /// for an empty list.
    fn take(&mut self, value: Value) -> Option<Value> {
        let (records, _) = self.records.as_mut()?;
        if records.count == 0 && !self.odd && !value.is_object() {
            self.odd = true;
            return Some(value);
        }
        if std::mem::take(&mut self.odd) {
            records.take(Value::Null)?;
        }
        records.take(value)
    }

    fn add(&mut self, name: String, value: Value) -> Result<(), XmlError> {
        let mut parent = self.open.pop().ok_or(XmlError::Malformed)?;
        parent.add(name, value, self.budget());
        self.open.push(parent);
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<(), XmlError> {
        let (within, blank) = (self.open.len() > 1, text.trim().is_empty());
        if within {
            self.budget().take(text.len());
        }
        match self.open.last_mut() {
            Some(element) if within => element.text.push_str(text),
            // Beside the root only white space may stand.
            Some(_) if blank => {}
            _ => return Err(XmlError::Malformed),
        }
        Ok(())
    }
}

fn built_in(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// Writes a value with one root: members become elements, lists repeated elements, nothing and emptiness an empty
/// element. Booleans are 1 and 0, as XML Schema admits beside the words.
///
/// # Errors
/// The name of the member that XML can't carry: its name is none of an element, or its text has control characters.
pub(super) fn write(value: &Value) -> Result<Vec<u8>, String> {
    let mut text = String::new();
    if let Value::Object(members) = value {
        for (name, value) in members {
            element(&mut text, name, value)?;
        }
    }
    Ok(text.into_bytes())
}

fn element(out: &mut String, name: &str, value: &Value) -> Result<(), String> {
    if !is_name(name) {
        return Err(name.to_string());
    }
    let text = match value {
        Value::Array(items) if !items.is_empty() => return items.iter().try_for_each(|item| element(out, name, item)),
        Value::Object(members) if !members.is_empty() => {
            out.push_str(&format!("<{name}>"));
            members.iter().try_for_each(|(name, value)| element(out, name, value))?;
            out.push_str(&format!("</{name}>"));
            return Ok(());
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => u8::from(*yes).to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    if !text.chars().all(is_admitted) {
        return Err(name.to_string());
    }
    if text.is_empty() {
        out.push_str(&format!("<{name}/>"));
        return Ok(());
    }
    out.push_str(&format!("<{name}>"));
    text.chars().for_each(|character| escape(out, character));
    out.push_str(&format!("</{name}>"));
    Ok(())
}

fn escape(out: &mut String, character: char) {
    match character {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&apos;"),
        // Unescaped, a reader would make a line feed of it.
        '\r' => out.push_str("&#13;"),
        plain => out.push(plain),
    }
}

/// Whether XML 1.0 can carry a character at all, escaped or not.
fn is_admitted(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether this is the plain name of an element: what fields are called. Colons would be namespaces.
fn is_name(name: &str) -> bool {
    let begins = |c: char| c.is_alphabetic() || c == '_';
    name.starts_with(begins) && name.chars().all(|c| begins(c) || c.is_numeric() || matches!(c, '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(bytes: &[u8]) -> Result<Value, XmlError> {
        super::parse(bytes, &mut Budget::of(32_000_000))
    }

    #[test]
    fn elements_become_members_and_attributes_are_passed_over() {
        let text = r#"<?xml version="1.0"?><platform> <user> <id>16</id> <title/> <active>1</active>
            <team_id type="TEAM" displayValue="Order &amp; Processing">5</team_id>
            <status> {#x}. <a href='#'>go</a> </status>
            <name>M&#252;ller &lt;&amp;&gt;</name><note><![CDATA[<b>]]></note> </user>
            <record><id>1</id></record><record><id>2</id></record> <!-- added --> </platform>"#;
        let value = parse(text.as_bytes()).expect("a document");
        assert_eq!(value["platform"]["user"]["team_id"], "5");
        assert_eq!(value["platform"]["user"]["title"], Value::Null);
        assert_eq!(value["platform"]["user"]["name"], "Müller <&>");
        assert_eq!(value["platform"]["user"]["note"], "<b>");
        assert!(value["platform"]["user"]["status"].is_string(), "{value}");
        assert_eq!(value["platform"]["record"], json!([{"id": "1"}, {"id": "2"}]));
    }

    #[test]
    fn what_could_be_interpreted_is_refused() {
        let bomb = r#"<!DOCTYPE p [<!ENTITY a "aaaa">]><p>&a;</p>"#;
        assert_eq!(parse(bomb.as_bytes()), Err(XmlError::Doctype));
        assert_eq!(parse(b"<p>&nbsp;</p>"), Err(XmlError::Doctype));
        assert_eq!(
            parse(format!("{}x{}", "<a>".repeat(40), "</a>".repeat(40)).as_bytes()),
            Err(XmlError::OverLimit(OverLimit::Depth))
        );
        for wrong in ["<a><b></a>", "<a>", "<a/><b/>", "<a/>text", "", "text", "<a>&#0;</a>", "<a>&#1;</a>", "\u{fffd}"]
        {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_escaped_and_what_xml_cannot_carry_is_named() {
        let body = json!({"platform": {"user": {"a": "<&>\"'", "b": null, "c": true, "d": ["1", "2"], "e": "=1"}}});
        let text = String::from_utf8(write(&body).expect("written")).expect("UTF-8");
        let user = "<a>&lt;&amp;&gt;&quot;&apos;</a><b/><c>1</c><d>1</d><d>2</d><e>=1</e>";
        assert_eq!(text, format!("<platform><user>{user}</user></platform>"));
        assert_eq!(write(&json!({"a": "x\u{1}"})), Err("a".into()));
        assert_eq!(write(&json!({"a": "\u{ffff}"})), Err("a".into()));
        assert_eq!(write(&json!({"a b": "x"})), Err("a b".into()));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn text_comes_back_as_it_was(text in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{1,20}") {
            let bytes = write(&json!({"a": text})).expect("written");
            prop_assert_eq!(parse(&bytes).expect("read"), json!({"a": text}));
        }

        #[test]
        fn no_bytes_make_reading_panic(text in "[<>/a&;!\\[\\]#1 ?-]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
