-- What an export gave so that it can be asked whether it has changed is one text that only the kind of source which made
-- it can read: for an export behind an address a JSON object of its ETag and its Last-Modified.
ALTER TABLE source_version ADD COLUMN token TEXT NOT NULL DEFAULT '';
UPDATE source_version SET token = json_object('etag', etag, 'last_modified', last_modified);
ALTER TABLE source_version DROP COLUMN etag;
ALTER TABLE source_version DROP COLUMN last_modified;
