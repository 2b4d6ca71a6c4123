//! The story's numbers, taken from the files; and that a story which doesn't come true is noticed.

use std::collections::BTreeMap;

use super::expected::MASS_LEAVE;
use super::workspace::Workspace;
use super::*;

/// Active people by key, each with their whole row; and the keys of rows that are too short.
fn active(export: Export) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(export.text().as_bytes());
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_string).collect();
    let status = header.iter().position(|h| h == "status").expect("a column `status`");
    let (mut people, mut broken) = (BTreeMap::new(), Vec::new());
    for row in reader.records() {
        let row: Vec<String> = row.expect("a row").iter().map(str::to_string).collect();
        if row.len() < header.len() {
            broken.push(row[0].clone());
        } else if row[status] == "active" {
            assert!(people.insert(row[0].clone(), row).is_none(), "a key twice");
        }
    }
    (people, broken)
}

/// Joiners, movers and leavers from one export to the next, those with a broken row left out.
fn between(before: Export, after: Export) -> (Vec<String>, Vec<String>, Vec<String>) {
    let ((before, _), (after, broken)) = (active(before), active(after));
    let joiners = after.keys().filter(|k| !before.contains_key(*k)).cloned().collect();
    let movers =
        after.iter().filter(|(k, v)| before.get(*k).is_some_and(|b| b != *v)).map(|(k, _)| k.clone()).collect();
    let leavers = before.keys().filter(|k| !after.contains_key(*k) && !broken.contains(k)).cloned().collect();
    (joiners, movers, leavers)
}

#[test]
fn day_one_has_the_people_of_whom_some_have_accounts_already() {
    let (people, broken) = active(Export::One);
    assert!(broken.is_empty());
    assert_eq!(people.len() as u64, DAY_ONE.on[0].create + DAY_ONE.on[0].adopt);
    assert!(DAY_ONE.on[1..].iter().all(|due| due.create == people.len() as u64));
    assert_eq!(AFTERNOON.on[1].update, people.len() as u64, "their names follow");
    let known = BY_HAND.iter().filter(|(email, _)| people.values().any(|row| row[3].eq_ignore_ascii_case(email)));
    assert_eq!(known.count() as u64, DAY_ONE.on[0].adopt);
    let mut emails: Vec<&String> = people.values().map(|row| &row[3]).collect();
    emails.sort();
    emails.dedup();
    assert_eq!(emails.len(), people.len(), "nobody shares an address");
}

#[test]
fn day_two_has_joiners_movers_leavers_and_one_broken_row() {
    let (joiners, movers, leavers) = between(Export::One, Export::Two);
    let counts = [joiners.len(), movers.len(), leavers.len()].map(|n| n as u64);
    for due in DAY_TWO.on {
        assert_eq!(counts, [due.create, due.update, due.ban]);
    }
    assert_eq!(EVENING.on[1].update, EVENING.on[0].update + joiners.len() as u64, "their names follow");
    assert!(leavers.contains(&REHIRED.to_string()));
    assert_eq!(active(Export::Two).1, [BROKEN]);
}

#[test]
fn in_the_evening_one_comes_back_and_the_broken_row_is_whole() {
    let (joiners, _, leavers) = between(Export::Two, Export::Evening);
    assert_eq!((joiners, leavers), (vec![REHIRED.to_string(), BROKEN.to_string()], vec![]));
    let (_, movers, _) = between(Export::One, Export::Evening);
    assert!(movers.contains(&BROKEN.to_string()), "her title has changed");
}

#[test]
fn day_three_is_over_the_limit_and_day_four_over_the_shrink() {
    let (joiners, movers, leavers) = between(Export::Evening, Export::Three);
    assert_eq!((joiners.len(), movers.len(), leavers.len() as u64), (0, 0, MASS_LEAVE));
    let rows = |export: Export| export.text().lines().count() as u64 - 1;
    assert_eq!((rows(Export::Three), rows(Export::Four)), (311, 41));
    let users = active(Export::Evening).0.len() as u64;
    assert!(MASS_LEAVE > (users * 5 / 100).max(10));
}

#[test]
fn the_files_have_what_real_files_have() {
    let text = Export::One.text();
    for sight in ["Zürich", "李", "O'", "\"Zürich, Seefeld\"", "\"Robert \"\"Bob\"\"\"", "Łódź", "N'Diaye"] {
        assert!(text.contains(sight), "{sight}");
    }
}

#[tokio::test]
async fn the_stage_has_the_sample_configuration_and_a_secret_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let mut workspace = Workspace::create().await.expect("a workspace");
    let dir = workspace.directory().to_path_buf();
    workspace.deliver(Export::Four).expect("delivered");
    let delivered = std::fs::read_to_string(dir.join("export.csv")).expect("the source file");
    assert_eq!(delivered, Export::Four.text());
    let mode = std::fs::metadata(dir.join("config/juno.token")).expect("the token").permissions().mode();
    assert_eq!(mode & 0o077, 0);
    workspace.accounts_made_by_hand(&BY_HAND).expect("accounts");
    assert!(workspace.news().is_empty());
    workspace.close().await;
    assert!(!dir.exists(), "nothing is left behind");
}

#[test]
fn of_a_configuration_the_syncs_are_shown_without_comments_and_tests() {
    let written = [
        "[state]",
        "path = \"x\"",
        "",
        "[syncs.staff]",
        "# said",
        "source = \"hr\"   # said",
        "# schedule = \"0 0 5 * * *\" # said",
        "",
        "[syncs.staff.map]",
        "key = \"Employee #\"",
        "",
        "[[syncs.staff.tests]]",
        "name = \"n\"",
    ];
    let expected = ["[syncs.staff]", "source = \"hr\"", "[syncs.staff.map]", "key = \"Employee #\""];
    assert_eq!(sync_settings(&written.join("\n")), expected.join("\n"));
}
