package cli_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// shop is a data folder for the real command, with one person in the book.
type shop struct {
	t    *testing.T
	data string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t, filepath.Join(t.TempDir(), "data")}
	if out, errs, code := s.run("contacts", "import", s.file("one.csv", "email,name\nold@example.com,Old\n"), "--list", "Old"); code != 0 {
		t.Fatal(out, errs)
	}
	return s
}

func (s *shop) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// command is postroom in a process of its own.
func (s *shop) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(s.t.Context(), "postroom", append([]string{"--json", "--data", s.data}, args...)...)
	c.Env = append(os.Environ(), "TEST_KEYRING=", "TZ=UTC")
	return c
}

func (s *shop) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	c := s.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// wantUntouched looks whether the book is as it was, and whether anything of the
// file was left behind.
func (s *shop) wantUntouched() {
	s.t.Helper()
	out, _, _ := s.run("contacts", "list")
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, `"address":"old@example.com"`) || !strings.Contains(out, `"lists":["Old"]`) {
		s.t.Errorf("the book was changed: %s", out)
	}
	if out, _, _ = s.run("contacts", "lists", "show"); strings.Contains(out, "New") {
		s.t.Errorf("a list was made: %s", out)
	}
	if out, _, code := s.run("check"); code != 0 {
		s.t.Errorf("check: %s", out)
	}
	for _, dir := range []string{"imports", "temp"} {
		left, err := os.ReadDir(filepath.Join(s.data, dir))
		if err != nil && !os.IsNotExist(err) || len(left) > 0 {
			s.t.Errorf("left behind in %s: %v, %v", dir, left, err)
		}
	}
}

// packed makes a zip file of so many entries; claimed, where not 0, is the size that
// their headers tell.
func packed(t *testing.T, entries int, content []byte, claimed uint32) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range entries {
		name := "xl/workbook.xml"
		if i > 0 {
			name = fmt.Sprintf("xl/worksheets/sheet%d.xml", i)
		}
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	all := b.Bytes()
	if claimed != 0 {
		claim(all, "", claimed)
	}
	return string(all)
}

// claim makes the directory of a zip file, which readers go by, tell another size of
// the entries whose names begin so.
func claim(all []byte, name string, size uint32) {
	for at := 0; ; at += 4 {
		i := bytes.Index(all[at:], []byte("PK\x01\x02"))
		if i < 0 {
			return
		}
		at += i
		if bytes.HasPrefix(all[at+46:], []byte(name)) {
			binary.LittleEndian.PutUint32(all[at+24:], size)
		}
	}
}

// lyingSheet is a good workbook whose sheet unpacks to more than is told.
func lyingSheet(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "lying.xlsx")
	writeRows(t, path, 50_000)
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	claim(all, "xl/worksheets/", 1000)
	return string(all)
}

// withPassword makes a workbook that asks for one.
func withPassword(t *testing.T) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	if err := f.SetSheetRow("Sheet1", "A1", &[]any{"email"}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Write(&b, excelize.Options{Password: "geheim"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRefusedFiles: each file that is beyond a limit, or no table of people, is
// refused as a whole by the real command, with a message that says why, whatever
// good rows it begins with; the book and the folder stay as they were.
func TestRefusedFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("processes one after the other: nothing for the race detector")
	}
	const good = "email,name\nnew@example.com,New\n"
	for _, tc := range []struct {
		name, file, words string
		make              func(t *testing.T) string
		dry               bool
	}{
		{name: "a row of 257 columns", file: "wide.csv", make: func(*testing.T) string { return good + "a@x.de" + strings.Repeat(",x", 256) + "\n" }, words: "Row 3 has more than 256 columns"},
		{name: "2,000,001 rows", file: "long.csv", make: func(*testing.T) string { return "email\n" + strings.Repeat("a@x.de\n", 2_000_001) }, words: "more than 2,000,000 rows"},
		{name: "a PNG", file: "people.csv", make: func(*testing.T) string { return "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + good }, words: "picture"},
		{name: "a web page", file: "people.csv", make: func(*testing.T) string { return "<!DOCTYPE html>\n<table><tr><td>a@x.de</td></tr></table>" }, words: "web page"},
		{name: "an empty file", file: "people.csv", make: func(*testing.T) string { return "" }, words: "empty"},
		{name: "a workbook with a password", file: "people.xlsx", make: withPassword, words: "has a password"},
		{name: "a zip bomb of 10,001 entries", file: "people.xlsx", make: func(t *testing.T) string { return packed(t, 10_001, []byte("<x/>"), 0) }, words: "unpack to far more than a sheet needs"},
		{name: "a zip bomb by its ratio", file: "people.xlsx", make: func(t *testing.T) string { return packed(t, 2, make([]byte, 64<<20), 0) }, words: "unpack to far more than a sheet needs"},
		{name: "a zip bomb of more than 2 GB", file: "people.xlsx", make: func(t *testing.T) string { return packed(t, 200, []byte("x"), 11<<20) }, words: "unpack to far more than a sheet needs"},
		{name: "a sheet that lies about its size", file: "people.xlsx", make: lyingSheet, words: "damaged"},
		{name: "a row of 257 columns, dry", file: "wide.csv", dry: true, make: func(*testing.T) string { return good + "a@x.de" + strings.Repeat(",x", 256) + "\n" }, words: "Row 3 has more than 256 columns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t)
			args := []string{"contacts", "import", s.file(tc.file, tc.make(t)), "--list", "New"}
			if tc.dry {
				args = append(args, "--dry-run")
			}
			s.wantRefused(args, tc.words)
		})
	}
	t.Run("more than 200 MB", func(t *testing.T) {
		s := newShop(t)
		path := s.file("large.csv", good)
		if err := os.Truncate(path, 200<<20+1); err != nil {
			t.Fatal(err)
		}
		s.wantRefused([]string{"contacts", "import", path, "--list", "New"}, "200 MB")
	})
	t.Run("a file that grows while it is read", func(t *testing.T) {
		s := newShop(t)
		path := s.file("busy.csv", "email,name\n"+strings.Repeat("new@example.com,New\n", 500_000))
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		stop, stopped := make(chan struct{}), make(chan error)
		go func() { // whatever moment the reading begins and ends at, something is written in between
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if _, err := f.WriteString("x"); err != nil {
					<-stop
					stopped <- err
					return
				}
			}
		}()
		s.wantRefused([]string{"contacts", "import", path, "--list", "New"}, "changed while it was read")
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
	})
}

func (s *shop) wantRefused(args []string, words string) {
	s.t.Helper()
	out, errs, code := s.run(args...)
	var told struct{ Error string }
	if err := json.Unmarshal([]byte(errs), &told); err != nil || code != 2 || out != "" || !strings.Contains(strings.ToLower(told.Error), strings.ToLower(words)) {
		s.t.Errorf("exit %d, %q, %q; want exit 2 and %q (%v)", code, out, errs, words, err)
	}
	s.wantUntouched()
}

// TestRowsBeyondLimits: what is wrong with one row is told of that row, and the
// others come in.
func TestRowsBeyondLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("a process: nothing for the race detector")
	}
	s := newShop(t)
	path := s.file("rows.csv", "email,name,note\n"+
		"long@example.com,"+strings.Repeat("x", 1<<20)+",\n"+ // 2: a row over 1 MB
		"cell@example.com,C,"+strings.Repeat("x", 32<<10+1)+"\n"+ // 3: a cell over 32 KB
		"full@example.com,F,"+strings.Repeat("x", 32<<10)+"\n"+ // 4: one that is not
		"nul@example.com,N\x00ul,a\x07b\n"+ // 5: cleaned
		"bad\x00@example.com,B,\n"+ // 6: no address
		"good@example.com,G,\n")
	out, errs, code := s.run("contacts", "import", path, "--list", "New")
	var rep struct {
		Read, Added, Skipped int
		Problems             []struct {
			Row            int
			Column, Reason string
		}
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 0 {
		t.Fatal(out, errs, code, err)
	}
	if rep.Read != 6 || rep.Added != 3 || rep.Skipped != 3 {
		t.Errorf("%+v", rep)
	}
	var told []string
	for _, p := range rep.Problems {
		told = append(told, fmt.Sprintf("%d %s: %s", p.Row, p.Column, p.Reason))
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{"2 : The row is longer than 1 MB", "3 note: The cell is longer than 32 KB", "5 name: ", "5 note: ", "6 email: "} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q:\n%s", want, all)
		}
	}
	out, _, _ = s.run("contacts", "list", "--list", "New")
	if strings.Count(out, "\n") != 3 || !strings.Contains(out, `"name":"Nul"`) || !strings.Contains(out, `"note":"ab"`) {
		t.Errorf("%.2000s", out)
	}
}

// TestSoakWorkbook: an honest sheet of 1,000,000 rows is no bomb.
func TestSoakWorkbook(t *testing.T) {
	if os.Getenv("POSTROOM_SOAK") == "" {
		t.Skip("SKIPPED: POSTROOM_SOAK is not set; this takes minutes")
	}
	const rows = 1_000_000
	s := newShop(t)
	path := filepath.Join(t.TempDir(), "million.xlsx")
	writeRows(t, path, rows)
	c := s.command("contacts", "import", path, "--list", "New")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, io.Discard
	if err := c.Run(); err != nil || !strings.Contains(out.String(), fmt.Sprintf(`"read":%d,"added":%d,`, rows, rows)) {
		t.Fatalf("%.2000s, %v", out.String(), err)
	}
	peak := peakMB(c.ProcessState)
	t.Logf("%d MB at most, %v of processor", peak, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
	if peak > 300 {
		t.Errorf("it took %d MB", peak)
	}
	left, err := os.ReadDir(filepath.Join(s.data, "temp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func writeRows(t *testing.T, path string, rows int) {
	t.Helper()
	f := excelize.NewFile()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows + 1 {
		row := []any{fmt.Sprintf("user%d@example%d.com", i, i%100), "Anna Köhler", "Berlin", i, "likes tulips, roses"}
		if i == 0 {
			row = []any{"email", "name", "city", "zip", "note"}
		}
		cell, err := excelize.CoordinatesToCellName(1, i+1)
		if err == nil {
			err = w.SetRow(cell, row)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
