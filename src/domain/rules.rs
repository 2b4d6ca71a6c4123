//! What happens to a person: one table, from which the code decides and the tests are made.
//!
//! Pure. A row says: for somebody in this state, of whom the source says this, under these circumstances, this is
//! done. The first row that fits decides, and a test proves that some row fits everything. The manual prints the same
//! table for people.

use serde::{Deserialize, Serialize};

/// What a sync knows of a person's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonState {
    /// No account that we know of.
    None,
    /// Has an account that can be used.
    Active,
    /// Has a deactivated account.
    Banned,
    /// Was asked to join and has not yet.
    Invited,
    /// Had an account that was removed.
    Deleted,
    /// Left, and the sync leaves leavers alone.
    Left,
}

impl PersonState {
    /// Every state.
    pub const ALL: [PersonState; 6] = [
        PersonState::None,
        PersonState::Active,
        PersonState::Banned,
        PersonState::Invited,
        PersonState::Deleted,
        PersonState::Left,
    ];

    /// The number in the database.
    pub const fn code(self) -> i64 {
        match self {
            PersonState::None => 0,
            PersonState::Active => 1,
            PersonState::Banned => 2,
            PersonState::Invited => 3,
            PersonState::Deleted => 4,
            PersonState::Left => 5,
        }
    }

    /// The state of this number.
    pub fn of(code: i64) -> PersonState {
        PersonState::ALL.into_iter().find(|s| s.code() == code).unwrap_or(PersonState::None)
    }

    /// The word in the database's views and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            PersonState::None => "none",
            PersonState::Active => "active",
            PersonState::Banned => "banned",
            PersonState::Invited => "invited",
            PersonState::Deleted => "deleted",
            PersonState::Left => "left",
        }
    }
}

/// What the source says of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SourceSays {
    /// In scope, and the account should differ from what was acknowledged.
    Differs,
    /// In scope, and nothing differs.
    Same,
    /// There, and out of scope.
    Excluded,
    /// Not there, in a read that was complete.
    Absent,
    /// Their row, or rows, can't be used.
    Rejected,
}

/// Everything else that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// They are on the sync's `protect` list.
    pub protected: bool,
    /// Who is absent can't be told: a row without a readable key was rejected.
    pub keyless: bool,
    /// The read was incomplete and only creates and updates are allowed (`on_incomplete = "no-bans"`).
    pub incomplete: bool,
    /// The clock shows less than at the run before.
    pub clock_behind: bool,
    /// A newcomer in scope is recognised by their account.
    pub recognised: bool,
    /// The grace period has not ended.
    pub in_grace: bool,
    /// `on_leave`.
    pub on_leave: LeavePolicy,
}

/// `on_leave`, as the table needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeavePolicy {
    /// Deactivate.
    #[default]
    Ban,
    /// Remove.
    Delete,
    /// Leave alone.
    Ignore,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, and it is not worth a word: unchanged, or out of scope.
    Nothing,
    /// Look them up on the target, then create or adopt.
    Provision,
    /// Write what differs.
    Update,
    /// Activate again, and write what differs.
    Reinstate,
    /// Deactivate.
    Ban,
    /// Remove.
    Delete,
    /// They are back from having been ignored: active again, without a request.
    Return,
    /// They left and leavers are ignored: said once.
    Leave,
    /// Deliberately not done, with the reason that the ledger shows.
    Skip(SkipReason),
    /// The record is rejected: nothing is done to the person.
    Reject,
}

/// Why something was deliberately not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The person is protected.
    Protected,
    /// The leaver's grace has not ended.
    Grace,
    /// The invitation is not accepted yet.
    InvitationPending,
    /// A row without a readable key was rejected: it could be theirs.
    KeylessRow,
    /// The read was incomplete.
    Incomplete,
    /// The clock is behind the run before: how long anybody has been gone can't be told.
    Clock,
    /// A newcomer is recognised by their account: they may be one person under a new key.
    RekeySuspected,
    /// The target's daily quota is used up.
    Quota,
    /// The run was stopped before their turn.
    Stopped,
    /// `on_leave = "ignore"`.
    OnLeave,
}

impl SkipReason {
    /// The reason in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            SkipReason::Protected => "protected",
            SkipReason::Grace => "grace",
            SkipReason::InvitationPending => "invitation pending",
            SkipReason::KeylessRow => "keyless row",
            SkipReason::Incomplete => "incomplete read",
            SkipReason::Clock => "clock",
            SkipReason::RekeySuspected => "rekey_suspected",
            SkipReason::Quota => "quota",
            SkipReason::Stopped => "stopped",
            SkipReason::OnLeave => "on_leave",
        }
    }

    /// Whether it leaves work that somebody or the next run must do (exit code 75), rather than being as it should.
    pub const fn leaves_work(self) -> bool {
        use SkipReason::{Clock, Incomplete, KeylessRow, Quota, RekeySuspected, Stopped};
        matches!(self, KeylessRow | Incomplete | Clock | RekeySuspected | Quota | Stopped)
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// Any of these states.
    pub states: &'static [PersonState],
    /// Any of these.
    pub source: &'static [SourceSays],
    /// The circumstances in which the row applies, in words and as a test.
    pub when: (&'static str, fn(&Circumstances) -> bool),
    /// What is done.
    pub then: Decision,
}

/// No condition.
const ALWAYS: (&str, fn(&Circumstances) -> bool) = ("", |_| true);

/// The table. The first row that fits decides.
pub const TABLE: &[Row] = {
    use Decision::*;
    use PersonState as P;
    use SourceSays as S;
    const LEAVER: &[SourceSays] = &[S::Excluded, S::Absent];
    const HAS_ACCESS: &[PersonState] = &[P::Active, P::Invited];
    &[
        Row { states: &P::ALL, source: &[S::Rejected], when: ALWAYS, then: Reject },
        // Nobody we know of, or whose account is gone.
        Row { states: &[P::None, P::Deleted], source: &[S::Differs, S::Same], when: ALWAYS, then: Provision },
        Row { states: &[P::None, P::Deleted, P::Banned, P::Left], source: LEAVER, when: ALWAYS, then: Nothing },
        // Movers.
        Row { states: HAS_ACCESS, source: &[S::Same], when: ALWAYS, then: Nothing },
        Row {
            states: &[P::Active, P::Left],
            source: &[S::Differs],
            when: PROTECTED,
            then: Skip(SkipReason::Protected),
        },
        Row { states: &[P::Active, P::Left], source: &[S::Differs], when: ALWAYS, then: Update },
        Row { states: &[P::Left], source: &[S::Same], when: ALWAYS, then: Return },
        Row { states: &[P::Invited], source: &[S::Differs], when: ALWAYS, then: Skip(SkipReason::InvitationPending) },
        // Rehires.
        Row {
            states: &[P::Banned],
            source: &[S::Differs, S::Same],
            when: PROTECTED,
            then: Skip(SkipReason::Protected),
        },
        Row { states: &[P::Banned], source: &[S::Differs, S::Same], when: ALWAYS, then: Reinstate },
        // Leavers: what speaks for leaving them alone comes first.
        Row { states: HAS_ACCESS, source: LEAVER, when: PROTECTED, then: Skip(SkipReason::Protected) },
        Row { states: HAS_ACCESS, source: LEAVER, when: INCOMPLETE, then: Skip(SkipReason::Incomplete) },
        Row { states: HAS_ACCESS, source: LEAVER, when: KEYLESS, then: Skip(SkipReason::KeylessRow) },
        Row { states: HAS_ACCESS, source: LEAVER, when: BEHIND, then: Skip(SkipReason::Clock) },
        Row { states: HAS_ACCESS, source: LEAVER, when: RECOGNISED, then: Skip(SkipReason::RekeySuspected) },
        Row { states: HAS_ACCESS, source: LEAVER, when: IN_GRACE, then: Skip(SkipReason::Grace) },
        Row { states: HAS_ACCESS, source: LEAVER, when: IGNORES, then: Leave },
        Row { states: &[P::Invited], source: LEAVER, when: ALWAYS, then: Skip(SkipReason::InvitationPending) },
        Row { states: &[P::Active], source: LEAVER, when: DELETES, then: Delete },
        Row { states: &[P::Active], source: LEAVER, when: ALWAYS, then: Ban },
    ]
};

const PROTECTED: (&str, fn(&Circumstances) -> bool) = ("protected", |c| c.protected);
const INCOMPLETE: (&str, fn(&Circumstances) -> bool) = ("the read was incomplete", |c| c.incomplete);
const KEYLESS: (&str, fn(&Circumstances) -> bool) = ("a row without a readable key was rejected", |c| c.keyless);
const BEHIND: (&str, fn(&Circumstances) -> bool) = ("the clock is behind the run before", |c| c.clock_behind);
const RECOGNISED: (&str, fn(&Circumstances) -> bool) = ("a newcomer is recognised by their account", |c| c.recognised);
const IN_GRACE: (&str, fn(&Circumstances) -> bool) = ("grace has not ended", |c| c.in_grace);
const IGNORES: (&str, fn(&Circumstances) -> bool) =
    ("on_leave = \"ignore\"", |c| matches!(c.on_leave, LeavePolicy::Ignore));
const DELETES: (&str, fn(&Circumstances) -> bool) =
    ("on_leave = \"delete\"", |c| matches!(c.on_leave, LeavePolicy::Delete));

/// What is done for somebody in this state, of whom the source says this.
pub fn decide(state: PersonState, source: SourceSays, circumstances: &Circumstances) -> Decision {
    TABLE
        .iter()
        .find(|row| row.states.contains(&state) && row.source.contains(&source) && row.when.1(circumstances))
        .map_or(Decision::Reject, |row| row.then)
}

impl SourceSays {
    /// Every one.
    pub const ALL: [SourceSays; 5] =
        [SourceSays::Differs, SourceSays::Same, SourceSays::Excluded, SourceSays::Absent, SourceSays::Rejected];

    /// In words, for the table that people read.
    pub const fn name(self) -> &'static str {
        match self {
            SourceSays::Differs => "in scope, differs",
            SourceSays::Same => "in scope, same",
            SourceSays::Excluded => "out of scope",
            SourceSays::Absent => "absent",
            SourceSays::Rejected => "rejected",
        }
    }
}

impl Decision {
    /// What is done, which limits count it, and what the ledger says of it.
    pub const fn explained(self) -> [&'static str; 3] {
        const DONE: &str = "`ok`, `failed`, `unknown` or `held`";
        match self {
            Decision::Nothing => ["nothing", "", "none: unchanged or out of scope"],
            Decision::Provision => [
                "look up, then `create` or `adopt`",
                "`create`, or `adopt` and what it writes: `update`, `reinstate`",
                DONE,
            ],
            Decision::Update => ["`update`", "`update`, `clear.FIELD`", DONE],
            Decision::Reinstate => ["`reinstate`, with what differs", "`reinstate`, `flap`, `clear.FIELD`", DONE],
            Decision::Ban => ["`ban`, with `release_on_ban`", "`ban`, `ban_per_day`, `ban_all`", DONE],
            Decision::Delete => ["`delete`", "`ban`, `ban_per_day`, `ban_all`", DONE],
            Decision::Return => ["nothing: counts as active again", "", "none: unchanged"],
            Decision::Leave => ["nothing, from now on", "", "`skipped`: on_leave, once"],
            Decision::Skip(reason) => ["nothing", "", reason.outcome()],
            Decision::Reject => ["nothing: left exactly as they are", "", "`rejected`"],
        }
    }
}

impl SkipReason {
    /// The outcome as the table shows it.
    const fn outcome(self) -> &'static str {
        match self {
            SkipReason::Protected => "`skipped`: protected",
            SkipReason::Grace => "`skipped`: grace",
            SkipReason::InvitationPending => "`skipped`: invitation pending",
            SkipReason::KeylessRow => "`skipped`: keyless row",
            SkipReason::Incomplete => "`skipped`: incomplete read",
            SkipReason::Clock => "`skipped`: clock",
            SkipReason::RekeySuspected => "`skipped`: rekey_suspected",
            SkipReason::Quota => "`skipped`: quota",
            SkipReason::Stopped => "`skipped`: stopped",
            SkipReason::OnLeave => "`skipped`: on_leave",
        }
    }
}

/// The table as the manual shows it, in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "| the account is | the source says | if | then | counts towards | outcome |\n|---|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let states: Vec<&str> = row.states.iter().map(|s| s.name()).collect();
        let states = if row.states.len() == PersonState::ALL.len() { "any".into() } else { states.join(", ") };
        let source: Vec<&str> = row.source.iter().map(|s| s.name()).collect();
        let [then, limits, outcome] = row.then.explained();
        let cells = [&states, &source.join("; "), row.when.0, then, limits, outcome];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> impl Iterator<Item = (PersonState, SourceSays, Circumstances)> {
        PersonState::ALL.into_iter().flat_map(|state| {
            SourceSays::ALL.into_iter().flat_map(move |says| {
                (0..192u8).map(move |n| {
                    let on_leave = [LeavePolicy::Ban, LeavePolicy::Delete, LeavePolicy::Ignore][usize::from(n / 64)];
                    let bit = |b: u8| n & (1 << b) != 0;
                    let circumstances = Circumstances {
                        protected: bit(0),
                        keyless: bit(1),
                        incomplete: bit(2),
                        in_grace: bit(3),
                        clock_behind: bit(4),
                        recognised: bit(5),
                        on_leave,
                    };
                    (state, says, circumstances)
                })
            })
        })
    }

    #[test]
    fn some_row_fits_everything_and_no_row_is_idle() {
        let mut used = vec![false; TABLE.len()];
        for (state, says, circumstances) in everything() {
            let row = TABLE
                .iter()
                .position(|r| r.states.contains(&state) && r.source.contains(&says) && r.when.1(&circumstances));
            used[row.unwrap_or_else(|| panic!("no row for {state:?}, {says:?}, {circumstances:?}"))] = true;
        }
        let idle: Vec<_> = TABLE.iter().zip(used).filter(|(_, used)| !used).map(|(row, _)| row).collect();
        assert!(idle.is_empty(), "{idle:?}");
    }

    #[test]
    fn access_is_taken_only_from_a_certain_leaver_who_has_it() {
        for (state, says, c) in everything() {
            if matches!(decide(state, says, &c), Decision::Ban | Decision::Delete | Decision::Leave) {
                assert!(matches!(says, SourceSays::Absent | SourceSays::Excluded));
                assert!(matches!(state, PersonState::Active | PersonState::Invited));
                assert!(!c.protected && !c.keyless && !c.incomplete && !c.in_grace, "{state:?} {says:?} {c:?}");
                assert!(!c.clock_behind && !c.recognised, "{state:?} {says:?} {c:?}");
            }
        }
    }

    #[test]
    fn who_is_rejected_is_left_exactly_as_they_are() {
        for (state, _, c) in everything() {
            assert_eq!(decide(state, SourceSays::Rejected, &c), Decision::Reject);
        }
    }

    #[test]
    fn what_speaks_for_leaving_a_leaver_alone_never_takes_more_from_anybody() {
        let access = |d: Decision| matches!(d, Decision::Ban | Decision::Delete | Decision::Leave);
        for (state, says, c) in everything() {
            for doubt in [Circumstances { recognised: true, ..c }, Circumstances { clock_behind: true, ..c }] {
                let (was, is) = (decide(state, says, &c), decide(state, says, &doubt));
                assert!(
                    was == is || (access(was) || matches!(was, Decision::Skip(_))) && matches!(is, Decision::Skip(_))
                );
            }
        }
    }

    #[test]
    fn a_reason_reads_the_same_in_the_table_and_in_the_ledger() {
        for row in TABLE {
            if let Decision::Skip(reason) = row.then {
                assert_eq!(row.then.explained()[2], format!("`skipped`: {}", reason.name()));
            }
        }
    }

    #[test]
    fn protected_people_are_never_written_but_may_be_provisioned() {
        for (state, says, mut c) in everything() {
            c.protected = true;
            assert!(!matches!(
                decide(state, says, &c),
                Decision::Update | Decision::Reinstate | Decision::Ban | Decision::Delete
            ));
        }
        let c = Circumstances { protected: true, ..Circumstances::default() };
        assert_eq!(decide(PersonState::None, SourceSays::Differs, &c), Decision::Provision);
    }
}
