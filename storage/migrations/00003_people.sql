-- +goose Up
-- Imports in steps. A row says that a staged file is to be taken in to its end,
-- whatever happens: it is written in one commit when the file is complete on
-- disk, and goes with the last step.
CREATE TABLE imports (
    token      TEXT    PRIMARY KEY, -- the staged file's name
    list_id    INTEGER NOT NULL,    -- 0: none
    merge      TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    applied    INTEGER NOT NULL DEFAULT 0, -- bytes of it that are in the book
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The members again, with the same columns and references that are looked at
-- before the commit: a statement that writes many rows then keeps no journal of
-- its own.
CREATE TABLE list_members_new (
    list_id    INTEGER NOT NULL REFERENCES lists (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    contact_id INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (list_id, contact_id)
) STRICT, WITHOUT ROWID;
INSERT INTO list_members_new SELECT list_id, contact_id FROM list_members;
DROP TABLE list_members;
ALTER TABLE list_members_new RENAME TO list_members;
CREATE INDEX list_members_contact ON list_members (contact_id);

-- What contacts are found by, cut into pieces of two or three letters (see
-- grams.go). It is built behind the book's back: rows up to the setting
-- ledger.search.to are in it, but for those that wait because they were changed.
CREATE VIRTUAL TABLE contact_search USING fts5 (grams, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE TABLE search_waiting (id INTEGER PRIMARY KEY) STRICT;

-- Suppressions of people who were erased: an HMAC of the key, so that they stay
-- without their address, and come back when the address does.
CREATE TABLE erased_suppressions (
    hash   TEXT PRIMARY KEY,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Lists that are chosen by a rule: the people are on list_members as on any
-- list, and are chosen anew when the list is refreshed.
CREATE TABLE list_rules (
    list_id INTEGER PRIMARY KEY REFERENCES lists (id) ON DELETE CASCADE,
    rule    TEXT    NOT NULL,
    at      INTEGER NOT NULL -- when it was last refreshed
) STRICT;
