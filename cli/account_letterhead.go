package cli

import (
	"bytes"
	"context"
	"image"
	_ "image/gif"  // a logo may be one
	_ "image/jpeg" // a logo may be one
	_ "image/png"  // a logo may be one
	"strings"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// letterheadFlags are the flags of account letterhead.
type letterheadFlags struct {
	colour, logo, address, page, words string
	changed                            func(name string) bool
}

// letterheadJSON is a letterhead as scripts see it. Logo is how many bytes it has.
type letterheadJSON struct {
	Account string `json:"account"`
	Colour  string `json:"colour"`
	Logo    int    `json:"logo"`
	Address string `json:"postal_address"`
	Page    string `json:"unsubscribe_url"`
	Words   string `json:"unsubscribe_words"`
}

func (a *app) accountLetterhead() *cobra.Command {
	var f letterheadFlags
	c := &cobra.Command{
		Use: "letterhead NAME", Short: "Show or change how an account's mail looks, and its footer", Args: takes(1, "the name of the account"),
		Long: `Letterhead keeps what designs take from an account: a colour and a logo; and what
stands in the footer of its promotional mail: the postal address, and the page
that takes the wish to unsubscribe. That page must take a POST (RFC 8058); {token}
in its address stands for what names the message, so that receipts can tell. Without
a page people unsubscribe by mail, which postroom receipts fetch reads.

An empty value takes one away.`,
		Example: "  postroom account letterhead shop --colour '#1a7f37' --logo logo.png --postal-address 'Köhlers Blumen, Hauptstr. 1, 93047 Regensburg'",
	}
	s := c.Flags()
	s.StringVar(&f.colour, "colour", "", "the `colour` of designs, such as #1a7f37")
	s.StringVar(&f.logo, "logo", "", "a `file` with the logo: PNG, JPEG or GIF, at most 200 KB")
	s.StringVar(&f.address, "postal-address", "", "the postal `address` in the footer of promotional mail")
	s.StringVar(&f.page, "unsubscribe-url", "", "your own `page` for unsubscribing, with https://")
	s.StringVar(&f.words, "unsubscribe-words", "", "the `words` of the link to it (default: Unsubscribe or 退订)")
	f.changed = s.Changed
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.letterhead(ctx, l, args[0], &f)
	})
	return c
}

func (a *app) letterhead(ctx context.Context, l *storage.Ledger, name string, f *letterheadFlags) error {
	x, err := l.AccountByName(ctx, name)
	if err != nil {
		return err
	}
	h, err := l.Letterhead(ctx, x.ID)
	if err != nil {
		return err
	}
	changed := false
	for _, c := range []struct {
		flag, value string
		to          *string
	}{
		{"colour", f.colour, &h.Colour},
		{"postal-address", strings.ReplaceAll(f.address, `\n`, "\n"), &h.PostalAddress},
		{"unsubscribe-url", f.page, &h.UnsubscribeURL},
		{"unsubscribe-words", f.words, &h.UnsubscribeWords},
	} {
		if f.changed(c.flag) {
			*c.to, changed = strings.TrimSpace(c.value), true
		}
	}
	if f.changed("logo") {
		if h.Logo, err = readLogo(f.logo); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		if err := l.SetLetterhead(ctx, h); err != nil {
			return err
		}
	}
	if a.json {
		return a.object(letterheadJSON{x.Name, h.Colour, len(h.Logo), h.PostalAddress, h.UnsubscribeURL, h.UnsubscribeWords})
	}
	logo := "none"
	if len(h.Logo) > 0 {
		logo = plural(int64(len(h.Logo)), "byte", "bytes")
	}
	for _, line := range [][2]string{
		{"colour", h.Colour},
		{"logo", logo},
		{"postal address", strings.ReplaceAll(h.PostalAddress, "\n", ", ")},
		{"unsubscribe page", h.UnsubscribeURL},
		{"its words", h.UnsubscribeWords},
	} {
		value := line[1]
		if value == "" {
			value = "none"
		}
		a.say("%s: %s", line[0], oneLine(value))
	}
	return nil
}

// readLogo reads a picture that every reader shows.
func readLogo(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := readSmall(path, post.MaxLogo)
	if err != nil {
		return nil, err
	}
	if _, _, err := image.DecodeConfig(bytes.NewReader(b)); err != nil {
		return nil, usage("%s is not a PNG, JPEG or GIF", path)
	}
	return b, nil
}

// signingJSON is how an account's mail is signed, as scripts see it.
type signingJSON struct {
	Account  string `json:"account"`
	Signed   bool   `json:"signed"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Record   string `json:"record_name"`
	Value    string `json:"record_value"`
}

func (a *app) accountDKIM() *cobra.Command {
	var selector string
	var remove, vault bool
	c := &cobra.Command{
		Use: "dkim NAME", Short: "Show, make or remove the key that signs an account's mail (DKIM)", Args: takes(1, "the name of the account"),
		Long: `A signature says that a message comes from your domain and was not changed on
its way. Many providers sign by themselves; then you need none of your own.

With --make a key is made and kept where the account's password is, in the vault
or else in this computer's keyring, or with --vault in the vault, and mail is
signed from then on. Put the record that is shown into your domain's DNS.`,
		Example: "  postroom account dkim shop --make postroom1\n  postroom account dkim shop --remove",
	}
	c.Flags().StringVar(&selector, "make", "", "make a key under this `selector`, such as postroom1")
	c.Flags().BoolVar(&vault, "vault", false, "keep the key in the vault, where there is no keyring")
	c.Flags().BoolVar(&remove, "remove", false, "sign no more, and forget the key")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		if remove && selector != "" {
			return usage("--make and --remove do not go together")
		}
		x, err := l.AccountByName(ctx, args[0])
		if err != nil {
			return err
		}
		return a.dkim(ctx, l, x, selector, vault, remove)
	})
	return c
}

func (a *app) dkim(ctx context.Context, l *storage.Ledger, x post.Account, selector string, vault, remove bool) error {
	s, err := l.Signing(ctx, x.ID)
	if err != nil {
		return err
	}
	if selector != "" || remove {
		if err := a.openSecrets(ctx, l, nil, vault || a.vaultStdin || accounts.UsesVault(ctx, l, &x)); err != nil {
			return err
		}
	}
	if selector != "" {
		made, err := accounts.MakeSigningKey(ctx, a.Secrets, x, selector, vault)
		if err != nil {
			return err
		}
		if err := l.SetSigning(ctx, made); err != nil {
			return err
		}
		if s != nil { // the older key signs nothing any more
			if err := accounts.DeleteSigningKey(ctx, a.Secrets, *s); err != nil {
				a.note("the older key could not be taken out of its place: %s", oneLine(err.Error()))
			}
		}
		s = &made
	}
	if remove && s != nil {
		if err := l.RemoveSigning(ctx, x.ID); err != nil {
			return err
		}
		if err := accounts.DeleteSigningKey(ctx, a.Secrets, *s); err != nil {
			return err
		}
		s = nil
	}
	out := signingJSON{Account: x.Name}
	if s != nil {
		name, value := accounts.SigningRecord(*s)
		out = signingJSON{x.Name, true, s.Domain, s.Selector, name, value}
	}
	if a.json {
		return a.object(out)
	}
	if s == nil {
		a.say("%s signs nothing. Make a key with: postroom account dkim %s --make postroom1", oneLine(x.Name), oneLine(x.Name))
		return nil
	}
	a.say("%s signs for %s. Its DNS needs a TXT record:", oneLine(x.Name), out.Domain)
	a.say("  name:  %s", out.Record)
	a.say("  value: %s", out.Value)
	return nil
}
