package accounts

import (
	"os"
	"path/filepath"
	"testing"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// TestImportInTheWindow looks first, adds then, and starts another from one.
func TestImportInTheWindow(t *testing.T) {
	r := newRig(t, words.Chinese, theme.Light)
	file := filepath.Join(t.TempDir(), "accounts.csv")
	text := "account,email,host,port,tls,password\nShop,a@example.com,smtp.example.com,465,tls,geheim\nOffice,b@example.com,smtp.example.com,587,starttls,auch geheim\nBad,c@example.com,smtp.example.com,465,tls,\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.view.Show(screens.Route{})
	r.until("the screen", func() bool { return len(r.view.body.Objects) == 1 })
	r.view.importFrom(file, true)
	r.until("the question", func() bool { return r.sees(r.env.T("accounts.import.ask", int64(2), int64(1))) })
	if len(r.accounts()) != 0 || len(r.ring.all()) != 0 {
		t.Error("a look has added something")
	}
	r.press(r.env.T("action.import"))
	r.until("the accounts", func() bool { return len(r.accounts()) == 2 })
	r.until("what became of it", func() bool { return r.sees(r.env.T("accounts.import.done", int64(2), int64(1))) })
	r.press(r.env.T("action.ok"))
	for _, a := range r.accounts() {
		if want := map[string]string{"Shop": "geheim", "Office": "auch geheim"}[a.Name]; r.ring.all()[a.SecretRef] != want {
			t.Errorf("%s has another password", a.Name)
		}
		if a.Name == "Office" && a.TLS != post.TLSStartTLS {
			t.Errorf("%+v", a)
		}
	}

	r.until("the panel", func() bool { return r.view.panel.shown != nil })
	r.tap("accounts.copy")
	if got := get[*widgets.Entry](r, "accounts.form.host").Text; got != "smtp.example.com" || r.view.form.id != 0 {
		t.Errorf("host %q, account %d", got, r.view.form.id)
	}
	r.enter("email", "third@example.com")
	r.enter("password", "dritte")
	r.tap("accounts.form.save")
	r.until("the third", func() bool { return len(r.accounts()) == 3 && r.view.form == nil })
}
