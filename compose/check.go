package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"postroom/post"
)

// Job is a mailing that is about to be queued.
type Job struct {
	Name      string // empty: the subject
	Kind      post.MailingKind
	Content   post.Content
	Senders   []post.Sender
	NotBefore time.Time // zero: at once
	RealSpeed bool      // a rehearsal keeps to its senders' limits
	Hours     post.Hours
	Release   int64 // how many go first, before the user is asked; 0: all
	Uncertain post.UncertainPolicy
	Late      post.Late
	Lists     []int64 // whose people the recipients are, for the lists' own suppressions
	// Recipients gives the rows, the same ones in the same order each time it
	// is called: they are read more than once and never held all together. An
	// error ends the reading. A recipient without a Key gets its AddressKey.
	Recipients func() iter.Seq2[post.Recipient, error]
	Total      int64 // of recipients, for progress; 0: not known
	// KnownFields are the columns that the recipients' data has; nil: not known,
	// a field that no row has is then found row by row.
	KnownFields []string

	// What follows is looked at where it is given.
	Removed []string  // what CleanHTML took out of the body
	Lookup  Lookup    // the ledger
	Now     time.Time // zero: the clock's
	// Foresee says how so many messages would go.
	Foresee func(ctx context.Context, n int64) (Outlook, error)
	// Health names the records of the account's domain (SPF, DKIM, ...) that are
	// known to be missing or wrong; nobody is asked for it.
	Health func(ctx context.Context, a post.Account) []string
	// TryLink says what is wrong with a link; nil: links are not tried, because
	// their servers would notice.
	TryLink func(ctx context.Context, address string) error
}

// Progress is told how far a job is, at most once per 1,000 rows. total is 0
// where it is not known. It is called on the caller's own goroutine.
type Progress func(done, total int64)

// Severity says what a finding asks for.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // nothing is queued
	SeverityWarning Severity = "warning" // ask before queueing
)

// Finding is one thing that Check came upon.
type Finding struct {
	Severity Severity
	Reason   post.Reason // a key of the catalogue
	Message  string      // the same in plain English
	Mend     string      // what to do about it, in plain English; the catalogue has it under Reason.Key + ".mend"
	Row      int64       // from 1, in the order of the recipients; 0: the whole mailing
	Address  string
	Field    string
}

// MaxFindings is how many findings of each severity are listed; all are counted.
const MaxFindings = 1000

// maxSubject is how long a merged subject may be, in bytes (RFC 5322 2.1.1
// would allow more by folding; no reader shows it).
const maxSubject = 998

// Findings is what Check came upon.
type Findings struct {
	List     []Finding // at most MaxFindings of each severity, in order
	Errors   int64
	Warnings int64
	Rows     int64
}

// OK reports whether the job may be queued.
func (f *Findings) OK() bool { return f.Errors == 0 }

func (f *Findings) add(n Finding) {
	n.Mend = mends[n.Reason.Key]
	count := &f.Errors
	if n.Severity == SeverityWarning {
		count = &f.Warnings
	}
	if *count++; *count <= MaxFindings {
		f.List = append(f.List, n)
	}
}

// Err returns the errors as one KindInvalid error with the first in words, or
// nil when there is none.
func (f *Findings) Err() error {
	for _, n := range f.List {
		if n.Severity != SeverityError {
			continue
		}
		msg := n.Message
		if n.Row > 0 {
			msg = "row " + strconv.FormatInt(n.Row, 10) + " (" + n.Address + "): " + msg
		}
		if more := f.Errors - 1; more > 0 {
			msg += fmt.Sprintf(" (and %d more)", more)
		}
		return &post.Error{Kind: post.KindInvalid, Op: "check the mailing", Message: msg, Reason: n.Reason}
	}
	return nil
}

// Check looks at everything that can be known before a mailing is queued: the
// words, the files, and each row. What is wrong with them is in the findings.
// The error is for what kept it from looking: the recipients could not be
// read, or ctx ended.
func Check(ctx context.Context, job *Job, progress Progress) (Findings, error) {
	c := checking{job: job}
	c.content(ctx)
	files, err := c.files()
	if files != nil {
		defer files.close()
	}
	if err != nil {
		return c.found, err
	}
	if c.mailing == nil {
		return c.found, nil // without sound words the rows say nothing
	}
	if err := c.mailingFacts(ctx); err != nil {
		return c.found, err
	}
	err = eachRow(ctx, job, progress, func(row int64, r *post.Recipient) error {
		c.found.Rows++
		c.row(row, r, files)
		return c.person(ctx, row, r)
	})
	if err == nil {
		err = c.suppressed(ctx)
	}
	// Suppressed people are looked up many at a time.
	slices.SortStableFunc(c.found.List, func(a, b Finding) int { return cmp.Compare(a.Row, b.Row) })
	if err == nil && c.found.Rows == 0 {
		c.fail("compose.no-recipients", "there are no recipients")
	}
	if err == nil {
		err = c.outlook(ctx)
	}
	return c.found, err
}

// mailingFacts checks what is the same for all rows, beyond that it can be sent.
func (c *checking) mailingFacts(ctx context.Context) error {
	if len(c.job.Removed) > 0 {
		what := strings.Join(c.job.Removed, ", ")
		c.warn("compose.removed", "taken out of the HTML: "+what, what)
	}
	c.style()
	c.addresses()
	c.bodySize = int64(len(c.job.Content.Body)) * 4
	if err := c.accounts(ctx); err != nil {
		return err
	}
	c.size(c.shared, "", func(s Severity, field, key, message string, args ...string) {
		c.found.add(Finding{Severity: s, Field: field, Message: message, Reason: post.Reason{Key: key, Args: args}})
	})
	if c.shared > largeMessage {
		c.warn("compose.large", fmt.Sprintf("the message is %d MB; some mailboxes refuse more than %d", c.shared>>20, largeMessage>>20), strconv.FormatInt(c.shared>>20, 10))
	}
	if err := c.ask(ctx); err != nil {
		return err
	}
	return c.recall(ctx)
}

// checking is one run of Check.
type checking struct {
	job     *Job
	found   Findings
	mailing *Mailing
	shared  int64 // bytes of the files that everybody gets, encoded
	// most is the least that one of the accounts takes, in bytes; 0: not known.
	most     int64
	mostBy   string // that account's name
	bodySize int64  // bytes of the texts, at most
	people   people
	left     int64 // rows that get no message: suppressed people, second rows of one person
	vals     []string
	text     []byte
}

// fail adds an error about the whole mailing.
func (c *checking) fail(key, message string, args ...string) {
	c.found.add(Finding{Severity: SeverityError, Reason: post.Reason{Key: key, Args: args}, Message: message})
}

// failErr adds an error that already has words.
func (c *checking) failErr(err error, key string, args ...string) {
	reason := post.Reason{Key: key, Args: args}
	message := err.Error()
	var e *post.Error
	if errors.As(err, &e) {
		if e.Reason.Key != "" {
			reason = e.Reason
		}
		if e.Message != "" {
			message = e.Message
			if e.Err != nil {
				message += ": " + e.Err.Error()
			}
		}
	}
	c.found.add(Finding{Severity: SeverityError, Reason: reason, Message: message})
}

// content checks the words, and compiles them.
func (c *checking) content(ctx context.Context) {
	content := &c.job.Content
	if strings.TrimSpace(content.Subject) == "" {
		c.fail("compose.no-subject", "the subject is empty")
	}
	if strings.IndexFunc(content.Subject, unicode.IsControl) >= 0 {
		c.fail("compose.subject-control", "the subject holds a line break or control character")
	}
	if strings.TrimSpace(content.Body) == "" {
		c.fail("compose.no-body", "the message is empty")
	}
	if len(c.job.Senders) == 0 {
		c.fail("compose.no-sender", "choose an account to send from")
	}
	for _, s := range c.job.Senders {
		if _, err := post.ParseAddress(s.Email); err != nil {
			c.failErr(err, "compose.bad-sender", s.Email)
		}
	}
	m, err := Compile(ctx, *content, nil, Options{KnownFields: c.job.KnownFields, NoAttachments: true})
	if err != nil {
		c.failErr(err, "compose.words")
		return
	}
	c.mailing = m
}

// files checks the attachments, and opens the folder of the recipients' own.
func (c *checking) files() (*rowFiles, error) {
	content := &c.job.Content
	for _, a := range content.Attachments {
		size := a.Size
		if a.SHA256 == "" {
			f, err := openSized(a.Path)
			if err != nil {
				c.found.add(unreadable(a.Name, err))
				continue
			}
			size = f.size
			if err := f.Close(); err != nil {
				return nil, err
			}
		}
		c.shared += encodedSize(size)
	}
	if c.shared > MaxMessage {
		c.failErr(tooLarge(""), "compose.too-large")
	}
	if content.AttachColumn == "" {
		return nil, nil
	}
	if c.mailing != nil {
		if _, ok := newNames(c.job.KnownFields).use(content.AttachColumn); !ok {
			c.fail("compose.no-attach-column", fmt.Sprintf("there is no column %q for attachments", content.AttachColumn), content.AttachColumn)
			c.mailing = nil
			return nil, nil
		}
	}
	files, err := openRowFiles(content)
	if err != nil {
		c.found.add(unreadable(content.AttachRoot, err))
		c.mailing = nil
		return nil, nil
	}
	return files, nil
}

func unreadable(name string, err error) Finding {
	return Finding{
		Severity: SeverityError, Message: fmt.Sprintf("the file %q cannot be read: %v", name, err),
		Reason: post.Reason{Key: "compose.file-unreadable", Args: []string{name}},
	}
}

// encodedSize is how long n bytes are as base64 in lines.
func encodedSize(n int64) int64 { return (n+56)/57*78 + 500 }

// addFinding adds a finding about one row.
type addFinding func(s Severity, field, key, message string, args ...string)

// row checks one recipient.
func (c *checking) row(row int64, r *post.Recipient, files *rowFiles) {
	add := func(s Severity, field, key, message string, args ...string) {
		c.found.add(Finding{
			Severity: s, Row: row, Address: r.Address, Field: field, Message: message,
			Reason: post.Reason{Key: key, Args: args},
		})
	}
	if _, err := post.ParseAddress(r.Address); err != nil {
		var e *post.Error
		why := err.Error()
		if errors.As(err, &e) && e.Message != "" {
			why = e.Message
		}
		add(SeverityError, "", "compose.bad-address", why, r.Address)
	}
	if strings.ContainsRune(r.Name, '@') && !strings.EqualFold(strings.TrimSpace(r.Name), r.Address) {
		add(SeverityWarning, "", "compose.name-is-address", "the name looks like another address", r.Name)
	}
	c.vals = c.mailing.values(c.vals, r, "")
	gaps := c.mailing.missing(c.vals)
	for _, field := range gaps {
		add(SeverityError, field, "compose.missing-value", fmt.Sprintf("there is no value for %q", field), field)
	}
	var err error
	if c.text, err = c.mailing.subject.appendText(c.text[:0], c.vals); err != nil || len(c.text) > maxSubject {
		add(SeverityError, "", "compose.subject-long", "the subject becomes too long")
	} else if len(gaps) == 0 && strings.TrimSpace(c.job.Content.Subject) != "" && len(cleanHeader(string(c.text))) == 0 {
		add(SeverityError, "", "compose.no-subject", "the subject becomes empty")
	} else if row == 1 && subjectLength(c.text) > longSubject {
		c.warn("compose.subject-long", "the subject is so long that its end will not be seen")
	}
	if len(gaps) == 0 {
		c.words(r, add)
	}
	if files != nil {
		c.rowFiles(r, files, add)
	}
}

// rowFiles checks one recipient's own files.
func (c *checking) rowFiles(r *post.Recipient, files *rowFiles, add addFinding) {
	names := files.names(r)
	if len(names) == 0 {
		add(SeverityError, files.column.name, "compose.missing-value", fmt.Sprintf("there is no value for %q", files.column.name), files.column.name)
		return
	}
	total := c.shared
	for _, name := range names {
		size, err := files.size(name)
		if err != nil {
			n := unreadable(name, err)
			add(SeverityError, files.column.name, n.Reason.Key, n.Message, n.Reason.Args...)
			continue
		}
		total += encodedSize(size)
		if riskyFiles.MatchString(name) {
			add(SeverityWarning, files.column.name, "compose.file-refused", fmt.Sprintf("many providers refuse files like %q", CleanFileName(name)), name)
		}
	}
	if total > MaxMessage && c.shared <= MaxMessage {
		add(SeverityError, files.column.name, "compose.too-large",
			fmt.Sprintf("the message would be larger than %d MB", MaxMessage>>20), "", strconv.Itoa(MaxMessage>>20))
	} else if total > c.shared {
		c.size(total, files.column.name, add)
	}
}

// eachRow calls f for each recipient, with rows counted from 1.
func eachRow(ctx context.Context, job *Job, progress Progress, f func(row int64, r *post.Recipient) error) error {
	const step = 1000
	row := int64(0)
	for r, err := range job.Recipients() {
		if err != nil {
			return err
		}
		row++
		if row%step == 0 {
			if err := ctx.Err(); err != nil {
				return &post.Error{Kind: post.KindCancelled, Op: "check the mailing", Err: err}
			}
			if progress != nil {
				progress(row, job.Total)
			}
		}
		if err := f(row, &r); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return &post.Error{Kind: post.KindCancelled, Op: "check the mailing", Err: err}
	}
	if progress != nil {
		progress(row, row)
	}
	return nil
}
