package contacts

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"

	"postroom/assets/theme"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// page is one of the things that the screen can show.
type page interface {
	object() fyne.CanvasObject
	show()
	hide()
	changed()
}

// View is the screen Contacts.
type View struct {
	env   *screens.Env
	stack *fyne.Container
	book  *bookPage
	page  page
}

var (
	_ screens.Screen  = (*View)(nil)
	_ screens.Dropper = (*View)(nil)
	_ screens.Closer  = (*View)(nil)
)

const pageSize = 100

// find is the shortcut that goes to the search.
var find = &desktop.CustomShortcut{KeyName: fyne.KeyF, Modifier: fyne.KeyModifierShortcutDefault}

// paste is the shortcut that takes in people from the clipboard.
var paste = &fyne.ShortcutPaste{}

// New returns the contacts, empty until they are shown.
func New(env *screens.Env) *View {
	v := &View{env: env, stack: container.NewStack()}
	v.book = newBookPage(v)
	return v
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.stack)
}

// Show starts to load. A person's page or an import that was left stays.
func (v *View) Show(r screens.Route) {
	v.env.Window.Canvas().AddShortcut(find, func(fyne.Shortcut) {
		if v.page == page(v.book) && v.env.Window.Canvas().Overlays().Top() == nil {
			v.env.Window.Canvas().Focus(v.book.search)
		}
	})
	v.env.Window.Canvas().AddShortcut(paste, func(fyne.Shortcut) { v.onPaste() })
	switch {
	case r.Verb == "import":
		v.startImport("", everybody)
	case r.ID != 0:
		v.openPerson(r.ID)
	case v.page != nil:
		v.turn(v.page)
	default:
		v.turn(v.book)
	}
}

// onPaste begins an import of what is on the clipboard, from the table or from the
// assistant's first step.
func (v *View) onPaste() {
	if v.env.Window.Canvas().Overlays().Top() != nil {
		return
	}
	if v.page == page(v.book) {
		v.startImport("", v.book.list())
	}
	if p, ok := v.page.(*importPage); ok && p.busy == nil && p.step == stepFile {
		p.onPaste()
	}
}

func (v *View) turn(p page) {
	if v.page != nil {
		v.page.hide()
	}
	v.page = p
	v.stack.Objects = []fyne.CanvasObject{p.object()}
	v.stack.Refresh()
	p.show()
}

// Hide drops what is under way.
func (v *View) Hide() {
	v.env.Window.Canvas().RemoveShortcut(find)
	v.env.Window.Canvas().RemoveShortcut(paste)
	if v.page != nil {
		v.page.hide()
	}
}

// Drop begins an import of the first file.
func (v *View) Drop(paths []string) { v.startImport(paths[0], v.book.list()) }

// Changed reads again what is shown.
func (v *View) Changed() {
	if v.page != nil {
		v.page.changed()
	}
}

// Close keeps what was written on a person's page.
func (v *View) Close(done func()) {
	if p, ok := v.page.(*personPage); ok {
		p.close(done)
		return
	}
	done()
}

// back returns to the table.
func (v *View) back() {
	v.turn(v.book)
	if v.book.showsTable() {
		v.env.Window.Canvas().Focus(v.book.grid)
	}
}

// saveFile asks for a file to write, with a suggested name.
func (v *View) saveFile(title, name string, do func(path string)) {
	v.ask(dialogs.Picker{Title: title, Pick: dialogs.NewFile, Name: name}, do)
}

// openFile asks for a file to read.
func (v *View) openFile(title string, do func(path string)) {
	v.ask(dialogs.Picker{Title: title, Pick: dialogs.OneFile}, do)
}

func (v *View) ask(p dialogs.Picker, do func(path string)) {
	p.Words, p.Win, p.Post = v.env.Words, v.env.Window, v.env.Post
	p.Done = func(paths []string) { do(paths[0]) }
	p.Show()
}

// run carries out a change that may take its time, with progress and Cancel, and
// reads everything again, whatever came of it: what was done before an error
// stays done. then runs where it went well and may be nil.
func (v *View) run(title string, work func(ctx context.Context, tell report) error, then func()) {
	env := v.env
	dialogs.Work(env.Words, env.Window, env.Post, title, func(ctx context.Context, tell func(done, total int64)) error {
		return work(ctx, tell)
	}, func(err error) {
		v.book.again()
		v.Changed()
		switch {
		case err == nil && then != nil:
			then()
		case err != nil && !isCancelled(err):
			dialogs.Error(env.Words, env.Window, err)
		}
	})
}

// quiet is run for what takes no longer than a blink.
func (v *View) quiet(work func(ctx context.Context) error, then func()) {
	v.run(v.env.T("progress.working"), func(ctx context.Context, _ report) error { return work(ctx) }, then)
}
