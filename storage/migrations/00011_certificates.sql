-- +goose Up
-- With which certificate an account's mail is signed (S/MIME). The private key
-- lies in the keyring or the vault under secret_ref, never here.

CREATE TABLE certificates (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    chain      BLOB    NOT NULL, -- DER, the account's own first
    secret_ref TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
