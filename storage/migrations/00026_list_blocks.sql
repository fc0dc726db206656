-- +goose Up
-- The members as bits, 64 people to a row: a row for each of them, in two trees,
-- took more than six times as long where many people came onto a list.
-- Ids that follow each other, as those of an import do, lie in one row; where few
-- of a block are on a list, it is a row for each, as before.
DROP TRIGGER contact_unlisted;
DROP TRIGGER list_emptied;
DROP TRIGGER contact_moved;
CREATE TABLE list_members_new (
    list_id INTEGER NOT NULL,
    block   INTEGER NOT NULL, -- the contacts with the ids 64 * block to 64 * block + 63
    bits    INTEGER NOT NULL CHECK (bits <> 0), -- bit i: the contact 64 * block + i is on the list
    PRIMARY KEY (list_id, block)
) STRICT, WITHOUT ROWID;
INSERT INTO list_members_new
    SELECT list_id, contact_id >> 6, sum(1 << (contact_id & 63)) FROM list_members GROUP BY 1, 2;
DROP TABLE list_members;
ALTER TABLE list_members_new RENAME TO list_members;
-- The lists of a person. It has the bits, too: else each list with somebody of the
-- block would be looked up for them.
CREATE INDEX list_members_block ON list_members (block, list_id, bits);

-- +goose StatementBegin
CREATE TRIGGER contact_unlisted AFTER DELETE ON contacts
BEGIN
    DELETE FROM list_members WHERE block = old.id >> 6 AND bits = 1 << (old.id & 63);
    UPDATE list_members SET bits = bits & ~(1 << (old.id & 63)) WHERE block = old.id >> 6 AND bits >> (old.id & 63) & 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER list_emptied AFTER DELETE ON lists
BEGIN
    DELETE FROM list_members WHERE list_id = old.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER contact_moved AFTER UPDATE OF key, name ON contacts WHEN old.key <> new.key OR old.name <> new.name
BEGIN
    UPDATE lists SET version = version + 1 WHERE id IN
        (SELECT list_id FROM list_members WHERE block = new.id >> 6 AND bits >> (new.id & 63) & 1);
END;
-- +goose StatementEnd
