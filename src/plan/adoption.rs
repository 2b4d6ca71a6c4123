//! Adoption: a create turned into the linking of an account that exists already.

use std::collections::BTreeMap;

use super::diff;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::local_time::LocalTime;
use crate::domain::operation::{OpKind, Operation};

/// Turns a create into the adoption of an account that is there: it links, writes what differs, reactivates. Of a
/// protected person (`protected`: by what the source says; here also by what the target shows) the account is linked
/// as it is.
pub fn adopt(create: Operation, account: Account, sync: &SyncSettings, time: LocalTime, protected: bool) -> Operation {
    let recognised_by = sync.match_fields.iter().filter_map(|field| account.attributes.get(field));
    let covers = || sync.protect.covers(&create.key, recognised_by, Some(&account.attributes), time);
    let protected = protected || covers();
    let left_alone = protected || account.state == AccountState::Invited;
    let fields = match left_alone {
        true => BTreeMap::new(),
        false => diff::adoption(&create, &account.attributes, sync.target.engine.catalogue()),
    };
    // Of all that the account shows, what mapping and `protect` speak of is ours to know; the rest is the target's own
    // affair. An object that is sent whole is known whole, or what nobody maps would be lost.
    let whole = |field: &str| sync.target.engine.catalogue().field(field).is_some_and(|f| f.whole);
    let ours = |field: &str| whole(field) || create.speaks_of(field) || sync.protect.fields().any(|f| f == field);
    let known = account.attributes.iter().filter(|(field, _)| ours(field));
    let baseline = known.map(|(field, value)| (field.clone(), value.clone())).collect();
    Operation {
        kind: OpKind::Adopt,
        remote_id: Some(account.remote_id),
        fields,
        baseline,
        reactivates: account.state == AccountState::Banned && !protected,
        found: Some(account.state),
        // Linked as it is, it is not in step with the record: it is looked at again.
        fingerprint: create.fingerprint.filter(|_| !left_alone),
        ..create
    }
}
