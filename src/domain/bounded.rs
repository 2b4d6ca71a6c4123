//! JSON that a stranger wrote, made into values within a budget of memory and of depth.
//!
//! Pure. The length of a text says little of what it becomes: an object of seven bytes takes seven hundred in memory. So
//! what is counted is what the values take, by estimate and rather too much than too little. What exceeds its budget
//! becomes nothing, at once, and the text is followed to its end all the same: whether it is whole is known then, and
//! what comes after it can be read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep values may be nested: expressions follow them no deeper, and nothing overflows a stack.
pub const DEEPEST: usize = 64;

/// What the first member of an object takes: a leaf of the map has room for eleven names of 24 bytes and values of 32.
const FIRST_MEMBER: usize = 640;

/// What each further member takes: leaves are at least half full.
const MEMBER: usize = 140;

/// What the first element of a list takes: room is made for four.
const FIRST_ITEM: usize = 144;

/// What each further element takes: the room of a list doubles when it is full.
const ITEM: usize = 64;

/// What a text takes beside its bytes.
const TEXT: usize = 32;

/// Why a value is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It would take more than so many bytes of memory.
    Memory(usize),
    /// It is nested deeper than [`DEEPEST`].
    Depth,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverLimit::Memory(most) => write!(f, "holds more than is kept in memory ({} MB)", most / 1_000_000),
            OverLimit::Depth => write!(f, "is nested deeper than {DEEPEST} levels"),
        }
    }
}

/// Memory that may be used for values, and what of it is.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    used: usize,
    excess: Option<OverLimit>,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn of(most: usize) -> Budget {
        Budget { most, used: 0, excess: None }
    }

    /// Takes so many bytes. `false` when they, or something before, are too many.
    pub fn take(&mut self, bytes: usize) -> bool {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.most {
            self.excess.get_or_insert(OverLimit::Memory(self.most));
        }
        self.excess.is_none()
    }

    /// Takes what a text takes.
    pub fn take_text(&mut self, length: usize) -> bool {
        self.take(TEXT.saturating_add(length))
    }

    /// Takes what one more member with a name of this length takes, in an object that has so many.
    pub fn take_member(&mut self, name: usize, before: usize) -> bool {
        let place = if before == 0 { FIRST_MEMBER } else { MEMBER };
        self.take(place + TEXT + name)
    }

    /// Takes what one more element takes, in a list that has so many.
    pub fn take_item(&mut self, before: usize) -> bool {
        self.take(if before == 0 { FIRST_ITEM } else { ITEM })
    }

    /// What has been taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// What was too much, if something was.
    pub fn excess(&self) -> Option<OverLimit> {
        self.excess
    }

    /// Whether something may be nested so deep.
    fn admits_depth(&mut self, depth: usize) -> bool {
        if depth > DEEPEST {
            self.excess.get_or_insert(OverLimit::Depth);
        }
        self.excess.is_none()
    }
}

/// Why a text is no value.
#[derive(Debug)]
pub enum Fault {
    /// It is not JSON.
    Malformed(serde_json::Error),
    /// It is JSON and too much.
    OverLimit(OverLimit),
}

/// The value that a text is, if it takes no more than so many bytes.
///
/// # Errors
/// It is not JSON, or takes more.
pub fn parse(bytes: &[u8], most: usize) -> Result<Value, Fault> {
    parse_members(bytes, most, None)
}

/// The same, where it is an object without the members that are not wanted by name: what they would take is counted.
///
/// # Errors
/// As [`parse`].
pub fn parse_members(bytes: &[u8], most: usize, wanted: Option<&Wanted<'_>>) -> Result<Value, Fault> {
    let mut budget = Budget::of(most);
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = Seed { wanted, ..Seed::new(&mut budget) }.deserialize(&mut parser);
    let value = parsed.and_then(|value| parser.end().map(|()| value)).map_err(Fault::Malformed)?;
    budget.excess().map_or(Ok(value), |excess| Err(Fault::OverLimit(excess)))
}

/// What a value takes, by the same estimate.
pub fn weight(value: &Value) -> usize {
    let mut budget = Budget::of(usize::MAX);
    weigh(value, &mut budget);
    budget.used()
}

fn weigh(value: &Value, budget: &mut Budget) {
    match value {
        Value::String(text) => {
            budget.take_text(text.len());
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(before, item)| {
            budget.take_item(before);
            weigh(item, budget);
        }),
        Value::Object(members) => weigh_members(members, budget),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What the value of a JSON text takes at most, by the look of it: what stands within texts is counted with the rest.
pub fn weight_of_text(text: &str) -> usize {
    let counted = |byte: u8| match byte {
        b'{' => FIRST_MEMBER + TEXT,
        b'[' => FIRST_ITEM,
        b',' => MEMBER + TEXT,
        b'"' => TEXT,
        _ => 1,
    };
    text.bytes().map(counted).sum()
}

/// Takes what these members of an object take.
pub fn weigh_members<'m>(members: impl IntoIterator<Item = (&'m String, &'m Value)>, budget: &mut Budget) {
    for (before, (name, value)) in members.into_iter().enumerate() {
        budget.take_member(name.len(), before);
        weigh(value, budget);
    }
}

/// The methods of a [`Visitor`] of JSON for what is neither text, list nor object: this makes of its value whatever the
/// visitor makes.
macro_rules! visit_plain {
    ($made:ty, |$visitor:ident, $value:ident| $make:expr) => {
        fn visit_bool<E>($visitor, $value: bool) -> Result<$made, E> {
            let $value = serde_json::Value::from($value);
            Ok($make)
        }

        fn visit_u64<E>($visitor, $value: u64) -> Result<$made, E> {
            let $value = serde_json::Value::from($value);
            Ok($make)
        }

        fn visit_i64<E>($visitor, $value: i64) -> Result<$made, E> {
            let $value = serde_json::Value::from($value);
            Ok($make)
        }

        fn visit_f64<E>($visitor, $value: f64) -> Result<$made, E> {
            let $value = serde_json::Value::from($value);
            Ok($make)
        }

        fn visit_unit<E>($visitor) -> Result<$made, E> {
            let $value = serde_json::Value::Null;
            Ok($make)
        }
    };
}
pub(crate) use visit_plain;

/// Which members of an object are wanted.
pub type Wanted<'w> = dyn Fn(&str) -> bool + 'w;

/// Makes a value as long as the budget lasts.
pub struct Seed<'b> {
    budget: &'b mut Budget,
    depth: usize,
    /// Which members are, of this object alone; all where nothing is said.
    wanted: Option<&'b Wanted<'b>>,
    /// It is counted, and nothing is made of it.
    counts: bool,
}

/// The name of a member, which is copied where it is kept.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_string()))
    }
}

impl<'b> Seed<'b> {
    /// For a whole document.
    pub fn new(budget: &'b mut Budget) -> Seed<'b> {
        Seed::within(budget, 0)
    }

    /// For what stands so deep in it.
    pub fn within(budget: &'b mut Budget, depth: usize) -> Seed<'b> {
        Seed { budget, depth, wanted: None, counts: false }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // What is too much already is followed and no more.
        match self.budget.excess() {
            None => deserializer.deserialize_any(self),
            Some(_) => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        if !self.budget.admits_depth(self.depth + 1) {
            return rest_of_map(map);
        }
        let (mut members, mut before) = (Map::new(), 0);
        while let Some(name) = map.next_key_seed(Name)? {
            self.budget.take_member(name.len(), before);
            before += 1;
            let counts = self.counts || self.wanted.is_some_and(|wanted| !wanted(&name));
            let value = map.next_value_seed(Seed { counts, ..Seed::within(self.budget, self.depth + 1) })?;
            if self.budget.excess().is_some() {
                drop(members);
                return rest_of_map(map);
            }
            if !counts {
                members.insert(name.into_owned(), value);
            }
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        if !self.budget.admits_depth(self.depth + 1) {
            return rest_of_list(list);
        }
        let (mut items, mut before) = (Vec::new(), 0);
        while let Some(item) =
            list.next_element_seed(Seed { counts: self.counts, ..Seed::within(self.budget, self.depth + 1) })?
        {
            if !self.budget.take_item(before) {
                drop(items);
                return rest_of_list(list);
            }
            before += 1;
            if !self.counts {
                items.push(item);
            }
        }
        Ok(Value::Array(items))
    }

    visit_plain!(Value, |self, value| value);

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(if self.budget.take_text(value.len()) && !self.counts { value.into() } else { Value::Null })
    }
}

/// Follows the rest of an object without keeping any of it.
pub fn rest_of_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Value, A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Value::Null)
}

/// Follows the rest of a list without keeping any of it.
pub fn rest_of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Value, A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ROOM: usize = 1_000_000;

    fn excess(text: &str, most: usize) -> Option<OverLimit> {
        match parse(text.as_bytes(), most) {
            Err(Fault::OverLimit(excess)) => Some(excess),
            Err(Fault::Malformed(error)) => panic!("{error}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn the_estimate_is_of_these_sizes() {
        assert_eq!((size_of::<Value>(), size_of::<String>()), (32, 24), "FIRST_MEMBER, MEMBER, ITEM follow from it");
    }

    #[test]
    fn what_takes_more_than_its_budget_is_no_value_and_is_followed_to_its_end() {
        let many = |of: &str| format!("[{}]", vec![of; 20_000].join(","));
        for text in [many("{\"\":0}"), many("[0]"), many("\"a\""), many("0"), format!("\"{}\"", "x".repeat(ROOM))] {
            assert_eq!(excess(&text, ROOM), Some(OverLimit::Memory(ROOM)), "{}", &text[..9]);
            assert!(matches!(parse(&text.as_bytes()[..text.len() - 1], ROOM), Err(Fault::Malformed(_))), "cut off");
            assert!(matches!(parse(format!("{text}]").as_bytes(), ROOM), Err(Fault::Malformed(_))), "more follows");
            assert_eq!(excess(&text, 1_000 * ROOM), None);
        }
        let keys: Vec<String> = (0..20_000).map(|n| format!("\"{n}\":0")).collect();
        assert_eq!(excess(&format!("{{{}}}", keys.join(",")), ROOM), Some(OverLimit::Memory(ROOM)));
        assert_eq!(excess(&format!("{{{}}}", vec!["\"a\":0"; 20_000].join(",")), ROOM), Some(OverLimit::Memory(ROOM)));
    }

    #[test]
    fn what_is_nested_too_deep_is_no_value_however_deep_it_is() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(excess(&nested(DEEPEST), ROOM), None);
        for n in [DEEPEST + 1, 200, 100_000] {
            assert_eq!(excess(&nested(n), ROOM), Some(OverLimit::Depth), "{n}");
            let objects = format!("{}0{}", "{\"a\":".repeat(n), "}".repeat(n));
            assert_eq!(excess(&objects, ROOM), Some(OverLimit::Depth), "{n}");
        }
    }

    #[test]
    fn what_people_write_fits() {
        let person = |n: usize| {
            let custom: Map<String, Value> = (0..500).map(|f| (format!("field_{f}"), json!(format!("v{f}")))).collect();
            json!({"id": n, "emails": [{"value": "a@b.example", "primary": true}], "groups": [1, 2, 3], "custom": custom})
        };
        let text = person(1).to_string();
        assert_eq!(excess(&text, 300_000), None, "{} bytes, {}", text.len(), weight(&person(1)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z\"\\\\ü\u{0}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]{0,2}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn within_its_budget_a_text_is_what_it_is_to_everybody(value in any_json(), most in 0usize..20_000) {
            let text = value.to_string();
            let plain: Value = serde_json::from_str(&text).expect("JSON");
            match parse(text.as_bytes(), most) {
                Ok(parsed) => {
                    prop_assert_eq!(&parsed, &plain);
                    prop_assert!(weight(&parsed) <= weight_of_text(&text) + TEXT);
                    prop_assert!(weight(&parsed) <= most);
                }
                Err(Fault::OverLimit(_)) => prop_assert!(weight(&plain) > most),
                Err(Fault::Malformed(error)) => prop_assert!(false, "{}", error),
            }
        }

        #[test]
        fn what_is_not_wanted_is_counted_and_left_out(value in any_json(), most in 0usize..20_000) {
            let text = value.to_string();
            let wanted = |name: &str| name.starts_with('a');
            match (parse_members(text.as_bytes(), most, Some(&wanted)), parse(text.as_bytes(), most)) {
                (Ok(part), Ok(mut whole)) => {
                    if let Value::Object(members) = &mut whole {
                        members.retain(|name, _| wanted(name));
                    }
                    prop_assert_eq!(part, whole);
                }
                (Err(Fault::OverLimit(part)), Err(Fault::OverLimit(whole))) => prop_assert_eq!(part, whole),
                (part, whole) => prop_assert!(false, "{:?} and {:?}", part, whole),
            }
        }

        #[test]
        fn a_text_that_was_changed_anywhere_is_read_as_serde_reads_it(
            value in any_json(),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            match (parse(&bytes, ROOM), serde_json::from_slice::<Value>(&bytes)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(Fault::Malformed(_)), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} and {:?}", ours, theirs),
            }
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), most in 0usize..2_000) {
            drop(parse(&bytes, most));
        }
    }
}
