//! How a listing goes on: by number of page, by offset, or by a link in a header.

use super::definition::PagingStyle;
use super::engine::{Call, Paging};
use super::template::{encoded, number_in_query, set_number_in_query};
use super::wire::{Answer, Wire};

/// A path without the query parameters of the call's paging.
pub(super) fn unpaged(path: &str, call: &Call) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_string() };
    let linked = call.paging.as_ref().is_some_and(|paging| paging.style == PagingStyle::Header);
    if linked {
        // The link's query is the target's affair.
        return path.to_string();
    }
    let pages = |name: &str| {
        let paging = call.paging.iter();
        let mut params = paging.flat_map(|p| [Some(&p.param), p.size_param.as_ref()]).flatten();
        params.any(|param| name == encoded(param))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pages(pair.split('=').next().unwrap_or_default())).collect();
    format!("{path}?{}", kept.join("&")).trim_end_matches('?').to_string()
}

/// The request for the page after one that held `found` records of `total`, where that is told.
///
/// # Errors
/// The answer can't be true, to follow "answered …": going on would miss accounts, or never end.
pub(super) fn next_request(
    call: &Call,
    request: &Wire,
    answer: &Answer,
    found: usize,
    total: Option<u64>,
) -> Result<Option<Wire>, &'static str> {
    let Some(paging) = &call.paging else { return Ok(None) };
    let (found, size) = (found as u64, u64::from(paging.size));
    let step = match paging.style {
        PagingStyle::None => return Ok(None),
        PagingStyle::Header => return linked(paging, request, answer),
        PagingStyle::Page => 1,
        PagingStyle::Offset => found,
    };
    let Some(current) = number_in_query(&request.path, &paging.param) else { return Ok(None) };
    let before = current.saturating_sub(paging.start);
    let before = if paging.style == PagingStyle::Page { before.saturating_mul(size) } else { before };
    let more = match total {
        None => found >= size,
        Some(total) => before.saturating_add(found) < total,
    };
    match (more, total) {
        (false, _) => return Ok(None),
        (true, Some(_)) if found == 0 => return Err("with no accounts, although it says that there are more"),
        // By pages, one that is cut short would make those after it leave somebody out.
        (true, Some(_)) if paging.style == PagingStyle::Page && found < size => {
            return Err("with fewer accounts than asked for, although it says that there are more");
        }
        _ => {}
    }
    let Some(next) = current.checked_add(step) else { return Ok(None) };
    let path = set_number_in_query(&request.path, &paging.param, next);
    Ok(Some(Wire { path, ..request.clone() }))
}

/// The request that a header links to. Only the link's query is used: nothing leads to another host or path.
fn linked(paging: &Paging, request: &Wire, answer: &Answer) -> Result<Option<Wire>, &'static str> {
    let link = paging.header.as_deref().and_then(|name| answer.header(name)).unwrap_or_default().trim();
    if matches!(link, "" | "None" | "none" | "null") {
        return Ok(None);
    }
    let Some((_, query)) = link.split_once('?') else { return Err("with a link to a next page that can't be used") };
    let query = query.split('#').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\');
    let path = request.path.split('?').next().unwrap_or_default();
    let path = format!("{path}?{query}");
    if query.is_empty() || !query.bytes().all(plain) || path == request.path {
        return Err("with a link to a next page that can't be used");
    }
    Ok(Some(Wire { path, ..request.clone() }))
}
