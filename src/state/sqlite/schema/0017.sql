-- What began a run (command, schedule, approve, undo, reconcile), who asked for it or approved it, what they said, and
-- the run that it takes back. None of a run from before, but for approvals, which the plan knows.
ALTER TABLE run ADD COLUMN cause TEXT;
ALTER TABLE run ADD COLUMN by_whom TEXT;
ALTER TABLE run ADD COLUMN said TEXT;
ALTER TABLE run ADD COLUMN undoes TEXT;
-- What it came to as it was told when it ended (JSON; none of a run from before: its outcomes are counted), and why it
-- failed: the exit code, and the sentence.
ALTER TABLE run ADD COLUMN figures TEXT;
ALTER TABLE run ADD COLUMN error_code INTEGER;
ALTER TABLE run ADD COLUMN error_message TEXT;
UPDATE run SET (cause, by_whom, said, undoes) = (
    SELECT CASE WHEN p.origin LIKE 'undo %' THEN 'undo' ELSE 'approve' END, p.decided_by, p.reason,
           CASE WHEN p.origin LIKE 'undo %' THEN substr(p.origin, 6) END
    FROM plan p WHERE p.status = 'sent' AND p.id = substr(run.reason, 6, instr(substr(run.reason, 6), ' ') - 1))
WHERE reason LIKE 'plan % approved by %';
-- Runs are listed newest first, and runs that were taken back are looked for.
CREATE INDEX run_started ON run (started_at);
CREATE INDEX run_undoes ON run (undoes) WHERE undoes IS NOT NULL;

-- HR gave somebody a new key: rows of the ledger that were written under the old one, up to this number, and not before
-- an earlier person of that key lost it, are of the person who has the new one now. The rows themselves stay as written.
CREATE TABLE former_key (
    id   INTEGER PRIMARY KEY,
    sync TEXT NOT NULL,
    old  TEXT NOT NULL,
    new  TEXT NOT NULL,
    upto INTEGER NOT NULL,
    at   TEXT NOT NULL
);
CREATE INDEX former_key_old ON former_key (old, sync, upto);
CREATE INDEX former_key_new ON former_key (new, sync);
