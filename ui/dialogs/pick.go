package dialogs

import (
	"os"
	"path/filepath"
	"time"

	"fyne.io/fyne/v2"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/ui/widgets"
)

// Pick is what is asked for with a Picker.
type Pick uint8

// The picks.
const (
	OneFile   Pick = iota
	ManyFiles      // with a check box each
	OneFolder
	NewFile // a name to save under
)

// Picker asks for files. There is an entry for a path, so that the mouse is
// never needed, and a list to pick from.
type Picker struct {
	Words *words.Catalogue
	Win   fyne.Window
	Title string
	Pick  Pick
	// Folder is where to begin; empty: the home folder.
	Folder string
	// Name is suggested for a NewFile.
	Name string
	// Extensions limits the list, e.g. ".csv"; none: all files.
	Extensions []string
	// Done is given absolute paths, at least one. It is not called on Cancel.
	Done func(paths []string)
	// Post runs a function on the window's goroutine; nil: fyne.Do.
	Post func(func())
}

// PickFiles asks for any number of files.
func PickFiles(w *words.Catalogue, win fyne.Window, title string, done func(paths []string)) *Dialog {
	return Picker{Words: w, Win: win, Title: title, Pick: ManyFiles, Done: done}.Show()
}

// PickFile asks for one file with one of the extensions; none: any.
func PickFile(w *words.Catalogue, win fyne.Window, title string, extensions []string, done func(path string)) *Dialog {
	return Picker{
		Words: w, Win: win, Title: title, Extensions: extensions, Done: func(paths []string) { done(paths[0]) },
	}.Show()
}

// PickFolder asks for a folder.
func PickFolder(w *words.Catalogue, win fyne.Window, title string, done func(path string)) *Dialog {
	return Picker{Words: w, Win: win, Title: title, Pick: OneFolder, Done: func(paths []string) { done(paths[0]) }}.Show()
}

// SaveFile asks for a file to write, with a suggested name, and whether one that
// is there may be replaced.
func SaveFile(w *words.Catalogue, win fyne.Window, title, name string, done func(path string)) *Dialog {
	return Picker{
		Words: w, Win: win, Title: title, Pick: NewFile, Name: name, Done: func(paths []string) { done(paths[0]) },
	}.Show()
}

// picking is a Picker that is shown.
type picking struct {
	Picker
	dialog *Dialog
	filter filter
	shown  listing
	wanted string // the folder being read; answers about others are stale

	path   *widgets.Entry
	name   *widgets.Entry // of a NewFile
	grid   *widgets.DataGrid
	said   *widgets.Text
	choose *widgets.Button
}

// Show shows the picker.
func (p Picker) Show() *Dialog { return p.start().dialog }

func (p Picker) start() *picking {
	if p.Post == nil {
		p.Post = fyne.Do
	}
	w := p.Words
	k := &picking{Picker: p, filter: filter{extensions: p.Extensions, folders: p.Pick == OneFolder}}
	k.path = widgets.NewEntry()
	k.path.SetPlaceHolder(w.T("file.path"))
	k.path.OnSubmitted = func(string) { k.goTyped() }
	k.path.OnChanged = func(string) { k.update() }
	up := widgets.NewIconButton(icons.Up, w.T("file.up"), func() { k.open(filepath.Dir(k.shown.path)) })
	home := widgets.NewIconButton(icons.Home, w.T("file.home"), func() { k.open(startFolder("")) })
	hidden := widgets.NewCheck(w.T("file.hidden"), func(on bool) { k.filter.hidden = on; k.open(k.shown.path) })
	k.grid = widgets.NewDataGrid(w,
		widgets.Column{Key: "name", Title: w.T("file.name"), Width: 240, Grow: 1},
		widgets.Column{Key: "size", Title: w.T("file.size"), Width: 80, Align: fyne.TextAlignTrailing},
		widgets.Column{Key: "changed", Title: w.T("file.changed"), Width: 150})
	k.grid.OnOpen = func(id int64) { k.enter(k.shown.entries[id-1]) }
	k.grid.OnSelect = func([]int64) { k.onSelect() }
	k.said = widgets.NewSmall("").Cutting()
	k.choose = widgets.NewButton(widgets.Primary, w.T("action.choose"), k.finish)
	rows := widgets.VStack(10, widgets.HStack(4, widgets.Grow(k.path), up, home),
		widgets.Grow(widgets.NewPlainCard(k.grid)), widgets.HStack(12, widgets.Grow(k.said), hidden))
	var first fyne.Focusable = k.path
	if p.Pick == NewFile {
		k.choose.SetText(w.T("action.save"))
		k.name = widgets.NewEntry()
		k.name.SetText(p.Name)
		k.name.OnChanged = func(string) { k.update() }
		rows.Add(widgets.HStack(12, widgets.NewQuiet(w.T("file.name")), widgets.Grow(k.name)))
		first = k.name
	}
	cancel := widgets.NewButton(widgets.Normal, w.T("action.cancel"), func() { k.dialog.Close() })
	k.dialog = Show(p.Win, Options{
		Title: k.title(), Body: rows, Buttons: []*widgets.Button{cancel, k.choose}, Default: k.choose,
		First: first, Width: 680, Tall: true,
	})
	k.open(startFolder(p.Folder))
	return k
}

func (k *picking) title() string {
	if k.Title != "" {
		return k.Title
	}
	return k.Words.T(map[Pick]string{
		OneFile: "file.choose_one", ManyFiles: "file.choose", OneFolder: "file.choose_folder", NewFile: "file.save",
	}[k.Pick])
}

// open reads a folder, off the window's goroutine: a disk may be far away.
func (k *picking) open(path string) {
	k.wanted = path
	k.grid.SetLoading(true)
	f := k.filter
	go func() {
		l, err := list(path, f)
		k.Post(func() {
			if k.dialog.Open() && k.wanted == path {
				k.show(l, err)
			}
		})
	}()
}

func (k *picking) show(l listing, err error) {
	if err != nil {
		k.grid.SetLoading(false)
		k.wanted = k.shown.path
		k.say(theme.Bad, k.Words.T(pathWords(err)))
		return
	}
	k.shown = l
	k.path.SetText(l.path)
	now := time.Now() // only for the year: the zone is that of the machine, as file managers show it
	rows := make([]widgets.Row, len(l.entries))
	for i, e := range l.entries {
		name, size := widgets.Cell{Text: e.name}, k.Words.Size(e.size)
		if e.folder {
			name, size = widgets.Cell{Text: e.name + string(filepath.Separator), Bold: true}, ""
		}
		rows[i] = widgets.Row{ID: int64(i + 1), Cells: []widgets.Cell{
			name, {Text: size, Tone: theme.Quiet}, {Text: k.Words.Moment(e.changed, now), Tone: theme.Quiet},
		}}
	}
	k.grid.SetSelected()
	k.grid.SetPage(rows, 1, int64(len(rows)))
	k.update()
}

func (k *picking) say(tone theme.Tone, text string) {
	k.said.Tone = tone
	k.said.Text = text
	k.said.Refresh()
}

// files returns the paths of what is selected and fits what is asked for.
func (k *picking) files() []string {
	var out []string
	for _, id := range k.grid.Selected() {
		e := k.shown.entries[id-1]
		if e.folder == (k.Pick == OneFolder) {
			out = append(out, filepath.Join(k.shown.path, e.name))
		}
	}
	return out
}

// onSelect keeps one row where only one is asked for.
func (k *picking) onSelect() {
	if ids := k.grid.Selected(); k.Pick != ManyFiles && len(ids) > 1 {
		k.grid.SetSelected(k.grid.Current())
	}
	if files := k.files(); k.Pick == NewFile && len(files) == 1 {
		k.name.SetText(filepath.Base(files[0]))
	}
	k.update()
}

// typed reports whether the entry holds another path than that of the folder
// that is shown.
func (k *picking) typed() bool {
	return k.Pick != NewFile && k.shown.path != "" && expand(k.path.Text, k.shown.path) != k.shown.path
}

// update says what is chosen, and switches the button.
func (k *picking) update() {
	n := len(k.files())
	ready := n > 0
	text := k.Words.T("file.none")
	switch {
	case k.Pick == NewFile:
		ready, text = k.name.Text != "", ""
	case k.typed():
		ready, text = true, "" // the entry counts
	case k.Pick == OneFolder:
		ready, text = true, "" // none selected: the one that is shown
	case n > 0:
		text = k.Words.N("file.chosen", int64(n))
	case k.shown.more > 0:
		text = k.Words.N("file.more", int64(k.shown.more))
	case len(k.shown.entries) == 0:
		text = k.Words.T("file.empty")
	}
	k.say(theme.Quiet, text)
	if ready {
		k.choose.Enable()
	} else {
		k.choose.Disable()
	}
}

// enter opens a folder, or takes a file.
func (k *picking) enter(e entry) {
	path := filepath.Join(k.shown.path, e.name)
	if e.folder {
		k.open(path)
		return
	}
	k.take(path)
}

// goTyped follows the path entry: into a folder, or it takes the file.
func (k *picking) goTyped() {
	path := expand(k.path.Text, k.shown.path)
	if path == k.shown.path && k.Pick != OneFile && len(k.files()) > 0 {
		k.finish()
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && k.Pick == NewFile:
		k.take(path)
	case err != nil:
		k.say(theme.Bad, k.Words.T(pathWords(err)))
	case info.IsDir():
		k.open(path)
	default:
		k.take(path)
	}
}

// finish is the button: what is selected, named or shown.
func (k *picking) finish() {
	if k.typed() {
		k.goTyped()
		return
	}
	switch k.Pick {
	case NewFile:
		k.take(filepath.Join(k.shown.path, filepath.Base(k.name.Text)))
	case OneFolder:
		if dirs := k.files(); len(dirs) > 0 {
			k.take(dirs[0])
			return
		}
		k.take(k.shown.path)
	default:
		if files := k.files(); len(files) > 0 {
			k.take(files...)
		}
	}
}

// take ends the dialog with paths, after a question where one would be
// replaced.
func (k *picking) take(paths ...string) {
	done := func() {
		if k.dialog.Open() {
			k.dialog.Close()
			k.Done(paths)
		}
	}
	if k.Pick != NewFile {
		done()
		return
	}
	if _, err := os.Stat(paths[0]); err == nil {
		Confirm(k.Words, k.Win, k.title(), k.Words.T("file.exists", filepath.Base(paths[0])), k.Words.T("action.replace"), done)
		return
	}
	done()
}
