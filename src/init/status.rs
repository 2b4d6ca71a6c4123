//! What the values of a status column say: who works here, who has left, and of which values that can't be known.

use std::collections::BTreeMap;

use super::table::Column;
use super::vocabulary::folded;

/// More different values than this, and a column is no status.
const MOST: usize = 25;

/// A longer value than this, in characters, is no status.
const LONGEST: usize = 40;

/// Values of people who work here.
const ACTIVE: &[&str] = &[
    "active",
    "activ",
    "act",
    "aktiv",
    "actif",
    "active e",
    "activo",
    "activa",
    "activo a",
    "current",
    "employed",
    "working",
    "enabled",
    "in service",
    "onboard",
    "on leave",
    "leave",
    "loa",
    "leave of absence",
    "paid leave",
    "unpaid leave",
    "parental leave",
    "maternity leave",
    "paternity leave",
    "sick leave",
    "sabbatical",
    "probation",
    "full time",
    "part time",
    "vollzeit",
    "teilzeit",
    "beurlaubt",
    "elternzeit",
    "mutterschutz",
    "karenz",
    "probezeit",
    "angestellt",
    "beschaftigt",
    "im dienst",
    "anwesend",
    "krank",
    "en poste",
    "present",
    "presente",
    "en conge",
    "conge maternite",
    "conge parental",
    "conge",
    "periode d essai",
    "en activite",
    "en activo",
    "alta",
    "de alta",
    "contratado",
    "contratada",
    "trabajando",
    "de permiso",
    "permiso",
    "licencia",
    "con licencia",
    "excedencia",
    "vigente",
    "vacaciones",
    "invited",
];

/// Values of people who have left.
const LEFT: &[&str] = &[
    "inactive",
    "inaktiv",
    "inactif",
    "inactivo",
    "inactiva",
    "terminated",
    "term",
    "left",
    "leaver",
    "resigned",
    "retired",
    "deceased",
    "dismissed",
    "former",
    "ex employee",
    "former employee",
    "disabled",
    "deactivated",
    "archived",
    "separated",
    "offboarded",
    "withdrawn",
    "ausgetreten",
    "ausgeschieden",
    "ehemalig",
    "ehemalige",
    "ehemaliger",
    "pensioniert",
    "rentner",
    "verrentet",
    "verstorben",
    "deaktiviert",
    "ex",
    "parti",
    "partie",
    "sorti",
    "sortie",
    "quitte",
    "demissionne",
    "retraite",
    "retraitee",
    "licencie",
    "licenciee",
    "ancien",
    "baja",
    "cesado",
    "cesada",
    "despedido",
    "despedida",
    "retirado",
    "retirada",
    "jubilado",
    "jubilada",
    "finiquitado",
    "egresado",
    "desvinculado",
    "dado de baja",
    "banned",
];

/// Values that say yes or no: only where there is no other value.
const YES: &[&str] =
    &["1", "true", "yes", "y", "ja", "j", "oui", "o", "si", "s", "wahr", "vrai", "verdadero", "x", "a"];
const NO: &[&str] = &["0", "false", "no", "n", "nein", "non", "falsch", "faux", "falso", "i", "t"];

/// The values of a status column, in their order, as expressions compare them: trimmed, in small ASCII letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Of people who work here.
    pub active: Vec<String>,
    /// Of people who have left.
    pub left: Vec<String>,
    /// That can't be known. An empty text is a row that says nothing.
    pub unknown: Vec<String>,
}

impl Statuses {
    /// Whether any value is understood.
    pub fn is_understood(&self) -> bool {
        !self.active.is_empty() || !self.left.is_empty()
    }

    /// Every value: those that count as being here first, as long as nothing else is said, then those that do not.
    pub fn all(&self) -> Vec<String> {
        [self.active.as_slice(), &self.unknown, &self.left].concat()
    }

    /// The same values, of which these are of people who work here, and all others of people who have left.
    pub fn as_told(&self, active: &[String]) -> Statuses {
        let (active, left) = self.all().into_iter().partition(|value| active.contains(value));
        Statuses { active, left, unknown: Vec::new() }
    }
}

/// What the values of a column say as a status; none where there are too many or too long ones.
pub fn of(column: &Column) -> Option<Statuses> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for cell in &column.cells {
        values.entry(cell.to_ascii_lowercase()).or_insert_with(|| folded_value(cell));
        if values.len() > MOST || cell.chars().count() > LONGEST {
            return None;
        }
    }
    let all_short = |table: [&[&str]; 2]| {
        values.values().filter(|value| !value.is_empty()).all(|value| table.iter().any(|t| t.contains(&value.as_str())))
    };
    let yes_or_no = all_short([YES, NO]);
    let mut found = Statuses::default();
    for (value, folded) in values {
        let is = |table: &[&str], short: &[&str]| {
            table.contains(&folded.as_str()) || (yes_or_no && short.contains(&folded.as_str()))
        };
        match () {
            () if is(ACTIVE, YES) => found.active.push(value),
            () if is(LEFT, NO) => found.left.push(value),
            () => found.unknown.push(value),
        }
    }
    Some(found)
}

/// Without accents and punctuation, in single spaces.
fn folded_value(cell: &str) -> String {
    let folded = folded(cell);
    let words: Vec<&str> = folded.split(|letter: char| !letter.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cells: &[&str]) -> Option<Statuses> {
        let cells = cells.iter().map(ToString::to_string).collect();
        of(&Column { name: "s".into(), cells, is_text: true, is_truth: false, unusable: None })
    }

    #[test]
    fn values_of_four_languages_are_understood() {
        for (cells, active, left, unknown) in [
            (
                &["Active", "ACTIVE", "Terminated", "On Leave"][..],
                &["active", "on leave"][..],
                &["terminated"][..],
                &[][..],
            ),
            (&["aktiv", "ausgeschieden", "gekündigt"], &["aktiv"], &["ausgeschieden"], &["gekündigt"]),
            (&["Actif", "Inactif", "En congé"], &["actif", "en congé"], &["inactif"], &[]),
            (&["Alta", "Baja"], &["alta"], &["baja"], &[]),
            (&["A", "I"], &["a"], &["i"], &[]),
            (&["A", "I", "Q"], &[], &[], &["a", "i", "q"]),
            (&["1", "0"], &["1"], &["0"], &[]),
            (&["1", "2", "3"], &[], &[], &["1", "2", "3"]),
            (&["true", "false"], &["true"], &["false"], &[]),
            (&["active", ""], &["active"], &[], &[""]),
            (&["zzz"], &[], &[], &["zzz"]),
        ] {
            let found = told(cells).expect("a status");
            assert_eq!(
                (found.active.as_slice(), found.left.as_slice(), found.unknown.as_slice()),
                (
                    active.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
                    left.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
                    unknown.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
                ),
                "{cells:?}"
            );
        }
    }

    #[test]
    fn what_has_many_or_long_values_is_no_status() {
        let many: Vec<String> = (0..40).map(|n| format!("v{n}")).collect();
        assert_eq!(told(&many.iter().map(String::as_str).collect::<Vec<_>>()), None);
        assert_eq!(told(&[&"x".repeat(60)]), None);
    }
}
