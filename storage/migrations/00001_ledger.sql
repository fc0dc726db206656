-- +goose Up
-- The first ledger. Times are Unix milliseconds UTC, 0 is "not yet". States
-- are words; what may follow what is decided in package post.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL COLLATE NOCASE,
    email            TEXT    NOT NULL,
    from_name        TEXT    NOT NULL DEFAULT '',
    host             TEXT    NOT NULL,
    port             INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    tls              TEXT    NOT NULL CHECK (tls IN ('starttls', 'tls', 'none')),
    ca               BLOB    NOT NULL DEFAULT x'',
    auth             TEXT    NOT NULL,
    login            TEXT    NOT NULL DEFAULT '',
    secret           TEXT    NOT NULL CHECK (secret IN ('keyring', 'command', 'none')),
    secret_ref       TEXT    NOT NULL DEFAULT '',
    password_command TEXT    NOT NULL DEFAULT '',
    command_held     INTEGER NOT NULL DEFAULT 0,
    per_minute       INTEGER NOT NULL DEFAULT 0 CHECK (per_minute >= 0),
    per_hour         INTEGER NOT NULL DEFAULT 0 CHECK (per_hour >= 0),
    per_day          INTEGER NOT NULL DEFAULT 0 CHECK (per_day >= 0),
    connections      INTEGER NOT NULL DEFAULT 0 CHECK (connections BETWEEN 0 AND 50),
    imap_host        TEXT    NOT NULL DEFAULT '',
    imap_port        INTEGER NOT NULL DEFAULT 0,
    imap_tls         TEXT    NOT NULL DEFAULT '',
    hold             TEXT    NOT NULL DEFAULT '' CHECK (hold IN ('', 'paused', 'stopped')),
    reason           TEXT    NOT NULL DEFAULT '',
    wait_until       INTEGER NOT NULL DEFAULT 0,
    wait_step        INTEGER NOT NULL DEFAULT 0,
    learned          TEXT    NOT NULL DEFAULT '{}',
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    -- A removed account stays, without its settings, because the history names it.
    removed_at       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX accounts_name ON accounts (name) WHERE removed_at = 0;

CREATE TABLE contacts (
    id          INTEGER PRIMARY KEY,
    address     TEXT    NOT NULL,
    key         TEXT    NOT NULL UNIQUE,
    key_version INTEGER NOT NULL,
    name        TEXT    NOT NULL DEFAULT '',
    fields      TEXT    NOT NULL DEFAULT '{}',
    -- Address, name and field values in the form in which text is searched.
    search      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX contacts_name ON contacts (name, id);

CREATE TABLE lists (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    members    INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE list_members (
    list_id    INTEGER NOT NULL REFERENCES lists (id) ON DELETE CASCADE,
    contact_id INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    PRIMARY KEY (list_id, contact_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX list_members_contact ON list_members (contact_id);

CREATE TABLE suppressions (
    key     TEXT PRIMARY KEY,
    address TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL DEFAULT '',
    draft      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- The bytes lie in files named by their hash; a row says that the file is
-- complete on disk.
CREATE TABLE blobs (
    sha256     TEXT PRIMARY KEY,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mailings (
    id          INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL CHECK (kind IN ('live', 'rehearsal')),
    name        TEXT    NOT NULL,
    content     TEXT    NOT NULL,
    token       TEXT    NOT NULL UNIQUE,
    -- 0 while its rows are still being written: nobody sees it, nothing is sent.
    ready       INTEGER NOT NULL DEFAULT 0,
    hold        TEXT    NOT NULL DEFAULT '' CHECK (hold IN ('', 'paused', 'cancelled')),
    reason      TEXT    NOT NULL DEFAULT '',
    not_before  INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX mailings_open ON mailings (id) WHERE ready = 1 AND finished_at = 0;

CREATE TABLE mailing_senders (
    mailing_id INTEGER NOT NULL REFERENCES mailings (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    position   INTEGER NOT NULL,
    weight     INTEGER NOT NULL DEFAULT 1,
    email      TEXT    NOT NULL,
    from_name  TEXT    NOT NULL,
    PRIMARY KEY (mailing_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mailing_senders_account ON mailing_senders (account_id);

-- Kept in the transaction that moves a row: nobody counts a million rows.
CREATE TABLE mailing_counts (
    mailing_id INTEGER NOT NULL REFERENCES mailings (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL,
    n          INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (mailing_id, state)
) STRICT, WITHOUT ROWID;

-- The outbox: one row per recipient and mailing.
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    mailing_id  INTEGER NOT NULL REFERENCES mailings (id),
    row         INTEGER NOT NULL,
    contact_id  INTEGER NOT NULL DEFAULT 0,
    address     TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- The row of a sheet when each row is a message of its own, else 0.
    copy        INTEGER NOT NULL DEFAULT 0,
    name        TEXT    NOT NULL DEFAULT '',
    fields      TEXT    NOT NULL DEFAULT '',
    attachments TEXT    NOT NULL DEFAULT '',
    message_id  TEXT    NOT NULL,
    seed        INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'claimed', 'sending', 'sent', 'failed',
                    'uncertain', 'cancelled', 'suppressed', 'expired')),
    claim       INTEGER NOT NULL DEFAULT 0,
    account_id  INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER NOT NULL DEFAULT 0,
    date        INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    held        INTEGER NOT NULL DEFAULT 0,
    resends     INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    queued_at   INTEGER NOT NULL,
    first_at    INTEGER NOT NULL DEFAULT 0,
    sent_at     INTEGER NOT NULL DEFAULT 0,
    changed_at  INTEGER NOT NULL,
    UNIQUE (mailing_id, key, copy)
) STRICT;
-- What the mailer claims from, in order.
CREATE INDEX deliveries_due ON deliveries (mailing_id, next_at, id) WHERE state = 'queued';
-- What needs a look: small, because most rows are queued or sent.
CREATE INDEX deliveries_rest ON deliveries (state, id) WHERE state NOT IN ('queued', 'sent');

-- One row per connection to a server.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL,
    host       TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    tls        TEXT    NOT NULL,
    auth       TEXT    NOT NULL,
    opened_at  INTEGER NOT NULL
) STRICT;

-- The send log: append-only.
CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL,
    try         INTEGER NOT NULL,
    account_id  INTEGER NOT NULL,
    session_id  INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    phase       TEXT    NOT NULL,
    code        INTEGER NOT NULL DEFAULT 0,
    enhanced    TEXT    NOT NULL DEFAULT '',
    text        TEXT    NOT NULL DEFAULT '',
    queue_id    TEXT    NOT NULL DEFAULT '',
    charged     INTEGER NOT NULL,
    dot_sent    INTEGER NOT NULL,
    replies     TEXT    NOT NULL DEFAULT '',
    error       TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, try)
) STRICT, WITHOUT ROWID;

-- The quotas' rolling windows are counted here. Rehearsals have no account.
CREATE INDEX attempts_charged ON attempts (account_id, started_at) WHERE charged = 1 AND account_id <> 0;

-- Outcomes of live mailings by hour, for the chart: hour is Unix time / 3600.
CREATE TABLE outcomes (
    hour   INTEGER PRIMARY KEY,
    sent   INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
) STRICT;
