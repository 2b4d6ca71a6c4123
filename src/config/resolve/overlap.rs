//! Two syncs from one source to one platform: which people would be both's.
//!
//! Whether two expressions can be true of one record is not decided but tried: on records that are made of the texts in
//! them. Where one is found, the syncs overlap for certain; where none is, nothing is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::locate::KeyPath;
use super::super::settings::SyncSettings;
use super::Report;
use crate::domain::local_time::LocalTime;
use crate::mapping::{Expression, Scope};
use chrono::DateTime;
use chrono_tz::Tz;

/// Records that are tried for two syncs.
const TRIED: usize = 4_096;

/// Values that are tried for every column beside the texts of the expressions: none, one that nobody names, dates far
/// off, and what JSON has.
fn usual() -> Vec<Value> {
    vec![
        json!(""),
        json!("~"),
        json!("9999-12-31"),
        json!("0001-01-01"),
        json!(true),
        json!(false),
        json!(1),
        json!("1"),
    ]
}

/// Warns of each pair of syncs that would own the same people.
pub(super) fn warn(report: &mut Report<'_>, syncs: &BTreeMap<String, Arc<SyncSettings>>) {
    let all: Vec<&Arc<SyncSettings>> = syncs.values().collect();
    for (n, later) in all.iter().enumerate() {
        for earlier in &all[..n] {
            let together = later.source.name == earlier.source.name && later.rivals.contains(&earlier.name);
            let Some(common) = together.then(|| common(earlier, later)).flatten() else { continue };
            let whom = match common.is_empty() {
                true => "everybody in it is both's".to_string(),
                false => format!("a record with {common} is both's"),
            };
            let message = format!(
                "sync {} brings people of source {} to the same platform as sync {}, and include does not tell them apart: {whom}",
                later.name, later.source.name, earlier.name
            );
            let help = "an account has one owner, and a run that finds another ends with 78: let include say whose people are whose, or make them one sync";
            let path = KeyPath::of(["syncs", &later.name]);
            let path = if later.mapping.include().is_some() { path.join("include") } else { path };
            report.warning(&path, message, Some(help.into()));
        }
    }
}

/// What a record of both syncs looks like, in words; none where none was found.
fn common(a: &SyncSettings, b: &SyncSettings) -> Option<String> {
    let scopes: Vec<&Expression> = [a.mapping.scope(), b.mapping.scope()].into_iter().flatten().collect();
    let mut columns: Vec<&String> = scopes.iter().flat_map(|scope| scope.columns()).collect();
    columns.sort();
    columns.dedup();
    let mut values: Vec<Value> = scopes.iter().flat_map(|scope| scope.texts()).map(|text| json!(text)).collect();
    values.sort_by_key(Value::to_string);
    values.dedup();
    values.extend(usual());
    let combinations = values.len().saturating_pow(u32::try_from(columns.len()).unwrap_or(u32::MAX));
    for n in 0..combinations.min(TRIED) {
        let chosen = |at: usize| match combinations <= TRIED {
            true => n / values.len().pow(u32::try_from(at).unwrap_or(0)) % values.len(),
            false => usize::try_from(mixed(n as u64, at as u64) % values.len() as u64).unwrap_or(0),
        };
        let record: Vec<&Value> = (0..columns.len()).map(|at| &values[chosen(at)]).collect();
        let cell = |name: &str| columns.iter().position(|column| *column == name).map(|at| record[at]);
        let time = LocalTime::new(DateTime::UNIX_EPOCH, Tz::UTC);
        let wanted = |scope: &&Expression| scope.evaluate(&Scope::new(&cell, time)) == Ok(Value::Bool(true));
        if scopes.iter().all(wanted) {
            let told = columns.iter().zip(&record).map(|(column, value)| format!("{column} = {value}"));
            return Some(told.collect::<Vec<_>>().join(", "));
        }
    }
    None
}

/// A number that looks like chance and is always the same.
fn mixed(n: u64, at: u64) -> u64 {
    let mut z =
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(at.wrapping_add(1).wrapping_mul(0xBF58_476D_1CE4_E5B9));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
