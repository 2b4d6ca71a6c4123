//! Which column is what: names are held against the values that were seen under them.

use std::collections::BTreeMap;

use super::detect::is_address;
use super::notation;
use super::status;
use super::table::{Column, Table};
use super::vocabulary::{Meaning, meaning, normal};

/// How many values must look like what the name says, as a share.
const MOSTLY: f64 = 0.8;

/// Why a column is the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBy {
    /// It was told.
    Told,
    /// By its name.
    Name,
    /// By its values alone: they are filled in, and all different.
    Values,
    /// There is nothing better than the address, which may change.
    Address,
}

/// What the columns of a table are.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    columns: BTreeMap<Meaning, usize>,
    /// The key, and why it is that.
    pub key: Option<(usize, KeyBy)>,
}

impl Roles {
    /// The column with this meaning.
    pub fn get(&self, meaning: Meaning) -> Option<usize> {
        self.columns.get(&meaning).copied()
    }

    /// What a column means, as far as it was chosen for it.
    pub fn meaning_of(&self, column: usize) -> Option<Meaning> {
        self.columns.iter().find(|(_, at)| **at == column).map(|(meaning, _)| *meaning)
    }

    /// The column that a person names a person by.
    pub fn set_key(&mut self, column: usize, by: KeyBy) {
        self.key = Some((column, by));
    }
}

/// What the columns are, as far as names and values tell. The key is left open where nothing tells which it is.
pub fn roles(table: &Table) -> Roles {
    let mut candidates: BTreeMap<Meaning, Vec<(usize, i32)>> = BTreeMap::new();
    for (at, column) in table.usable() {
        let Some((meaning, certainty)) = meaning(&column.name) else { continue };
        if let Some(fit) = fit(meaning, column) {
            candidates.entry(meaning).or_default().push((at, i32::from(certainty) * 10 + fit));
        }
    }
    let best = |found: &Vec<(usize, i32)>| {
        // Of equals the first.
        found.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
    };
    let columns = candidates.iter().filter_map(|(meaning, found)| Some((*meaning, best(found)?))).collect();
    let mut roles = Roles { columns, key: None };
    name_alone(table, &mut roles);
    address_by_values(table, &mut roles);
    roles.key = key(table, &roles);
    roles
}

/// How well values fit a meaning, more is better; none where they contradict it.
fn fit(meaning: Meaning, column: &Column) -> Option<i32> {
    let filled = column.filled_count();
    if filled == 0 {
        return Some(-8);
    }
    let all = i32::from(filled == column.cells.len());
    match meaning {
        Meaning::Email => (column.share(is_address) >= MOSTLY).then_some(all + i32::from(column.repeated() == 0) * 2),
        Meaning::Key => Some(if column.repeated() > 0 { -12 } else { all * 4 }),
        Meaning::Status => {
            // A status that nobody understands is still one; a region called "state" is none. What tells who has left is
            // better than "full-time" and "part-time".
            let told = status::of(column);
            let tells_leavers = told.as_ref().is_some_and(|told| !told.left.is_empty() && !told.active.is_empty());
            let is_understood = column.is_truth || told.is_some_and(|told| told.is_understood());
            Some(if tells_leavers {
                9
            } else if is_understood {
                5
            } else {
                -5
            })
        }
        Meaning::Title if column.share(is_salutation) >= MOSTLY => None,
        Meaning::Username if column.repeated() > 0 => None,
        Meaning::Region if status::of(column).is_some_and(|statuses| statuses.is_understood()) => None,
        Meaning::HireDate | Meaning::LeaveDate => {
            let known = notation::of(column.cells.iter().map(String::as_str), None) != notation::Notation::Unknown;
            Some(if known { 3 } else { -3 })
        }
        Meaning::FirstName | Meaning::MiddleName | Meaning::LastName | Meaning::FullName => {
            (column.share(is_address) < MOSTLY && !is_of_numbers(column)).then_some(all)
        }
        // The number of an office, or of a position: what it stands for is in another table.
        Meaning::Title | Meaning::City | Meaning::Country if is_of_numbers(column) => None,
        _ => Some(all),
    }
}

/// Whether the values have digits, and no letters.
fn is_of_numbers(column: &Column) -> bool {
    let is_number = |text: &str| text.chars().any(char::is_numeric) && !text.chars().any(char::is_alphabetic);
    column.share(is_number) >= MOSTLY
}

/// Whether this is how somebody is addressed, which is no title of a job.
fn is_salutation(text: &str) -> bool {
    const SALUTATIONS: [&str; 18] = [
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "prof dr", "herr", "frau", "m", "mme", "mlle", "sr", "sra",
        "srta", "monsieur", "madame",
    ];
    SALUTATIONS.contains(&text.replace('.', "").trim().to_lowercase().as_str())
}

/// "Name" beside "Vorname", "Nom" beside "Prénom" is the family name; "Nombre" without "Apellidos" is the whole name.
fn name_alone(table: &Table, roles: &mut Roles) {
    let called = |at: usize| normal(&table.columns[at].name);
    let short = table.usable().map(|(at, _)| at).find(|at| ["name", "nom"].contains(&called(*at).as_str()));
    let (first, last) = (roles.get(Meaning::FirstName), roles.get(Meaning::LastName));
    match (first, last, short) {
        (Some(_), None, Some(short)) => {
            if roles.get(Meaning::FullName) == Some(short) {
                roles.columns.remove(&Meaning::FullName);
            }
            roles.columns.insert(Meaning::LastName, short);
        }
        (Some(first), None, None) if called(first) == "nombre" && roles.get(Meaning::FullName).is_none() => {
            roles.columns.remove(&Meaning::FirstName);
            roles.columns.insert(Meaning::FullName, first);
        }
        _ => {}
    }
}

/// Where no name tells of an address: the only column of addresses, unless its name says that it is about something else.
fn address_by_values(table: &Table, roles: &mut Roles) {
    if roles.get(Meaning::Email).is_some() {
        return;
    }
    let named = |column: &Column| meaning(&column.name).map(|(meaning, _)| meaning);
    let of_addresses = |column: &Column| {
        matches!(named(column), None | Some(Meaning::Username))
            && column.filled_count() > 0
            && column.share(is_address) >= MOSTLY
            && super::vocabulary::may_be_own(&column.name)
    };
    let found: Vec<usize> = table.usable().filter(|(_, column)| of_addresses(column)).map(|(at, _)| at).collect();
    if let [one] = found.as_slice() {
        roles.columns.insert(Meaning::Email, *one);
    }
}

fn key(table: &Table, roles: &Roles) -> Option<(usize, KeyBy)> {
    let is_telling = |at: usize| {
        let column = &table.columns[at];
        column.filled_count() == column.cells.len() && column.repeated() == 0
    };
    if let Some(at) = roles.get(Meaning::Key).filter(|at| table.columns[*at].filled_count() > 0) {
        return Some((at, KeyBy::Name));
    }
    if let Some(at) = roles.get(Meaning::Username).filter(|at| is_telling(*at)) {
        return Some((at, KeyBy::Name));
    }
    let looks_like_one = |column: &Column| {
        // "Employee" may hold names, or numbers.
        matches!(meaning(&column.name), None | Some((Meaning::FullName, _)))
            && column.cells.iter().all(|cell| {
                cell.len() <= 20
                    && cell.bytes().any(|byte| byte.is_ascii_digit())
                    && cell.chars().all(|letter| letter.is_alphanumeric() || "-_./".contains(letter))
                    && !notation::could_be_date(cell)
            })
    };
    let found: Vec<usize> =
        table.usable().filter(|(at, column)| is_telling(*at) && looks_like_one(column)).map(|(at, _)| at).collect();
    if let [one] = found.as_slice() {
        return Some((*one, KeyBy::Values));
    }
    roles.get(Meaning::Email).filter(|at| is_telling(*at)).map(|at| (at, KeyBy::Address))
}

/// What the columns of dates together show of the order of day and month.
pub fn day_first(table: &Table) -> Option<bool> {
    let shown = table
        .usable()
        .filter_map(|(_, column)| notation::day_first(notation::of(column.cells.iter().map(String::as_str), None)));
    let shown: std::collections::BTreeSet<bool> = shown.collect();
    if shown.len() == 1 { shown.first().copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::detect::{Told, table};
    use super::*;

    fn told(text: &str) -> (BTreeMap<Meaning, String>, Option<(String, KeyBy)>) {
        let table = table(text.as_bytes(), true, &Told::default()).expect("a table");
        let roles = roles(&table);
        let name = |at: usize| table.columns[at].name.clone();
        let columns = roles.columns.iter().map(|(meaning, at)| (*meaning, name(*at))).collect();
        (columns, roles.key.map(|(at, by)| (name(at), by)))
    }

    #[test]
    fn columns_are_chosen_by_name_and_values() {
        let (columns, key) = told(
            "Employee #;Work Email;Email;State;Status;Name;Vorname;Manager Email\n\
             1;a@x.example;;active;x;Ash;Ann;b@x.example\n2;b@x.example;;left;x;Bo;Ben;b@x.example\n",
        );
        assert_eq!(columns[&Meaning::Email], "Work Email");
        assert_eq!(columns[&Meaning::LastName], "Name");
        assert_eq!(columns[&Meaning::Manager], "Manager Email");
        assert_eq!(key, Some(("Employee #".into(), KeyBy::Name)));
        let (columns, _) = told("ID;Nombre;Correo\n1;Ana Paz;a@x.example\n");
        assert_eq!(columns[&Meaning::FullName], "Nombre");
        let (columns, _) = told("ID;Nombre;Apellidos\n1;Ana;Paz\n");
        assert_eq!(
            (columns[&Meaning::FirstName].as_str(), columns[&Meaning::LastName].as_str()),
            ("Nombre", "Apellidos")
        );
        let (columns, _) = told("ID;Nom;Prénom;Nom complet\n1;Paz;Ana;Ana Paz\n");
        assert_eq!(
            (columns[&Meaning::LastName].as_str(), columns[&Meaning::FullName].as_str()),
            ("Nom", "Nom complet")
        );
        let (columns, _) =
            told("ID;Employment Status;Status;Title\n1;Full-time;Active;Mr.\n2;Part-time;Terminated;Mrs.\n");
        assert_eq!(columns[&Meaning::Status], "Status");
        assert!(!columns.contains_key(&Meaning::Title), "a salutation is no title of a job");
    }

    #[test]
    fn numbers_are_no_places_and_no_names() {
        for (name, meaning) in [
            ("office", Meaning::City),
            ("Standort", Meaning::City),
            ("Land", Meaning::Country),
            ("position", Meaning::Title),
            ("first name", Meaning::FirstName),
            ("nachname", Meaning::LastName),
            ("employee", Meaning::FullName),
        ] {
            let of = |values: [&str; 2]| told(&format!("id,{name}\n1,{}\n2,{}\n", values[0], values[1])).0;
            assert!(!of(["12", "4-07"]).contains_key(&meaning), "{name}");
            assert_eq!(of(["Bern 2", "Zug"])[&meaning], name);
        }
        // Where there is a city beside it, that is it.
        assert_eq!(told("id,office,town\n1,12,Bern\n2,13,Zug\n").0[&Meaning::City], "town");
        // Departments and cost centers are often known by number.
        assert_eq!(told("id,department\n1,4711\n2,4712\n").0[&Meaning::Department], "department");
        assert_eq!(told("id,phone\n1,4711\n2,4712\n").0[&Meaning::Phone], "phone");
    }

    #[test]
    fn the_key_is_unique_and_filled_or_nothing_tells_it() {
        for (text, key) in [
            ("id,mail\n1,a@x.example\n2,b@x.example\n", Some(("id", KeyBy::Name))),
            ("id,employee id,mail\n1,7,a@x.example\n1,8,b@x.example\n", Some(("employee id", KeyBy::Name))),
            ("ref,mail\nX-1,a@x.example\nX-2,b@x.example\n", Some(("ref", KeyBy::Values))),
            ("Employee,mail\nX-1,a@x.example\nX-2,b@x.example\n", Some(("Employee", KeyBy::Values))),
            ("mail\na@x.example\nb@x.example\n", Some(("mail", KeyBy::Address))),
            ("mail\na@x.example\na@x.example\n", None),
            ("login,city\nann,X\nbo,Y\n", Some(("login", KeyBy::Name))),
            ("city,country\nX,Y\nX,Y\n", None),
        ] {
            let (_, found) = told(text);
            assert_eq!(found, key.map(|(name, by)| (name.to_string(), by)), "{text}");
        }
    }

    #[test]
    fn a_column_of_addresses_by_another_name_is_the_address() {
        assert_eq!(told("id,contact\n1,a@x.example\n").0[&Meaning::Email], "contact");
        assert!(!told("id,emergency contact\n1,a@x.example\n").0.contains_key(&Meaning::Email));
        assert!(!told("id,a,b\n1,a@x.example,b@x.example\n").0.contains_key(&Meaning::Email));
        assert!(!told("id,email\n1,unknown\n2,none\n").0.contains_key(&Meaning::Email));
    }
}
