"""What tests/bench/floor does, done by plain Python, DuckDB and pandas: for tests/bench/run.

    others.py python|duckdb|pandas prepare FILE SNAPSHOT
    others.py python|duckdb|pandas join|hash FILE SNAPSHOT UNCHANGED CHANGED NEW ABSENT

`join` is for a file in key order, `hash` for any; DuckDB and pandas make no difference. Other counts than the expected
ones are an error.
"""

import csv
import hashlib
import sqlite3
import sys

KEY = "id"
MAPPED = ["email", "first_name", "last_name", "title", "company", "phone", "city", "country", "status", "department"]


def rows(file):
    """The key and the hash of each row; a ragged row is an error."""
    with open(file, encoding="utf-8", newline="") as text:
        reader = csv.reader(text, strict=True)
        header = next(reader)
        key, mapped = header.index(KEY), [header.index(name) for name in MAPPED]
        for row in reader:
            if len(row) != len(header):
                sys.exit(f"line {reader.line_num} has {len(row)} fields")
            cells = "\x1f".join([row[key], *(row[at] for at in mapped)])
            yield row[key], hashlib.blake2b(cells.encode(), digest_size=16).digest()


def python_prepare(file, snapshot):
    with sqlite3.connect(snapshot) as database:
        database.execute("CREATE TABLE snapshot (key TEXT PRIMARY KEY, print BLOB NOT NULL) WITHOUT ROWID")
        database.executemany("INSERT INTO snapshot VALUES (?, ?)", rows(file))


def python_join(file, snapshot):
    known = iter(sqlite3.connect(snapshot).execute("SELECT key, print FROM snapshot ORDER BY key"))
    unchanged = changed = new = absent = 0
    last, person = "", next(known, None)
    for key, fingerprint in rows(file):
        if key <= last:
            sys.exit("the file is not in key order")
        last = key
        while person and person[0] < key:
            absent, person = absent + 1, next(known, None)
        if not person or person[0] > key:
            new += 1
            continue
        unchanged, changed = (unchanged + 1, changed) if person[1] == fingerprint else (unchanged, changed + 1)
        person = next(known, None)
    return unchanged, changed, new, absent + (person is not None) + sum(1 for _ in known)


def python_hash(file, snapshot):
    known = dict(sqlite3.connect(snapshot).execute("SELECT key, print FROM snapshot"))
    unchanged = changed = new = 0
    for key, fingerprint in rows(file):
        person = known.pop(key, None)
        if person is None:
            new += 1
        elif person == fingerprint:
            unchanged += 1
        else:
            changed += 1
    return unchanged, changed, new, len(known)


def duckdb_hashed(file):
    quoted = file.replace("'", "''")
    read = f"read_csv('{quoted}', header = true, delim = ',', quote = '\"', all_varchar = true)"
    return f"SELECT {KEY} AS key, hash({', '.join([KEY, *MAPPED])}) AS print FROM {read}"


def duckdb_prepare(file, snapshot):
    import duckdb

    duckdb.connect(snapshot).execute(f"CREATE TABLE snapshot AS {duckdb_hashed(file)} ORDER BY key")


def duckdb_join(file, snapshot):
    import duckdb

    return duckdb.connect(snapshot, read_only=True).execute(f"""
        SELECT count(*) FILTER (now.print = known.print), count(*) FILTER (now.print <> known.print),
               count(*) FILTER (known.key IS NULL), count(*) FILTER (now.key IS NULL)
        FROM ({duckdb_hashed(file)}) AS now FULL OUTER JOIN snapshot AS known ON now.key = known.key
    """).fetchone()


def pandas_hashed(file):
    import pandas

    # Rows that are too short are none of its business.
    people = pandas.read_csv(file, dtype=str, keep_default_na=False, usecols=[KEY, *MAPPED])
    return pandas.DataFrame({"key": people[KEY], "print": pandas.util.hash_pandas_object(people, index=False)})


def pandas_prepare(file, snapshot):
    pandas_hashed(file).to_pickle(snapshot)


def pandas_join(file, snapshot):
    import pandas

    then = pandas.read_pickle(snapshot)
    both = pandas_hashed(file).merge(then, on="key", how="outer", suffixes=("_now", "_then"), indicator=True)
    kinds = both["_merge"].value_counts()
    matched = both[both["_merge"] == "both"]
    unchanged = int((matched["print_now"] == matched["print_then"]).sum())
    return unchanged, len(matched) - unchanged, int(kinds["left_only"]), int(kinds["right_only"])


PROGRAMS = {
    "python": (python_prepare, python_join, python_hash),
    "duckdb": (duckdb_prepare, duckdb_join, duckdb_join),
    "pandas": (pandas_prepare, pandas_join, pandas_join),
}


def main():
    program, how, file, snapshot, *expected = sys.argv[1:]
    prepare, join, any_order = PROGRAMS[program]
    if how == "prepare":
        return prepare(file, snapshot)
    counted = tuple({"join": join, "hash": any_order}[how](file, snapshot))
    if counted != tuple(map(int, expected)):
        sys.exit(f"unchanged, changed, new, absent are {counted} instead of {tuple(expected)}")


if __name__ == "__main__":
    main()
