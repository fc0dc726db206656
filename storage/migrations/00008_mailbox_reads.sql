-- +goose Up
-- When a mailbox was read last, and what kept it from being read since.
ALTER TABLE mailboxes ADD COLUMN read_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN tried_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN trouble TEXT NOT NULL DEFAULT '';
-- How many of a mailing had come back when it paused itself for it last.
ALTER TABLE mailings ADD COLUMN bounces_paused INTEGER NOT NULL DEFAULT 0;
