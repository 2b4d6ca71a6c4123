//! Faults built in on purpose, so that the simulation can show that it would notice them.
//!
//! Without the feature `sabotage`, which no release has, nothing here can be switched on and nothing of it is compiled
//! in. With it, the choice is the current thread's: a simulated process lives on one.

/// A promise to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The journal learns of an operation when it has been sent.
    IntentAfterSend,
    /// People are confirmed before the target has answered.
    SnapshotBeforeAnswer,
    /// Retries cost nothing.
    LostBudget,
}

#[cfg(feature = "sabotage")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Sabotage>> = const { std::cell::Cell::new(None) };
}

/// Breaks a promise on this thread from now on, or keeps all of them.
#[cfg(feature = "sabotage")]
pub fn choose(sabotage: Option<Sabotage>) {
    CHOSEN.with(|chosen| chosen.set(sabotage));
}

/// Whether this promise is to be broken.
#[cfg(feature = "sabotage")]
pub(super) fn is(sabotage: Sabotage) -> bool {
    CHOSEN.with(|chosen| chosen.get() == Some(sabotage))
}

/// Whether this promise is to be broken: never.
#[cfg(not(feature = "sabotage"))]
pub(super) const fn is(_: Sabotage) -> bool {
    false
}
