//! Telling a page for people from data: a log-in page, or an error of whatever stands between. Sources and targets are
//! asked for data alone.

/// Whether a body, or the beginning of one, is HTML, whatever it calls itself.
pub fn begins_like_html(body: &[u8]) -> bool {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let after = |word: &[u8]| {
        let (begin, rest) = start.split_at_checked(word.len())?;
        begin.eq_ignore_ascii_case(word).then_some(rest)
    };
    let doctype = after(b"<!doctype").is_some_and(|rest| {
        let name = rest.trim_ascii_start();
        name.len() < rest.len() && name.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"html"))
    });
    doctype || after(b"<html").is_some()
}

/// Whether a `Content-Type` is that of HTML.
pub fn is_html_type(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_data() {
        let pages =
            ["<!DOCTYPE html>", "\u{feff}\n <!doctype  HTML public", "<HTML lang=de>", "\t<html", "<html><body>"];
        for page in pages {
            assert!(begins_like_html(page.as_bytes()), "{page}");
        }
        for data in
            ["", "<", "[1]", "<!doctype", "<!DOCTYPE p [<!ENTITY", "<?xml version=\"1.0\"?>", "a,<html>", "<htm"]
        {
            assert!(!begins_like_html(data.as_bytes()), "{data}");
        }
        assert!(is_html_type("Text/HTML; charset=utf-8") && is_html_type("application/xhtml+xml"));
        assert!(!is_html_type("application/json") && !is_html_type(""));
    }
}
