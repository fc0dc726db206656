-- +goose Up
-- What came back: delivery reports, read receipts, replies, complaints.

-- The strongest of a delivery's receipts, kept in the transaction that adds one.
-- Comparisons, for the reason given in 00002.
ALTER TABLE deliveries ADD COLUMN receipt TEXT NOT NULL DEFAULT 'none' CHECK (receipt = 'none' OR receipt = 'delayed' OR
    receipt = 'delivered' OR receipt = 'bounced' OR receipt = 'read' OR receipt = 'replied' OR receipt = 'unsubscribed');
-- A Message-ID names mailing and row.
CREATE INDEX deliveries_row ON deliveries (mailing_id, row);
-- For the second refusal of one person. Small, because few bounce.
CREATE INDEX deliveries_bounced ON deliveries (key) WHERE receipt = 'bounced';

-- Append-only. With delivery_id 0 it is tied to nothing and changed nothing.
CREATE TABLE receipts (
    id          INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL,
    account_id  INTEGER NOT NULL,
    -- What the message's bytes are known by: a mailbox that was renumbered is
    -- read again, and nothing counts twice.
    digest      BLOB    NOT NULL,
    part        INTEGER NOT NULL,
    uid         INTEGER NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('relayed', 'delayed', 'delivered', 'bounced', 'read', 'auto_reply', 'replied',
                    'complaint', 'unsubscribed', 'unknown')),
    at          INTEGER NOT NULL,
    source      TEXT    NOT NULL DEFAULT '',
    address     TEXT    NOT NULL DEFAULT '',
    code        INTEGER NOT NULL DEFAULT 0,
    enhanced    TEXT    NOT NULL DEFAULT '',
    text        TEXT    NOT NULL DEFAULT '',
    excerpt     BLOB    NOT NULL DEFAULT x'',
    UNIQUE (account_id, digest, part)
) STRICT;
CREATE INDEX receipts_delivery ON receipts (delivery_id, id);

-- How a mailing's deliveries are summed up; none is what the others leave.
CREATE TABLE receipt_counts (
    mailing_id INTEGER NOT NULL REFERENCES mailings (id) ON DELETE CASCADE,
    receipt    TEXT    NOT NULL,
    n          INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (mailing_id, receipt)
) STRICT, WITHOUT ROWID;

-- Up to which message an account's mailbox was read (RFC 3501 2.3.1.1).
CREATE TABLE mailboxes (
    account_id INTEGER NOT NULL,
    server     TEXT    NOT NULL,
    validity   INTEGER NOT NULL,
    uid        INTEGER NOT NULL,
    PRIMARY KEY (account_id, server)
) STRICT, WITHOUT ROWID;
