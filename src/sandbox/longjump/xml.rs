//! XML as the simulated LongJump reads and writes it; no code in common with rosterd's own.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Escapes text for an element.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\r', "&#13;")
}

/// An answer: what stands in `platform` before the message, and the message.
pub(super) fn platform(inner: &str, code: i32, description: &str, after: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<platform>{inner}<message><code>{code}</code><description>{}\
         </description>{after}</message></platform>",
        escaped(description)
    )
}

/// The fields below `platform/NAME`, each with its text. Nothing when the body is not such a document.
pub(super) fn fields(body: &[u8], name: &str) -> Option<BTreeMap<String, String>> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut path: Vec<String> = Vec::new();
    let mut fields = BTreeMap::new();
    let mut seen = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push(start.name().0.to_string());
                enter(&path, name, &mut fields, &mut seen)?;
            }
            Event::Empty(start) => {
                path.push(start.name().0.to_string());
                enter(&path, name, &mut fields, &mut seen)?;
                path.pop();
            }
            Event::End(_) => {
                path.pop()?;
            }
            Event::Text(text) => say(&path, &mut fields, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let text = quick_xml::escape::unescape(&format!("&{};", reference.xml10_content())).ok()?.into_owned();
                say(&path, &mut fields, &text)?;
            }
            Event::Eof => break,
            Event::Decl(_) | Event::Comment(_) => {}
            // Nobody who speaks this API sends a document type, a section or an instruction.
            Event::DocType(_) | Event::CData(_) | Event::PI(_) => return None,
        }
    }
    (seen && path.is_empty()).then_some(fields)
}

/// Enters an element; nothing where the document has no such place.
fn enter(path: &[String], name: &str, fields: &mut BTreeMap<String, String>, seen: &mut bool) -> Option<()> {
    match path {
        [root] => (root == "platform").then_some(()),
        [_, element] => {
            *seen = true;
            (element == name).then_some(())
        }
        [_, _, field] => fields.insert(field.clone(), String::new()).is_none().then_some(()),
        [_, _, object, field] => fields.insert(format!("{object}.{field}"), String::new()).is_none().then_some(()),
        _ => None,
    }
}

fn say(path: &[String], fields: &mut BTreeMap<String, String>, text: &str) -> Option<()> {
    let field = match path {
        [_, _, field] => field.clone(),
        [_, _, object, field] => format!("{object}.{field}"),
        _ => return text.trim().is_empty().then_some(()),
    };
    fields.entry(field).or_default().push_str(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_foreign_documents_refused() {
        let body = b"<platform><user><a>x &amp; &#228;</a><b/></user></platform>";
        let fields = fields(body, "user").expect("fields");
        assert_eq!((fields["a"].as_str(), fields["b"].as_str()), ("x & ä", ""));
        for wrong in [
            "<user/>",
            "<platform/>",
            "<platform><login/></platform>",
            "{}",
            "<platform><user><a/><a/></user></platform>",
        ] {
            assert!(super::fields(wrong.as_bytes(), "user").is_none(), "{wrong}");
        }
    }
}
