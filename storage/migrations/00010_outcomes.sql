-- +goose Up
-- What came back, listed by outcome: small, because most mailings hear little.
CREATE INDEX deliveries_receipt ON deliveries (receipt, id) WHERE receipt <> 'none';
CREATE INDEX receipts_complaint ON receipts (delivery_id) WHERE kind = 'complaint';

-- Of which messages a copy lies in the account's folder for sent mail.
CREATE TABLE sent_copies (
    delivery_id INTEGER PRIMARY KEY,
    mailing_id  INTEGER NOT NULL,
    account_id  INTEGER NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX sent_copies_mailing ON sent_copies (mailing_id, account_id);
