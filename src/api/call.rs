//! The calls of an API, by name: those that a definition describes as its operations, and those that belong to its
//! sessions, its abilities and its proofs. A request carries the call that it was made for, so that nobody has to tell it
//! from its URL.

use std::fmt;

/// What a request is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// Makes an account.
    Create,
    /// Makes one by inviting somebody.
    Invite,
    /// Writes fields of an account.
    Update,
    /// Writes a whole account.
    Replace,
    /// Deactivates an account.
    Ban,
    /// Activates an account again.
    Reinstate,
    /// Removes an account for good.
    Delete,
    /// What follows the creation of an account.
    Reset,
    /// Shows one account.
    Get,
    /// Seeks accounts by a field.
    Find,
    /// Lists all accounts.
    List,
    /// Lists those who were invited and have not come yet.
    Invited,
    /// Begins a session.
    LogIn,
    /// Ends a session.
    LogOut,
    /// Asks the API for its own abilities.
    Discover,
    /// What a connection check asks.
    Prove,
}

impl Call {
    /// Those that a definition describes as its operations.
    pub const OPERATIONS: [Call; 12] = [
        Call::Create,
        Call::Invite,
        Call::Update,
        Call::Replace,
        Call::Ban,
        Call::Reinstate,
        Call::Delete,
        Call::Reset,
        Call::Get,
        Call::Find,
        Call::List,
        Call::Invited,
    ];

    /// The name: of an operation, that in a definition.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Create => "create",
            Call::Invite => "invite",
            Call::Update => "update",
            Call::Replace => "replace",
            Call::Ban => "ban",
            Call::Reinstate => "reinstate",
            Call::Delete => "delete",
            Call::Reset => "reset",
            Call::Get => "get",
            Call::Find => "find",
            Call::List => "list",
            Call::Invited => "invited",
            Call::LogIn => "log in",
            Call::LogOut => "log out",
            Call::Discover => "discover",
            Call::Prove => "prove",
        }
    }

    /// Whether a definition's operation of this name addresses an account by its id.
    pub(super) const fn is_by_id(self) -> bool {
        matches!(self, Call::Update | Call::Replace | Call::Ban | Call::Reinstate | Call::Delete | Call::Get)
    }

    /// Whether it shows pages of accounts.
    pub const fn is_search(self) -> bool {
        matches!(self, Call::Find | Call::List | Call::Invited)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
