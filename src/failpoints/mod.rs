//! Faults built in on purpose, so that the simulation can show that it would notice them.
//!
//! In a release nothing here can be switched on, and nothing of it is compiled in; it takes a debug build, or the feature
//! `failpoints`. There the choice is the current thread's: a simulated process lives on one, and hands its choice on to those that work
//! for it.

/// A promise to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// The journal learns of an operation when it has been sent.
    IntentAfterSend,
    /// People are confirmed before the target has answered.
    SnapshotBeforeAnswer,
    /// Retries cost nothing.
    LostBudget,
    /// An answer is believed, whatever account it shows.
    BelieveAnyAnswer,
    /// A create of unknown end is sent again at once.
    CreateAgainAtOnce,
    /// Who is said to be missing is gone.
    Believe404,
    /// A listing that shows somebody twice shows everybody.
    BelieveRepeatingListings,
    /// A source has been read when its pages end, whatever was on them.
    BelieveMovingSources,
    /// Values that the target keeps against an acknowledged write are written again.
    ForgetKept,
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Failpoint>> = const { std::cell::Cell::new(None) };
}

/// Breaks a promise on this thread from now on, or keeps all of them.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn choose(failpoint: Option<Failpoint>) {
    CHOSEN.with(|chosen| chosen.set(failpoint));
}

/// What was chosen on this thread, for a thread that works for it.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn chosen() -> Option<Failpoint> {
    CHOSEN.with(std::cell::Cell::get)
}

/// Whether this promise is to be broken.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub(crate) fn is(failpoint: Failpoint) -> bool {
    CHOSEN.with(|chosen| chosen.get() == Some(failpoint))
}

/// Whether this promise is to be broken: never.
#[cfg(not(any(debug_assertions, feature = "failpoints")))]
pub(crate) const fn is(_: Failpoint) -> bool {
    false
}

/// Breaks off, with the whole operation in its last words, where a test asks for it with `ROSTERD_TEST_PANIC=KEY`.
#[cfg(debug_assertions)]
pub(crate) fn panic_at(operation: &crate::domain::operation::Operation) {
    if std::env::var("ROSTERD_TEST_PANIC").is_ok_and(|key| key == operation.key.as_str()) {
        panic!("{operation:?} {}", serde_json::to_string(operation).unwrap_or_default());
    }
}

/// Breaks off at this step of this sync or source, where a test asks for it with `ROSTERD_TEST_PANIC=STEP:NAME`.
#[cfg(debug_assertions)]
pub(crate) fn panic_in(step: &str, name: &str) {
    let wanted = std::env::var("ROSTERD_TEST_PANIC");
    if wanted.is_ok_and(|wanted| wanted.split_once(':') == Some((step, name))) {
        panic!("of {name}: ann@acme.example");
    }
}

/// Breaks off nowhere.
#[cfg(not(debug_assertions))]
pub(crate) const fn panic_in(_: &str, _: &str) {}

/// Breaks off nowhere.
#[cfg(not(debug_assertions))]
pub(crate) const fn panic_at(_: &crate::domain::operation::Operation) {}
