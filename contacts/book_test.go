package contacts

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"postroom/post"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryBook is a ledger in memory that keeps the promises of Book.
type memoryBook struct {
	people     map[string]post.Contact
	suppressed map[string]bool
	fail       error // returned instead of committing
	calls      int
}

func newBook() *memoryBook {
	return &memoryBook{people: map[string]post.Contact{}, suppressed: map[string]bool{}}
}

func (b *memoryBook) ImportContacts(_ context.Context, _ string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	b.calls++
	next := make(map[string]post.Contact, len(b.people))
	for k, c := range b.people {
		next[k] = c
	}
	told := map[string]bool{}
	for c, err := range rows {
		if err != nil {
			return 0, 0, 0, nil, errors.Join(errors.New("import"), err)
		}
		if b.suppressed[c.Key] && !told[c.Key] {
			told[c.Key] = true
			suppressed = append(suppressed, c.Address)
		}
		old, known := next[c.Key]
		merged, changed := merge(old, c)
		next[c.Key] = merged
		switch {
		case !known:
			added++
		case changed:
			updated++
		default:
			unchanged++
		}
	}
	if b.fail != nil {
		return 0, 0, 0, nil, b.fail
	}
	if !dry {
		b.people = next
	}
	return added, updated, unchanged, suppressed, nil
}

func merge(old, c post.Contact) (post.Contact, bool) {
	m := post.Contact{Address: old.Address, Key: c.Key, Name: old.Name, Fields: map[string]string{}}
	if m.Address == "" {
		m.Address = c.Address
	}
	changed := false
	if c.Name != "" && c.Name != m.Name {
		m.Name, changed = c.Name, true
	}
	for k, v := range old.Fields {
		m.Fields[k] = v
	}
	for k, v := range c.Fields {
		if v != "" && m.Fields[k] != v {
			m.Fields[k], changed = v, true
		}
	}
	return m, changed
}

func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
