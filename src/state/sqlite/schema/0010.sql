-- Why the approval of a held plan was refused: it would not be planned the same any more. Cleared when a run plans the
-- same again.
ALTER TABLE plan ADD COLUMN stale TEXT;

-- A number that every database has of its own, and a copy of it too: by it the mark is found that is kept outside of the
-- state's directory (the highest `n` that was seen under this number).
ALTER TABLE epoch ADD COLUMN id TEXT;
UPDATE epoch SET id = lower(hex(randomblob(16)));
