//! `release_on_ban`: whether the fields that a sync names there can be given up on its target.
//!
//! A field that is named there tells that a leaver's value may go to somebody else, and so that a newcomer with this
//! value is no suspect of being the leaver under a new key. A field that a ban can't release must not say so.

use super::super::locate::KeyPath;
use super::Report;
use crate::config::diagnostic::did_you_mean;
use crate::domain::catalogue::{Catalogue, Field};

/// What a sync says of the fields that leavers give up.
pub(super) struct Released<'a> {
    /// The fields.
    pub fields: &'a [String],
    /// Leavers are banned, so that a field must be written to give up its value; one that is removed gives up all.
    pub by_bans: bool,
    /// The target can remove accounts.
    pub can_delete: bool,
}

/// Judges each field.
pub(super) fn check(report: &mut Report<'_>, path: &KeyPath, released: &Released<'_>, catalogue: &Catalogue) {
    for (i, name) in released.fields.iter().enumerate() {
        let at = path.join("release_on_ban").join(i.to_string());
        match catalogue.field(name) {
            None if !catalogue.admits(name) => {
                let unique = catalogue.fields.iter().filter(|(_, f)| f.unique).map(|(n, _)| n.as_str());
                report.error(&at, format!("the target has no field {name:?}"), did_you_mean(name, unique));
            }
            None => {}
            Some(field) => known(report, &at, (name, field), released, catalogue),
        }
    }
}

fn known(
    report: &mut Report<'_>,
    at: &KeyPath,
    (name, field): (&str, &Field),
    released: &Released<'_>,
    catalogue: &Catalogue,
) {
    if let Err(why) = &field.writable {
        report.error(at, format!("{name:?} can't be written: {why}"), Some(format!("take {name:?} out")));
    } else if released.by_bans && !catalogue.can_release(name) {
        let message = format!(
            "a banned account can't give up its {name:?}: the target does not let it be emptied, and its definition has \
             nothing to put in its place"
        );
        let delete =
            if released.can_delete { ", or write on_leave = \"delete\": a removed account gives it up" } else { "" };
        report.error(at, message, Some(format!("take {name:?} out{delete}")));
    } else if !field.unique {
        let help = "take it out, or name a field that no two accounts can share, such as an address";
        let message = format!("several accounts may have the same {name:?}, so nobody waits for it");
        report.warning(at, message, Some(help.into()));
    }
}
