-- +goose Up
-- A rehearsal keeps to its senders' limits, connections and shares, as the live
-- mailing would. Its deliveries name the account in whose place the practice trap
-- takes them; its attempts name none, so that no account's quota counts them.
ALTER TABLE mailings ADD COLUMN real_speed INTEGER NOT NULL DEFAULT 0 CHECK (real_speed = 0 OR (real_speed = 1 AND kind = 'rehearsal'));
