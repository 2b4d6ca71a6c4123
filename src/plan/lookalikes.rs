//! Who looks like whom: leavers and newcomers who may be one person under two keys, and newcomers who share a value by
//! which people are told apart.
//!
//! Found from what the source says and what is known, before anything is looked up: a target that finds nobody is no
//! proof that somebody is new. What the look-ups show is added by [`super::newcomers`]; at the end, leavers by whom a
//! newcomer is recognised are left alone.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use unicode_normalization::UnicodeNormalization;

use super::spool::{Leaver, Pair, Side};
use super::{Merged, Planner, Spool};
use crate::account::lookup::LookupValues;
use crate::config::settings::{OnLeave, SyncSettings};
use crate::domain::error::Result;
use crate::domain::keyset::{pages, text_of};
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::{Circumstances, Decision, SkipReason, SourceSays, decide};
use crate::domain::value::{folded, is_unseen};

/// Under this name the form of a key stands among the fields that people are told apart by: no field has it.
pub(super) const FORM: &str = "";

/// How many of those who share a value are named, and how many such values.
const NAMED: usize = 3;

/// How many pairs of reformatted keys are named.
const PAIRS_NAMED: usize = 5;

/// What tells newcomers apart, as hashes: eight bytes a value, whoever they are.
#[derive(Debug, Default)]
pub(super) struct MatchHashes(Vec<u64>);

impl MatchHashes {
    /// Notes what tells one newcomer.
    pub fn note(&mut self, sought: &LookupValues) {
        self.0.extend(sought.matches.iter().map(|(field, value)| hash(field, value)));
    }

    /// Those that are there more than once.
    fn repeated(mut self) -> HashSet<u64> {
        self.0.sort_unstable();
        self.0.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }
}

fn hash(field: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (field, value).hash(&mut hasher);
    hasher.finish()
}

/// A key without what differs when keys are reformatted on their way: letter case, white space and what nobody sees,
/// leading zeros, the Unicode form, and the fraction that a spreadsheet or a script gives to whole numbers.
fn form(key: &str) -> String {
    let plain: String = match key.is_ascii() {
        true => key.to_ascii_lowercase(),
        false => key.nfkc().collect::<String>().to_lowercase().nfkc().collect(),
    };
    let mut form = String::with_capacity(plain.len());
    let mut letters = plain.chars().filter(|c| !c.is_whitespace() && !is_unseen(*c)).peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let leading = letter == '0' && !before.is_ascii_digit() && before != '.';
        if leading && letters.peek().is_some_and(char::is_ascii_digit) {
            continue;
        }
        form.push(letter);
        before = letter;
    }
    if let Some((whole, fraction)) = form.split_once('.')
        && !whole.is_empty()
        && whole.bytes().all(|b| b.is_ascii_digit())
        && fraction.bytes().all(|b| b == b'0')
    {
        form.truncate(whole.len());
    }
    form
}

/// Notes a leaver and what tells them: what was acknowledged, what was observed, the id where it is an address.
pub(super) fn note_leaver<'v>(
    spool: &Spool,
    leaver: &Leaver,
    values: impl IntoIterator<Item = (&'v String, &'v serde_json::Value)>,
) -> Result<()> {
    spool.leaver(leaver)?;
    for (field, value) in values {
        if let Some(value) = folded(value) {
            spool.telling(field, &value, Side::Leaver, &leaver.key)?;
        }
    }
    Ok(spool.telling(FORM, &form(leaver.key.as_str()), Side::Leaver, &leaver.key)?)
}

/// Finds who looks like whom; returns, in words, which values newcomers share.
pub(super) fn find(planner: &Planner, spool: &Spool, tellings: MatchHashes) -> Result<Vec<String>> {
    let mut wanted = tellings.repeated();
    let has_leavers = spool.has_leavers()?;
    if wanted.is_empty() && !has_leavers {
        return Ok(Vec::new());
    }
    spool.each_of_leavers(|field, value| {
        wanted.insert(hash(field, value));
    })?;
    note_newcomers(spool, &wanted)?;
    let words = shared(spool)?;
    if has_leavers {
        spool.pair()?;
        judge_pairs(planner, spool)?;
    }
    Ok(words)
}

/// Notes, of each newcomer, what somebody else may have too.
fn note_newcomers(spool: &Spool, wanted: &HashSet<u64>) -> Result<()> {
    let note = |key: &Key, sought: &LookupValues| -> Result<()> {
        for (field, value) in &sought.matches {
            if wanted.contains(&hash(field, value)) {
                spool.telling(field, value, Side::Newcomer, key)?;
            }
        }
        let form = form(key.as_str());
        if wanted.contains(&hash(FORM, &form)) {
            spool.telling(FORM, &form, Side::Newcomer, key)?;
        }
        Ok(())
    };
    for page in pages(|after| spool.newcomers(text_of(after), super::PAGE), |(key, ..)| key.clone()) {
        page?.iter().try_for_each(|(key, sought, _)| note(key, sought))?;
    }
    for page in pages(|after| spool.bystanders(text_of(after)), |(key, _)| key.clone()) {
        page?.iter().try_for_each(|(key, sought)| note(key, sought))?;
    }
    Ok(())
}

/// Newcomers who share a value are left to nobody's guess: none of them is created or linked by it.
fn shared(spool: &Spool) -> Result<Vec<String>> {
    let shared = spool.shared(FORM)?;
    let mut words = Vec::new();
    for one in &shared {
        let names = spool.sharing(one, NAMED)?;
        let more = if one.count > names.len() as u64 { ", …" } else { "" };
        let told = format!("{} people share one {} ({}{more})", one.count, one.field, names.join(", "));
        let why = format!("{told}: which of them an account belongs to can't be told; mend the source");
        spool.doubt_all(one, &why)?;
        if words.len() < NAMED {
            words.push(told);
        }
    }
    if let Some(more) = shared.len().checked_sub(NAMED).filter(|more| *more > 0) {
        words.push(format!("and {more} more values are shared"));
    }
    Ok(words)
}

/// Decides which pairs are one person as far as anybody can tell, and which are not, or need not be.
fn judge_pairs(planner: &Planner, spool: &Spool) -> Result<()> {
    let several = spool.pairs_by(FORM, 0)?.0 > 1;
    for page in pages(|after| spool.pairs(after), Pair::clone) {
        for pair in page? {
            if pair.fields == [FORM] && !several && differ(spool, &pair)? {
                spool.part(&pair.old, &pair.new)?;
                continue;
            }
            let Some(leaver) = spool.leaver_of(&pair.old)? else { continue };
            if !may_be_handed_on(&planner.sync, &pair.fields) {
                spool.doubt(&pair.new, &suspicion(&planner.sync, &leaver, &pair.new, &pair.fields))?;
                continue;
            }
            spool.part(&pair.old, &pair.new)?;
            match spool.operation_of(&pair.old)?.is_some_and(|giver| releases(&giver, &pair.fields)) {
                true => spool.hand(&pair.old, &pair.new)?,
                false => spool.doubt(&pair.new, &kept(&planner.sync, &leaver, &pair.new, &pair.fields))?,
            }
        }
    }
    Ok(())
}

/// Whether two whose keys differ in form alone are two people: what else tells people apart is known of both, and
/// differs.
fn differ(spool: &Spool, pair: &Pair) -> Result<bool> {
    let theirs = spool.told_of(&pair.old, Side::Leaver, FORM)?;
    let sought = spool.sought_of(&pair.new)?;
    let both = |(field, _): &&(String, String)| theirs.iter().any(|(of, _)| of == field);
    Ok(sought.is_some_and(|sought| sought.matches.iter().any(|mine| both(&mine))))
}

/// Whether the operator has said that whatever these two have in common may pass from one to the other.
pub(super) fn may_be_handed_on(sync: &SyncSettings, fields: &[String]) -> bool {
    sync.on_leave != OnLeave::Ignore && fields.iter().all(|field| sync.release_on_ban.contains(field))
}

/// Whether this operation frees the values of these fields.
fn releases(giver: &Planned, fields: &[String]) -> bool {
    match giver.kind {
        OpKind::Delete => giver.conflict().is_none(),
        OpKind::Ban => giver.conflict().is_none() && fields.iter().all(|field| giver.fields.contains_key(field)),
        _ => false,
    }
}

/// What tells that a newcomer is recognised, in words.
fn by(fields: &[String]) -> String {
    let names: Vec<&str> =
        fields.iter().map(|f| if f == FORM { "the key, which differs in form alone" } else { f.as_str() }).collect();
    names.join(" and ")
}

fn of_account(sync: &SyncSettings, remote_id: Option<&RemoteId>) -> String {
    remote_id.map_or_else(|| "an account".into(), |id| format!("account {}", sync.target.engine.loggable_id(id)))
}

/// Why a newcomer who looks like a leaver is not created, and what to type if they are one person.
pub(super) fn suspicion(sync: &SyncSettings, leaver: &Leaver, new: &Key, fields: &[String]) -> String {
    let (account, old) = (of_account(sync, leaver.remote_id.as_ref()), &leaver.key);
    let gone = match leaver.says {
        SourceSays::Excluded => "is out of scope now",
        _ => "is not in the source any more",
    };
    format!(
        "{account} looks like {new} (by {}) and belongs to {old}, who {gone}; if {old} is {new} under an old key: {}",
        by(fields),
        rekey(sync, old, new)
    )
}

/// Why a newcomer has to wait for what a leaver gives up later.
fn kept(sync: &SyncSettings, leaver: &Leaver, new: &Key, fields: &[String]) -> String {
    let (account, old) = (of_account(sync, leaver.remote_id.as_ref()), &leaver.key);
    format!(
        "{account} looks like {new} (by {}) and belongs to {old}, who has not given that up yet; if {old} is {new} under an \
         old key: {}",
        by(fields),
        rekey(sync, old, new)
    )
}

/// The command that gives somebody a new key, to be typed as it stands.
pub(super) fn rekey(sync: &SyncSettings, old: &Key, new: &Key) -> String {
    let typed = |key: &Key| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
        match key.as_str().starts_with('-') || !key.as_str().chars().all(plain) {
            true => format!("'{}'", key.as_str().replace('\'', "'\\''")),
            false => key.to_string(),
        }
    };
    format!("rosterd rekey {} {} {}", sync.name, typed(old), typed(new))
}

/// Keys that were reformatted, as far as the plan is about them.
#[derive(Debug, Default)]
pub(super) struct Reformatted {
    /// How many pairs there are.
    pub pairs: u64,
    /// The first few of them: `00411 → 411`.
    pub named: Vec<String>,
}

/// Leaves alone every leaver by whom a newcomer is recognised, whatever else was to become of them.
pub(super) fn leave_alone(planner: &Planner, merged: &mut Merged) -> Result<Reformatted> {
    let (mut skipped, mut skipped_with_work) = (0, 0);
    for page in pages(|after| merged.spool().recognised(text_of(after)), |leaver| leaver.key.clone()) {
        for leaver in page? {
            let circumstances = Circumstances { recognised: true, ..leaver.circumstances };
            let reason = SkipReason::RekeySuspected;
            if decide(leaver.state, leaver.says, &circumstances) == Decision::Skip(reason) {
                let skipped_before = {
                    let spool = merged.spool();
                    let before = spool.is_skipped(&leaver.key)?;
                    if let (Some(operation), true) = (spool.withdraw(&leaver.key)?, planner.observed.is_some()) {
                        spool.withhold(&operation)?;
                    }
                    spool.skip(&leaver.key, reason.name())?;
                    before
                };
                skipped += u64::from(!skipped_before);
                skipped_with_work += u64::from(reason.leaves_work());
            }
        }
    }
    merged.skipped += skipped;
    merged.skipped_with_work += skipped_with_work;
    let spool = merged.spool();
    spool.forget_leaving()?;
    for (old, new) in spool.handed_in_vain()? {
        let (Some(leaver), Some(create)) = (spool.leaver_of(&old)?, spool.operation_of(&new)?) else { continue };
        if create.kind == OpKind::Create && create.conflict().is_none() {
            let why = kept(&planner.sync, &leaver, &new, &planner.sync.release_on_ban);
            let create = Operation { hint: None, ..create.into_operation() };
            spool.add(&Planned::Conflict(create, OpError::new(ErrorKind::Conflict, why)))?;
        }
    }
    let (pairs, first) = spool.pairs_by(FORM, PAIRS_NAMED)?;
    let named = first.iter().map(|(old, new)| format!("{old} → {new}")).collect();
    Ok(Reformatted { pairs, named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_form_alone_have_one_form() {
        for (a, b) in [
            ("00411", "411"),
            ("E0041", "e41"),
            ("E 41", "E\u{a0}0041"),
            ("411", "411.0"),
            ("\u{ff14}11", "411"),
            ("M\u{dc}LLER-1", "mu\u{308}ller-01"),
            ("A\u{200b}7", "A7"),
            ("000", "0"),
        ] {
            assert_eq!(form(a), form(b), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn other_keys_have_another() {
        for (a, b) in [("411", "4110"), ("E41", "F41"), ("E-41", "E41"), ("1.05", "1.5"), ("100", "1"), ("0", "")] {
            assert_ne!(form(a), form(b), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn only_what_is_there_twice_is_looked_at() {
        let sought = |email: &str| LookupValues {
            key_value: None,
            matches: vec![("email".into(), email.into())],
            protected: false,
        };
        let mut tellings = MatchHashes::default();
        ["a@b.example", "c@b.example", "a@b.example"].iter().for_each(|email| tellings.note(&sought(email)));
        assert_eq!(tellings.repeated(), [hash("email", "a@b.example")].into());
    }
}
