//! The name that somebody probably meant: for messages about a name that isn't there.

/// How alike two names must be for one to be offered for the other (Jaro–Winkler, 0 to 1): high enough that
/// unrelated short names are not offered.
const ALIKE: f64 = 0.8;

/// The name that is most like this one, letter case set aside, if any is alike.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    names
        .into_iter()
        .map(|other| (strsim::jaro_winkler(&folded, &other.to_lowercase()), other))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_most_similar_name_is_offered_and_a_strange_one_is_not() {
        let names = ["email", "mobile", "First Name"];
        assert_eq!(nearest("emial", names), Some("email"));
        assert_eq!(nearest("first_name", names), Some("First Name"));
        assert_eq!(nearest("zip", names), None);
    }
}
