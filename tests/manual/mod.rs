//! The manual and the README are true: each block of commands is run as a reader would run it, each configuration is
//! judged, and what is shown as output is what comes out. `src/manual/mod.rs` describes the format.
//!
//! `PAGE=limits cargo test --test all -- manual` tries one page.

mod judge;
mod page;
mod printed;
mod session;
mod shown;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;

use rosterd::manual::PAGES;

use self::page::{Kind, Page, Step, steps};
use self::session::{Network, SANDBOX, Session};

/// A file of the repository.
fn file(path: &str) -> Page {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("text");
    Page { name: path.trim_start_matches("src/manual/").to_string(), text }
}

/// The pages, and the README: as they are now, not as they were when this was built.
fn pages() -> Vec<Page> {
    let wanted = std::env::var("PAGE").ok();
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual")).expect("the pages");
    let names = folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut pages: Vec<Page> =
        names.filter(|name| name.ends_with(".md")).map(|name| file(&format!("src/manual/{name}"))).collect();
    assert!(pages.len() >= PAGES.len(), "{} pages", pages.len());
    pages.push(file("README.md"));
    pages.retain(|page| wanted.as_deref().is_none_or(|wanted| page.name.starts_with(wanted)));
    pages.sort_by_key(|page| std::cmp::Reverse(page.name.clone()));
    pages
}

#[test]
fn pages_are_in_the_format() {
    let problems: Vec<String> = pages().into_iter().flat_map(|page| steps(&page).1).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn configuration_and_data_on_pages_are_right() {
    let mut problems = Vec::new();
    for page in pages() {
        let judged = steps(&page).0.iter().filter_map(|step| judge::judge(step).err()).collect::<Vec<_>>();
        problems.extend(judged.into_iter().map(|problem| format!("{}:{problem}", page.name)));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn commands_on_pages_do_what_the_pages_say() {
    let left = Mutex::new(pages());
    let problems = Mutex::new(Vec::new());
    let work = |network: &dyn Fn() -> Option<Network>| {
        while let Some(page) = next(&left) {
            let told = follow(&page, network());
            problems.lock().expect("the problems").extend(told);
        }
    };
    if Network::new().is_some() {
        // Two cores are what the smallest machine has.
        std::thread::scope(|scope| {
            scope.spawn(|| work(&Network::new));
            scope.spawn(|| work(&Network::new));
        });
    } else {
        let listener = TcpListener::bind(SANDBOX);
        assert!(listener.is_ok(), "somebody else listens at {SANDBOX}, where pages expect the sandbox: end it");
        drop(listener);
        work(&|| None);
    }
    let problems = problems.into_inner().expect("the problems");
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn next(left: &Mutex<Vec<Page>>) -> Option<Page> {
    left.lock().expect("the pages").pop()
}

/// Runs the commands of a page, up to the first that does not do what the page says.
fn follow(page: &Page, network: Option<Network>) -> Option<String> {
    let steps = steps(page).0;
    let is_run = |step: &Step| matches!(step.kind, Kind::Shell(_)) && !is_build(step);
    if !steps.iter().any(is_run) {
        return None;
    }
    let starts_sandbox =
        steps.iter().any(|step| is_run(step) && step.text.lines().any(|line| line.starts_with("rosterd sandbox")));
    let mut session = Session::new(network, starts_sandbox);
    let taken = steps.iter().filter(|step| !is_build(step)).try_for_each(|step| session.take(step));
    taken.err().map(|told| format!("{}:{told}", page.name))
}

/// Whether the block is for somebody with the sources: it builds, tests or packages. `.ci/run` does that.
fn is_build(step: &Step) -> bool {
    let of_sources = |line: &str| line.starts_with("cargo ") || line.starts_with(".ci/");
    matches!(step.kind, Kind::Shell(_)) && step.text.lines().any(of_sources)
}

#[test]
fn what_the_readme_builds_with_is_what_ci_runs() {
    let ci = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run");
    let ci = fs::read_to_string(ci).expect(".ci/run");
    let mut seen = 0;
    for step in steps(&file("README.md")).0.iter().filter(|step| is_build(step)) {
        for line in step.text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
            seen += 1;
            // Settings may stand before it.
            let is_it = |other: &str| other == line || other.ends_with(&format!(" {line}"));
            assert!(ci.lines().any(is_it), "README.md:{}: .ci/run does not have {line:?}", step.line);
        }
    }
    assert!(seen >= 3, "{seen} lines");
}

fn of(text: &str) -> Page {
    Page { name: "page".into(), text: text.into() }
}

#[test]
fn a_page_that_is_not_in_the_format_is_noticed() {
    let wrong = |text: &str| steps(&of(text)).1.join("\n");
    for (text, told) in [
        ("    rosterd plan\n", "page:1: a block is indented"),
        ("```\nls\n```\n", "page:2: a fence does not say what the block is"),
        ("```shell\nls\n```\n", "page:2: no block is called \"shell\""),
        ("```text\nrosterd plan\n```\n", "\"rosterd plan\" is a command"),
        ("<!-- exits: 3 -->\n\nand then\n\n```sh\nls\n```\n", "page:1: exits stands before no block"),
        ("<!-- until: true -->\n```sh machine\nls\n```\n", "until says nothing of a block of sh machine"),
        ("<!-- exits: 3 -->\n```toml\na = 1\n```\n", "page:3: exits says nothing of a block of toml"),
        ("<!-- exist: 3 -->\n```sh\nls\n```\n", "page:3: exist says nothing of a block of sh"),
        ("<!-- replace: ABC = echo 1 -->\n```sh\nls\n```\n", "page:3: ABC is to be replaced, and is not there"),
        ("> quoted\n", "page:1: pages have no"),
    ] {
        assert!(wrong(text).contains(told), "{text:?}: {:?}", wrong(text));
    }
    assert_eq!(wrong("1. one\n\n   <!-- given:\n   true -->\n   ```sh machine\n   ls\n   ```\n"), "");
}

#[test]
fn commands_that_do_not_do_what_the_page_says_are_noticed() {
    let told = |text: &str| follow(&of(text), Network::new());
    if Network::new().is_none() {
        return; // The port is for the pages.
    }
    for (text, expected) in [
        (
            "```sh\ntrue\nrosterd frobnicate\ntrue\n```\n",
            "page:2: the block does not end with 0: exit code 64 of line 3: rosterd frobnicate",
        ),
        ("<!-- exits: 3 -->\n```sh\ntrue\n```\n", "page:3: the block does not end with 3: exit code 0"),
        (
            "<!-- exits: 1 -->\n```sh\nfalse\ntrue\n```\n",
            "page:3: the block does not end with 1: exit code 1 of line 3: false",
        ),
        (
            "```sh\necho 1\n```\n\n<!-- prints -->\n```text\n2\n```\n",
            "page:7: this line of the page is not what was printed there: \"2\"",
        ),
        ("<!-- given: false -->\n```sh\ntrue\n```\n", "page:1: what is given fails: exit code 1 of line 1: false"),
        ("<!-- until: false -->\n```sh\ntrue\n```\n", "page:3: waited in vain for false"),
    ] {
        let told = told(text).unwrap_or_else(|| panic!("{text:?}: nothing"));
        assert!(told.contains(expected), "{text:?}: {told}");
    }
    let right = "<!-- given: export A=1; mkdir b; cd b -->\n```sh\necho $A $(basename $PWD) ab\n```\n\n<!-- prints -->\n\
                 ```text\n1 b …\n```\n\n<!-- replace: XY = echo b -->\n```sh\ntest $(basename $PWD) = XY\n```\n\n\
                 <!-- until: test -f c -->\n```sh\ntouch c; sleep 600\n```\n\n<!-- file: d.json -->\n```json\n{}\n```\n\n\
                 ```sh\ntest \"$(cat d.json)\" = '{}' -a -f c\n```\n";
    assert_eq!(told(right), None);
}
