package storage

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkFloor is what SQLite in Go takes for the rows of an import by itself:
// five columns, in one transaction, from prepared statements, nothing read and
// nothing checked. "plain" is what sqlite3's .import does; "ours" writes the five
// trees that a person is in, in their order; "one" and "fifty" are the rows to a
// statement.
func BenchmarkFloor(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("POSTROOM_BENCH_ROWS"))
	if err != nil || rows < 1000 {
		rows = 50_000
	}
	const plain = "CREATE TABLE people (email TEXT, name TEXT, city TEXT, zip TEXT, note TEXT);"
	const ours = `CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, name TEXT, city TEXT, zip TEXT, note TEXT, key TEXT UNIQUE);
		CREATE TABLE member (list_id INTEGER, contact_id INTEGER, PRIMARY KEY (list_id, contact_id)) WITHOUT ROWID;
		CREATE INDEX member_contact ON member (contact_id);
		CREATE TABLE names (name TEXT, id INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;`
	for _, c := range []struct {
		name, schema string
		many         int
	}{{"plain/one", plain, 1}, {"plain/fifty", plain, 50}, {"ours/fifty", ours, 50}} {
		b.Run(c.name, func(b *testing.B) {
			had := processors(b)
			for b.Loop() {
				floor(b, c.schema, rows, c.many)
			}
			b.ReportMetric((processors(b)-had).Seconds()/float64(b.N), "cpu-s")
		})
	}
}

func floor(b *testing.B, schema string, rows, many int) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", dsn(filepath.Join(b.TempDir(), "floor.db"), false))
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		b.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	fill := func(table string, columns int, row func(args []any, i int) []any) {
		one := "(?" + strings.Repeat(",?", columns-1) + ")"
		st, err := tx.PrepareContext(ctx, "INSERT INTO "+table+" VALUES "+one+strings.Repeat(","+one, many-1))
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		args := make([]any, 0, columns*many)
		for i := 0; i+many <= rows; i += many {
			args = args[:0]
			for k := range many {
				args = row(args, i+k)
			}
			if _, err := st.ExecContext(ctx, args...); err != nil {
				b.Fatal(err)
			}
		}
	}
	email := func(i int) string { return fmt.Sprintf("user%07d@example%d.com", i, i%100) }
	name := func(i int) string { return fmt.Sprintf("Anna Köhler %07d", i) }
	if strings.Contains(schema, "key") {
		fill("people", 7, func(args []any, i int) []any {
			return append(args, i+1, email(i), name(i), "Berlin", "01234", "likes tulips, roses", email(i))
		})
		fill("member", 2, func(args []any, i int) []any { return append(args, 1, i+1) })
		fill("names", 2, func(args []any, i int) []any { return append(args, name(i), i+1) })
	} else {
		fill("people", 5, func(args []any, i int) []any {
			return append(args, email(i), name(i), "Berlin", "01234", "likes tulips, roses")
		})
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

// processors is how long this process has had them.
func processors(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0 // not on Linux
	}
	parts := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks time.Duration
	for _, p := range parts[11:13] { // utime and stime, as proc(5) counts them, behind the name
		n, err := strconv.Atoi(p)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}
