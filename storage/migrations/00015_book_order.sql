-- +goose Up
-- Changes whenever somebody of the book is removed, or has another place in an
-- order of it: an order of the whole book that was read once can be known to hold
-- still. Who is new has a greater id than all who were in it.
CREATE TABLE book_order (version INTEGER NOT NULL) STRICT;
INSERT INTO book_order (version) VALUES (0);

-- +goose StatementBegin
CREATE TRIGGER book_moved AFTER UPDATE OF key, name ON contacts WHEN old.key <> new.key OR old.name <> new.name
BEGIN
    UPDATE book_order SET version = version + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER book_left AFTER DELETE ON contacts
BEGIN
    UPDATE book_order SET version = version + 1;
END;
-- +goose StatementEnd
