package accounts

import (
	"context"
	"errors"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// searches is a Discover that answers when it is told to.
type searches struct {
	asked chan string
	found chan senders.Discovery
}

func newSearches(r *rig) *searches {
	s := &searches{asked: make(chan string, 9), found: make(chan senders.Discovery, 9)}
	r.view.discover = func(ctx context.Context, address string, trace func(senders.Look)) (senders.Discovery, error) {
		trace(senders.Look{Source: senders.FromPreset})
		s.asked <- address
		select {
		case d := <-s.found:
			for _, l := range d.Looks {
				trace(l)
			}
			if d.Looks == nil {
				return d, errors.New("broken")
			}
			return d, nil
		case <-ctx.Done():
			return senders.Discovery{}, &post.Error{Kind: post.KindCancelled, Message: "stopped", Err: ctx.Err()}
		}
	}
	return s
}

var (
	lookedUp = []senders.Look{
		{Source: senders.FromPreset, Tried: []string{"brauhaus.example"}, Result: post.Reason{Key: "discover.unknown"}},
		{Source: senders.FromMX, Tried: []string{"MX brauhaus.example"}, Result: post.Reason{Key: "discover.failed", Raw: "timeout"}},
		{Source: senders.FromMX, Found: true, Tried: []string{"MX brauhaus.example"}, Result: post.Reason{Key: "discover.mx", Args: []string{"aspmx.l.google.com", "Google Workspace"}}},
	}
	google = &senders.Proposal{
		Source: senders.FromMX, Provider: "Google Workspace", Host: "smtp.gmail.com", Port: 587, TLS: post.TLSStartTLS,
		Limits: post.Limits{PerDay: 2000}, Note: post.Reason{Key: "provider.note.gmail"}, Page: "https://myaccount.google.com/apppasswords",
		Mailbox: &providers.Server{Host: "imap.gmail.com", Port: 993, TLS: post.TLSImplicit},
	}
)

func (r *rig) text(field Field) string { return r.view.form.entries[field].Text }

func TestFindSettings(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	s := newSearches(r)
	r.view.Show(screens.Route{Verb: "new"})
	f := r.view.form
	d := f.finder

	// Without an address nothing is looked for.
	r.tap("accounts.form.find")
	if !f.wrong[FieldEmail].Visible() || d.stop != nil {
		t.Error("no address is looked for")
	}
	r.enter("email", "hello@brauhaus.example")
	r.enter("per_hour", "7")
	f.entries[FieldEmail].OnSubmitted("") // Enter finds, while there is no server
	if got := <-s.asked; got != "hello@brauhaus.example" || f.wrong[FieldEmail].Visible() {
		t.Errorf("asked %q", got)
	}
	if d.button.Text != english.T("action.stop") || d.result.Text != english.T("accounts.find.working") {
		t.Errorf("%q, %q", d.button.Text, d.result.Text)
	}
	s.found <- senders.Discovery{Looks: lookedUp, Proposal: google}
	r.until("the search's end", func() bool { return d.stop == nil })
	if r.text(FieldHost) != "smtp.gmail.com" || r.text(FieldPort) != "587" || f.read().TLS != post.TLSStartTLS || r.text(FieldPerDay) != "2000" || r.text(FieldPerHour) != "7" || r.text(FieldUser) != "" {
		t.Errorf("%+v", f.read())
	}
	if !strings.Contains(d.result.Text, "smtp.gmail.com:587") || d.note.Text != english.T("provider.note.gmail") || !d.note.Visible() || !d.steps.Visible() {
		t.Errorf("%q, %q", d.result.Text, d.note.Text)
	}
	if r.win.Canvas().Focused() != fyne.Focusable(f.entries[FieldPassword]) {
		t.Error("the password is not asked for next")
	}
	// Where answers can be read is filled in and said; the provider's page is offered.
	if m := f.read(); m.IMAPHost != "imap.gmail.com" || m.IMAPPort != "993" || m.IMAPTLS != post.TLSImplicit || !strings.Contains(d.result.Text, "imap.gmail.com") {
		t.Errorf("%+v, %q", m, d.result.Text)
	}
	opened := ""
	r.env.OpenURL = func(page string) error { opened = page; return nil }
	r.tap("accounts.form.page")
	if !d.open.Visible() || opened != google.Page {
		t.Errorf("opened %q", opened)
	}
	// Another search takes back what the first filled in, and nothing that was typed.
	r.enter("user", "me")
	r.tap("accounts.form.find")
	<-s.asked
	s.found <- senders.Discovery{Looks: lookedUp, Proposal: &senders.Proposal{Host: "out.example", Port: 465, TLS: post.TLSImplicit, User: "hello", TokenOnly: true}}
	r.until("the search's end", func() bool { return d.stop == nil })
	if r.text(FieldHost) != "out.example" || r.text(FieldPort) != "465" || r.text(FieldPerDay) != "" || r.text(FieldPerHour) != "7" || r.text(FieldUser) != "me" || d.note.Visible() || d.open.Visible() || r.text(FieldIMAPHost) != "" {
		t.Errorf("%+v, note %q", f.read(), d.note.Text)
	}
	// Enter saves now.
	r.enter("password", "geheim")
	f.entries[FieldEmail].OnSubmitted("")
	r.until("the account in the list", r.listed(1))
	if a := r.accounts()[0]; a.Host != "out.example" || a.TLS != post.TLSImplicit || a.Limits.PerHour != 7 {
		t.Errorf("%+v", a)
	}
}

// The server of a known provider brings its note when it is typed by hand, and
// takes it away again; an account that is there begins without.
func TestNoteByServer(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.view.openForm(&post.Account{ID: 1, Host: "smtp.sendgrid.net", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto, Secret: post.SecretKeyring})
	d := r.view.form.finder
	if d.note.Visible() {
		t.Errorf("%q", d.note.Text)
	}
	r.enter("host", "smtp.postmarkapp.com")
	if d.note.Text != english.T("provider.note.postmark") || !d.note.Visible() {
		t.Errorf("%q", d.note.Text)
	}
	r.enter("host", "smtp.example.com")
	if d.note.Visible() {
		t.Errorf("%q", d.note.Text)
	}
}

func TestNothingFound(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	s := newSearches(r)
	r.view.Show(screens.Route{Verb: "new"})
	d := r.view.form.finder
	r.enter("email", "hello@brauhaus.example")
	for _, tc := range []struct {
		found senders.Discovery
		said  string
	}{
		{senders.Discovery{Looks: lookedUp[:2]}, english.T("accounts.find.none")},
		{senders.Discovery{}, english.T("error.kind.internal")}, // broken
	} {
		r.tap("accounts.form.find")
		<-s.asked
		s.found <- tc.found
		r.until("the search's end", func() bool { return d.stop == nil })
		if d.result.Text != tc.said || d.steps.Visible() != (tc.found.Looks != nil) || r.text(FieldHost) != "" {
			t.Errorf("%q, want %q", d.result.Text, tc.said)
		}
	}
}

// A search ends when it is stopped, when the form closes, when it is saved, and
// when another screen comes; nothing of it is shown then.
func TestFindIsStopped(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"stop":   func(r *rig) { r.tap("accounts.form.find") },
		"save":   func(r *rig) { r.tap("accounts.form.save") },
		"cancel": func(r *rig) { r.tap("accounts.form.cancel") },
		"hide":   func(r *rig) { r.view.Hide() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, words.English, theme.Light)
			s := newSearches(r)
			r.view.Show(screens.Route{Verb: "new"})
			d := r.view.form.finder
			r.enter("email", "hello@brauhaus.example")
			r.tap("accounts.form.find")
			<-s.asked
			end(r)
			r.until("the search's end", func() bool { return d.stop == nil })
			if d.result.Text != english.T("accounts.find.stopped") || d.button.Disabled() || d.steps.Visible() {
				t.Errorf("%q", d.result.Text)
			}
			// What comes late is nobody's any more.
			d.looked(d.run-1, lookedUp[0])
			d.looked(d.run, lookedUp[0])
			if d.steps.Visible() {
				t.Error("a late step is shown")
			}
		})
	}
}

func TestLookSteps(t *testing.T) {
	steps := LookSteps(english, lookedUp, senders.FromSRV)
	var states []widgets.StepState
	for _, s := range steps {
		states = append(states, s.State)
	}
	if len(steps) != 4 || states[0] != widgets.StepNothing || states[1] != widgets.StepFailed || states[2] != widgets.StepOK || states[3] != widgets.StepRunning {
		t.Errorf("%v", states)
	}
	if !strings.Contains(steps[1].Detail, "MX brauhaus.example\ntimeout") || !strings.Contains(steps[2].Advice, "Google Workspace") {
		t.Errorf("%+v", steps)
	}
}

// drawFinder draws the form after a search, and while one runs.
func (r *rig) drawFinder(name func(string) string) {
	r.Helper()
	r.view.openForm(nil)
	d := r.view.form.finder
	r.enter("email", "hello@brauhaus.example")
	d.stop = func() {}
	for _, l := range append(lookedUp[:2:2], senders.Look{Source: senders.FromAutoconfig}) {
		d.looked(d.run, l)
	}
	d.say(theme.Quiet, r.env.T("accounts.find.working"))
	r.draw(name("accounts-finding"))
	d.ended(senders.Discovery{Looks: lookedUp, Proposal: google}, nil)
	r.draw(name("accounts-found"))
	r.view.closeForm()
}
