-- +goose Up
-- Changes with every change of a list's people and of what they are sorted by, so
-- that an order of theirs that was worked out once can be known to hold still.
ALTER TABLE lists ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- Whoever puts people on a list or takes them off counts them in that moment.
-- +goose StatementBegin
CREATE TRIGGER list_counted AFTER UPDATE OF members ON lists
BEGIN
    UPDATE lists SET version = version + 1 WHERE id = new.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER contact_moved AFTER UPDATE OF key, name ON contacts WHEN old.key <> new.key OR old.name <> new.name
BEGIN
    UPDATE lists SET version = version + 1 WHERE id IN (SELECT list_id FROM list_members WHERE contact_id = new.id);
END;
-- +goose StatementEnd
