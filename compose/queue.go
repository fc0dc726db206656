package compose

import (
	"context"
	"errors"
	"iter"

	"postroom/post"
)

// Ledger is where a mailing is queued.
type Ledger interface {
	// Enqueue stores the mailing and a delivery for each row in one
	// transaction: all or nothing. Rows are read until their end; an error
	// among them undoes everything and is returned. Suppressed people and
	// second rows of one key come back as skipped.
	Enqueue(ctx context.Context, m post.Mailing, rows iter.Seq2[post.Recipient, error]) (post.Mailing, []post.Skipped, error)
}

// Queued is what became of a job.
type Queued struct {
	Mailing  int64 // its ID
	Queued   int64 // deliveries
	Skipped  []post.Skipped
	Findings Findings // warnings; the errors where it was refused
}

// Queue checks a job, freezes its files and hands it to the ledger. A job with
// an error among its findings is refused as KindInvalid, and nothing is queued;
// warnings do not stop it: whoever wants to ask calls Check first. Files are
// stored before the ledger's transaction begins, so that nobody waits for them.
func Queue(ctx context.Context, ledger Ledger, freezer Freezer, job *Job, progress Progress) (Queued, error) {
	var out Queued
	var err error
	if out.Findings, err = Check(ctx, job, progress); err != nil {
		return out, err
	}
	if err := out.Findings.Err(); err != nil {
		return out, err
	}
	content, err := freezeAll(ctx, freezer, job.Content)
	if err != nil {
		return out, err
	}
	files, err := freezeRows(ctx, freezer, job)
	if files != nil {
		defer files.close()
	}
	if err != nil {
		return out, err
	}
	words, err := Compile(ctx, content, nil, Options{KnownFields: job.KnownFields, NoAttachments: true})
	if err != nil {
		return out, err
	}
	m := post.Mailing{
		Kind: job.Kind, Name: job.Name, Content: content, Senders: job.Senders, NotBefore: job.NotBefore,
		Hours: job.Hours, Staged: job.Release > 0, ReleaseLeft: job.Release, Uncertain: job.Uncertain, Lists: job.Lists,
		Late: job.Late, RealSpeed: job.RealSpeed,
	}
	if m.Kind == "" {
		m.Kind = post.Live
	}
	if m.Name == "" {
		m.Name = cleanHeader(content.Subject)
	}
	m, skipped, err := ledger.Enqueue(ctx, m, queueRows(ctx, job, words, files, progress))
	if err != nil {
		return out, err
	}
	out.Mailing, out.Queued, out.Skipped = m.ID, m.Counts[post.StateQueued], skipped
	return out, nil
}

// freezeRows stores the recipients' own files.
func freezeRows(ctx context.Context, freezer Freezer, job *Job) (*rowFiles, error) {
	if job.Content.AttachColumn == "" {
		return nil, nil
	}
	files, err := openRowFiles(&job.Content)
	if err != nil {
		return nil, freezeError(job.Content.AttachRoot, err)
	}
	err = eachRow(ctx, job, nil, func(_ int64, r *post.Recipient) error { return files.freeze(ctx, freezer, r) })
	return files, err
}

// errChanged says that the rows are not those that were checked.
var errChanged = &post.Error{
	Kind: post.KindConflict, Op: "queue the mailing", Message: "the recipients changed while they were being queued; nothing was queued, try again",
	Reason: post.Reason{Key: "compose.rows-changed"},
}

// queueRows gives the rows as the ledger keeps them. Each is checked once more:
// the source was read again and may have changed.
func queueRows(ctx context.Context, job *Job, words *Mailing, files *rowFiles, progress Progress) iter.Seq2[post.Recipient, error] {
	errStop := errors.New("the reader stopped")
	return func(yield func(post.Recipient, error) bool) {
		var vals []string
		err := eachRow(ctx, job, progress, func(_ int64, r *post.Recipient) error {
			a, err := post.ParseAddress(r.Address)
			if err != nil {
				return errChanged
			}
			if vals = words.values(vals, r, ""); len(words.missing(vals)) > 0 {
				return errChanged
			}
			if files != nil {
				var ok bool
				before := len(r.Attachments)
				if r.Attachments, ok = files.attachments(r); !ok {
					return errChanged
				}
				if err := words.callAs(r.Attachments[before:], vals); err != nil {
					return err
				}
			}
			if r.Key == "" {
				r.Key = post.AddressKey(a)
			}
			if !yield(*r, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(post.Recipient{}, err)
		}
	}
}
