use proptest::prelude::*;

use super::*;
use crate::domain::operation::Operation;

fn defaults() -> Limits {
    let some = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
    Limits {
        create: Limit::Unlimited,
        update: Limit::Unlimited,
        clear: some(10, 5),
        ban: some(10, 5),
        ban_per_day: some(30, 10),
        reinstate: Limit::Unlimited,
        adopt: Limit::Unlimited,
        failures: some(20, 10),
        hold: HoldBack::Plan,
    }
}

fn limit_of(tally: &Tally) -> Option<String> {
    breach(tally, &defaults()).map(|b| b.limit.to_string())
}

#[test]
fn a_limit_allows_the_larger_of_count_and_share_rounded_down() {
    let both = Limit::AtMost { count: Some(10), percent: Some(5) };
    for (users, allowed) in [(0, 10), (10, 10), (219, 10), (220, 11), (239, 11), (240, 12), (40_000, 2_000)] {
        assert_eq!(both.allowed(users), Some(allowed), "{users} users");
    }
    let share = Limit::AtMost { count: None, percent: Some(5) };
    for (users, allowed) in [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2)] {
        assert_eq!(share.allowed(users), Some(allowed), "{users} users");
    }
    assert_eq!(Limit::Unlimited.allowed(0), None);
}

#[test]
fn a_plan_is_held_when_a_count_is_more_than_allowed() {
    for (bans, expected) in [(9, None), (10, None), (11, Some("ban"))] {
        let tally = Tally { users: 100, bans, ..Tally::default() };
        assert_eq!(limit_of(&tally).as_deref(), expected, "{bans} bans");
    }
    for (before, bans, expected) in [(25, 5, None), (25, 6, Some("ban_per_day")), (31, 0, None)] {
        let tally = Tally { users: 100, bans_before: before, bans, ..Tally::default() };
        assert_eq!(limit_of(&tally).as_deref(), expected, "{before} before, {bans} now");
    }
    for (clears, expected) in [(10, None), (11, Some("clear.phone"))] {
        let clears = [("phone".to_string(), clears)].into_iter().collect();
        let tally = Tally { users: 100, clears, ..Tally::default() };
        assert_eq!(limit_of(&tally).as_deref(), expected);
    }
    for (flaps, expected) in [(2, None), (3, None), (4, Some("flap"))] {
        let tally = Tally { users: 100, flaps, max_flaps: 3, ..Tally::default() };
        assert_eq!(limit_of(&tally).as_deref(), expected, "{flaps} flaps");
    }
}

#[test]
fn one_is_told_as_one() {
    for (count, told) in [(1, "1 person would lose access"), (2, "2 people would lose access")] {
        let breach = Breach { limit: LimitName::Ban, count, allowed: 0 };
        assert_eq!(breach.sentence(&[]), format!("held by the limit ban: {told}, at most 0 allowed"));
    }
}

#[test]
fn several_reformatted_keys_hold_a_plan_before_anything_else() {
    for (rekeyed, expected) in [(0, Some("create")), (1, Some("create")), (2, Some("rekey")), (8, Some("rekey"))] {
        let tally = Tally { users: 40, rekeyed, creates: 9, ..Tally::default() };
        let limits = Limits { create: Limit::AtMost { count: Some(3), percent: None }, ..defaults() };
        assert_eq!(breach(&tally, &limits).map(|b| b.limit.to_string()).as_deref(), expected);
    }
    let breach = Breach { limit: LimitName::Rekey, count: 8, allowed: 1 };
    let told = breach.sentence(&["00411 → 411".into(), "…".into()]);
    assert!(
        told.contains("reformatted") && told.contains("(00411 → 411, …)") && told.contains("rosterd rekey"),
        "{told}"
    );
}

#[test]
fn never_all_of_three_or_more() {
    for (users, bans, expected) in
        [(1, 1, None), (2, 2, None), (3, 3, Some("ban_all")), (3, 2, None), (10, 10, Some("ban_all"))]
    {
        let tally = Tally { users, bans, ..Tally::default() };
        assert_eq!(limit_of(&tally).as_deref(), expected, "{bans} of {users}");
    }
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let part = || (proptest::option::of(0u64..30), proptest::option::of(0u8..=100));
    prop_oneof![
        1 => Just(Limit::Unlimited),
        4 => part().prop_map(|(count, percent)| Limit::AtMost { count, percent }),
    ]
}

prop_compose! {
    fn any_limits()(limits in proptest::array::uniform8(any_limit())) -> Limits {
        let [create, update, clear, ban, ban_per_day, reinstate, adopt, failures] = limits;
        Limits { create, update, clear, ban, ban_per_day, reinstate, adopt, failures, hold: HoldBack::Plan }
    }
}

prop_compose! {
    fn any_tally()(
        counts in proptest::array::uniform8(0u64..40),
        clears in proptest::collection::btree_map("[a-c]", 1u64..40, 0..3),
        flaps in 0u64..5,
    ) -> Tally {
        let [users, bans_before, creates, updates, reinstates, adopts, bans, _] = counts;
        Tally { users, bans_before, creates, updates, reinstates, adopts, bans, clears, flaps, max_flaps: 3, rekeyed: 0 }
    }
}

/// Everything that a plan may not exceed, counted without [`breach`].
fn within(tally: &Tally, limits: &Limits) -> bool {
    let fits = |count: u64, limit: &Limit| limit.allowed(tally.users).is_none_or(|allowed| count <= allowed);
    fits(tally.creates, &limits.create)
        && fits(tally.updates, &limits.update)
        && tally.clears.values().all(|count| fits(*count, &limits.clear))
        && fits(tally.bans, &limits.ban)
        && (tally.bans == 0 || fits(tally.bans_before + tally.bans, &limits.ban_per_day))
        && fits(tally.reinstates, &limits.reinstate)
        && fits(tally.adopts, &limits.adopt)
        && tally.flaps <= tally.max_flaps
        && (tally.users < 3 || tally.bans < tally.users)
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn nothing_is_approved_that_exceeds_a_limit_and_nothing_held_that_does_not(
        tally in any_tally(), limits in any_limits(),
    ) {
        let Ok(judged) = judge(Listed::of(tally.clone()), &limits);
        match judged {
            Judged::Approved(_) => prop_assert!(within(&tally, &limits)),
            Judged::Held(held) => {
                prop_assert!(!within(&tally, &limits));
                prop_assert!(held.breach.count > held.breach.allowed, "{:?}", held.breach);
            }
            Judged::Apart { .. } => prop_assert!(false, "nobody asked for that"),
        }
    }

    #[test]
    fn where_bans_alone_are_held_back_the_rest_is_within_the_limits_and_has_none(
        tally in any_tally(), limits in any_limits(),
    ) {
        let limits = Limits { hold: HoldBack::Bans, ..limits };
        let without = Tally { bans: 0, ..tally.clone() };
        let Ok(judged) = judge(Listed::of(tally.clone()), &limits);
        match judged {
            Judged::Approved(_) => prop_assert!(within(&tally, &limits)),
            Judged::Held(_) => prop_assert!(!within(&without, &limits)),
            Judged::Apart { rest, bans } => {
                prop_assert!(!within(&tally, &limits) && within(rest.plan().tally(), &limits));
                prop_assert_eq!((rest.plan().tally().bans, bans.plan.tally().bans), (0, tally.bans));
                prop_assert!(bans.breach.limit.is_of_bans());
            }
        }
    }

    #[test]
    fn more_of_the_same_never_frees_a_held_plan(tally in any_tally(), limits in any_limits(), more in 1u64..9) {
        if breach(&tally, &limits).is_some() {
            let larger = Tally { bans: tally.bans + more, updates: tally.updates + more, ..tally };
            prop_assert!(breach(&larger, &limits).is_some());
        }
    }
}

#[test]
fn an_adoption_counts_for_what_it_writes() {
    use crate::domain::operation::Change;
    use serde_json::json;
    let key = crate::domain::record::Key::parse("E1").expect("a key");
    let linked = Operation::new(OpKind::Adopt, key, Some("1".into()));
    let mut written = Operation { reactivates: true, ..linked.clone() };
    written.fields.insert("phone".into(), Change { old: json!("1"), new: json!(null) });
    let failing = crate::domain::outcome::OpError::new(crate::domain::outcome::ErrorKind::Conflict, "two");
    let conflict = Planned::Conflict(written.clone(), failing);
    let mut tally = Tally::default();
    [linked.into(), written.into(), conflict].iter().for_each(|operation| tally.add(&Weight::of(operation)));
    let clears = [("phone".to_string(), 1)].into();
    assert_eq!(tally, Tally { adopts: 2, updates: 1, reinstates: 1, clears, ..Tally::default() });
}

#[test]
fn of_three_people_at_least_one_keeps_access_whatever_the_limits_say() {
    let limits = Limits { ban: Limit::Unlimited, ban_per_day: Limit::Unlimited, ..defaults() };
    for (users, bans, allowed) in [(2, 2, None), (3, 2, None), (3, 3, Some(2)), (100, 100, Some(99))] {
        let found = breach(&Tally { users, bans, ..Tally::default() }, &limits);
        let expected = allowed.map(|allowed| Breach { limit: LimitName::BanAll, count: bans, allowed });
        assert_eq!(found, expected, "{bans} of {users}");
    }
}

/// Each kind of operation counts where it should, once each time, and nowhere else.
#[test]
fn operations_count_by_what_they_do() {
    use crate::domain::operation::Change;
    use serde_json::json;
    let key = || crate::domain::record::Key::parse("E1").expect("a key");
    let of = |kind| Operation::new(kind, key(), Some("1".into()));
    let emptying = |kind| {
        let mut operation = of(kind);
        operation.fields.insert("phone".into(), Change { old: json!("1"), new: json!(null) });
        operation
    };
    let clears = |n: u64| -> BTreeMap<String, u64> { [("phone".to_string(), n)].into() };
    let none = Tally::default;
    let back = Operation { reactivates: true, ..of(OpKind::Adopt) };
    for (operation, counted, limits) in [
        (of(OpKind::Create), Tally { creates: 3, ..none() }, vec!["create"]),
        (of(OpKind::Update), Tally { updates: 3, ..none() }, vec!["update"]),
        (emptying(OpKind::Update), Tally { updates: 3, clears: clears(3), ..none() }, vec!["update", "clear.phone"]),
        (of(OpKind::Reinstate), Tally { reinstates: 3, ..none() }, vec!["reinstate"]),
        (of(OpKind::Adopt), Tally { adopts: 3, ..none() }, vec!["adopt"]),
        (back, Tally { adopts: 3, reinstates: 3, ..none() }, vec!["reinstate", "adopt"]),
        (
            emptying(OpKind::Adopt),
            Tally { adopts: 3, updates: 3, clears: clears(3), ..none() },
            vec!["update", "adopt", "clear.phone"],
        ),
        (of(OpKind::Ban), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
        // Who leaves and gives a value up is no column that came empty.
        (emptying(OpKind::Ban), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
        (emptying(OpKind::Delete), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
        (of(OpKind::Unlink), none(), vec![]),
    ]
    .map(|(operation, counted, limits)| (Planned::from(operation), counted, limits))
    .into_iter()
    .chain([(Planned::Step(of(OpKind::Update)), none(), vec![])])
    {
        let mut tally = none();
        (0..3).for_each(|_| tally.add(&Weight::of(&operation)));
        assert_eq!(tally, counted, "{}", operation.kind);
        let all = [
            "create",
            "update",
            "reinstate",
            "adopt",
            "ban",
            "ban_per_day",
            "ban_all",
            "clear.phone",
            "clear.fax",
            "x",
        ];
        let named: Vec<&str> = all
            .into_iter()
            .filter(|limit| LimitName::parse(limit).is_some_and(|limit| counts_towards(&operation, &limit)))
            .collect();
        let mut expected = limits;
        expected.sort_by_key(|limit| all.iter().position(|name| name == limit));
        assert_eq!(named, expected, "{}", operation.kind);
    }
}

#[test]
fn every_limit_is_read_back_under_its_name() {
    let names = [
        "create",
        "update",
        "clear.phone",
        "ban",
        "ban_per_day",
        "ban_all",
        "reinstate",
        "adopt",
        "flap",
        "rekey",
        "undo",
    ];
    for name in names {
        let limit = LimitName::parse(name).expect(name);
        assert_eq!((limit.to_string().as_str(), serde_json::to_value(&limit).expect("JSON")), (name, name.into()));
    }
    assert_eq!(LimitName::parse("x"), None);
}

#[test]
fn what_a_plan_was_judged_by_is_compared_limit_by_limit() {
    let was = Basis { mapping: "a1".into(), limits: defaults(), max_flaps: 3 };
    assert!(was.differences(&was.clone()).is_empty());
    let ban = Limit::AtMost { count: Some(2), percent: None };
    let is = Basis { mapping: "b2".into(), limits: Limits { ban, ..defaults() }, max_flaps: 1 };
    let expected = ["the mapping has changed", "limits.ban was 10 or 5% and is 2", "max_flaps was 3 and is 1"];
    assert_eq!(was.differences(&is), expected);
}

/// A plan of these operations.
#[derive(Debug, PartialEq)]
struct Listed {
    tally: Tally,
    basis: Basis,
    operations: BTreeSet<Digest>,
}

impl Listed {
    fn of(tally: Tally) -> Listed {
        let basis = Basis { mapping: "a1".into(), limits: defaults(), max_flaps: 3 };
        Listed { tally, basis, operations: BTreeSet::new() }
    }
}

impl Measured for Listed {
    type Error = std::convert::Infallible;

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn basis(&self) -> &Basis {
        &self.basis
    }

    fn digests(&self) -> Result<BTreeSet<Digest>, Self::Error> {
        Ok(self.operations.clone())
    }

    fn keep(&mut self, wanted: &BTreeSet<Digest>) -> Result<(), Self::Error> {
        self.operations.retain(|digest| wanted.contains(digest));
        Ok(())
    }

    fn bans_apart(&mut self) -> Result<Listed, Self::Error> {
        let bans = std::mem::take(&mut self.tally.bans);
        let Tally { users, bans_before, .. } = self.tally;
        Ok(Listed::of(Tally { users, bans_before, bans, ..Tally::default() }))
    }
}

#[test]
fn consent_holds_for_exactly_what_was_seen() {
    let digests = |ns: &[u8]| ns.iter().map(|n| [*n; 32]).collect::<BTreeSet<Digest>>();
    let asked = |approved: &[u8], present: &[u8], basis: Option<Basis>| {
        let plan = Listed { operations: digests(present), ..Listed::of(Tally::default()) };
        let Ok(answer) = consent(plan, &Consent { operations: digests(approved), basis });
        answer.map(|approved| approved.plan().operations.clone()).map_err(|stale| {
            let missing = approved.len() - stale.present.len();
            (missing, stale.rules.len())
        })
    };
    let same = || Some(Listed::of(Tally::default()).basis);
    assert_eq!(asked(&[1, 2], &[1, 2], same()), Ok(digests(&[1, 2])));
    assert_eq!(asked(&[1, 2], &[1], same()), Err((1, 0)));
    assert_eq!(asked(&[1], &[1, 2], same()), Ok(digests(&[1])), "what nobody saw is not sent");
    assert_eq!(asked(&[1], &[1], None), Err((0, 1)), "planned by an earlier version");
    let other = same().map(|basis| Basis { max_flaps: 4, ..basis });
    assert_eq!(asked(&[1], &[1], other), Err((0, 1)));
}
