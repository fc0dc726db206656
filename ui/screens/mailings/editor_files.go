package mailings

import (
	"context"
	"path/filepath"
	"slices"

	"fyne.io/fyne/v2"

	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// attach adds files to the draft.
func (e *editor) attach(paths []string) {
	env := e.v.env
	screens.Load(e.ctx, env, func(context.Context) ([]post.Attachment, error) {
		var all []post.Attachment
		for _, p := range paths {
			a, err := attachmentOf(p)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	}, func(all []post.Attachment, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		e.edit(func() {
			for _, a := range all {
				same := func(b post.Attachment) bool { return b.Path == a.Path && b.CID == "" }
				if !slices.ContainsFunc(e.draft.Content.Attachments, same) {
					e.draft.Content.Attachments = append(e.draft.Content.Attachments, a)
				}
			}
		})
		e.showFiles()
	})
}

func (e *editor) showFiles() {
	env := e.v.env
	e.files.Objects = nil
	for i, a := range e.draft.Content.Attachments {
		e.file(screens.Short(a.Name, 28)+"  "+env.Words.Size(a.Size), func() {
			e.draft.Content.Attachments = slices.Delete(e.draft.Content.Attachments, i, i+1)
		})
	}
	if c := e.draft.Content.AttachColumn; c != "" {
		e.file(env.T("composer.own_file", c), func() {
			e.draft.Content.AttachColumn, e.draft.Content.AttachRoot, e.draft.Content.AttachAs = "", "", ""
		})
	}
	e.addFile = widgets.NewButton(widgets.Link, "+ "+env.T("action.attach"), func() {
		dialogs.PickFiles(env.Words, env.Window, env.T("action.attach"), e.attach)
	})
	own := widgets.NewButton(widgets.Link, env.T("composer.own_file.add"), e.askOwnFiles)
	env.IDs.Set("compose.attach", e.addFile)
	env.IDs.Set("compose.own_file", own)
	e.files.Add(e.addFile)
	e.files.Add(own)
	e.files.Refresh()
}

// file shows one file with a button that takes it away.
func (e *editor) file(name string, remove func()) {
	x := widgets.NewButton(widgets.Flat, "✕", func() {
		e.edit(remove)
		e.showFiles()
	})
	x.Small, x.Hint = true, e.v.env.T("action.remove")
	e.files.Add(widgets.NewSmall(name))
	e.files.Add(x)
}

// askOwnFiles gives each recipient the file that a column names, from one folder.
func (e *editor) askOwnFiles() {
	env := e.v.env
	c := &e.draft.Content
	column := widgets.NewSelect(e.fields(), nil)
	if i := slices.Index(column.Options, c.AttachColumn); i >= 0 {
		column.SetSelectedIndex(i)
	}
	folder, as := widgets.NewEntry(), widgets.NewEntry()
	folder.SetText(c.AttachRoot)
	folder.SetPlaceHolder(env.T("composer.own_file.folder"))
	as.SetText(c.AttachAs)
	as.SetPlaceHolder(env.T("composer.own_file.as.hint"))
	browse := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.PickFolder(env.Words, env.Window, env.T("composer.own_file.folder"), folder.SetText)
	})
	env.IDs.Set("compose.own_file.column", column)
	env.IDs.Set("compose.own_file.folder", folder)
	field := func(key string, o fyne.CanvasObject) fyne.CanvasObject {
		return widgets.VStack(4, widgets.NewSmall(env.T(key)), o)
	}
	body := widgets.VStack(12, widgets.NewQuiet(env.T("composer.own_file.why")).Wrapping(), field("composer.own_file.column", column),
		field("composer.own_file.folder", widgets.HStack(8, widgets.Grow(folder), browse)), field("composer.own_file.as", as))
	dialogs.Form(env.Words, env.Window, env.T("composer.own_file.add"), env.T("action.apply"), body, nil, func() string {
		if column.Selected == "" || !filepath.IsAbs(folder.Text) {
			return env.T("composer.own_file.wrong")
		}
		e.edit(func() {
			c.AttachColumn, c.AttachRoot, c.AttachAs = column.Selected, filepath.Clean(folder.Text), as.Text
		})
		e.showFiles()
		return ""
	})
}
