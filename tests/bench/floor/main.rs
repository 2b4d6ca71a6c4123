//! The floor of `tests/bench/run`: the least that any tool must do that compares an export with what it knows. It reads
//! the file, hashes the key and the mapped columns of each row, and compares with a table of hashes; it maps nothing,
//! keeps nothing and judges nothing but the order, ragged rows and doubled keys.
//!
//! Usage:
//! - `bench-floor prepare FILE DATABASE` fills the table;
//! - `bench-floor join FILE DATABASE UNCHANGED CHANGED NEW ABSENT` merges the file, which is in key order, with the table;
//! - `bench-floor hash FILE DATABASE UNCHANGED CHANGED NEW ABSENT` takes a file in any order: a second thread puts the table
//!   into a hash map while the first reads.
//!
//! The counts are those that are expected: others are an error.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;

use csv::{ByteRecord, Reader, ReaderBuilder};
use rusqlite::{Connection, OpenFlags, params};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KEY: &str = "id";
const MAPPED: [&str; 10] =
    ["email", "first_name", "last_name", "title", "company", "phone", "city", "country", "status", "department"];

/// The snapshot, read by one query.
const SNAPSHOT: &str = "SELECT key, print FROM snapshot ORDER BY key";

/// The rows that are read before the first thread looks again whether the table is there.
const BETWEEN_LOOKS: usize = 1024;

type Print = [u8; 16];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage =
        "usage: bench-floor prepare FILE DATABASE | bench-floor join|hash FILE DATABASE UNCHANGED CHANGED NEW ABSENT";
    let [how, file, database, expected @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let (people, database) = (People::open(file)?, Path::new(database));
    let counts = match how.as_str() {
        "prepare" => return prepare(people, database),
        "join" => join(people, database)?,
        "hash" => hash(people, database)?,
        _ => return Err(usage.into()),
    };
    let counted = [counts.unchanged, counts.changed, counts.new, counts.absent];
    let expected = expected.iter().map(|count| count.parse()).collect::<Result<Vec<u64>, _>>()?;
    if counted != *expected {
        return Err(format!("unchanged, changed, new, absent are {counted:?} instead of {expected:?}").into());
    }
    Ok(writeln!(std::io::stdout(), "unchanged, changed, new, absent: {counted:?}")?)
}

#[derive(Default)]
struct Counts {
    unchanged: u64,
    changed: u64,
    new: u64,
    absent: u64,
}

impl Counts {
    /// A row of somebody who is known.
    fn known(&mut self, same: bool) {
        self.unchanged += u64::from(same);
        self.changed += u64::from(!same);
    }
}

/// The rows of a file, one at a time.
struct People {
    reader: Reader<File>,
    key: usize,
    mapped: Vec<usize>,
    row: ByteRecord,
    before: ByteRecord,
    hashed: Vec<u8>,
}

impl People {
    fn open(file: &str) -> Outcome<People> {
        let mut reader = ReaderBuilder::new().buffer_capacity(1 << 16).from_path(file)?;
        let header = reader.byte_headers()?;
        let column = |name: &str| {
            header.iter().position(|cell| cell == name.as_bytes()).ok_or_else(|| format!("there is no column {name}"))
        };
        let (key, mapped) = (column(KEY)?, MAPPED.into_iter().map(column).collect::<Result<_, _>>()?);
        Ok(People { reader, key, mapped, row: ByteRecord::new(), before: ByteRecord::new(), hashed: Vec::new() })
    }

    /// Goes to the next row; false at the end. A ragged row is an error.
    fn advance(&mut self) -> Outcome<bool> {
        std::mem::swap(&mut self.row, &mut self.before);
        Ok(self.reader.read_byte_record(&mut self.row)?)
    }

    /// As [`People::advance`]; a key that does not follow the one before it is an error.
    fn advance_in_order(&mut self) -> Outcome<bool> {
        let first = self.row.is_empty();
        let more = self.advance()?;
        if more && !first && self.row[self.key] <= self.before[self.key] {
            return Err(format!("the file is not in key order at line {}", self.reader.position().line()).into());
        }
        Ok(more)
    }

    fn key(&self) -> &[u8] {
        &self.row[self.key]
    }

    /// The hash of the row. The length before each cell keeps ("ab", "c") and ("a", "bc") apart.
    fn print(&mut self) -> Print {
        self.hashed.clear();
        for column in std::iter::once(&self.key).chain(&self.mapped) {
            let cell = &self.row[*column];
            self.hashed.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            self.hashed.extend_from_slice(cell);
        }
        let mut print = Print::default();
        print.copy_from_slice(&blake3::hash(&self.hashed).as_bytes()[..size_of::<Print>()]);
        print
    }
}

/// Fills the table from a file in any order.
fn prepare(mut people: People, database: &Path) -> Outcome<()> {
    let mut database = Connection::open(database)?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE snapshot (key BLOB PRIMARY KEY, print BLOB NOT NULL) WITHOUT ROWID;",
    )?;
    let transaction = database.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO snapshot VALUES (?1, ?2)")?;
        while people.advance()? {
            let print = people.print();
            insert.execute(params![people.key(), print])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn open(database: &Path) -> Outcome<Connection> {
    Ok(Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

/// The file and the table side by side, both in key order.
fn join(mut people: People, database: &Path) -> Outcome<Counts> {
    let database = open(database)?;
    let mut snapshot = database.prepare(SNAPSHOT)?;
    let mut known = snapshot.query([])?;
    let mut counts = Counts::default();
    let mut more = people.advance_in_order()?;
    while let Some(person) = known.next()? {
        let (key, print) = (person.get_ref(0)?.as_blob()?, person.get_ref(1)?.as_blob()?);
        loop {
            match if more { people.key().cmp(key) } else { Ordering::Greater } {
                Ordering::Less => counts.new += 1,
                Ordering::Equal => counts.known(people.print() == print),
                Ordering::Greater => break,
            }
            more = people.advance_in_order()?;
        }
        counts.absent += 1;
    }
    while more {
        counts.new += 1;
        more = people.advance_in_order()?;
    }
    // Each of the table was passed once.
    counts.absent -= counts.unchanged + counts.changed;
    Ok(counts)
}

/// Somebody of the table, and whether the file has them.
struct Known {
    print: Print,
    seen: bool,
}

type Table = HashMap<Box<[u8]>, Known>;

/// The file against a hash map of the table.
fn hash(mut people: People, database: &Path) -> Outcome<Counts> {
    thread::scope(|scope| {
        let mut filling = Some(scope.spawn(|| table(database)));
        let mut comparison = None;
        // The rows that were read before the map was there: the keys, and for each where it ends and its hash.
        let (mut keys, mut rows): (Vec<u8>, Vec<(usize, Print)>) = (Vec::new(), Vec::new());
        let mut more = true;
        while more {
            for _ in 0..BETWEEN_LOOKS {
                more = people.advance()?;
                if !more {
                    break;
                }
                let print = people.print();
                match &mut comparison {
                    Some(comparison) => Comparison::see(comparison, people.key(), print)?,
                    None => {
                        keys.extend_from_slice(people.key());
                        rows.push((keys.len(), print));
                    }
                }
            }
            if let Some(filled) = filling.take_if(|filling| !more || filling.is_finished()) {
                let table = filled.join().map_err(|_| "the thread that reads the table broke off")??;
                let mut begun = Comparison { table, counts: Counts::default() };
                let mut start = 0;
                for (end, print) in std::mem::take(&mut rows) {
                    begun.see(&keys[start..end], print)?;
                    start = end;
                }
                keys = Vec::new();
                comparison = Some(begun);
            }
        }
        Ok(comparison.map(Comparison::end).unwrap_or_default())
    })
}

/// The whole table as a hash map.
fn table(database: &Path) -> Outcome<Table> {
    let database = open(database)?;
    let people: u32 = database.query_row("SELECT count(*) FROM snapshot", [], |row| row.get(0))?;
    let mut table = Table::with_capacity(people as usize);
    let mut snapshot = database.prepare(SNAPSHOT)?;
    let mut known = snapshot.query([])?;
    while let Some(person) = known.next()? {
        let print = person.get_ref(1)?.as_blob()?.try_into()?;
        table.insert(person.get_ref(0)?.as_blob()?.into(), Known { print, seen: false });
    }
    Ok(table)
}

struct Comparison {
    table: Table,
    counts: Counts,
}

impl Comparison {
    /// A row of the file.
    fn see(&mut self, key: &[u8], print: Print) -> Outcome<()> {
        match self.table.get_mut(key) {
            None => self.counts.new += 1,
            Some(known) if known.seen => return Err("a key is there twice".into()),
            Some(known) => {
                known.seen = true;
                self.counts.known(known.print == print);
            }
        }
        Ok(())
    }

    /// The counts, when all rows were seen.
    fn end(self) -> Counts {
        let absent = self.table.len() as u64 - self.counts.unchanged - self.counts.changed;
        // The end of the process frees it faster.
        std::mem::forget(self.table);
        Counts { absent, ..self.counts }
    }
}
