//! `[syncs.NAME] label`: the target fields by which people are named.

use super::super::locate::KeyPath;
use super::super::settings::TargetSettings;
use super::Report;
use crate::domain::label::LabelFields;
use crate::mapping::{MappingSpec, ValueFrom};

/// The fields that are typed; else those of the target's definition that are mapped, else the `match` fields.
pub(super) fn resolve(
    report: &mut Report<'_>,
    path: &KeyPath,
    typed: Option<Vec<String>>,
    spec: &MappingSpec,
    match_fields: &[String],
    target: Option<&TargetSettings>,
) -> LabelFields {
    let is_mapped = |field: &String| spec.fields.iter().any(|rule| rule.field == *field);
    if let (Some(typed), Some(target)) = (&typed, target) {
        judge(report, &path.join("label"), typed, is_mapped, target);
    }
    let fields = typed.unwrap_or_else(|| {
        let of_target = target.map(|target| target.engine.catalogue().label.as_slice()).unwrap_or_default();
        let mapped: Vec<String> = of_target.iter().filter(|field| is_mapped(field)).cloned().collect();
        if mapped.is_empty() { match_fields.to_vec() } else { mapped }
    });
    let mapped = spec.fields.iter().map(|rule| {
        let column = match &rule.from {
            ValueFrom::Column(column) => Some(column.as_str()),
            ValueFrom::Cel(_) | ValueFrom::Value(_) => None,
        };
        (rule.field.as_str(), column)
    });
    LabelFields::new(fields, mapped)
}

/// A field that the target has not is a mistake; of one that is not mapped nothing is known, so it names nobody.
fn judge(
    report: &mut Report<'_>,
    at: &KeyPath,
    typed: &[String],
    is_mapped: impl Fn(&String) -> bool,
    target: &TargetSettings,
) {
    let catalogue = target.engine.catalogue();
    for (i, field) in typed.iter().enumerate() {
        let at = at.join(i.to_string());
        if !catalogue.admits(field) {
            report.error(&at, format!("the target has no field {field:?}"), Some(catalogue.hint(field)));
        } else if !is_mapped(field) {
            let help = format!("add `{field}` to the mapping, or take it out of label");
            report.warning(&at, format!("{field:?} is not mapped, so nobody can be named by it"), Some(help));
        }
    }
}
