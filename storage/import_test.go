package storage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postroom/post"
)

// crowd is n different people with five columns.
func crowd(n int) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for i := range n {
			key := fmt.Sprintf("user%d@example%d.com", i*7919%n, i%100)
			c := post.Contact{Address: key, Key: key, Name: fmt.Sprintf("Anna Köhler %d", i%5000), Fields: map[string]string{
				"city": "Berlin", "zip": fmt.Sprintf("%05d", i%99999), "note": "likes tulips, roses",
			}}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func stagedFiles(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, importsDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMergeRules holds the import against a book in memory: counts of the dry
// run and of the real one, and the people afterwards, whatever came before.
func TestMergeRules(t *testing.T) {
	l := open(t, t.TempDir())
	most := runBytes
	t.Cleanup(func() { runBytes = most })
	rapid.Check(t, func(rt *rapid.T) {
		runBytes = rapid.SampledFrom([]int{1, 60, most}).Draw(rt, "bytes of a run")
		if err := l.write(t.Context(), "empty the book", func(tx *Tx) error {
			_, err := tx.exec("DELETE FROM contacts")
			if err == nil {
				_, err = tx.exec("UPDATE lists SET members = 0")
			}
			return err
		}); err != nil {
			rt.Fatal(err)
		}
		book := map[string]post.Contact{}
		for range rapid.IntRange(1, 3).Draw(rt, "imports") {
			rule := rapid.SampledFrom([]string{MergeReplace, MergeFill, MergeKeep}).Draw(rt, "rule")
			var rows []post.Contact
			for range rapid.IntRange(0, 12).Draw(rt, "rows") {
				value := rapid.SampledFrom([]string{"", "a", "b"})
				c := contact(rapid.SampledFrom([]string{"a@x.de", "b@x.de", "c@x.de"}).Draw(rt, "address"), value.Draw(rt, "name"), map[string]string{})
				for _, k := range []string{"f", "g"} {
					if v := value.Draw(rt, k); v != "" {
						c.Fields[k] = v
					}
				}
				rows = append(rows, c)
			}
			var want [3]int64
			for _, c := range rows {
				old, ok := book[c.Key]
				next := c
				if ok {
					next = merged(old, c, rule)
				}
				switch {
				case !ok:
					want[0]++
				case next.Name != old.Name || !maps.Equal(next.Fields, old.Fields):
					want[1]++
				default:
					want[2]++
				}
				book[c.Key] = next
			}
			for _, dry := range []bool{true, false} {
				var got [3]int64
				var err error
				got[0], got[1], got[2], _, err = l.ImportContactsBy(t.Context(), "L", rule, dry, seq(rows))
				if err != nil || got != want {
					rt.Fatalf("%s, dry %v: %v, want %v, %v", rule, dry, got, want, err)
				}
			}
		}
		have := map[string]post.Contact{}
		for c, err := range l.EachMember(t.Context(), 0) {
			if err != nil {
				rt.Fatal(err)
			}
			c.ID = 0
			have[c.Key] = c
		}
		if d := cmp.Diff(book, have); d != "" {
			rt.Fatal(d)
		}
	})
	wantSound(t, l)
}

// merged says the rules once more, in the words of the documentation.
func merged(old, row post.Contact, rule string) post.Contact {
	next := old
	next.Fields = maps.Clone(old.Fields)
	if rule == MergeKeep {
		return next
	}
	if row.Name != "" && (rule == MergeReplace || old.Name == "") {
		next.Name = row.Name
	}
	for k, v := range row.Fields {
		if v != "" && (rule == MergeReplace || old.Fields[k] == "") {
			next.Fields[k] = v
		}
	}
	return next
}

func TestCancelledImportLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	stop := errors.New("stopped")
	_, _, _, _, err := l.ImportContacts(t.Context(), "L", false, func(yield func(post.Contact, error) bool) {
		for c := range crowd(5000) {
			if !yield(c, nil) {
				return
			}
		}
		yield(post.Contact{}, stop)
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if n, err := l.CountContacts(t.Context(), ContactFilter{}); err != nil || n != 0 {
		t.Errorf("%d people, %v", n, err)
	}
	if left := stagedFiles(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	wantSound(t, l)
}

// TestLostRowsAreTold: a backup that was taken during an import has its mark,
// and not its rows.
func TestLostRowsAreTold(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if err := l.write(t.Context(), "mark", func(tx *Tx) error {
		_, err := tx.exec("INSERT INTO imports (token, list_id, merge, bytes, started_at) VALUES ('gone', 0, 'replace', 100, 1)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.finishImports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if problems, err := l.Check(t.Context()); err != nil || len(problems) != 1 {
		t.Fatal(problems, err)
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), "", false, crowd(3)); err != nil {
		t.Fatal(err)
	}
	wantSound(t, l)
}

// TestDamagedStage: rows that a fault of the disk cut or changed keep nobody from
// opening the ledger, and the check tells of them.
func TestDamagedStage(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"cut":         func(b []byte) []byte { return b[:len(b)/2] },
		"one less":    func(b []byte) []byte { return b[:len(b)-1] },
		"longer":      func(b []byte) []byte { return append(b, 1) },
		"a long run":  func(b []byte) []byte { b[0] = 0xff; return b },
		"a long row":  func(b []byte) []byte { b[8], b[9], b[10], b[11], b[12] = 0xff, 0xff, 0xff, 0xff, 1; return b },
		"a long part": func(b []byte) []byte { b[9] = 0x7f; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			s, err := newStage(dir)
			if err != nil {
				t.Fatal(err)
			}
			for c := range crowd(100) {
				if err := s.add(c); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			if _, err := l.markImport(t.Context(), s, "", MergeReplace); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.close(), l.Close()); err != nil {
				t.Fatal(err)
			}
			path := stagePath(dir, s.token, stageRows)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			l = open(t, dir)
			if problems, err := l.Check(t.Context()); err != nil || len(problems) != 1 {
				t.Fatal(problems, err)
			}
			added, _, _, _, err := l.ImportContacts(t.Context(), "", false, crowd(100))
			if err != nil || added < 1 {
				t.Fatal(added, err)
			}
			wantSound(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, dir) // now nobody waits for the import, and its lock goes too
			if left := stagedFiles(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			wantSound(t, l)
		})
	}
}

// chattyClock says on w that somebody asked for the time: a transaction begins.
type chattyClock struct {
	post.SystemClock
	w io.Writer
}

func (c chattyClock) Now() time.Time {
	_, _ = c.w.Write([]byte{'t'})
	return c.SystemClock.Now()
}

const (
	childRows = 20_000
	childTold = 200 // rows between two dots
)

// TestImportChild is not a test: it is the process that TestKilledImports kills.
func TestImportChild(t *testing.T) {
	dir := os.Getenv("POSTROOM_TEST_IMPORT")
	if dir == "" {
		t.Skip("runs inside TestKilledImports only, which kills it")
	}
	l, err := Open(t.Context(), dir, Options{Clock: chattyClock{w: os.Stdout}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, _, err = l.ImportContacts(t.Context(), "New", false, func(yield func(post.Contact, error) bool) {
		n := 0
		for c := range crowd(childRows) {
			if n++; n%childTold == 0 {
				_, _ = os.Stdout.Write([]byte{'r'})
			}
			if !yield(c, nil) {
				return
			}
		}
		_, _ = os.Stdout.Write([]byte{'e'})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKilledImports kills an import with SIGKILL at 20 random moments: while
// rows are read, and while they are taken in. The next Open finds the book as it
// was, or with everybody.
func TestKilledImports(t *testing.T) {
	if testing.Short() {
		t.Skip("20 processes are too many beside the race detector; the plain run of make test has it")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	before, after := 0, 0
	for i := range 20 {
		dir := t.TempDir()
		l := open(t, dir)
		if _, _, _, _, err := l.ImportContacts(t.Context(), "Old", false, seq([]post.Contact{contact("user0@example0.com", "", nil)})); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		reading := i%2 == 0
		at := rnd.IntN(childRows / childTold)
		if !reading {
			at = 2 + rnd.IntN(12) // transactions after the last row; the first is the mark
		}
		killImport(t, dir, reading, at)
		l = open(t, dir)
		n, err := l.CountContacts(t.Context(), ContactFilter{})
		if err != nil {
			t.Fatal(err)
		}
		list, err := l.ListByName(t.Context(), "New")
		switch {
		case n == 1 && post.KindOf(err) == post.KindNotFound:
			before++
		case n == childRows && err == nil && list.Members == childRows:
			after++
		default:
			t.Fatalf("killed at %d (reading %v): %d people, list %+v, %v", at, reading, n, list, err)
		}
		if left := stagedFiles(t, dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		wantSound(t, l)
	}
	t.Logf("%d as it was, %d completed", before, after)
	if before < 10 || after < 9 {
		t.Errorf("%d before and %d after: the moments were not what they should be", before, after)
	}
}

// killImport starts an import and kills it at the at-th dot of its kind.
func killImport(t *testing.T, dir string, reading bool, at int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestImportChild$")
	c.Env = append(os.Environ(), "POSTROOM_TEST_IMPORT="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	ended := false
	for {
		b, err := r.ReadByte()
		if err != nil {
			break // it was faster: that is a moment too
		}
		ended = ended || b == 'e'
		if reading && b == 'r' || !reading && ended && b == 't' {
			if at--; at <= 0 {
				break
			}
		}
	}
	_ = c.Process.Kill()
	_, _ = io.Copy(io.Discard, r)
	_ = c.Wait()
}

// TestImportInPieces: steps that end before their rows do leave nobody out, and
// count nobody twice.
func TestImportInPieces(t *testing.T) {
	bound, look, run, names := applyBound, applyLook, runBytes, nameRunMost
	t.Cleanup(func() { applyBound, applyLook, runBytes, nameRunMost = bound, look, run, names })
	l := open(t, t.TempDir())
	var rows []post.Contact
	for i := range 1500 {
		rows = append(rows, contact(fmt.Sprintf("p%04d@x.de", i*7919%1500), fmt.Sprintf("Name %d", i%300), map[string]string{fmt.Sprint("f", i%3): "x"}))
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), "Before", false, seq(rows[:400])); err != nil {
		t.Fatal(err)
	}
	applyBound, applyLook, runBytes, nameRunMost = 0, 21, 2000, 90
	rows[10].Name = "Another"
	added, updated, unchanged, _, err := l.ImportContacts(t.Context(), "All", false, seq(rows))
	if err != nil || added != 1100 || updated != 1 || unchanged != 399 {
		t.Fatalf("%d added, %d updated, %d unchanged, %v", added, updated, unchanged, err)
	}
	var people, named, on, left int
	if err := l.r.QueryRowContext(t.Context(), placesTable+`SELECT (SELECT count(*) FROM contacts), (SELECT count(*) FROM contacts c JOIN contact_names n ON n.id = c.id AND n.name = c.name),
		(SELECT count(*) FROM places WHERE list_id = ?), (SELECT count(*) FROM imports)`, list(t, l, "All")).Scan(&people, &named, &on, &left); err != nil {
		t.Fatal(err)
	}
	if people != 1500 || named != 1500 || on != 1500 || left != 0 {
		t.Errorf("%d people, %d in the order by name, %d on the list, %d marks", people, named, on, left)
	}
	if li, err := l.ListByName(t.Context(), "All"); err != nil || li.Members != 1500 {
		t.Errorf("%+v %v", li, err)
	}
}
