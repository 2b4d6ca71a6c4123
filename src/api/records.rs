//! The records of a listing's answer, taken one by one while it is read: of all of them together nothing but what is made
//! of each is in memory.
//!
//! What is left is the answer without them: what it says about itself, and the first of its records, in which a
//! definition may look for something too.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::scim::Names;
use crate::domain::bounded;
use crate::domain::bounded::{Budget, Fault, OverLimit, Seed};

/// The most that one account takes in memory: as a hundred thousand fields do, or a picture of some megabytes.
pub(super) const MOST_RECORD: usize = 12_000_000;

/// The most that an answer takes in memory beside the records of its list.
pub(super) const MOST_BODY: usize = 32_000_000;

/// The first record is left in the answer unless it is larger than this.
const LARGEST_FIRST: usize = 65_536;

/// What is handed over while an answer is read.
pub(super) enum Taken {
    /// A list begins: what was handed over before was of another, which is not meant.
    List,
    /// One of its records.
    Record(Value),
}

/// Who takes the records.
pub(super) struct Records<'r> {
    /// What the record that is being read takes.
    pub budget: Budget,
    /// Records of the list so far.
    pub count: usize,
    each: &'r mut dyn FnMut(Taken),
}

impl<'r> Records<'r> {
    /// Records that are handed to `each`.
    pub fn new(each: &'r mut dyn FnMut(Taken)) -> Records<'r> {
        Records { budget: Budget::of(MOST_RECORD), count: 0, each }
    }

    /// A list begins.
    pub fn begin_list(&mut self) {
        self.count = 0;
        (self.each)(Taken::List);
    }

    /// A record begins.
    pub fn begin(&mut self) {
        self.budget = Budget::of(MOST_RECORD);
    }

    /// Takes a record; gives back what of it is left in the answer.
    pub fn take(&mut self, record: Value) -> Option<Value> {
        self.count += 1;
        let left = (self.count == 1).then(|| match self.budget.used() <= LARGEST_FIRST {
            true => record.clone(),
            false => Value::Object(Map::new()),
        });
        (self.each)(Taken::Record(record));
        left
    }
}

/// Reads a JSON answer whose list is at the first of these pointers where there is one; the answer without the list.
///
/// # Errors
/// It is not JSON, or a record, or what is beside the records, takes too much memory.
pub(super) fn of_json(
    bytes: &[u8],
    pointers: &[String],
    names: Option<&Names>,
    records: Records<'_>,
) -> Result<Value, Fault> {
    let pointers: Vec<Vec<String>> = pointers.iter().map(|pointer| segments(pointer)).collect();
    let live = (0..pointers.len()).map(|rank| (rank, false)).collect();
    let mut search =
        Search { pointers: &pointers, names, body: Budget::of(MOST_BODY), best: None, too_much: None, records };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let read = Way { search: &mut search, live, at: 0 }.deserialize(&mut parser);
    let body = read.and_then(|body| parser.end().map(|()| body)).map_err(Fault::Malformed)?;
    match search.too_much.or(search.body.excess()) {
        Some(excess) => Err(Fault::OverLimit(excess)),
        None => Ok(body),
    }
}

/// The segments of a JSON pointer (RFC 6901).
pub(super) fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

/// The search for the list.
struct Search<'s, 'r> {
    pointers: &'s [Vec<String>],
    /// The names whose letter case does not count.
    names: Option<&'s Names>,
    body: Budget,
    /// The best list so far.
    best: Option<Rank>,
    /// What of a record was too much.
    too_much: Option<OverLimit>,
    records: Records<'r>,
}

/// The number of a pointer, and whether a name on its way is spelled otherwise: what is less is rather meant.
type Rank = (usize, bool);

/// A place in the answer through which pointers lead.
struct Way<'w, 's, 'r> {
    search: &'w mut Search<'s, 'r>,
    live: Vec<Rank>,
    /// How many of their segments lead here.
    at: usize,
}

impl Way<'_, '_, '_> {
    /// The pointers that lead on through this name.
    fn through(&self, name: &str) -> Vec<Rank> {
        let spelled = self.search.names.and_then(|names| names.spelled(name));
        let leads = |(number, odd): &Rank| {
            let wanted = self.search.pointers[*number].get(self.at)?;
            match wanted == name {
                true => Some((*number, *odd)),
                false => (spelled == Some(wanted.as_str())).then_some((*number, true)),
            }
        };
        self.live.iter().filter_map(leads).collect()
    }

    /// The pointer that ends here, if its list is rather meant than the one that was found, or as much and later.
    fn list(&self) -> Option<Rank> {
        let ends = |rank: &&Rank| self.search.pointers[rank.0].len() == self.at;
        let here = self.live.iter().filter(ends).min().copied()?;
        self.search.best.is_none_or(|best| here <= best).then_some(here)
    }
}

impl<'de> DeserializeSeed<'de> for Way<'_, '_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Way<'_, '_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.search.body.take_member(name.len(), members.len());
            let live = self.through(&name);
            let value = match live.is_empty() {
                true => map.next_value_seed(Seed::within(&mut self.search.body, self.at + 1))?,
                false => map.next_value_seed(Way { search: self.search, live, at: self.at + 1 })?,
            };
            if self.search.body.excess().is_some() {
                drop(members);
                return bounded::rest_of_map(map);
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut left = Vec::new();
        let Some(here) = self.list() else {
            for number in 0.. {
                let live = self.through(&number.to_string());
                let item = match live.is_empty() {
                    true => list.next_element_seed(Seed::within(&mut self.search.body, self.at + 1))?,
                    false => list.next_element_seed(Way { search: self.search, live, at: self.at + 1 })?,
                };
                let Some(item) = item else { break };
                if !self.search.body.take_item(left.len()) {
                    drop(left);
                    return bounded::rest_of_list(list);
                }
                left.push(item);
            }
            return Ok(Value::Array(left));
        };
        self.search.best = Some(here);
        self.search.records.begin_list();
        loop {
            self.search.records.begin();
            let Some(record) = list.next_element_seed(Seed::new(&mut self.search.records.budget))? else { break };
            if let Some(excess) = self.search.records.budget.excess() {
                self.search.too_much = Some(excess);
                return bounded::rest_of_list(list);
            }
            left.extend(self.search.records.take(record));
        }
        Ok(Value::Array(left))
    }

    bounded::visit_plain!(Value, |self, value| value);

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Seed::within(&mut self.search.body, self.at).visit_str(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str, pointers: &[&str]) -> Result<(Value, Option<Vec<Value>>), Fault> {
        let mut found: Option<Vec<Value>> = None;
        let mut each = |taken: Taken| match taken {
            Taken::List => found = Some(Vec::new()),
            Taken::Record(record) => found.iter_mut().for_each(|all| all.push(record.clone())),
        };
        let pointers: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        let body = of_json(text.as_bytes(), &pointers, None, Records::new(&mut each))?;
        Ok((body, found))
    }

    #[test]
    fn the_list_is_at_the_first_pointer_that_leads_to_one() {
        let all = ["", "/users", "/data/0/list"];
        for (text, list) in [
            ("[1,2]", Some(json!([1, 2]))),
            (r#"{"users":[3],"data":[{"list":[4]}]}"#, Some(json!([3]))),
            (r#"{"data":[{"list":[4]}],"users":[3]}"#, Some(json!([3]))),
            (r#"{"data":[{"list":[4]}],"users":{}}"#, Some(json!([4]))),
            (r#"{"users":[3],"users":[5,6]}"#, Some(json!([5, 6]))),
            (r#"{"users":[]}"#, Some(json!([]))),
            (r#"{"users":null,"data":{"list":[4]}}"#, None),
            ("7", None),
        ] {
            let (_, found) = read(text, &all).expect("JSON");
            assert_eq!(found.map(Value::from), list, "{text}");
        }
    }

    #[test]
    fn a_record_and_what_is_beside_the_records_have_budgets_and_the_list_has_none() {
        let tiny = vec!["{\"\":0}"; 300_000].join(",");
        let (_, found) = read(&format!("[{tiny}]"), &[""]).expect("as many as they are");
        assert_eq!(found.map(|all| all.len()), Some(300_000));
        for text in [format!("[[{tiny}]]"), format!("{{\"a\":[{tiny}]}}"), format!("[{{\"a\":[{tiny}]}}]")] {
            assert!(matches!(read(&text, &[""]), Err(Fault::OverLimit(OverLimit::Memory(_)))), "{}", &text[..12]);
        }
        let deep = format!("[{}{}]", "[".repeat(100), "]".repeat(100));
        assert!(matches!(read(&deep, &[""]), Err(Fault::OverLimit(OverLimit::Depth))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "[a-z]{0,3}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ab0]", inner, 0..3).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn a_list_is_found_where_pointers_find_one(
            value in any_json(),
            pointers in proptest::collection::vec("(/[ab]){0,3}", 1..4),
        ) {
            let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
            let (body, found) = read(&value.to_string(), &pointers).expect("JSON");
            let meant = pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_array());
            prop_assert_eq!(found.as_ref(), meant);
            if meant.is_none() {
                prop_assert_eq!(body, value);
            }
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut each = |_: Taken| {};
            drop(of_json(&bytes, &["/a".to_string(), String::new()], None, Records::new(&mut each)));
        }
    }
}
