package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"postroom/post"
)

const accountColumns = `id, name, email, from_name, host, port, tls, ca, auth, login, secret, secret_ref, password_command,
	command_held, per_minute, per_hour, per_day, connections, imap_host, imap_port, imap_tls, hold, reason, wait_until,
	wait_step, learned, weight, pin, proxy, oauth, selector, position, handled_folder, created_at, changed_at`

func scanAccount(row interface{ Scan(...any) error }) (a post.Account, err error) {
	var reason, learned, oauth string
	var until, created, changed int64
	err = row.Scan(&a.ID, &a.Name, &a.Email, &a.FromName, &a.Host, &a.Port, &a.TLS, &a.CA, &a.Auth, &a.User, &a.Secret,
		&a.SecretRef, &a.PasswordCommand, &a.CommandHeld, &a.Limits.PerMinute, &a.Limits.PerHour, &a.Limits.PerDay,
		&a.Connections, &a.IMAPHost, &a.IMAPPort, &a.IMAPTLS, &a.Hold, &reason, &until, &a.WaitStep, &learned, &a.Weight,
		&a.Pin, &a.Proxy, &oauth, &a.Selector, &a.Position, &a.HandledFolder, &created, &changed)
	if err != nil {
		return a, err
	}
	if oauth != "" {
		if err := json.Unmarshal([]byte(oauth), &a.OAuth); err != nil {
			return a, err
		}
	}
	a.Reason = post.DecodeReason(reason)
	a.Until, a.CreatedAt, a.ChangedAt = post.FromMillis(until), post.FromMillis(created), post.FromMillis(changed)
	return a, json.Unmarshal([]byte(learned), &a.Learned)
}

// CreateAccount stores a new account and returns it with its id. The name must
// be free: post.KindConflict otherwise. Nothing is connected to.
func (l *Ledger) CreateAccount(ctx context.Context, a post.Account) (post.Account, error) {
	const op = "add the account"
	if err := a.Check(); err != nil {
		return a, err
	}
	learned, err := json.Marshal(a.Learned)
	if err != nil {
		return a, classify(op, err)
	}
	oauth, err := encodeOAuth(&a.OAuth)
	if err != nil {
		return a, classify(op, err)
	}
	err = l.write(ctx, op, func(t *Tx) error {
		now := post.Millis(t.now)
		res, err := t.exec(`INSERT INTO accounts (name, email, from_name, host, port, tls, ca, auth, login, secret, secret_ref,
			password_command, command_held, per_minute, per_hour, per_day, connections, imap_host, imap_port, imap_tls, learned,
			weight, pin, proxy, oauth, selector, position, handled_folder, created_at, changed_at)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
			a.Name, a.Email, a.FromName, a.Host, a.Port, string(a.TLS), notNil(a.CA), string(a.Auth), a.User, string(a.Secret), a.SecretRef,
			a.PasswordCommand, a.CommandHeld, a.Limits.PerMinute, a.Limits.PerHour, a.Limits.PerDay, a.Connections,
			a.IMAPHost, a.IMAPPort, string(a.IMAPTLS), string(learned), max(a.Weight, 1),
			a.Pin, a.Proxy, oauth, a.Selector, a.Position, a.HandledFolder, now, now)
		if isUnique(err) {
			return post.Errorf(post.KindConflict, op, "there is an account named %s already", a.Name)
		}
		if err != nil {
			return err
		}
		a.ID, err = res.LastInsertId()
		a.CreatedAt, a.ChangedAt = post.FromMillis(now), post.FromMillis(now)
		return err
	})
	return a, err
}

// UpdateAccount stores an account's settings. Its hold and waits stay as they
// are, see the methods for those, and what was learned does while the server is
// the same.
func (l *Ledger) UpdateAccount(ctx context.Context, a post.Account) error {
	const op = "change the account"
	if err := a.Check(); err != nil {
		return err
	}
	oauth, err := encodeOAuth(&a.OAuth)
	if err != nil {
		return classify(op, err)
	}
	return l.write(ctx, op, func(t *Tx) error {
		if _, err := t.exec("UPDATE accounts SET learned='{}' WHERE id=? AND (host<>? OR port<>?)", a.ID, a.Host, a.Port); err != nil {
			return err
		}
		if err := t.changeHandled(a.ID, a.HandledFolder); err != nil {
			return err
		}
		n, err := t.change(`UPDATE accounts SET name=?, email=?, from_name=?, host=?, port=?, tls=?, ca=?, auth=?, login=?, secret=?,
			secret_ref=?, password_command=?, command_held=?, per_minute=?, per_hour=?, per_day=?, connections=?, imap_host=?,
			imap_port=?, imap_tls=?, weight=?, pin=?, proxy=?, oauth=?, selector=?, position=?,
			handled_folder=?, changed_at=? WHERE id=? AND removed_at=0`,
			a.Name, a.Email, a.FromName, a.Host, a.Port, string(a.TLS), notNil(a.CA), string(a.Auth), a.User, string(a.Secret),
			a.SecretRef, a.PasswordCommand, a.CommandHeld, a.Limits.PerMinute, a.Limits.PerHour, a.Limits.PerDay, a.Connections,
			a.IMAPHost, a.IMAPPort, string(a.IMAPTLS), max(a.Weight, 1), a.Pin, a.Proxy, oauth, a.Selector, a.Position,
			a.HandledFolder, post.Millis(t.now), a.ID)
		if isUnique(err) {
			return post.Errorf(post.KindConflict, op, "there is an account named %s already", a.Name)
		}
		return oneRow(op, "the account", n, err)
	})
}

// changeHandled begins anew where the folder for handled reports becomes another:
// what waits goes to the new one, or where there is none stays where it is.
func (t *Tx) changeHandled(account int64, folder string) error {
	if folder == "" {
		if _, err := t.exec("DELETE FROM handled_due WHERE account_id=?", account); err != nil {
			return err
		}
	}
	_, err := t.exec(`UPDATE mailboxes SET handled_trouble='' WHERE account_id=?1 AND handled_trouble<>''
		AND EXISTS (SELECT 1 FROM accounts WHERE id=?1 AND handled_folder<>?2)`, account, folder)
	return err
}

// Accounts lists all accounts by place and name.
func (l *Ledger) Accounts(ctx context.Context) ([]post.Account, error) {
	const op = "list the accounts"
	rows, err := l.r.QueryContext(ctx, "SELECT "+accountColumns+" FROM accounts WHERE removed_at=0 ORDER BY position, name")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []post.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, classify(op, err)
		}
		all = append(all, a)
	}
	return all, classify(op, rows.Err())
}

// Account returns one account by id.
func (l *Ledger) Account(ctx context.Context, id int64) (post.Account, error) {
	a, err := scanAccount(l.r.QueryRowContext(ctx, "SELECT "+accountColumns+" FROM accounts WHERE id=? AND removed_at=0", id))
	return a, classifyMissing("look up the account", "there is no account "+strconv.FormatInt(id, 10), err)
}

// AccountByName returns one account; case does not matter.
func (l *Ledger) AccountByName(ctx context.Context, name string) (post.Account, error) {
	a, err := scanAccount(l.r.QueryRowContext(ctx, "SELECT "+accountColumns+" FROM accounts WHERE name=? AND removed_at=0", name))
	return a, classifyMissing("look up the account", "there is no account named "+name+"; see: postroom account list", err)
}

// RemoveAccount removes an account. It is refused (post.KindConflict) while
// deliveries of a mailing that has no other account wait for it.
func (l *Ledger) RemoveAccount(ctx context.Context, id int64) error {
	const op = "remove the account"
	return l.write(ctx, op, func(t *Tx) error {
		var waiting int64
		err := t.scan(`SELECT coalesce(sum(c.n), 0) FROM mailing_senders s JOIN mailings m ON m.id = s.mailing_id AND m.hold <> 'cancelled'
			JOIN mailing_counts c ON c.mailing_id = s.mailing_id AND c.state IN ('queued', 'claimed', 'sending')
			WHERE s.account_id = ?1`, []any{id}, &waiting)
		if err != nil {
			return err
		}
		if waiting > 0 {
			return post.Errorf(post.KindConflict, op, "%d messages still wait to go through it; send or cancel them first", waiting)
		}
		n, err := t.change(`UPDATE accounts SET removed_at=?1, changed_at=?1, ca=x'', login='', secret='none', secret_ref='',
			password_command='', oauth='', proxy='', hold='paused' WHERE id=?2 AND removed_at=0`, post.Millis(t.now), id)
		if err := oneRow(op, "the account", n, err); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM handled_due WHERE account_id=?", id); err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM account_secrets WHERE account_id=?", id)
		return err
	})
}

// HoldAccount pauses, stops or (hold "") releases an account. A release also
// ends a wait.
func (l *Ledger) HoldAccount(ctx context.Context, id int64, hold post.AccountState, why post.Reason) error {
	const op = "hold the account"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change(`UPDATE accounts SET hold=?, reason=?, wait_until=0, wait_step=0, changed_at=? WHERE id=? AND removed_at=0`,
			string(hold), why.Encode(), post.Millis(t.now), id)
		return oneRow(op, "the account", n, err)
	})
}

// SetAccountWait keeps an account's backoff (commit D). It never touches a hold.
func (l *Ledger) SetAccountWait(ctx context.Context, id int64, until time.Time, step int, why post.Reason) error {
	const op = "keep the account's wait"
	return l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec(`UPDATE accounts SET wait_until=?, wait_step=?, reason=? WHERE id=? AND hold='' AND removed_at=0`,
			post.Millis(until), step, why.Encode(), id)
		return err
	})
}

// SetAccountLearned keeps what a server taught us (commit D).
func (l *Ledger) SetAccountLearned(ctx context.Context, id int64, learned post.Learned) error {
	const op = "keep what the server taught"
	b, err := json.Marshal(learned)
	if err != nil {
		return classify(op, err)
	}
	return l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec(`UPDATE accounts SET learned=? WHERE id=? AND removed_at=0`, string(b), id)
		return err
	})
}

// Used is how much of an account's limits its charged live attempts have used.
type Used struct {
	Minute, Hour, Day int64
}

// AccountUsed counts an account's charged attempts over the rolling windows.
func (l *Ledger) AccountUsed(ctx context.Context, id int64) (Used, error) {
	var u Used
	now := l.clock.Now()
	ms := func(d time.Duration) int64 { return post.Millis(now.Add(-d)) }
	err := l.r.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE started_at > ?2), count(*) FILTER (WHERE started_at > ?3), count(*)
		FROM attempts WHERE account_id = ?1 AND charged = 1 AND account_id <> 0 AND started_at > ?4`,
		id, ms(time.Minute), ms(time.Hour), ms(24*time.Hour)).Scan(&u.Minute, &u.Hour, &u.Day)
	return u, classify("count what the account has sent", err)
}

// Charges returns when an account's charged attempts since a time began,
// oldest first.
func (l *Ledger) Charges(ctx context.Context, id int64, since time.Time) ([]time.Time, error) {
	return l.charges(ctx, `SELECT started_at FROM attempts
		WHERE account_id=? AND charged=1 AND account_id<>0 AND started_at>? ORDER BY started_at`, id, since)
}

// Rehearsed is Charges for the rehearsals at real speed that are not over, which
// no quota counts.
func (l *Ledger) Rehearsed(ctx context.Context, id int64, since time.Time) ([]time.Time, error) {
	return l.charges(ctx, `SELECT t.started_at FROM mailings m JOIN deliveries d ON d.mailing_id=m.id AND d.account_id=?1 JOIN attempts t ON t.delivery_id=d.id
		WHERE m.real_speed=1 AND m.finished_at=0 AND t.charged=1 AND t.started_at>?2 ORDER BY t.started_at`, id, since)
}

func (l *Ledger) charges(ctx context.Context, query string, id int64, since time.Time) ([]time.Time, error) {
	const op = "count what the account has sent"
	rows, err := l.r.QueryContext(ctx, query, id, post.Millis(since))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []time.Time
	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, classify(op, err)
		}
		all = append(all, post.FromMillis(at))
	}
	return all, classify(op, rows.Err())
}

// oneRow turns "nothing changed" into a not-found error.
func oneRow(op, what string, n int64, err error) error {
	if err != nil {
		return err
	}
	if n != 1 {
		return &post.Error{Kind: post.KindNotFound, Op: op, Message: what + " does not exist", Err: ErrNotFound}
	}
	return nil
}

// classifyMissing is classify with words for sql.ErrNoRows, which say it all.
func classifyMissing(op, message string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return &post.Error{Kind: post.KindNotFound, Message: message, Err: ErrNotFound}
	}
	return classify(op, err)
}

func encodeOAuth(o *post.OAuth) (string, error) {
	if o.IsZero() {
		return "", nil
	}
	b, err := json.Marshal(o)
	return string(b), err
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
