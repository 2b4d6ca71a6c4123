-- The fields that an outcome names are one of a few lists: its number is kept in the place of a text that would be there a
-- million times. An outcome from before has its own text, and no number.
CREATE TABLE field_list (
    id     INTEGER PRIMARY KEY,
    fields TEXT NOT NULL UNIQUE
);
ALTER TABLE outcome ADD COLUMN field_list INTEGER;

DROP VIEW v_outcomes;
CREATE VIEW v_outcomes AS
SELECT ts, run, sync, source, target, key, op, status, remote_id,
       coalesce((SELECT l.fields FROM field_list l WHERE l.id = outcome.field_list), fields) AS fields,
       attempts, http_status, duration_ms, reason,
       CASE WHEN error_kind IS NULL THEN NULL
            ELSE json_object('kind', error_kind, 'message', error_message) END AS error
FROM outcome;
