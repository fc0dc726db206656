-- +goose Up
-- The order by name, in a table of its own. As an index of contacts its pages,
-- hit all over, were nine tenths of what a large import wrote; so they are
-- written when everybody is in the book, from left to right.
CREATE TABLE contact_names (
    name TEXT    NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;
INSERT INTO contact_names (name, id) SELECT name, id FROM contacts ORDER BY name, id;
DROP INDEX contacts_name;

-- Who was renamed or removed while an import was going on, under the old name:
-- it may come to write that one after all.
CREATE TABLE names_left (
    name TEXT    NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER contact_renamed AFTER UPDATE OF name ON contacts WHEN old.name <> new.name
BEGIN
    DELETE FROM contact_names WHERE name = old.name AND id = old.id;
    INSERT INTO contact_names (name, id) VALUES (new.name, new.id);
    INSERT OR IGNORE INTO names_left (name, id) SELECT old.name, old.id WHERE EXISTS (SELECT 1 FROM imports);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER contact_removed AFTER DELETE ON contacts
BEGIN
    DELETE FROM contact_names WHERE name = old.name AND id = old.id;
    INSERT OR IGNORE INTO names_left (name, id) SELECT old.name, old.id WHERE EXISTS (SELECT 1 FROM imports);
END;
-- +goose StatementEnd

-- The names of fields that somebody has or had: nobody reads a million people
-- for them.
CREATE TABLE contact_fields (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO contact_fields (name) SELECT DISTINCT j.key FROM contacts c, json_each(c.fields) j;

-- Who is not to be mailed as one of a list; other mail may go to them.
CREATE TABLE list_suppressions (
    list_id INTEGER NOT NULL REFERENCES lists (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    key     TEXT    NOT NULL,
    address TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (list_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX list_suppressions_key ON list_suppressions (key);

-- The lists whose people a mailing goes to.
CREATE TABLE mailing_lists (
    mailing_id INTEGER NOT NULL REFERENCES mailings (id) ON DELETE CASCADE,
    list_id    INTEGER NOT NULL,
    PRIMARY KEY (mailing_id, list_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mailing_lists_list ON mailing_lists (list_id);
