package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"modernc.org/sqlite/vtab"
)

// feed is a table of the writer's connection whose rows are in Go's memory, so that
// one statement writes many of them: INSERT ... SELECT ... FROM it. To bind as many
// values took three times as long. It has rows only while Tx.insertFrom runs.
type feed struct {
	columns []string
	rows    int
	value   func(row, column int) driver.Value
}

// feeds are the tables of one writer, by name.
type feeds struct {
	people, names *feed

	numbers []int
}

// fed knows the feeds of all writers: SQLite asks for a table by what stands in its
// declaration.
var fed = struct {
	mu   sync.Mutex
	last int
	all  map[int]*feed
}{all: map[int]*feed{}}

func init() {
	if err := vtab.RegisterModule(nil, "feed", feedModule{}); err != nil {
		panic(err) // the name is taken by another package of this program
	}
}

// newFeeds makes the tables, which end with the connection.
func newFeeds(ctx context.Context, conn *sql.Conn) (*feeds, error) {
	f := &feeds{
		people: &feed{columns: []string{"address", "key", "name", "fields", "search"}},
		names:  &feed{columns: []string{"name", "id"}},
	}
	for name, one := range map[string]*feed{"fed_people": f.people, "fed_names": f.names} {
		n := one.register()
		f.numbers = append(f.numbers, n)
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("CREATE VIRTUAL TABLE temp.%s USING feed(%d)", name, n)); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *feed) register() int {
	fed.mu.Lock()
	defer fed.mu.Unlock()
	fed.last++
	fed.all[fed.last] = f
	return fed.last
}

// close forgets the tables when their connection is closed.
func (f *feeds) close() {
	fed.mu.Lock()
	defer fed.mu.Unlock()
	for _, n := range f.numbers {
		delete(fed.all, n)
	}
}

// insertFrom runs a statement that inserts the rows of a feed, all of them.
func (t *Tx) insertFrom(f *feed, rows int, value func(row, column int) driver.Value, query string, args ...any) (inserted int64, err error) {
	f.rows, f.value = rows, value
	defer func() { f.rows, f.value = 0, nil }()
	return t.change(query, args...)
}

// feedModule makes feeds known to SQLite as virtual tables
// (https://sqlite.org/vtab.html).
type feedModule struct{}

// Create implements vtab.Module.
func (m feedModule) Create(c vtab.Context, args []string) (vtab.Table, error) {
	return m.Connect(c, args)
}

// Connect implements vtab.Module. The arguments are the module, the database, the
// table, and the feed's number.
func (feedModule) Connect(c vtab.Context, args []string) (vtab.Table, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("a feed has one number, not %d", len(args)-3)
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return nil, err
	}
	fed.mu.Lock()
	f := fed.all[n]
	fed.mu.Unlock()
	if f == nil {
		return nil, fmt.Errorf("there is no feed %d", n)
	}
	return f, c.Declare("CREATE TABLE feed (" + strings.Join(f.columns, ", ") + ")")
}

// BestIndex implements vtab.Table: there is one way through the rows.
func (f *feed) BestIndex(*vtab.IndexInfo) error { return nil }

// Open implements vtab.Table.
func (f *feed) Open() (vtab.Cursor, error) { return &feedCursor{feed: f}, nil }

// Disconnect implements vtab.Table.
func (f *feed) Disconnect() error { return nil }

// Destroy implements vtab.Table.
func (f *feed) Destroy() error { return nil }

type feedCursor struct {
	*feed
	row int
}

// Filter implements vtab.Cursor.
func (c *feedCursor) Filter(int, string, []vtab.Value) error {
	c.row = 0
	return nil
}

// Next implements vtab.Cursor.
func (c *feedCursor) Next() error {
	c.row++
	return nil
}

// Eof implements vtab.Cursor.
func (c *feedCursor) Eof() bool { return c.row >= c.rows }

// Column implements vtab.Cursor.
func (c *feedCursor) Column(column int) (vtab.Value, error) { return c.value(c.row, column), nil }

// Rowid implements vtab.Cursor.
func (c *feedCursor) Rowid() (int64, error) { return int64(c.row), nil }

// Close implements vtab.Cursor.
func (c *feedCursor) Close() error { return nil }
