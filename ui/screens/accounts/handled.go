package accounts

import (
	"context"
	"errors"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/post"
	"postroom/receipts"
	"postroom/ui/dialogs"
	"postroom/ui/widgets"
)

// FieldHandled is the folder for handled reports.
const FieldHandled Field = "handled"

// setHandled puts the folder for handled reports into an account, and tells what
// is wrong with it.
func (m Mailbox) setHandled(a *post.Account, bad func(Field, string, ...string)) {
	a.HandledFolder = strings.TrimSpace(m.Handled)
	if a.HandledFolder != "" && a.IMAPHost == "" {
		bad(FieldHandled, "accounts.wrong.handled_mailbox")
		return
	}
	var why *post.Error
	if errors.As(receipts.CheckHandledFolder(a.HandledFolder), &why) {
		bad(FieldHandled, why.Reason.Key, why.Reason.Args...)
	}
}

// handledRow is the field with the rule below it, and a way to choose among the
// folders of a mailbox that is known already.
func (f *formView) handledRow() fyne.CanvasObject {
	env := f.view.env
	entry := f.entry(FieldHandled, "accounts.hint.handled")
	f.choose = widgets.NewButton(widgets.Normal, env.T("accounts.handled.choose"), f.onChoose)
	f.choose.Hidden = f.old.IMAPHost == "" || env.Folders == nil
	env.IDs.Set("accounts.form.handled.choose", f.choose)
	row := f.row(FieldHandled, "accounts.handled", widgets.HStack(8, widgets.Grow(entry), f.choose))
	env.IDs.Set("accounts.form.handled", entry)
	const rule Field = "handled_rule"
	return widgets.VStack(4, row, f.labelled(rule, "", widgets.NewSmall(env.T("accounts.handled.rule")).Wrapping()))
}

// onChoose asks the server for its folders.
func (f *formView) onChoose() {
	if f.stop != nil {
		return
	}
	if f.old.Secret == post.SecretVault {
		f.view.withVault(f.listFolders)
		return
	}
	f.listFolders()
}

func (f *formView) listFolders() {
	env, a := f.view.env, f.old
	var names []string
	f.choose.Disable()
	dialogs.Work(env.Words, env.Window, env.Post, env.T("accounts.handled.listing"), func(ctx context.Context, _ func(done, total int64)) (err error) {
		names, err = env.Folders(ctx, a)
		return err
	}, func(err error) {
		f.choose.Enable()
		switch {
		case f.view.form != f, errors.Is(err, context.Canceled):
		case err != nil:
			dialogs.Error(env.Words, env.Window, err)
		case len(names) == 0:
			dialogs.Info(env.Words, env.Window, env.T("accounts.handled"), env.T("accounts.handled.no_folders"))
		default:
			f.offer(names)
		}
	})
}

// offer lets one of the server's folders be chosen.
func (f *formView) offer(names []string) {
	env := f.view.env
	choice := widgets.NewSelect(names, func(string) {})
	for i, name := range names {
		if name == f.entries[FieldHandled].Text {
			choice.SetSelectedIndex(i)
		}
	}
	env.IDs.Set("accounts.handled.folder", choice)
	body := widgets.VStack(8, widgets.NewQuiet(env.T("accounts.handled.which")).Wrapping(), choice)
	dialogs.Form(env.Words, env.Window, env.T("accounts.handled"), env.T("action.choose"), body, choice, func() string {
		f.entries[FieldHandled].SetText(choice.Selected)
		return ""
	})
}
