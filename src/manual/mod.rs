//! The manual: plain pages that are part of the program, so that they are of the same version and there without a network.

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What it is asked for by.
    pub topic: &'static str,
    /// What it is about, in a line.
    pub summary: &'static str,
    /// The page, as Markdown.
    pub text: &'static str,
}

/// All pages, by topic.
pub const PAGES: [Page; 3] = [
    Page {
        topic: "restore",
        summary: "backups, and what happens after one was put back",
        text: include_str!("restore.md"),
    },
    Page { topic: "security", summary: "what is protected, from whom, and by what", text: include_str!("security.md") },
    Page {
        topic: "sizing",
        summary: "what is bounded by what, and what comes of more",
        text: include_str!("sizing.md"),
    },
];

/// The page on this topic, in whatever case it is typed.
pub fn page(topic: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.topic.eq_ignore_ascii_case(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_in_order_fit_a_terminal_and_name_pages_that_exist() {
        assert!(PAGES.is_sorted_by_key(|page| page.topic));
        for page in PAGES {
            assert!(page.text.starts_with("# ") && page.text.ends_with('\n'), "{}", page.topic);
            for line in page.text.lines().filter(|line| !line.starts_with('|')) {
                assert!(line.chars().count() <= 120, "{}: {line}", page.topic);
            }
            for (at, words) in page.text.match_indices("rosterd manual ") {
                let named = page.text[at + words.len()..].split(|c: char| !c.is_ascii_lowercase()).next();
                assert!(named.is_some_and(|topic| super::page(topic).is_some()), "{}: {named:?}", page.topic);
            }
        }
    }
}
