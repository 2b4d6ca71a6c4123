//! The users of this machine, as far as `/etc/passwd` has them (`passwd(5)`). Users of a directory service are not there.

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The log-in name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

/// The user with this name.
pub fn named(name: &str) -> Option<User> {
    in_text(&text(), |user| user.name == name)
}

/// The user with this number.
pub fn numbered(uid: u32) -> Option<User> {
    in_text(&text(), |user| user.uid == uid)
}

fn text() -> String {
    std::fs::read_to_string("/etc/passwd").unwrap_or_default()
}

/// The first user that fits; a line that is none is passed over.
fn in_text(text: &str, fits: impl Fn(&User) -> bool) -> Option<User> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_string();
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(User { name, uid, gid })
    };
    text.lines().filter_map(user).find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number_and_broken_lines_are_passed_over() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:1000:1:::\nann:x:1000:1001::/home/ann:/bin/sh\nb:x:y:1:::\n";
        let ann = User { name: "ann".into(), uid: 1000, gid: 1001 };
        assert_eq!(in_text(text, |user| user.uid == 1000), Some(ann.clone()));
        assert_eq!(in_text(text, |user| user.name == "ann"), Some(ann));
        assert_eq!(in_text(text, |user| user.name == "b" || user.name == "broken"), None);
    }
}
