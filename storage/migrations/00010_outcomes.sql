-- +goose Up
-- What came back, listed by outcome: small, because most mailings hear little.
CREATE INDEX deliveries_receipt ON deliveries (receipt, id) WHERE receipt <> 'none';
CREATE INDEX receipts_complaint ON receipts (delivery_id) WHERE kind = 'complaint';
