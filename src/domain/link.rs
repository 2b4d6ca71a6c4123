//! The `Link` header (RFC 8288, section 3), as far as paging needs it: sources and targets go on by it.

/// The header can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALink;

/// The target with the relation `next`; nothing where no link has it.
///
/// # Errors
/// The header can't be understood.
pub fn next(header: &str) -> Result<Option<&str>, NotALink> {
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').and_then(|r| r.split_once('>')).ok_or(NotALink)?;
        let (parameters, after) = split_link(after);
        if is_next(parameters) {
            return Ok(Some(target));
        }
        rest = after.trim_start();
    }
    Ok(None)
}

/// The parameters of one link, and what follows its comma. A comma within quotes belongs to a parameter.
fn split_link(text: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let relations = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel")
            && relations.split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mutated;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn no_header_makes_reading_panic_and_what_is_found_stands_in_it(
            header in mutated::text_of(&["</p1>; rel=prev, </p3>; title=\"a, b; rel=next\"; rel=\"last NEXT\"", "<>;rel=next"]),
        ) {
            if let Ok(Some(target)) = next(&header) {
                let shown = format!("<{target}>");
                prop_assert!(header.contains(&shown));
            }
        }
    }
}
