package mailings

import (
	"context"

	"fyne.io/fyne/v2/container"

	"postroom/assets/designs"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// Start is what a message can begin with: a starter design, or a template of the
// user's own.
type Start struct {
	Name  string // as it is called
	Look  string // of a starter design; empty: the plain page
	Draft post.Draft
	Parts []widgets.LetterPart // how it reads
}

// LoadStarts lists the plain page, the starter designs and the user's templates,
// each with how it reads for somebody.
func LoadStarts(ctx context.Context, l *storage.Ledger, w *words.Catalogue, accounts []int64, sender string) ([]Start, error) {
	all := []Start{{Name: w.T("composer.gallery.plain")}}
	for _, name := range designs.Names() {
		s, err := designs.Start(name, string(w.Lang()), sender)
		if err != nil {
			return nil, err
		}
		d := post.Draft{Accounts: accounts, Look: name, Content: post.Content{Subject: s.Subject, Preview: s.Preview, Body: s.Body, Format: post.FormatMarkdown}}
		all = append(all, Start{Name: w.T("design." + name), Look: name, Draft: d})
	}
	drafts, err := l.Drafts(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range drafts {
		if d.Template {
			d.Accounts = accounts
			all = append(all, Start{Name: d.Name, Look: d.Look, Draft: d})
		}
	}
	p := &proof{ledger: l}
	defer p.close()
	for i := range all {
		d := all[i].Draft
		d.Lists, d.To, d.Rows = nil, nil, ""
		if d.Content.Body == "" {
			continue
		}
		s, err := p.sample(ctx, d, 1)
		if err != nil {
			return nil, err
		}
		all[i].Parts = s.Parts
	}
	return all, nil
}

// askGallery lets the user choose a look, and a text to begin with.
func (e *editor) askGallery() {
	env := e.v.env
	sender := ""
	if e.choices != nil {
		for _, a := range e.choices.Accounts {
			if len(e.draft.Accounts) > 0 && a.ID == e.draft.Accounts[0] {
				sender = a.FromName
			}
		}
	}
	accounts := e.draft.Accounts
	screens.Load(e.ctx, env, func(ctx context.Context) ([]Start, error) {
		return LoadStarts(ctx, env.Ledger, env.Words, accounts, sender)
	}, func(all []Start, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		newGallery(e, all)
	})
}

// Gallery shows the designs and templates above the composer, where that is open.
func (v *View) Gallery() {
	if e, ok := v.page.(*editor); ok {
		e.askGallery()
	}
}

// gallery is the dialog with the looks at the left and how one reads at the right.
type gallery struct {
	e      *editor
	all    []Start
	at     int
	grid   *widgets.DataGrid
	letter *widgets.Letter
	title  *widgets.Text
	dialog *dialogs.Dialog
}

func newGallery(e *editor, all []Start) *gallery {
	env := e.v.env
	g := &gallery{e: e, all: all, at: min(1, len(all)-1), letter: widgets.NewLetter(), title: widgets.NewStrong("").Wrapping()}
	g.grid = widgets.NewDataGrid(env.Words, widgets.Column{Key: "name", Title: env.T("composer.gallery.name"), Width: 200, Grow: 1})
	rows := make([]widgets.Row, len(all))
	for i, s := range all {
		rows[i] = widgets.Row{ID: int64(i + 1), Cells: []widgets.Cell{{Text: s.Name}}}
		if s.Look == e.draft.Look && s.Look != "" && !s.Draft.Template {
			g.at = i
		}
	}
	g.grid.SetPage(rows, 1, int64(len(rows)))
	g.grid.OnSelect = func(ids []int64) {
		if len(ids) > 0 {
			g.show(int(ids[len(ids)-1] - 1))
		}
	}
	g.grid.OnOpen = func(id int64) {
		g.show(int(id - 1))
		g.take(true)
	}
	g.grid.SetSelected(int64(g.at + 1))
	env.IDs.Set("gallery.grid", g.grid)
	both := widgets.NewButton(widgets.Primary, env.T("composer.gallery.text"), func() { g.take(true) })
	look := widgets.NewButton(widgets.Normal, env.T("composer.gallery.look"), func() { g.take(false) })
	cancel := widgets.NewButton(widgets.Normal, env.T("action.cancel"), func() { g.dialog.Close() })
	env.IDs.Set("gallery.text", both)
	env.IDs.Set("gallery.look", look)
	page := widgets.NewPlainCard(widgets.Inset(12, 12, 12, 14, container.NewVScroll(widgets.Inset(0, 12, 0, 0, widgets.VStack(8, g.title, widgets.NewDivider(), g.letter)))))
	body := widgets.Columns(12, []float32{2, 3}, widgets.NewPlainCard(g.grid), page)
	g.show(g.at)
	g.dialog = dialogs.Show(env.Window, dialogs.Options{
		Title: env.T("composer.gallery.title"), Body: body, Buttons: []*widgets.Button{cancel, look, both}, Default: both, Width: 860, Tall: true, First: g.grid,
	})
	return g
}

func (g *gallery) show(i int) {
	if i < 0 || i >= len(g.all) {
		return
	}
	g.at = i
	g.title.SetText(g.all[i].Draft.Content.Subject)
	g.letter.Set(g.all[i].Parts)
	if g.dialog != nil {
		g.dialog.Refresh()
	}
}

// take puts the look, and with text its words too, into the composer. Words that
// are there are replaced as one step that can be taken back.
func (g *gallery) take(text bool) {
	s, e := g.all[g.at], g.e
	g.dialog.Close()
	e.edit(func() {
		e.draft.Look = s.Look
		if e.draft.Content.Format == post.FormatText || s.Look != "" && e.draft.Content.Format != post.FormatMarkdown {
			e.draft.Content.Format = post.FormatMarkdown
		}
	})
	if text && s.Draft.Content.Body != "" {
		e.takeContent(s.Draft.Content)
		return
	}
	e.fillFormat()
	e.preview()
}

// takeContent puts words and files from elsewhere in the place of what is there.
func (e *editor) takeContent(c post.Content) {
	old := e.body.Text()
	e.edit(func() {
		e.draft.Content.Format, e.draft.Content.Text = c.Format, c.Text
		e.draft.Content.Attachments = append(e.draft.Content.Attachments[:0:0], c.Attachments...)
	})
	e.fillFormat()
	if c.Subject != "" {
		e.subject.SetText(c.Subject)
	}
	if c.Preview != "" {
		e.behind.SetText(c.Preview)
	}
	e.body.Replace(0, len([]rune(old)), c.Body)
	e.body.Select(0, 0)
	e.showFiles()
	e.preview()
}

// fillFormat shows the format of the draft, and its tools.
func (e *editor) fillFormat() {
	e.quiet = true
	defer func() { e.quiet = false }()
	for i, f := range formats {
		if f == e.draft.Content.Format {
			e.format.SetSelectedIndex(i)
		}
	}
}
