//! `[syncs.NAME]`: where source, target and mapping meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::diagnostic::did_you_mean;
use super::super::locate::KeyPath;
use super::super::raw::{self, RawEmpty, RawHold, RawLimits, RawOnLeave, RawRule, RawSync, RawTest, RawWhen};
use super::super::settings::{DaemonSettings, OnLeave, SourceSettings, SyncSettings, TargetSettings};
use super::release::{self, Released};
use super::times::{due, refuse_standard_input, timezone};
use super::{Made, Report, label};
use crate::domain::catalogue::{Catalogue, Field};
use crate::domain::limits::Limit;
use crate::domain::limits::{HoldBack, Limits};
use crate::domain::nearest::nearest;
use crate::domain::units::TypedLimit;
use crate::domain::value::FieldType;
use crate::mapping::protect::Protection;
use crate::mapping::testing::{Expectation, TestSettings};
use crate::mapping::{FieldRule, Finding, FindingAt, Mapping, MappingSpec, OnEmpty, Severity, ValueFrom, When};

/// The default of `flap_window`, as documented: 30 days.
const FLAP_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The default of `max_flaps`, as documented.
const MAX_FLAPS: u32 = 3;

/// The field by which accounts are recognised unless `match` says otherwise, where it is mapped.
const DEFAULT_MATCH: &str = "email";

/// What a sync can refer to.
pub(super) struct Defined<'a> {
    pub sources: &'a BTreeMap<String, Made<SourceSettings>>,
    pub targets: &'a BTreeMap<String, Made<TargetSettings>>,
    /// The target of each sync, as typed.
    pub target_of: BTreeMap<String, Option<String>>,
}

impl Defined<'_> {
    /// The other syncs on this platform: on this target, or on another at the same address.
    fn rivals_of(&self, sync: &str, target: &TargetSettings) -> BTreeSet<String> {
        let identity = target.identity();
        let is_same = |name: &String| match self.targets.get(name) {
            Some(Made::Ready(other)) => other.identity().is_one_with(&identity),
            _ => *name == target.name,
        };
        let others = self.target_of.iter().filter(|(name, of)| *name != sync && of.as_ref().is_some_and(is_same));
        others.map(|(name, _)| name.clone()).collect()
    }
}

/// Resolves one sync.
pub(super) fn resolve(
    report: &mut Report<'_>,
    path: &KeyPath,
    name: &str,
    mut raw: RawSync,
    defined: &Defined<'_>,
) -> Option<SyncSettings> {
    let source = reference(report, &path.join("source"), "source", raw.source.take(), defined.sources);
    let target = reference(report, &path.join("target"), "target", raw.target.take(), defined.targets);
    let zone = timezone(report, path, raw.timezone.as_deref());
    let schedule = due(report, &path.join("schedule"), raw.schedule.as_deref(), zone);
    let reconcile_schedule = due(report, &path.join("reconcile_schedule"), raw.reconcile_schedule.as_deref(), zone);
    if let (Some(source), true) = (&source, raw.schedule.is_some()) {
        refuse_standard_input(report, path, source);
    }
    let fields: Vec<String> = raw.map.keys().cloned().collect();
    let typed_match = raw.match_fields.take();
    let default_match = || fields.iter().filter(|f| *f == DEFAULT_MATCH).cloned().collect();
    let match_fields: Vec<String> = typed_match.clone().unwrap_or_else(default_match);
    let mut spec = spec(report, path, std::mem::take(&mut raw.map), raw.include.take());
    spec.recognised_by.clone_from(&match_fields);
    spec.all_text = source.as_ref().is_some_and(|source| source.kind.is_all_text());
    let mapping = match &target {
        Some(target) => mapping(report, path, &spec, &fields, target.engine.catalogue()),
        None => {
            expressions(report, path, &spec, &fields);
            None
        }
    };
    if let Some(target) = &target {
        let catalogue = target.engine.catalogue();
        match_fields_known(report, path, typed_match.as_deref().unwrap_or_default(), &fields, catalogue);
        recognisable(report, path, &match_fields, &fields, catalogue);
        if raw.on_leave == Some(RawOnLeave::Delete) && !target.engine.can_delete() {
            let message = format!("{} knows no way to delete an account", target.engine.title());
            let help = "write \"ban\" (leavers are deactivated) or \"ignore\"";
            report.error(&path.join("on_leave"), message, Some(help.into()));
        }
        let released = Released {
            fields: raw.release_on_ban.as_deref().unwrap_or_default(),
            by_bans: matches!(raw.on_leave, None | Some(RawOnLeave::Ban)),
            can_delete: target.engine.can_delete(),
        };
        release::check(report, path, &released, catalogue);
    }
    let label = label::resolve(report, path, raw.label.take(), &spec, &match_fields, target.as_deref());
    if let Some(source) = &source {
        key_column(report, path, &spec, source, target.as_deref());
    }
    if let (Some(source), Some(mapping)) = (&source, &mapping) {
        let known = |text: &str| {
            source.is_key(text)
                || source.required.iter().any(|column| column == text)
                || mapping.columns().iter().any(|column| column == text)
        };
        mapping.columns_in_quotes(known).into_iter().for_each(|finding| told(report, path, finding));
    }
    let typed_protect = raw.protect.take().map(|p| p.0).unwrap_or_default();
    let protect = protection(report, path, &typed_protect, target.as_ref().map(|t| t.engine.catalogue()));
    let tests = tests(report, path, std::mem::take(&mut raw.tests), &fields);
    if let (Some(source), Some(mapping)) = (&source, &mapping) {
        unused_test_columns(report, path, &tests, source, mapping);
    }
    let target = target?;
    Some(SyncSettings {
        name: name.to_owned(),
        source: source?,
        rivals: defined.rivals_of(name, &target),
        target,
        schedule,
        timezone: zone?,
        mapping: Arc::new(mapping?),
        match_fields,
        label,
        on_leave: match raw.on_leave {
            Some(RawOnLeave::Delete) => OnLeave::Delete,
            Some(RawOnLeave::Ignore) => OnLeave::Ignore,
            Some(RawOnLeave::Ban) | None => OnLeave::Ban,
        },
        leave_grace: raw.leave_grace.map_or(Duration::ZERO, |s| s.0),
        release_on_ban: raw.release_on_ban.unwrap_or_default(),
        protect: Arc::new(protect),
        bans_first: raw.bans_first.unwrap_or(true),
        max_flaps: raw.max_flaps.unwrap_or(MAX_FLAPS),
        flap_window: raw.flap_window.map_or(FLAP_WINDOW, |s| s.0),
        limits: limits(raw.limits.unwrap_or_default()),
        daemon: DaemonSettings {
            catch_up: raw.catch_up.unwrap_or(true),
            jitter: raw.jitter.map_or(Duration::ZERO, |s| s.0),
            reconcile_schedule,
            reconcile_repair: raw.reconcile_repair.unwrap_or(false),
        },
        tests,
        typed: [0; 32],
    })
}

/// The source or target that a sync names.
fn reference<T>(
    report: &mut Report<'_>,
    path: &KeyPath,
    what: &str,
    name: Option<String>,
    defined: &BTreeMap<String, Made<T>>,
) -> Option<Arc<T>> {
    let name = report.required(path, name, &format!("name a {what} of this configuration"))?;
    // A section that could not even be read is defined all the same.
    if report.is_unreadable(&KeyPath::of([format!("{what}s"), name.clone()])) {
        return None;
    }
    if !report.known(path, what, &name, defined.keys()) {
        return None;
    }
    match defined.get(&name) {
        Some(Made::Ready(it)) => Some(Arc::clone(it)),
        Some(Made::Unsupported(why)) => {
            report.error(path, why.clone(), Some("take this sync out, or use a version that can".into()));
            None
        }
        Some(Made::Broken) | None => None,
    }
}

/// The rules that can be understood.
fn spec(
    report: &mut Report<'_>,
    path: &KeyPath,
    map: BTreeMap<String, RawRule>,
    include: Option<String>,
) -> MappingSpec {
    let path = path.join("map");
    if map.is_empty() && !report.is_unreadable(&path) {
        let help = "write [syncs.NAME.map], and below it one line for each field: email = \"email\"";
        report.missing(&path, "nothing is mapped", help);
    }
    let fields =
        map.into_iter().filter_map(|(field, rule)| self::rule(report, &path.join(&field), field, rule)).collect();
    MappingSpec { fields, include, ..MappingSpec::default() }
}

fn rule(report: &mut Report<'_>, path: &KeyPath, field: String, RawRule(raw): RawRule) -> Option<FieldRule> {
    let from = match (raw.column, raw.cel, raw.value) {
        (Some(column), None, None) if column.trim().is_empty() => {
            let help = "name the column of the source, or take the line out";
            report.error(path, "the name of a column is empty", Some(help.into()));
            return None;
        }
        (Some(column), None, None) => ValueFrom::Column(column),
        (None, Some(cel), None) => ValueFrom::Cel(cel),
        (None, None, Some(value)) => ValueFrom::Value(value),
        _ => {
            if report.unreadable_below(path).is_empty() {
                let help = "write \"COLUMN\", { cel = 'EXPRESSION' } or { value = CONSTANT }";
                report.error(
                    path,
                    "a field takes its value from exactly one of column, cel and value",
                    Some(help.into()),
                );
            }
            return None;
        }
    };
    let when = match raw.when {
        Some(RawWhen::Create) => When::Create,
        Some(RawWhen::Always) | None => When::Always,
    };
    let empty = match raw.empty {
        Some(RawEmpty::Omit) => OnEmpty::Omit,
        Some(RawEmpty::Clear) | None => OnEmpty::Clear,
    };
    Some(FieldRule { field, from, when, empty })
}

/// Compiles the mapping, which judges it against the catalogue. `fields` are all that were typed, readable or not.
fn mapping(
    report: &mut Report<'_>,
    path: &KeyPath,
    spec: &MappingSpec,
    fields: &[String],
    catalogue: &Catalogue,
) -> Option<Mapping> {
    if spec.fields.is_empty() && spec.include.is_none() {
        return None;
    }
    let map = path.join("map");
    let understood = |field: &String| spec.fields.iter().any(|r| r.field == *field);
    let mut told: Vec<String> = fields.iter().filter(|f| !understood(f)).cloned().collect();
    told.extend(report.unreadable_below(&map));
    // What was meant by a misspelt name is not also missing.
    let unknown = fields.iter().filter(|f| !catalogue.admits(f));
    let names = || catalogue.fields.keys().map(String::as_str);
    told.extend(
        unknown.filter_map(|f| nearest(f, names())).filter(|n| !fields.iter().any(|f| f == n)).map(str::to_owned),
    );
    let (compiled, findings) = match Mapping::compile(spec, catalogue) {
        Ok((mapping, warnings)) => (Some(mapping), warnings),
        Err(findings) => (None, findings),
    };
    let is_told = |place: &FindingAt| matches!(place, FindingAt::Field(field) if told.contains(field));
    for mut finding in findings.into_iter().filter(|f| !is_told(&f.place)) {
        if let FindingAt::Field(field) = &finding.place
            && !catalogue.admits(field)
            && raw::fields::<RawSync>().contains(&field.as_str())
        {
            let sync = path.0.last().map_or("", String::as_str);
            finding.help = Some(format!("`{field}` is a key of the sync: put it above [syncs.{sync}.map]"));
        }
        self::told(report, path, finding);
    }
    compiled
}

/// Reports a finding about a mapping at its place in the configuration.
fn told(report: &mut Report<'_>, path: &KeyPath, Finding { severity, place, message, help }: Finding) {
    let at = match place {
        FindingAt::Include => path.join("include"),
        FindingAt::Field(field) => path.join("map").join(&field),
    };
    match severity {
        Severity::Error => report.error(&at, message, help),
        Severity::Warning => report.warning(&at, message, help),
    }
}

/// Judges the expressions of a sync whose target is wrong or missing: they are right or wrong on their own.
fn expressions(report: &mut Report<'_>, path: &KeyPath, spec: &MappingSpec, fields: &[String]) {
    let rules = spec.fields.iter().filter(|r| matches!(r.from, ValueFrom::Cel(_)));
    let spec = MappingSpec { fields: rules.cloned().collect(), recognised_by: Vec::new(), ..spec.clone() };
    let any = Field {
        kind: FieldType::Text,
        writable: Ok(()),
        required: false,
        unique: false,
        allowed: vec![],
        range: None,
        same_as: None,
        option: None,
        clearable: true,
        whole: false,
        park: None,
    };
    let fields_of_any_kind = spec.fields.iter().map(|r| (r.field.clone(), any.clone())).collect();
    let catalogue = Catalogue { fields: fields_of_any_kind, open: true, ..Catalogue::default() };
    if !spec.fields.is_empty() || spec.include.is_some() {
        mapping(report, path, &spec, fields, &catalogue);
    }
}

/// What `match` names must exist and be mapped.
fn match_fields_known(
    report: &mut Report<'_>,
    path: &KeyPath,
    typed: &[String],
    fields: &[String],
    catalogue: &Catalogue,
) {
    let at = path.join("match");
    for (i, field) in typed.iter().enumerate() {
        let at = at.join(i.to_string());
        if !catalogue.admits(field) {
            report.error(&at, format!("the target has no field {field:?}"), Some(catalogue.hint(field)));
        } else if !fields.contains(field) {
            let help = format!("add `{field}` to the mapping, or take it out of match");
            report.error(&at, format!("{field:?} is not mapped, so there is nothing to recognise by"), Some(help));
        }
    }
}

/// Existing accounts must be recognisable, or a lost database would make everybody twice.
fn recognisable(report: &mut Report<'_>, path: &KeyPath, wanted: &[String], fields: &[String], catalogue: &Catalogue) {
    // Where ids are addresses, the address always tells.
    let telling = [&catalogue.key_field, &catalogue.id_field];
    let key_is_mapped = telling.into_iter().flatten().any(|key| fields.contains(key));
    if wanted.is_empty() && !key_is_mapped && !fields.is_empty() {
        let help = match &catalogue.key_field {
            Some(key) => format!("map the target's key field, `{key}`, or write e.g. match = [\"{DEFAULT_MATCH}\"]"),
            None => format!("write e.g. match = [\"{DEFAULT_MATCH}\"]"),
        };
        report.error(&path.join("map"), "nothing tells which account on the target belongs to whom", Some(help));
    }
}

/// The target's key field should hold the source's key: accounts are looked up by it.
fn key_column(
    report: &mut Report<'_>,
    path: &KeyPath,
    spec: &MappingSpec,
    source: &SourceSettings,
    target: Option<&TargetSettings>,
) {
    let Some(key) = target.and_then(|t| t.engine.catalogue().key_field.as_ref()) else { return };
    let column = spec.fields.iter().find(|r| r.field == *key).map(|r| &r.from);
    if let Some(ValueFrom::Column(column)) = column.filter(|c| !matches!(c, ValueFrom::Column(c) if source.is_key(c))) {
        let message = format!("`{key}` is where the target keeps a person's key, but it is mapped from {column:?}");
        let help =
            format!("the key of source `{}` is {:?}: map that, or make {column:?} the key", source.name, source.key);
        report.warning(&path.join("map").join(key), message, Some(help));
    }
}

fn protection(
    report: &mut Report<'_>,
    path: &KeyPath,
    entries: &[String],
    catalogue: Option<&Catalogue>,
) -> Protection {
    let at = path.join("protect");
    let protection = Protection::compile(entries).unwrap_or_else(|problems| {
        for (n, problem) in problems {
            report.error(&at.join(n.to_string()), problem.message, problem.help);
        }
        Protection::default()
    });
    let Some(catalogue) = catalogue.filter(|c| !c.open) else { return protection };
    for field in protection.fields().filter(|field| catalogue.field(field).is_none()) {
        report.error(&at, format!("the target has no field {field:?}"), Some(catalogue.hint(field)));
    }
    protection
}

/// The defaults are documented.
fn limits(raw: RawLimits) -> Limits {
    let at_most = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
    let or = |typed: Option<TypedLimit>, default: Limit| typed.map_or(default, |l| l.0);
    Limits {
        create: or(raw.create, Limit::Unlimited),
        update: or(raw.update, Limit::Unlimited),
        clear: or(raw.clear, at_most(10, 5)),
        ban: or(raw.ban, at_most(10, 5)),
        ban_per_day: or(raw.ban_per_day, at_most(30, 10)),
        reinstate: or(raw.reinstate, Limit::Unlimited),
        adopt: or(raw.adopt, Limit::Unlimited),
        failures: or(raw.failures, at_most(20, 10)),
        hold: match raw.hold {
            Some(RawHold::Bans) => HoldBack::Bans,
            Some(RawHold::Plan) | None => HoldBack::Plan,
        },
    }
}

fn tests(report: &mut Report<'_>, path: &KeyPath, raw: Vec<RawTest>, fields: &[String]) -> Vec<TestSettings> {
    let path = path.join("tests");
    raw.into_iter().enumerate().filter_map(|(i, t)| test(report, &path.join(i.to_string()), t, fields)).collect()
}

fn test(report: &mut Report<'_>, path: &KeyPath, raw: RawTest, fields: &[String]) -> Option<TestSettings> {
    let name = report.required(&path.join("name"), raw.name, "say what it shows: name = \"names are trimmed\"");
    let expect = match (raw.expect, raw.excluded, raw.rejected) {
        (Some(expect), None, None) => {
            for field in expect.keys().filter(|f| !fields.contains(f)) {
                let at = path.join("expect").join(field);
                let help = did_you_mean(field, fields.iter().map(String::as_str));
                report.error(&at, format!("{field:?} is not mapped, so nothing can be expected of it"), help);
            }
            Some(Expectation::Fields(expect))
        }
        (None, Some(true), None) => Some(Expectation::Excluded),
        (None, None, Some(reason)) => Some(Expectation::Rejected(reason)),
        _ => {
            if report.unreadable_below(path).is_empty() {
                let help = "write expect = { field = … }, excluded = true or rejected = \"part of the reason\"";
                report.error(path, "a test expects exactly one thing", Some(help.into()));
            }
            None
        }
    };
    Some(TestSettings { name: name?, record: raw.record, expect: expect? })
}

/// A column in a test that nothing reads is probably misspelt: the test would test nothing.
fn unused_test_columns(
    report: &mut Report<'_>,
    path: &KeyPath,
    tests: &[TestSettings],
    source: &SourceSettings,
    mapping: &Mapping,
) {
    let mut known: Vec<&str> = mapping.columns().iter().map(String::as_str).collect();
    known.push(&source.key);
    known.extend(source.required.iter().map(String::as_str));
    for (i, test) in tests.iter().enumerate() {
        for column in test.record.keys().filter(|c| !known.contains(&c.as_str())) {
            let at = path.join("tests").join(i.to_string()).join("record").join(column);
            let help = did_you_mean(column, known.iter().copied()).filter(|h| h.starts_with("did you mean"));
            report.warning(&at, format!("nothing in this sync reads the column {column:?}"), help);
        }
    }
}
