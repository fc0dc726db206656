package storage

import (
	"context"
	"errors"

	"postroom/post"
)

// SealedSecret is what an account's tokens look like to whoever has the ledger:
// bytes that only the key in the keyring or the vault opens.
type SealedSecret struct {
	Home   post.SecretKind // where the key is: keyring or vault
	Sealed []byte
}

// AccountSecret returns what is kept for an account; ErrNotFound when nothing is.
func (l *Ledger) AccountSecret(ctx context.Context, account int64) (SealedSecret, error) {
	var s SealedSecret
	err := l.r.QueryRowContext(ctx, "SELECT home, sealed FROM account_secrets WHERE account_id=?", account).Scan(&s.Home, &s.Sealed)
	return s, classifyMissing("read what is kept for the account", "nothing is kept for the account", err)
}

// SetAccountSecret keeps s in place of what was kept, durably when it returns.
func (l *Ledger) SetAccountSecret(ctx context.Context, account int64, s SealedSecret) error {
	return l.write(ctx, "keep the account's tokens", func(t *Tx) error {
		_, err := t.exec(`INSERT INTO account_secrets (account_id, home, sealed, changed_at) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (account_id) DO UPDATE SET home=?2, sealed=?3, changed_at=?4`, account, string(s.Home), notNil(s.Sealed), post.Millis(t.now))
		return err
	})
}

// DeleteAccountSecret forgets what is kept; that nothing is, is no error.
func (l *Ledger) DeleteAccountSecret(ctx context.Context, account int64) error {
	return l.write(ctx, "forget the account's tokens", func(t *Tx) error {
		_, err := t.exec("DELETE FROM account_secrets WHERE account_id=?", account)
		return err
	})
}

// ReleaseAccounts lets accounts go on that stopped for one of these reasons, and
// returns how many did: what stood in their way is gone.
func (l *Ledger) ReleaseAccounts(ctx context.Context, stoppedFor func(post.Account) bool) (int, error) {
	all, err := l.Accounts(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, a := range all {
		if a.Hold != post.AccountStopped || !stoppedFor(a) {
			continue
		}
		if err := l.HoldAccount(ctx, a.ID, "", post.Reason{}); err != nil && !errors.Is(err, ErrNotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}
