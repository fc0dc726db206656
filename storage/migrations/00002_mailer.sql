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

-- For the second refusal of one person. Small, because few are refused.
CREATE INDEX deliveries_failed ON deliveries (key) WHERE state = 'failed';
