package storage

import (
	"context"
	"database/sql"
	"errors"

	"postroom/post"
)

// Letterhead returns how an account's mail looks; all fields are empty where
// nobody said.
func (l *Ledger) Letterhead(ctx context.Context, account int64) (post.Letterhead, error) {
	h := post.Letterhead{Account: account}
	err := l.r.QueryRowContext(ctx, `SELECT colour, logo, postal_address, unsubscribe_url, unsubscribe_words FROM letterheads WHERE account_id=?`, account).
		Scan(&h.Colour, &h.Logo, &h.PostalAddress, &h.UnsubscribeURL, &h.UnsubscribeWords)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, classify("look up the letterhead", err)
}

// SetLetterhead keeps how an account's mail looks.
func (l *Ledger) SetLetterhead(ctx context.Context, h post.Letterhead) error {
	const op = "keep the letterhead"
	if err := h.Check(); err != nil {
		return err
	}
	if h.Logo == nil {
		h.Logo = []byte{}
	}
	return l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec(`INSERT INTO letterheads (account_id, colour, logo, postal_address, unsubscribe_url, unsubscribe_words) VALUES (?,?,?,?,?,?)
			ON CONFLICT (account_id) DO UPDATE SET colour=excluded.colour, logo=excluded.logo, postal_address=excluded.postal_address,
				unsubscribe_url=excluded.unsubscribe_url, unsubscribe_words=excluded.unsubscribe_words`,
			h.Account, h.Colour, h.Logo, h.PostalAddress, h.UnsubscribeURL, h.UnsubscribeWords)
		return err
	})
}

// Signing returns how an account's mail is signed; nil when it is not.
func (l *Ledger) Signing(ctx context.Context, account int64) (*post.Signing, error) {
	s := post.Signing{Account: account}
	var created int64
	err := l.r.QueryRowContext(ctx, "SELECT domain, selector, secret_ref, home, public_key, created_at FROM signings WHERE account_id=?", account).
		Scan(&s.Domain, &s.Selector, &s.SecretRef, &s.Home, &s.PublicKey, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("look up the signing key", err)
	}
	s.CreatedAt = post.FromMillis(created)
	return &s, nil
}

// SetSigning keeps how an account's mail is signed, in place of what was before.
func (l *Ledger) SetSigning(ctx context.Context, s post.Signing) error {
	if s.Home == "" {
		s.Home = post.SecretKeyring
	}
	return l.write(ctx, "keep the signing key", func(t *Tx) error {
		_, err := t.exec(`INSERT INTO signings (account_id, domain, selector, secret_ref, home, public_key, created_at) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT (account_id) DO UPDATE SET domain=excluded.domain, selector=excluded.selector, secret_ref=excluded.secret_ref,
				home=excluded.home, public_key=excluded.public_key, created_at=excluded.created_at`,
			s.Account, s.Domain, s.Selector, s.SecretRef, string(s.Home), s.PublicKey, post.Millis(t.now))
		return err
	})
}

// RemoveSigning ends the signing of an account's mail; that there was none is
// no error.
func (l *Ledger) RemoveSigning(ctx context.Context, account int64) error {
	return l.write(ctx, "end the signing", func(t *Tx) error {
		_, err := t.exec("DELETE FROM signings WHERE account_id=?", account)
		return err
	})
}
