package practice

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

func TestNothingIsWrittenOutside(t *testing.T) {
	parent := t.TempDir()
	trap := startTrap(t, Options{Dir: filepath.Join(parent, "a", "caught")})
	c := signIn(t, trap)
	ids := []string{
		"<../../evil@example.com>", `<..\..\evil@example.com>`, "</etc/passwd@example.com>", "<..@x>", "<.@x>", "<...@x>",
		"<CON@x>", "<a:b@x>", "<%2e%2e%2fevil@x>", "<\x01\x02@x>", "<" + strings.Repeat("long/", 150) + "@x>",
		"<a@b/../../../c>", "no brackets at all", "<>", "<@>", "<~/.bashrc@x>", "<üñï@x>", "< @x>", "<a\tb@x>",
		".catching-x.part", "<.eml@x>",
	}
	for i, id := range ids {
		if _, err := send(c, eml(id, "x")); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		if id != "<>" {
			if f, ok := trap.Find(id); !ok || filepath.Dir(f.Path) != trap.Dir() {
				t.Errorf("%q: found %+v, %v", id, f, ok)
			}
		}
		if n := len(files(t, trap.Dir())); n != i+1 {
			t.Fatalf("%q: %d files after %d messages: one replaced another", id, n, i+1)
		}
	}
	if all := files(t, parent); len(all) != len(ids) {
		t.Errorf("outside of the folder: %v", all)
	}
	for _, name := range files(t, trap.Dir()) {
		if strings.ContainsAny(name, `/\:%<>" `) || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ext) || len(name) > 120 {
			t.Errorf("file name %q", name)
		}
	}
	if trap.Caught() != int64(len(ids)) {
		t.Errorf("Caught = %d", trap.Caught())
	}
}

func TestLinkInTheFolderIsReplacedNotFollowed(t *testing.T) {
	trap := startTrap(t, Options{})
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, Path(trap.Dir(), "<l@x>")); err != nil {
		t.Fatal(err)
	}
	if _, err := send(signIn(t, trap), eml("<l@x>", "x")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "mine" {
		t.Errorf("the linked file holds %q, %v", got, err)
	}
}

func TestSameMessageIDReplacesAndCounts(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	for _, body := range []string{"one", "two", "three"} {
		if _, err := send(c, eml("<same@x>", body)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := send(c, eml("<SAME@x>", "other")); err != nil { // ids are exact
		t.Fatal(err)
	}
	f, ok := trap.Find("same@x")
	if !ok || f.Copies != 3 {
		t.Errorf("found %+v, %v", f, ok)
	}
	if got, err := os.ReadFile(f.Path); err != nil || !strings.HasSuffix(strings.TrimSpace(string(got)), "three") {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if f, ok := trap.Find("<SAME@x>"); !ok || f.Copies != 1 {
		t.Errorf("found %+v, %v", f, ok)
	}
	if _, ok := trap.Find("<never@x>"); ok {
		t.Error("found what was never sent")
	}
	if trap.Caught() != 4 {
		t.Errorf("Caught = %d", trap.Caught())
	}
}

func TestFoldedMessageID(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	msg := "Subject: about\r\n Message-ID: <no@x>\r\nmessage-id:\r\n <folded@x>\r\n\r\nMessage-ID: <body@x>\r\n"
	if _, err := send(c, msg); err != nil {
		t.Fatal(err)
	}
	if _, ok := trap.Find("<folded@x>"); !ok {
		t.Errorf("the folder holds %v", files(t, trap.Dir()))
	}
	for range 2 { // without an id each is a message of its own
		if _, err := send(c, "Subject: none\r\n\r\nMessage-ID: <body@x>\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(files(t, trap.Dir())); n != 3 {
		t.Errorf("%d files, want 3", n)
	}
}

// badDisk writes up to a point and then fails as the system would.
type badDisk struct {
	*os.File
	write, sync error
}

func (b badDisk) Write(p []byte) (int, error) {
	if b.write != nil {
		n, _ := b.File.Write(p[:len(p)/2])
		return n, b.write
	}
	return b.File.Write(p)
}

func (b badDisk) Sync() error { return b.sync }

func TestDiskTrouble(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for name, tc := range map[string]struct {
		create, write, sync error
		code                int
		enhanced            smtp.EnhancedCode
	}{
		"full at create": {create: full, code: 452, enhanced: smtp.EnhancedCode{4, 3, 1}},
		"full at write":  {write: full, code: 452, enhanced: smtp.EnhancedCode{4, 3, 1}},
		"full at sync":   {sync: full, code: 452, enhanced: smtp.EnhancedCode{4, 3, 1}},
		"quota":          {write: syscall.EDQUOT, code: 452, enhanced: smtp.EnhancedCode{4, 3, 1}},
		"broken":         {sync: syscall.EIO, code: 451, enhanced: smtp.EnhancedCode{4, 3, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			trap := startTrap(t, Options{})
			good := trap.store.create
			trap.store.create = func(n string) (file, error) {
				if tc.create != nil {
					return nil, tc.create
				}
				f, err := good(n)
				if err != nil {
					return nil, err
				}
				return badDisk{f.(*os.File), tc.write, tc.sync}, nil
			}
			c := signIn(t, trap)
			_, err := send(c, eml("<d@x>", "x"))
			wantCode(t, err, tc.code, tc.enhanced)
			if all := files(t, trap.Dir()); len(all) != 0 || trap.Caught() != 0 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
}

func TestCutOffMessageLeavesNothing(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	if err := c.Mail("a@x", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@x", nil); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, eml("<cut@x>", strings.Repeat("line\r\n", 50_000))); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := trap.Close(); err != nil { // waits for the connection's end
		t.Fatal(err)
	}
	if all := files(t, trap.Dir()); len(all) != 0 || trap.Caught() != 0 {
		t.Errorf("left behind: %v", all)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old, fresh, own := filepath.Join(dir, ".catching-OLD.part"), filepath.Join(dir, ".catching-NEW.part"), filepath.Join(dir, "notes.part")
	for _, p := range []string{old, fresh, own} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-48 * time.Hour)
	for _, p := range []string{old, own} {
		if err := os.Chtimes(p, then, then); err != nil {
			t.Fatal(err)
		}
	}
	startTrap(t, Options{Dir: dir})
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("left: %v, want the fresh one and the user's own", got)
	}
}
