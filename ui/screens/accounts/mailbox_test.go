package accounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// TestMailboxInTheWindow: an account gets its mailbox, its answers and its copies
// in the form, keeps them over a change of something else, and says how the
// reading goes.
func TestMailboxInTheWindow(t *testing.T) {
	for _, style := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(style.lang), func(t *testing.T) {
			r := newRig(t, style.lang, style.mode)
			a := mustSave(t, r.view.saver, 0, filled())
			r.view.Show(screens.Route{ID: a.ID})
			r.until("the list", r.listed(1))
			r.tap("accounts.edit")
			get[*widgets.Select](r, "accounts.form.copies").SetSelectedIndex(2)
			r.tap("accounts.form.save")
			if r.view.form == nil || r.view.form.wrong[FieldCopies].Text == "" {
				t.Error("copies without a mailbox are not refused")
			}
			r.enter("imap_host", "imap.example.com")
			get[*widgets.Select](r, "accounts.form.imap_tls").SetSelectedIndex(1)
			if port := get[*widgets.Entry](r, "accounts.form.imap_port").Text; port != "143" {
				t.Errorf("port %s for STARTTLS", port)
			}
			get[*widgets.Check](r, "accounts.form.plus").SetChecked(true)
			r.draw(filepath.Join(t.TempDir(), "form.png"))
			r.tap("accounts.form.save")
			r.until("the change", func() bool { return r.view.form == nil })
			got := r.accounts()[0]
			habits, err := habitsOf(t.Context(), r.env.Ledger, a.ID)
			if err != nil || got.IMAPHost != "imap.example.com" || got.IMAPPort != 143 || got.IMAPTLS != post.TLSStartTLS || !habits.Plus || habits.Copies != post.SentCopiesOne {
				t.Fatalf("%+v %+v %v", got, habits, err)
			}
			now := time.Now()
			if err := r.env.Ledger.NoteMailbox(t.Context(), storage.MailboxState{Account: a.ID, Server: senders.MailboxName(got), ReadAt: now, TriedAt: now}); err != nil {
				t.Fatal(err)
			}
			if err := r.env.Ledger.NoteMailbox(t.Context(), storage.MailboxState{Account: a.ID, Server: senders.MailboxName(got), TriedAt: now, Trouble: post.Reason{
				Key: "mailbox.sign_in", Args: []string{"AUTHENTICATIONFAILED try again"}, Raw: "auth: 535 AUTHENTICATIONFAILED try again",
			}}); err != nil {
				t.Fatal(err)
			}
			r.view.Show(screens.Route{ID: a.ID})
			r.until("the trouble", func() bool {
				return strings.Contains(get[*widgets.Text](r, "accounts.mailbox.trouble").Text, r.env.T("mailbox.sign_in", "AUTHENTICATIONFAILED try again"))
			})
			r.shoot("mailbox-" + string(style.lang))
			r.tap("accounts.edit")
			if !get[*widgets.Check](r, "accounts.form.plus").Checked || r.view.form.changed() {
				t.Error("the form does not begin with what is kept")
			}
			r.shoot("mailbox-form-" + string(style.lang))
			r.enter("from_name", "Am Fluss")
			r.tap("accounts.form.save")
			r.until("the change", func() bool { return r.view.form == nil })
			if again, err := habitsOf(t.Context(), r.env.Ledger, a.ID); err != nil || again != habits {
				t.Errorf("%+v %v", again, err)
			}
			r.until("the list", func() bool { return r.view.panel.shown.Account.FromName == "Am Fluss" && len(r.queue) == 0 })
		})
	}
}

// A mailbox must be one that may be read, and a copy one that is of use.
func TestMailboxProblems(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Form)
		want   Field
	}{
		"name":        {func(f *Form) { f.IMAPHost = "a b" }, FieldIMAPHost},
		"port":        {func(f *Form) { f.IMAPHost, f.IMAPPort = "imap.example.com", "0" }, FieldIMAPPort},
		"unencrypted": {func(f *Form) { f.IMAPHost, f.IMAPTLS = "imap.example.com", post.TLSNone }, FieldIMAPTLS},
		"no mailbox":  {func(f *Form) { f.Copies = post.SentCopiesEach }, FieldCopies},
		"provider":    {func(f *Form) { f.Host, f.IMAPHost, f.Copies = "smtp.gmail.com", "imap.gmail.com", post.SentCopiesEach }, FieldCopies},
	} {
		t.Run(name, func(t *testing.T) {
			f := filled()
			c.change(&f)
			wrong := f.Problems(&post.Account{})
			if len(wrong) != 1 || wrong[0].Field != c.want {
				t.Errorf("%v", wrong)
			}
		})
	}
}

// shoot keeps a picture where POSTROOM_GALLERY names a folder.
func (r *rig) shoot(name string) {
	r.Helper()
	if dir := os.Getenv("POSTROOM_GALLERY"); dir != "" {
		r.draw(filepath.Join(dir, name+".png"))
	}
}

// TestTroubleWords: in the user's language, with the raw text unless it would be
// there twice; what an older version noted is told as it is.
func TestTroubleWords(t *testing.T) {
	w := words.For(words.Chinese)
	for _, key := range []string{"sign_in", "not_now", "refused", "broke", "gives_none"} {
		if !w.Has("mailbox."+key) || !words.For(words.English).Has("mailbox."+key) {
			t.Errorf("no words for %s", key)
		}
	}
	for _, c := range []struct {
		why  post.Reason
		want string
	}{
		{post.Reason{Key: "cause.refused", Raw: "connect: refused"}, w.T("cause.refused") + " (connect: refused)"},
		{post.Reason{Key: "mailbox.refused", Args: []string{"no such box"}, Raw: "no such box"}, w.T("mailbox.refused", "no such box")},
		{post.Reason{Raw: "the server does not answer"}, "the server does not answer"},
		{post.Reason{Key: "mailbox.from_a_newer_version", Raw: "no"}, "no"},
	} {
		if got := troubleWords(w, c.why); got != c.want {
			t.Errorf("%+v: %q", c.why, got)
		}
	}
}
