package accounts

import (
	"context"
	"errors"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// formView is the form to add or change an account, in the place of the list.
type formView struct {
	view  *View
	id    int64 // 0: a new account
	old   post.Account
	start Form   // what it began with
	ref   string // the keyring's name for a password that is typed here
	tried bool   // the keyring may hold it, though nothing was stored

	root    *fyne.Container
	entries map[Field]*widgets.Entry
	wrong   map[Field]*widgets.Text
	mode    *widgets.Select
	auth    *widgets.Select
	place   *widgets.Select

	imapMode, copies *widgets.Select
	plus             *widgets.Check
	choose           *widgets.Button // a folder for handled reports

	command *widgets.Check
	rows    map[Field]fyne.CanvasObject
	kept    *fyne.Container // the authority that is kept
	dropCA  bool
	pinned  *fyne.Container // the one certificate that is trusted
	dropPin bool
	finder  *finder

	strip  *fyne.Container // what is in the way
	said   *widgets.Text
	ways   *widgets.Text
	aside  *widgets.Button // "use a password command"
	status *widgets.Text
	save   *widgets.Button
	cancel *widgets.Button
	stop   context.CancelFunc // nil while nothing is being stored
}

func newFormView(v *View, a *post.Account) *formView {
	f := &formView{
		view: v, start: NewForm(), ref: senders.NewSecretRef(), entries: map[Field]*widgets.Entry{},
		wrong: map[Field]*widgets.Text{}, rows: map[Field]fyne.CanvasObject{},
	}
	title := "accounts.form.new"
	if a != nil {
		f.id, f.old, f.start, title = a.ID, *a, FormOf(a), "accounts.form.edit"
		if shown := v.panel.shown; shown != nil && shown.Account.ID == a.ID {
			f.start.Plus, f.start.Copies = shown.Plus, shown.Copies
		}
	}
	env := v.env
	f.status = widgets.NewQuiet("")
	f.save = widgets.NewButton(widgets.Primary, env.T("action.save"), f.onSave)
	f.cancel = widgets.NewButton(widgets.Normal, env.T("action.cancel"), f.onCancel)
	env.IDs.Set("accounts.form.save", f.save)
	env.IDs.Set("accounts.form.cancel", f.cancel)
	head := widgets.NewHeader(env.T(title), []fyne.CanvasObject{widgets.Grow(f.status)}, f.cancel, f.save)
	f.makeStrip()
	f.finder = newFinder(f)
	left := widgets.VStack(theme.Gap, f.senderCard(), f.signInCard(), f.mailboxCard())
	right := widgets.VStack(theme.Gap, f.serverCard(), f.limitsCard())
	f.root = widgets.VStack(theme.Gap, head, f.strip, widgets.Grow(container.NewVScroll(widgets.Columns(theme.Gap, []float32{1, 1}, left, right))))
	f.fill(f.start)
	f.entries[FieldHost].OnChanged = f.finder.onHost
	return f
}

// first is the field that gets the focus.
func (f *formView) first() fyne.Focusable { return f.entries[FieldEmail] }

// changed reports whether something was typed that is not stored.
func (f *formView) changed() bool { return f.stop != nil || f.read() != f.start }

// makeStrip makes the strip for what stands in the way of storing.
func (f *formView) makeStrip() {
	env := f.view.env
	f.said = widgets.NewStrong("").Toned(theme.Attention).Wrapping()
	f.ways = widgets.NewText("").Wrapping()
	again := widgets.NewButton(widgets.Normal, env.T("action.retry"), f.onSave)
	f.aside = widgets.NewButton(widgets.Normal, env.T("accounts.use_command"), func() {
		f.command.SetChecked(true)
		f.strip.Hide()
		f.root.Refresh()
		env.Window.Canvas().Focus(f.entries[FieldCommand])
	})
	env.IDs.Set("accounts.form.retry", again)
	env.IDs.Set("accounts.form.use_command_instead", f.aside)
	f.strip = container.NewStack(widgets.NewStrip(widgets.HStack(12, widgets.Grow(widgets.VStack(4, f.said, f.ways)), again, f.aside)))
	f.strip.Hide()
}

// row is one field with its name at the left and, when something is wrong with
// it, the reason below.
func (f *formView) row(field Field, key string, control fyne.CanvasObject) fyne.CanvasObject {
	wrong := widgets.NewSmall("").Toned(theme.Bad).Wrapping()
	wrong.Hide()
	f.wrong[field] = wrong
	f.view.env.IDs.Set("accounts.form."+string(field), control)
	return f.labelled(field, key, control, wrong)
}

func (f *formView) labelled(field Field, key string, lines ...fyne.CanvasObject) fyne.CanvasObject {
	row := widgets.HStack(10, widgets.FixedWidth(120, widgets.NewQuiet(f.view.env.T(key)).Cutting()), widgets.Grow(widgets.VStack(3, lines...)))
	f.rows[field] = row
	return row
}

// entry makes the entry of a field; Enter in it saves, or in the address finds
// the server while there is none.
func (f *formView) entry(field Field, hint string) *widgets.Entry {
	e := widgets.NewEntry()
	if field == FieldPassword {
		e = widgets.NewPasswordEntry()
	}
	if hint != "" {
		e.SetPlaceHolder(f.view.env.T(hint))
	}
	e.OnSubmitted = func(string) {
		if field == FieldEmail && f.entries[FieldHost].Text == "" { // the rest can be found
			f.finder.onFind()
			return
		}
		f.onSave()
	}
	f.entries[field] = e
	return e
}

func (f *formView) senderCard() fyne.CanvasObject {
	return widgets.NewCard(f.view.env.T("accounts.form.sender"), nil, widgets.VStack(8,
		f.row(FieldEmail, "accounts.address", f.entry(FieldEmail, "accounts.hint.email")),
		f.row(FieldFromName, "accounts.from_name", f.entry(FieldFromName, "accounts.hint.from_name")),
		f.row(FieldName, "accounts.name", f.entry(FieldName, "accounts.hint.name")),
		f.finder.rows()))
}

func (f *formView) signInCard() fyne.CanvasObject {
	env := f.view.env
	names := make([]string, len(Mechanisms))
	for i, m := range Mechanisms {
		names[i] = env.T("accounts.auth." + string(m))
	}
	f.auth = widgets.NewSelect(names, func(string) { f.arrange() })
	f.command = widgets.NewCheck(env.T("accounts.use_command"), func(bool) { f.arrange() })
	env.IDs.Set("accounts.form.use_command", f.command)
	places := make([]string, len(Places))
	for i, p := range Places {
		places[i] = env.T("accounts.secret." + string(p))
	}
	f.place = widgets.NewSelect(places, func(string) { f.arrange() })
	hint := "accounts.hint.password"
	if f.old.Secret == post.SecretKeyring || f.old.Secret == post.SecretVault || f.old.Secret == post.SecretOAuth {
		hint = "accounts.hint.password_kept"
	}
	const use Field = "use_command"
	return widgets.NewCard(env.T("accounts.form.sign_in"), nil, widgets.VStack(8, f.finder.note, widgets.HStack(0, f.finder.open, widgets.Space()),
		f.row(FieldUser, "accounts.user", f.entry(FieldUser, "accounts.hint.user")),
		f.row(FieldPassword, "accounts.password", f.entry(FieldPassword, hint)),
		f.row(FieldPlace, "accounts.place", f.place),
		f.labelled(use, "", f.command),
		f.row(FieldCommand, "accounts.command", f.entry(FieldCommand, "accounts.hint.command")),
		f.row(FieldAuth, "accounts.auth", f.auth)))
}

func (f *formView) serverCard() fyne.CanvasObject {
	env := f.view.env
	names := make([]string, len(Modes))
	for i, m := range Modes {
		names[i] = env.T("accounts.tls." + string(m))
	}
	f.mode = widgets.NewSelect(names, func(string) {
		f.entries[FieldPort].SetText(PortFor(f.read().TLS, f.entries[FieldPort].Text))
	})
	path := f.entry(FieldCA, "accounts.hint.ca")
	browse := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.Picker{
			Words: env.Words, Win: env.Window, Title: env.T("accounts.authority"), Post: env.Post,
			Extensions: []string{".pem", ".crt", ".cer"}, Done: func(paths []string) { path.SetText(paths[0]) },
		}.Show()
	})
	env.IDs.Set("accounts.form.ca.browse", browse)
	drop := widgets.NewButton(widgets.Link, env.T("action.remove"), func() {
		f.dropCA = true
		f.arrange()
	})
	f.kept = widgets.HStack(8, widgets.Grow(widgets.NewSmall(env.T("accounts.authority.kept", authorityNames(f.old.CA))).Cutting()), drop)
	unpin := widgets.NewButton(widgets.Link, env.T("action.remove"), func() {
		f.dropPin = true
		f.arrange()
	})
	f.pinned = widgets.HStack(8, widgets.Grow(widgets.NewSmall(env.T("accounts.pin.kept", short(f.old.Pin))).Cutting()), unpin)
	card := widgets.VStack(8,
		f.row(FieldHost, "accounts.server", f.entry(FieldHost, "accounts.hint.host")),
		f.row(FieldTLS, "accounts.encryption", f.mode),
		f.row(FieldPort, "accounts.port", f.entry(FieldPort, "")),
		f.row(FieldCA, "accounts.authority", widgets.HStack(8, widgets.Grow(path), browse)), f.kept, f.pinned,
		f.row(FieldProxy, "accounts.proxy", f.entry(FieldProxy, "accounts.hint.proxy")))
	env.IDs.Set("accounts.form.ca", path)
	return widgets.NewCard(env.T("accounts.form.server"), nil, card)
}

func (f *formView) limitsCard() fyne.CanvasObject {
	return widgets.NewCard(f.view.env.T("accounts.limits"), nil, widgets.VStack(8,
		f.row(FieldPerMinute, "accounts.per_minute", f.entry(FieldPerMinute, "accounts.hint.limit")),
		f.row(FieldPerHour, "accounts.per_hour", f.entry(FieldPerHour, "accounts.hint.limit")),
		f.row(FieldPerDay, "accounts.per_day", f.entry(FieldPerDay, "accounts.hint.limit")),
		f.row(FieldConnections, "accounts.connections", f.entry(FieldConnections, "accounts.hint.connections")),
		f.row(FieldWeight, "accounts.weight", f.entry(FieldWeight, "accounts.hint.weight"))))
}

// texts are the fields that are plain text, and where a form has them.
func texts(f *Form) map[Field]*string {
	return map[Field]*string{
		FieldName: &f.Name, FieldEmail: &f.Email, FieldFromName: &f.FromName, FieldHost: &f.Host, FieldPort: &f.Port, FieldUser: &f.User,
		FieldPassword: &f.Password, FieldCommand: &f.Command, FieldCA: &f.CAPath, FieldPerMinute: &f.PerMinute, FieldPerHour: &f.PerHour,
		FieldPerDay: &f.PerDay, FieldConnections: &f.Connections, FieldWeight: &f.Weight, FieldProxy: &f.Proxy,
		FieldIMAPHost: &f.IMAPHost, FieldIMAPPort: &f.IMAPPort, FieldHandled: &f.Handled,
	}
}

func (f *formView) fill(form Form) {
	for i, m := range Modes {
		if m == form.TLS {
			f.mode.SetSelectedIndex(i)
		}
	}
	for i, m := range Mechanisms {
		if m == form.Auth {
			f.auth.SetSelectedIndex(i)
		}
	}
	for i, p := range Places {
		if p == form.Place {
			f.place.SetSelectedIndex(i)
		}
	}
	f.fillMailbox(form.Mailbox)
	for field, text := range texts(&form) {
		f.entries[field].SetText(*text)
	}
	f.command.SetChecked(form.UseCommand)
	f.arrange()
}

// read returns what the fields hold.
func (f *formView) read() Form {
	form := Form{
		TLS: Modes[max(0, f.mode.SelectedIndex())], Auth: Mechanisms[max(0, f.auth.SelectedIndex())],
		UseCommand: f.command.Checked, DropCA: f.dropCA, Place: Places[max(0, f.place.SelectedIndex())], DropPin: f.dropPin,
		Mailbox: f.readMailbox(),
	}
	for field, text := range texts(&form) {
		*text = f.entries[field].Text
	}
	return form
}

// arrange shows only the fields that count.
func (f *formView) arrange() {
	if f.root == nil {
		return
	}
	signIn := f.read().Auth != post.AuthNone
	show := func(on bool, fields ...Field) {
		for _, x := range fields {
			if on {
				f.rows[x].Show()
			} else {
				f.rows[x].Hide()
			}
		}
	}
	show(signIn, FieldUser, "use_command")
	show(signIn && !f.command.Checked, FieldPassword, FieldPlace)
	show(signIn && f.command.Checked, FieldCommand)
	f.pinned.Hidden = f.old.Pin == "" || f.dropPin
	f.kept.Hidden = len(f.old.CA) == 0 || f.dropCA
	f.root.Refresh()
}

// mark shows what is wrong at the fields, and puts the cursor into the first.
func (f *formView) mark(problems Problems) {
	for _, t := range f.wrong {
		set(t, "")
	}
	for i, p := range problems {
		t := f.wrong[p.Field]
		set(t, f.view.env.Words.Reason(p.Why))
		if e := f.entries[p.Field]; i == 0 && e != nil {
			f.view.env.Window.Canvas().Focus(e)
		}
	}
	f.root.Refresh()
}

func (f *formView) onSave() {
	if f.stop != nil {
		return
	}
	form, id, ref, saver := f.read(), f.id, f.ref, f.view.saver
	f.strip.Hide()
	f.finder.end()
	problems := form.Problems(&f.old)
	if f.mark(problems); len(problems) > 0 {
		return
	}
	in := form.Place == post.SecretVault && (form.Password != "" || f.old.Secret != post.SecretVault)
	out := form.Place == post.SecretKeyring && f.old.Secret == post.SecretVault && form.Password == ""
	if (in || out) && !form.UseCommand {
		f.view.withVault(func() { f.store(form, id, ref, saver) })
		return
	}
	f.store(form, id, ref, saver)
}

// store keeps the account, beside the window.
func (f *formView) store(form Form, id int64, ref string, saver Saver) {
	if f.stop != nil || f.view.form != f {
		return
	}
	env := f.view.env
	f.enable(false)
	var stored post.Account
	var keys []string
	var keysErr error
	before := f.old.Secret
	f.stop = task.Run(context.Background(), env.Post, saving{f}, func(ctx context.Context, _ task.Report) (err error) {
		if stored, err = saver.Save(ctx, id, form, ref); err == nil && id != 0 && stored.Secret != before {
			keys, keysErr = saver.MoveKeys(ctx, stored)
		}
		return err
	}, func(err error) {
		f.stop = nil
		f.enable(true)
		f.finished(stored, err)
		if err == nil {
			f.tellKeys(stored, keys, keysErr)
		}
	})
}

// tellKeys says which keys followed the password, or why they could not.
func (f *formView) tellKeys(a post.Account, keys []string, err error) {
	env := f.view.env
	switch {
	case err != nil:
		what, advice := env.Words.Error(err)
		dialogs.Tell(env.Words, env.Window, dialogs.Trouble{Title: env.T("accounts.keys.left"), What: what, Advice: advice}, nil)
	case len(keys) > 0:
		dialogs.Info(env.Words, env.Window, env.T("accounts.keys.moved"), env.T("accounts.keys.moved."+string(a.Secret), strings.Join(keys, ", ")))
	}
}

// finished is called when the account is stored, or is not.
func (f *formView) finished(a post.Account, err error) {
	env := f.view.env
	if err == nil {
		if f.tried && a.SecretRef != f.ref {
			f.forget()
		}
		f.clear()
		if f.view.form == f {
			f.view.saved(a)
		}
		return
	}
	f.tried = f.tried || post.KindOf(err) == post.KindSignIn || post.KindOf(err) == post.KindCancelled
	var problems Problems
	advice, keyring := keyringTrouble(err)
	switch {
	case errors.As(err, &problems):
		f.mark(problems)
		return
	case errors.Is(err, context.Canceled):
		return
	case keyring:
		what, _ := env.Words.Error(err)
		f.said.SetText(what)
		f.ways.SetText(env.T(advice) + " " + env.T("accounts.nothing_stored"))
	default:
		what, advice := env.Words.Error(err)
		f.said.SetText(what)
		f.ways.SetText(advice + " " + env.T("accounts.nothing_stored"))
	}
	f.aside.Hidden = !keyring
	f.strip.Show()
	f.root.Refresh()
}

// onCancel ends what is being stored, or closes the form.
func (f *formView) onCancel() {
	if f.stop != nil {
		f.cancel.Disable()
		f.stop()
		return
	}
	if f.tried {
		f.forget()
	}
	f.finder.end()
	f.clear()
	f.view.closeForm()
	f.view.Changed()
}

// forget takes a password out of the keyring that belongs to nothing stored.
func (f *formView) forget() {
	saver, ref := f.view.saver, f.ref
	screens.Load(context.Background(), f.view.env, func(ctx context.Context) (struct{}, error) {
		saver.Forget(ctx, ref)
		return struct{}{}, nil
	}, func(struct{}, error) {})
}

// clear lets go of the password.
func (f *formView) clear() { f.entries[FieldPassword].SetText("") }

func (f *formView) enable(on bool) {
	all := []fyne.Disableable{f.mode, f.auth, f.place, f.imapMode, f.copies, f.plus, f.choose, f.command, f.save, f.aside, f.finder.button}
	for _, e := range f.entries {
		all = append(all, e)
	}
	for _, d := range all {
		if on {
			d.Enable()
		} else {
			d.Disable()
		}
	}
	f.cancel.Enable()
}

// saving says that the keyring takes its time.
type saving struct{ form *formView }

var _ task.View = saving{}

func (s saving) Show(func()) {
	key := "accounts.saving"
	if form := s.form.read(); form.Password != "" && !form.UseCommand {
		key = "accounts.saving.keyring"
	}
	s.form.status.SetText(s.form.view.env.T(key))
	s.form.root.Refresh()
}

func (s saving) Report(task.Progress) {}

func (s saving) Hide() {
	s.form.status.SetText("")
	s.form.root.Refresh()
}
