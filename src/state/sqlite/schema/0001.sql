-- A sync, and what it was bound to when its first account was confirmed.
CREATE TABLE sync (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    source     TEXT NOT NULL,
    target     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    base_url   TEXT NOT NULL,
    source_key TEXT NOT NULL,
    paused_at  TEXT
);

-- One row a person and sync. state: 0 none, 1 active, 2 banned, 3 invited, 4 deleted, 5 left.
-- standing: what the fingerprint remembers. 0 nothing, 1 in step with that record, 2 that record is excluded.
CREATE TABLE person (
    sync         INTEGER NOT NULL REFERENCES sync (id),
    key          TEXT NOT NULL,
    fingerprint  BLOB,
    standing     INTEGER NOT NULL DEFAULT 0,
    state        INTEGER NOT NULL DEFAULT 0,
    remote_id    TEXT,
    absent_since TEXT,
    PRIMARY KEY (sync, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX person_remote ON person (sync, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX person_state ON person (sync, state);

-- What the target acknowledged, and apart from it what was last observed there.
CREATE TABLE body (
    sync         INTEGER NOT NULL,
    key          TEXT NOT NULL,
    attributes   TEXT NOT NULL,
    confirmed_at TEXT NOT NULL,
    observed     TEXT,
    observed_at  TEXT,
    PRIMARY KEY (sync, key)
) WITHOUT ROWID;

CREATE TABLE run (
    id             TEXT PRIMARY KEY,
    sync           TEXT NOT NULL,
    started_at     TEXT NOT NULL,
    finished_at    TEXT,
    status         TEXT,
    plan           TEXT,
    planned        TEXT,
    source_records INTEGER,
    excluded       INTEGER,
    unchanged      INTEGER,
    partial        INTEGER NOT NULL DEFAULT 0,   -- 1: of named keys only (--only)
    reason         TEXT
) WITHOUT ROWID;
CREATE INDEX run_sync ON run (sync, started_at);

-- What may have left and has no answer yet. unknown: 0 intended by a run that is under way, 1 to be resolved.
CREATE TABLE journal (
    id          INTEGER PRIMARY KEY,
    run         TEXT NOT NULL,
    sync        INTEGER NOT NULL,
    key         TEXT NOT NULL,
    intended_at TEXT NOT NULL,
    unknown     INTEGER NOT NULL DEFAULT 0,
    operation   TEXT NOT NULL
);
CREATE INDEX journal_person ON journal (sync, key);

CREATE TABLE outcome (
    id            INTEGER PRIMARY KEY,
    ts            TEXT NOT NULL,
    run           TEXT NOT NULL,
    sync          TEXT NOT NULL,
    source        TEXT NOT NULL,
    target        TEXT NOT NULL,
    key           TEXT,
    op            TEXT,
    status        TEXT NOT NULL,
    remote_id     TEXT,
    fields        TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    http_status   INTEGER,
    duration_ms   INTEGER NOT NULL,
    reason        TEXT,
    error_kind    TEXT,
    error_message TEXT
);
CREATE INDEX outcome_run ON outcome (run);
CREATE INDEX outcome_person ON outcome (sync, key);
CREATE INDEX outcome_ts ON outcome (ts);

CREATE TABLE trusted_read (
    source  TEXT NOT NULL,
    at      TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (source, at)
) WITHOUT ROWID;

-- "Take the next read as it is": one row a source, spent by the read that uses it.
CREATE TABLE accepted (
    source TEXT PRIMARY KEY,
    at     TEXT NOT NULL
) WITHOUT ROWID;

-- Held plans, and what became of them: unfinished (its operations are being stored), held, sent, discarded,
-- superseded.
CREATE TABLE plan (
    id         TEXT PRIMARY KEY,
    sync       TEXT NOT NULL,
    run        TEXT NOT NULL,
    made_at    TEXT NOT NULL,
    held_by    TEXT NOT NULL,
    count      INTEGER NOT NULL,
    allowed    INTEGER NOT NULL,
    counts     TEXT NOT NULL,
    status     TEXT NOT NULL,
    decided_at TEXT,
    decided_by TEXT,
    reason     TEXT
) WITHOUT ROWID;
CREATE INDEX plan_sync ON plan (sync, status);

CREATE TABLE plan_operation (
    plan      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    digest    BLOB NOT NULL,
    operation TEXT NOT NULL,
    PRIMARY KEY (plan, seq)
) WITHOUT ROWID;

CREATE VIEW v_users AS
SELECT s.name AS sync, p.key, p.remote_id,
       CASE p.state WHEN 1 THEN 'active' WHEN 2 THEN 'banned' WHEN 3 THEN 'invited' WHEN 4 THEN 'deleted'
                    ELSE 'left' END AS state,
       b.attributes, b.confirmed_at
FROM person p
JOIN sync s ON s.id = p.sync
LEFT JOIN body b ON b.sync = p.sync AND b.key = p.key
WHERE p.state > 0;

CREATE VIEW v_outcomes AS
SELECT ts, run, sync, source, target, key, op, status, remote_id, fields, attempts, http_status, duration_ms, reason,
       CASE WHEN error_kind IS NULL THEN NULL
            ELSE json_object('kind', error_kind, 'message', error_message) END AS error
FROM outcome;

CREATE VIEW v_runs AS
SELECT r.id AS run, r.sync, r.started_at, r.finished_at, r.status,
       count(CASE WHEN o.op = 'create'    AND o.status = 'ok' THEN 1 END) AS created,
       count(CASE WHEN o.op = 'update'    AND o.status = 'ok' THEN 1 END) AS updated,
       count(CASE WHEN o.op = 'ban'       AND o.status = 'ok' THEN 1 END) AS banned,
       count(CASE WHEN o.op = 'reinstate' AND o.status = 'ok' THEN 1 END) AS reinstated,
       count(CASE WHEN o.op = 'adopt'     AND o.status = 'ok' THEN 1 END) AS adopted,
       count(CASE WHEN o.op = 'delete'    AND o.status = 'ok' THEN 1 END) AS deleted,
       count(CASE WHEN o.status = 'failed'   THEN 1 END) AS failed,
       count(CASE WHEN o.status = 'unknown'  THEN 1 END) AS unknown,
       count(CASE WHEN o.status = 'rejected' THEN 1 END) AS rejected,
       count(CASE WHEN o.status = 'skipped'  THEN 1 END) AS skipped,
       r.unchanged
FROM run r LEFT JOIN outcome o ON o.run = r.id
GROUP BY r.id;
