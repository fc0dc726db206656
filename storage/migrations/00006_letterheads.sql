-- +goose Up
-- How an account's mail looks, what stands in the footer of its promotional
-- mail, and how it is signed.

CREATE TABLE letterheads (
    account_id        INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    colour            TEXT    NOT NULL DEFAULT '',
    logo              BLOB    NOT NULL DEFAULT x'',
    postal_address    TEXT    NOT NULL DEFAULT '',
    -- The user's own page for unsubscribing (RFC 8058), and the words that link to it.
    unsubscribe_url   TEXT    NOT NULL DEFAULT '',
    unsubscribe_words TEXT    NOT NULL DEFAULT ''
) STRICT;

-- The private key lies in the keyring under secret_ref, never here.
CREATE TABLE signings (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    domain     TEXT    NOT NULL,
    selector   TEXT    NOT NULL,
    secret_ref TEXT    NOT NULL,
    public_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- What is done when a scheduled mailing could not go at its time, because the
-- machine slept: send until this many milliseconds after it (0: however late),
-- then ask or skip.
ALTER TABLE mailings ADD COLUMN late_after INTEGER NOT NULL DEFAULT 0 CHECK (late_after >= 0);
ALTER TABLE mailings ADD COLUMN late_then TEXT NOT NULL DEFAULT '' CHECK (late_then = '' OR late_then = 'ask' OR late_then = 'skip');
