-- An acceptance is of so many people as the source had when it was asked for, and no longer of whatever comes next.
DELETE FROM accepted;
ALTER TABLE accepted ADD COLUMN people INTEGER NOT NULL DEFAULT 0;

-- trusted_read.records counts, from here on, everybody who was there, whether or not their rows could be used.
