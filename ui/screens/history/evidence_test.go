package history

import (
	"fmt"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"go.uber.org/goleak"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queued is a ledger with a mailing to three.
func queued(t *testing.T) (*storage.Ledger, post.Mailing) {
	t.Helper()
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@shop.example", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := l.Enqueue(t.Context(), post.Mailing{
		Kind: post.Live, Name: "Spring menu", Content: post.Content{Subject: "Hello", Format: post.FormatText, Body: "Hello"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
	}, func(yield func(post.Recipient, error) bool) {
		for i := range 3 {
			address := fmt.Sprintf("guest%d@example.org", i)
			if !yield(post.Recipient{Address: address, Key: address}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, m
}

// TestEvidenceButton: the button asks what goes in, and the pack is about the
// mailing that is filtered for, else about the person that is shown.
func TestEvidenceButton(t *testing.T) {
	for _, c := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(c.lang), func(t *testing.T) {
			a := test.NewTempApp(t)
			a.Settings().SetTheme(theme.New(c.mode))
			l, m := queued(t)
			queue := make(chan func(), 1000)
			win := test.NewTempWindow(t, widgets.Space())
			env := &screens.Env{
				Ledger: l, Words: words.For(c.lang), Window: win, Clock: post.SystemClock{}, Zone: time.UTC, Log: slog.New(slog.DiscardHandler),
				IDs: &screens.IDs{}, Post: func(f func()) { queue <- f }, Go: func(screens.Route) {},
			}
			v := New(env)
			win.SetPadded(false)
			win.SetContent(widgets.NewGround(theme.Ground, v.Content()))
			win.Resize(fyne.NewSize(1280-184, 800))
			t.Cleanup(v.Hide)
			until := func(what string, ok func() bool) {
				t.Helper()
				deadline := time.NewTimer(time.Minute)
				defer deadline.Stop()
				for !ok() {
					select {
					case f := <-queue:
						f()
					case <-deadline.C:
						t.Fatalf("waited in vain for: %s", what)
					}
				}
			}
			v.Show(screens.Route{Mailing: m.ID})
			until("the person in the panel", func() bool { return len(v.panel.Objects) > 0 })
			shot(t, win, "screen")
			env.IDs.Each(func(id string, o fyne.CanvasObject) {
				if b, ok := o.(*widgets.Button); ok && id == "history.evidence" {
					test.Tap(b)
				}
			})
			until("the question", func() bool { return win.Canvas().Overlays().Top() != nil })
			shot(t, win, "question")
			found := 0
			for _, o := range test.LaidOutObjects(win.Canvas().Overlays().Top()) {
				if b, ok := o.(*widgets.Button); ok && (b.Text == env.T("history.evidence.all") || b.Text == env.T("history.evidence.anonymous")) {
					found++
				}
			}
			if found != 2 {
				t.Errorf("%d of the two choices", found)
			}
		})
	}
}

// shot keeps a picture where POSTROOM_SHOTS names a folder.
func shot(t *testing.T, win fyne.Window, name string) {
	t.Helper()
	dir := os.Getenv("POSTROOM_SHOTS")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, "history-"+filepath.Base(t.Name())+"-"+name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, win.Canvas().Capture()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestWriteEvidence(t *testing.T) {
	l, m := queued(t)
	rows, _, err := l.History(t.Context(), storage.HistoryFilter{Mailing: m.ID}, storage.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	env := &screens.Env{Ledger: l, Words: words.For(words.Chinese), Clock: post.SystemClock{}}
	for name, c := range map[string]struct {
		mailing, delivery int64
		want              int64
		called            string
	}{
		"mailing": {m.ID, rows[0].ID, 3, "Spring menu"},
		"person":  {0, rows[0].ID, 1, rows[0].Address},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := scopeOf(t.Context(), l, c.mailing, c.delivery)
			if err != nil || s.name != c.called {
				t.Fatalf("%+v %v", s, err)
			}
			path := filepath.Join(t.TempDir(), "evidence.zip")
			var done, total int64
			p, err := writeEvidence(t.Context(), env, path, s.choice, func(d, n int64) { done, total = d, n })
			if err != nil || p.Deliveries != c.want || done != c.want || total != c.want {
				t.Fatalf("%+v %v, told %d of %d", p, err, done, total)
			}
			if v, err := receipts.VerifyEvidence(path); err != nil || len(v.Problems) > 0 || v.Hash != p.Hash {
				t.Errorf("%+v %v", v, err)
			}
		})
	}
}
