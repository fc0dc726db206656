package mailer

import (
	"context"
	"strings"

	"postroom/post"
)

// refusal is one failed delivery that the breaker may take back.
type refusal struct {
	id     int64
	domain string
	text   string
}

// The breakers.
const (
	refusedDomains = 5 // the same refusal for so many domains in a row is about us
	contentLimit   = 3 // so many refusals of content in a row pause the mailing
	uncertainLimit = 3 // more uncertain than this
	uncertainSpan  = 20
)

// noteLocked remembers how a message past the dot ended.
func (s *sender) noteLocked(uncertain bool) {
	if s.recent = append(s.recent, uncertain); len(s.recent) > uncertainSpan {
		s.recent = s.recent[1:]
	}
}

// tooUncertainLocked notes an uncertain message and reports whether they pile
// up: something swallows this server's replies.
func (s *sender) tooUncertainLocked() bool {
	s.noteLocked(true)
	n := 0
	for _, u := range s.recent {
		if u {
			n++
		}
	}
	if n <= uncertainLimit {
		return false
	}
	s.recent = nil
	return true
}

// note feeds the breakers with a refusal that was recorded. When the same
// refusal came for five domains in a row it is about us: the account stops, and
// the ids of the deliveries to take back are returned. paused says that the
// mailing was paused.
func (s *sender) note(ctx context.Context, v Verdict, d *post.Delivery) (takeBack []int64, paused bool) {
	s.mu.Lock()
	pause := false
	if v.Content {
		if s.content[d.Mailing]++; s.content[d.Mailing] >= contentLimit {
			pause = true
			delete(s.content, d.Mailing)
		}
	}
	if v.Policy {
		s.refused = append(s.refused, refusal{d.ID, domainOf(d.Address), refusalText(v.Reason.Raw)})
		takeBack = s.breakLocked()
	}
	s.mu.Unlock()
	if len(takeBack) > 0 {
		s.stop(ctx, post.Reason{Key: "account.refused", Raw: v.Reason.Raw})
	} else if pause {
		paused = true
		why := post.Reason{Key: "mailing.content", Raw: v.Reason.Raw}
		s.m.keep(ctx, "pause the mailing", func(ctx context.Context) error {
			return s.m.ledger.HoldMailing(ctx, d.Mailing, post.MailingPaused, why)
		})
	}
	return takeBack, paused
}

// breakLocked returns the ids of the refusals in a row when they have one text
// and enough different domains.
func (s *sender) breakLocked() []int64 {
	n := len(s.refused)
	domains, ids := map[string]bool{}, []int64{}
	for i := n - 1; i >= 0 && s.refused[i].text == s.refused[n-1].text; i-- {
		domains[s.refused[i].domain] = true
		ids = append(ids, s.refused[i].id)
	}
	if len(ids) < n {
		s.refused = append(s.refused[:0], s.refused[n-len(ids):]...)
	}
	if len(domains) < refusedDomains {
		return nil
	}
	s.refused = s.refused[:0]
	return ids
}

// refusalText is what makes two refusals the same: the codes and the words
// without anything that names the recipient.
func refusalText(raw string) string {
	words := strings.Fields(raw)
	keep := words[:0]
	for _, w := range words {
		if !strings.ContainsAny(w, "@<>0123456789") || len(keep) < 2 {
			keep = append(keep, w)
		}
	}
	return strings.Join(keep[:min(len(keep), 8)], " ")
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
