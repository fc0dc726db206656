package storage

import (
	"context"
	"errors"
	"iter"
	"maps"
	"strings"

	"postroom/post"
)

// The rules by which a row meets a person who is in the book already.
const (
	MergeReplace = "replace" // a value that is not empty replaces, an empty one keeps: the default
	MergeFill    = "fill"    // only what is empty is filled in
	MergeKeep    = "keep"    // the person stays as they are
)

// ImportContacts is ImportContactsBy with MergeReplace.
func (l *Ledger) ImportContacts(ctx context.Context, list string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	return l.ImportContactsBy(ctx, list, MergeReplace, dry, rows)
}

// ImportContactsBy applies rows to the address book and to the list of that
// name (made where missing; "" for none): all or nothing. The rows are read
// once, and first laid into a file beside the ledger, so that nothing is locked
// while a file is read. When that file is on disk one commit says that it is to
// be taken in; from then on it is, in steps of a fraction of a second between
// which others write, and by the next Open where this process ends before. A row
// of a known person merges by the rule; one that changes nothing is unchanged.
// With dry the counts are the same and the ledger is not touched. It returns
// the suppressed addresses it met, which stay suppressed.
func (l *Ledger) ImportContactsBy(ctx context.Context, list, merge string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	const op = "import contacts"
	if merge != MergeReplace && merge != MergeFill && merge != MergeKeep {
		return 0, 0, 0, nil, post.Errorf(post.KindInvalid, op, "people are merged by fill, keep or replace, not by %q", merge)
	}
	s, err := newStage(l.dir)
	if err != nil {
		return 0, 0, 0, nil, classify(op, err)
	}
	marked := false
	defer func() {
		if marked && err != nil { // the next Open goes on
			err = errors.Join(err, s.close())
			return
		}
		if derr := s.drop(); derr != nil {
			l.log.Warn("remove a staged import", "err", derr)
		}
	}()
	t := &tally{ledger: l, stage: s, merge: merge, list: strings.TrimSpace(list)}
	err = t.read(ctx, rows)
	switch {
	case err == nil && dry:
		err = t.countAll(ctx, "")
	case err == nil:
		if marked, err = l.markImport(ctx, s, list, merge); err == nil {
			// Past the mark it is carried out whatever the caller wants.
			err = l.applyImport(context.WithoutCancel(ctx), t)
		}
		if err == nil {
			err = l.forgetLostImports(context.WithoutCancel(ctx))
		}
	}
	if err != nil {
		return 0, 0, 0, nil, classify(op, err)
	}
	return t.added, t.updated, t.unchanged, t.suppressed, nil
}

// markImport commits that the staged rows are to be taken in. An error with marked
// means that nobody knows: a commit that failed at the disk may be found after the
// next start, and the rows must be there then.
func (l *Ledger) markImport(ctx context.Context, s *stage, list, merge string) (marked bool, err error) {
	if err := s.sync(); err != nil {
		return false, err
	}
	err = l.write(ctx, "import contacts", func(t *Tx) error {
		marked = false
		var id int64
		if list != "" {
			var err error
			if id, err = t.ensureList(list); err != nil {
				return err
			}
		}
		_, err := t.exec("INSERT INTO imports (token, list_id, merge, bytes, started_at) VALUES (?,?,?,?,?)", s.token, id, merge, s.size, post.Millis(t.now))
		marked = err == nil
		return err
	})
	return marked, err
}

// mergeContact makes one person of a known one and a row.
func mergeContact(old, row post.Contact, rule string) (merged post.Contact, changed bool) {
	if rule == MergeKeep {
		return old, false
	}
	take := func(have, new string) bool {
		return new != "" && new != have && (rule == MergeReplace || have == "")
	}
	merged = old
	if take(old.Name, row.Name) {
		merged.Name, changed = row.Name, true
	}
	cloned := false
	for k, v := range row.Fields {
		if !take(merged.Fields[k], v) {
			continue
		}
		if !cloned {
			cloned = true
			if merged.Fields = maps.Clone(old.Fields); merged.Fields == nil {
				merged.Fields = map[string]string{}
			}
		}
		merged.Fields[k], changed = v, true
	}
	return merged, changed
}
