-- Held plans: whether everything else of the plan was sent, which plan they took the place of, and since when one of the
-- sync has waited. Of their operations: whose they are, and whether that plan had none of this kind for the person.
ALTER TABLE plan ADD COLUMN apart INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN replaced TEXT;
ALTER TABLE plan ADD COLUMN waiting_since TEXT;
ALTER TABLE plan_operation ADD COLUMN kind TEXT;
ALTER TABLE plan_operation ADD COLUMN key TEXT;
ALTER TABLE plan_operation ADD COLUMN added INTEGER NOT NULL DEFAULT 0;

-- What waits already has waited since it was made, and its operations are known by what they say.
UPDATE plan SET waiting_since = made_at;
UPDATE plan_operation SET kind = json_extract(operation, '$.kind'), key = json_extract(operation, '$.key')
WHERE plan IN (SELECT id FROM plan WHERE status = 'held');
