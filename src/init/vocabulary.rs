//! What the names of columns mean, in English, German, French and Spanish: names are normalised, then looked up.
//!
//! Normalised is a name in lower case, without accents and punctuation, in single words, without articles and
//! prepositions, and with one word for "number". The tables in [`super::words`] hold names in that form.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::words::{EMAIL_WORDS, FOREIGN_WORDS, MANAGER_WORDS, PRIVATE_WORDS, SENSITIVE_WORDS, WORDS, each, exact};

/// What a column, or a field of a target, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// What names a person for good: an employee number.
    Key,
    /// The address at work.
    Email,
    /// An address of their own.
    PrivateEmail,
    /// Given name.
    FirstName,
    /// Middle name.
    MiddleName,
    /// Family name.
    LastName,
    /// The whole name.
    FullName,
    /// What they like to be called.
    NickName,
    /// The name by which they log in.
    Username,
    /// Whether they work here.
    Status,
    /// The first day.
    HireDate,
    /// The last day.
    LeaveDate,
    /// What they do.
    Title,
    /// Department.
    Department,
    /// Division.
    Division,
    /// Cost center.
    CostCenter,
    /// Company.
    Company,
    /// Full-time, apprentice, …
    EmploymentType,
    /// Telephone at work.
    Phone,
    /// Mobile telephone.
    Mobile,
    /// Fax.
    Fax,
    /// Street and number.
    Street,
    /// City, or the place of work.
    City,
    /// State, province, canton.
    Region,
    /// Postal code.
    PostalCode,
    /// Country.
    Country,
    /// Language.
    Language,
    /// Something about whom they report to.
    Manager,
    /// What a platform seldom needs and an export better leaves out.
    Sensitive,
}

/// What a name means, and how certain that is: 3 a name of nothing else, 2 a usual one, 1 a word in it.
pub fn meaning(name: &str) -> Option<(Meaning, u8)> {
    let normal = normal(name);
    if normal.is_empty() {
        return None;
    }
    let words: Vec<&str> = normal.split(' ').collect();
    let has = |table: &'static str| each(table).any(|known| words.contains(&known));
    if has(FOREIGN_WORDS) {
        return None;
    }
    if has(SENSITIVE_WORDS) {
        return Some((Meaning::Sensitive, 3));
    }
    let exact = exact(&normal).map(|(meaning, _)| meaning);
    if has(MANAGER_WORDS) && exact.is_none() {
        return Some((Meaning::Manager, 3));
    }
    if has(EMAIL_WORDS) && has(PRIVATE_WORDS) {
        return Some((Meaning::PrivateEmail, 3));
    }
    if let Some(meaning) = exact {
        // "ID" and "Nr." may be of anything.
        return Some((meaning, if words.len() == 1 && normal.len() <= 4 { 2 } else { 3 }));
    }
    if has(EMAIL_WORDS) {
        return Some((Meaning::Email, 2));
    }
    WORDS.iter().find(|(_, table)| has(table)).map(|(meaning, _)| (*meaning, 1))
}

/// Whether a name may be of something of the person's own: it does not tell of somebody else.
pub fn may_be_own(name: &str) -> bool {
    let normal = normal(name);
    !normal.split(' ').any(|word| each(FOREIGN_WORDS).chain(each(MANAGER_WORDS)).any(|known| known == word))
}

/// Lower case, without accents, with `ß`, `œ`, `æ` and `ø` in plain letters.
pub fn folded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase) {
        match letter {
            'ß' => plain.push_str("ss"),
            'œ' => plain.push_str("oe"),
            'æ' => plain.push_str("ae"),
            'ø' => plain.push('o'),
            _ => plain.push(letter),
        }
    }
    plain
}

/// Words that say nothing here.
const EMPTY_WORDS: [&str; 22] = [
    "a", "al", "am", "d", "das", "de", "del", "der", "des", "die", "du", "el", "en", "la", "le", "les", "l", "of",
    "the", "in", "y", "et",
];

/// Words for "number".
const NUMBER_WORDS: [&str; 8] = ["nr", "no", "n", "num", "number", "numero", "nummer", "nro"];

/// A name as the tables have it.
pub fn normal(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut before = ' ';
    for letter in name.chars() {
        // workEmail, EmployeeID
        if before.is_lowercase() && letter.is_uppercase() {
            spaced.push(' ');
        }
        match letter {
            '#' => spaced.push_str(" nr "),
            _ => spaced.push(letter),
        }
        before = letter;
    }
    let spaced = folded(&spaced);
    let words = spaced.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut kept: Vec<&str> = Vec::new();
    for word in words {
        let word = if NUMBER_WORDS.contains(&word) { "nr" } else { word };
        let is_said_already = word == "nr" && kept.last() == Some(&"nr");
        if !is_said_already && !EMPTY_WORDS.contains(&word) {
            kept.push(word);
        }
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::words::EXACT;
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (name, is) in [
            ("Employee #", "employee nr"),
            (" Work E-Mail ", "work e mail"),
            ("Date d'entrée", "date entree"),
            ("Número de empleado", "nr empleado"),
            ("N° employé", "nr employe"),
            ("Nº de legajo", "nr legajo"),
            ("workEmail", "work email"),
            ("EmployeeID", "employee id"),
            ("Straße", "strasse"),
            ("name.givenName", "name given name"),
            ("", ""),
            ("—", ""),
        ] {
            assert_eq!(normal(name), is, "{name}");
        }
    }

    #[test]
    fn names_of_four_languages_are_understood() {
        use Meaning::*;
        for (name, is) in [
            ("Employee #", Key),
            ("Personalnummer", Key),
            ("Pers.-Nr.", Key),
            ("Matricule", Key),
            ("Número de empleado", Key),
            ("ID", Key),
            ("emp_id", Key),
            ("Work Email", Email),
            ("E-Mail", Email),
            ("E-Mail-Adresse (geschäftlich)", Email),
            ("Courriel", Email),
            ("Adresse électronique", Email),
            ("Correo electrónico", Email),
            ("Private E-Mail", PrivateEmail),
            ("Correo personal", PrivateEmail),
            ("Courriel personnel", PrivateEmail),
            ("Manager Email", Manager),
            ("Vorgesetzter (E-Mail)", Manager),
            ("Courriel du responsable", Manager),
            ("Supervisor ID", Manager),
            ("Status", Status),
            ("Statut", Status),
            ("Estado", Status),
            ("Employment Status", Status),
            ("Aktiv", Status),
            ("Hire Date", HireDate),
            ("Eintrittsdatum", HireDate),
            ("Date d'entrée", HireDate),
            ("Date d'embauche", HireDate),
            ("Fecha de ingreso", HireDate),
            ("End Date", LeaveDate),
            ("Austrittsdatum", LeaveDate),
            ("Date de sortie", LeaveDate),
            ("Fecha de baja", LeaveDate),
            ("Vorname", FirstName),
            ("Prénom", FirstName),
            ("Nombre", FirstName),
            ("given_name", FirstName),
            ("Nachname", LastName),
            ("Nom de famille", LastName),
            ("Apellidos", LastName),
            ("Surname", LastName),
            ("Job Title", Title),
            ("Funktion", Title),
            ("Poste", Title),
            ("Puesto", Title),
            ("Abteilung", Department),
            ("Service", Department),
            ("Departamento", Department),
            ("Telefon geschäftlich", Phone),
            ("Téléphone", Phone),
            ("Handy", Mobile),
            ("Móvil", Mobile),
            ("Stadt", City),
            ("Ville", City),
            ("Ciudad", City),
            ("PLZ", PostalCode),
            ("Code postal", PostalCode),
            ("Date of Birth", Sensitive),
            ("Geburtsdatum", Sensitive),
            ("AHV-Nr.", Sensitive),
            ("Salary", Sensitive),
        ] {
            assert_eq!(meaning(name).map(|(meaning, _)| meaning), Some(is), "{name}");
        }
        for name in ["", "Emergency Contact Email", "Notfallkontakt", "xyzzy", "42"] {
            assert_eq!(meaning(name), None, "{name}");
        }
    }

    #[test]
    fn the_tables_hold_normalised_names_and_none_of_them_twice() {
        let mut seen = std::collections::BTreeMap::new();
        let mut wrong = Vec::new();
        for (meaning, names) in EXACT {
            for name in each(names) {
                if normal(name) != name {
                    wrong.push(format!("{name} of {meaning:?} is not normalised"));
                }
                if let Some(other) = seen.insert(name, meaning) {
                    wrong.push(format!("{name} is of {other:?} and of {meaning:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        let others = [EMAIL_WORDS, FOREIGN_WORDS, MANAGER_WORDS, PRIVATE_WORDS, SENSITIVE_WORDS];
        for word in others.into_iter().chain(WORDS.iter().map(|(_, table)| *table)).flat_map(each) {
            assert_eq!(normal(word), word);
        }
    }
}
