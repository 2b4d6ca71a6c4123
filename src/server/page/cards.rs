//! The cards at the head of the page: what somebody has to look at, gravest first, each with what to type.
//!
//! Syncs that fail for the same reason share a card: a target that is down is one trouble, however many feel it.

use maud::{Markup, html};

use super::super::links::Root;
use super::super::overview::{HeldView, Overview, SyncView};
use super::{ago, rank};
use crate::domain::limits::LimitName;
use crate::domain::operation::{Operation, shown};
use crate::domain::planned::Planned;
use crate::state::ownership::Unconfigured;

/// The most cards that are drawn; what is beyond them is in the table, whose first rows are the troubled ones.
const MOST: usize = 12;

/// The most syncs that a card names.
const NAMED: usize = 6;

/// How many people of a held plan are named where their values are not shown.
const KEYS: usize = 5;

/// All cards.
pub(super) fn all(o: &Overview) -> Markup {
    let mut cards: Vec<Markup> = Vec::new();
    for group in groups(o) {
        cards.push(if group[0].line.state == "untrusted" { untrusted(&group, o) } else { failed(&group, o) });
    }
    cards.extend(o.held.iter().map(|held| held_plan(held, o)));
    let paused: Vec<&SyncView> = o.syncs.iter().filter(|sync| sync.line.state == "paused").collect();
    if !paused.is_empty() {
        cards.push(card("", &names(&paused), "paused", None, &html! {
            (commands(&[("go on", format!("rosterd resume {}", if paused.len() == 1 { &paused[0].line.sync } else { "SYNC" }))]))
        }));
    }
    cards.extend(o.unconfigured.iter().map(unconfigured));
    let more = cards.len().saturating_sub(MOST);
    html! {
        @if let Some(why) = &o.refused { (refused(why)) }
        @if !cards.is_empty() {
            div class="cards" { @for card in cards.iter().take(MOST) { (card) } }
        }
        @if more > 0 { p class="quiet" { "and " (more) " more: " code { "rosterd status" } } }
    }
}

/// Syncs that failed or whose source is not trusted, those with the same reason together, gravest first.
fn groups(o: &Overview) -> Vec<Vec<&SyncView>> {
    let mut groups: Vec<Vec<&SyncView>> = Vec::new();
    for sync in o.syncs.iter().filter(|sync| matches!(sync.line.state, "failed" | "untrusted")) {
        let alike = |other: &SyncView| (other.line.state, &other.line.reason) == (sync.line.state, &sync.line.reason);
        match groups.iter_mut().find(|group| alike(group[0])) {
            Some(group) => group.push(sync),
            None => groups.push(vec![sync]),
        }
    }
    groups.sort_by_key(|group| rank(group[0]));
    groups
}

fn card(class: &str, who: &Markup, what: &str, since: Option<String>, body: &Markup) -> Markup {
    html! {
        section class={ "alert " (class) } {
            h2 { (who) ": " (what) @if let Some(since) = since { span class="hint" { (since) } } }
            (body)
        }
    }
}

/// What to type, each with what it is for.
fn commands(commands: &[(&str, String)]) -> Markup {
    html! { p class="do" { @for (what, command) in commands { span { (what) ": " code { (command) } } " " } } }
}

fn names(syncs: &[&SyncView]) -> Markup {
    let more = syncs.len().saturating_sub(NAMED);
    html! {
        @for (n, sync) in syncs.iter().take(NAMED).enumerate() { @if n > 0 { ", " } (linked(&sync.line.sync)) }
        @if more > 0 { " and " (more) " more" }
    }
}

/// The name of a sync, and the way to its page.
fn linked(sync: &str) -> Markup {
    html! { a href=(Root::TOP.sync(sync)) { (sync) } }
}

/// People by key, and the way to the page of each.
fn keys(sync: &str, operations: &[Planned]) -> Markup {
    html! {
        @for (n, operation) in operations.iter().enumerate() {
            @if n > 0 { ", " }
            a href=(Root::TOP.person(sync, operation.key.as_str())) { (operation.key) }
        }
    }
}

/// A sync that the configuration no longer has.
fn unconfigured(known: &Unconfigured) -> Markup {
    let Unconfigured { sync, users } = known;
    let users = format!("{users} {}", if *users == 1 { "user" } else { "users" });
    card(
        "",
        &html! { (sync) },
        "not in the configuration",
        None,
        &html! {
            p { (users) ", whom nobody keeps in step" }
            (commands(&[
                ("it has another name", format!("rosterd state rename-sync {sync} NEW")),
                ("it is gone for good", format!("rosterd state forget-sync {sync}")),
            ]))
        },
    )
}

fn refused(why: &str) -> Markup {
    html! {
        section class="alert grave" {
            h2 { "The configuration on disk is refused" span class="hint" { "the one before stays in force" } }
            p class="text" { (why) }
            (commands(&[("judge it", "rosterd check".into()), ("then", "systemctl reload rosterd".into())]))
        }
    }
}

/// Since when it is so, and how long ago all was well.
fn since(sync: &SyncView, o: &Overview) -> Option<String> {
    let good = sync.line.last_good_run.map_or_else(|| "never".into(), |at| ago(at, o.now));
    Some(format!("last good {good}"))
}

fn failed(group: &[&SyncView], o: &Overview) -> Markup {
    let sync = group[0];
    card(
        "grave",
        &names(group),
        "failed",
        since(sync, o),
        &html! {
            p { (sync.line.reason.as_deref().unwrap_or("the log says why")) }
            (commands(&[("once more", format!("rosterd trigger {} --wait", sync.line.sync))]))
        },
    )
}

fn untrusted(group: &[&SyncView], o: &Overview) -> Markup {
    let sync = group[0];
    card(
        "grave",
        &names(group),
        "nothing is sent",
        since(sync, o),
        &html! {
            p { (sync.line.reason.as_deref().unwrap_or("its source is not trusted")) }
            (commands(&[("mend the export; if it is right as it is", format!("rosterd accept {}", sync.source))]))
        },
    )
}

fn held_plan(held: &HeldView, o: &Overview) -> Markup {
    let plan = &held.plan;
    let what = match plan.limit {
        LimitName::Undo => "an undo waits for approval",
        _ if plan.apart => "bans are held, everything else was sent",
        _ => "a plan is held",
    };
    let counts: Vec<String> = plan.counts.iter().map(|(op, n)| format!("{n} {op}")).collect();
    let more = |named: usize| held.concerned.saturating_sub(named as u64);
    card(
        "",
        &linked(&plan.sync),
        what,
        Some(ago(plan.made_at, o.now)),
        &html! {
            p {
                (counts.join(", ")) "; limit " b { (plan.limit) }
                @if plan.limit != LimitName::Undo { ": " (plan.count) ", allowed " (plan.allowed) }
                @if !o.show_values {
                    @let first = &held.operations[..held.operations.len().min(KEYS)];
                    span class="quiet" { ": " (keys(&plan.sync, first)) @if more(first.len()) > 0 { " and " (more(first.len())) " more" } }
                }
                " · " a href=(Root::TOP.plan(plan.id.as_str())) { "the whole plan" }
            }
            @if o.show_values {
                ul {
                    @for operation in &held.operations { li { (with_values(&plan.sync, operation)) } }
                    @if more(held.operations.len()) > 0 { li class="quiet" { "and " (more(held.operations.len())) " more" } }
                }
            }
            @if let Some(why) = &held.stale { p { "It can't be approved any more: " (why) } }
            (commands(&[
                ("look", format!("rosterd plans show {}", plan.id)),
                match held.stale {
                    Some(_) => ("make it anew", format!("rosterd trigger {} --wait", plan.sync)),
                    None => ("release", format!("rosterd approve {} --reason \"…\"", plan.id)),
                },
                ("drop", format!("rosterd discard {}", plan.id)),
            ]))
        },
    )
}

fn with_values(sync: &str, operation: &Operation) -> Markup {
    html! {
        (operation.kind) " " b { a href=(Root::TOP.person(sync, operation.key.as_str())) { (operation.key.as_str()) } }
        @for (field, change) in &operation.fields { " " (field) " " (shown(&change.old)) " → " (shown(&change.new)) }
    }
}
