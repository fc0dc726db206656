package storage

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"postroom/post"
)

// Rule chooses people for a list: everybody, but for what it asks.
type Rule struct {
	Any       []int64  `json:"any,omitempty"`        // on at least one of these lists
	All       []int64  `json:"all,omitempty"`        // on each of these
	Not       []int64  `json:"not,omitempty"`        // on none of these
	QuietDays int      `json:"quiet_days,omitempty"` // no mail from us in so many days
	Got       int64    `json:"got,omitempty"`        // a live mailing to them
	FollowUp  FollowUp `json:"outcome,omitempty"`    // and what became of it
}

// IsEmpty reports a rule that asks nothing.
func (r Rule) IsEmpty() bool {
	return len(r.Any)+len(r.All)+len(r.Not) == 0 && r.QuietDays == 0 && r.Got == 0
}

// check refuses a rule that asks nothing, or what nobody can tell.
func (r Rule) check(op string) error {
	_, known := followUpWhere[r.FollowUp]
	if r.IsEmpty() || r.QuietDays < 0 || !known || r.FollowUp != FollowUpSent && r.Got == 0 {
		return post.Errorf(post.KindInvalid, op, "say who is to be on the list")
	}
	return nil
}

// readRule reads a kept rule; "silent" is how one said at first that no answer
// came.
func readRule(text string) (Rule, error) {
	var old struct {
		Silent bool `json:"silent"`
	}
	var r Rule
	err := errors.Join(json.Unmarshal([]byte(text), &r), json.Unmarshal([]byte(text), &old))
	if old.Silent && r.FollowUp == FollowUpSent {
		r.FollowUp = FollowUpSilent
	}
	return r, err
}

// MakeList makes a list of the people whom a rule chooses: as they are now, or
// with keep to be chosen anew by RefreshList.
func (l *Ledger) MakeList(ctx context.Context, name string, r Rule, keep bool) (post.List, error) {
	const op = "make the list"
	name = strings.TrimSpace(name)
	if err := r.check(op); err != nil {
		return post.List{}, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return post.List{}, err
	}
	err = l.write(ctx, op, func(t *Tx) error {
		var exists bool
		if err := t.scan("SELECT EXISTS (SELECT 1 FROM lists WHERE name = ?)", []any{name}, &exists); err != nil {
			return err
		}
		if exists {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "there is a list of that name already", Reason: post.Reason{Key: "lists.exists", Args: []string{name}}}
		}
		id, err := t.ensureList(name)
		if err == nil && keep {
			_, err = t.exec("INSERT INTO list_rules (list_id, rule, at) VALUES (?, ?, ?)", id, string(text), post.Millis(t.now))
		}
		return err
	})
	if err != nil {
		return post.List{}, err
	}
	li, err := l.ListByName(ctx, name)
	if err != nil {
		return li, err
	}
	if err := l.fill(ctx, li.ID, r); err != nil {
		return li, errors.Join(classify(op, err), l.DeleteList(context.WithoutCancel(ctx), li.ID))
	}
	return l.ListByName(ctx, name)
}

// RefreshList chooses the people of a list with a rule anew; a list without one
// stays as it is.
func (l *Ledger) RefreshList(ctx context.Context, id int64) error {
	const op = "refresh the list"
	var text string
	err := l.r.QueryRowContext(ctx, "SELECT coalesce((SELECT rule FROM list_rules WHERE list_id = ?), '')", id).Scan(&text)
	if err != nil || text == "" {
		return classify(op, err)
	}
	r, err := readRule(text)
	if err != nil {
		return classify(op, err)
	}
	if err := l.fill(ctx, id, r); err != nil {
		return classify(op, err)
	}
	return l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec("UPDATE list_rules SET at = ? WHERE list_id = ?", post.Millis(t.now), id)
		return err
	})
}

// FreshList returns a list by name, with its people chosen anew where it has a
// rule: what a mailing to it asks for.
func (l *Ledger) FreshList(ctx context.Context, name string) (post.List, error) {
	li, err := l.ListByName(ctx, name)
	if err != nil {
		return li, err
	}
	if err := l.RefreshList(ctx, li.ID); err != nil {
		return li, err
	}
	return l.ListByName(ctx, name)
}

// ChoosesItself reports whether a list has a rule: whoever is put on it by hand
// would go with the next refresh.
func (l *Ledger) ChoosesItself(ctx context.Context, id int64) (bool, error) {
	var has bool
	err := l.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM list_rules WHERE list_id = ?)", id).Scan(&has)
	return has, classify("look up the list", err)
}

// RenameList gives a list another name.
func (l *Ledger) RenameList(ctx context.Context, id int64, name string) error {
	const op = "rename the list"
	name = strings.TrimSpace(name)
	if name == "" {
		return post.Errorf(post.KindInvalid, op, "give the list a name")
	}
	err := l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE lists SET name = ? WHERE id = ?", name, id)
		return oneRow(op, "the list", n, err)
	})
	if isUnique(err) {
		return &post.Error{Kind: post.KindConflict, Op: op, Message: "there is a list of that name already", Reason: post.Reason{Key: "lists.exists", Args: []string{name}}}
	}
	return err
}

// fillSpan is how many ids of the book one step of a list looks at: some blocks.
const fillSpan = 2048

// fill puts the people whom the rule chooses on the list, and takes the others
// off, in steps between which others write.
func (l *Ledger) fill(ctx context.Context, list int64, r Rule) error {
	mailed, err := l.mailedSince(ctx, r.QuietDays)
	if err != nil {
		return err
	}
	var got map[int64]bool
	if r.Got != 0 {
		if got, err = l.recipients(ctx, r.Got, r.FollowUp); err != nil {
			return err
		}
	}
	var last int64
	if err := l.r.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM contacts").Scan(&last); err != nil {
		return err
	}
	query, args := ruleQuery(r)
	for from := int64(0); from <= last; from += fillSpan {
		candidates, err := l.ids(ctx, query, append(slices.Clone(args), from, from+fillSpan))
		if err != nil {
			return err
		}
		chosen := candidates[:0]
		for _, id := range candidates {
			if !mailed[id] && (r.Got == 0 || got[id]) {
				chosen = append(chosen, id)
			}
		}
		if err := l.write(ctx, "fill the list", func(t *Tx) error { return t.setMembers(list, from, from+fillSpan, chosen) }); err != nil {
			return err
		}
	}
	return nil
}

// ruleQuery asks for the people of a span of ids whom the lists allow.
func ruleQuery(r Rule) (query string, args []any) {
	where := []string{}
	on := func(not string, lists ...int64) {
		list, err := json.Marshal(lists)
		if err != nil { // numbers always marshal
			list = []byte("[]")
		}
		where = append(where, not+"EXISTS (SELECT 1 FROM list_members m WHERE "+hasMember("c.id")+" AND m.list_id IN (SELECT value FROM json_each(?)))")
		args = append(args, string(list))
	}
	if len(r.Any) > 0 {
		on("", r.Any...)
	}
	for _, id := range r.All {
		on("", id)
	}
	if len(r.Not) > 0 {
		on("NOT ", r.Not...)
	}
	where = append(where, "c.id >= ?", "c.id < ?")
	return "SELECT json_group_array(c.id) FROM contacts c" + joinWhere(where), args
}

// mailedSince returns the people who had mail from us in the last days. Nothing
// orders the history so; it is read through once.
func (l *Ledger) mailedSince(ctx context.Context, days int) (map[int64]bool, error) {
	if days <= 0 {
		return nil, nil
	}
	since := l.clock.Now().Add(-time.Duration(days) * 24 * time.Hour)
	return l.idSet(ctx, `SELECT DISTINCT c.id FROM deliveries d JOIN mailings m ON m.id = d.mailing_id JOIN contacts c ON c.key = d.key
		WHERE d.state = 'sent' AND d.sent_at > ? AND m.kind = 'live'`, post.Millis(since))
}

func (l *Ledger) idSet(ctx context.Context, query string, args ...any) (map[int64]bool, error) {
	rows, err := l.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	set := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		set[id] = true
	}
	return set, rows.Err()
}
