package accounts

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// certificateFiles are what authorities, browsers and mail programs export.
var certificateFiles = []string{".p12", ".pfx"}

// maxCertificate is how large a file with a certificate may be, in bytes.
const maxCertificate = 256 << 10

// certificate is the dialog about the certificate that signs an account's mail.
type certificate struct {
	v          *View
	account    post.Account
	now        *post.Certificate // nil: there is none
	vault      bool              // the account keeps in the vault what it keeps
	path       string            // the file that was chosen
	file       *widgets.Text
	passphrase *widgets.Entry
	yes        *widgets.Button
	dialog     *dialogs.Dialog
}

// onSMIME shows with which certificate the mail of the account in the panel is
// signed.
func (v *View) onSMIME() {
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	c := &certificate{v: v, account: a}
	screens.Load(context.Background(), env, func(ctx context.Context) (*post.Certificate, error) {
		c.vault = senders.UsesVault(ctx, env.Ledger, &a)
		return env.Ledger.Certificate(ctx, a.ID)
	}, func(now *post.Certificate, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		c.now = now
		c.show()
	})
}

func (c *certificate) show() {
	env := c.v.env
	c.file = widgets.NewText(env.T("smime.file.none")).Cutting()
	if c.path != "" {
		c.file.SetText(filepath.Base(c.path))
	}
	pick := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.PickFile(env.Words, env.Window, env.T("smime.file"), certificateFiles, c.chosen)
	})
	c.passphrase = widgets.NewPasswordEntry()
	c.passphrase.OnSubmitted = func(string) { c.onImport() }
	c.yes = widgets.NewButton(widgets.Primary, env.T("action.import"), c.onImport)
	leave := widgets.NewButton(widgets.Normal, env.T("action.close"), func() { c.dialog.Close() })
	for id, o := range map[string]fyne.CanvasObject{"smime.choose": pick, "smime.passphrase": c.passphrase, "smime.import": c.yes, "smime.close": leave} {
		env.IDs.Set(id, o)
	}
	if c.path == "" {
		c.yes.Disable()
	}
	body := widgets.VStack(12, widgets.NewQuiet(env.T("smime.why")).Wrapping())
	buttons := []*widgets.Button{leave, c.yes}
	if c.now != nil {
		body.Add(c.facts())
		off := widgets.NewButton(widgets.Danger, env.T("action.remove"), c.askOff)
		env.IDs.Set("smime.remove", off)
		buttons = []*widgets.Button{off, leave, c.yes}
		body.Add(widgets.NewDivider())
		body.Add(widgets.NewText(env.T("smime.replace")).Wrapping())
	}
	body.Add(widgets.Columns(14, []float32{1, 1},
		widgets.VStack(4, widgets.NewSmall(env.T("smime.file")), widgets.HStack(10, widgets.Grow(c.file), pick)),
		widgets.VStack(4, widgets.NewSmall(env.T("smime.passphrase")), c.passphrase)))
	body.Add(widgets.NewSmall(env.T("smime.where")).Wrapping())
	c.dialog = dialogs.Show(env.Window, dialogs.Options{
		Title: env.T("smime.title", c.account.Name), Body: body, Buttons: buttons, Default: leave, Width: 560,
	})
}

// facts says whose the certificate is, who vouches for it and until when.
func (c *certificate) facts() fyne.CanvasObject {
	env := c.v.env
	chain, err := x509.ParseCertificates(c.now.Chain)
	if err != nil || len(chain) == 0 {
		return widgets.NewText(env.T("secret.certificate")).Toned(theme.Bad).Wrapping()
	}
	leaf, rows := chain[0], widgets.VStack(6)
	for _, f := range [][2]string{
		{"smime.subject", named(leaf.Subject)},
		{"smime.addresses", strings.Join(leaf.EmailAddresses, ", ")},
		{"smime.issuer", named(leaf.Issuer)},
		{"smime.until", leaf.NotAfter.In(env.Zone).Format(time.DateOnly)},
	} {
		rows.Add(widgets.HStack(10, widgets.FixedWidth(110, widgets.NewQuiet(env.T(f[0]))), widgets.Grow(widgets.NewText(post.CleanReply(f[1])).Wrapping())))
	}
	if err := senders.CertificateHolds(*c.now, env.Now()); err != nil {
		what, _ := env.Words.Error(err)
		rows.Add(widgets.NewText(what).Toned(theme.Bad).Wrapping())
	}
	return rows
}

// named is a name in a certificate as people write it, "Brauhaus, Test GmbH", and
// in its technical form where it has neither of these.
func named(n pkix.Name) string {
	all := slices.DeleteFunc(append([]string{n.CommonName}, n.Organization...), func(s string) bool { return s == "" })
	if len(all) == 0 {
		return n.String()
	}
	return strings.Join(all, ", ")
}

func (c *certificate) chosen(path string) {
	c.path = path
	c.file.SetText(filepath.Base(path))
	c.yes.Enable()
	c.v.env.Window.Canvas().Focus(c.passphrase)
}

// onImport takes the certificate from the file that was chosen; a locked vault is
// opened first where the key will lie there.
func (c *certificate) onImport() {
	if c.path != "" {
		c.v.unlocked(c.vault, c.take)
	}
}

func (c *certificate) take() {
	env, passphrase := c.v.env, c.passphrase.Text
	c.dialog.Close()
	screens.Load(context.Background(), env, func(ctx context.Context) (*post.Certificate, error) { return c.keep(ctx, passphrase) },
		func(made *post.Certificate, err error) {
			if made != nil {
				c.now, c.path = made, ""
				c.v.Changed()
				env.Mail.Kick()
			}
			c.show()
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
}

// keep puts the certificate in the place of the one there was. An account that
// stopped for want of one goes on.
func (c *certificate) keep(ctx context.Context, passphrase string) (*post.Certificate, error) {
	env := c.v.env
	file, err := readCertificate(c.path)
	if err != nil {
		return nil, err
	}
	made, err := senders.KeepCertificate(ctx, env.Secrets, c.account, file, passphrase, env.Now())
	if err != nil {
		return nil, err
	}
	if err := env.Ledger.SetCertificate(ctx, made); err != nil {
		return nil, errors.Join(err, senders.DeleteCertificateKey(ctx, env.Secrets, made))
	}
	if c.now != nil { // its key signs nothing any more
		if err := senders.DeleteCertificateKey(ctx, env.Secrets, *c.now); err != nil {
			return &made, err
		}
	}
	_, err = env.Ledger.ReleaseAccounts(ctx, func(a post.Account) bool {
		return a.ID == c.account.ID && strings.HasPrefix(a.Reason.Key, "secret.certificate")
	})
	return &made, err
}

// readCertificate reads a file that may hold a certificate.
func readCertificate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &post.Error{Kind: post.KindInvalid, Op: "read the certificate", Err: err, Reason: post.Reason{Key: "certificate.unread"}}
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxCertificate))
	if err != nil {
		return nil, &post.Error{Kind: post.KindInvalid, Op: "read the certificate", Err: err, Reason: post.Reason{Key: "certificate.unread"}}
	}
	return b, nil // one that was cut off here is none
}

// askOff asks before the certificate's key is forgotten.
func (c *certificate) askOff() {
	env := c.v.env
	c.dialog.Close()
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("smime.off.title"), env.T("smime.off.sentence", c.account.Email), env.T("action.remove"), func() {
		c.v.unlocked(c.vault, c.off)
	})
}

func (c *certificate) off() {
	env, old := c.v.env, *c.now
	c.v.change(func(ctx context.Context) error {
		if err := env.Ledger.RemoveCertificate(ctx, c.account.ID); err != nil {
			return err
		}
		return senders.DeleteCertificateKey(ctx, env.Secrets, old)
	})
}
