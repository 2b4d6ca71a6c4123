-- What each acknowledged operation replaced, from which the inverse of a run is made. One row a person and run, written
-- with the outcome and pruned with it.
CREATE TABLE undo (
    run       TEXT NOT NULL,
    sync      INTEGER NOT NULL,
    key       TEXT NOT NULL,
    op        TEXT NOT NULL,
    remote_id TEXT,
    changes   TEXT NOT NULL,   -- by target field: {"old": …, "new": …}
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX undo_person ON undo (sync, key);
CREATE TRIGGER undo_is_pruned AFTER DELETE ON outcome WHEN old.status IN ('ok', 'unknown')
BEGIN
    DELETE FROM undo WHERE run = old.run AND key = old.key;
END;

-- Where a held plan comes from: sync, undo RUN, reconcile adopt, reconcile repair, reconcile adopt repair.
ALTER TABLE plan ADD COLUMN origin TEXT NOT NULL DEFAULT 'sync';

-- The state of each sync that was last announced to people.
CREATE TABLE announced (
    sync  TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    at    TEXT NOT NULL
) WITHOUT ROWID;
