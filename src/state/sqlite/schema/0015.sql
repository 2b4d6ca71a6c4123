-- What became of a run, counted once it has ended; none where it is to be counted anew.
ALTER TABLE run ADD COLUMN created INTEGER;
ALTER TABLE run ADD COLUMN updated INTEGER;
ALTER TABLE run ADD COLUMN banned INTEGER;
ALTER TABLE run ADD COLUMN reinstated INTEGER;
ALTER TABLE run ADD COLUMN adopted INTEGER;
ALTER TABLE run ADD COLUMN deleted INTEGER;
ALTER TABLE run ADD COLUMN failed INTEGER;
ALTER TABLE run ADD COLUMN unknown INTEGER;
ALTER TABLE run ADD COLUMN rejected INTEGER;
ALTER TABLE run ADD COLUMN skipped INTEGER;
UPDATE run SET (created, updated, banned, reinstated, adopted, deleted, failed, unknown, rejected, skipped) = (
    SELECT count(CASE WHEN o.op = 'create'    AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.op = 'update'    AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.op = 'ban'       AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.op = 'reinstate' AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.op = 'adopt'     AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.op = 'delete'    AND o.status = 'ok' THEN 1 END),
           count(CASE WHEN o.status = 'failed'   THEN 1 END),
           count(CASE WHEN o.status = 'unknown'  THEN 1 END),
           count(CASE WHEN o.status = 'rejected' THEN 1 END),
           count(CASE WHEN o.status = 'skipped'  THEN 1 END)
    FROM outcome o WHERE o.run = run.id)
WHERE finished_at IS NOT NULL;
