//! The name that somebody probably meant: for messages about a name that isn't there.

/// How alike two names must be for one to be offered for the other (Jaro–Winkler, 0 to 1): high enough that
/// unrelated short names are not offered.
const ALIKE: f64 = 0.8;

/// In names shorter than this, one letter more or less makes another name (`h` and `hr`), not a slip.
const SHORTEST_SLIP: usize = 3;

/// The name that is most like this one, letter case set aside, if any is alike.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    names
        .into_iter()
        .map(|other| (likeness(&folded, &other.to_lowercase()), other))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}

/// How alike two names are. One slip of the finger (`cvs` for `csv`), which Jaro–Winkler judges harshly in short names,
/// is alike enough; a dash for an underscore is no difference.
fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (a.replace('-', "_"), b.replace('-', "_"));
    let alike = strsim::jaro_winkler(&a, &b);
    let slip = a.len().min(b.len()) >= SHORTEST_SLIP && strsim::damerau_levenshtein(&a, &b) <= 1;
    if slip { alike.max(ALIKE) } else { alike }
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
        assert_eq!(nearest("cvs", ["http", "csv"]), Some("csv"));
        assert_eq!(nearest("min-records", ["min_records", "max_age"]), Some("min_records"));
        assert_eq!(nearest("colour", ["rate", "retry", "burst"]), None);
    }
}
