//! What all pages have in common: head, bar, the way to other pages, and how single things are written.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::domain::outcome::{Outcome, Status};
use crate::domain::time::spoken;
use crate::os::zone::Zone;
use crate::server::links::{Root, part};

const STYLE: &str = include_str!("../page.css");

/// A page's frame.
pub(in crate::server) struct Shell<'s> {
    /// What it is about.
    pub title: &'s str,
    /// Where it stands.
    pub root: Root,
    /// When it was looked at.
    pub now: DateTime<Utc>,
    /// The zone in which times are told.
    pub zone: Zone,
    /// It loads itself anew every half minute.
    pub refresh: bool,
}

impl Shell<'_> {
    /// The whole document: a bar of this class with a heading and a line below it, and what it is about.
    pub fn document(&self, class: &str, heading: &Markup, below: &Markup, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if self.refresh { meta http-equiv="refresh" content="30"; }
                    title { (self.title) " · rosterd" }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header class=(class) {
                        div class="bar" { h1 { (heading) } (self.ways()) }
                        p { (below) }
                    }
                    main { (body) }
                    (self.footer())
                }
            }
        }
    }

    /// An ordinary page.
    pub fn page(&self, heading: &Markup, body: &Markup) -> Markup {
        let below = html! { a href=(self.root.home()) { "rosterd" } " · " (self.zone.told(self.now)) };
        self.document("plain", heading, &below, body)
    }

    /// The way to the other pages, and to a person by key.
    fn ways(&self) -> Markup {
        html! {
            nav {
                a href=(self.root.home()) { "Status" }
                a href=(self.root.page("runs")) { "Runs" }
                a href=(self.root.page("history")) { "History" }
                form action=(self.root.page("people")) method="get" role="search" {
                    input type="search" name="key" placeholder="Key of a person" aria-label="Key of a person" required
                        maxlength="500" autocomplete="off" spellcheck="false";
                    button type="submit" { "Find" }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        let to = |page: &str| self.root.page(page);
        html! {
            footer {
                a href=(to("metrics")) { "metrics" } " · API: " a href=(to("api/v1/status")) { "status" } " · "
                a href=(to("api/v1/runs")) { "runs" } " · " a href=(to("api/v1/outcomes")) { "outcomes" } " · "
                a href=(to("api/v1/plans")) { "plans" } " · " a href=(to("api/v1/openapi.json")) { "OpenAPI" }
            }
        }
    }

    /// A time, with how long ago it is.
    pub fn time(&self, at: DateTime<Utc>) -> Markup {
        html! { span class="time" title=(super::ago(at, self.now)) { (self.zone.told(at)) } }
    }

    /// The outcomes of several runs and people, newest first. `with`: which of them are told in each row.
    pub fn outcomes(&self, outcomes: &[Outcome], with: Told) -> Markup {
        html! {
            table class="rows" {
                thead { tr {
                    th { "When" }
                    @if with == Told::Runs { th { "Run" } } @else { th { "Person" } }
                    th { "Operation" } th { "Outcome" } th class="wide" { "Fields, and why" }
                } }
                tbody { @for outcome in outcomes { (self.outcome(outcome, with)) } }
            }
        }
    }

    fn outcome(&self, o: &Outcome, with: Told) -> Markup {
        let why = [o.reason.as_deref(), o.error.as_ref().map(|error| error.message.as_str())];
        let class = if o.status == Status::Ok { "" } else { "notable" };
        html! {
            tr class=(class) {
                td { (self.time(o.ts)) }
                td class={ "name" @if with == Told::Runs { " id" } } {
                    @if with == Told::Runs { a href=(self.root.run(o.run.as_str())) { (o.run) } }
                    @else if let Some(key) = &o.key { a href=(self.root.person(&o.sync, key.as_str())) { (key) } }
                    @else { span class="quiet" { "(no key)" } }
                }
                td { (o.op.map_or(if o.status == Status::Rejected { "record" } else { "none" }, |op| op.name())) }
                td { span class={ "pill " (o.status) } { (o.status) } }
                td class="wide" {
                    (o.fields.join(", "))
                    @for why in why.into_iter().flatten() { " " span class="why" { (why) } }
                    @if o.attempts > 1 { " " span class="quiet" { (o.attempts) " attempts" } }
                    @if let (Some(status), true) = (o.http_status, o.status != Status::Ok) { " " span class="quiet" { "HTTP " (status) } }
                }
            }
        }
    }

    /// A choice of one among several, each with its address; the one that is chosen is none.
    pub fn choice(&self, choices: &[(String, String, bool)]) -> Markup {
        html! {
            p class="choice" {
                @for (name, to, chosen) in choices {
                    @if *chosen { b { (name) } } @else { a href=(to) { (name) } }
                }
            }
        }
    }

    /// One sync among all: `page?sync=NAME`.
    pub fn choice_of_sync(&self, page: &str, syncs: &[String], chosen: Option<&str>) -> Markup {
        if syncs.len() < 2 {
            return html! {};
        }
        let mut choices = vec![("All syncs".to_string(), self.root.page(page), chosen.is_none())];
        choices.extend(syncs.iter().map(|sync| {
            (sync.clone(), format!("{}?sync={}", self.root.page(page), part(sync)), chosen == Some(sync.as_str()))
        }));
        self.choice(&choices)
    }
}

/// What a row of outcomes tells besides its operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Told {
    /// The run: all are of one person.
    Runs,
    /// The person: all are of one run.
    People,
}

/// Names and what they stand for, side by side.
pub(in crate::server) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl { @for (name, what) in facts { dt { (name) } dd { (what) } } } }
}

/// A command to type.
pub(in crate::server) fn command(what: &str, command: &str) -> Markup {
    html! { span { (what) ": " code { (command) } } " " }
}

/// How long something took.
pub(in crate::server) fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let milliseconds = (to - from).num_milliseconds().max(0).unsigned_abs();
    if milliseconds < 1_000 { format!("{milliseconds} ms") } else { spoken(milliseconds / 1_000) }
}
