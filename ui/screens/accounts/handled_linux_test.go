package accounts

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/internal/testkit/mailserver"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// TestHandledFolderInTheWindow: the folder for handled reports is typed, or chosen
// among those of a real mailbox; the rule stands beside it; one that cannot be is
// refused at the field, and what keeps reports from being moved is told.
func TestHandledFolderInTheWindow(t *testing.T) {
	server := mailserver.Start(t, mailserver.Options{
		Domains: []string{"shop.example"}, User: "shop@shop.example", Password: "secret",
		Dovecot: []string{"namespace inbox {", "inbox = yes", "mailbox Verschickt {", "auto = create", "special_use = \\Sent", "}", "mailbox Spam {", "auto = create", "special_use = \\Junk", "}", "mailbox Erledigt {", "auto = create", "}", "}"},
	})
	host, port, err := net.SplitHostPort(server.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	for _, style := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(style.lang), func(t *testing.T) {
			r := newRig(t, style.lang, style.mode)
			dialer := &senders.Dialer{Secrets: r.ring}
			r.env.Folders = func(ctx context.Context, a post.Account) ([]string, error) {
				return receipts.Folders(ctx, dialer.DialMailbox, a, r.env.Log)
			}
			form := filled()
			form.Email, form.User, form.Password = "shop@shop.example", "", "secret"
			a := mustSave(t, r.view.saver, 0, form)
			r.view.Show(screens.Route{ID: a.ID})
			r.until("the list", r.listed(1))
			edit := func() {
				r.tap("accounts.edit")
				r.until("the form", func() bool { return r.view.form != nil })
			}
			save := func() {
				r.tap("accounts.form.save")
				r.until("the change", func() bool { return r.view.form == nil })
				r.until("the panel", func() bool {
					shown, kept := r.view.panel.shown.Account, r.accounts()[0]
					return shown.IMAPHost == kept.IMAPHost && shown.HandledFolder == kept.HandledFolder && len(r.queue) == 0
				})
			}
			refused := func(name, key string) {
				t.Helper()
				r.enter("handled", name)
				r.tap("accounts.form.save")
				if r.view.form == nil || r.view.form.wrong[FieldHandled].Text != r.env.T(key) {
					t.Fatalf("%q is not refused with %s", name, key)
				}
			}
			edit()
			said := slices.ContainsFunc(test.LaidOutObjects(r.view.form.root), func(o fyne.CanvasObject) bool {
				x, ok := o.(*widgets.Text)
				return ok && x.Text == r.env.T("accounts.handled.rule")
			})
			if !said || get[*widgets.Button](r, "accounts.form.handled.choose").Visible() {
				t.Error("the rule is not said, or folders of no mailbox are offered")
			}
			refused("Erledigt", "accounts.wrong.handled_mailbox")
			r.enter("imap_host", host)
			get[*widgets.Select](r, "accounts.form.imap_tls").SetSelectedIndex(slices.Index(Modes, post.TLSNone))
			r.enter("imap_port", port)
			refused("inbox", "handled.inbox")
			refused("Mail/Gesendet", "handled.sent")
			refused("a*b", "handled.name")
			r.enter("handled", "")
			save()

			edit()
			r.tap("accounts.form.handled.choose")
			r.until("the folders", func() bool {
				return r.win.Canvas().Overlays().Top() != nil && r.sees(r.env.T("accounts.handled.which"))
			})
			choice := get[*widgets.Select](r, "accounts.handled.folder")
			if !slices.Equal(choice.Options, []string{"Erledigt"}) {
				t.Errorf("offered: %v", choice.Options)
			}
			r.shoot("handled-choose-" + string(style.lang))
			r.press(r.env.T("action.choose"))
			r.win.Resize(fyne.NewSize(1280-184, 1150)) // all of the form
			r.shoot("handled-form-" + string(style.lang))
			save()
			if got := r.accounts()[0].HandledFolder; got != "Erledigt" {
				t.Errorf("kept: %q", got)
			}
			now := time.Now()
			state := storage.MailboxState{Account: a.ID, Server: senders.MailboxName(r.accounts()[0]), ReadAt: now, TriedAt: now}
			if err := r.env.Ledger.NoteMailbox(t.Context(), state); err != nil {
				t.Fatal(err)
			}
			if err := r.env.Ledger.NoteHandled(t.Context(), a.ID, state.Server, post.Reason{Key: "handled.full", Args: []string{"Quota exceeded"}, Raw: "Quota exceeded"}); err != nil {
				t.Fatal(err)
			}
			r.view.Show(screens.Route{ID: a.ID})
			r.until("the trouble", func() bool {
				return strings.Contains(get[*widgets.Text](r, "accounts.handled.trouble").Text, r.env.T("handled.full", "Quota exceeded"))
			})
			r.shoot("handled-panel-" + string(style.lang))

			// A server that is gone is told, and the name can be typed.
			edit()
			r.env.Folders = func(context.Context, post.Account) ([]string, error) {
				return nil, &post.Error{Kind: post.KindNetwork, Op: "read the mailbox", Message: "hung up"}
			}
			r.tap("accounts.form.handled.choose")
			r.until("the error", func() bool { return r.win.Canvas().Overlays().Top() != nil })
			r.press(r.env.T("action.ok"))
			r.enter("handled", " 已处理/回执 ")
			save()
			if got := r.accounts()[0].HandledFolder; got != "已处理/回执" {
				t.Errorf("kept: %q", got)
			}
		})
	}
}
