package screens_test

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/screens/history"
	"postroom/ui/screens/mailings"
	"postroom/ui/widgets"
)

// A mailing shows what came back, each number leads to the people behind it, and
// what they sent opens as it came.
func TestReceiptsAreShown(t *testing.T) {
	for _, style := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(style.lang), func(t *testing.T) {
			if testing.Short() && style.lang != words.English {
				t.Skip("the race detector sees the same in one language")
			}
			s := newStage(t, style.lang, style.mode)
			s.populate()
			page := mailings.New(s.env)
			s.show(page, screens.Route{ID: 1})
			s.settle()
			s.shoot("funnel-" + string(style.lang))
			bounced := named[*widgets.Button](s, "mailing.outcome.bounced")
			if want := "1 " + s.env.Words.Outcome(post.OutcomeBounced); bounced.Text != want {
				t.Errorf("the button says %q, want %q", bounced.Text, want)
			}
			test.Tap(bounced)
			if s.route.Screen != screens.History || s.route.Mailing != 1 || s.route.Outcome != post.OutcomeBounced {
				t.Fatalf("it leads to %+v", s.route)
			}
			page.Hide()
			v := history.New(s.env)
			s.show(v, s.route)
			s.settle()
			rows := named[*widgets.DataGrid](s, "history.grid").Rows()
			if len(rows) != 1 || rows[0].Cells[3].Text != s.env.Words.Receipt(post.ReceiptBounced) {
				t.Errorf("%+v", rows)
			}
			if at := named[*widgets.Select](s, "history.receipt").Selected; at != s.env.Words.Outcome(post.OutcomeBounced) {
				t.Errorf("the filter says %q", at)
			}
			test.Tap(s.buttonWith(s.env.T("history.raw.open")))
			s.settle()
			s.shoot("raw-report-" + string(style.lang))
			if raw := named[*widgets.TextArea](s, "history.raw").Text(); !strings.Contains(raw, "Diagnostic-Code: smtp; 550 5.1.1 user unknown") || strings.ContainsAny(raw, "\r\x00\u202e") {
				t.Errorf("%q", raw)
			}
			test.Tap(named[*widgets.Button](s, "history.raw.copy"))
			if got := fyne.CurrentApp().Clipboard().Content(); !strings.HasPrefix(got, "From: MAILER-DAEMON") {
				t.Errorf("copied %q", got)
			}
			v.Hide()
		})
	}
}

// buttonWith finds the button with these words on the screen.
func (s *stage) buttonWith(text string) *widgets.Button {
	s.t.Helper()
	for _, o := range test.LaidOutObjects(s.env.Window.Content()) {
		if b, ok := o.(*widgets.Button); ok && b.Text == text {
			return b
		}
	}
	s.t.Fatalf("no button %q", text)
	return nil
}

// A read receipt is asked for in the composer, and kept in the draft.
func TestComposerAsksForReadReceipt(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := mailings.New(s.env)
	s.show(v, screens.Route{Draft: 1})
	s.settle()
	asked := func() bool {
		t.Helper()
		d, err := s.env.Ledger.Draft(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return d.Content.ReadReceipt
	}
	for _, want := range []bool{true, false} {
		test.Tap(named[*widgets.Button](s, "compose.more"))
		s.menu(s.env.T("composer.menu.read_receipt"))
		s.until("the draft is kept", func() bool { return asked() == want })
	}
	v.Hide()
}
