package history

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"fyne.io/fyne/v2/test"

	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// TestChosenElsewhere: what another screen filters for stands in the choices
// above the table, and nothing that was chosen before is mixed into it.
func TestChosenElsewhere(t *testing.T) {
	test.NewTempApp(t)
	w := words.For(words.English)
	l, _ := queued(t)
	v := New(&screens.Env{
		Ledger: l, Words: w, Window: test.NewTempWindow(t, widgets.Space()), Clock: post.SystemClock{}, Zone: time.UTC,
		Log: slog.New(slog.DiscardHandler), IDs: &screens.IDs{}, Post: func(f func()) {}, Go: func(screens.Route) {},
	})
	for _, c := range []struct {
		route         screens.Route
		states        []post.State
		back          post.Outcome
		sent, receipt string
	}{
		{screens.Route{States: []post.State{post.StateUncertain}}, []post.State{post.StateUncertain}, "", w.State(post.StateUncertain), w.T("history.all_receipts")},
		{screens.Route{Outcome: post.OutcomeBounced}, nil, post.OutcomeBounced, w.T("history.all_outcomes"), w.Outcome(post.OutcomeBounced)},
		{screens.Route{Outcome: post.OutcomeAccepted}, []post.State{post.StateSent}, "", w.State(post.StateSent), w.T("history.all_receipts")},
		{
			screens.Route{Outcome: post.OutcomeLeftOut},
			[]post.State{post.StateCancelled, post.StateSuppressed},
			"",
			w.State(post.StateCancelled) + ", " + w.State(post.StateSuppressed), w.T("history.all_receipts"),
		},
		{
			screens.Route{States: []post.State{post.StateSent, post.StateFailed}, Outcome: post.OutcomeNoNews},
			[]post.State{post.StateSent, post.StateFailed},
			post.OutcomeNoNews,
			w.State(post.StateSent) + ", " + w.State(post.StateFailed), w.Outcome(post.OutcomeNoNews),
		},
		{screens.Route{}, []post.State{post.StateSent, post.StateFailed}, post.OutcomeNoNews, w.State(post.StateSent) + ", " + w.State(post.StateFailed), w.Outcome(post.OutcomeNoNews)},
	} {
		v.choose(c.route)
		if !slices.Equal(v.filter.States, c.states) || v.filter.Outcome != c.back || v.outcome.Selected != c.sent || v.receipt.Selected != c.receipt {
			t.Errorf("%+v: %+v, shown as %q and %q", c.route, v.filter, v.outcome.Selected, v.receipt.Selected)
		}
	}
}
