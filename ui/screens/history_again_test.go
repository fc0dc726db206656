package screens_test

import (
	"strings"
	"testing"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/history"
	"postroom/ui/widgets"
)

// TestWriteAgain: from the history one writes to those of a mailing of whom
// something became. The list is a rule, people who were not in the book come into
// it, and a rehearsal has nobody.
func TestWriteAgain(t *testing.T) {
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
			ctx, l := t.Context(), s.env.Ledger
			// One of the three who failed is no more in the book.
			failed, _, err := l.History(ctx, storage.HistoryFilter{States: []post.State{post.StateFailed}}, storage.Page{Limit: 10})
			if err != nil || len(failed) != 3 {
				t.Fatal(failed, err)
			}
			gone, _, err := l.Contacts(ctx, storage.ContactFilter{Search: failed[0].Address}, storage.Page{Limit: 2})
			if err != nil || len(gone) != 1 {
				t.Fatal(gone, err)
			}
			if err := l.DeleteContacts(ctx, []int64{gone[0].ID}); err != nil {
				t.Fatal(err)
			}
			v := history.New(s.env)
			s.show(v, screens.Route{States: []post.State{post.StateFailed}})
			s.settle()
			s.shoot("history-" + string(style.lang))
			s.tap("history.again")
			who, list := named[*widgets.Select](s, "again.who"), named[*widgets.Entry](s, "again.list")
			if storage.FollowUps[who.SelectedIndex()] != storage.FollowUpFailed || !strings.Contains(who.Selected, "3") {
				t.Errorf("%q is offered for those who failed", who.Selected)
			}
			s.wantShown(s.env.Words.N("history.again.strangers", 1))
			s.shoot("history-again-" + string(style.lang))
			was := list.Text
			who.SetSelectedIndex(4) // and back: the name follows
			who.SetSelectedIndex(2)
			if list.Text == was || !strings.Contains(list.Text, s.env.T("followup.read")) {
				t.Errorf("the list is to be named %q", list.Text)
			}
			who.SetSelectedIndex(4)
			list.SetText("Try again")
			s.press(s.env.T("history.again.yes"))
			s.settle()
			if s.route.Screen != screens.Mailings || s.route.Draft == 0 {
				t.Fatalf("went to %+v", s.route)
			}
			if s.members("Try again") != 3 {
				t.Errorf("%d on the list", s.members("Try again"))
			}
			drafts, err := l.Drafts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range drafts {
				if d.ID == s.route.Draft && (len(d.Lists) != 1 || len(d.Accounts) != 1 || d.Accounts[0] != 1) {
					t.Errorf("the draft: %+v", d)
				}
			}
			details, err := l.ListDetails(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range details {
				if d.Name == "Try again" && (d.Rule == nil || d.Rule.Got != 1 || d.Rule.FollowUp != storage.FollowUpFailed) {
					t.Errorf("the rule: %+v", d.Rule)
				}
			}
			v.Hide()
		})
	}
}

// TestWriteAgainRefuses: nobody of a kind, a name that is taken, a rehearsal.
func TestWriteAgainRefuses(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	ctx, l := t.Context(), s.env.Ledger
	r, _, err := l.Enqueue(ctx, post.Mailing{
		Kind: post.Rehearsal, Name: "Practice", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: 1, Email: "hello@brauhaus.example"}},
	}, recipients([]post.Contact{{Address: "a@example.org", Key: "a@example.org"}}))
	if err != nil {
		t.Fatal(err)
	}
	v := history.New(s.env)
	s.show(v, screens.Route{Mailing: 1})
	s.settle()
	s.tap("history.again")
	who := named[*widgets.Select](s, "again.who")
	// 24 were sent; one answered, one came back, and one who unsubscribed said nothing else.
	if got := who.Selected; got != "got it and did not answer (22)" {
		t.Errorf("%q is offered first", got)
	}
	named[*widgets.Entry](s, "again.list").SetText("Regulars")
	s.press("Write the mailing")
	s.settle()
	s.wantShown("Regulars")
	if s.route.Draft != 0 {
		t.Error("a list was made twice")
	}
	s.press("OK")
	s.tap("history.again")
	named[*widgets.Entry](s, "again.list").SetText(" ")
	s.press("Write the mailing")
	s.wantShown(s.env.T("contacts.no_list"))
	s.press("Cancel")
	v.Hide()
	v = history.New(s.env)
	s.show(v, screens.Route{Mailing: r.ID})
	s.settle()
	s.tap("history.again")
	s.wantShown("This was a rehearsal")
	s.press("OK")
	v.Hide()
}
