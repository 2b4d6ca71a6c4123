#!/usr/bin/env python3
"""Makes a large state: what a roster of a million leaves behind after half a year, for `status`, `why`, `outcomes`, the page
and its API, and for whoever asks SQLite how a statement is carried out.

    cargo build --release && tests/bench/large_state.py DIRECTORY [--people N] [--outcomes N] [--load-age DAYS] …

DIRECTORY gets config/rosterd.toml (10 fields, 3 of them expressions), config/hr.csv and state/rosterd.db. The program
itself makes the tables and binds the syncs; only rows are written here, in the shapes in which it writes them. Equal
arguments make equal rows, but for `--now`. Fingerprints are made up: the next plan looks at every record anew.

One sync has all people, a second one a twentieth as many on the same platform. The first run creates everybody; of the
outcomes of the later ones `--not-ok` in a hundred are none that is ok, and most of those come back run after run.

Needs Python 3 and nothing else.
"""

import argparse
import datetime
import json
import pathlib
import random
import sqlite3
import subprocess
import time

FIELDS = ["city", "client_id", "company", "country", "designation", "email", "first_name", "last_name", "phone", "title"]
CITIES = ["Zürich", "Bern", "Basel", "Genève", "Lausanne", "Chur", "Luzern", "St. Gallen"]
HEADER = "employee_id,first_name,last_name,email,phone,title,city,department,country,company,status,cost_centre,floor,badge,note\n"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

CONFIGURATION = """\
[state]
path = "../state/rosterd.db"
[server]
listen = "127.0.0.1:{port}"
[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
[targets.juno]
kind = "juno"
base_url = "http://127.0.0.1:8461/juno/api"
auth = {{ kind = "bearer", token = {{ file = "token" }} }}
rate = "100000/s"
[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ["email"]
[syncs.staff.map]
client_id = "employee_id"
email = {{ cel = "email.trim().lowerAscii()" }}
first_name = "first_name"
last_name = "last_name"
phone = "phone"
title = {{ cel = "title.trim()" }}
city = "city"
designation = "department"
country = "country"
company = {{ cel = "company.upperAscii()" }}
[syncs.partners]
source = "hr"
target = "juno"
include = 'status == "partner"'
match = ["email"]
[syncs.partners.map]
client_id = "employee_id"
email = "email"
last_name = "last_name"
"""


def written(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def ulid(at, chance):
    number = int(at.timestamp() * 1000) << 80 | chance.getrandbits(80)
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def key_of(n):
    return f"E{n:07d}"


def attributes(n):
    return {
        "city": CITIES[n % len(CITIES)],
        "client_id": key_of(n),
        "company": "ACME AG",
        "country": "CH",
        "designation": f"Department {n % 120}",
        "email": f"person{n}@acme.example",
        "first_name": f"First{n % 997}",
        "last_name": f"Last{n}",
        "phone": f"+41 44 555 {n % 100000:05d}",
        "title": f"Engineer {n % 40}",
    }


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def row_of_source(n):
    a = attributes(n)
    cells = [key_of(n), a["first_name"], a["last_name"], f"Person{n}@acme.example", a["phone"], a["title"], a["city"],
             a["designation"], a["country"], "Acme AG", "active", f"CC{n % 300}", str(n % 9), str(n * 7), "-"]
    return ",".join(cells) + "\n"


def state_of(n):
    """Of a thousand: 930 active, 30 banned, 10 deleted, 15 left, 15 never let in."""
    place = n * 7919 % 1000
    for limit, state in ((930, 1), (960, 2), (970, 4), (985, 5)):
        if place < limit:
            return state
    return 0


def made_by_the_program(rosterd, directory, port):
    config = directory / "config"
    config.mkdir(parents=True)
    (config / "rosterd.toml").write_text(CONFIGURATION.format(port=port))
    (config / "token").write_text("sandbox\n")
    (config / "token").chmod(0o600)
    for sync in ("staff", "partners"):
        for command in ("pause", "resume"):
            subprocess.run([rosterd, "--config", config / "rosterd.toml", command, sync], check=True,
                           stdout=subprocess.DEVNULL)


def people(db, sync, numbers, first_id, since):
    chance = random.Random(sync)
    rows, bodies = [], []
    for n in numbers:
        state = state_of(n)
        remote = None if state in (0, 4) else str(first_id + n)
        standing = 2 if state in (0, 5) else 0 if state == 4 else 1
        rows.append((sync, key_of(n), chance.randbytes(16) if standing else None, standing, state, remote))
        if state:
            bodies.append((sync, key_of(n), text(attributes(n)), written(since + datetime.timedelta(milliseconds=n // 4))))
        if len(rows) == 50_000 or n == numbers[-1]:
            db.executemany("INSERT INTO person (sync, key, fingerprint, standing, state, remote_id)"
                           " VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.executemany("INSERT INTO body (sync, key, attributes, confirmed_at) VALUES (?, ?, ?, ?)", bodies)
            rows, bodies = [], []


def refused(chance, n):
    """An outcome that is not ok: operation, status, fields, attempts, HTTP status, reason, kind of error, message."""
    kind = chance.randrange(100)
    if kind < 50:
        line = n + 2
        return (None, "rejected", "[]", 0, None,
                f"line {line} (record {line - 1}): it has 3 fields, and the header has 15; rows {line - 1} and {line} have"
                f" this key (lines {line} and {line + 1}), and none is used", None, None)
    if kind < 80:
        return ("update", "failed", text(["email"]), 1, 422, None, "invalid", "HTTP 422, code invalid_email, field email")
    if kind < 95:
        return ("update", "skipped", "[]", 0, None, "the account is protected", None, None)
    if kind < 98:
        return ("ban", "held", "[]", 0, None, "the plan is held by limit ban", None, None)
    return ("update", "unknown", text(["title"]), 2, 500, None, "protocol", "HTTP 500, code scripted")


def accepted(chance):
    kind = chance.randrange(1000)
    if kind < 960:
        return "update", chance.choice([["title"], ["designation", "title"], ["city"], ["phone"], ["last_name"]])
    return ("ban" if kind < 985 else "reinstate"), []


INSERT_OUTCOME = ("INSERT INTO outcome (ts, run, sync, source, target, key, op, status, remote_id, fields, field_list,"
                  " attempts, http_status, duration_ms, reason, error_kind, error_message)"
                  " VALUES (?, ?, ?, 'hr', 'juno', ?, ?, ?, ?, '', (SELECT id FROM field_list WHERE fields = ?), ?, ?, ?, ?,"
                  " ?, ?)")
FIELD_LISTS = [[], ["title"], ["designation", "title"], ["city"], ["phone"], ["last_name"], ["email"], FIELDS]
INSERT_UNDO = "INSERT OR IGNORE INTO undo (run, sync, key, op, remote_id, changes) VALUES (?, 1, ?, ?, ?, ?)"


def outcomes_of(run, at, how_many, count, not_ok, chance):
    rows, undo = [], []
    for i in range(how_many):
        ts = written(at + datetime.timedelta(milliseconds=2 + i // 4))
        bad = chance.random() * 100 < not_ok
        n = chance.randrange(count // 500 + 1) * 499 % count if bad and chance.random() < 0.8 else chance.randrange(count)
        key, remote = key_of(n), str(1000 + n)
        if bad:
            op, status, fields, attempts, http, reason, kind, message = refused(random.Random(n), n)
            remote = remote if op else None
            rows.append((ts, run, "staff", key, op, status, remote, fields, attempts, http, 12, reason, kind, message))
        else:
            op, fields = accepted(chance)
            rows.append((ts, run, "staff", key, op, "ok", remote, text(fields), 1, 200, 9, None, None, None))
            changes = {field: {"old": "Before", "new": attributes(n)[field]} for field in fields}
            undo.append((run, key, op, remote, text(changes)))
    return rows, undo


def history(db, args, now):
    chance = random.Random(14)
    first = now - datetime.timedelta(days=args.load_age)
    made = first + datetime.timedelta(milliseconds=500)
    everything = text(FIELDS)
    load, seq = ulid(first, chance), 1
    count = args.people

    def finished(run, sync, began, ended, status, planned, unchanged, seq, reason=None):
        db.execute("INSERT INTO run (id, sync, started_at, finished_at, status, planned, source_records, excluded,"
                   " unchanged, reason, seq) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
                   (run, sync, written(began), written(ended), status, text(planned), count, unchanged, reason, seq))

    finished(load, "staff", first, first + datetime.timedelta(seconds=count // 4000 + 1), "ok", {"create": count}, 0, seq)
    creates = min(count, args.outcomes)
    for start in range(0, creates, 50_000):
        numbers = range(start, min(start + 50_000, creates))
        db.executemany(INSERT_OUTCOME, ((written(made + datetime.timedelta(milliseconds=n // 4)), load, "staff", key_of(n),
                                         "create", "ok", str(1000 + n), everything, 1, 201, 8, None, None, None)
                                        for n in numbers))
        db.executemany(INSERT_UNDO, ((load, key_of(n), "create", str(1000 + n), "{}") for n in numbers))
    later = args.runs - 1
    left = args.outcomes - creates
    for number in range(later):
        began = first + (now - first) * (number + 1) / (later + 1)
        run = ulid(began, chance)
        how_many = left // later + (number < left % later)
        rows, undo = outcomes_of(run, began, how_many, count, args.not_ok * args.outcomes / max(left, 1), chance)
        db.executemany(INSERT_OUTCOME, rows)
        db.executemany(INSERT_UNDO, undo)
        seq += 1
        bad = sum(row[5] != "ok" for row in rows)
        finished(run, "staff", began, began + datetime.timedelta(seconds=3), "partial" if bad else "ok",
                 {"update": how_many}, count - how_many, seq)
        if number % 5 == 0:
            finished(ulid(began, chance), "partners", began, began + datetime.timedelta(seconds=1), "ok", {}, 0,
                     number // 5 + 1)
        db.execute("DELETE FROM trusted_read WHERE at < ?", (written(began - datetime.timedelta(days=7)),))
        db.execute("INSERT OR IGNORE INTO trusted_read VALUES ('hr', ?, ?)", (written(began), count))
    last = db.execute("SELECT id FROM run WHERE sync = 'staff' ORDER BY seq DESC LIMIT 1").fetchone()[0]
    unresolved(db, last, now, min(20, count))
    held(db, last, now, min(5_000, count))


def operation(n, kind, fields):
    return {"kind": kind, "key": key_of(n), "remote_id": str(1000 + n), "fields": fields, "baseline": attributes(n),
            "reactivates": False, "fingerprint": [n * 31 % 256] * 16}


def unresolved(db, run, now, how_many):
    for n in range(how_many):
        update = operation(n, "update", {"title": {"old": "Before", "new": attributes(n)["title"]}})
        db.execute("INSERT INTO journal (run, sync, key, intended_at, unknown, operation) VALUES (?, 1, ?, ?, 1, ?)",
                   (run, key_of(n), written(now), text(update)))


def held(db, run, now, how_many):
    db.execute("INSERT INTO plan (id, sync, run, made_at, held_by, count, allowed, counts, status)"
               " VALUES ('3f9a0c12be77', 'staff', ?, ?, 'ban', ?, 10, ?, 'held')",
               (run, written(now), how_many, text({"ban": how_many})))
    db.executemany("INSERT INTO plan_operation (plan, seq, digest, operation) VALUES ('3f9a0c12be77', ?, zeroblob(32), ?)",
                   ((n, text(operation(n, "ban", {}))) for n in range(how_many)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--outcomes", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--load-age", type=float, default=180, metavar="DAYS", help="when everybody was created")
    parser.add_argument("--not-ok", type=float, default=20, metavar="PERCENT")
    parser.add_argument("--now", default=None, help="the end of the last run's time, as 2026-11-22T03:00:00")
    parser.add_argument("--port", type=int, default=8462, help="where its daemon would listen")
    parser.add_argument("--rosterd", default="target/release/rosterd")
    args = parser.parse_args()
    utc = datetime.timezone.utc
    now = datetime.datetime.fromisoformat(args.now).replace(tzinfo=utc) if args.now else datetime.datetime.now(utc)
    began = time.monotonic()
    made_by_the_program(args.rosterd, args.directory, args.port)
    with open(args.directory / "config/hr.csv", "w", encoding="utf-8") as source:
        source.write(HEADER)
        source.writelines(map(row_of_source, range(args.people)))
    db = sqlite3.connect(args.directory / "state/rosterd.db", isolation_level=None)
    db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; BEGIN")
    db.executemany("INSERT OR IGNORE INTO field_list (fields) VALUES (?)", ((text(fields),) for fields in FIELD_LISTS))
    people(db, 1, range(args.people), 1000, now - datetime.timedelta(days=args.load_age))
    people(db, 2, range(max(args.people // 20, 1)), 50_000_000, now - datetime.timedelta(days=args.load_age))
    history(db, args, now - datetime.timedelta(minutes=1))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    counts = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("person", "outcome", "undo")}
    db.close()
    size = (args.directory / "state/rosterd.db").stat().st_size
    print(f"{counts} in {size / 1e6:.0f} MB, made in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
