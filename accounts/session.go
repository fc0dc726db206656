package accounts

import (
	"context"
	"sync"

	"postroom/post"
)

// Session keeps secrets in memory until the program ends, for accounts whose
// password is asked for each time. Where none was given yet, Get says so: the
// account stops and its user is asked. Safe for concurrent use.
type Session struct {
	mu  sync.Mutex
	all map[int64]string // by account
}

var _ Secrets = (*Session)(nil)

const keyAsk = "secret.ask"

// Get returns what was given for the account.
func (s *Session) Get(_ context.Context, a post.Account) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.all[a.ID]
	if !ok || a.ID == 0 {
		return "", signInError(keyAsk, "this account's password is asked for each time; give it", nil)
	}
	return usable(secret)
}

// Set keeps secret for the rest of the run. The account must be stored already.
func (s *Session) Set(_ context.Context, a post.Account, secret string) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	if a.ID == 0 {
		return &post.Error{Kind: post.KindInternal, Op: opSecret, Message: "the account is not stored yet"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[int64]string{}
	}
	s.all[a.ID] = secret
	return nil
}

// Delete forgets the account's secret.
func (s *Session) Delete(_ context.Context, a post.Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, a.ID)
	return nil
}
