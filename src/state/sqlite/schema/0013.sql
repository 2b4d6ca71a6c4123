-- What of the platform a sync keeps in step, and a plan is of.
ALTER TABLE sync ADD COLUMN resource TEXT NOT NULL DEFAULT 'users';
ALTER TABLE plan ADD COLUMN resource TEXT NOT NULL DEFAULT 'users';
