//! Reconcile: the target's own list of accounts against source and snapshot.
//!
//! The listing is streamed to disk; what it shows of the people we know takes the place of what was acknowledged, and
//! the planner plans against that. The operations of this plan *are* the differences: a create is somebody missing, an
//! update somebody who drifted, and so on. A repair sends them, under the same limits as any plan.

mod ownership;

mod rebind;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::stream::{StreamExt, TryStreamExt};

use crate::account::Client;
use crate::account::seek::identity;
use crate::account::{Doubled, Listing};
use crate::api::Ownership;
use crate::config::settings::SyncSettings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::ids::SyncId;
use crate::domain::keyset::{pages, text_of};
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::PersonState;
use crate::domain::value::Attributes;
use crate::plan::{KeptByTarget, PAGE, Plan};
use crate::run::{Read, Runner, binding, make_plan_against};
use crate::state::binding::BoundTo;
use crate::state::bodies::{Bodies, Observe};
use crate::state::people::{CountPeople, FindSync, PeoplePage, Person};
use crate::state::reconciled::Reconciled;

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// In scope, and without an account.
    Missing,
    /// Fields differ.
    Drifted,
    /// Banned there, and in scope here.
    BannedThere,
    /// Active there, and should not be.
    ActiveThere,
    /// There is an account that is theirs and not linked yet.
    Adoptable,
}

impl Difference {
    /// Every kind, in the order of the report.
    pub const ALL: [Difference; 5] = [
        Difference::Missing,
        Difference::Drifted,
        Difference::BannedThere,
        Difference::ActiveThere,
        Difference::Adoptable,
    ];

    /// The difference that an operation would end.
    pub fn of(operation: &Planned) -> Option<Difference> {
        match operation.kind {
            _ if operation.is_step() => None,
            OpKind::Create => Some(Difference::Missing),
            OpKind::Update => Some(Difference::Drifted),
            OpKind::Reinstate => Some(Difference::BannedThere),
            OpKind::Ban | OpKind::Delete => Some(Difference::ActiveThere),
            OpKind::Adopt => Some(Difference::Adoptable),
            OpKind::Unlink => None,
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Drifted => "drifted",
            Difference::BannedThere => "banned_there",
            Difference::ActiveThere => "active_there",
            Difference::Adoptable => "adoptable",
        }
    }
}

/// What comparing came to.
#[derive(Debug)]
pub struct Comparison {
    /// The operations that would end the differences.
    pub plan: Plan,
    /// The accounts; those that are nobody's are orphaned.
    pub listing: Arc<Listing>,
    /// How many accounts the target has.
    pub target_users: u64,
    /// How many people were found again when the sync was bound anew, and how many were not.
    pub rebound: Option<(u64, u64)>,
}

impl Comparison {
    /// Visits what differs in this way, in the plan's order, then those who are protected and therefore never put
    /// right (`true`).
    ///
    /// # Errors
    /// The temporary directory, or what `visit` says.
    pub fn each(&self, kind: Difference, mut visit: impl FnMut(&Planned, bool) -> Result<()>) -> Result<()> {
        for page in self.plan.pages() {
            page?.iter().filter(|o| Difference::of(o) == Some(kind)).try_for_each(|o| visit(o, false))?;
        }
        for page in pages(|after| self.plan.spool().withheld(text_of(after), PAGE), |o| o.key.clone()) {
            page?.iter().filter(|o| Difference::of(o) == Some(kind)).try_for_each(|o| visit(o, true))?;
        }
        Ok(())
    }

    /// Visits those of whom the target keeps fields otherwise than they were written, in key order.
    ///
    /// # Errors
    /// The temporary directory, or what `visit` says.
    pub fn each_kept(&self, mut visit: impl FnMut(&KeptByTarget) -> Result<()>) -> Result<()> {
        let mut pages = pages(|after| self.plan.spool().kept(text_of(after), PAGE), |kept| kept.key.clone());
        pages.try_for_each(|page| page?.iter().try_for_each(&mut visit))
    }

    /// Visits the accounts that are nobody's, in the order of their ids.
    ///
    /// # Errors
    /// The temporary directory, or what `visit` says.
    pub fn each_orphan(&self, mut visit: impl FnMut(&RemoteId) -> Result<()>) -> Result<()> {
        let nobodys = |after: Option<&RemoteId>| self.listing.nobodys(after.map_or("", RemoteId::as_str), PAGE);
        pages(nobodys, RemoteId::clone).try_for_each(|page| page?.iter().try_for_each(&mut visit))
    }

    /// Visits those who have more than one account, in key order.
    ///
    /// # Errors
    /// The temporary directory, or what `visit` says.
    pub fn each_doubled(&self, mut visit: impl FnMut(&Doubled) -> Result<()>) -> Result<()> {
        let mut pages = pages(|after| self.listing.doubled(text_of(after), PAGE), |doubled| doubled.key.clone());
        pages.try_for_each(|page| page?.iter().try_for_each(&mut visit))
    }

    /// How many differ in each way, in the order of [`Difference::ALL`], and how many accounts are nobody's.
    ///
    /// # Errors
    /// The temporary directory.
    pub fn counts(&self) -> Result<([u64; 5], u64)> {
        let mut counts = [0; 5];
        for (n, kind) in Difference::ALL.into_iter().enumerate() {
            self.each(kind, |_, _| {
                counts[n] += 1;
                Ok(())
            })?;
        }
        Ok((counts, self.listing.nobodys_count()?))
    }

    /// Everything that was found, in numbers.
    ///
    /// # Errors
    /// The temporary directory.
    pub fn figures(&self, at: DateTime<Utc>) -> Result<Reconciled> {
        let ([missing, drifted, banned_there, active_there, adoptable], orphaned) = self.counts()?;
        let mut kept = 0;
        self.each_kept(|_| {
            kept += 1;
            Ok(())
        })?;
        Ok(Reconciled {
            at,
            target_users: self.target_users,
            in_step: self.plan.in_step,
            missing,
            drifted,
            banned_there,
            active_there,
            adoptable,
            orphaned,
            doubled: self.listing.doubled_count()?,
            kept,
            unresolved: self.plan.unresolved.len() as u64,
        })
    }
}

/// Compares a sync's source and snapshot with its target. Keeps what was observed of people in the state; writes
/// nothing to the target. `rebind`: where the sync is bound to something else, find its people again and bind it anew.
///
/// # Errors
/// The target can't be listed or reached, the sync is bound to something else, the state fails.
pub async fn compare(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    client: &Arc<Client>,
    read: &Read,
    rebind: bool,
) -> Result<Comparison> {
    if !sync.target.engine.can_list() {
        return Err(Failure::new(Error::Config, format!("target {} can't be listed", sync.target.name))
            .help("its definition has no operation `list`; without one there is nothing to reconcile with"));
    }
    if !rebind {
        // Before the listing, which can take long.
        runner.state.ask(FindSync(binding(sync))).await?;
    }
    let listing = Listing::of(client, &sync.match_fields, u64::MAX).await?;
    let listing = Arc::new(listing.ok_or_else(|| Failure::internal("the listing has no end"))?);
    let elsewhere = match runner.state.ask(BoundTo(sync.name.clone())).await? {
        Some(bound) if rebind && bound.binding.difference(&binding(sync)).is_some() => Some(bound),
        _ => None,
    };
    let mut rebound = None;
    if let Some(bound) = elsewhere {
        let people = runner.state.ask(CountPeople(bound.id)).await?;
        if people > 0 {
            rebound = Some(rebind::rebind(runner, sync, read, &listing, &bound, people).await?);
        }
    }
    let known = runner.state.ask(FindSync(binding(sync))).await?;
    if let Some(id) = known.id {
        look_at_known(runner, sync, client, id, &listing).await?;
    }
    ownership::link(runner, sync, &listing).await?;
    let target_users = listing.count()?;
    let observed = Some(Arc::clone(&listing));
    let mut plan = make_plan_against(runner, sync, client, read, known, &BTreeSet::new(), observed).await?;
    crate::run::too_many_rejected(sync, &plan)?;
    ownership::mark_owned(runner, sync, read, &listing, &mut plan).await?;
    Ok(Comparison { plan, listing, target_users, rebound })
}

/// Keeps what the listing shows of the people we know. Who isn't listed is asked for once more, alone: a listing that
/// changes while it is read can leave somebody out, and nobody is to be created for that.
async fn look_at_known(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    client: &Arc<Client>,
    id: SyncId,
    listing: &Listing,
) -> Result<()> {
    let mut pages = runner.state.pages(PeoplePage { sync: id, after: None, limit: PAGE });
    while let Some(page) = pages.next().await? {
        let absent: Vec<RemoteId> =
            page.iter().filter_map(|p| unlisted(listing, p).transpose()).collect::<Result<_>>()?;
        let found: Vec<_> = futures_util::stream::iter(absent)
            .map(|remote_id| async move { client.get(&remote_id).await })
            .buffered(sync.target.concurrency)
            .try_collect()
            .await?;
        for account in found.iter().flatten() {
            listing.add(account, &sync.match_fields)?;
        }
        let keys = page.iter().map(|person| person.key.clone()).collect();
        let bodies = runner.state.ask(Bodies { sync: id, keys }).await?;
        let mut people: Vec<(Key, Attributes)> = Vec::with_capacity(page.len());
        for person in page {
            let Some(remote_id) = &person.remote_id else { continue };
            let Some(account) = listing.by_id(remote_id)? else { continue };
            let known = bodies.get(&person.key).map(|body| &body.attributes);
            let whose = identity(&person.key, sync, known).judge(&account);
            if whose != Ownership::Anothers {
                listing.link(remote_id)?;
            }
            // What is seen of somebody else's account must not pass for theirs later.
            if matches!(whose, Ownership::Theirs | Ownership::Unknowable) {
                people.push((person.key, account.attributes));
            }
        }
        runner.state.ask(Observe { sync: id, at: runner.clock.stamp(), people }).await?;
    }
    Ok(())
}

/// The account of somebody who should be listed and isn't. Not every target lists invitations.
fn unlisted(listing: &Listing, person: &Person) -> Result<Option<RemoteId>> {
    match &person.remote_id {
        Some(id) if person.state != PersonState::Invited && listing.by_id(id)?.is_none() => Ok(Some(id.clone())),
        _ => Ok(None),
    }
}
