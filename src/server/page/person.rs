//! A person with their story, and who is found by a key.

use maud::{Markup, html};

use super::shell::{Shell, Told, facts};
use crate::domain::label::Label;
use crate::domain::operation::shown;
use crate::server::person::PersonView;

/// Somebody who was found.
pub(in crate::server) struct Found {
    /// In which sync.
    pub sync: String,
    /// What is known of their account.
    pub state: Option<String>,
    /// What they are called, where that may be shown.
    pub label: Option<Label>,
}

/// Draws the form, and who was found by what was typed.
pub(in crate::server) fn search(
    shell: &Shell<'_>,
    syncs: &[String],
    chosen: Option<&str>,
    typed: Option<&str>,
    found: &[Found],
) -> Markup {
    let body = html! {
        section {
            form class="find" action=(shell.root.page("people")) method="get" {
                label { "Key" input type="search" name="key" value=[typed] required maxlength="500" autocomplete="off" spellcheck="false"; }
                label { "Sync" select name="sync" {
                    option value="" { "all" }
                    @for sync in syncs { option value=(sync) selected[chosen == Some(sync)] { (sync) } }
                } }
                button type="submit" { "Find" }
            }
            @match typed {
                None => p class="quiet" { "By the key that the source gives people." },
                Some(typed) if found.is_empty() => {
                    p { "Nobody is known by the key " b { (typed) } "." }
                    p class="do" { "by the target's id or an address, and in the source too: " code { "rosterd why SYNC WHO" } }
                },
                Some(typed) => ul class="found" {
                    @for one in found {
                        li {
                            a href=(shell.root.person(&one.sync, typed.trim())) { (typed) " in " (one.sync) }
                            @if let Some(state) = &one.state { " " span class={ "pill " (state) } { (state) } }
                            @if let Some(label) = &one.label { " " span class="label" { (label) } }
                        }
                    }
                },
            }
        }
    };
    shell.page(&html! { "People" }, &body)
}

/// Draws a person. `older`: before which number further outcomes are; `is_first`: the outcomes begin with the newest.
pub(in crate::server) fn render(
    shell: &Shell<'_>,
    view: &PersonView,
    target: &str,
    older: Option<i64>,
    is_first: bool,
) -> Markup {
    let heading = html! {
        (view.key) " in " a href=(shell.root.sync(&view.sync)) { (view.sync) } " "
        @match &view.state {
            Some(state) => span class={ "pill " (state) } { (state) },
            None => span class="pill" { "no account" },
        }
    };
    let body = html! {
        div class="halves" {
            section { h2 { "What is known" } (known(shell, view, target)) (source(view)) }
            section {
                h2 { "Acknowledged by " (target) }
                @match &view.snapshot {
                    Some(snapshot) if !snapshot.is_empty() => dl { @for (field, value) in snapshot { dt { (field) } dd { (shown(value)) } } },
                    _ if view.fields.is_empty() => p class="quiet" { "Nothing." },
                    _ => {
                        p { (view.fields.join(", ")) }
                        p class="quiet" { "Values are not shown here unless " code { "server.show_values" } " is set." }
                    },
                }
            }
        }
        section {
            h2 { "What became of them" span class="hint" { @if is_first { "newest first" } @else { "older ones" } } }
            @if view.outcomes.is_empty() { p class="quiet" { "The ledger has nothing about them." } }
            @else { (shell.outcomes(&view.outcomes, Told::Runs)) }
            @if let Some(older) = older { p class="more" { a rel="next" href={ "?before=" (older) } { "Older outcomes" } } }
        }
    };
    shell.page(&heading, &body)
}

fn known(shell: &Shell<'_>, view: &PersonView, target: &str) -> Markup {
    let mut known = Vec::new();
    if let Some(label) = &view.label {
        known.push(("Called", html! { (label) }));
    }
    known.push((
        "Account",
        match (&view.state, &view.remote_id) {
            (None, _) => html! { "none known on " (target) },
            (Some(state), Some(id)) => html! { (id) " on " (target) ", " (state) },
            (Some(state), None) => html! { "on " (target) ", " (state) },
        },
    ));
    if let Some(at) = view.confirmed_at {
        known.push(("Acknowledged last", shell.time(at)));
    }
    if let Some(at) = view.absent_since {
        known.push(("Absent since", html! { (shell.time(at)) ", the first trusted read without them" }));
    }
    if view.protected {
        known.push(("Protected", html! { "never updated, banned, deleted or reinstated" }));
    }
    if view.paused {
        known.push(("Paused", html! { "nothing is done before " code { "rosterd resume " (view.sync) } }));
    }
    for held in &view.held {
        known.push((
            "Held",
            html! {
                b { (held.op) } ", in plan " a href=(shell.root.plan(held.plan.as_str())) { (held.plan) }
                ", by the limit " (held.limit)
            },
        ));
    }
    if let Some(open) = &view.open {
        known.push((
            "Without an answer",
            html! {
                b { (open.op) } ", since " (shell.time(open.since))
                @if open.unknown { "; they are looked up before anything else is sent" } @else { "; it is on its way" }
            },
        ));
    }
    for former in &view.former_keys {
        known.push(("Former key", html! { (former.key) ", until " (shell.time(former.until)) }));
    }
    if let Some(now) = &view.now {
        known.push(("Has another key", html! { a href=(shell.root.person(&view.sync, now.as_str())) { (now) } }));
    }
    facts(&known)
}

/// The source is not read because somebody looks.
fn source(view: &PersonView) -> Markup {
    // A key is typed as a shell takes it.
    let quoted = match view.key.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c)) {
        true => view.key.to_string(),
        false => format!("'{}'", view.key.as_str().replace('\'', "'\\''")),
    };
    html! { p class="do" { "what the source says, and what the next run would do: " code { "rosterd why " (view.sync) " " (quoted) } } }
}
