//! Everything that can be asked, in one table: the router is made of it, and so is the OpenAPI document.

use axum::Router;
use axum::routing::{MethodRouter, get};
use schemars::{Schema, SchemaGenerator};

use super::{Context, Refused, api, pages, prometheus, readiness};

/// Something that can be asked with GET.
pub(super) struct Endpoint {
    /// Its path; a part in braces is a parameter.
    pub path: &'static str,
    /// What is answered, in a sentence.
    pub about: &'static str,
    /// What the answer is.
    pub answer: Answer,
    /// The parameters of its query, as properties of an object.
    pub query: Option<SchemaOf>,
    /// The statuses besides 200, each with when it is answered.
    pub others: &'static [(u16, &'static str)],
    /// Who answers.
    pub method: MethodRouter<Context>,
}

/// How a schema is had.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What an answer is.
pub(super) enum Answer {
    /// JSON of this shape.
    Json(SchemaOf),
    /// JSON of which nothing more is said.
    AnyJson,
    /// A page for people.
    Page,
    /// Lines of text.
    Text(&'static str),
}

const NOT_READY: (u16, &str) = (503, "The state is not open yet, or does not answer.");
const UNKNOWN: (u16, &str) = (404, "There is no such thing.");
const WRONG: (u16, &str) = (400, "A parameter is not known, or makes no sense.");

fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A page for people.
fn page(
    path: &'static str,
    about: &'static str,
    query: Option<SchemaOf>,
    others: &'static [(u16, &'static str)],
    method: MethodRouter<Context>,
) -> Endpoint {
    Endpoint { path, about, answer: Answer::Page, query, others, method }
}

/// An answer for programs.
fn json<T: schemars::JsonSchema>(
    path: &'static str,
    about: &'static str,
    query: Option<SchemaOf>,
    others: &'static [(u16, &'static str)],
    method: MethodRouter<Context>,
) -> Endpoint {
    Endpoint { path, about, answer: Answer::Json(of::<T>), query, others, method }
}

/// Lines of text.
fn text(
    path: &'static str,
    about: &'static str,
    kind: &'static str,
    others: &'static [(u16, &'static str)],
    method: MethodRouter<Context>,
) -> Endpoint {
    Endpoint { path, about, answer: Answer::Text(kind), query: None, others, method }
}

/// All of them.
pub(super) fn all() -> Vec<Endpoint> {
    let mut all = for_people();
    all.extend(for_programs());
    all.extend([
        text("/healthz", "The process works.", "text/plain", &[], get(async || "ok\n")),
        text("/readyz", "Configuration and state are there.", "text/plain", &[NOT_READY], get(readiness)),
        text("/metrics", "What was counted, for Prometheus.", "text/plain", &[], get(prometheus::answer)),
    ]);
    all
}

fn for_people() -> Vec<Endpoint> {
    vec![
        page("/", "How every sync stands, and what waits for somebody.", None, &[NOT_READY], get(pages::front)),
        page(
            "/history",
            "The last 90 days in pictures.",
            Some(of::<pages::HistoryWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(pages::history),
        ),
        page(
            "/runs",
            "Runs, newest first.",
            Some(of::<pages::RunsWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(pages::runs),
        ),
        page(
            "/runs/{id}",
            "A run with its outcomes.",
            Some(of::<pages::OutcomesWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(pages::run),
        ),
        page("/syncs/{sync}", "A sync.", None, &[UNKNOWN, NOT_READY], get(pages::sync)),
        page(
            "/plans/{id}",
            "A plan with its operations.",
            Some(of::<pages::OperationsWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(pages::plan),
        ),
        page(
            "/people",
            "Finds people by key.",
            Some(of::<pages::PeopleWanted>),
            &[(303, "One person has this key: there they are."), WRONG, UNKNOWN, NOT_READY],
            get(pages::people),
        ),
        page(
            "/people/{sync}/{key}",
            "A person with their story, as far as the state knows it.",
            Some(of::<pages::StoryWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(pages::person),
        ),
    ]
}

fn for_programs() -> Vec<Endpoint> {
    vec![
        json::<api::StatusAnswer>("/api/v1/status", "How every sync stands.", None, &[NOT_READY], get(api::status)),
        json::<api::RunsAnswer>(
            "/api/v1/runs",
            "Runs, newest first.",
            Some(of::<api::RunsWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(api::runs),
        ),
        json::<api::OutcomesAnswer>(
            "/api/v1/outcomes",
            "Outcomes, newest first.",
            Some(of::<api::OutcomesWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(api::outcomes),
        ),
        json::<api::PlansAnswer>("/api/v1/plans", "Plans that wait for approval.", None, &[NOT_READY], get(api::plans)),
        json::<super::plan::PlanView>(
            "/api/v1/plans/{id}",
            "A plan with a page of its operations.",
            Some(of::<api::PlanWanted>),
            &[WRONG, UNKNOWN, NOT_READY],
            get(api::plan),
        ),
        json::<super::person::PersonView>(
            "/api/v1/people/{sync}/{key}",
            "What the state knows of a person. The source is not asked.",
            None,
            &[UNKNOWN, NOT_READY],
            get(api::person),
        ),
        Endpoint {
            path: "/api/v1/openapi.json",
            about: "This document.",
            answer: Answer::AnyJson,
            query: None,
            others: &[],
            method: get(api::description),
        },
    ]
}

/// The router of all of them.
pub(super) fn router() -> Router<Context> {
    all().into_iter().fold(Router::new(), |router, endpoint| router.route(endpoint.path, endpoint.method))
}

/// The schema of what is answered where there is no answer.
pub(super) fn refused(generator: &mut SchemaGenerator) -> Schema {
    of::<Refused>(generator)
}
