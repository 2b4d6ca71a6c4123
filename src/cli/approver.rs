//! Who decides, and why: what stands beside an approval in the ledger.
//!
//! The user id is the kernel's word. A name in the environment is whatever somebody put there, so it never stands alone:
//! `root (uid 0), sudo by alice`.

use crate::domain::error::{Error, Failure, Result};
use crate::os::users;

/// The most characters of a name that the environment gives.
const LONGEST_NAME: usize = 64;

/// The most characters of a reason: a paragraph.
const LONGEST_REASON: usize = 1_000;

/// Who is at the keyboard.
pub fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    // Without a name they are a number.
    told(uid, users::numbered(uid).map(|user| user.name).as_deref(), |name| std::env::var(name).ok())
}

fn told(uid: u32, name: Option<&str>, environment: impl Fn(&str) -> Option<String>) -> String {
    let said = |name: &str| {
        let value = environment(name).filter(|value| !value.trim().is_empty())?;
        Some(value.trim().chars().take(LONGEST_NAME).collect::<String>())
    };
    let who = match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => match said("USER").or_else(|| said("LOGNAME")) {
            Some(name) => format!("uid {uid}, USER {name}"),
            None => format!("uid {uid}"),
        },
    };
    match said("SUDO_USER") {
        Some(before) => format!("{who}, sudo by {before}"),
        None => who,
    }
}

/// Refuses a reason that nobody reads to its end.
///
/// # Errors
/// It is too long (64).
pub fn is_short_enough(reason: &str) -> Result<()> {
    match reason.chars().count() {
        0..=LONGEST_REASON => Ok(()),
        length => Err(Failure::new(
            Error::Usage,
            format!("the reason has {length} characters, and at most {LONGEST_REASON} are kept"),
        )
        .help("say it in a sentence, and where the rest is to be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;

    #[test]
    fn the_user_id_is_told_and_the_environment_stands_beside_it() {
        let environment = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
        };
        for (uid, name, pairs, expected) in [
            (0, Some("root"), &[("SUDO_USER", "alice"), ("USER", "root")][..], "root (uid 0), sudo by alice"),
            (1000, Some("ann"), &[("USER", "ceo")], "ann (uid 1000)"),
            (1000, Some("ann"), &[("SUDO_USER", "ceo")], "ann (uid 1000), sudo by ceo"),
            (7, None, &[("USER", "grace")], "uid 7, USER grace"),
            (7, None, &[("USER", " ")], "uid 7"),
        ] {
            assert_eq!(told(uid, name, environment(pairs)), expected);
        }
    }

    #[test]
    fn a_reason_is_a_paragraph_at_most() {
        assert!(is_short_enough(&"é".repeat(LONGEST_REASON)).is_ok());
        let refused = is_short_enough(&"x".repeat(LONGEST_REASON + 1)).expect_err("too long");
        assert_eq!(refused.exit(), Exit::Usage);
    }
}
