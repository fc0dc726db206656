package screens_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/contacts"
	"postroom/ui/widgets"
)

// A file's columns and what would happen are shown before anything is written;
// what was not taken can be saved, mended and imported again.
func TestContactsImport(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	s.shoot("contacts-empty")
	s.wantShown("No contacts yet")
	v.Drop([]string{s.write("guests.csv", guests)})
	s.settle()
	s.shoot("import-file")
	s.tap("import.next")
	s.shoot("import-columns")
	s.wantShown("Step 2 of 4", "E-Mail", "Ort", "Graz", "上海")
	for column, want := range map[string]string{"E-Mail": "E-mail address", "Name": "Name", "Ort": "{{ort}}"} {
		if got := named[*widgets.Select](s, "import.column."+column).Selected; got != want {
			t.Errorf("%s becomes %s, want %s", column, got, want)
		}
	}
	// Another name for one, and one is left out.
	named[*widgets.Select](s, "import.column.Ort").SetSelectedIndex(3)
	named[*widgets.Entry](s, "import.field").SetText("city")
	s.press("OK")
	named[*widgets.Select](s, "import.column.Nr").SetSelectedIndex(4)
	s.tap("import.next")
	s.shoot("import-plan")
	s.wantShown("2 new, 0 updated, 0 unchanged, 2 skipped. Nothing has been written yet.", "There is more than one address in the cell", "a@example.net; b@example.net")
	if n := s.people(storage.ContactFilter{}); n != 0 {
		t.Fatalf("%d people before the user said so", n)
	}
	s.tap("import.next")
	s.shoot("import-done")
	s.wantShown("2 new, 0 updated, 0 unchanged, 2 skipped.")
	rows, _, err := s.env.Ledger.Contacts(t.Context(), storage.ContactFilter{Search: "anna"}, storage.Page{Limit: 2})
	if err != nil || len(rows) != 1 || rows[0].Fields["city"] != "Graz" || len(rows[0].Fields) != 1 {
		t.Errorf("%+v %v", rows, err)
	}
	out := filepath.Join(t.TempDir(), "mend.csv")
	s.tap("import.save_skipped")
	s.save(out)
	mend, err := os.ReadFile(out)
	if err != nil || strings.Count(string(mend), "\r\n") != 3 || !strings.Contains(string(mend), "nobody") || !strings.Contains(string(mend), "postroom_problem") {
		t.Errorf("%s %v", mend, err)
	}
	s.tap("import.next")
	if got := named[*widgets.DataGrid](s, "contacts.grid").Rows(); len(got) != 2 || s.members("guests") != 2 {
		t.Errorf("%d rows, %d on the list", len(got), s.members("guests"))
	}
	left, err := os.ReadDir(filepath.Join(s.env.Ledger.Dir(), "temp"))
	if err != nil || len(left) != 0 {
		t.Errorf("files were left behind: %v %v", left, err)
	}
	s.shoot("contacts-list")
	// The next file with this header has its columns as they were chosen.
	v.Drop([]string{s.write("more.csv", strings.Replace(guests, "anna", "bert", 1))})
	s.tap("import.next")
	s.wantShown("taken as they were")
	if got := named[*widgets.Select](s, "import.column.Ort").Selected; got != "{{city}}" {
		t.Errorf("the column was forgotten: %s", got)
	}
	v.Hide()
}

// until runs what comes back until a condition holds.
func (s *stage) until(what string, holds func() bool) {
	s.t.Helper()
	late := time.NewTimer(60 * time.Second)
	defer late.Stop()
	for !holds() {
		select {
		case f := <-s.queue:
			f()
		case <-late.C:
			s.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// save names the file in the dialog that asks where to.
func (s *stage) save(path string) {
	s.t.Helper()
	entries := s.asked(2)
	entries[0].SetText(filepath.Dir(path))
	entries[0].OnSubmitted("")
	s.settle()
	entries[1].SetText(filepath.Base(path))
	s.press("Save")
	s.settle()
}

// open names the file in the dialog that asks which one.
func (s *stage) open(path string) {
	s.t.Helper()
	e := s.asked(1)[0]
	e.SetText(path)
	e.OnSubmitted("")
	s.settle()
}

// asked returns the entries of the dialog on top, which must be so many.
func (s *stage) asked(want int) (entries []*widgets.Entry) {
	s.t.Helper()
	s.settle()
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		switch x := o.(type) {
		case *widgets.Entry:
			entries = append(entries, x)
		case *fyne.Container:
			for _, k := range x.Objects {
				walk(k)
			}
		case fyne.Widget:
			for _, k := range test.WidgetRenderer(x).Objects() {
				walk(k)
			}
		}
	}
	walk(s.win.Canvas().Overlays().Top())
	if len(entries) != want {
		s.t.Fatalf("%d entries in the dialog", len(entries))
	}
	return entries
}

// What is pasted is imported like a file, and a file without an address column
// asks which one it is.
func TestContactsPaste(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	v.Show(screens.Route{Verb: "import"})
	s.settle()
	fyne.CurrentApp().Clipboard().SetContent("Anna <anna@example.net>; bert@example.net\n")
	s.tap("import.paste")
	s.wantShown("Step 2 of 4")
	s.tap("import.back")
	s.wantShown("from the clipboard: 1 line")
	s.tap("import.next")
	s.tap("import.next")
	s.wantShown("2 new")
	s.tap("import.next")
	s.tap("import.next")
	if n := s.members("Customers"); n != 2 {
		t.Errorf("%d people", n)
	}
	v.Drop([]string{s.write("odd.csv", "A,B\nx,y\nz,w\n")})
	s.tap("import.next")
	s.wantShown("say which one it is")
	s.tap("import.next")
	s.press("OK")
	named[*widgets.Select](s, "import.column.B").SetSelectedIndex(0)
	s.tap("import.next")
	s.wantShown("2 skipped", "No row can be taken")
	if !named[*widgets.Button](s, "import.next").Disabled() {
		t.Error("nothing can be imported, and the button is on")
	}
	v.Hide()
}

// cells is what a spreadsheet puts onto the clipboard: cells between tabs, and those
// with line ends, tabs or quotation marks in quotation marks.
const cells = "E-Mail\tName\tAnschrift\tGröße\tNr\r\n" +
	"anna@example.net\t\"Anna \"\"Anni\"\" Köhler\"\t\"Hauptplatz 1\n8010 Graz\"\t\"5\"\" Rohr\"\t007\r\n" +
	"xm@example.cn\t王小明\t\"南京路\t2号\"\t\t008\r\n"

// Cells that are pasted on the table, or where the file's name belongs, open the
// assistant with their columns, and come into the book as they were.
func TestContactsPasteCells(t *testing.T) {
	for _, from := range []string{"the table", "the list of one", "the file's name"} {
		t.Run(from, func(t *testing.T) {
			s := newStage(t, words.English, theme.Light)
			s.populate()
			v := contacts.New(s.env)
			s.show(v, screens.Route{})
			s.settle()
			grid := named[*widgets.DataGrid](s, "contacts.grid")
			clip := fyne.CurrentApp().Clipboard()
			clip.SetContent(cells)
			list, before := "Customers", int64(0)
			switch from {
			case "the table":
				grid.TypedShortcut(&fyne.ShortcutPaste{Clipboard: clip})
			case "the list of one":
				list, before = "Regulars", 40
				named[*widgets.SideList](s, "contacts.lists").TypedKey(&fyne.KeyEvent{Name: fyne.KeyDown})
				s.settle()
				grid.TypedShortcut(&fyne.ShortcutPaste{Clipboard: clip})
			default:
				v.Show(screens.Route{Verb: "import"})
				s.settle()
				file := named[*widgets.Entry](s, "import.file")
				for _, path := range []string{"/home/me/my guests.csv", `C:\Users\me@home\guests.csv`} { // these are names
					clip.SetContent(path)
					file.SetText("")
					file.TypedShortcut(&fyne.ShortcutPaste{Clipboard: clip})
					s.settle()
					s.wantShown("Step 1 of 4")
					if file.Text != path {
						t.Fatalf("the file's name is %q", file.Text)
					}
				}
				clip.SetContent(cells)
				file.TypedShortcut(&fyne.ShortcutPaste{Clipboard: clip})
			}
			s.settle()
			s.wantShown("Step 2 of 4")
			s.shoot("import-pasted")
			for column, want := range map[string]string{"E-Mail": "E-mail address", "Name": "Name", "Anschrift": "{{anschrift}}", "Größe": "{{größe}}", "Nr": "{{nr}}"} {
				if got := named[*widgets.Select](s, "import.column."+column).Selected; got != want {
					t.Errorf("%s becomes %s, want %s", column, got, want)
				}
			}
			s.tap("import.next")
			s.wantShown("2 new, 0 updated, 0 unchanged, 0 skipped. Nothing has been written yet.")
			s.tap("import.next")
			s.tap("import.next")
			if n := s.members(list); n != before+2 {
				t.Errorf("%d people on %s", n, list)
			}
			rows, _, err := s.env.Ledger.Contacts(t.Context(), storage.ContactFilter{Search: "anna@"}, storage.Page{Limit: 2})
			if err != nil || len(rows) != 1 || rows[0].Name != `Anna "Anni" Köhler` || rows[0].Fields["anschrift"] != "Hauptplatz 1\n8010 Graz" || rows[0].Fields["größe"] != `5" Rohr` || rows[0].Fields["nr"] != "007" {
				t.Errorf("%+v %v", rows, err)
			}
			v.Hide()
			if left, err := os.ReadDir(filepath.Join(s.env.Ledger.Dir(), "temp")); err != nil || len(left) != 0 {
				t.Errorf("what was pasted was left behind: %v %v", left, err)
			}
		})
	}
}

// An import that is cancelled leaves the book as it was, and a file that is not
// there keeps the user where they are.
func TestContactsImportStopped(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	var b strings.Builder
	count := 60_000
	if testing.Short() { // the race detector is slow
		count = 6_000
	}
	for i := range count {
		fmt.Fprintf(&b, "p%d@example.net\n", i)
	}
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	v.Drop([]string{"/nonexistent/people.csv"})
	s.tap("import.next")
	s.wantShown("cannot be read", "Step 1 of 4")
	s.press("OK")
	named[*widgets.Entry](s, "import.file").SetText(s.write("crowd.txt", b.String()))
	s.tap("import.next")
	test.Tap(named[*widgets.Button](s, "import.next"))
	planned := s.env.Words.Number(int64(count)) + " new"
	s.until("the dry run", func() bool { return strings.Contains(s.shown(), planned) })
	next := named[*widgets.Button](s, "import.next")
	ended := func() bool { return !next.Disabled() }
	test.Tap(next)                                     // the import is on its way
	test.Tap(named[*widgets.Button](s, "import.back")) // Cancel
	s.until("the end of the import", ended)
	// Past a point it is carried out; before it nothing is.
	n, over := s.people(storage.ContactFilter{}), strings.Contains(s.shown(), "Step 4 of 4")
	if over && n != int64(count) || !over && n != 0 {
		t.Errorf("%d people after a cancelled import; carried out: %v", n, over)
	}
	if !over {
		s.wantShown("Step 3 of 4")
		test.Tap(next)
		s.until("the end of the import", ended)
	}
	s.wantShown("Step 4 of 4")
	if n := s.people(storage.ContactFilter{}); n != int64(count) {
		t.Errorf("%d people", n)
	}
	s.tap("import.next")
	v.Hide()
}
