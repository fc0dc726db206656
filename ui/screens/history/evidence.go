package history

import (
	"context"
	"log/slog"

	"postroom/accounts"
	"postroom/compose"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
)

// onEvidence asks whether personal data goes into the pack, then where to. It is
// about the mailing that is filtered for, else about the person in the panel.
func (v *View) onEvidence() {
	env := v.env
	id, mailing := v.current, v.filter.Mailing
	if id == 0 && mailing == 0 {
		return
	}
	screens.Load(context.Background(), env, func(ctx context.Context) (scope, error) { return scopeOf(ctx, env.Ledger, mailing, id) }, func(s scope, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		dialogs.Choose(env.Words, env.Window, env.T("history.evidence"), env.T("history.evidence.sentence", s.name),
			dialogs.Choice{Label: env.T("history.evidence.anonymous"), Do: func() { v.saveEvidence(s.choice, true) }},
			dialogs.Choice{Label: env.T("history.evidence.all"), Default: true, Do: func() { v.saveEvidence(s.choice, false) }},
		)
	})
}

// scope is what a pack is about, and its name.
type scope struct {
	choice receipts.Choice
	name   string
}

func scopeOf(ctx context.Context, l *storage.Ledger, mailing, delivery int64) (scope, error) {
	if mailing != 0 {
		m, err := l.Mailing(ctx, mailing)
		return scope{receipts.Choice{Mailing: mailing}, m.Name}, err
	}
	h, err := l.Delivery(ctx, delivery)
	return scope{receipts.Choice{Mailing: h.Mailing, Address: h.Address}, h.Address}, err
}

func (v *View) saveEvidence(c receipts.Choice, anonymous bool) {
	env := v.env
	c.Anonymous = anonymous
	dialogs.SaveFile(env.Words, env.Window, env.T("history.evidence"), "evidence.zip", func(path string) { v.evidenceTo(path, c) })
}

// evidenceTo writes a pack. A key that it needs of a locked vault is asked for.
func (v *View) evidenceTo(path string, c receipts.Choice) {
	env := v.env
	var p receipts.Pack
	dialogs.Work(env.Words, env.Window, env.Post, env.T("history.exporting"), func(ctx context.Context, report func(done, total int64)) (err error) {
		p, err = writeEvidence(ctx, env, path, c, report)
		return err
	}, func(err error) {
		switch {
		case err == nil:
			dialogs.Info(env.Words, env.Window, env.T("history.evidence.done"), env.T("history.evidence.hash", p.Hash))
		case vaultLocked(err) && env.WithVault != nil:
			env.WithVault(func() { v.evidenceTo(path, c) })
		case post.KindOf(err) != post.KindCancelled:
			dialogs.Error(env.Words, env.Window, err)
		}
	})
}

func writeEvidence(ctx context.Context, env *screens.Env, path string, c receipts.Choice, report func(done, total int64)) (receipts.Pack, error) {
	total := int64(1)
	if c.Address == "" {
		n, err := env.Ledger.CountHistory(ctx, storage.HistoryFilter{Mailing: c.Mailing})
		if err != nil {
			return receipts.Pack{}, err
		}
		total = n
	}
	archive := compose.Archive{Kept: env.Ledger, Signer: func(ctx context.Context, account int64) (*compose.Signer, error) {
		return signerOf(ctx, env, account)
	}}
	e := receipts.Evidence{
		Records: env.Ledger, Message: archive.Message, Words: env.Words, Clock: env.Clock, Log: slog.Default(),
		Progress: func(done int64) { report(done, total) },
	}
	return e.Write(ctx, path, c)
}

// signerOf returns what signs an account's mail, nil where it is not signed.
func signerOf(ctx context.Context, env *screens.Env, account int64) (*compose.Signer, error) {
	how, err := env.Ledger.Signing(ctx, account)
	if err != nil {
		return nil, err
	}
	cert, err := env.Ledger.Certificate(ctx, account)
	if err != nil || how == nil && cert == nil {
		return nil, err
	}
	made := &compose.Signer{}
	if how != nil {
		made.Domain, made.Selector = how.Domain, how.Selector
		if made.Key, err = accounts.SigningKey(ctx, env.Secrets, *how); err != nil {
			return nil, err
		}
	}
	if cert != nil {
		made.Certificate = &compose.Certificate{}
		if made.Certificate.Key, made.Certificate.Chain, err = accounts.CertificateKey(ctx, env.Secrets, *cert); err != nil {
			return nil, err
		}
	}
	return made, nil
}
