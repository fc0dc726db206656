package storage

import (
	"context"
	"database/sql"
	"errors"

	"postroom/post"
)

// Certificate returns with which certificate an account's mail is signed; nil
// when it is not.
func (l *Ledger) Certificate(ctx context.Context, account int64) (*post.Certificate, error) {
	c := post.Certificate{Account: account}
	var created int64
	err := l.r.QueryRowContext(ctx, "SELECT chain, secret_ref, created_at FROM certificates WHERE account_id=?", account).Scan(&c.Chain, &c.SecretRef, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("look up the certificate", err)
	}
	c.CreatedAt = post.FromMillis(created)
	return &c, nil
}

// SetCertificate keeps an account's certificate, in place of what was before.
func (l *Ledger) SetCertificate(ctx context.Context, c post.Certificate) error {
	return l.write(ctx, "keep the certificate", func(t *Tx) error {
		_, err := t.exec(`INSERT INTO certificates (account_id, chain, secret_ref, created_at) VALUES (?,?,?,?)
			ON CONFLICT (account_id) DO UPDATE SET chain=excluded.chain, secret_ref=excluded.secret_ref, created_at=excluded.created_at`,
			c.Account, c.Chain, c.SecretRef, post.Millis(t.now))
		return err
	})
}

// RemoveCertificate ends the signing with a certificate; that there was none is
// no error.
func (l *Ledger) RemoveCertificate(ctx context.Context, account int64) error {
	return l.write(ctx, "remove the certificate", func(t *Tx) error {
		_, err := t.exec("DELETE FROM certificates WHERE account_id=?", account)
		return err
	})
}
