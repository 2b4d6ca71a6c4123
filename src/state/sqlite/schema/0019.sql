-- What each reconcile found, in numbers: by command or by schedule, with or without a repair.
CREATE TABLE reconciled (
    id           INTEGER PRIMARY KEY,
    sync         TEXT NOT NULL,
    at           TEXT NOT NULL,
    target_users INTEGER NOT NULL,
    in_step      INTEGER NOT NULL,
    missing      INTEGER NOT NULL,
    drifted      INTEGER NOT NULL,
    banned_there INTEGER NOT NULL,
    active_there INTEGER NOT NULL,
    adoptable    INTEGER NOT NULL,
    orphaned     INTEGER NOT NULL,
    doubled      INTEGER NOT NULL,
    kept         INTEGER NOT NULL,
    unresolved   INTEGER NOT NULL
);
CREATE INDEX reconciled_sync ON reconciled (sync, id);

-- How long a run took, in milliseconds; none of one that is under way, or whose process died.
ALTER TABLE run ADD COLUMN took_ms INTEGER;
UPDATE run SET took_ms = max(0, CAST(round((julianday(finished_at) - julianday(started_at)) * 86400000) AS INTEGER))
WHERE finished_at IS NOT NULL;

-- The operations of a held plan are listed by kind, and found by person. Those that were held before this was kept get both.
UPDATE plan_operation SET kind = json_extract(operation, '$.kind'), key = json_extract(operation, '$.key')
WHERE kind IS NULL AND json_valid(operation);
CREATE INDEX plan_operation_kind ON plan_operation (plan, kind, key);
