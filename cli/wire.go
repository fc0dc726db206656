package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/mailer"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
)

// practiceFolder is where caught rehearsals lie, below the data folder.
const practiceFolder = "practice"

// PracticeDir returns the folder of a data folder in which rehearsals are
// caught; practice.Path finds a message in it.
func PracticeDir(data string) string { return filepath.Join(data, practiceFolder) }

// MailerOptions connects a mailer to the accounts of this computer and to the
// practice trap, with the retry policy of the ledger's settings and the scale
// of POSTROOM_WAIT_SCALE (post.KindInvalid when that is not between 0.0001 and
// 1). stop closes the trap, if it was opened, once the mailer has ended.
func MailerOptions(ctx context.Context, l *storage.Ledger, secrets accounts.Secrets, clock post.Clock, log *slog.Logger) (opt mailer.Options, stop func() error, err error) {
	scale, err := waitScale(os.Getenv("POSTROOM_WAIT_SCALE"))
	if err != nil {
		return mailer.Options{}, nil, err
	}
	hours, err := l.Setting(ctx, settingDeadline, "")
	if err != nil {
		return mailer.Options{}, nil, err
	}
	policy := mailer.DefaultPolicy
	if n, err := strconv.Atoi(hours); err == nil {
		policy.Deadline = time.Duration(n) * time.Hour
	}
	d := &accounts.Dialer{Secrets: secrets, Clock: clock, Log: log}
	r := &rehearsals{dir: PracticeDir(l.Dir()), clock: clock, log: log}
	return mailer.Options{
		Clock: clock, Log: log, Dial: d.Dial, Trap: r.open, Policy: policy, WaitScale: scale,
		Signer: (&signers{ledger: l, secrets: secrets, clock: clock}).of,
		Beside: func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { keepIndex(ctx, l, clock, log) })
			both.Go(func() { awaitKeyring(ctx, l, secrets, clock, log) })
			both.Wait()
		},
	}, r.close, nil
}

// keyringEvery is how often it is looked whether a keyring has come back.
const keyringEvery = 15 * time.Second

// awaitKeyring lets accounts go on that stopped because the keyring was locked or
// not there, once it can be asked without opening a window. It ends with ctx.
func awaitKeyring(ctx context.Context, l *storage.Ledger, secrets accounts.Secrets, clock post.Clock, log *slog.Logger) {
	s, ok := secrets.(accounts.Store)
	if !ok {
		return
	}
	ring, ok := s.Keyring.(interface{ Open() bool })
	if !ok {
		return
	}
	for ctx.Err() == nil {
		n, err := l.ReleaseAccounts(ctx, func(a post.Account) bool { return accounts.KeyringTrouble(a.Reason) && ring.Open() })
		switch {
		case err != nil && ctx.Err() == nil:
			log.Warn("look for accounts that wait for the keyring", slog.Any("err", err))
		case n > 0:
			log.Info("the keyring can be asked again", slog.Int("accounts", n))
		}
		t := clock.NewTimer(keyringEvery)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C():
		}
	}
}

// signers reads the accounts' signing keys from the keyring, each once.
type signers struct {
	ledger  *storage.Ledger
	secrets accounts.Secrets
	clock   post.Clock // what is to be sent is signed with a certificate that holds now; nil: it was sent already

	mu   sync.Mutex
	kept map[string]*compose.Signer // by the names of the keys' entries
}

// of returns what signs an account's mail; nil where it is not signed.
func (s *signers) of(ctx context.Context, account int64) (*compose.Signer, error) {
	how, err := s.ledger.Signing(ctx, account)
	if err != nil {
		return nil, err
	}
	cert, err := s.ledger.Certificate(ctx, account)
	if err != nil || how == nil && cert == nil {
		return nil, err
	}
	if cert != nil && s.clock != nil {
		if err := accounts.CertificateHolds(*cert, s.clock.Now()); err != nil {
			return nil, err
		}
	}
	entry := ""
	if how != nil {
		entry = how.SecretRef
	}
	if cert != nil {
		entry += " " + cert.SecretRef
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.kept[entry]; found != nil {
		return found, nil
	}
	made := &compose.Signer{}
	if how != nil {
		made.Domain, made.Selector = how.Domain, how.Selector
		if made.Key, err = accounts.SigningKey(ctx, s.secrets, *how); err != nil {
			return nil, err
		}
	}
	if cert != nil {
		made.Certificate = &compose.Certificate{}
		if made.Certificate.Key, made.Certificate.Chain, err = accounts.CertificateKey(ctx, s.secrets, *cert); err != nil {
			return nil, err
		}
	}
	if s.kept == nil {
		s.kept = map[string]*compose.Signer{}
	}
	s.kept[entry] = made
	return made, nil
}

// indexEvery is how often the index of the contacts is brought up to the book.
const indexEvery = 20 * time.Second

// keepIndex keeps the contacts' search index up to the book until ctx ends. It is
// for the process that has the lock.
func keepIndex(ctx context.Context, l *storage.Ledger, clock post.Clock, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := l.IndexSearch(ctx); err != nil && ctx.Err() == nil {
			log.Warn("index the contacts", slog.Any("err", err))
		}
		t := clock.NewTimer(indexEvery)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C():
		}
	}
}

// waitScale reads POSTROOM_WAIT_SCALE; 0 is not set.
func waitScale(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0.0001 && f <= 1) { // NaN is refused too
		return 0, usage("POSTROOM_WAIT_SCALE is a number from 0.0001 to 1, not %q", s)
	}
	return f, nil
}

// rehearsals opens the practice trap when the first rehearsal is due.
type rehearsals struct {
	dir   string
	clock post.Clock
	log   *slog.Logger

	mu   sync.Mutex
	trap *practice.Trap
}

func (r *rehearsals) open(ctx context.Context) (mailer.Trap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trap == nil {
		// It must outlive the order to stop: what is past its dot wants an answer.
		t, err := practice.Start(context.WithoutCancel(ctx), practice.Options{Dir: r.dir, Log: r.log})
		if err != nil {
			return mailer.Trap{}, err
		}
		r.trap = t
	}
	d := &accounts.Dialer{Secrets: trapSecret(r.trap.Secret()), Clock: r.clock, Log: r.log}
	return mailer.Trap{Account: r.trap.Account(), Dial: d.Dial}, nil
}

func (r *rehearsals) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trap == nil {
		return nil
	}
	return r.trap.Close()
}

// trapSecret is the password of one run of the trap; it lives in memory only.
type trapSecret string

var _ accounts.Secrets = trapSecret("")

// Get returns the password.
func (s trapSecret) Get(context.Context, post.Account) (string, error) { return string(s), nil }

// Set is never called: the trap makes its own.
func (trapSecret) Set(context.Context, post.Account, string) error {
	return post.Errorf(post.KindConflict, "password", "the practice trap makes its own password")
}

// Delete has nothing to forget.
func (trapSecret) Delete(context.Context, post.Account) error { return nil }

// reasonPractice marks the account whose only use is to give rehearsals a
// sender where there is no other.
const reasonPractice = "account.practice"

// isPractice knows the account that only rehearses. It is paused for good, so
// that nothing can ever leave through it.
func isPractice(x post.Account) bool {
	return x.Hold == post.AccountPaused && x.Reason.Key == reasonPractice
}
