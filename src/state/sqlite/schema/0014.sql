-- What is asked of a large ledger has an index of its own. Only those rows are in it that are asked for: bans and deletes
-- of a day, and what did not end well.
CREATE INDEX outcome_bans ON outcome (sync, ts) WHERE op IN ('ban', 'delete');
CREATE INDEX outcome_not_ok ON outcome (status) WHERE status <> 'ok';
CREATE INDEX outcome_sync ON outcome (sync);
-- A person is asked for with and without their sync.
DROP INDEX outcome_person;
CREATE INDEX outcome_key ON outcome (key, sync);
-- Whoever forgets or renames somebody can go through all rows: each write would pay for the index.
DROP INDEX undo_person;
-- Whether anybody's grace runs.
CREATE INDEX person_absent ON person (sync, absent_since) WHERE absent_since IS NOT NULL;
