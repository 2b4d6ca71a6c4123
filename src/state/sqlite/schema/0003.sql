-- Requests counted against a target's daily quota, by UTC day (YYYY-MM-DD); what is taken in advance counts as used.
CREATE TABLE quota (
    target TEXT NOT NULL,
    day    TEXT NOT NULL,
    used   INTEGER NOT NULL,
    PRIMARY KEY (target, day)
) WITHOUT ROWID;

-- How often somebody began or ended to send with this database, compared with a file beside it: a database that is
-- behind was restored. backup_at: this file is a copy that `state backup` made then.
CREATE TABLE epoch (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    n         INTEGER NOT NULL,
    backup_at TEXT
);
INSERT INTO epoch (one, n) VALUES (1, 0);

-- 1: the database was restored, and this sync's accounts have not been compared with the target yet.
ALTER TABLE sync ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
