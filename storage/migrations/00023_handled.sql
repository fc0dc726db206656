-- +goose Up
-- The folder that reports are moved to once the ledger has them; empty: the
-- mailbox is only read.
ALTER TABLE accounts ADD COLUMN handled_folder TEXT NOT NULL DEFAULT '';
-- What kept them from being moved the last time.
ALTER TABLE mailboxes ADD COLUMN handled_trouble TEXT NOT NULL DEFAULT '';

-- Reports that the ledger has and that wait in the INBOX to be moved. A UID means
-- a message only together with its validity; the digest is what the message is
-- known by before anything is done to it.
CREATE TABLE handled_due (
    account_id INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    server     TEXT    NOT NULL,
    validity   INTEGER NOT NULL,
    uid        INTEGER NOT NULL,
    -- How often it may have been copied to the folder, and how often the server
    -- refused to take it.
    copies     INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, digest)
) STRICT, WITHOUT ROWID;
