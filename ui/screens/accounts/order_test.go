package accounts

import (
	"strings"
	"testing"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// TestOrder: accounts are moved up and down, and the colour of one's letterhead
// marks it in the list.
func TestOrder(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	for _, name := range []string{"one", "two", "three"} { // by name: one, three, two
		if _, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
			Name: name, Email: name + "@example.com", Host: "smtp.example.com", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone,
		}); err != nil {
			t.Fatal(err)
		}
	}
	order := func() string {
		var names []string
		for _, a := range r.accounts() {
			names = append(names, a.Name)
		}
		return strings.Join(names, " ")
	}
	r.view.Show(screens.Route{})
	r.until("the list", r.listed(3))
	steps := []struct{ button, want string }{
		{"accounts.move.up", "one three two"},
		{"accounts.move.down", "three one two"},
		{"accounts.move.down", "three two one"},
		{"accounts.move.down", "three two one"},
		{"accounts.move.up", "three one two"},
	}
	up := get[*widgets.Button](r, "accounts.move.up")
	for _, s := range steps {
		r.tap(s.button)
		r.until("it to be moved", func() bool { return !up.Disabled() && order() == s.want })
		if name := r.view.panel.shown.Account.Name; name != "one" {
			t.Fatalf("now %s is looked at", name)
		}
	}

	one := r.accounts()[1]
	if err := r.env.Ledger.SetLetterhead(t.Context(), post.Letterhead{Account: one.ID, Colour: "#1a7f37"}); err != nil {
		t.Fatal(err)
	}
	r.view.Show(screens.Route{})
	r.until("the dot", func() bool {
		rows := r.view.grid.Rows()
		return len(rows) == 3 && rows[1].Cells[0].Colour == "#1a7f37" && rows[0].Cells[0].Text == ""
	})
}
