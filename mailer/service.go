package mailer

import (
	"context"
	"sync"
	"time"

	"postroom/post"
	"postroom/storage"
)

// Role says who sends.
type Role uint8

// The roles.
const (
	Starting Role = iota
	Mine          // this process sends
	Other         // another process has the lock and sends
	Ended
)

// Service runs a mailer for as long as a process lives: at once when it gets
// the ledger's lock, else as soon as the process that has it ends. Safe for
// concurrent use.
type Service struct {
	ledger *storage.Ledger
	opt    Options

	mu   sync.Mutex
	m    *Mailer
	role Role
	err  error
	done chan struct{}
	stop context.CancelFunc
}

// Serve starts a service; end it with Stop.
func Serve(ctx context.Context, l *storage.Ledger, opt Options) *Service {
	if opt.Clock == nil {
		opt.Clock = post.SystemClock{}
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Service{ledger: l, opt: opt, done: make(chan struct{}), stop: stop}
	go s.run(ctx)
	return s
}

// lockEvery is how often a waiting service tries to take over.
const lockEvery = time.Second

func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	defer s.set(Ended, nil, nil)
	for ctx.Err() == nil {
		lock, err := storage.TryLock(s.ledger.Dir())
		switch {
		case err != nil:
			s.set(Other, nil, err)
		case lock == nil:
			s.set(Other, nil, nil)
		default:
			m := New(s.ledger, s.opt)
			s.set(Mine, m, nil)
			err := m.Run(ctx, RunParams{})
			if uerr := lock.Unlock(); uerr != nil && err == nil {
				err = uerr
			}
			s.set(Starting, nil, err)
		}
		t := s.opt.Clock.NewTimer(lockEvery)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C():
		}
	}
}

func (s *Service) set(r Role, m *Mailer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role, s.m = r, m
	if err != nil || r == Mine {
		s.err = err
	}
}

// Role returns who sends.
func (s *Service) Role() Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role
}

// Trouble returns what keeps everything from being sent, or nil.
func (s *Service) Trouble() error {
	s.mu.Lock()
	m, err := s.m, s.err
	s.mu.Unlock()
	if m != nil {
		return m.Halted()
	}
	return err
}

// Kick tells the mailer that something may have become due.
func (s *Service) Kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m != nil {
		s.m.Kick()
	}
}

// Finishing returns how many messages are on a connection right now.
func (s *Service) Finishing() int {
	s.mu.Lock()
	m := s.m
	s.mu.Unlock()
	if m == nil {
		return 0
	}
	return m.Finishing()
}

// Stop ends the service in order and returns a channel that is closed when it
// has ended: messages past their dot are finished first.
func (s *Service) Stop() <-chan struct{} {
	s.stop()
	return s.done
}

// Kill ends a service that is being stopped without waiting for replies that
// are still owed.
func (s *Service) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m != nil {
		s.m.Kill()
	}
}
