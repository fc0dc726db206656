package screens_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/contacts"
	"postroom/ui/widgets"
)

// guests is a sheet with a column that means nothing to anybody, and rows that
// cannot be taken.
const guests = "E-Mail,Name,Ort,Nr\nanna@example.net,Anna,Graz,001\nnobody,X,,\n王小明 <xm@example.cn>,,上海,002\na@example.net; b@example.net,Y,,\n"

// tap presses a named button, which must be on.
func (s *stage) tap(id string) {
	s.t.Helper()
	b := named[*widgets.Button](s, id)
	if b.Disabled() {
		s.t.Fatalf("%s is switched off", id)
	}
	test.Tap(b)
	s.settle()
}

// menu presses an entry of the menu on top.
func (s *stage) menu(text string) {
	s.t.Helper()
	top := s.win.Canvas().Overlays().Top()
	if top == nil {
		s.t.Fatalf("no menu is open to press %q in", text)
	}
	o := findEntry(top, text)
	if o == nil {
		s.t.Fatalf("the menu has no entry %q", text)
	}
	o.Tapped(nil)
	s.settle()
}

// findEntry finds what can be tapped and says text.
func findEntry(o fyne.CanvasObject, text string) fyne.Tappable {
	var kids []fyne.CanvasObject
	switch x := o.(type) {
	case *fyne.Container:
		kids = x.Objects
	case fyne.Widget:
		kids = test.WidgetRenderer(x).Objects()
	}
	for _, k := range kids {
		if found := findEntry(k, text); found != nil {
			return found
		}
	}
	if t, ok := o.(fyne.Tappable); ok && strings.Contains(said(o), text) {
		return t
	}
	return nil
}

// said is all text that an object shows.
func said(o fyne.CanvasObject) string {
	var b strings.Builder
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		if !o.Visible() {
			return
		}
		switch x := o.(type) {
		case *fyne.Container:
			for _, k := range x.Objects {
				walk(k)
			}
		case *widgets.Text:
			b.WriteString(x.Text + "\n")
		case fyne.Widget:
			for _, k := range test.WidgetRenderer(x).Objects() {
				walk(k)
			}
		default:
			if c, ok := o.(*canvas.Text); ok {
				b.WriteString(c.Text + "\n")
			}
		}
	}
	walk(o)
	return b.String()
}

// shown is all text in the window and in the layers above it.
func (s *stage) shown() string {
	all := said(s.win.Content())
	for _, o := range s.win.Canvas().Overlays().List() {
		all += said(o)
	}
	return all
}

func (s *stage) wantShown(texts ...string) {
	s.t.Helper()
	all := s.shown()
	for _, text := range texts {
		if !strings.Contains(all, text) {
			s.t.Errorf("nothing says %q:\n%s", text, all)
		}
	}
}

func (s *stage) people(f storage.ContactFilter) int64 {
	s.t.Helper()
	n, err := s.env.Ledger.CountContacts(s.t.Context(), f)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) members(name string) int64 {
	s.t.Helper()
	li, err := s.env.Ledger.ListByName(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return li.Members
}

func (s *stage) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Everything is reached by Tab, from the search to the table and round again.
func TestContactsFocusOrder(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	grid := named[*widgets.DataGrid](s, "contacts.grid")
	grid.SetSelected(grid.Rows()[0].ID)
	grid.OnSelect(nil)
	names := map[fyne.Focusable]string{}
	s.env.IDs.Each(func(id string, o fyne.CanvasObject) {
		if f, ok := o.(fyne.Focusable); ok {
			names[f] = id
		}
	})
	s.win.Canvas().Focus(named[*widgets.Entry](s, "contacts.search"))
	var order []string
	for range 60 {
		s.win.Canvas().FocusNext()
		f := s.win.Canvas().Focused()
		if names[f] == "contacts.search" {
			break
		}
		if names[f] != "" {
			order = append(order, names[f])
		}
	}
	want := "contacts.new contacts.export contacts.import lists.more lists.new contacts.lists contacts.add_to contacts.suppress contacts.mail contacts.more contacts.grid"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("the order is\n%s, want\n%s", got, want)
	}
	v.Hide()
}

// Lists are made, filled from a selection, renamed, copied, merged, chosen by a
// rule, and removed; their people stay.
func TestContactsLists(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	grid, side := named[*widgets.DataGrid](s, "contacts.grid"), named[*widgets.SideList](s, "contacts.lists")
	pick := func(i int) {
		side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
		for range i {
			side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyDown})
		}
		s.settle()
	}
	if !named[*widgets.Button](s, "contacts.add_to").Disabled() {
		t.Error("nobody is selected, and they can be put on a list")
	}
	grid.SetSelected(grid.Rows()[0].ID, grid.Rows()[1].ID, grid.Rows()[2].ID)
	grid.OnSelect(nil)
	s.shoot("contacts-selected")
	s.tap("contacts.add_to")
	named[*widgets.Select](s, "lists.pick").SetSelectedIndex(1)
	named[*widgets.Entry](s, "lists.pick.name").SetText("Few")
	s.shoot("contacts-add-to")
	s.press("Add")
	s.settle()
	if n := s.members("Few"); n != 3 {
		t.Fatalf("%d on the list", n)
	}
	pick(1) // Few
	s.wantShown("Few")
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyF2})
	named[*widgets.Entry](s, "lists.name").SetText("Some")
	s.press("Save")
	s.settle()
	grid.SetSelected(grid.Rows()[0].ID)
	grid.OnSelect(nil)
	s.tap("contacts.take_off")
	s.press("Take off this list")
	s.settle()
	if n := s.members("Some"); n != 2 || s.people(storage.ContactFilter{}) != 40 {
		t.Errorf("%d on the list, %d in the book", n, s.people(storage.ContactFilter{}))
	}
	// Everybody of Regulars who is not on Some and had no mail of late.
	test.Tap(named[*widgets.Button](s, "lists.new"))
	s.shoot("lists-menu")
	s.menu("New list by a rule")
	named[*widgets.Entry](s, "rule.name").SetText("Others")
	named[*widgets.Select](s, "rule.list.Regulars").SetSelectedIndex(1)
	named[*widgets.Select](s, "rule.list.Some").SetSelectedIndex(3)
	named[*widgets.Entry](s, "rule.quiet").SetText("fourteen")
	s.press("Add")
	s.wantShown("The days are a number")
	named[*widgets.Entry](s, "rule.quiet").SetText("14")
	s.shoot("lists-rule")
	s.press("Add")
	s.settle()
	// 24 of the 40 were sent something, two of the others are on Some.
	if n := s.members("Others"); n < 10 || n > 16 {
		t.Errorf("%d chosen", n)
	}
	s.wantShown("on Regulars, not on Some, without mail from you in the last 14 days")
	s.shoot("contacts-rule")
	s.tap("lists.refresh")
	s.tap("lists.change_rule")
	named[*widgets.Entry](s, "rule.quiet").SetText("")
	s.press("Save")
	s.settle()
	if n := s.members("Others"); n != 38 {
		t.Errorf("%d chosen by the changed rule", n)
	}
	pick(3) // Others, Regulars, Some
	s.tap("lists.more")
	s.menu("Merge into another list…")
	s.press("Merge")
	s.settle()
	if _, err := s.env.Ledger.ListByName(t.Context(), "Some"); post.KindOf(err) != post.KindNotFound || s.members("Regulars") != 40 {
		t.Errorf("%v, %d", err, s.members("Regulars"))
	}
	s.tap("lists.more")
	s.menu("Copy…")
	s.press("Copy")
	s.settle()
	if n := s.members("Regulars (copy)"); n != 40 {
		t.Errorf("%d copied", n)
	}
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyDelete})
	s.press("Delete")
	s.settle()
	lists, err := s.env.Ledger.Lists(t.Context())
	if err != nil || len(lists) != 2 || s.people(storage.ContactFilter{}) != 40 {
		t.Errorf("%v %v", lists, err)
	}
	v.Hide()
}

// The whole of a list is selected, beyond the page, and acted on but for one.
func TestContactsEverything(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	var b strings.Builder
	for i := range 250 {
		b.WriteString(strings.Replace("pN@example.net\n", "N", string(rune('a'+i/26))+string(rune('a'+i%26)), 1))
	}
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	v.Drop([]string{s.write("crowd.txt", b.String())})
	for range 4 {
		s.tap("import.next")
	}
	grid := named[*widgets.DataGrid](s, "contacts.grid")
	grid.TypedShortcut(&fyne.ShortcutSelectAll{})
	grid.TypedShortcut(&fyne.ShortcutSelectAll{})
	if grid.Count() != 250 {
		t.Fatalf("%d selected", grid.Count())
	}
	s.shoot("contacts-everything")
	grid.TypedKey(&fyne.KeyEvent{Name: fyne.KeySpace})
	s.tap("contacts.suppress")
	named[*widgets.Select](s, "contacts.reason").SetSelectedIndex(0)
	s.press("Stop mailing")
	s.settle()
	if n, err := s.env.Ledger.CountSuppressions(t.Context(), 0, ""); err != nil || n != 249 {
		t.Errorf("%d are not mailed, %v", n, err)
	}
	named[*widgets.SideList](s, "contacts.lists").TypedKey(&fyne.KeyEvent{Name: fyne.KeyEnd})
	s.settle()
	s.shoot("contacts-stopped")
	s.wantShown("asked not to be mailed", "1–100 of 249")
	stopped := named[*widgets.DataGrid](s, "stopped.grid")
	named[*widgets.Entry](s, "contacts.search").SetText("PAB@")
	s.settle()
	if len(stopped.Rows()) != 1 {
		t.Fatalf("%d found", len(stopped.Rows()))
	}
	stopped.TypedShortcut(&fyne.ShortcutSelectAll{})
	s.tap("stopped.again")
	s.press("Mail them again")
	s.settle()
	s.tap("stopped.add")
	named[*widgets.Entry](s, "stopped.addresses").SetText("x@example.com\nY <y@example.com>")
	s.press("Stop mailing")
	s.settle()
	if n, err := s.env.Ledger.CountSuppressions(t.Context(), 0, ""); err != nil || n != 250 {
		t.Errorf("%d are not mailed, %v", n, err)
	}
	v.Hide()
}

// Somebody is not mailed as one of a list, is shown so there and on their page,
// and is let in again.
func TestContactsStoppedForAList(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	grid, side := named[*widgets.DataGrid](s, "contacts.grid"), named[*widgets.SideList](s, "contacts.lists")
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyDown})
	s.settle()
	grid.SetSelected(grid.Rows()[1].ID)
	grid.OnSelect(nil)
	s.tap("contacts.suppress")
	s.wantShown("1 person gets no mail from you any more, whatever list they are on")
	named[*widgets.Select](s, "contacts.suppress.where").SetSelectedIndex(1)
	s.wantShown("1 person gets no mail any more that goes to Regulars. Other mail may still go to them.")
	s.shoot("contacts-suppress-only")
	s.press("Stop mailing")
	s.settle()
	of, err := s.env.Ledger.SuppressionsOf(t.Context(), "guest01@example.org")
	if n, cerr := s.env.Ledger.CountSuppressions(t.Context(), 0, "guest01"); err != nil || cerr != nil || len(of) != 1 || n != 0 {
		t.Fatalf("%+v, %d, %v %v", of, n, err, cerr)
	}
	if got := grid.Rows()[1].Cells[3].Text; got != "not here: asked not to be mailed" {
		t.Errorf("the table says %q", got)
	}
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEnd})
	s.settle()
	named[*widgets.Select](s, "stopped.where").SetSelectedIndex(1)
	s.settle()
	s.shoot("contacts-stopped-list")
	if rows := named[*widgets.DataGrid](s, "stopped.grid").Rows(); len(rows) != 1 || rows[0].Cells[0].Text != "guest01@example.org" {
		t.Errorf("%+v", rows)
	}
	never, err := s.env.Ledger.CountSuppressions(t.Context(), 0, "")
	if err != nil {
		t.Fatal(err)
	}
	// What is added, exported and imported here is of this list alone.
	s.wantShown("Nobody here gets mail that goes to Regulars; other mail may still go to them.")
	s.tap("stopped.add")
	s.wantShown("These addresses get no mail any more that goes to Regulars.")
	named[*widgets.Entry](s, "stopped.addresses").SetText("far@example.org")
	s.press("Stop mailing")
	s.settle()
	out := filepath.Join(t.TempDir(), "stopped.csv")
	s.tap("stopped.export")
	s.press("CSV file")
	s.save(out)
	text, err := os.ReadFile(out)
	if err != nil || strings.Count(string(text), "\n") != 3 || !strings.Contains(string(text), "far@example.org") || !strings.Contains(string(text), "guest01@example.org") {
		t.Errorf("%s %v", text, err)
	}
	if err := os.WriteFile(out, []byte(strings.Replace(string(text), "far@", "near@", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tap("stopped.import")
	s.open(out)
	s.wantShown("1 address is not mailed any more; 1 were on the list already")
	s.press("OK")
	s.settle()
	if rows := named[*widgets.DataGrid](s, "stopped.grid").Rows(); len(rows) != 3 {
		t.Errorf("%+v", rows)
	}
	if n, err := s.env.Ledger.CountSuppressions(t.Context(), 0, ""); err != nil || n != never {
		t.Errorf("%d are never mailed, and %d before; %v", n, never, err)
	}
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
	s.settle()
	grid.OnOpen(grid.Rows()[1].ID)
	s.settle()
	s.wantShown("May be mailed", "Not mailed as one of Regulars: asked not to be mailed")
	s.shoot("person-stopped-list")
	s.tap("person.back")
	side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyDown})
	s.settle()
	grid.SetSelected(grid.Rows()[1].ID)
	grid.OnSelect(nil)
	s.tap("contacts.more")
	s.menu("Mail them again")
	s.press("Mail them again")
	s.settle()
	if of, err = s.env.Ledger.SuppressionsOf(t.Context(), "guest01@example.org"); err != nil || len(of) != 0 {
		t.Errorf("%+v %v", of, err)
	}
	v.Hide()
}

// A person is made, changed, looked at with every message to them, and erased
// with an account of what went.
func TestContactsPerson(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	s.tap("contacts.new")
	named[*widgets.Entry](s, "person.address").SetText("guest00@example.org")
	s.tap("person.save")
	s.wantShown("Somebody else in the address book has the address")
	s.press("OK")
	named[*widgets.Entry](s, "person.address").SetText("zoe@example.org")
	named[*widgets.Entry](s, "person.name").SetText("Zoë")
	s.tap("person.field.add")
	named[*widgets.Entry](s, "person.field.name").SetText("Shoe size")
	named[*widgets.Entry](s, "person.field.value").SetText("041")
	s.shoot("person-new")
	s.tap("person.save")
	rows, _, err := s.env.Ledger.Contacts(t.Context(), storage.ContactFilter{Search: "zoë"}, storage.Page{Limit: 2})
	if err != nil || len(rows) != 1 || rows[0].Fields["shoe_size"] != "041" {
		t.Fatalf("%+v %v", rows, err)
	}
	s.tap("person.back")
	named[*widgets.Entry](s, "contacts.search").SetText("guest05")
	s.settle()
	grid := named[*widgets.DataGrid](s, "contacts.grid")
	grid.OnOpen(grid.Rows()[0].ID)
	s.settle()
	s.shoot("person")
	s.wantShown("Winter opening hours", "Regulars")
	s.tap("person.suppress")
	if where := named[*widgets.Select](s, "contacts.suppress.where"); len(where.Options) != 2 || where.Options[1] != "only mail to the list Regulars" {
		t.Errorf("%q may be stopped for a person of one list", where.Options)
	}
	s.press("Stop mailing")
	s.settle()
	s.wantShown("Is not mailed: asked not to be mailed", "from: you")
	messages := named[*widgets.DataGrid](s, "person.messages")
	messages.OnOpen(messages.Rows()[0].ID)
	if s.route.Screen != screens.History || s.route.ID != messages.Rows()[0].ID {
		t.Errorf("%+v", s.route)
	}
	// What is written is not lost on the way back.
	named[*widgets.Entry](s, "person.field.city").SetText("Bonn")
	s.tap("person.back")
	s.press("Save")
	s.settle()
	rows, _, err = s.env.Ledger.Contacts(t.Context(), storage.ContactFilter{Search: "bonn"}, storage.Page{Limit: 2})
	if err != nil || len(rows) != 1 || rows[0].Fields["city"] != "Bonn" {
		t.Fatalf("%+v %v", rows, err)
	}
	named[*widgets.Entry](s, "contacts.search").SetText("guest05")
	s.settle()
	grid.OnOpen(grid.Rows()[0].ID)
	s.settle()
	s.tap("person.erase")
	s.press("Erase")
	s.settle()
	s.shoot("person-erased")
	s.wantShown("1 person removed from the address book and 1 list(s)", "1 message emptied", "1 person stays not mailed")
	s.press("OK")
	if n := s.people(storage.ContactFilter{}); n != 40 {
		t.Errorf("%d people", n)
	}
	v.Hide()
}

// A mailing is begun to a selection, and what is selected is copied and exported.
func TestContactsUsed(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := contacts.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	grid := named[*widgets.DataGrid](s, "contacts.grid")
	grid.SetSelected(grid.Rows()[0].ID, grid.Rows()[1].ID)
	grid.OnSelect(nil)
	grid.TypedShortcut(&fyne.ShortcutCopy{})
	s.settle()
	if got := fyne.CurrentApp().Clipboard().Content(); got != "guest00@example.org\tAnna Köhler\nguest01@example.org\t王小明\n" {
		t.Errorf("copied %q", got)
	}
	s.tap("contacts.mail")
	named[*widgets.Entry](s, "contacts.mail.name").SetText("Two")
	s.press("Write")
	s.settle()
	if s.route.Screen != screens.Mailings || s.route.Draft == 0 || s.members("Two") != 2 {
		t.Errorf("%+v", s.route)
	}
	d, err := s.env.Ledger.Draft(t.Context(), s.route.Draft)
	if err != nil || len(d.Lists) != 1 || len(d.Accounts) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	for button, ext := range map[string]string{"CSV file": ".csv", "Excel workbook": ".xlsx"} {
		out := filepath.Join(t.TempDir(), "out"+ext)
		s.tap("contacts.export")
		s.press(button)
		s.save(out)
		info, err := os.Stat(out)
		if err != nil || info.Size() < 500 {
			t.Errorf("%s: %v", ext, err)
		}
	}
	v.Hide()
}

// Every step is drawn in both languages, light and dark, and says nothing by key.
func TestContactsInWords(t *testing.T) {
	for _, style := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(style.lang), func(t *testing.T) {
			s := newStage(t, style.lang, style.mode)
			look := func(name string) {
				t.Helper()
				s.settle()
				s.shoot("book-" + name + "-" + string(style.lang))
				for _, word := range strings.Fields(s.shown()) {
					for _, room := range []string{"contacts.", "lists.", "stopped.", "suppression.", "grid.", "action."} {
						if strings.HasPrefix(word, room) && !strings.Contains(word, "…") {
							t.Errorf("%s says %s", name, word)
						}
					}
				}
			}
			v := contacts.New(s.env)
			s.show(v, screens.Route{})
			look("empty")
			v.Drop([]string{s.write("guests.csv", guests)})
			look("import-file")
			for _, name := range []string{"import-columns", "import-plan", "import-result", "list"} {
				test.Tap(named[*widgets.Button](s, "import.next"))
				look(name)
			}
			s.populate()
			grid, side := named[*widgets.DataGrid](s, "contacts.grid"), named[*widgets.SideList](s, "contacts.lists")
			v.Show(screens.Route{})
			side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
			s.settle()
			grid.SetSelected(grid.Rows()[1].ID, grid.Rows()[2].ID)
			grid.OnSelect(nil)
			look("selected")
			close := func() { s.win.Canvas().OnTypedKey()(&fyne.KeyEvent{Name: fyne.KeyEscape}) }
			for _, id := range []string{"contacts.add_to", "contacts.suppress", "contacts.mail"} {
				test.Tap(named[*widgets.Button](s, id))
				look(strings.TrimPrefix(id, "contacts."))
				close()
			}
			test.Tap(named[*widgets.Button](s, "contacts.more"))
			look("menu")
			s.win.Canvas().Overlays().Remove(s.win.Canvas().Overlays().Top())
			side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEnd})
			look("stopped")
			test.Tap(named[*widgets.Button](s, "stopped.add"))
			look("stopped-add")
			close()
			side.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
			s.settle()
			grid.OnOpen(grid.Rows()[5].ID)
			look("person")
			v.Hide()
		})
	}
}
