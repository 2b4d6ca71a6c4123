-- Of a held plan: the mapping and the limits by which it was made and judged (JSON; none of one that was held before this
-- was kept), and whether it is of named keys only (--only).
ALTER TABLE plan ADD COLUMN basis TEXT;
ALTER TABLE plan ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;
