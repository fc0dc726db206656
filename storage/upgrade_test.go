package storage

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"postroom/post"
)

// oldLedger writes a ledger of an older schema with something in each table.
func oldLedger(t *testing.T, dir string, version int64, rows string) {
	t.Helper()
	path := filepath.Join(dir, FileName)
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if err := identify(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(database.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

const rowsOfSchema1 = `
INSERT INTO accounts (id, name, email, host, port, tls, auth, secret, created_at, changed_at) VALUES (3, 'shop', 'shop@example.org', 'localhost', 25, 'none', 'none', 'none', 1, 1);
INSERT INTO contacts (id, address, key, key_version, search, created_at, changed_at) VALUES (5, 'Ann@example.net', 'ann@example.net', 1, 'ann@example.net', 1, 1);
INSERT INTO lists (id, name, members, created_at) VALUES (2, 'Guests', 1, 1);
INSERT INTO list_members (list_id, contact_id) VALUES (2, 5);
INSERT INTO mailings (id, kind, name, content, token, ready, created_at) VALUES (7, 'live', 'M', '{"subject":"S","format":"text","body":"B"}', 'tok', 1, 1);
INSERT INTO mailing_senders (mailing_id, account_id, position, email, from_name) VALUES (7, 3, 0, 'shop@example.org', '');
INSERT INTO deliveries (id, mailing_id, row, address, key, message_id, seed, state, queued_at, changed_at, tries, attempts, reason, fields) VALUES
	(11, 7, 1, 'Ann@example.net', 'ann@example.net', '<a@example.org>', 42, 'sent', 1, 1, 1, 1, '', '{"first_name":"Ann"}'),
	(12, 7, 2, 'ben@example.net', 'ben@example.net', '<b@example.org>', 43, 'queued', 1, 1, 0, 0, '', '{}'),
	(13, 7, 3, 'cy@example.net', 'cy@example.net', '<c@example.org>', 44, 'uncertain', 1, 1, 1, 1, '{"key":"uncertain.timeout"}', '{}');
INSERT INTO attempts (delivery_id, try, account_id, started_at, ended_at, state, phase, charged, dot_sent) VALUES
	(11, 1, 3, 1, 1, 'sent', 'dot', 1, 1), (13, 1, 3, 1, 1, 'uncertain', 'dot', 1, 1);
INSERT INTO mailing_counts (mailing_id, state, n) VALUES (7, 'sent', 1), (7, 'queued', 1), (7, 'uncertain', 1);
`

// TestUpgrade: a ledger of the first schema opens with everything that was in
// it, after a copy of it as it was; what waited is sent, what was done is not.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	oldLedger(t, dir, 1, rowsOfSchema1)
	l := open(t, dir)
	m, err := l.Mailing(t.Context(), 7)
	if err != nil || m.Staged || !m.Hours.IsZero() || m.Uncertain != post.UncertainAsk || m.Total() != 3 {
		t.Fatalf("%+v %v", m, err)
	}
	a, err := l.AccountByName(t.Context(), "shop")
	if err != nil || a.Weight != 1 {
		t.Fatalf("%+v %v", a, err)
	}
	d, err := l.Delivery(t.Context(), 11)
	if err != nil || d.State != post.StateSent || d.Fields["first_name"] != "Ann" || d.MessageID != "<a@example.org>" || d.Seed != 42 {
		t.Fatalf("%+v %v", d, err)
	}
	if c, err := l.Contact(t.Context(), 5); err != nil || len(c.Lists) != 1 || c.Lists[0] != "Guests" {
		t.Errorf("%+v %v", c, err)
	}
	wantSound(t, l)
	if got := claim(t, l, a, 10); len(got) != 1 || got[0].ID != 12 {
		t.Errorf("claimed %+v", got)
	}
	copies, err := filepath.Glob(filepath.Join(dir, "backups", "before-schema-*.db"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("%v %v", copies, err)
	}
	if info, err := os.Stat(copies[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	old, err := sql.Open("sqlite", dsn(copies[0], true))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	var n int
	if err := old.QueryRowContext(context.Background(), "SELECT count(*) FROM deliveries").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d rows in the copy: %v", n, err)
	}
}
