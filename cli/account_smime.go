package cli

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// maxCertificate is how large a file with a certificate may be, in bytes.
const maxCertificate = 256 << 10

// certificateJSON is an account's certificate, as scripts see it.
type certificateJSON struct {
	Account string  `json:"account"`
	Signed  bool    `json:"signed"`
	Subject string  `json:"subject"`
	Issuer  string  `json:"issuer"`
	Until   *string `json:"until"`
}

func (a *app) accountSMIME() *cobra.Command {
	var file string
	var remove bool
	c := &cobra.Command{
		Use: "smime NAME", Short: "Show, import or remove the certificate that signs an account's mail (S/MIME)", Args: takes(1, "the name of the account"),
		Long: `With a certificate for the account's address mail programs show that a message is
from you. --import takes a .p12 or .pfx file, whose passphrase is asked for or read
from standard input. The key goes into the vault where the account's password is
there, else into the keyring; the certificate into the ledger. Only certificates
with an RSA key can be used: their signatures can be made again to the same bytes.`,
		Example: "  postroom account smime shop --import shop.p12 < passphrase.txt\n  postroom account smime shop --remove",
	}
	c.Flags().StringVar(&file, "import", "", "take the certificate from this `file` (.p12 or .pfx)")
	c.Flags().BoolVar(&remove, "remove", false, "sign no more, and forget the key")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		if remove && file != "" {
			return usage("--import and --remove do not go together")
		}
		x, err := l.AccountByName(ctx, args[0])
		if err != nil {
			return err
		}
		return a.smime(ctx, l, x, file, remove)
	})
	return c
}

func (a *app) smime(ctx context.Context, l *storage.Ledger, x post.Account, file string, remove bool) error {
	old, err := l.Certificate(ctx, x.ID)
	if err != nil {
		return err
	}
	now := old
	switch {
	case file != "":
		if now, err = a.importCertificate(ctx, l, x, file); err != nil {
			return err
		}
	case remove:
		if err := l.RemoveCertificate(ctx, x.ID); err != nil {
			return err
		}
		now = nil
	}
	if old != nil && now != old { // the older key signs nothing any more
		if err := accounts.DeleteCertificateKey(ctx, a.Secrets, *old); err != nil {
			a.note("the older key could not be taken away: %s", oneLine(err.Error()))
		}
	}
	return a.tellCertificate(x, now)
}

func (a *app) importCertificate(ctx context.Context, l *storage.Ledger, x post.Account, file string) (*post.Certificate, error) {
	b, err := readSmall(file, maxCertificate)
	if err != nil {
		return nil, err
	}
	if err := a.openSecrets(ctx, l, nil, a.vaultStdin || x.Secret == post.SecretVault); err != nil {
		return nil, err
	}
	passphrase, err := a.secretLine("Passphrase of the certificate: ")
	if err != nil {
		return nil, err
	}
	c, err := accounts.KeepCertificate(ctx, a.Secrets, x, b, passphrase, a.Clock.Now())
	if err != nil {
		return nil, err
	}
	return &c, l.SetCertificate(ctx, c)
}

func (a *app) tellCertificate(x post.Account, c *post.Certificate) error {
	out := certificateJSON{Account: x.Name}
	if c != nil {
		chain, err := x509.ParseCertificates(c.Chain)
		if err != nil || len(chain) == 0 {
			return post.Errorf(post.KindInternal, "", "the certificate of %s cannot be read; import it again", x.Name)
		}
		until := chain[0].NotAfter.UTC().Format(time.RFC3339)
		out = certificateJSON{x.Name, true, chain[0].Subject.String(), chain[0].Issuer.String(), &until}
	}
	if a.json {
		return a.object(out)
	}
	if c == nil {
		a.say("%s has no certificate. Give it one with: postroom account smime %s --import FILE.p12", oneLine(x.Name), oneLine(x.Name))
		return nil
	}
	a.say("%s signs with a certificate for %s, by %s, until %s", oneLine(x.Name), oneLine(out.Subject), oneLine(out.Issuer), (*out.Until)[:10])
	return nil
}
