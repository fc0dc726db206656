package ui

import (
	"context"

	"postroom/mailer"
	"postroom/ui/screens"
)

// footer is what the foot of the navigation says, and the badge of the outbox.
type footer struct {
	loading bool
	again   bool
}

// footWords is what was read for it.
type footWords struct {
	waiting int64
	rate    int64
}

// refreshFoot reads what waits and how fast it goes, and says so.
func (s *Shell) refreshFoot() {
	if s.foot.loading {
		s.foot.again = true
		return
	}
	s.foot.loading = true
	screens.Load(s.ctx, s.env, s.readFoot, func(w footWords, err error) {
		s.foot.loading = false
		if err == nil {
			s.showFoot(w)
		}
		if s.foot.again {
			s.foot.again = false
			s.refreshFoot()
		}
	})
}

func (s *Shell) readFoot(ctx context.Context) (footWords, error) {
	n, err := s.d.Ledger.Needs(ctx)
	if err != nil {
		return footWords{}, err
	}
	w := footWords{waiting: n.Waiting}
	list, err := s.d.Ledger.Accounts(ctx)
	if err != nil {
		return w, err
	}
	for _, a := range list {
		u, err := s.d.Ledger.AccountUsed(ctx, a.ID)
		if err != nil {
			return w, err
		}
		w.rate += u.Minute
	}
	return w, nil
}

func (s *Shell) showFoot(w footWords) {
	badge := ""
	if w.waiting > 0 {
		badge = s.env.Words.Number(w.waiting)
	}
	s.nav.SetBadge(screens.Outbox, badge)
	var first, second string
	switch {
	case s.d.Mail.Trouble() != nil:
		first = s.env.T("foot.trouble")
	case s.d.Mail.Role() == mailer.Other:
		first, second = s.env.T("foot.other"), s.env.T("foot.other.more")
	case w.waiting > 0 && w.rate > 0:
		first = s.env.Words.N("foot.sending", w.rate)
	case w.waiting > 0:
		first = s.env.Words.N("foot.waiting", w.waiting)
	default:
		first = s.env.T("foot.idle")
	}
	s.nav.SetFooter(first, second)
}
