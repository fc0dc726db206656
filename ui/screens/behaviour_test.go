package screens_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/history"
	"postroom/ui/screens/home"
	"postroom/ui/screens/mailings"
	"postroom/ui/screens/outbox"
	"postroom/ui/widgets"
)

// named returns a widget by its id.
func named[T fyne.CanvasObject](s *stage, id string) T {
	s.t.Helper()
	var found fyne.CanvasObject
	s.env.IDs.Each(func(i string, o fyne.CanvasObject) {
		if i == id {
			found = o
		}
	})
	x, ok := found.(T)
	if !ok {
		s.t.Fatalf("there is no %s of that kind", id)
	}
	return x
}

// press presses the button of the dialog on top that says text.
func (s *stage) press(text string) {
	s.t.Helper()
	top := s.win.Canvas().Overlays().Top()
	if top == nil {
		s.t.Fatalf("no dialog is open to press %q in", text)
	}
	b := findButton(top, text)
	if b == nil {
		s.t.Fatalf("the dialog has no button %q", text)
	}
	test.Tap(b)
}

func findButton(o fyne.CanvasObject, text string) *widgets.Button {
	switch x := o.(type) {
	case *widgets.Button:
		if x.Text == text {
			return x
		}
	case *fyne.Container:
		for _, k := range x.Objects {
			if b := findButton(k, text); b != nil {
				return b
			}
		}
	case fyne.Widget:
		for _, k := range test.WidgetRenderer(x).Objects() {
			if b := findButton(k, text); b != nil {
				return b
			}
		}
	}
	return nil
}

// A draft saves itself, shows what a person gets, refuses what is not ready,
// and goes out as a rehearsal and then live.
func TestComposer(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	ctx, l := t.Context(), s.env.Ledger
	v := mailings.New(s.env)
	s.show(v, screens.Route{Verb: "new"})
	s.settle()
	named[*widgets.Entry](s, "compose.subject").SetText("Hello {{firstname}}")
	body := named[*widgets.TextArea](s, "compose.body")
	body.Replace(0, 0, "Dear {{first_name}},\n\n**welcome**.")
	s.settle()
	drafts, err := l.Drafts(ctx)
	if err != nil || len(drafts) != 2 || drafts[0].Content.Subject != "Hello {{firstname}}" {
		t.Fatalf("the draft was not saved: %+v %v", drafts, err)
	}
	// An unknown field is refused, with the nearest name.
	test.Tap(named[*widgets.Button](s, "compose.send"))
	s.settle()
	if n := len(s.win.Canvas().Overlays().List()); n != 1 {
		t.Fatalf("%d dialogs", n)
	}
	s.press("OK")
	if m, _, err := l.Mailings(ctx, false, storage.Page{Limit: 10}); err != nil || len(m) != 1 {
		t.Fatalf("%d mailings, %v", len(m), err)
	}
	named[*widgets.Entry](s, "compose.subject").SetText("Hello {{first_name}}")
	file := filepath.Join(t.TempDir(), "menu.pdf")
	if err := os.WriteFile(file, []byte("%PDF-1.4 a menu"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Drop([]string{file})
	s.settle()
	test.Tap(named[*widgets.Button](s, "compose.rehearse"))
	s.settle()
	s.shoot("rehearse")
	s.press("Full speed")
	s.settle()
	last := func() post.Mailing {
		t.Helper()
		m, _, err := l.Mailings(ctx, false, storage.Page{Limit: 1})
		if err != nil || len(m) != 1 {
			t.Fatal(m, err)
		}
		return m[0]
	}
	if m := last(); m.Kind != post.Rehearsal || m.Counts[post.StateQueued] != 40 || len(m.Content.Attachments) != 1 || m.Content.Attachments[0].SHA256 == "" {
		t.Fatalf("%+v", m)
	}
	// At real speed, as its account's limits want it; without limits nothing is asked.
	again := func() post.Mailing {
		t.Helper()
		s.show(v, screens.Route{Draft: drafts[0].ID})
		s.settle()
		test.Tap(named[*widgets.Button](s, "compose.rehearse"))
		s.settle()
		return last()
	}
	first := last()
	if m := again(); m.ID != first.ID {
		t.Fatal("it was not asked how fast")
	}
	s.press("Real speed")
	s.settle()
	if m := last(); m.ID == first.ID || m.Kind != post.Rehearsal || !m.RealSpeed {
		t.Fatalf("%+v, want one at real speed", m)
	}
	a, err := l.Account(ctx, first.Senders[0].Account)
	if err != nil {
		t.Fatal(err)
	}
	a.Limits = post.Limits{}
	if err := l.UpdateAccount(ctx, a); err != nil {
		t.Fatal(err)
	}
	if m := again(); m.Kind != post.Rehearsal || m.RealSpeed {
		t.Fatalf("%+v, want one at full speed", m)
	}
	// The draft is still there; now for real.
	s.show(v, screens.Route{Draft: drafts[0].ID})
	s.settle()
	test.Tap(named[*widgets.Button](s, "compose.send"))
	s.settle()
	named[*widgets.Select](s, "pacing.hours").SetSelectedIndex(1)
	named[*widgets.Select](s, "pacing.first").SetSelectedIndex(1)
	named[*widgets.Select](s, "pacing.unsure").SetSelectedIndex(2)
	named[*widgets.Select](s, "pacing.hold").SetSelectedIndex(3)
	s.shoot("confirm")
	s.press("Send")
	s.settle()
	m := last()
	// One of the forty bounced before, so live mail passes them over.
	if m.Kind != post.Live || m.Counts[post.StateQueued] != 39 || m.Name != "Hello" || m.Hours.String() != "mon-fri 09:00-17:00" || !m.Staged ||
		m.ReleaseLeft != 10 || m.Uncertain != post.UncertainAssume {
		t.Fatalf("%+v", m)
	}
	// Once the first ten have gone it waits for a word, and gets it.
	if err := l.ReleaseMailing(ctx, m.ID, 1); err != nil {
		t.Fatal(err)
	}
	if drafts, err = l.Drafts(ctx); err != nil || len(drafts) != 1 {
		t.Errorf("the sent draft is still there: %d, %v", len(drafts), err)
	}
	v.Hide()
}

// Uncertain messages are settled at the user's word, and only then.
func TestOutboxSettles(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := outbox.New(s.env)
	s.show(v, screens.Route{States: []post.State{post.StateUncertain}})
	s.settle()
	if n := len(named[*widgets.DataGrid](s, "outbox.grid").Rows()); n != 2 {
		t.Fatalf("%d uncertain rows", n)
	}
	test.Tap(named[*widgets.Button](s, "outbox.settle.sent"))
	s.settle()
	m, err := s.env.Ledger.Mailing(t.Context(), 1)
	if err != nil || m.Counts[post.StateUncertain] != 0 || m.Counts[post.StateSent] != 26 {
		t.Errorf("%+v %v", m.Counts, err)
	}
	v.Hide()
}

// The history is searched, and a delivery's line of life holds every reply.
func TestHistoryTells(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	life, err := history.LoadLife(t.Context(), s.env.Ledger, s.env.Words, s.env.Now(), 6)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range life.Events {
		all = append(all, e.Title, e.Code, e.Note)
	}
	if text := strings.Join(all, "\n"); !strings.Contains(text, "RCPT  550 5.1.1 user unknown") || !strings.Contains(text, "will not be mailed again") {
		t.Errorf("%s", text)
	}
	came, err := history.LoadLife(t.Context(), s.env.Ledger, s.env.Words, s.env.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, e := range came.Events[len(came.Events)-3:] {
		titles = append(titles, e.Title)
	}
	if got := strings.Join(titles, ", "); got != "Delayed, Delivered, Replied" {
		t.Errorf("the line of life ends with %s", got)
	}
	v := history.New(s.env)
	s.show(v, screens.Route{})
	s.settle()
	// Who is looked at stays no longer than they are in the list.
	grid := named[*widgets.DataGrid](s, "history.grid")
	grid.OnCurrent(1)
	s.settle()
	v.Show(screens.Route{Screen: screens.History, Mailing: 1, Outcome: post.OutcomeFailed})
	s.settle()
	if rows := grid.Rows(); len(rows) == 0 || !slices.Equal(grid.Selected(), []int64{rows[0].ID}) || rows[0].ID == 1 {
		t.Errorf("the panel is about %v, the list begins with %+v", grid.Selected(), rows)
	}
	v.Show(screens.Route{Screen: screens.History, Mailing: 1, Outcome: post.OutcomeAccepted})
	s.settle()
	named[*widgets.Select](s, "history.outcome").SetSelectedIndex(0)
	s.settle()
	named[*widgets.Entry](s, "history.search").SetText("GUEST07")
	s.settle()
	if rows := named[*widgets.DataGrid](s, "history.grid").Rows(); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
	out := filepath.Join(t.TempDir(), "history.csv")
	n, err := history.Export(t.Context(), s.env.Ledger, storage.HistoryFilter{}, out, func(int64, int64) {})
	b, rerr := os.ReadFile(out)
	if err != nil || rerr != nil || n != 40 || strings.Count(string(b), "\n") != 41 {
		t.Errorf("%d rows, %v %v", n, err, rerr)
	}
	v.Hide()
}

// A data folder that a service copies elsewhere is told on Home.
func TestHomeTellsACopiedFolder(t *testing.T) {
	l, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "OneDrive", "postroom"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	m, err := home.Load(t.Context(), l, words.For(words.English), time.Now())
	if err != nil || len(m.Needs) != 1 || m.Needs[0].Kind != home.NeedFolder || !strings.Contains(m.Needs[0].What, "OneDrive") {
		t.Errorf("%+v %v", m, err)
	}
}

// Home names what needs the user.
func TestHomeNeeds(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	m, err := home.Load(t.Context(), s.env.Ledger, s.env.Words, s.env.Now())
	if err != nil || len(m.Needs) != 2 || m.New || len(m.Days) != 30 || len(m.Running) != 1 {
		t.Fatalf("%+v %v", m, err)
	}
	if m.Needs[0].Kind != home.NeedUncertain || m.Needs[1].Kind != home.NeedAccount {
		t.Errorf("%+v", m.Needs)
	}
}
