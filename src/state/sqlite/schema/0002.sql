-- The version of an export on which a sync was last clean: with these the export can be asked whether it has changed.
-- One row a sync; whatever changes a person of the sync makes it worthless, and removes it.
CREATE TABLE source_version (
    sync          TEXT PRIMARY KEY,
    source        TEXT NOT NULL,
    configuration BLOB NOT NULL,
    etag          TEXT,
    last_modified TEXT,
    records       INTEGER NOT NULL,
    excluded      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER person_added AFTER INSERT ON person BEGIN
    DELETE FROM source_version WHERE sync = (SELECT name FROM sync WHERE id = NEW.sync);
END;
CREATE TRIGGER person_changed AFTER UPDATE ON person BEGIN
    DELETE FROM source_version WHERE sync = (SELECT name FROM sync WHERE id = NEW.sync);
END;
CREATE TRIGGER person_removed AFTER DELETE ON person BEGIN
    DELETE FROM source_version WHERE sync = (SELECT name FROM sync WHERE id = OLD.sync);
END;
