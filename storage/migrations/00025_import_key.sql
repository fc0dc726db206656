-- +goose Up
-- An import stands at a person's key, no longer at a byte: its rows lie in sorted
-- pieces that are read side by side.
ALTER TABLE imports DROP COLUMN applied;
ALTER TABLE imports ADD COLUMN reached TEXT NOT NULL DEFAULT ''; -- the last key of it that is in the book
