package compose

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postroom/post"
)

// Lookup is what the ledger knows that a mailing is checked against.
type Lookup interface {
	Account(ctx context.Context, id int64) (post.Account, error)
	// SuppressedKeys returns which of the address keys must not be mailed, and why.
	SuppressedKeys(ctx context.Context, keys []string) (map[string]string, error)
	// RecentKeys walks the address keys of those who got this subject since then.
	RecentKeys(ctx context.Context, subject string, since time.Time) iter.Seq2[string, error]
}

// Outlook is how a mailing would go.
type Outlook struct {
	Today  int64     // how many go today
	Later  int64     // how many go on later days, as far as is known
	EndsAt time.Time // zero: not known
}

const (
	recentSpan    = 7 * 24 * time.Hour
	longSubject   = 90 // characters; readers on phones show some 40 of them
	maxLinks      = 200
	largeMessage  = 10 << 20 // bytes; some mailboxes refuse more
	rowBatch      = 500      // rows whose keys are looked up at once
	renderedAbove = 1 << 20  // bytes of values above which a row is merged to see its size
)

// mends say how to mend a finding, in plain English; the catalogue has them
// under the finding's key and ".mend".
var mends = map[string]string{
	"compose.attach-forgotten":  "Attach the file, or change the words.",
	"compose.bad-address":       "Correct the address in the contacts or in the sheet.",
	"compose.bad-date":          "Write the date as 2026-12-31.",
	"compose.bad-link":          "Give the field an address that begins with https://.",
	"compose.bad-number":        "Write the number as 1234.56.",
	"compose.bad-reply-to":      "Write one address, such as office@example.com.",
	"compose.bad-sender":        "Correct the account's address.",
	"compose.domain":            "Look at the account's domain (Accounts, Check the domain), which shows the records to publish.",
	"compose.duplicate":         "Nothing needs to be done: the person gets one message.",
	"compose.file-refused":      "Put it into a PDF, or give a link to it.",
	"compose.file-unreadable":   "Look whether the file is still there, and whether you may read it.",
	"compose.from-foreign":      "Send from the provider's own server, or from an address of your own domain.",
	"compose.from-login":        "Make sure that this server lets the account send as that address.",
	"compose.image-alt":         "Write what it shows: ![a red bicycle](...), or alt=\"...\" in HTML.",
	"compose.link-broken":       "Correct the address.",
	"compose.link-dead":         "Open it in a browser, and correct it.",
	"compose.link-empty":        "Give the link an address.",
	"compose.link-http":         "Write https:// where the site has it.",
	"compose.link-relative":     "Write it in full, with https:// in front.",
	"compose.link-scheme":       "Use an address that begins with https://, http:// or mailto:.",
	"compose.link-short":        "Write the address that it leads to.",
	"compose.large":             "Give a link to the file instead, or make the pictures smaller.",
	"compose.missing-value":     "Fill the value in, or write {{field | default \"...\"}}.",
	"compose.name-is-address":   "Correct the name in the contacts.",
	"compose.no-attach-column":  "Choose one of the columns that there are.",
	"compose.no-body":           "Write the message.",
	"compose.no-postal-address": "Give the account a postal address for the footer.",
	"compose.no-recipients":     "Choose a list with people in it.",
	"compose.no-sender":         "Choose an account.",
	"compose.no-such-field":     "Use one of the list's fields, or import the column.",
	"compose.no-subject":        "Write a subject.",
	"compose.no-text":           "Write a line or two: some readers and all filters look at the text.",
	"compose.promotional":       "Mark the mailing as promotional, so that people can unsubscribe.",
	"compose.quota":             "Send it all the same, or let more accounts share it.",
	"compose.recent":            "Leave out who got it, or change the subject.",
	"compose.removed":           "Nothing needs to be done; look at the preview.",
	"compose.spam-subject":      "Write the subject as you would to one person.",
	"compose.spam-words":        "Say it in your own words.",
	"compose.subject-control":   "Write the subject on one line.",
	"compose.subject-long":      "Shorten it.",
	"compose.suppressed":        "Nothing needs to be done: they are left out.",
	"compose.template":          "Correct the tag.",
	"compose.text-too-long":     "Shorten the value.",
	"compose.too-large":         "Leave a file out, or give a link to it.",
	"compose.too-large-account": "Leave a file out, or send from another account.",
	"compose.unknown-field":     "Use the field that is meant.",
	"compose.words":             "Correct the words.",
}

// FindingKeys returns the keys of all findings, in order.
func FindingKeys() []string {
	keys := make([]string, 0, len(mends))
	for k := range mends {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// warn adds a warning about the whole mailing.
func (c *checking) warn(key, message string, args ...string) {
	c.found.add(Finding{Severity: SeverityWarning, Reason: post.Reason{Key: key, Args: args}, Message: message})
}

// style looks at what the words say and show.
func (c *checking) style() {
	content, m := &c.job.Content, c.mailing
	if shouting(content.Subject) {
		c.warn("compose.spam-subject", "the subject looks like advertising: capitals or exclamation marks")
	}
	if content.Promotion == nil && promoSubject.MatchString(content.Subject) {
		c.warn("compose.promotional", "this reads like a promotional mailing, and offers no way to unsubscribe")
	}
	if content.Promotion != nil && content.Promotion.PostalAddress == "" {
		sender := ""
		if len(c.job.Senders) > 0 {
			sender = c.job.Senders[0].Email
		}
		c.warn("compose.no-postal-address", "there is no postal address for the footer, which the law asks for in promotional mail in many countries", sender)
	}
	if n := len(salesWords.FindAllString(content.Subject+" "+m.looks.words, 4)); n >= 3 {
		c.warn("compose.spam-words", "the words are those of advertising mail, so that filters may hold it back")
	}
	if word := mentionsAttachment(content.Subject + " " + m.looks.words); word != "" && !slices.ContainsFunc(content.Attachments, func(a post.Attachment) bool { return a.CID == "" }) && content.AttachColumn == "" {
		c.warn("compose.attach-forgotten", fmt.Sprintf("the text speaks of an attachment (%q), and nothing is attached", word), word)
	}
	if m.html != nil && strings.TrimSpace(m.looks.words) == "" && strings.TrimSpace(content.Body) != "" {
		c.warn("compose.no-text", "the message has no text, only pictures")
	}
	for _, i := range m.looks.images[:min(len(m.looks.images), maxLinks)] {
		c.warn("compose.image-alt", atLine(i.line, fmt.Sprintf("the image %q has no text for those who do not see it", i.address)), i.address, strconv.Itoa(i.line))
	}
	for _, a := range content.Attachments {
		c.risky(a.Name)
	}
}

func (c *checking) risky(name string) {
	if riskyFiles.MatchString(name) {
		c.warn("compose.file-refused", fmt.Sprintf("many providers refuse files like %q", CleanFileName(name)), name)
	}
}

func atLine(line int, what string) string {
	if line == 0 {
		return what
	}
	return "line " + strconv.Itoa(line) + ": " + what
}

// addresses looks at the links that are the same for everybody.
func (c *checking) addresses() {
	seen := map[string]bool{}
	for _, l := range c.mailing.looks.links {
		if l.merged != nil || seen[l.address] || l.address == unsubscribeMark {
			continue
		}
		seen[l.address] = true
		line := strconv.Itoa(l.line)
		bad := badAddress(l.address, l.image)
		if cid, ok := strings.CutPrefix(l.address, "cid:"); ok && bad == "" && !hasPicture(c.job.Content.Attachments, cid) {
			bad = "compose.link-broken"
		}
		switch {
		case bad == "compose.link-scheme" || bad == "compose.link-broken":
			c.fail(bad, atLine(l.line, linkWords(bad, l.address)), l.address, line)
		case bad != "":
			c.warn(bad, atLine(l.line, linkWords(bad, l.address)), l.address, line)
		case shorteners.MatchString(l.address):
			c.warn("compose.link-short", atLine(l.line, fmt.Sprintf("the link %s hides where it leads; filters do not like that", l.address)), l.address, line)
		}
	}
}

func hasPicture(all []post.Attachment, cid string) bool {
	return slices.ContainsFunc(all, func(a post.Attachment) bool { return a.CID == cid })
}

func linkWords(key, address string) string {
	switch key {
	case "compose.link-empty":
		return "a link or image has no address"
	case "compose.link-relative":
		return fmt.Sprintf("the link %q leads nowhere from a message", address)
	case "compose.link-broken":
		return fmt.Sprintf("the link %q cannot be right", address)
	default:
		return fmt.Sprintf("the link %q is of a kind that is not sent", address)
	}
}

// ask tries the links, where the user wants that.
func (c *checking) ask(ctx context.Context) error {
	if c.job.TryLink == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, l := range c.mailing.looks.links {
		if l.merged != nil || seen[l.address] || l.address == unsubscribeMark || !strings.HasPrefix(strings.ToLower(l.address), "http") || badAddress(l.address, l.image) != "" {
			continue
		}
		if seen[l.address] = true; len(seen) > maxLinks {
			return nil
		}
		line := strconv.Itoa(l.line)
		if strings.HasPrefix(strings.ToLower(l.address), "http:") {
			c.warn("compose.link-http", atLine(l.line, fmt.Sprintf("the link %s is not encrypted", l.address)), l.address, line)
		}
		if err := c.job.TryLink(ctx, l.address); err != nil {
			if ctx.Err() != nil {
				return &post.Error{Kind: post.KindCancelled, Op: "try the links", Err: ctx.Err()}
			}
			c.warn("compose.link-dead", atLine(l.line, fmt.Sprintf("the link %s does not answer: %v", l.address, err)), l.address, line, err.Error())
		}
	}
	return nil
}

// accounts looks at who sends.
func (c *checking) accounts(ctx context.Context) error {
	if c.job.Lookup == nil {
		return nil
	}
	for _, s := range c.job.Senders {
		a, err := c.job.Lookup.Account(ctx, s.Account)
		if post.KindOf(err) == post.KindNotFound {
			continue
		}
		if err != nil {
			return err
		}
		if n := a.Learned.Size; n > 0 && (c.most == 0 || n < c.most) {
			c.most, c.mostBy = n, a.Name
		}
		if c.job.Kind == post.Rehearsal {
			continue
		}
		switch login := a.Login(); {
		case foreignFreeMail(s.Email, a.Host):
			c.warn("compose.from-foreign", fmt.Sprintf("%s belongs to a mail provider whose own servers alone may send it, and would go out through %s", s.Email, a.Host), s.Email, a.Host)
		case a.Auth != post.AuthNone && strings.Contains(login, "@") && !sameDomain(login, s.Email):
			c.warn("compose.from-login", fmt.Sprintf("the account signs in as %s and writes as %s", login, s.Email), login, s.Email)
		}
		c.health(ctx, a)
	}
	return nil
}

// health tells what is known to be wrong with the domain that mail comes from.
func (c *checking) health(ctx context.Context, a post.Account) {
	if c.job.Health == nil {
		return
	}
	if bad := c.job.Health(ctx, a); len(bad) > 0 {
		what := strings.Join(bad, ", ")
		c.warn("compose.domain", fmt.Sprintf("the domain of %s lacks a good record: %s; mail may count as spam", a.Email, what), a.Email, what)
	}
}

func sameDomain(a, b string) bool {
	x, xerr := post.ParseAddress(a)
	y, yerr := post.ParseAddress(b)
	return xerr != nil || yerr != nil || x.ASCII == y.ASCII
}

// outlook says when limits stretch the mailing over days.
func (c *checking) outlook(ctx context.Context) error {
	if c.job.Foresee == nil || c.job.Kind == post.Rehearsal || c.found.Rows == 0 {
		return nil
	}
	o, err := c.job.Foresee(ctx, c.found.Rows-c.left)
	if err != nil || o.Later == 0 {
		return err
	}
	ends := "-"
	if !o.EndsAt.IsZero() {
		ends = o.EndsAt.Format("2006-01-02 15:04")
	}
	c.warn("compose.quota", fmt.Sprintf("the accounts' limits let %d go today; the other %d go later (the last at %s)", o.Today, o.Later, ends),
		strconv.FormatInt(o.Today, 10), strconv.FormatInt(o.Later, 10), ends)
	return nil
}

// people are the rows whose keys were not looked up yet, and those seen so far.
type people struct {
	seed    maphash.Seed
	recent  map[uint64]bool // who got the same subject
	seen    map[uint64]bool
	keys    []string
	pending []personRow
}

type personRow struct {
	row     int64
	address string
}

// recall notes who got the same subject of late.
func (c *checking) recall(ctx context.Context) error {
	c.people = people{seed: maphash.MakeSeed(), seen: map[uint64]bool{}}
	if c.job.Lookup == nil || c.job.Kind == post.Rehearsal {
		return nil
	}
	now := c.job.Now
	if now.IsZero() {
		now = time.Now()
	}
	c.people.recent = map[uint64]bool{}
	for key, err := range c.job.Lookup.RecentKeys(ctx, c.job.Content.Subject, now.Add(-recentSpan)) {
		if err != nil {
			return err
		}
		c.people.recent[maphash.String(c.people.seed, key)] = true
	}
	return nil
}

// person looks at who a row is for.
func (c *checking) person(ctx context.Context, row int64, r *post.Recipient) error {
	key := r.Key
	if key == "" {
		a, err := post.ParseAddress(r.Address)
		if err != nil {
			return nil
		}
		key = post.AddressKey(a)
	}
	p := &c.people
	add := func(s Severity, key, message string) {
		c.found.add(Finding{Severity: s, Row: row, Address: r.Address, Message: message, Reason: post.Reason{Key: key, Args: []string{r.Address}}})
	}
	hash := maphash.String(p.seed, key)
	if p.seen[hash] {
		c.left++
		add(SeverityWarning, "compose.duplicate", "the person is among the recipients more than once")
		return nil
	}
	p.seen[hash] = true
	if at := strings.LastIndexByte(key, '#'); at > strings.LastIndexByte(key, '@') { // a row of a sheet
		key = key[:at]
		hash = maphash.String(p.seed, key)
	}
	if p.recent[hash] {
		add(SeverityWarning, "compose.recent", "the person got a message with this subject in the last 7 days")
	}
	if c.job.Lookup == nil || c.job.Kind == post.Rehearsal {
		return nil
	}
	p.keys, p.pending = append(p.keys, key), append(p.pending, personRow{row, r.Address})
	if len(p.keys) >= rowBatch {
		return c.suppressed(ctx)
	}
	return nil
}

// suppressed looks up the rows that are pending.
func (c *checking) suppressed(ctx context.Context) error {
	p := &c.people
	if len(p.keys) == 0 {
		return nil
	}
	why, err := c.job.Lookup.SuppressedKeys(ctx, p.keys)
	if err != nil {
		return err
	}
	if len(why) > 0 {
		for i, x := range p.pending {
			if reason, ok := why[p.keys[i]]; ok {
				c.left++
				c.found.add(Finding{
					Severity: SeverityWarning, Row: x.row, Address: x.address, Message: "the person is not to be mailed",
					Reason: post.Reason{Key: "compose.suppressed", Args: []string{x.address, reason}},
				})
			}
		}
	}
	p.keys, p.pending = p.keys[:0], p.pending[:0]
	return nil
}

// words checks what becomes of a row's values.
func (c *checking) words(r *post.Recipient, add addFinding) {
	m := c.mailing
	for _, ops := range m.sources {
		misread(ops, c.vals, func(fn, value string) {
			if value = cutAtRune(value, 60); fn == "date" {
				add(SeverityError, "", "compose.bad-date", fmt.Sprintf("%q is not a date that means one day only", value), value)
				return
			}
			add(SeverityError, "", "compose.bad-number", fmt.Sprintf("%q is not a number that means one amount only", value), value)
		})
	}
	for i := range m.looks.links {
		l := &m.looks.links[i]
		if l.merged == nil {
			continue
		}
		var err error
		if c.text, err = l.merged.appendText(c.text[:0], c.vals); err != nil {
			continue
		}
		if key := badAddress(string(c.text), l.image); key != "" && key != "compose.link-empty" {
			shown := cutAtRune(string(c.text), 100)
			add(SeverityError, "", "compose.bad-link", fmt.Sprintf("the link %s becomes %q, which cannot be sent", l.address, shown), l.address, shown)
		}
	}
	if m.work(c.vals) > renderedAbove {
		var msg Message
		p := Params{
			Recipient: post.Recipient{Address: r.Address, Name: r.Name, Fields: r.Fields}, From: post.Sender{Email: r.Address},
			MessageID: "<check@postroom.invalid>", Date: time.Unix(0, 1),
		}
		if err := m.Render(&msg, &p); post.KindOf(err) == post.KindInvalid {
			var e *post.Error
			if errors.As(err, &e) && e.Reason.Key == "compose.text-too-long" {
				add(SeverityError, "", "compose.text-too-long", "the merged text becomes too long")
			}
		}
	}
}

// size checks how large a row's message becomes, files being the encoded bytes
// of all of them.
func (c *checking) size(files int64, field string, add addFinding) {
	total := files + c.bodySize
	switch {
	case c.most > 0 && total > c.most:
		add(SeverityError, field, "compose.too-large-account", fmt.Sprintf("the message is larger than %s takes (%d MB)", c.mostBy, c.most>>20),
			c.mostBy, strconv.FormatInt(c.most>>20, 10))
	case total > largeMessage && field != "":
		add(SeverityWarning, field, "compose.large", fmt.Sprintf("the message is %d MB; some mailboxes refuse more than %d", total>>20, largeMessage>>20),
			strconv.FormatInt(total>>20, 10))
	}
}

// subjectLength counts what people see.
func subjectLength(subject []byte) int { return utf8.RuneCount(subject) }
