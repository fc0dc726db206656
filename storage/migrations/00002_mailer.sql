-- +goose Up
-- Sending hours, release by hand, sharing by weight, and what is done about
-- uncertain messages.

ALTER TABLE accounts ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);

-- When it may go, as post.Hours writes it; empty is always.
ALTER TABLE mailings ADD COLUMN hours TEXT NOT NULL DEFAULT '';
-- How many more of its rows may be tried for the first time before the user is
-- asked; -1 is all.
ALTER TABLE mailings ADD COLUMN release_left INTEGER NOT NULL DEFAULT -1 CHECK (release_left >= -1);
ALTER TABLE mailings ADD COLUMN uncertain TEXT NOT NULL DEFAULT 'ask' CHECK (uncertain IN ('ask', 'resend', 'sent'));

-- The outbox again, with the same columns. SQLite builds a table of its own for
-- every row that a CHECK (state IN (...)) looks at, which took longer than
-- writing the row; comparisons cost next to nothing. And with a reference that is
-- looked at before the commit only, a statement that writes many rows keeps no
-- journal of its own.
CREATE TABLE deliveries_new (
    id          INTEGER PRIMARY KEY,
    mailing_id  INTEGER NOT NULL REFERENCES mailings (id) DEFERRABLE INITIALLY DEFERRED,
    row         INTEGER NOT NULL,
    contact_id  INTEGER NOT NULL DEFAULT 0,
    address     TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- The row of a sheet when each row is a message of its own, else 0.
    copy        INTEGER NOT NULL DEFAULT 0,
    name        TEXT    NOT NULL DEFAULT '',
    fields      TEXT    NOT NULL DEFAULT '',
    attachments TEXT    NOT NULL DEFAULT '',
    message_id  TEXT    NOT NULL,
    seed        INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state = 'queued' OR state = 'sending' OR state = 'sent' OR state = 'claimed' OR
                    state = 'failed' OR state = 'uncertain' OR state = 'cancelled' OR state = 'suppressed' OR state = 'expired'),
    claim       INTEGER NOT NULL DEFAULT 0,
    account_id  INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER NOT NULL DEFAULT 0,
    date        INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    held        INTEGER NOT NULL DEFAULT 0,
    resends     INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    queued_at   INTEGER NOT NULL,
    first_at    INTEGER NOT NULL DEFAULT 0,
    sent_at     INTEGER NOT NULL DEFAULT 0,
    changed_at  INTEGER NOT NULL,
    UNIQUE (mailing_id, key, copy)
) STRICT;
INSERT INTO deliveries_new SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;
-- What the mailer claims from, in order.
CREATE INDEX deliveries_due ON deliveries (mailing_id, next_at, id) WHERE state = 'queued';
-- What needs a look: small, because most rows are queued or sent.
CREATE INDEX deliveries_rest ON deliveries (state, id) WHERE state NOT IN ('queued', 'sent');

-- For the second refusal of one person. Small, because few are refused.
CREATE INDEX deliveries_failed ON deliveries (key) WHERE state = 'failed';
