-- +goose Up
-- What the user is told about, found without reading the queue. Small, because few rows are put aside or off for long.
CREATE INDEX deliveries_held ON deliveries (mailing_id) WHERE held = 1;
CREATE INDEX deliveries_delayed ON deliveries (mailing_id) WHERE state = 'queued' AND attempts >= 5;
