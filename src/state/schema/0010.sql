-- Why the approval of a held plan was refused: it would not be planned the same any more. Cleared when a run plans the
-- same again.
ALTER TABLE plan ADD COLUMN stale TEXT;
