//! How a listing goes on: by number of page, by offset, by a cursor, or by a link in a header or in the body.

use serde_json::Value;

use super::call::Call;
use super::definition::PagingStyle;
use super::engine::{CallSpec, Paging};
use super::exchange::{ApiRequest, ApiResponse};
use super::template::{number_in_query, set_in_query};
use crate::domain::paging::{cursor, told};

/// How a listing goes on.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// This was the last page.
    End,
    /// With this request.
    Page(ApiRequest),
    /// What was shown reaches the total, which may be that of the page alone: this request would show more.
    Beyond(ApiRequest),
}

impl Next {
    fn linked(request: Option<ApiRequest>) -> Next {
        request.map_or(Next::End, Next::Page)
    }
}

/// The request for the page after one that held `found` records of `total`, where that is told; `body` is its body.
/// Whether a total is reached in the end is for whoever reads the whole listing to say.
///
/// # Errors
/// The answer can't be true, to follow "answered …": going on would miss accounts, or never end.
pub(super) fn next_request(
    call: &CallSpec,
    request: &ApiRequest,
    answer: &ApiResponse,
    body: Option<&Value>,
    found: usize,
    total: Option<u64>,
) -> Result<Next, &'static str> {
    let Some(paging) = &call.paging else { return Ok(Next::End) };
    let (found, size) = (found as u64, u64::from(paging.size));
    let step = match paging.style {
        PagingStyle::None => return Ok(Next::End),
        PagingStyle::Header => {
            let told = paging.header.as_deref().and_then(|name| answer.header(name));
            let told = told.filter(|told| !matches!(*told, "None" | "none" | "null"));
            return linked(told, request).map(Next::linked);
        }
        PagingStyle::Link => {
            let told = answer.header("link").map_or(Ok(None), crate::domain::link::next);
            return linked(told.map_err(|_| "with a Link header that can't be understood")?, request).map(Next::linked);
        }
        PagingStyle::Next => {
            return match pointed(paging, body) {
                None => Ok(Next::End),
                Some(Value::String(link)) => linked(Some(link), request).map(Next::linked),
                Some(_) => Err(UNUSABLE),
            };
        }
        PagingStyle::Cursor => return after_cursor(paging, request, body).map(Next::linked),
        PagingStyle::Page => 1,
        PagingStyle::Offset => found,
    };
    let Some(current) = number_in_query(&request.path, &paging.param) else { return Ok(Next::End) };
    let before = current.saturating_sub(paging.start);
    let before = if paging.style == PagingStyle::Page { before.saturating_mul(size) } else { before };
    let more = match total {
        Some(1..) if found == 0 && before == 0 => {
            return Err("with no accounts, although it says that there are more");
        }
        _ if found == 0 => return Ok(Next::End),
        None => found >= size,
        Some(total) => before.saturating_add(found) < total,
    };
    // By pages, one that is cut short would make those after it leave somebody out.
    if more && total.is_some() && paging.style == PagingStyle::Page && found < size {
        return Err("with fewer accounts than asked for, although it says that there are more");
    }
    // Of a total that is this page's number, or less than was shown, one can't tell what it counts. A look-up, which
    // finds one account or none, is believed unless its page is full.
    let doubtful = |total: u64| {
        (total == found || total < before.saturating_add(found)) && (call.name != Call::Find || found >= size)
    };
    if !more && !total.is_some_and(doubtful) {
        return Ok(Next::End);
    }
    let Some(next) = current.checked_add(step) else { return Ok(Next::End) };
    let path = set_in_query(&request.path, &paging.param, &next.to_string());
    let request = ApiRequest { path, ..request.clone() };
    Ok(if more { Next::Page(request) } else { Next::Beyond(request) })
}

const UNUSABLE: &str = "with a link to a next page that can't be used";

/// What the body tells of the next page; nothing where it says that there is none.
fn pointed<'b>(paging: &Paging, body: Option<&'b Value>) -> Option<&'b Value> {
    told(body?.pointer(paging.pointer.as_deref()?))
}

/// The request with the cursor that the body tells.
fn after_cursor(
    paging: &Paging,
    request: &ApiRequest,
    body: Option<&Value>,
) -> Result<Option<ApiRequest>, &'static str> {
    let Some(told) = pointed(paging, body) else { return Ok(None) };
    let cursor = cursor(told).ok_or("with a cursor that is neither text nor a number")?;
    let path = set_in_query(&request.path, &paging.param, &cursor);
    if path == request.path {
        return Err("with the cursor of the page that it shows");
    }
    Ok(Some(ApiRequest { path, ..request.clone() }))
}

/// The request that a link means. Only the link's query is used: nothing leads to another host or path.
fn linked(link: Option<&str>, request: &ApiRequest) -> Result<Option<ApiRequest>, &'static str> {
    let link = link.unwrap_or_default().trim();
    if link.is_empty() {
        return Ok(None);
    }
    let Some((_, query)) = link.split_once('?') else { return Err(UNUSABLE) };
    let query = query.split('#').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\');
    let path = request.path.split('?').next().unwrap_or_default();
    let path = format!("{path}?{query}");
    if query.is_empty() || !query.bytes().all(plain) || path == request.path {
        return Err(UNUSABLE);
    }
    Ok(Some(ApiRequest { path, ..request.clone() }))
}
