package accounts

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// Discover looks for the settings of an address; trace is told of each place
// from the goroutine that looks.
type Discover func(ctx context.Context, address string, trace func(senders.Look)) (senders.Discovery, error)

func discoverHere(ctx context.Context, address string, trace func(senders.Look)) (senders.Discovery, error) {
	d := senders.Discoverer{Trace: trace}
	return d.Discover(ctx, address)
}

// LookSteps says in words where settings were looked for. current is where they
// are being looked for now, empty when the search has ended.
func LookSteps(w *words.Catalogue, looks []senders.Look, current senders.Source) []widgets.Step {
	steps := make([]widgets.Step, 0, len(senders.Sources))
	for _, l := range looks {
		step := widgets.Step{Title: w.T("discover.step." + string(l.Source)), State: widgets.StepNothing, Advice: w.Reason(l.Result), Detail: strings.Join(l.Tried, "\n")}
		if l.Found {
			step.State = widgets.StepOK
		}
		if l.Result.Raw != "" {
			step.State = widgets.StepFailed
			step.Detail += "\n" + l.Result.Raw
		}
		steps = append(steps, step)
	}
	if current != "" {
		steps = append(steps, widgets.Step{Title: w.T("discover.step." + string(current)), State: widgets.StepRunning})
	}
	return steps
}

// finder is the part of the form that fills it in from the address. What it
// finds is shown in the form's own fields, where the user sees and can change
// it; the password is typed after that.
type finder struct {
	form   *formView
	button *widgets.Button
	result *widgets.Text
	steps  *widgets.StepList
	note   *widgets.Text // where to make the password; stands beside that
	open   *widgets.Button
	page   string // the provider's page about it, which open shows
	looks  []senders.Look
	filled map[Field]string   // what was filled in and may be replaced by the next search
	stop   context.CancelFunc // nil while nothing is looked for
	run    int                // counts searches, so that none speaks for a later one
}

func newFinder(f *formView) *finder {
	env := f.view.env
	d := &finder{
		form: f, result: widgets.NewText("").Wrapping(), steps: widgets.NewStepList(env.Words),
		note: widgets.NewText("").Wrapping(), filled: map[Field]string{},
	}
	d.button = widgets.NewButton(widgets.Normal, env.T("accounts.find"), d.onFind)
	env.IDs.Set("accounts.form.find", d.button)
	d.open = widgets.NewButton(widgets.Link, env.T("settings.signin.console"), d.onOpen)
	env.IDs.Set("accounts.form.page", d.open)
	for _, o := range []fyne.CanvasObject{d.result, d.steps, d.note, d.open} {
		o.Hide()
	}
	return d
}

// rows is what stands below the address.
func (d *finder) rows() fyne.CanvasObject {
	const find Field = "find"
	return d.form.labelled(find, "", widgets.VStack(10, widgets.HStack(0, d.button), d.result, d.steps))
}

// onFind begins a search, or ends the one that runs.
func (d *finder) onFind() {
	if d.stop != nil {
		d.button.Disable()
		d.button.SetText(d.form.view.env.T("progress.cancelling"))
		d.stop()
		return
	}
	f := d.form
	env, address, discover := f.view.env, strings.TrimSpace(f.entries[FieldEmail].Text), f.view.discover
	if _, err := post.ParseAddress(address); err != nil {
		key := "accounts.wrong.email"
		if address == "" {
			key = "accounts.find.address"
		}
		f.mark(Problems{{FieldEmail, post.Reason{Key: key}}})
		return
	}
	f.mark(nil)
	d.run++
	run := d.run
	d.looks = nil
	d.button.SetText(env.T("action.stop"))
	d.advise(post.Reason{}, "", false)
	d.say(theme.Quiet, env.T("accounts.find.working"))
	var found senders.Discovery
	d.stop = task.Run(context.Background(), env.Post, nil, func(ctx context.Context, _ task.Report) (err error) {
		found, err = discover(ctx, address, func(l senders.Look) { env.Post(func() { d.looked(run, l) }) })
		return err
	}, func(err error) {
		if d.run == run {
			d.ended(found, err)
		}
	})
}

// end drops a search whose result nobody wants any more.
func (d *finder) end() {
	if d.stop == nil {
		return
	}
	d.stop()
	d.run++
	d.ended(senders.Discovery{}, context.Canceled)
}

// looked is told before and after each place.
func (d *finder) looked(run int, l senders.Look) {
	if d.run != run || d.stop == nil {
		return
	}
	current := l.Source
	if l.Result.Key != "" {
		d.looks, current = append(d.looks, l), ""
	}
	d.show(LookSteps(d.form.view.env.Words, d.looks, current))
}

func (d *finder) ended(found senders.Discovery, err error) {
	env := d.form.view.env
	d.stop = nil
	d.button.Enable()
	d.button.SetText(env.T("accounts.find"))
	steps := LookSteps(env.Words, found.Looks, "")
	if found.Proposal != nil {
		for i := range steps[:len(steps)-1] { // so that the password stays in sight
			steps[i].Advice, steps[i].Detail = "", ""
		}
	}
	d.show(steps)
	switch p := found.Proposal; {
	case errors.Is(err, context.Canceled):
		d.say(theme.Quiet, env.T("accounts.find.stopped"))
	case err != nil:
		what, _ := env.Words.Error(err)
		d.say(theme.Bad, what)
	case p == nil:
		d.say(theme.Attention, env.T("accounts.find.none"))
		env.Window.Canvas().Focus(d.form.entries[FieldHost])
	default:
		d.fill(p)
	}
}

// fill puts what was found into the form.
func (d *finder) fill(p *senders.Proposal) {
	f := d.form
	env := f.view.env
	found, mailbox := env.T("accounts.find.found", net.JoinHostPort(p.Host, strconv.Itoa(p.Port))), ""
	if m := p.Mailbox; m != nil {
		mailbox = m.Host
		found += " " + env.T("accounts.find.mailbox", m.Host)
	}
	d.say(theme.Good, found)
	for i, m := range Modes {
		if m == p.TLS {
			f.mode.SetSelectedIndex(i)
		}
	}
	f.entries[FieldHost].SetText(p.Host)
	f.entries[FieldPort].SetText(strconv.Itoa(p.Port))
	for field, text := range map[Field]string{
		FieldIMAPHost: mailbox, FieldUser: p.User, FieldPerMinute: number(p.Limits.PerMinute), FieldPerHour: number(p.Limits.PerHour), FieldPerDay: number(p.Limits.PerDay),
	} {
		// What the user typed stays.
		if e := f.entries[field]; e.Text == d.filled[field] {
			e.SetText(text)
			d.filled[field] = text
		}
	}
	if m := p.Mailbox; m != nil && f.entries[FieldIMAPHost].Text == m.Host {
		for i, mode := range Modes {
			if mode == m.TLS {
				f.imapMode.SetSelectedIndex(i)
			}
		}
		f.entries[FieldIMAPPort].SetText(strconv.Itoa(m.Port))
	}
	if p.Note.Key != "" { // else what onHost said stays
		d.advise(p.Note, p.Page, p.TokenOnly)
	}
	if e := f.entries[FieldPassword]; f.rows[FieldPassword].Visible() {
		env.Window.Canvas().Focus(e)
	}
}

// onHost says where to make the password when the user types the server of a
// known provider.
func (d *finder) onHost(host string) {
	p, ok := providers.ForHost(strings.TrimSpace(host))
	if ok && host != d.form.start.Host {
		d.advise(post.Reason{Key: p.Note}, p.Page, p.PasswordEnded())
	} else if d.note.Visible() {
		d.advise(post.Reason{}, "", false)
	}
}

// onOpen shows the provider's page in the browser.
func (d *finder) onOpen() {
	env := d.form.view.env
	if err := env.OpenURL(d.page); err != nil {
		dialogs.Error(env.Words, env.Window, err)
	}
}

// advise says where to make what one signs in with, and offers the page; an
// empty note takes both away.
func (d *finder) advise(note post.Reason, page string, tokenOnly bool) {
	d.page = page
	d.open.Hidden = page == "" || note.Key == ""
	d.note.SetTone(theme.Plain)
	if tokenOnly {
		d.note.SetTone(theme.Attention)
	}
	set(d.note, d.form.view.env.Words.Reason(note))
	d.lay()
}

func (d *finder) show(steps []widgets.Step) {
	d.steps.Set(steps...)
	d.steps.Hidden = len(steps) == 0
	d.lay()
}

func (d *finder) say(tone theme.Tone, text string) {
	d.result.SetTone(tone)
	set(d.result, text)
	d.lay()
}

// lay gives everything its room: a text that wraps knows its height only once
// it has its width, so the second round gives the cards theirs.
func (d *finder) lay() {
	d.form.root.Refresh()
	d.form.root.Refresh()
}
