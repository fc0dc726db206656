package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/post"
)

func TestBackupAndRestorePauseEverything(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	ctx := t.Context()
	a := account(t, l, "a")
	sum, size, err := l.Put(ctx, strings.NewReader("hello"))
	if err != nil || size != 5 {
		t.Fatal(err)
	}
	m := enqueue(t, l, post.Live, a, 2)
	file := filepath.Join(t.TempDir(), "backup.zip")
	if err := l.Backup(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := l.Backup(ctx, file); post.KindOf(err) != post.KindConflict {
		t.Errorf("an existing file was replaced: %v", err)
	}
	to := t.TempDir()
	other := open(t, to)
	account(t, other, "other")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, to, file, Options{}); err != nil {
		t.Fatal(err)
	}
	r := open(t, to)
	got, err := r.Mailing(ctx, m.ID)
	if err != nil || got.Hold != post.MailingPaused || got.Reason.Key != "mailing.restored" || got.Counts[post.StateQueued] != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	if ds := claim(t, r, a, 5); len(ds) != 0 {
		t.Errorf("a restored ledger sends: %+v", ds)
	}
	f, err := r.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil || string(b) != "hello" {
		t.Error(string(b), err)
	}
	wantSound(t, r)
	kept, _ := filepath.Glob(filepath.Join(to, "backups", "before-restore-*", FileName))
	if len(kept) != 1 {
		t.Errorf("the old ledger was not kept: %v", kept)
	}
	// Damaged and foreign files change nothing.
	for name, content := range map[string]string{"text.zip": "hello", "empty.zip": ""} {
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(ctx, t.TempDir(), p, Options{}); post.KindOf(err) != post.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenRefusesWhatIsNotALedger(t *testing.T) {
	write := func(t *testing.T, content []byte) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("not a database", func(t *testing.T) {
		junk := []byte(strings.Repeat("this is no database ", 500))
		dir := write(t, junk)
		_, err := Open(t.Context(), dir, Options{})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v", err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, FileName)); string(b) != string(junk) {
			t.Error("the file was changed")
		}
	})
	t.Run("of another program", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		if err := l.write(t.Context(), "", func(x *Tx) error { _, err := x.exec("PRAGMA application_id = 7"); return err }); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%v", err)
		}
	})
	t.Run("newer", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		if err := l.write(t.Context(), "", func(x *Tx) error {
			_, err := x.exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "newer Postroom") {
			t.Errorf("%v", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		enqueue(t, l, post.Live, account(t, l, "a"), 3000)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, FileName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 8192; i < len(b)-100; i += 4096 {
			copy(b[i:], strings.Repeat("\xff", 64))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l2, err := Open(t.Context(), dir, Options{})
		if err == nil {
			var problems []string
			problems, err = l2.Check(t.Context())
			if len(problems) > 0 {
				err = ErrCorrupt
			}
			if cerr := l2.Close(); cerr != nil && err == nil {
				err = cerr
			}
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("damage went unnoticed: %v", err)
		}
	})
}

func TestLockIsExclusive(t *testing.T) {
	dir := t.TempDir()
	a, err := TryLock(dir)
	if err != nil || a == nil {
		t.Fatal(err)
	}
	if b, err := TryLock(dir); err != nil || b != nil {
		t.Fatal("two locks", err)
	}
	if err := a.Unlock(); err != nil {
		t.Fatal(err)
	}
	b, err := TryLock(dir)
	if err != nil || b == nil {
		t.Fatal("not free again", err)
	}
	if err := b.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 10)
	if err := l.write(ctx, "", func(x *Tx) error {
		var n int64
		if err := x.scan("PRAGMA page_count", nil, &n); err != nil {
			return err
		}
		_, err := x.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "big", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, people(9000))
	if !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	if err := l.write(ctx, "", func(x *Tx) error { _, err := x.exec("PRAGMA max_page_count = 1000000"); return err }); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Mailing(ctx, m.ID); err != nil || got.Counts[post.StateQueued] != 10 {
		t.Errorf("%+v %v", got, err)
	}
	wantSound(t, l)
}

// Many at once share commits and none fails for another's error.
func TestGroupCommit(t *testing.T) {
	l := open(t, t.TempDir())
	errs := make(chan error)
	bad := errors.New("mine alone")
	for i := range 200 {
		go func() {
			errs <- l.write(context.Background(), "x", func(t *Tx) error {
				if i%10 == 3 {
					return bad
				}
				return t.setSetting(fmt.Sprintf("k%d", i), "v")
			})
		}()
	}
	failed := 0
	for range 200 {
		switch err := <-errs; {
		case errors.Is(err, bad):
			failed++
		case err != nil:
			t.Error(err)
		}
	}
	m, err := l.Settings(t.Context())
	if err != nil || failed != 20 || len(m) != 180 {
		t.Errorf("%d failed, %d kept, %v", failed, len(m), err)
	}
}

// Closing a ledger that is still being written to answers every writer.
func TestCloseAnswersEverybody(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for i := range 100 {
		go func() { errs <- l.SetSetting(context.Background(), fmt.Sprint("k", i), "v") }()
	}
	w := l.w
	w.stop()
	for range 100 {
		if err := <-errs; err != nil && !errors.Is(err, errClosed) {
			t.Error(err)
		}
	}
	if err := errors.Join(w.conn.Close(), l.closeHandles()); err != nil {
		t.Log("closing after the writer was stopped by hand:", err)
	}
}

// A ledger that is closed says so to whoever still writes, and closes once.
func TestClosedLedgerRefuses(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.SetSetting(t.Context(), "k", "v"); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
