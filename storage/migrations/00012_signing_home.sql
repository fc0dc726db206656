-- +goose Up
-- Where the private key of a signing lies: in the keyring, or in the vault.
ALTER TABLE signings ADD COLUMN home TEXT NOT NULL DEFAULT 'keyring' CHECK (home = 'keyring' OR home = 'vault');
