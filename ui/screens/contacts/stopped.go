package contacts

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

// reasons are the ones that the window offers for not mailing somebody.
var reasons = []string{"asked", "bounced", "complaint", "you"}

// stopAddresses reads addresses as they are typed or pasted, one a line or with
// commas between, and puts them on the list of those who are not mailed, never or
// with a list as those of it. Nothing is done where one of them is none.
func stopAddresses(ctx context.Context, l *storage.Ledger, list int64, text, reason string) (int64, error) {
	var all []post.Suppression
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' || r == ';' }) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		_, a, err := post.ParseMailbox(strings.TrimSpace(line))
		if err != nil {
			return 0, err
		}
		all = append(all, post.Suppression{List: list, Key: post.AddressKey(a), Address: a.String(), Reason: reason, Source: "you"})
	}
	return stop(ctx, l, all)
}

func stop(ctx context.Context, l *storage.Ledger, all []post.Suppression) (added int64, err error) {
	for step := range slices.Chunk(all, storage.BookStep) {
		n, err := l.Suppress(ctx, step)
		if err != nil {
			return added, err
		}
		added += n
	}
	return added, nil
}

// stopFile reads addresses that are not to be mailed, never or with a list as those
// of it, from a file, with their reason, source and date where it has such columns.
// All rows are read before one is written: the file may be refused at its end.
func stopFile(ctx context.Context, l *storage.Ledger, list int64, path, temp string) (added, known int64, problems []people.Problem, err error) {
	_, rows, err := people.RowsAs(ctx, path, people.Options{Temp: temp}, func(p people.Problem) {
		if p.Skipped {
			problems = append(problems, p)
		}
	})
	if err != nil {
		return 0, 0, nil, err
	}
	var all []post.Suppression
	for r, err := range rows {
		if err != nil {
			return 0, 0, nil, err
		}
		a, err := post.ParseAddress(r.Address)
		if err != nil {
			return 0, 0, nil, err
		}
		s := post.Suppression{List: list, Key: post.AddressKey(a), Address: r.Address, Reason: r.Fields["reason"], Source: r.Fields["source"], At: dateOf(r.Fields["date"])}
		if s.Reason == "" {
			s.Reason = "you"
		}
		if s.Source == "" {
			s.Source = filepath.Base(path)
		}
		all = append(all, s)
	}
	added, err = stop(ctx, l, all)
	return added, int64(len(all)) - added, problems, err
}

// dateOf reads a date as exports write it; anything else is now.
func dateOf(s string) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// exportStopped writes all who are never mailed, or with a list those of it, so that
// an import gives the same again.
func exportStopped(ctx context.Context, l *storage.Ledger, list int64, path string, tell report) error {
	total, err := l.CountSuppressions(ctx, list, "")
	if err != nil {
		return err
	}
	all := l.EachSuppression(ctx)
	if list != everybody {
		all = l.EachSuppressionFor(ctx, list)
	}
	walked := int64(0)
	return people.ExportFile(path, func(yield func(post.Contact, error) bool) {
		for s, err := range all {
			if walked++; walked%500 == 0 {
				tell(walked, 2*total) // it is walked twice
			}
			fields := map[string]string{"reason": s.Reason, "source": s.Source, "date": s.At.UTC().Format(time.RFC3339)}
			if !yield(post.Contact{Address: s.Address, Fields: fields}, err) || err != nil {
				return
			}
		}
	})
}
