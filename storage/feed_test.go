package storage

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// TestFeedGivesValuesAsTheyAre: what comes through a feed is what was given, and what
// the table refuses undoes the transaction.
func TestFeedGivesValuesAsTheyAre(t *testing.T) {
	l := open(t, t.TempDir())
	texts := []string{"", "a", "a\x00b", "Köhler", "王伟", "'; DROP TABLE contacts; --", string(make([]byte, 70_000))}
	insert := func(texts []string) error {
		return l.write(t.Context(), "feed", func(tx *Tx) error {
			n, err := tx.insertFrom(tx.w.feeds.names, len(texts), func(row, column int) driver.Value {
				if column == 0 {
					return texts[row]
				}
				return int64(row) - 1
			}, "INSERT INTO contact_names (name, id) SELECT name, id FROM temp.fed_names")
			if err == nil && int(n) != len(texts) {
				t.Errorf("%d of %d rows", n, len(texts))
			}
			return err
		})
	}
	if err := insert(texts); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		var got string
		if err := l.r.QueryRowContext(t.Context(), "SELECT name FROM contact_names WHERE id = ?", i-1).Scan(&got); err != nil || got != text {
			t.Errorf("row %d: %.40q, not %.40q; %v", i, got, text, err)
		}
	}
	if err := insert(append([]string{"new"}, texts[1:]...)); err == nil {
		t.Error("the same row was taken twice")
	}
	var n int
	if err := l.r.QueryRowContext(t.Context(), "SELECT count(*) FROM contact_names").Scan(&n); err != nil || n != len(texts) {
		t.Errorf("%d rows after a failure, not %d; %v", n, len(texts), err)
	}
	if err := l.write(t.Context(), "read a feed", func(tx *Tx) error {
		return tx.scan("SELECT count(*) FROM temp.fed_names", nil, &n)
	}); err != nil || n != 0 {
		t.Errorf("the feed has %d rows when nothing is written; %v", n, err)
	}
}

// TestFeedAfterAnotherSchema: SQLite connects to a virtual table again when the
// tables around it have changed, by somebody else's hand or by an undone transaction.
func TestFeedAfterAnotherSchema(t *testing.T) {
	l := open(t, t.TempDir())
	other, err := sql.Open("sqlite", dsn(filepath.Join(l.dir, FileName), false))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	undone := errors.New("undone")
	for i, change := range []func() error{
		func() error { return nil },
		func() error { _, err := other.ExecContext(t.Context(), "CREATE TABLE another (x)"); return err },
		func() error {
			err := l.write(t.Context(), "change the schema", func(tx *Tx) error {
				if _, err := tx.exec("CREATE TABLE a_third (x)"); err != nil {
					return err
				}
				return undone
			})
			if errors.Is(err, undone) {
				return nil
			}
			return fmt.Errorf("it was not undone: %w", err)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if added, _, _, _, err := l.ImportContacts(t.Context(), "L", false, crowd(100*(i+1))); err != nil || added != 100 {
			t.Errorf("after change %d: %d added, %v", i, added, err)
		}
	}
	wantSound(t, l)
}

// TestFeedsEndWithTheirLedger: nothing is known of a ledger that is closed.
func TestFeedsEndWithTheirLedger(t *testing.T) {
	count := func() int {
		fed.mu.Lock()
		defer fed.mu.Unlock()
		return len(fed.all)
	}
	before := count()
	l := open(t, t.TempDir())
	if n := count(); n != before+2 {
		t.Errorf("%d feeds of an open ledger", n-before)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != before {
		t.Errorf("%d feeds of a closed ledger", n-before)
	}
}
