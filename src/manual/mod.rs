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
pub const PAGES: [Page; 7] = [
    Page {
        topic: "cel",
        summary: "conditions and values: columns, text, dates, recipes",
        text: include_str!("cel.md"),
    },
    Page {
        topic: "first-sync",
        summary: "from an export to a scheduled sync, step by step",
        text: include_str!("first-sync.md"),
    },
    Page {
        topic: "leavers",
        summary: "who counts as having left, and what is done then",
        text: include_str!("leavers.md"),
    },
    Page { topic: "limits", summary: "how much may change at once, approvals, undo", text: include_str!("limits.md") },
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
    use crate::domain::local_time::LocalTime;
    use crate::mapping::{Expression, Scope};
    use serde_json::Value;

    #[test]
    fn pages_are_in_order_fit_a_terminal_and_name_pages_that_exist() {
        assert!(PAGES.is_sorted_by_key(|page| page.topic));
        for page in PAGES {
            assert!(page.text.starts_with("# ") && page.text.ends_with('\n'), "{}", page.topic);
            for line in page.text.lines().filter(|line| !line.starts_with('|')) {
                assert!(line.chars().count() <= 120, "{}: {line}", page.topic);
            }
            for (at, words) in page.text.match_indices("rosterd manual ") {
                let named = page.text[at + words.len()..].split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next();
                assert!(named.is_some_and(|topic| super::page(topic).is_some()), "{}: {named:?}", page.topic);
            }
        }
    }

    /// The record of the page on CEL, and its examples: an expression, and the JSON that it gives.
    fn examples(page: &str) -> (Value, Vec<(String, String)>) {
        let begin = page.find("    { \"employee_id\"").expect("a record");
        let record = page[begin..].split("\n\n").next().expect("its end");
        let cell = |text: &str| Some(text.trim().strip_prefix('`')?.strip_suffix('`')?.replace("\\|", "|"));
        // A bar in a cell of a table is written `\\|`.
        let row = |line: &str| {
            let cells = line.strip_prefix('|')?.strip_suffix('|')?.replace("\\|", "\u{1}");
            let (expression, gives) = cells.split_once('|')?;
            Some((cell(&expression.replace('\u{1}', "|"))?, cell(&gives.replace('\u{1}', "|"))?))
        };
        (serde_json::from_str(record).expect("JSON"), page.lines().filter_map(row).collect())
    }

    #[test]
    fn each_example_of_cel_gives_what_the_page_says() {
        let (record, examples) = examples(page("cel").expect("the page").text);
        assert!(examples.len() > 50, "{}", examples.len());
        let instant = "2026-11-22T13:30:00Z".parse().expect("a time");
        let time = LocalTime::new(instant, chrono_tz::Europe::Zurich);
        let mut wrong = Vec::new();
        for (expression, gives) in examples {
            let cell = |name: &str| record.get(name);
            let value = match Expression::compile(&expression) {
                Ok(compiled) => compiled.evaluate(&Scope::new(&cell, time)),
                Err(problems) => Err(format!("{problems:?}")),
            };
            if value != Ok(serde_json::from_str(&gives).unwrap_or_else(|error| panic!("{gives}: {error}"))) {
                wrong.push(format!("{expression} gives {value:?}, not {gives}"));
            }
        }
        assert_eq!(wrong, [""; 0]);
    }

    #[test]
    fn each_recipe_of_cel_can_be_used() {
        let text = page("cel").expect("the page").text;
        let indented = text.split("## Recipes").nth(1).expect("recipes").lines();
        let toml: Vec<&str> = indented.filter_map(|line| line.strip_prefix("    ")).collect();
        let mut recipes = 0;
        for block in toml.join("\n").split("\ninclude").flat_map(|part| part.split("\ncontract_end")) {
            recipes += block.matches(['\'', '"']).count().min(1);
        }
        assert!(recipes >= 4, "{recipes}");
        let expressions = text.match_indices("= '").chain(text.match_indices("cel = '"));
        for (at, opening) in expressions {
            let rest = text[at + opening.len()..].trim_start_matches('\'');
            let expression = rest.split('\'').next().expect("its end");
            Expression::compile(expression).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"));
        }
    }
}
