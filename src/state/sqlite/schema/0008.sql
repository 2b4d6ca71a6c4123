-- The order of a sync's runs, which no clock tells. behind: the clock showed less than at the run before. ahead: what it had
-- shown when it was set back, as long as it has not shown that again; back_at: the least that it showed since.
ALTER TABLE run ADD COLUMN seq INTEGER;
ALTER TABLE run ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN ahead TEXT;
ALTER TABLE run ADD COLUMN back_at TEXT;
UPDATE run SET seq = numbered.n
FROM (SELECT id, row_number() OVER (PARTITION BY sync ORDER BY started_at, id) AS n FROM run) AS numbered
WHERE numbered.id = run.id;
CREATE INDEX run_order ON run (sync, seq);
