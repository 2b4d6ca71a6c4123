//! What people are called of whom nothing but the key is at hand: by what their target acknowledged.

use std::collections::BTreeMap;

use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::label::{Label, LabelFields};
use crate::domain::record::Key;
use crate::state::State;
use crate::state::bodies::Bodies;

/// The labels of those of these people whom the state knows; a page of them at a time.
///
/// # Errors
/// The state fails.
pub async fn of_people<'k>(
    state: &State,
    sync: Option<SyncId>,
    label: &LabelFields,
    keys: impl IntoIterator<Item = &'k Key>,
) -> Result<BTreeMap<Key, Label>> {
    let Some(sync) = sync else { return Ok(BTreeMap::new()) };
    let keys = keys.into_iter().cloned().collect();
    let bodies = state.ask(Bodies { sync, keys }).await?;
    let called =
        bodies.into_iter().filter_map(|(key, body)| Some((key, label.of(|field| body.attributes.get(field))?)));
    Ok(called.collect())
}
