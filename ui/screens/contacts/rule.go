package contacts

import (
	"context"
	"strings"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// ruleWords says a rule as a sentence.
func ruleWords(ctx context.Context, l *storage.Ledger, w *words.Catalogue, names map[int64]string, r storage.Rule) (string, error) {
	named := func(ids []int64, key string) string {
		all := make([]string, len(ids))
		for i, id := range ids {
			if all[i] = names[id]; all[i] == "" {
				all[i] = w.T("lists.rule.gone")
			}
		}
		return strings.Join(all, w.T(key))
	}
	var parts []string
	switch {
	case len(r.Any) > 0:
		parts = append(parts, w.T("lists.rule.any", named(r.Any, "lists.rule.or")))
	case len(r.All) == 0:
		parts = append(parts, w.T("contacts.everybody"))
	}
	if len(r.All) > 0 {
		parts = append(parts, w.T("lists.rule.all", named(r.All, "lists.rule.and")))
	}
	if len(r.Not) > 0 {
		parts = append(parts, w.T("lists.rule.not", named(r.Not, "lists.rule.or")))
	}
	if r.QuietDays > 0 {
		parts = append(parts, w.N("lists.rule.quiet", int64(r.QuietDays)))
	}
	if r.Got != 0 {
		name := w.T("lists.rule.gone")
		m, err := l.Mailing(ctx, r.Got)
		switch {
		case err == nil:
			name = m.Name
		case post.KindOf(err) != post.KindNotFound:
			return "", err
		}
		parts = append(parts, w.T("lists.rule."+screens.FollowUpKey(r.FollowUp), name))
	}
	return strings.Join(parts, w.T("lists.rule.comma")), nil
}

// part is what a list means in a rule.
type part int

// The parts, in the order in which the dialog offers them.
const (
	partNone part = iota
	partAny
	partAll
	partNot
)

var partKeys = []string{"lists.part.none", "lists.part.any", "lists.part.all", "lists.part.not"}

// partsOf takes a rule apart by list.
func partsOf(r *storage.Rule) map[int64]part {
	all := map[int64]part{}
	if r == nil {
		return all
	}
	for p, ids := range map[part][]int64{partAny: r.Any, partAll: r.All, partNot: r.Not} {
		for _, id := range ids {
			all[id] = p
		}
	}
	return all
}

// setPart puts a list into a rule.
func setPart(r *storage.Rule, id int64, p part) {
	switch p {
	case partAny:
		r.Any = append(r.Any, id)
	case partAll:
		r.All = append(r.All, id)
	case partNot:
		r.Not = append(r.Not, id)
	case partNone:
	}
}

// loadMailings reads the mailings that a rule may name: those that went out,
// the newest first.
func loadMailings(ctx context.Context, l *storage.Ledger) ([]post.Mailing, error) {
	all, _, err := l.Mailings(ctx, false, storage.Page{Limit: 100})
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, m := range all {
		if m.Kind == post.Live {
			live = append(live, m)
		}
	}
	return live, nil
}
