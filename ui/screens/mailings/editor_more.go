package mailings

import (
	"context"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// moreMenu offers what is not done with every mailing.
func (e *editor) moreMenu(at fyne.CanvasObject) {
	env := e.v.env
	item := func(key string, do func()) *fyne.MenuItem { return fyne.NewMenuItem(env.T(key), do) }
	items := []*fyne.MenuItem{
		item("composer.menu.test", e.askTest), item("composer.menu.checks", e.showChecks), item("composer.menu.links", e.tryLinks), e.receiptItem(), e.priorityItem(), fyne.NewMenuItemSeparator(),
		item("composer.menu.gallery", e.askGallery), item("composer.menu.template", e.askTemplate), fyne.NewMenuItemSeparator(),
		item("composer.menu.import", e.askImport), item("composer.menu.export", e.askExport), item("composer.menu.outside", e.editOutside),
	}
	c := env.Window.Canvas()
	pos := fyne.CurrentApp().Driver().AbsolutePositionForObject(at)
	widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), c, pos.AddXY(0, at.Size().Height))
}

// askTemplate keeps a copy of the draft to begin others with.
func (e *editor) askTemplate() {
	env := e.v.env
	name := widgets.NewEntry()
	name.SetText(plainName(e.draft.Content.Subject))
	env.IDs.Set("compose.template.name", name)
	body := widgets.VStack(12, widgets.NewQuiet(env.T("composer.template.why")).Wrapping(), name)
	dialogs.Form(env.Words, env.Window, env.T("composer.template.title"), env.T("action.save"), body, name, func() string {
		d := e.written()
		d.Name = strings.TrimSpace(name.Text)
		if d.Name == "" {
			return env.T("composer.template.noname")
		}
		screens.Load(e.ctx, env, func(ctx context.Context) (struct{}, error) { return struct{}{}, saveTemplate(ctx, e, d) }, func(_ struct{}, err error) {
			dialogs.Error(env.Words, env.Window, err)
		})
		return ""
	})
}

// saveTemplate stores a template, in the place of one of that name.
func saveTemplate(ctx context.Context, e *editor, d post.Draft) error {
	l := e.v.env.Ledger
	drafts, err := l.Drafts(ctx)
	if err != nil {
		return err
	}
	d.ID, d.Template, d.Held = 0, true, 0
	d.Lists, d.To, d.Rows = nil, nil, ""
	for _, x := range drafts {
		if x.Template && x.Name == d.Name {
			d.ID = x.ID
		}
	}
	_, err = l.SaveDraft(ctx, d)
	return err
}

// askImport takes the message from a file.
func (e *editor) askImport() {
	env := e.v.env
	dialogs.PickFile(env.Words, env.Window, env.T("composer.import.title"), importable, e.importFile)
}

func (e *editor) importFile(path string) {
	env := e.v.env
	screens.Load(e.ctx, env, func(ctx context.Context) (compose.Imported, error) { return ImportMessage(ctx, env.Ledger, path) }, func(in compose.Imported, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		e.takeImported(in)
		if len(in.Removed) > 0 {
			dialogs.List(env.Words, env.Window, env.T("composer.import.cleaned"), env.T("composer.import.cleaned.why"), in.Removed)
		}
	})
}

// askExport writes the mailing as a folder.
func (e *editor) askExport() {
	env := e.v.env
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, plainName(e.draft.Content.Subject))
	if name == "" {
		name = env.T("mailings.untitled")
	}
	dialogs.SaveFile(env.Words, env.Window, env.T("composer.export.title"), name, func(path string) {
		d := e.written()
		dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.export.title"), func(ctx context.Context, _ func(done, total int64)) error {
			return ExportMailing(ctx, env.Ledger, d, path)
		}, func(err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			dialogs.Info(env.Words, env.Window, env.T("composer.export.title"), env.T("composer.export.done", filepath.Base(path)))
		})
	})
}

// takeImported puts what came from a file in the place of what is there. A design
// that is one of ours is put on anew, in the account's own colours.
func (e *editor) takeImported(in compose.Imported) {
	d := draftOf(in.Content)
	e.edit(func() { e.draft.Look = d.Look })
	e.promo.SetChecked(in.Promotional)
	if d.Content.ReplyTo != "" {
		e.replyTo.SetText(d.Content.ReplyTo)
	}
	e.takeContent(d.Content)
}
