-- What an operator asks of a running daemon: a trigger, an approval. taken_at: the daemon has seen it; run: what it
-- started for it; exit and answer: how that ended, the answer being the run's summary as JSON.
CREATE TABLE request (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    by_whom  TEXT NOT NULL,
    reason   TEXT,
    at       TEXT NOT NULL,
    taken_at TEXT,
    ended_at TEXT,
    exit     INTEGER,
    answer   TEXT
);
CREATE INDEX request_open ON request (taken_at) WHERE taken_at IS NULL;
