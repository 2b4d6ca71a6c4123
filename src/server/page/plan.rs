//! A plan: what its limit is about first, what to do about it, and its operations.

use maud::{Markup, html};

use super::shell::{Shell, command, facts};
use crate::domain::operation::{OpKind, shown};
use crate::server::links::part;
use crate::server::plan::{Fields, OperationView, PlanView};

/// What the page of a plan shows.
pub(in crate::server) struct PlanPage {
    /// The plan, with a page of its operations.
    pub view: PlanView,
    /// The kinds of operation in it, those first that the limit is about.
    pub kinds: Vec<OpKind>,
    /// Operations of this kind alone.
    pub kind: Option<OpKind>,
    /// It begins with the first operation.
    pub is_first: bool,
    /// Where the plan comes from, unless from an ordinary run.
    pub origin: Option<String>,
    /// Those whom the limit is about, where the kind of an operation does not tell.
    pub concerned: Vec<OperationView>,
}

/// Draws it.
pub(in crate::server) fn render(shell: &Shell<'_>, page: &PlanPage) -> Markup {
    let view = &page.view;
    let heading = html! {
        "Plan " (view.id) " of " a href=(shell.root.sync(&view.sync)) { (view.sync) } " "
        span class={ "pill " (view.status) } { (view.status) }
    };
    let body = html! {
        section class=(if view.status == "held" { "alert" } else { "" }) { (about(shell, page)) }
        @if !page.concerned.is_empty() {
            section {
                h2 { "Whom the limit is about" span class="hint" { "the first of them" } }
                (operations(shell, view, &page.concerned))
            }
        }
        section {
            h2 { "Operations" @if !page.is_first { span class="hint" { "further ones" } } }
            (kinds(shell, page))
            @if view.operations.is_empty() {
                p class="quiet" {
                    @if view.status == "held" || view.status == "sent" { "None." } @else { "They are not kept." }
                }
            } @else { (operations(shell, view, &view.operations)) }
            @if let Some(next) = &view.next {
                @let of = page.kind.map_or_else(String::new, |kind| format!("&op={kind}"));
                p class="more" { a rel="next" href={ "?after=" (part(next)) (of) } { "Further operations" } }
            }
        }
    };
    shell.page(&heading, &body)
}

fn about(shell: &Shell<'_>, page: &PlanPage) -> Markup {
    let view = &page.view;
    let held = &view.held;
    let limit = html! {
        b { (held.limit) }
        @if held.limit != "undo" { ": " (super::number(held.count)) ", allowed " (super::number(held.allowed)) }
        @else { ": an undo always waits for an approval" }
        @if held.apart { ". Bans and deletes alone are held; everything else was sent" }
    };
    let mut known = vec![("Held by the limit", limit), ("Made", shell.time(view.made_at))];
    if let Some(origin) = &page.origin {
        known.push(("Comes from", html! { (origin) }));
    }
    if let Some(before) = &view.replaced {
        known.push((
            "Took the place of",
            html! { a href=(shell.root.plan(before.as_str())) { (before) } ", waiting since " (shell.time(view.waiting_since)) },
        ));
    }
    known.push((
        "Source",
        html! {
            (super::number(view.source_records)) " records, " (super::number(view.excluded)) " out of scope, "
            (super::number(view.unchanged)) " unchanged"
        },
    ));
    if let Some(decision) = &view.decision {
        known.push((
            "Decided",
            html! {
                (shell.time(decision.at)) @if let Some(by) = &decision.by { ", by " b { (by) } }
                @if let Some(reason) = &decision.reason { ": “" (reason) "”" }
            },
        ));
    }
    html! {
        (facts(&known))
        @if let Some(why) = &view.stale { p { "It can't be approved any more: " (why) } }
        @if view.status == "held" {
            p class="do" {
                (command("look", &format!("rosterd plans show {}", view.id)))
                @match view.stale {
                    Some(_) => (command("make it anew", &format!("rosterd trigger {} --wait", view.sync))),
                    None => (command("release", &format!("rosterd approve {} --reason \"…\"", view.id))),
                }
                (command("drop", &format!("rosterd discard {}", view.id)))
            }
        }
    }
}

fn kinds(shell: &Shell<'_>, page: &PlanPage) -> Markup {
    if page.kinds.len() < 2 {
        return html! {};
    }
    let all: u64 = page.view.counts.values().sum();
    let mut choices = vec![(format!("All {}", super::number(all)), "?".to_string(), page.kind.is_none())];
    choices.extend(page.kinds.iter().map(|kind| {
        let n = page.view.counts.get(kind).copied().unwrap_or(0);
        (format!("{} {kind}", super::number(n)), format!("?op={kind}"), page.kind == Some(*kind))
    }));
    shell.choice(&choices)
}

fn operations(shell: &Shell<'_>, view: &PlanView, operations: &[OperationView]) -> Markup {
    html! {
        table class="rows" {
            thead { tr { th { "Operation" } th { "Person" } th { "Account" } th class="wide" { "Fields" } } }
            tbody { @for operation in operations { (row(shell, view, operation)) } }
        }
    }
}

fn row(shell: &Shell<'_>, view: &PlanView, operation: &OperationView) -> Markup {
    html! {
        tr {
            td { (operation.op) }
            td class="name" {
                a href=(shell.root.person(&view.sync, operation.key.as_str())) { (operation.key) }
                @if let Some(label) = &operation.label { " " span class="label" { (label) } }
            }
            td { @match &operation.remote_id { Some(id) => (id), None => span class="quiet" { "none" } } }
            td class="wide" {
                @match &operation.fields {
                    Fields::Names(names) => (names.join(", ")),
                    Fields::Changes(changes) => @for (field, change) in changes {
                        span class="change" { (field) " " (shown(&change.old)) " → " (shown(&change.new)) } " "
                    },
                }
                @for why in [&operation.hint, &operation.conflict].into_iter().flatten() { " " span class="why" { (why) } }
            }
        }
    }
}
