//! JSON documents, read as a stream: where the records, the total and the way to the next page stand, by JSON pointer.
//!
//! A page is gone through twice. The first time ([`skim`]) nothing is kept: it shows that the page is whole, how many
//! records it has and where the next one is, so that this one can be fetched meanwhile. The second time ([`records`])
//! gives the records, one in memory at a time.

mod window;

use std::cell::RefCell;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use self::window::{Feed, Window};
use super::document::{self, AsRow, Document, Wants};
use super::hints::{self, Glance, Hints, Said};
use crate::config::settings::JsonSettings;
use crate::domain::bounded::visit_plain;

/// How many field names a message lists before it stops.
const LISTED: usize = 20;

/// The longest text, in bytes, that is the address or the mark of a next page.
const LONGEST_TEXT: usize = 64_000;

/// A name that is longer, in bytes, is none that is looked for.
const LONGEST_NAME: usize = 10_000;

/// A JSON pointer (RFC 6901), taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Pointer(Vec<String>);

impl Pointer {
    /// The pointer that this text is.
    pub fn parse(text: &str) -> Pointer {
        let segments = text.split('/').skip(1);
        Pointer(segments.map(|s| s.replace("~1", "/").replace("~0", "~")).collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|s| write!(f, "/{}", s.replace('~', "~0").replace('/', "~1")))
    }
}

/// Where in a page the things stand that it is read for.
#[derive(Debug, Default)]
pub(in crate::source) struct Places {
    /// The list of records.
    pub records: Pointer,
    /// The number of all records.
    pub total: Option<Pointer>,
    /// The address or the mark of the next page.
    pub next: Option<Pointer>,
    /// Whether the answer is a good one.
    pub success: Option<Pointer>,
    /// Whether a page without the list is looked through all the same: see [`Skimmed::no_list`].
    pub may_lack_records: bool,
}

impl Places {
    /// Those that are configured.
    pub fn of(settings: &JsonSettings) -> Places {
        let parse = |pointer: &Option<String>| pointer.as_deref().map(Pointer::parse);
        Places {
            records: Pointer::parse(&settings.records),
            total: parse(&settings.total),
            next: None,
            success: parse(&settings.success),
            may_lack_records: false,
        }
    }
}

/// What a look through a page found.
#[derive(Debug, Default, PartialEq)]
pub(in crate::source) struct Skimmed {
    /// Records.
    pub count: u64,
    /// What stands where the total should; none when nothing does.
    pub total: Option<Value>,
    /// What stands where the next page should be told.
    pub next: Option<Value>,
    /// What stands where it should say that it is a good answer.
    pub success: Option<Value>,
    /// What it says about itself unasked.
    pub hints: Hints,
    /// That there is no list of records, and nothing else in its place, where that is no error by itself: a sentence.
    pub no_list: Option<String>,
}

impl Skimmed {
    /// Why what was found, though it has records, is not to be taken for a good list; `it` is called so. `success` is where
    /// it must say that it is one.
    pub fn went_wrong(&self, it: &str, success: Option<&str>) -> Option<String> {
        if let Some(pointer) = success
            && self.success != Some(Value::Bool(true))
        {
            let is = if self.success.is_some() { "is not true" } else { "is not there" };
            return Some(format!("{pointer:?} {is}, which success says must be true"));
        }
        let wrong = &self.hints.wrong;
        if wrong.is_empty() {
            return None;
        }
        let told = |name: &String| match name.as_str() {
            "errors" | "error" => format!("it holds \"{name}\""),
            _ => format!("\"{name}\" is not true"),
        };
        let told: Vec<String> = wrong.iter().map(told).collect();
        let told = told.join(", ");
        Some(format!("{it} says that something went wrong ({told}), so its records may not be all"))
    }

    /// Why a document that should hold everybody is only a part, if it says so.
    pub fn is_a_part(&self) -> Option<String> {
        let hints = &self.hints;
        let all = self.total.as_ref().and_then(Value::as_u64).or(hints.total_results);
        let mark = hints.marks.iter().find(|mark| hints.leads_on(mark, all == Some(self.count)));
        let place = match (&hints.more, mark, hints.total_results) {
            (Some(flag), _, _) => hints::flagged(flag),
            (None, Some(mark), _) => format!("{:?}", mark.place),
            (None, None, Some(all)) if all > self.count => {
                format!("totalResults is {all}, and {} are there", self.count)
            }
            _ => return None,
        };
        Some(format!(
            "the file says that there is more ({place}): it is one page of a list; have the whole list written"
        ))
    }
}

/// Goes through a page without keeping anything.
///
/// # Errors
/// It is not JSON, is cut off, or has no list of records where it should: a sentence that holds no value.
pub(in crate::source) fn skim(page: impl Read, places: &Places) -> Result<Skimmed, String> {
    look(page, places, Each::Counted(0))
}

fn look<'a>(page: impl Read, places: &'a Places, each: Each<'a>) -> Result<Skimmed, String> {
    let lacks = places.may_lack_records.then(Lack::default);
    let mut walk = Walk { hints: Some(Hints::default()), lacks, ..Walk::new(&places.records, each) };
    let spot =
        |pointer: &Option<Pointer>| pointer.as_ref().map(|pointer| Spot { pointer: pointer.clone(), found: None });
    walk.spots = [spot(&places.total), spot(&places.next), spot(&places.success)];
    walk.go(page)?;
    let Walk { spots, hints, each, lacks, .. } = walk;
    let count = if let Each::Counted(count) = each { count } else { 0 };
    let [total, next, success] = spots.map(|spot| spot.and_then(|spot| spot.found));
    let no_list = lacks.and_then(|lack| lack.no_list);
    Ok(Skimmed { count, total, next, success, hints: hints.unwrap_or_default(), no_list })
}

/// Gives each record of a page, in order, until `each` says that it wants no more.
///
/// # Errors
/// As [`skim`].
pub(in crate::source) fn records(
    page: impl Read,
    records: &Pointer,
    wants: &Wants,
    each: &mut dyn FnMut(Document) -> bool,
) -> Result<(), String> {
    Walk::new(records, Each::Read(wants, each)).go(page)
}

/// [`skim`] and [`records`] in one, for what can't be gone through twice.
///
/// # Errors
/// As [`skim`].
pub(super) fn skim_records(
    page: impl Read,
    places: &Places,
    wants: &Wants,
    each: &mut dyn FnMut(Document) -> bool,
) -> Result<Skimmed, String> {
    let mut count = 0;
    let mut counted = |document| {
        count += 1;
        each(document)
    };
    let skimmed = look(page, places, Each::Read(wants, &mut counted))?;
    Ok(Skimmed { count, ..skimmed })
}

/// What a parser complains of, without quoting anything.
pub(in crate::source) fn complaint(error: &serde_json::Error) -> String {
    complaint_at(error, (error.line(), error.column()))
}

fn complaint_at(error: &serde_json::Error, (line, column): (usize, usize)) -> String {
    match error.classify() {
        Category::Eof => "it is cut off in the middle of its JSON".into(),
        Category::Io => format!("reading it stopped before the end: {error}"),
        Category::Syntax => format!("it is not JSON (line {line}, column {column})"),
        // Ours: they name places.
        Category::Data => {
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or_default().to_string()
        }
    }
}

/// A scalar that is looked for.
struct Spot {
    pointer: Pointer,
    found: Option<Value>,
}

/// What is done with each record.
enum Each<'a> {
    /// They are counted.
    Counted(u64),
    /// They are read and handed over.
    Read(&'a Wants, &'a mut dyn FnMut(Document) -> bool),
}

/// What is noted where the list of records may be missing.
#[derive(Default)]
struct Lack {
    /// Something else is in its place.
    is_something_else: bool,
    /// That it is missing: a sentence.
    no_list: Option<String>,
}

/// A walk through a document that stops by where something is looked for and passes over the rest.
struct Walk<'a> {
    records: &'a Pointer,
    spots: [Option<Spot>; 3],
    /// What the document says about itself, where that is asked.
    hints: Option<Hints>,
    /// Where the list of records may be missing: what was seen of that.
    lacks: Option<Lack>,
    each: Each<'a>,
    lists: u32,
    stopped: bool,
    names: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(records: &'a Pointer, each: Each<'a>) -> Self {
        let (spots, names) = ([None, None, None], Vec::new());
        Walk { records, spots, hints: None, lacks: None, each, lists: 0, stopped: false, names }
    }

    fn go(&mut self, mut page: impl Read) -> Result<(), String> {
        let window = RefCell::new(Window::new(&mut page));
        self.follow(Feed(&window), &window)
    }

    fn follow(&mut self, page: impl Read, window: &RefCell<Window<'_>>) -> Result<(), String> {
        let mut parser = serde_json::Deserializer::from_reader(page);
        let walked = Node { walk: self, window, path: &mut Vec::new() }.deserialize(&mut parser);
        if self.stopped {
            return Ok(());
        }
        let place_of = |error: &serde_json::Error| window.borrow().place_of(error.line(), error.column());
        walked.and_then(|()| parser.end()).map_err(|error| complaint_at(&error, place_of(&error)))?;
        match self.lists {
            1 => Ok(()),
            0 => {
                let why = self.no_list();
                match &mut self.lacks {
                    Some(lack) if !lack.is_something_else => {
                        lack.no_list = Some(why);
                        Ok(())
                    }
                    _ => Err(why),
                }
            }
            _ => Err(format!("{} is there more than once", place(self.records))),
        }
    }

    fn no_list(&self) -> String {
        let names: Vec<&str> = self.names.iter().take(LISTED).map(String::as_str).collect();
        let has = if names.is_empty() { String::new() } else { format!("; the document has {}", names.join(", ")) };
        format!("there is no list of records at {}{has}", place(self.records))
    }

    /// Whether anything that is looked for lies at this path or below it.
    fn leads_somewhere(&self, path: &[String]) -> bool {
        let spots = self.spots.iter().flatten().map(|spot| &spot.pointer);
        let told = spots.chain([self.records]).any(|pointer| pointer.0.starts_with(path));
        told || (self.hints.is_some() && hints::leads(path, &self.records.0))
    }

    fn scalar(&mut self, path: &[String], value: Value) {
        if let Some(lack) = self.lacks.as_mut().filter(|_| self.records.0 == path && !value.is_null()) {
            lack.is_something_else = true;
        }
        for spot in self.spots.iter_mut().flatten() {
            if spot.pointer.0 == path {
                spot.found = Some(value.clone());
            }
        }
    }

    /// A text, which may be an address or a mark: both have an end.
    fn text<E: de::Error>(&mut self, path: &[String], text: &str) -> Result<(), E> {
        if text.len() <= LONGEST_TEXT || self.records.0 == path {
            self.scalar(path, text.into());
        } else if let Some(spot) = self.spots.iter().flatten().find(|spot| spot.pointer.0 == path) {
            let kilobytes = LONGEST_TEXT / 1_000;
            return Err(E::custom(format!("the text at {} is longer than {kilobytes} kB", place(&spot.pointer))));
        }
        Ok(())
    }

    /// The records of the list; whether no more are wanted.
    fn records<'de, A: SeqAccess<'de>>(&mut self, mut list: A, window: &RefCell<Window<'_>>) -> Result<(), A::Error> {
        match &mut self.each {
            Each::Counted(count) => {
                while list.next_element_seed(Counted(window))?.is_some() {
                    *count += 1;
                }
            }
            Each::Read(wants, each) => {
                while let Some(document) = list.next_element_seed(Record(wants, window))? {
                    if !each(document) {
                        self.stopped = true;
                        return Err(de::Error::custom("stopped"));
                    }
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, path: &[String], said: Said) {
        if let Some(hints) = &mut self.hints {
            hints.note(path, said);
        }
    }

    /// Whether this is a list of links, of which one may lead to the next page.
    fn holds_links(&self, path: &[String]) -> bool {
        self.hints.is_some() && hints::lists_links(path, &self.records.0)
    }
}

fn place(pointer: &Pointer) -> String {
    if pointer.0.is_empty() { "the top of the document".into() } else { format!("\"{pointer}\"") }
}

/// A record that is counted.
struct Counted<'w, 'r>(&'w RefCell<Window<'r>>);

impl<'de> DeserializeSeed<'de> for Counted<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Of what was parsed in the window, the braces are left.
        self.0.borrow_mut().parse(PhantomData::<IgnoredAny>);
        IgnoredAny::deserialize(deserializer).map(|IgnoredAny| ())
    }
}

/// A record that is read.
struct Record<'w, 'r>(&'w Wants, &'w RefCell<Window<'r>>);

impl<'de> DeserializeSeed<'de> for Record<'_, '_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        let Record(wants, window) = self;
        let in_sight = {
            let mut window = window.borrow_mut();
            let row = if wants.reads_cells() { window.parse(AsRow(wants)) } else { None };
            row.or_else(|| window.parse(wants))
        };
        match in_sight {
            // Its braces are left.
            Some(document) => IgnoredAny::deserialize(deserializer).map(|IgnoredAny| document),
            None => wants.deserialize(deserializer),
        }
    }
}

/// One place in the document.
struct Node<'w, 'a, 'p, 'r> {
    walk: &'w mut Walk<'a>,
    window: &'p RefCell<Window<'r>>,
    path: &'p mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            if self.path.is_empty() && self.walk.names.len() <= LISTED {
                self.walk.names.push(document::shortened(&name).to_string());
            }
            self.path.push(name);
            if self.walk.leads_somewhere(self.path) {
                map.next_value_seed(Node { walk: self.walk, window: self.window, path: self.path })?;
            } else if self.walk.hints.is_some() && hints::wanted(self.path, &self.walk.records.0) {
                let said = map.next_value_seed(Glance::Deep)?;
                self.walk.note(self.path, said);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            self.path.pop();
        }
        // What is looked for is a scalar; that something else is there must be told from nothing.
        self.walk.scalar(self.path, Value::Object(Map::new()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.walk.holds_links(self.path) {
            while let Some(said) = list.next_element_seed(Glance::Deep)? {
                if matches!(said, Said::Link(_)) {
                    self.walk.note(self.path, said);
                }
            }
            return Ok(());
        }
        if self.walk.records.0 != *self.path {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            self.walk.scalar(self.path, Value::Array(Vec::new()));
            return Ok(());
        }
        self.walk.lists += 1;
        self.walk.records(list, self.window)
    }

    visit_plain!((), |self, value| self.walk.scalar(self.path, value));

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.walk.text(self.path, value)
    }
}

/// The name of a field, cut off where it is longer than any that is looked for.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyName;

        impl Visitor<'_> for AnyName {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name.len() > LONGEST_NAME {
                    true => Name(format!("{}…", document::shortened(name))),
                    false => Name(name.to_string()),
                })
            }
        }
        deserializer.deserialize_str(AnyName)
    }
}

/// The value of a column: the field of that name, or the one that its dotted path leads to. Nothing when it isn't there.
pub(in crate::source) fn column<'v>(record: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if let Some(value) = record.get(name) {
        return Some(value);
    }
    // A name with a dot may be a part of the path: the longest one wins.
    let mut dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    dots.reverse();
    dots.into_iter().find_map(|dot| match record.get(&name[..dot]) {
        Some(Value::Object(inner)) => column(inner, &name[dot + 1..]),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
