-- +goose Up
-- More places for secrets, and what else an account has.

-- A CHECK cannot be changed: the column is made anew. Comparisons, for the
-- reason given in 00002.
ALTER TABLE accounts ADD COLUMN secret_kind TEXT NOT NULL DEFAULT 'none' CHECK (secret_kind = 'keyring' OR secret_kind = 'vault' OR
    secret_kind = 'command' OR secret_kind = 'ask' OR secret_kind = 'oauth' OR secret_kind = 'none');
UPDATE accounts SET secret_kind = secret;
ALTER TABLE accounts DROP COLUMN secret;
ALTER TABLE accounts RENAME COLUMN secret_kind TO secret;

-- SHA-256 of the one public key that is accepted, in hexadecimal; '' for none.
ALTER TABLE accounts ADD COLUMN pin TEXT NOT NULL DEFAULT '';
-- socks5://HOST:PORT or http://HOST:PORT; '' for none.
ALTER TABLE accounts ADD COLUMN proxy TEXT NOT NULL DEFAULT '';
-- The authorization server, as JSON without anything secret; '' for none.
ALTER TABLE accounts ADD COLUMN oauth TEXT NOT NULL DEFAULT '';
-- The DKIM selector under which the server signs.
ALTER TABLE accounts ADD COLUMN selector TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN colour TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN signature TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN footer TEXT NOT NULL DEFAULT '';
-- Its place in lists; those of one place are by name.
ALTER TABLE accounts ADD COLUMN position INTEGER NOT NULL DEFAULT 0;

-- Tokens, sealed under a key that lies in the keyring or the vault. Left out of
-- backups.
CREATE TABLE account_secrets (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    home       TEXT    NOT NULL CHECK (home = 'keyring' OR home = 'vault'),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- What the name service said of a domain, so that it is not asked again and again.
CREATE TABLE domain_health (
    question TEXT    PRIMARY KEY,
    asked_at INTEGER NOT NULL,
    report   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
