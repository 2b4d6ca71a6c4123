//! How an answer in pages goes on.

use super::super::super::diagnostic::did_you_mean;
use super::super::super::locate::KeyPath;
use super::super::super::raw::RawPagination;
use super::super::super::settings::{PageSize, Pagination};
use super::super::Report;
use super::format::json_pointer;

/// The kinds of paging: keys that must be there, keys that may.
pub(in crate::config) const PAGINATION: [(&str, &[&str], &[&str]); 7] = [
    ("none", &[], &[]),
    ("link", &[], &[]),
    ("header", &["name"], &["param"]),
    ("next", &["pointer"], &[]),
    ("cursor", &["pointer", "param"], &["size_param", "size"]),
    ("page", &["param"], &["start", "size_param", "size"]),
    ("offset", &["param"], &["start", "size_param", "size"]),
];

/// Resolves `pagination`; `is_json`: of a document.
pub(super) fn pagination(
    report: &mut Report<'_>,
    path: &KeyPath,
    raw: RawPagination,
    is_json: bool,
) -> Option<Pagination> {
    let kinds = PAGINATION.iter().map(|(kind, _, _)| *kind);
    let help = kinds.clone().collect::<Vec<_>>().join(", ");
    let kind = report.required(
        &path.join("kind"),
        raw.kind.as_deref(),
        &format!("write kind = \"link\", or another of {help}"),
    )?;
    let Some((_, must, may)) = PAGINATION.iter().find(|(name, _, _)| *name == kind) else {
        report.error(&path.join("kind"), format!("{kind:?} is not a kind of paging"), did_you_mean(kind, kinds));
        return None;
    };
    let present = [
        ("name", raw.name.is_some()),
        ("pointer", raw.pointer.is_some()),
        ("param", raw.param.is_some()),
        ("start", raw.start.is_some()),
        ("size_param", raw.size_param.is_some()),
        ("size", raw.size.is_some()),
    ];
    for (key, there) in present {
        let at = path.join(key);
        if there && !must.contains(&key) && !may.contains(&key) {
            let takes: Vec<&str> = must.iter().chain(*may).copied().collect();
            let takes = if takes.is_empty() { "nothing else".to_owned() } else { takes.join(", ") };
            let help = format!("take it out: kind {kind:?} takes {takes}");
            report.error(&at, format!("`{key}` does not belong to paging of kind {kind:?}"), Some(help));
        } else if !there && must.contains(&key) {
            let example = match key {
                "pointer" => "pointer = \"/next\", the JSON pointer to it in the answer",
                "name" => "name = \"X-Next\", the header that has it",
                _ => "param = \"page\", the query parameter that asks for it",
            };
            report.required(&at, None::<()>, &format!("paging of kind {kind:?} needs it: write {example}"));
        }
    }
    report.positive(&path.join("size"), raw.size);
    json_pointer(report, &path.join("pointer"), raw.pointer.as_deref());
    if must.contains(&"pointer") && !is_json {
        let help = "the next page is found in a JSON document: use link, header, page or offset";
        report.error(&path.join("kind"), format!("paging of kind {kind:?} needs format = \"json\""), Some(help.into()));
    }
    if raw.size.is_some() != raw.size_param.is_some() && may.contains(&"size") {
        let help = "write both (size_param = \"limit\", size = 500), or neither";
        report.error(&path.join("size"), "size and size_param belong together", Some(help.into()));
    }
    let kind = kind.to_owned();
    let size = raw.size_param.zip(raw.size).map(|(param, size)| PageSize { param, size });
    Some(match kind.as_str() {
        "link" => Pagination::Link,
        "header" => Pagination::Header { name: raw.name?, param: raw.param },
        "next" => Pagination::Next { pointer: raw.pointer? },
        "cursor" => Pagination::Cursor { pointer: raw.pointer?, param: raw.param?, size },
        "page" => Pagination::Page { param: raw.param?, start: raw.start.unwrap_or(1), size },
        "offset" => Pagination::Offset { param: raw.param?, start: raw.start.unwrap_or(0), size },
        _ => Pagination::None,
    })
}
