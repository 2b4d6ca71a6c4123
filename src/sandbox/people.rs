//! Invented people for a sandbox that should not start empty. The same count always gives the same people.

use serde_json::{Value, json};

const FIRST: [&str; 12] =
    ["Ana", "Björn", "Chloé", "Dmitri", "Eszter", "Fatoumata", "Giulia", "Hiroshi", "Íñigo", "Jürg", "Kofi", "李娜"];
const LAST: [&str; 11] =
    ["Almeida", "Brûlé", "Černý", "D'Angelo", "Eriksen", "Fischer", "García", "Hügli", "Ito", "Jansen", "Müller"];
const CITIES: [(&str, &str); 5] =
    [("Zürich", "CH"), ("São Paulo", "BR"), ("Kraków", "PL"), ("Montréal", "CA"), ("Kyoto", "JP")];

/// So many accounts, as bodies of a creation. Their client ids begin with `SB`, which no sample of ours uses.
pub(super) fn accounts(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            let (city, country) = CITIES[n % CITIES.len()];
            json!({
                "client_id": format!("SB{:06}", n + 1),
                "email": format!("user{}@sandbox.example", n + 1),
                "first_name": FIRST[n % FIRST.len()],
                "last_name": LAST[n % LAST.len()],
                "city": city,
                "country": country,
            })
        })
        .collect()
}
