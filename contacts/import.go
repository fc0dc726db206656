package contacts

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"

	"postroom/post"
)

// Book is what an import needs from the ledger.
type Book interface {
	// ImportContacts applies all rows or none, adding each person to the list.
	// An error from the sequence, which comes last, means none. dry gives the
	// same counts and writes nothing. A later row of a person (Contact.Key) is
	// an update: a value that is not empty replaces, an absent one keeps.
	// suppressed names the addresses that were taken and are not to be mailed.
	// The sequence is to be read once, from one goroutine.
	ImportContacts(ctx context.Context, list string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error)
}

// MergingBook is a Book that knows other rules than that of ImportContacts for
// a row that meets a known person: "replace" is that one, "fill" fills in what is
// empty, "keep" leaves the person as they are.
type MergingBook interface {
	Book
	ImportContactsBy(ctx context.Context, list, merge string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error)
}

// Options say how a file is imported. The zero value imports into no list.
type Options struct {
	List string
	// Map gives columns a meaning: field (email, name or any other) -> header
	// or number from 1. Columns that are not named here are recognised.
	Map map[string]string
	// Encoding is how the file's bytes become text, one of Encodings; empty: found
	// by the file's byte order mark or by its letters.
	Encoding string
	// Delimiter is the character between the cells of a text file; empty: found.
	Delimiter string
	// Leave names columns, from 0, that do not become fields.
	Leave []int
	// Sheet chooses one of a workbook, by name or by number from 1; empty: the
	// first that is visible.
	Sheet string
	// Temp is the folder in which a large workbook is unpacked; empty: the
	// system's. Nothing stays there.
	Temp string
	// Memory, where set, keeps Map for the next file with the same header, and is
	// asked where Map is empty.
	Memory Memory
	// Merge is the rule for known people, see MergingBook; empty: that of Book.
	Merge  string
	DryRun bool
	// Domains, where set, is asked about the domain of each address that was taken,
	// when all rows were read; what takes no mail is a problem, and no row is
	// skipped for it.
	Domains *DomainCheck
	// OnDomains, where set, is told how many domains of how many were asked.
	OnDomains func(done, total int64)
	// Skipped, where set, gets the rows that were not taken.
	Skipped *SkippedRows
	// Progress, where set, is told now and then how many rows and bytes of how
	// many were read. It is called on the importing goroutine and must be quick.
	Progress func(rows, done, total int64)
	// OnProblem, where set, gets each problem as it is found, and
	// Report.Problems stays empty. A later error takes everything back.
	OnProblem func(Problem)
}

// Report says what became of every data row:
// Read = Added + Updated + Unchanged + Skipped.
type Report struct {
	Read, Added, Updated, Unchanged, Skipped int64
	Problems                                 []Problem // by row
}

// Import reads a file of people into the book: all that can be taken, or, when
// the error is not nil, nothing. What is wrong with the file itself, with Map,
// or a file that changed meanwhile is a *post.Error of KindInvalid (KindNotFound
// for a missing one), a cancelled ctx one of KindCancelled; errors of the book
// come through as they are.
func Import(ctx context.Context, book Book, path string, o Options) (Report, error) {
	s, err := openSheet(ctx, path, o)
	if err != nil {
		return Report{}, err
	}
	var rep Report
	report := o.OnProblem
	if report == nil {
		report = func(p Problem) { rep.Problems = append(rep.Problems, p) }
	}
	p := &pass{sheet: s, report: report, progress: o.Progress, keep: o.Skipped}
	if o.Domains != nil {
		p.domains = &domains{map[string]*counted{}}
	}
	seen := newSeen()
	var failed error
	rows := func(yield func(post.Contact, error) bool) {
		rep.Problems, failed = nil, nil
		seen.reset()
		for r, err := range p.rows(ctx) {
			if err != nil {
				failed = err
				yield(post.Contact{}, err)
				return
			}
			seen.add(r.contact.Key, r.number)
			if !yield(r.contact, nil) {
				return
			}
		}
	}
	var suppressed []string
	if o.Merge == "" {
		rep.Added, rep.Updated, rep.Unchanged, suppressed, err = book.ImportContacts(ctx, o.List, o.DryRun, rows)
	} else if m, ok := book.(MergingBook); ok {
		rep.Added, rep.Updated, rep.Unchanged, suppressed, err = m.ImportContactsBy(ctx, o.List, o.Merge, o.DryRun, rows)
	} else {
		return Report{}, &post.Error{Kind: post.KindInternal, Op: "import contacts", Message: "this book has one rule for known people"}
	}
	switch {
	case failed != nil:
		return Report{}, failed // the file's own words, not the ledger's about them
	case err != nil:
		return Report{}, err
	case !p.complete:
		return Report{}, &post.Error{Kind: post.KindInternal, Op: "import contacts", Message: "the ledger did not read all rows"}
	}
	rep.Read, rep.Skipped = p.read, p.skipped
	if o.Skipped != nil && o.Skipped.err != nil {
		return rep, o.Skipped.err
	}
	for _, pr := range seen.find(suppressed) {
		pr.Column = s.label(s.mapping.Address)
		report(pr)
	}
	if p.domains != nil {
		found, err := p.domains.check(ctx, o.Domains, o.OnDomains)
		for _, pr := range found {
			pr.Column = s.label(s.mapping.Address)
			report(pr)
		}
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return rep, err // one who stops the asking has the people all the same
		}
	}
	if o.Memory != nil && len(o.Map) > 0 && !o.DryRun {
		// The people are in the book: a wish to cancel comes too late.
		if err := keepMapping(context.WithoutCancel(ctx), o.Memory, s.header, o.Map); err != nil {
			return rep, err
		}
	}
	slices.SortStableFunc(rep.Problems, func(a, b Problem) int { return int(a.Row - b.Row) })
	return rep, nil
}

// seen remembers in which row each person stood, in 12 bytes a row.
type seen struct {
	seed   maphash.Seed
	hashes []uint64
	rows   []int32
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed()} }

func (s *seen) reset() { s.hashes, s.rows = s.hashes[:0], s.rows[:0] }

func (s *seen) add(key string, number int64) {
	s.hashes = append(s.hashes, maphash.String(s.seed, key))
	s.rows = append(s.rows, int32(min(number, 1<<31-1)))
}

// find returns a problem for the first row of each suppressed address.
func (s *seen) find(suppressed []string) []Problem {
	if len(suppressed) == 0 {
		return nil
	}
	wanted := make(map[uint64]string, len(suppressed))
	for _, address := range suppressed {
		key := address
		if a, err := post.ParseAddress(address); err == nil {
			key = post.AddressKey(a)
		}
		wanted[maphash.String(s.seed, key)] = address
	}
	problem := func(address string, number int64) Problem {
		return Problem{Row: number, Value: show(address), Reason: post.Reason{Key: "contacts.suppressed"}}
	}
	var found []Problem
	for i, h := range s.hashes {
		if address, ok := wanted[h]; ok {
			delete(wanted, h)
			found = append(found, problem(address, int64(s.rows[i])))
		}
	}
	for _, h := range sortedValues(wanted) { // named by the book, but in no row: say so all the same
		found = append(found, problem(h, 0))
	}
	return found
}

func sortedValues(m map[uint64]string) []string {
	values := make([]string, 0, len(m))
	for _, v := range m {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}
