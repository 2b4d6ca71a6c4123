//! What the beginning of an export holds: columns by name, with the values that were seen of each.

/// The longest name of a column that is used, in characters.
const LONGEST_NAME: usize = 200;

/// How an export is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Delimited text.
    Text {
        /// What separates the columns, ASCII.
        delimiter: u8,
        /// The name of the encoding, as the configuration takes it.
        encoding: String,
        /// Whether the encoding is a guess that the bytes don't prove.
        encoding_is_a_guess: bool,
    },
    /// One JSON document.
    Json {
        /// JSON pointer to the array of records.
        records: String,
    },
    /// A JSON record a line.
    Ndjson,
}

impl Form {
    /// Its name, as `format` of a source takes it.
    pub fn name(&self) -> &'static str {
        match self {
            Form::Text { .. } => "csv",
            Form::Json { .. } => "json",
            Form::Ndjson => "ndjson",
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, without the white space around it.
    pub name: String,
    /// Its values in the order of rows, trimmed; empty where there is none.
    pub cells: Vec<String>,
    /// Every value is a text: numbers, truths and nulls of JSON are none.
    pub is_text: bool,
    /// Every value that is there is `true` or `false` of JSON.
    pub is_truth: bool,
    /// No configuration can refer to it: it has no name, shares it with another, or holds lists or objects.
    pub unusable: Option<&'static str>,
}

impl Column {
    /// The values that are there.
    pub fn filled(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(String::as_str).filter(|cell| !cell.is_empty())
    }

    /// How many values are there.
    pub fn filled_count(&self) -> usize {
        self.filled().count()
    }

    /// How large a share of the values that are there fulfils this; 0 where there is none.
    pub fn share(&self, fulfils: impl Fn(&str) -> bool) -> f64 {
        let (mut all, mut good) = (0_u32, 0_u32);
        for cell in self.filled() {
            all += 1;
            good += u32::from(fulfils(cell));
        }
        if all == 0 { 0.0 } else { f64::from(good) / f64::from(all) }
    }

    /// How many values are there more than once, each counted as often as it comes again.
    pub fn repeated(&self) -> usize {
        let distinct: std::collections::BTreeSet<&str> = self.filled().collect();
        self.filled_count() - distinct.len()
    }
}

/// The beginning of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// How it is written.
    pub form: Form,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// How many rows were looked at.
    pub rows: usize,
    /// That was all of it.
    pub whole: bool,
}

impl Table {
    /// The place of the column with this name that can be used.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.unusable.is_none() && column.name == name)
    }

    /// The columns that can be used, with their places.
    pub fn usable(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.unusable.is_none())
    }

    /// The names of the columns that can be used.
    pub fn names(&self) -> Vec<&str> {
        self.usable().map(|(_, column)| column.name.as_str()).collect()
    }
}

/// Marks the columns that no configuration can refer to: those without a name, and those that share one.
pub fn mark_unusable(columns: &mut [Column]) {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for column in columns {
        if column.unusable.is_some() {
            continue;
        }
        if column.name.chars().count() > LONGEST_NAME {
            column.unusable = Some("its name is too long");
        } else if column.name.contains('\0') {
            column.unusable = Some("there is a NUL character in its name");
        } else if column.name.is_empty() {
            column.unusable = Some("it has no name");
        } else if names.iter().filter(|name| **name == column.name).count() > 1 {
            column.unusable = Some("another column has the same name");
        }
    }
}
