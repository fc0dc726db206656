package accounts

import (
	"context"
	"image/png"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"go.uber.org/goleak"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/internal/testkit/smtpscript"
	"postroom/mailer"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mail stands for the background mailer.
type mail struct{ kicks int }

func (*mail) Role() mailer.Role { return mailer.Mine }
func (*mail) Trouble() error    { return nil }
func (m *mail) Kick()           { m.kicks++ }
func (*mail) Finishing() int    { return 0 }

// rig is the screen in a window of the toolkit's test driver. The test is the
// window's goroutine: what is posted waits until it is run here.
type rig struct {
	*testing.T
	env   *screens.Env
	view  *View
	ring  *ring
	mail  *mail
	win   fyne.Window
	queue chan func()
}

func newRig(t *testing.T, lang words.Lang, mode theme.Mode) *rig {
	t.Helper()
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(mode))
	r := &rig{T: t, ring: &ring{}, mail: &mail{}, win: test.NewTempWindow(t, widgets.Space()), queue: make(chan func(), 1000)}
	dialer := &senders.Dialer{Secrets: r.ring}
	r.env = &screens.Env{
		Ledger: openLedger(t), Words: words.For(lang), Window: r.win, Secrets: r.ring, Doctor: dialer.Examine, Mail: r.mail,
		Clock: still{}, Zone: time.UTC, Log: slog.New(slog.DiscardHandler), IDs: &screens.IDs{},
		Post: func(f func()) { r.queue <- f }, Go: func(screens.Route) {},
	}
	r.view = New(r.env)
	r.win.SetPadded(false)
	r.win.SetContent(widgets.NewGround(theme.Ground, r.view.Content()))
	r.win.Resize(fyne.NewSize(1280-184, 800))
	t.Cleanup(r.view.Hide)
	return r
}

// until runs what is posted until a condition holds.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case f := <-r.queue:
			f()
		case <-deadline.C:
			r.Fatalf("waited in vain for: %s", what)
		}
	}
}

// get returns the widget of an id.
func get[T fyne.CanvasObject](r *rig, id string) T {
	r.Helper()
	var found fyne.CanvasObject
	r.env.IDs.Each(func(name string, o fyne.CanvasObject) {
		if name == id {
			found = o
		}
	})
	w, ok := found.(T)
	if !ok {
		r.Fatalf("%s is %T", id, found)
	}
	return w
}

func (r *rig) tap(id string) {
	r.Helper()
	b := get[*widgets.Button](r, id)
	if b.Disabled() || !b.Visible() {
		r.Fatalf("%s: disabled %v, visible %v", id, b.Disabled(), b.Visible())
	}
	test.Tap(b)
}

func (r *rig) enter(field, text string) {
	r.Helper()
	e := get[*widgets.Entry](r, "accounts.form."+field)
	e.SetText("")
	test.Type(e, text)
}

// fillForm types a new account.
func (r *rig) fillForm() {
	r.Helper()
	r.enter("email", "hello@brauhaus.example")
	r.enter("name", "Brauhaus")
	r.enter("host", "smtp.example.com")
	r.enter("password", "geheim")
}

func (r *rig) accounts() []post.Account {
	r.Helper()
	list, err := r.env.Ledger.Accounts(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return list
}

func (r *rig) listed(n int) func() bool { return func() bool { return len(r.view.grid.Rows()) == n } }

// press presses the button of the dialog above that has a text.
func (r *rig) press(text string) {
	r.Helper()
	top := r.win.Canvas().Overlays().Top()
	if top == nil {
		r.Fatal("no dialog")
	}
	for _, o := range test.LaidOutObjects(top) {
		if b, ok := o.(*widgets.Button); ok && b.Text == text {
			test.Tap(b)
			return
		}
	}
	r.Fatalf("the dialog has no button %q", text)
}

func TestAdd(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.view.Show(screens.Route{})
	r.until("the empty state", func() bool { return len(r.view.body.Objects) == 1 && r.view.body.Objects[0] == r.view.empty })
	r.tap("accounts.add")
	if r.win.Canvas().Focused() != fyne.Focusable(get[*widgets.Entry](r, "accounts.form.email")) {
		t.Error("the address has not the focus")
	}
	r.fillForm()
	get[*widgets.Select](r, "accounts.form.tls").SetSelectedIndex(1)
	if got := get[*widgets.Entry](r, "accounts.form.port").Text; got != "587" {
		t.Errorf("port %s", got)
	}
	r.tap("accounts.form.save")
	r.until("the account in the list", r.listed(1))
	list := r.accounts()
	if len(list) != 1 || list[0].TLS != post.TLSStartTLS || list[0].Port != 587 || r.ring.all()[list[0].SecretRef] != "geheim" {
		t.Fatalf("%+v", list)
	}
	if r.view.form != nil || r.mail.kicks == 0 || r.view.panel.name.Text != "Brauhaus" {
		t.Errorf("form %v, %d kicks, panel %q", r.view.form, r.mail.kicks, r.view.panel.name.Text)
	}
}

func TestWrongFieldsAreMarked(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.view.Show(screens.Route{Verb: "new"})
	r.fillForm()
	r.enter("port", "0")
	r.enter("per_day", "many")
	r.tap("accounts.form.save")
	f := r.view.form
	for field, wrong := range f.wrong {
		if bad := field == FieldPort || field == FieldPerDay; wrong.Visible() != bad || bad != (wrong.Text != "") {
			t.Errorf("%s: visible %v, %q", field, wrong.Visible(), wrong.Text)
		}
	}
	if r.win.Canvas().Focused() != fyne.Focusable(f.entries[FieldPort]) {
		t.Errorf("the focus is on %T", r.win.Canvas().Focused())
	}
	// A route to the form that is open keeps what was typed.
	r.view.Hide()
	r.view.Show(screens.Route{Verb: "new"})
	r.view.Show(screens.Route{ID: 7})
	if r.view.form != f || f.entries[FieldHost].Text != "smtp.example.com" {
		t.Error("what was typed is lost")
	}
	r.enter("port", "465")
	r.enter("per_day", "")
	f.entries[FieldHost].OnSubmitted("") // Enter
	r.until("the account in the list", r.listed(1))
}

func TestKeyringTrouble(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.ring.setFail(func(context.Context, string) error { return keyringError("keyring.locked") })
	r.view.Show(screens.Route{Verb: "new"})
	r.fillForm()
	r.tap("accounts.form.save")
	f := r.view.form
	r.until("the trouble", func() bool { return f.strip.Visible() })
	if len(r.accounts()) != 0 || f.said.Text != english.T("keyring.locked") || !strings.Contains(f.ways.Text, english.T("accounts.nothing_stored")) {
		t.Fatalf("%d accounts, %q, %q", len(r.accounts()), f.said.Text, f.ways.Text)
	}
	// The way out: a command.
	r.tap("accounts.form.use_command_instead")
	if f.rows[FieldPassword].Visible() || !f.rows[FieldCommand].Visible() {
		t.Error("the command is not asked for")
	}
	get[*widgets.Check](r, "accounts.form.use_command").SetChecked(false)
	// Or unlock it and try again.
	r.tap("accounts.form.save")
	r.until("the trouble again", func() bool { return f.strip.Visible() })
	r.ring.setFail(nil)
	r.tap("accounts.form.retry")
	r.until("the account in the list", r.listed(1))
	if list := r.accounts(); len(list) != 1 || len(r.ring.all()) != 1 || r.ring.all()[list[0].SecretRef] != "geheim" {
		t.Errorf("%+v, keyring %d", list, len(r.ring.all()))
	}
}

// A keyring that waits for its user can be given up, and what it may have kept
// is taken out again.
func TestCancelWhileKeyringWaits(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	asked := make(chan struct{}, 1)
	r.ring.setFail(func(ctx context.Context, call string) error {
		if call != "set" {
			return nil
		}
		asked <- struct{}{}
		<-ctx.Done()
		return &post.Error{Kind: post.KindCancelled, Op: "password", Message: "stopped", Err: ctx.Err()}
	})
	r.view.Show(screens.Route{Verb: "new"})
	r.fillForm()
	r.tap("accounts.form.save")
	<-asked
	r.until("a word about the keyring", func() bool { return r.view.form.status.Text != "" })
	if !get[*widgets.Button](r, "accounts.form.save").Disabled() || !r.view.form.entries[FieldHost].Disabled() {
		t.Error("the form can be changed while it is stored")
	}
	r.tap("accounts.form.cancel")
	r.until("the form to be free", func() bool { return r.view.form.stop == nil })
	if r.view.form.strip.Visible() || r.view.form.status.Text != "" || len(r.accounts()) != 0 {
		t.Errorf("strip %v, status %q", r.view.form.strip.Visible(), r.view.form.status.Text)
	}
	form := r.view.form
	r.tap("accounts.form.cancel")
	r.until("the keyring to be asked to forget", func() bool {
		r.ring.mu.Lock()
		defer r.ring.mu.Unlock()
		return r.ring.calls[len(r.ring.calls)-1] == "delete"
	})
	if r.view.form != nil || form.entries[FieldPassword].Text != "" {
		t.Error("the form is still there, or its password")
	}
	r.until("the empty list", func() bool { return len(r.view.body.Objects) == 1 })
}

// stored puts an account into ledger and keyring for a server of the test.
func (r *rig) stored(s *smtpscript.Server, password string) post.Account {
	r.Helper()
	host, port := s.HostPort()
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		r.Fatalf("the server is at %s", host)
	}
	f := NewForm()
	f.Email, f.Host, f.Port, f.TLS, f.User, f.Password = "hello@brauhaus.example", host, strconv.Itoa(port), post.TLSStartTLS, "hello", password
	f.CAPath = filepath.Join(r.TempDir(), "ca.pem")
	if err := os.WriteFile(f.CAPath, s.CAPEM(), 0o600); err != nil {
		r.Fatal(err)
	}
	return mustSave(r.T, r.view.saver, 0, f)
}

func TestDoctor(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, User: "hello", Password: "geheim"})
	for _, tc := range []struct {
		password string
		want     string
	}{{"geheim", "accounts.test.ok"}, {"falsch", "accounts.test.failed"}} {
		r := newRig(t, words.English, theme.Light)
		a := r.stored(s, tc.password)
		r.view.Show(screens.Route{ID: a.ID})
		r.until("the account in the list", r.listed(1))
		r.tap("accounts.test")
		p := r.view.panel
		if p.test.Text != english.T("action.stop") || !p.steps.Visible() {
			t.Error("the test does not show")
		}
		r.until("the test's end", func() bool { return r.view.stopTest == nil })
		if p.result.Text != english.T(tc.want) || p.test.Text != english.T("accounts.test_connection") {
			t.Errorf("%q: %q", tc.password, p.result.Text)
		}
		said := ""
		for _, o := range test.LaidOutObjects(p.steps) {
			if x, ok := o.(*widgets.Text); ok {
				said += x.Text + "\n"
			}
		}
		if tc.password == "geheim" && !strings.Contains(said, english.T("doctor.note.pipelining")+"\n"+english.T("doctor.note.receipts")) {
			t.Errorf("%q: what is said of the server is %q", tc.password, said)
		}
		r.keepPicture("doctor-" + tc.password)
	}
}

// TestDoctorWithLetter: the message to oneself goes out once, and only where the
// sign-in went well.
func TestDoctorWithLetter(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, User: "hello", Password: "geheim"})
	for _, tc := range []struct {
		password, want string
		sent           int
	}{{"falsch", "accounts.test.failed", 0}, {"geheim", "accounts.test.sent", 1}} {
		r := newRig(t, words.Chinese, theme.Dark)
		a := r.stored(s, tc.password)
		r.view.Show(screens.Route{ID: a.ID})
		r.until("the account in the list", r.listed(1))
		r.tap("accounts.test.send")
		if p := r.view.panel; !p.send.Disabled() || p.result.Text != r.env.T("accounts.testing.letter") {
			t.Error("the test does not show")
		}
		r.until("the test's end", func() bool { return r.view.stopTest == nil })
		if p := r.view.panel; p.result.Text != r.env.T(tc.want) || p.send.Disabled() {
			t.Errorf("%q: %q", tc.password, p.result.Text)
		}
		if got := len(s.Messages()); got != tc.sent {
			t.Errorf("%q: %d messages", tc.password, got)
		}
	}
}

func TestDoctorIsStopped(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS})
	r := newRig(t, words.English, theme.Light)
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	r.env.Doctor = func(ctx context.Context, _ post.Account, _ *senders.Letter) senders.Report {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return senders.Report{}
	}
	a := r.stored(s, "geheim")
	r.view.Show(screens.Route{ID: a.ID})
	r.until("the account in the list", r.listed(1))
	r.tap("accounts.test")
	<-begun
	r.tap("accounts.test")
	r.until("the test's end", func() bool { return r.view.stopTest == nil })
	<-ended
	if p := r.view.panel; p.result.Text != english.T("accounts.test.stopped") || p.steps.Visible() || p.test.Disabled() {
		t.Errorf("%q, steps %v", p.result.Text, p.steps.Visible())
	}
	// Leaving the screen ends a test too.
	r.tap("accounts.test")
	<-begun
	r.view.Hide()
	<-ended
	if r.view.stopTest != nil || r.view.panel.test.Text != english.T("accounts.test_connection") {
		t.Error("the test goes on")
	}
}

func TestPauseResumeRemove(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	a := mustSave(t, r.view.saver, 0, filled())
	other := filled()
	other.Name = "Zweites"
	b := mustSave(t, r.view.saver, 0, other)
	r.view.Show(screens.Route{ID: b.ID})
	r.until("the list", r.listed(2))
	if r.view.panel.name.Text != "Zweites" {
		t.Fatalf("the panel shows %q", r.view.panel.name.Text)
	}
	state := func(id int64, want post.AccountState) func() bool {
		return func() bool { return r.view.panel.shown.Account.ID == id && r.view.panel.shown.StateKey == want }
	}
	r.tap("accounts.pause")
	r.until("the pause", state(b.ID, post.AccountPaused))
	if r.view.panel.hold.Text != english.T("action.resume") {
		t.Errorf("button %q", r.view.panel.hold.Text)
	}
	r.tap("accounts.pause")
	r.until("the end of the pause", state(b.ID, post.AccountReady))

	// A stop is told with its reason, and ended by Resume.
	why := post.Reason{Key: "account.password", Raw: "535 5.7.8 no"}
	if err := r.env.Ledger.HoldAccount(t.Context(), b.ID, post.AccountStopped, why); err != nil {
		t.Fatal(err)
	}
	r.view.Changed()
	r.until("the stop", state(b.ID, post.AccountStopped))
	if p := r.view.panel; p.why.Text != english.Reason(why) || p.raw.Text != why.Raw || !p.raw.Visible() {
		t.Errorf("%q %q", p.why.Text, p.raw.Text)
	}
	r.tap("accounts.pause")
	r.until("the end of the stop", state(b.ID, post.AccountReady))
	if r.view.panel.raw.Visible() {
		t.Error("the reason is still there")
	}

	r.tap("accounts.remove")
	r.press(english.T("action.cancel"))
	r.tap("accounts.remove")
	r.press(english.T("action.remove"))
	r.until("the removal", func() bool { return len(r.view.grid.Rows()) == 1 && r.view.panel.shown.Account.ID == a.ID })
	if list := r.accounts(); len(list) != 1 || list[0].ID != a.ID || len(r.ring.all()) != 1 {
		t.Errorf("%d accounts, %d passwords", len(list), len(r.ring.all()))
	}
}

func TestEdit(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	a := mustSave(t, r.view.saver, 0, filled())
	r.view.Show(screens.Route{ID: a.ID})
	r.until("the list", r.listed(1))
	r.tap("accounts.edit")
	if got := get[*widgets.Entry](r, "accounts.form.password").Text; got != "" {
		t.Error("the form holds a password")
	}
	r.enter("from_name", "Am Fluss")
	r.tap("accounts.form.save")
	r.until("the change", func() bool { return r.view.form == nil })
	list := r.accounts()
	if list[0].FromName != "Am Fluss" || list[0].SecretRef != a.SecretRef || r.ring.all()[a.SecretRef] != "geheim" {
		t.Errorf("%+v", list[0])
	}
	r.until("the list", func() bool { return r.view.panel.shown.Account.FromName == "Am Fluss" })
	// A form in which nothing was typed gives way to what is asked for.
	r.tap("accounts.edit")
	r.view.Show(screens.Route{ID: a.ID})
	if r.view.form != nil {
		t.Error("the form stays")
	}
	r.until("the list", func() bool { return len(r.queue) == 0 })
}

// TestPictures draws the screen in both looks and languages. The pictures go to
// a folder of the test, or to the one that POSTROOM_GALLERY names. What it
// asserts is that everything can be drawn and fits into the window.
func TestPictures(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine draws; under the race detector that takes minutes")
	}
	dir := os.Getenv("POSTROOM_GALLERY")
	if dir == "" {
		dir = t.TempDir()
	}
	path, _ := writeAuthority(t, "Brauhaus Root")
	for _, lang := range words.Langs {
		for _, mode := range []theme.Mode{theme.Light, theme.Dark} {
			r := newRig(t, lang, mode)
			name := func(what string) string { return filepath.Join(dir, what+"-"+string(lang)+"-"+string(mode)+".png") }
			r.view.Show(screens.Route{})
			r.until("the empty state", func() bool { return len(r.view.body.Objects) == 1 })
			r.draw(name("accounts-none"))
			f := filled()
			f.PerMinute, f.CAPath = "20", path
			a := mustSave(t, r.view.saver, 0, f)
			f.Name, f.Email = "Bestellungen", "orders@brauhaus.example"
			b := mustSave(t, r.view.saver, 0, f)
			if err := r.env.Ledger.HoldAccount(t.Context(), b.ID, post.AccountStopped, post.Reason{Key: "account.password", Raw: "535 5.7.8 Username and Password not accepted"}); err != nil {
				t.Fatal(err)
			}
			if err := r.env.Ledger.SetLetterhead(t.Context(), post.Letterhead{Account: b.ID, Colour: "#1a7f37"}); err != nil {
				t.Fatal(err)
			}
			r.view.Show(screens.Route{ID: b.ID})
			r.until("the list", func() bool { return len(r.view.grid.Rows()) == 2 && r.view.panel.shown.Account.ID == b.ID })
			r.view.panel.testEnded(StepsOf(r.env.Words, &post.Account{Host: "smtp.example.com"}, senders.Report{Steps: []senders.Step{
				{Name: senders.StepResolve, OK: true, Detail: "203.0.113.7"},
				{Name: senders.StepConnect, OK: true, Detail: "203.0.113.7:465"},
				{Name: senders.StepTLS, OK: true, Detail: "TLS 1.3"},
				{Name: senders.StepEHLO, OK: true, Detail: "AUTH PLAIN LOGIN, PIPELINING, SIZE"},
				{Name: senders.StepAuth, Detail: "535 5.7.8 Username and Password not accepted", Advice: post.Reason{Key: "advice.password"}},
			}}, false), nil)
			r.draw(name("accounts"))
			r.drawFinder(name)
			a.Name = "x"
			r.view.openForm(&a)
			r.view.form.mark(Problems{{FieldPort, post.Reason{Key: "accounts.wrong.port"}}})
			r.view.form.finished(a, keyringError("keyring.locked"))
			r.draw(name("accounts-form"))
		}
	}
}

func (r *rig) draw(file string) {
	r.Helper()
	if min := r.win.Content().MinSize(); min.Width > 1280-184 || min.Height > 800 {
		r.Errorf("%s wants %v", file, min)
	}
	f, err := os.Create(file)
	if err != nil {
		r.Fatal(err)
	}
	if err := png.Encode(f, r.win.Canvas().Capture()); err != nil {
		r.Error(err)
	}
	if err := f.Close(); err != nil {
		r.Error(err)
	}
}
